package cluster

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"caucus/cluster/gossip"
	"caucus/cluster/identity"
	"caucus/cluster/session"
)

// Waits between attempts to open a session.
const (
	dialWithin  = 10 * time.Second
	dialFirst   = 250 * time.Millisecond
	dialLast    = 10 * time.Second
	dialAtOnce  = 16 // background dials at one time
	inviteGrows = 1.4
)

var (
	errNoURL   = errors.New("it advertises no URL and has not dialled this node")
	errBackoff = errors.New("dialled a moment ago, to no avail")
)

// dialer opens the sessions with members by what their cards say: one attempt at a time for each, with backoff.
type dialer struct {
	m     *Membership
	slots chan struct{}

	mu    sync.Mutex // guards what follows
	peers map[identity.ID]*dialing
}

// dialing is the state of attempts to reach one member.
type dialing struct {
	done chan struct{} // closed when the present attempt ends; nil: there is none
	err  error         // of the last attempt
	wait time.Duration
	next time.Time // no attempt before
}

func newDialer(m *Membership) *dialer {
	return &dialer{m: m, slots: make(chan struct{}, dialAtOnce), peers: make(map[identity.ID]*dialing)}
}

// connect opens a session with a member unless there is one, and waits for it until ctx ends. Attempts that
// others asked for are shared. After a failure it fails at once for a while.
func (d *dialer) connect(ctx context.Context, id identity.ID) error { return d.attempt(ctx, id, false) }

// attempt is connect; with force it does not mind the backoff.
func (d *dialer) attempt(ctx context.Context, id identity.ID, force bool) error {
	if d.m.sessions.Connected(id) {
		return nil
	}
	d.mu.Lock()
	p := d.peers[id]
	if p == nil {
		p = &dialing{}
		d.peers[id] = p
	}
	done := p.done
	if done == nil {
		if !force && time.Now().Before(p.next) {
			err := p.err
			d.mu.Unlock()
			return fmt.Errorf("%w: %w", errBackoff, err)
		}
		url, err := d.m.urlOf(id)
		if err != nil {
			d.mu.Unlock()
			return err
		}
		done = make(chan struct{})
		if !d.m.run(func() { d.dial(id, url, p, done) }) {
			d.mu.Unlock()
			return ErrStopped
		}
		p.done = done
	}
	d.mu.Unlock()
	select {
	case <-done:
		d.mu.Lock()
		defer d.mu.Unlock()
		return p.err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// dial makes one attempt. It outlives the one who asked for it, since others may wait for it too.
func (d *dialer) dial(id identity.ID, url string, p *dialing, done chan struct{}) {
	err := error(nil)
	select {
	case d.slots <- struct{}{}:
		ctx, cancel := context.WithTimeout(d.m.ctx, dialWithin)
		_, err = d.m.sessions.Dial(ctx, url, id, nil)
		cancel()
		<-d.slots
	case <-d.m.ctx.Done():
		err = d.m.ctx.Err()
	}
	d.mu.Lock()
	p.err = err
	if err == nil {
		p.wait, p.next = 0, time.Time{}
	} else {
		p.wait = min(max(2*p.wait, dialFirst), dialLast)
		p.next = time.Now().Add(jitter(p.wait))
	}
	p.done = nil
	d.mu.Unlock()
	close(done)
	if err != nil && d.m.ctx.Err() == nil {
		d.m.unreachable(id, url, err)
	}
}

// reset ends a member's backoff, after it was heard from.
func (d *dialer) reset(id identity.ID) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if p := d.peers[id]; p != nil {
		p.wait, p.next = 0, time.Time{}
		if p.done == nil {
			delete(d.peers, id)
		}
	}
}

// jitter returns between three and five quarters of d.
func jitter(d time.Duration) time.Duration {
	return d*3/4 + rand.N(d/2+1)
}

// urlOf says where a member is to be dialled.
func (m *Membership) urlOf(id identity.ID) (string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	e := m.roster.entries[id]
	switch {
	case id == m.self:
		return "", session.ErrSelf
	case e == nil:
		return "", ErrNoMember
	case e.card.Leaving:
		return "", errors.New("it has left")
	case e.card.URL == "":
		return "", errNoURL
	}
	return e.card.URL, nil
}

// unreachable records why a member could not be dialled. Words of refusal are told once.
func (m *Membership) unreachable(id identity.ID, url string, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	e := m.roster.entries[id]
	if e == nil || e.connected {
		return
	}
	reason := "no session: " + explain(err)
	if e.reason == reason {
		return
	}
	e.reason = reason
	var refused *session.RefusedError
	if errors.As(err, &refused) || errors.Is(err, session.ErrIdentity) {
		m.log.Warn("member refuses a session", "member", id, "name", e.card.Name, "url", url, "error", err)
	} else {
		m.log.Debug("member not reached", "member", id, "name", e.card.Name, "url", url, "error", err)
	}
	m.publishLocked()
}

// explain cuts an error to what fits a line of a table. It does not hold what changes from one attempt to the
// next (such as ports).
func explain(err error) string {
	var refused *session.RefusedError
	switch {
	case errors.As(err, &refused):
		return printable(refused.Error(), 200)
	case errors.Is(err, context.DeadlineExceeded):
		return "no answer in time"
	case errors.Is(err, session.ErrIdentity):
		return "another node answers at its URL"
	case errors.Is(err, session.ErrSelf):
		return "its URL leads to this node"
	}
	return "its URL cannot be dialled"
}

// onUp and onDown are told by the sessions.
func (m *Membership) onUp(peer identity.ID) { m.sessionIs(peer, true) }

func (m *Membership) onDown(peer identity.ID) { m.sessionIs(peer, false) }

func (m *Membership) sessionIs(peer identity.ID, up bool) {
	if up {
		m.dialer.reset(peer)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	e := m.roster.entries[peer]
	if e == nil {
		m.kick(m.kickMaintain) // perhaps one that was forgotten and has to hear it
		return
	}
	if e.connected == up {
		return
	}
	e.connected = up
	e.lostSession = time.Time{}
	if up {
		e.reason, e.suspectUntil = "", time.Time{}
	} else if e.alive {
		e.lostSession = time.Now()
	}
	m.publishLocked()
	m.kick(m.kickMaintain)
}

// joinGossip exchanges state with a peer that has a session. memberlist ignores news of a node that it holds
// dead until that node has refuted it, and the refutation comes out of the first exchange: hence a second one.
func (m *Membership) joinGossip(id identity.ID) error {
	for range 2 {
		if m.ctx.Err() != nil {
			return ErrStopped
		}
		if _, err := m.gossip.Join([]string{gossip.JoinName(id)}); err != nil {
			return fmt.Errorf("cluster: cannot exchange state: %w", err)
		}
		m.mu.Lock()
		e := m.roster.entries[id]
		alive := e == nil || e.alive
		m.mu.Unlock()
		if alive {
			break
		}
	}
	return nil
}
