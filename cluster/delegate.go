package cluster

import (
	"bytes"
	"fmt"
	"strings"
	"time"

	"github.com/hashicorp/memberlist"

	"caucus/cluster/gossip"
	"caucus/cluster/identity"
)

// delegate is what memberlist calls. Most of it runs under memberlist's lock: it takes mu for moments, calls
// nothing of memberlist's and touches neither disk nor network.
type delegate struct{ m *Membership }

var (
	_ memberlist.Delegate         = (*delegate)(nil)
	_ memberlist.EventDelegate    = (*delegate)(nil)
	_ memberlist.AliveDelegate    = (*delegate)(nil)
	_ memberlist.PingDelegate     = (*delegate)(nil)
	_ memberlist.ConflictDelegate = (*delegate)(nil)
)

// NodeMeta is this node's signed card. SignCard keeps it within the limit, over which memberlist panics.
func (d *delegate) NodeMeta(int) []byte { return d.m.card.Load().Signed }

// NotifyMsg takes another node's broadcast.
func (d *delegate) NotifyMsg(b []byte) { d.m.spreader.receive(b) }

// GetBroadcasts gives memberlist what is to be spread.
func (d *delegate) GetBroadcasts(overhead, limit int) [][]byte {
	return d.m.spreader.queue.GetBroadcasts(overhead, limit)
}

// LocalState is this node's side of a push/pull.
func (d *delegate) LocalState(bool) []byte {
	d.m.mu.Lock()
	b := d.m.roster.appendState(make([]byte, 0, 4096))
	d.m.mu.Unlock()
	if d.m.evidence != nil {
		b = d.m.evidence.appendHeads(b)
	}
	return b
}

// MergeRemoteState takes the other side of a push/pull over.
func (d *delegate) MergeRemoteState(b []byte, _ bool) {
	if err := d.m.mergeState(b); err != nil {
		d.m.log.Warn("another node's state was dropped", "error", err)
		return
	}
	// After the roster, which says whose evidence is taken.
	if heads := section(b, sectionEvidence); heads != nil && d.m.evidence != nil {
		d.m.evidence.noteHeads(heads)
	}
}

func (m *Membership) mergeState(b []byte) error {
	raw, tombs, err := parseState(b)
	if err != nil {
		return err
	}
	rawRemovals, err := splitRemovals(section(b, sectionRemovals))
	if err != nil {
		return err
	}
	removals, err := m.verifyRemovals(rawRemovals)
	if err != nil {
		return err
	}
	// Signatures are checked without the lock; cards that are known to the byte need no check.
	known := make(map[string]identity.Card)
	m.mu.Lock()
	for _, e := range m.roster.entries {
		known[string(e.card.Signed)] = e.card
	}
	m.mu.Unlock()
	cards := make([]remoteCard, 0, len(raw))
	for _, r := range raw {
		c, ok := known[string(r.signed)]
		if !ok {
			if c, err = identity.ParseCard(r.signed); err != nil {
				return err
			}
		}
		cards = append(cards, remoteCard{card: c, enrolled: r.enrolled})
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, rc := range cards {
		if rc.card.ID == m.self {
			m.outranLocked(rc.card.Sequence)
		}
	}
	removed := m.hearRemovalsLocked(removals)
	if m.roster.merge(cards, tombs, m.now()) || removed {
		m.publishLocked()
		m.kick(m.kickMaintain)
	}
	return nil
}

// NotifyAlive judges what is said of a live node: the name must be the id of a signed card, the address must
// belong to it, and the card must not be older than the one known. memberlist drops the message on an error.
func (d *delegate) NotifyAlive(n *memberlist.Node) error {
	id, err := identity.ParseID(n.Name)
	if err != nil {
		return err
	}
	if id == d.m.self {
		// memberlist refutes what is old or wrong about this node, and only if it sees it. But a later card of this
		// node's own key must be outrun.
		if c, err := identity.ParseCard(n.Meta); err == nil && c.ID == id {
			d.m.learn(c)
		}
		return nil
	}
	placeholder := id.Placeholder().As16()
	if !bytes.Equal(n.Addr, placeholder[:]) || n.Port != gossip.Port {
		return fmt.Errorf("its address %v does not belong to its id", n.Addr)
	}
	m := d.m
	m.mu.Lock()
	e := m.roster.entries[id]
	same := e != nil && bytes.Equal(e.card.Signed, n.Meta)
	m.mu.Unlock()
	if same {
		return nil
	}
	c, err := identity.ParseCard(n.Meta)
	if err != nil {
		return err
	}
	if c.ID != id {
		return fmt.Errorf("it shows the card of %s", c.ID)
	}
	if err := m.learn(c); err != nil {
		if fatal(err) {
			m.refuse(c, err)
		}
		return err
	}
	return nil
}

// NotifyJoin tells that gossip holds a node alive that it did not before.
func (d *delegate) NotifyJoin(n *memberlist.Node) { d.m.heard(n, true) }

// NotifyUpdate tells that a live node's card changed; it may have been forgotten meanwhile.
func (d *delegate) NotifyUpdate(n *memberlist.Node) { d.m.heard(n, true) }

// NotifyLeave tells that gossip gave a node up. Whether it left or died stands in its card, not in n.State
// (always alive).
func (d *delegate) NotifyLeave(n *memberlist.Node) { d.m.heard(n, false) }

func (m *Membership) heard(n *memberlist.Node, alive bool) {
	id := identity.ID(n.Name)
	if id == m.self {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	e := m.roster.entries[id]
	if e == nil {
		return
	}
	e.alive = alive
	e.suspectUntil = time.Time{}
	e.lostSession = time.Time{}
	m.publishLocked()
	m.kick(m.kickMaintain)
}

// NotifyConflict tells that one id came with two addresses, which NotifyAlive rules out.
func (d *delegate) NotifyConflict(existing, _ *memberlist.Node) {
	d.m.log.Warn("gossip has two addresses for one node", "member", existing.Name)
}

// ackDigest is how much of a digest goes with the answer to a probe.
const ackDigest = 8

// AckPayload tells whoever probes this node of its roster and its evidence, so that two that differ find out before
// their next push/pull.
func (d *delegate) AckPayload() []byte {
	v := d.m.view.Load()
	if v == nil || !v.Joined {
		return nil
	}
	b := append(make([]byte, 0, 2*ackDigest), v.Digest[:ackDigest]...)
	if d.m.evidence != nil {
		b = append(b, d.m.evidence.sum()...)
	}
	return b
}

// NotifyPingComplete tells that a node answered a probe.
func (d *delegate) NotifyPingComplete(n *memberlist.Node, rtt time.Duration, payload []byte) {
	m := d.m
	if len(payload) == 2*ackDigest && m.evidence != nil {
		m.evidence.noteSum(identity.ID(n.Name), payload[ackDigest:])
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	e := m.roster.entries[identity.ID(n.Name)]
	if e == nil {
		return
	}
	e.rtt = rtt
	own := m.view.Load().Digest
	e.differs = len(payload) >= ackDigest && !bytes.Equal(payload[:ackDigest], own[:ackDigest])
	if !e.differs {
		e.syncWait, e.nextSync = 0, time.Time{}
	}
	if !e.suspectUntil.IsZero() {
		e.suspectUntil = time.Time{}
		m.publishLocked()
	}
}

// observeGossip reads memberlist's log for what memberlist tells in no other way: that its own
// probe of a node failed and the node is now suspected, and that somebody sent what is no gossip. If the wording
// ever changes, a suspect is shown as alive until it is given up or its session breaks, and who sends
// what is no gossip goes on; nothing else depends on it.
func (m *Membership) observeGossip(line string) {
	if id, ok := m.malformedLine(line); ok {
		m.malformed(id, line)
		return
	}
	rest, ok := strings.CutPrefix(line, "Suspect ")
	if !ok {
		return
	}
	name, _, ok := strings.Cut(rest, " has failed")
	if !ok {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if e := m.roster.entries[identity.ID(name)]; e != nil && e.alive {
		e.suspectUntil = m.now().Add(m.timing.suspect)
		m.publishLocked()
	}
}
