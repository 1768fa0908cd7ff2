package cluster

import (
	"context"
	"encoding/binary"
	"fmt"
	"net"
	"net/http"

	"caucus/cluster/identity"
	"caucus/cluster/session"
)

// What the two ends of a session show each other, by its first byte. One that is about to be refused because it was
// removed gets the removal too, so that it knows by a signature and not only by somebody's words:
//
//	1 | signed card
//	2 | length of the card u16 | signed card | signed removal of the reader
const (
	helloVersion = 1
	helloRemoval = 2
)

// signLocked signs this node's card anew, with a higher sequence.
func (m *Membership) signLocked(leaving bool) error {
	sequence := max(m.sequence+1, m.roster.tombs[m.self].sequence+1)
	c, err := m.cfg.Key.SignCard(identity.Card{
		Name: m.cfg.Name, Model: m.cfg.Model, Fingerprint: m.cfg.Fingerprint, Task: m.cfg.Task,
		URL: m.url, Sequence: sequence, Leaving: leaving,
	})
	if err != nil {
		return err
	}
	m.sequence = sequence
	m.card.Store(&c)
	_, err = m.roster.upsert(c, m.now())
	if e := m.roster.entries[m.self]; e != nil {
		e.alive = !leaving
		e.description, e.describedBy = m.cfg.Description, sequence
	}
	m.kick(m.kickSave)
	return err
}

// announceLoop advertises a card that was signed anew. memberlist is called from here only, since those
// who sign may hold mu or be called by memberlist.
func (m *Membership) announceLoop() {
	for {
		select {
		case <-m.ctx.Done():
			return
		case <-m.kickAnnounce:
		}
		m.mu.Lock()
		leaving := m.leaving
		m.mu.Unlock()
		if leaving {
			return // Leave advertises the last card itself
		}
		m.tellAll(m.card.Load().Signed)
		if err := m.gossip.UpdateNode(m.timing.announce); err != nil {
			m.log.Debug("gossip was slow to take the new card", "error", err)
		}
	}
}

// hello is what this node shows a peer at the start of a session.
func (m *Membership) hello(peer identity.ID) []byte {
	card := m.card.Load().Signed
	m.mu.Lock()
	x, known := m.roster.removals[peer]
	m.mu.Unlock()
	if !known || x.Undone {
		return append([]byte{helloVersion}, card...)
	}
	b := binary.BigEndian.AppendUint16([]byte{helloRemoval}, uint16(len(card)))
	return append(append(b, card...), x.Signed...)
}

// splitHello returns the signed card in a hello, and the signed removal if there is one.
func splitHello(hello []byte) (card, removal []byte, err error) {
	switch {
	case len(hello) > 0 && hello[0] == helloVersion:
		return hello[1:], nil, nil
	case len(hello) >= 3 && hello[0] == helloRemoval && len(hello)-3 >= int(binary.BigEndian.Uint16(hello[1:])):
		n := 3 + int(binary.BigEndian.Uint16(hello[1:]))
		return hello[3:n], hello[n:], nil
	}
	version := -1
	if len(hello) > 0 {
		version = int(hello[0])
	}
	return nil, nil, fmt.Errorf("it speaks version %d between nodes and this one version %d; update the older of the two", version, helloVersion)
}

// onHello judges what a peer shows; its error is told to the peer. A newer card is taken from here as well as from
// gossip: after a change of URL this is often the first to bring it.
func (m *Membership) onHello(peer identity.ID, hello []byte) error {
	if err := m.turnedAway(peer); err != nil {
		return err
	}
	m.mu.Lock()
	err := m.roster.refusal(peer)
	m.mu.Unlock()
	if err != nil {
		return err
	}
	card, removal, err := splitHello(hello)
	if err != nil {
		m.refuse(identity.Card{ID: peer}, err)
		return err
	}
	if len(removal) > 0 {
		list, err := m.verifyRemovals([][]byte{removal})
		if err != nil {
			return err
		}
		m.mu.Lock()
		m.hearRemovalsLocked(list)
		m.mu.Unlock()
	}
	c, err := identity.ParseCard(card)
	if err != nil {
		m.refuse(identity.Card{ID: peer}, err)
		return err
	}
	if c.ID != peer {
		err := fmt.Errorf("it showed the card of %s", c.ID)
		m.refuse(identity.Card{ID: peer}, err)
		return err
	}
	err = m.learn(c)
	if fatal(err) {
		m.refuse(c, err)
		return err
	}
	return nil
}

func (m *Membership) refuse(c identity.Card, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.roster.refuse(c, printable(err.Error(), 200), m.now()) {
		m.log.Warn("node refused", "node", c.ID, "name", c.Name, "error", err)
		m.publishLocked()
	}
}

// learn takes a verified card into the roster.
func (m *Membership) learn(c identity.Card) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.learnLocked(c)
}

func (m *Membership) learnLocked(c identity.Card) error {
	if c.ID == m.self {
		m.outranLocked(c.Sequence)
		return nil
	}
	changed, err := m.roster.upsert(c, m.now())
	if changed {
		m.publishLocked()
		m.kick(m.kickMaintain)
	}
	return err
}

// outranLocked answers a card of this node's key with a higher sequence than its own: its state was
// lost, or the key is used twice. The last word must be this node's.
func (m *Membership) outranLocked(sequence uint64) {
	if sequence <= m.sequence || sequence >= maxSequence || m.leaving || m.now().Sub(m.outranAt) < m.timing.spread {
		return // or wait, so that two processes with one key do not chase each other at gossip's full speed
	}
	m.outranAt = m.now()
	m.outrunLocked(m.outranAt)
	m.log.Warn("a later card of this node's own key is about: its state was lost, or another process uses the same key", "sequence", sequence, "own", m.sequence)
	m.sequence = sequence
	m.resignLocked()
}

// resignLocked signs the card anew and has it advertised.
func (m *Membership) resignLocked() {
	if m.leaving {
		return
	}
	if err := m.signLocked(false); err != nil {
		m.log.Error("cannot sign the card anew", "error", err)
		return
	}
	m.publishLocked()
	m.kick(m.kickAnnounce)
}

// dialContext opens the connections of outbound sessions, where the policy lets it, and shows which address this
// node has towards others.
func (m *Membership) dialContext(ctx context.Context, network, address string) (net.Conn, error) {
	dial := m.cfg.DialContext
	if dial == nil {
		dial = m.locator.policy.Dial
	}
	conn, err := dial(ctx, network, address)
	if err == nil {
		m.locator.observe(conn.LocalAddr())
	}
	return conn, err
}

// observeInbound looks at the address that a peer's request came in at.
func (m *Membership) observeInbound(r *http.Request) {
	if a, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr); ok && !session.Forwarded(r.Header) {
		m.locator.observe(a)
	}
}
