package cluster

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"caucus/cluster/identity"
	"caucus/cluster/session"
)

// Relaying: a member that cannot be dialled is reached through one that it has a session with.
// A StreamRelay stream begins with what is wanted:
//
//	[version u8 = 1][want u8]                  and for relayPass [id, 32 characters]
//	relayPass      a member to a relay: pass this stream on to the member of that id
//	relaySession   a relay to the member: somebody wants a session; it is about to do TLS
//	relayHTTP      a relay to the member: an outsider's request, in HTTP/1.1
//
// and with the answer, [0] or [1][length u8][why not], from the relay where it refuses and else
// from the member behind it. What follows is passed on as it is. A session inside is between
// its two ends: TLS and the proof of the token are theirs, and the relay sees neither.
const (
	relayVersion = 1

	relayPass    = 1
	relaySession = 2
	relayHTTP    = 3

	relayTaken   = 0
	relayRefused = 1

	relayWithin = 5 * time.Second // from opening a stream to its answer
)

// What one relay passes on, at most.
const (
	maxSplices   = 256      // streams at once, for members
	maxSplicesOf = 64       // of these, from or to one member
	maxOutside   = 64       // connections of newcomers and outsiders' requests at once
	relayRate    = 4 << 20  // bytes a second to and from one hidden member
	relayBurst   = 1 << 20  // and at once
	relayBuffer  = 16 << 10 // read and passed on at once
)

// ErrNotRelayed says that this node cannot pass anything on to a member.
var ErrNotRelayed = errors.New("cluster: no member of that id is connected to this node")

// relays is what this node passes on for others.
type relays struct {
	m       *Membership
	inbound chan net.Conn // outsiders' requests that came through a relay, for Relayed

	mu      sync.Mutex // guards all below
	splices int
	outside int
	of      map[identity.ID]*carried
}

// carried is a member for which something is passed on at the moment.
type carried struct {
	streams int
	limit   *rate.Limiter
}

func newRelays(m *Membership) *relays {
	return &relays{m: m, inbound: make(chan net.Conn), of: make(map[identity.ID]*carried)}
}

// serve answers a StreamRelay stream that a peer opened. It owns conn.
func (r *relays) serve(peer identity.ID, conn net.Conn) {
	conn = bothWays{conn}
	_ = conn.SetDeadline(time.Now().Add(relayWithin)) // never fails
	var head [2]byte
	if _, err := io.ReadFull(conn, head[:]); err != nil {
		conn.Close()
		return
	}
	if head[0] != relayVersion {
		r.refuse(conn, fmt.Sprintf("this node relays in version %d only", relayVersion))
		return
	}
	switch head[1] {
	case relayPass:
		r.pass(peer, conn)
	case relaySession, relayHTTP:
		// Only a member may bring anybody here; a session that is not of one does not last, but may be up for a moment.
		if !r.m.isMember(peer) {
			r.refuse(conn, "only members relay")
			return
		}
		if head[1] == relaySession {
			r.session(peer, conn)
		} else {
			r.http(conn)
		}
	default:
		r.refuse(conn, "this node does not know what is wanted of it")
	}
}

// pass passes a member's stream on to another member.
func (r *relays) pass(peer identity.ID, conn net.Conn) {
	var to [idBytes]byte
	if _, err := io.ReadFull(conn, to[:]); err != nil {
		conn.Close()
		return
	}
	id, err := identity.ParseID(string(to[:]))
	switch {
	case err != nil:
		r.refuse(conn, "that is no node's id")
		return
	case !r.m.isMember(peer):
		r.refuse(conn, "this node relays for members only")
		return
	case id == peer:
		r.refuse(conn, "that is your own id")
		return
	}
	done, err := r.take(peer, id, false)
	if err != nil {
		r.refuse(conn, err.Error())
		return
	}
	defer done()
	onward, err := r.open(r.m.ctx, id, relaySession)
	if err != nil {
		r.m.log.Debug("a member's stream could not be passed on", "from", peer, "to", id, "error", err)
		r.refuse(conn, "the member does not answer")
		return
	}
	r.m.log.Debug("passing a session on", "from", peer, "to", id)
	r.splice(conn, onward, id)
}

// session takes a session that comes through a relay.
func (r *relays) session(relay identity.ID, conn net.Conn) {
	if _, err := conn.Write([]byte{relayTaken}); err != nil {
		conn.Close()
		return
	}
	_ = conn.SetDeadline(time.Time{})
	if err := r.m.sessions.Accept(r.m.ctx, conn); err != nil {
		r.m.log.Debug("no session came of a relayed stream", "relay", relay, "error", err)
	}
}

// http hands an outsider's request to whoever serves Relayed.
func (r *relays) http(conn net.Conn) {
	if _, err := conn.Write([]byte{relayTaken}); err != nil {
		conn.Close()
		return
	}
	_ = conn.SetDeadline(time.Time{})
	timer := time.NewTimer(relayWithin)
	defer timer.Stop()
	select {
	case r.inbound <- conn:
	case <-timer.C: // nobody serves it
		conn.Close()
	case <-r.m.ctx.Done():
		conn.Close()
	}
}

func (r *relays) refuse(conn net.Conn, why string) {
	why = why[:min(len(why), 255)]
	_, _ = conn.Write(append([]byte{relayRefused, byte(len(why))}, why...)) // it is closed either way
	conn.Close()
}

// take counts one more stream in, or says why it is not passed on. from is "" for outsiders.
func (r *relays) take(from, to identity.ID, outside bool) (done func(), err error) {
	if !r.m.carriesNow(to) {
		return nil, ErrNotRelayed
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	all, limit := &r.splices, maxSplices
	if outside {
		all, limit = &r.outside, maxOutside
	}
	if *all >= limit {
		return nil, errors.New("cluster: this relay has too much to pass on; try again in some seconds")
	}
	ends := []identity.ID{to}
	if from != "" {
		ends = append(ends, from)
	}
	for _, id := range ends {
		if c := r.of[id]; c != nil && c.streams >= maxSplicesOf {
			return nil, errors.New("cluster: this relay has too much to pass on for one member; try again in some seconds")
		}
	}
	for _, id := range ends {
		c := r.of[id]
		if c == nil {
			c = &carried{limit: rate.NewLimiter(relayRate, relayBurst)}
			r.of[id] = c
		}
		c.streams++
	}
	*all++
	return func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		*all--
		for _, id := range ends {
			if r.of[id].streams--; r.of[id].streams == 0 {
				delete(r.of, id)
			}
		}
	}, nil
}

// open opens a StreamRelay stream to a peer with something wanted of it.
func (r *relays) open(ctx context.Context, peer identity.ID, want byte, rest ...byte) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, relayWithin)
	defer cancel()
	conn, err := r.m.sessions.Open(ctx, peer, session.StreamRelay)
	if err != nil {
		return nil, err
	}
	conn = bothWays{conn}
	_ = conn.SetDeadline(time.Now().Add(relayWithin))
	if _, err := conn.Write(append([]byte{relayVersion, want}, rest...)); err != nil {
		conn.Close()
		return nil, err
	}
	_ = conn.SetDeadline(time.Time{})
	return conn, nil
}

// answered reads the answer to what open asked for, and closes conn if it is no.
func answered(conn net.Conn) error {
	_ = conn.SetReadDeadline(time.Now().Add(relayWithin))
	var status [1]byte
	_, err := io.ReadFull(conn, status[:])
	if err == nil && status[0] != relayTaken {
		var n [1]byte
		if _, err = io.ReadFull(conn, n[:]); err == nil {
			why := make([]byte, n[0])
			if _, err = io.ReadFull(conn, why); err == nil {
				err = errors.New(printable(string(why), 200))
			}
		}
	}
	if err != nil {
		conn.Close()
		return err
	}
	_ = conn.SetReadDeadline(time.Time{})
	return nil
}

// through opens a session with a member through a relay.
func (m *Membership) through(ctx context.Context, relay, id identity.ID) error {
	conn, err := m.relays.open(ctx, relay, relayPass, []byte(id)...)
	if err != nil {
		return err
	}
	if err := answered(conn); err != nil {
		return fmt.Errorf("cluster: the relay %s did not pass a session on: %w", relay.Short(), err)
	}
	_, err = m.sessions.DialOver(ctx, conn, id, nil)
	return err
}

// splice passes on what comes on either connection to the other until one ends, and closes both.
func (r *relays) splice(a, b net.Conn, to identity.ID) {
	_ = a.SetDeadline(time.Time{})
	r.mu.Lock()
	limit := r.of[to].limit
	r.mu.Unlock()
	ctx, cancel := context.WithCancel(r.m.ctx)
	defer cancel()
	var both sync.WaitGroup
	for _, way := range []struct{ from, to net.Conn }{{a, b}, {b, a}} {
		both.Go(func() {
			defer cancel()
			passOn(ctx, way.to, way.from, limit)
		})
	}
	<-ctx.Done()
	// What one end said last is on its way to the other, whose Close lets it pass: a stream's is a half-close.
	a.Close()
	b.Close()
	both.Wait()
}

// passOn copies until an end, at the pace of the limit.
func passOn(ctx context.Context, to io.Writer, from io.Reader, limit *rate.Limiter) {
	buf := make([]byte, relayBuffer)
	for {
		n, err := from.Read(buf)
		if n > 0 {
			if limit.WaitN(ctx, n) != nil {
				return
			}
			if _, err := to.Write(buf[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

// bothWays is a stream whose Close closes both ways at once, as everybody but yamux has it.
type bothWays struct{ net.Conn }

func (w bothWays) Close() error {
	_ = w.Conn.SetDeadline(time.Unix(1, 0)) // let whoever reads or writes go
	return w.Conn.Close()
}

// isMember reports whether the node of an id is on the roster and has not left.
func (m *Membership) isMember(id identity.ID) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	e := m.roster.entries[id]
	return e != nil && !e.card.Leaving
}

// carriesNow reports whether this node has a session with a member that goes through no other: relays do not chain.
func (m *Membership) carriesNow(id identity.ID) bool {
	if !m.isMember(id) {
		return false
	}
	p, ok := m.sessions.Peer(id)
	return ok && !relayed(p)
}

// relayed reports whether a session goes through a relay, whose id is then the address of its other end.
func relayed(p session.Peer) bool {
	_, err := identity.ParseID(p.Remote)
	return err == nil
}
