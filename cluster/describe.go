package cluster

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"time"

	"caucus/cluster/identity"
	"caucus/cluster/session"
)

// describeWithin bounds the fetching of one description.
const describeWithin = 5 * time.Second

// onStream takes a stream that a peer opened.
func (m *Membership) onStream(peer identity.ID, kind session.StreamKind, conn net.Conn) {
	switch kind {
	case session.StreamPackets, session.StreamGossip:
		m.transport.HandleStream(peer, kind, conn)
	case session.StreamDescribe:
		m.describe(conn)
	case session.StreamRelay:
		m.relays.serve(peer, conn)
	case session.StreamTwin:
		conn.Close()
		m.twinMet("told by " + string(peer))
	case session.StreamTokens:
		m.hearTokens(peer, conn)
	case session.StreamRemoval:
		m.hearRemoval(peer, conn)
	case session.StreamDialBack:
		m.locator.serve(peer, conn)
	case session.StreamCheck:
		m.answerCheck(peer, conn)
	case session.StreamEvidence:
		if m.evidence == nil {
			conn.Close()
			return
		}
		m.evidence.serve(peer, conn)
	default:
		m.log.Debug("stream of an unknown kind closed", "peer", peer, "kind", byte(kind))
		conn.Close()
	}
}

// Describe replaces this node's description and advertises that there is a new one. b must not be
// changed afterwards.
func (m *Membership) Describe(b []byte) error {
	if len(b) > MaxDescription {
		return fmt.Errorf("cluster: the description has %d bytes, the limit is %d", len(b), MaxDescription)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.stopped || m.leaving {
		return ErrStopped
	}
	if bytes.Equal(m.cfg.Description, b) {
		return nil
	}
	old := m.cfg.Description
	m.cfg.Description = b
	if err := m.signLocked(false); err != nil { // the others fetch it when they see a newer card
		m.cfg.Description = old
		return fmt.Errorf("cluster: %w", err)
	}
	m.publishLocked()
	m.kick(m.kickAnnounce)
	return nil
}

// describe answers with this node's description: its length as a u32, then itself.
func (m *Membership) describe(conn net.Conn) {
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(describeWithin))
	m.mu.Lock()
	about := m.cfg.Description // replaced by Describe, never changed
	m.mu.Unlock()
	b := binary.BigEndian.AppendUint32(make([]byte, 0, 4+len(about)), uint32(len(about)))
	if _, err := conn.Write(append(b, about...)); err != nil {
		m.log.Debug("description not sent", "error", err)
	}
}

// fetchDescription fetches a member's description and keeps it with the sequence of the card known before.
func (m *Membership) fetchDescription(id identity.ID) {
	m.mu.Lock()
	e := m.roster.entries[id]
	if e == nil {
		m.mu.Unlock()
		return
	}
	sequence := e.card.Sequence
	m.mu.Unlock()
	b, err := m.askDescription(id)
	m.mu.Lock()
	defer m.mu.Unlock()
	if e = m.roster.entries[id]; e == nil {
		return
	}
	if err != nil {
		m.log.Debug("no description", "member", id, "error", err)
		e.nextDescribeAt = m.now().Add(jitter(e.describeWait))
		return
	}
	e.description, e.describedBy = b, sequence
	e.describeWait, e.nextDescribeAt = 0, time.Time{}
	m.publishLocked()
}

func (m *Membership) askDescription(id identity.ID) ([]byte, error) {
	ctx, cancel := context.WithTimeout(m.ctx, describeWithin)
	defer cancel()
	conn, err := m.sessions.Open(ctx, id, session.StreamDescribe)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(describeWithin))
	var head [4]byte
	if _, err := io.ReadFull(conn, head[:]); err != nil {
		return nil, err
	}
	n := binary.BigEndian.Uint32(head[:])
	if n > MaxDescription {
		return nil, fmt.Errorf("cluster: a description of %d bytes; the limit is %d", n, MaxDescription)
	}
	b := make([]byte, n)
	if _, err := io.ReadFull(conn, b); err != nil {
		return nil, err
	}
	return b, nil
}
