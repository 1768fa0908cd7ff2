package cluster

import (
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"caucus/cluster/gossip"
	"caucus/cluster/identity"
)

// Who sends what is no gossip is put up with for some time, since a fault of one version must not part
// a cluster, and then cut off for a while.
const (
	malformedAllowed = 20          // within malformedWithin
	malformedWithin  = time.Minute // scaled
	banFirst         = time.Minute // scaled; it doubles with each time, up to banLast
	banLast          = 15 * time.Minute
)

// conduct counts the malformed messages of each peer.
type conduct struct {
	total atomic.Uint64

	mu    sync.Mutex // guards what follows
	peers map[identity.ID]*misconduct
}

type misconduct struct {
	count  int
	since  time.Time // of count
	banned time.Time // until then
	ban    time.Duration
}

// banned returns how much longer nobody talks to the peer.
func (c *conduct) banned(id identity.ID, now time.Time) time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	if p := c.peers[id]; p != nil {
		return max(0, p.banned.Sub(now))
	}
	return 0
}

// note counts one malformed message. It returns for how long the peer is to be cut off: mostly not at all.
func (c *conduct) note(id identity.ID, now time.Time, within, first, last time.Duration) time.Duration {
	c.total.Add(1)
	c.mu.Lock()
	defer c.mu.Unlock()
	p := c.peers[id]
	if p == nil {
		if c.peers == nil {
			c.peers = make(map[identity.ID]*misconduct)
		}
		for other, q := range c.peers { // those who have behaved for long are forgotten
			if now.Sub(q.since) > within+last && now.After(q.banned) {
				delete(c.peers, other)
			}
		}
		p = &misconduct{since: now}
		c.peers[id] = p
	}
	if now.Sub(p.since) > within {
		p.since, p.count = now, 0
	}
	if p.count++; p.count < malformedAllowed || now.Before(p.banned) {
		return 0
	}
	p.count = 0
	p.ban = min(max(2*p.ban, first), last)
	p.banned = now.Add(p.ban)
	return p.ban
}

// malformed is told of a message of a peer that is no gossip.
func (m *Membership) malformed(id identity.ID, what string) {
	m.log.Debug("malformed gossip", "peer", id, "what", printable(what, 200))
	ban := m.conduct.note(id, time.Now(), m.timing.of(malformedWithin), m.timing.of(banFirst), m.timing.of(banLast))
	if ban == 0 {
		return
	}
	m.log.Warn("a peer sent too much that is no gossip; it is cut off for a while", "peer", id, "last", printable(what, 200), "for", ban.String(),
		"remedy", "if it is one of yours, give both the same version of caucus; else caucus invite --rotate")
	// Not from here: the goroutine may be one of those that the sessions' end waits for.
	m.run(func() { m.sessions.Drop(id, reasonMalformed) })
}

const reasonMalformed = "it sent too many messages that are no gossip; is it of another version?"

// turnedAway says that a peer is cut off at present.
func (m *Membership) turnedAway(id identity.ID) error {
	if wait := m.conduct.banned(id, time.Now()); wait > 0 {
		return fmt.Errorf("%s (it may come back in %v)", reasonMalformed, wait.Round(time.Second))
	}
	return nil
}

// Malformed is how many messages of peers were no gossip.
func (m *Membership) Malformed() uint64 { return m.conduct.total.Load() }

// malformedLines begin the lines in which memberlist says that it could not read a packet. It tells of it in no other way.
var malformedLines = []string{
	"Failed to decode ping request",
	"Failed to decode indirect ping request",
	"Failed to decode ack response",
	"Failed to decode nack response",
	"Failed to decode suspect message",
	"Failed to decode alive message",
	"Failed to decode dead message",
	"Failed to decode compound request",
	"Failed to decompress payload",
	"Compound request had",
	"Message type (",
	"msg type (",
	"missing message type byte",
	"discarding packet with unacceptable label",
	"unexpected double packet label",
	"Received invalid msgType",
}

// malformedLine finds the sender of a message of which memberlist's log says that it is malformed.
func (m *Membership) malformedLine(line string) (identity.ID, bool) {
	found := false
	for _, s := range malformedLines {
		found = found || strings.HasPrefix(line, s)
	}
	// The last one: what is before it may hold words of the sender's.
	i := strings.LastIndex(line, "from=")
	if !found || i < 0 {
		return "", false
	}
	address, _, _ := strings.Cut(line[i+len("from="):], " ")
	for _, p := range m.sessions.Peers() {
		if gossip.Address(p.ID) == address {
			return p.ID, true
		}
	}
	return "", false
}
