package cluster

import (
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"

	lru "github.com/hashicorp/golang-lru/v2"
	"github.com/hashicorp/memberlist"

	"caucus/cluster/gossip"
	"caucus/cluster/identity"
)

// MaxBroadcast is the most bytes that Broadcast takes.
const MaxBroadcast = 512

// Messages between nodes that ride memberlist's gossip; the first byte is the kind:
//
//	broadcast: 1 | origin, 32 characters | nonce 8 | content, at most MaxBroadcast
//	forget:    2 | id, 32 characters | sequence u64      a tombstone
//	card:      3 | signed card                           told directly, not spread further
//	evidence:  4 | as a broadcast                        for the log of evidence
//	removal:   5 | signed removal
const (
	messageBroadcast = 1
	messageForget    = 2
	messageCard      = 3
	messageEvidence  = 4
	messageRemoval   = 5

	nonceBytes      = 8
	broadcastHead   = 1 + idBytes + nonceBytes
	longestMessage  = broadcastHead + MaxBroadcast
	queuedMessages  = 256  // to be spread, and to be delivered
	rememberedHashs = 4096 // of messages seen, so that each is delivered once
)

var errMessage = errors.New("cluster: malformed message")

// message is a parsed message; its slices share the buffer's memory.
type message struct {
	kind     byte
	id       identity.ID // origin, or the forgotten
	sequence uint64
	content  []byte // of a broadcast; or the card, or the removal
}

func parseMessage(b []byte) (message, error) {
	if len(b) == 0 || len(b) > longestMessage {
		return message{}, fmt.Errorf("%w: it has %d bytes, the limits are 1 and %d", errMessage, len(b), longestMessage)
	}
	msg := message{kind: b[0]}
	switch msg.kind {
	case messageBroadcast, messageEvidence:
		if len(b) < broadcastHead {
			return message{}, fmt.Errorf("%w: a broadcast of %d bytes", errMessage, len(b))
		}
		id, err := identity.ParseID(string(b[1 : 1+idBytes]))
		if err != nil {
			return message{}, fmt.Errorf("%w: a broadcast's origin: %v", errMessage, err)
		}
		msg.id, msg.content = id, b[broadcastHead:]
	case messageForget:
		if len(b) != 1+tombstoneBytes {
			return message{}, fmt.Errorf("%w: a tombstone of %d bytes", errMessage, len(b))
		}
		var err error
		if msg.id, msg.sequence, err = parseTombstone(b[1:]); err != nil {
			return message{}, fmt.Errorf("%w: %v", errMessage, err)
		}
	case messageCard:
		if len(b) > 1+identity.MaxCard {
			return message{}, fmt.Errorf("%w: a card of %d bytes", errMessage, len(b)-1)
		}
		msg.content = b[1:]
	case messageRemoval:
		if len(b) > 1+identity.MaxRemoval {
			return message{}, fmt.Errorf("%w: a removal of %d bytes", errMessage, len(b)-1)
		}
		msg.content = b[1:]
	default:
		return message{}, fmt.Errorf("%w: it is of the unknown kind %d", errMessage, msg.kind)
	}
	return msg, nil
}

// spreader spreads broadcasts and takes those of others. A node that hears one for the first time spreads it
// further, as memberlist does with its own.
type spreader struct {
	m       *Membership
	queue   memberlist.TransmitLimitedQueue
	members atomic.Int64
	inbox   chan []byte
	seen    *lru.Cache[[32]byte, struct{}]
	dropped atomic.Uint64
}

func newSpreader(m *Membership) *spreader {
	seen, err := lru.New[[32]byte, struct{}](rememberedHashs)
	if err != nil {
		panic(err) // only for a size below 1
	}
	s := &spreader{m: m, inbox: make(chan []byte, queuedMessages), seen: seen}
	s.queue.NumNodes = func() int { return int(s.members.Load()) }
	s.queue.RetransmitMult = 4
	return s
}

// item is a queued message. Each is unique: no other replaces it.
type item struct{ b []byte }

var _ memberlist.UniqueBroadcast = item{}

func (i item) Message() []byte                       { return i.b }
func (i item) Invalidates(memberlist.Broadcast) bool { return false }
func (i item) Finished()                             {}
func (i item) UniqueBroadcast()                      {}

// spread queues b, which must not be changed any more; of too many, those sent most often go first.
func (s *spreader) spread(b []byte) {
	s.queue.QueueBroadcast(item{b})
	s.queue.Prune(queuedMessages)
}

func (s *spreader) tombstone(id identity.ID, sequence uint64) {
	b := appendTombstone([]byte{messageForget}, id, sequence)
	s.seen.Add(sha256.Sum256(b), struct{}{})
	s.spread(b)
}

// removal spreads a signed removal.
func (s *spreader) removal(x *identity.Removal) {
	b := append([]byte{messageRemoval}, x.Signed...)
	s.seen.Add(sha256.Sum256(b), struct{}{})
	s.spread(b)
}

// receive takes a message from memberlist, which may reuse b.
func (s *spreader) receive(b []byte) {
	if len(b) > longestMessage {
		s.dropped.Add(1)
		return
	}
	select {
	case s.inbox <- slices.Clone(b):
	default:
		s.dropped.Add(1)
	}
}

// deliver handles received messages, away from memberlist's goroutines.
func (s *spreader) deliver() {
	for {
		select {
		case <-s.m.ctx.Done():
			return
		case b := <-s.inbox:
			if err := s.handle(b); err != nil {
				s.m.log.Debug("message dropped", "error", err)
			}
		}
	}
}

func (s *spreader) handle(b []byte) error {
	msg, err := parseMessage(b)
	if err != nil {
		return err
	}
	if msg.kind == messageCard {
		c, err := identity.ParseCard(msg.content)
		if err != nil {
			return err
		}
		return s.m.learn(c)
	}
	if msg.kind == messageRemoval {
		// Spread on where it is news; one that does not verify is not.
		list, err := s.m.verifyRemovals([][]byte{msg.content})
		if err == nil {
			s.m.mu.Lock()
			s.m.hearRemovalsLocked(list)
			s.m.mu.Unlock()
		}
		return err
	}
	hash := sha256.Sum256(b)
	if known, _ := s.seen.ContainsOrAdd(hash, struct{}{}); known {
		return nil
	}
	s.spread(b)
	switch msg.kind {
	case messageForget:
		s.m.mu.Lock()
		if s.m.roster.forget(msg.id, msg.sequence, s.m.now()) {
			s.m.publishLocked()
		}
		s.m.mu.Unlock()
	case messageBroadcast:
		if msg.id != s.m.self && s.m.cfg.OnBroadcast != nil {
			s.m.cfg.OnBroadcast(msg.id, msg.content)
		}
	case messageEvidence:
		if msg.id != s.m.self && s.m.evidence != nil {
			s.m.evidence.post(news{kind: newsBroadcast, from: msg.id, b: msg.content})
		}
	}
	return nil
}

// Broadcast spreads msg (at most MaxBroadcast bytes) to all members, best effort. At the others OnBroadcast is
// called with it once, from a goroutine of the membership, one message at a time. Who is named as its origin is
// that node's word only: broadcasts are not signed.
func (m *Membership) Broadcast(msg []byte) error { return m.spreadContent(messageBroadcast, msg) }

// spreadContent spreads a message of a kind that has an origin, a nonce and content.
func (m *Membership) spreadContent(kind byte, msg []byte) error {
	if len(msg) > MaxBroadcast {
		return fmt.Errorf("cluster: a broadcast of %d bytes; the limit is %d", len(msg), MaxBroadcast)
	}
	if m.ctx.Err() != nil {
		return ErrStopped
	}
	b := make([]byte, 0, broadcastHead+len(msg))
	b = append(b, kind)
	b = append(b, m.self...)
	b = b[:broadcastHead]
	rand.Read(b[broadcastHead-nonceBytes:]) // equal contents are two messages
	b = append(b, msg...)
	m.spreader.seen.Add(sha256.Sum256(b), struct{}{})
	m.spreader.spread(b)
	return nil
}

// tellAll sends a signed card to everybody who has a session, at once; gossip brings it to the rest.
func (m *Membership) tellAll(signed []byte) {
	b := append([]byte{messageCard}, signed...)
	for _, p := range m.sessions.Peers() {
		m.tell(p.ID, b)
	}
}

// tell sends a message to one peer, best effort.
func (m *Membership) tell(id identity.ID, b []byte) {
	addr := id.Placeholder().As16()
	n := &memberlist.Node{Name: string(id), Addr: addr[:], Port: gossip.Port}
	if err := m.gossip.SendBestEffort(n, b); err != nil {
		m.log.Debug("message not sent", "peer", id, "error", err)
	}
}
