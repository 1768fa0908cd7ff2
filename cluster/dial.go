package cluster

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"time"

	"caucus/cluster/gossip"
	"caucus/cluster/identity"
	"caucus/cluster/reach"
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
	errNoURL        = errors.New("it advertises no URL and has not dialled this node")
	errRelayDown    = errors.New("there is no session with the member that relays for it")
	errRelayUnknown = errors.New("the member that relays for it is not known")
	errStranger     = errors.New("somebody else answers at its URL, or nobody does; it is not called")
	errBackoff      = errors.New("dialled a moment ago, to no avail")
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
		err = d.m.dialMember(ctx, id, url)
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
	if err == nil || d.m.ctx.Err() != nil {
		return
	}
	d.m.unreachable(id, url, err)
	if errors.Is(err, session.ErrIdentity) && d.m.wasMet(id) {
		// The member lost its key, say, and lives on at its URL as another, or somebody took its address over,
		// who may not know of this node. dialDirect sees to it that this is not tried again and again.
		ctx, cancel := context.WithTimeout(d.m.ctx, dialWithin)
		defer cancel()
		if err := d.m.joinURL(ctx, url, nil); err != nil {
			d.m.log.Debug("not joined whoever is at a member's URL", "member", id, "url", url, "error", err)
		}
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
	}
	return e.card.URL, nil // perhaps none: a relay may know it
}

// dialMember opens a session with a member by what its card says of it: to its own URL, or through a member that both
// can reach. The latter also where its own URL does not work from here, as from another network.
func (m *Membership) dialMember(ctx context.Context, id identity.ID, url string) error {
	direct := url != "" && !isVia(url, id)
	if direct {
		err := m.dialDirect(ctx, id, url)
		if err == nil || ctx.Err() != nil {
			return err
		}
		if m.throughAny(ctx, id, url) == nil {
			return nil
		}
		return err
	}
	err := m.throughAny(ctx, id, url)
	if errors.Is(err, errRelayUnknown) {
		_, err = m.sessions.Dial(ctx, url, id, nil) // as a newcomer does
	}
	return err
}

// isVia reports whether a URL of id leads through a relay.
func isVia(url string, id identity.ID) bool { return strings.HasSuffix(url, "/via/"+string(id)) }

// throughAny opens a session with a member through one of the others.
func (m *Membership) throughAny(ctx context.Context, id identity.ID, url string) error {
	relays, named := m.relaysOf(id, url)
	if len(relays) == 0 {
		switch {
		case url == "":
			return errNoURL
		case named || !isVia(url, id):
			return errRelayDown // a session with the relay is being opened, or it is gone and the member moves
		}
		return errRelayUnknown
	}
	var errs []error
	for _, relay := range relays {
		err := m.through(ctx, relay, id)
		if err == nil {
			return nil
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// dialDirect dials a member's own URL. Nobody is called again and again because a card says so: where somebody else
// answers, or nobody ever did, the next call waits.
func (m *Membership) dialDirect(ctx context.Context, id identity.ID, url string) error {
	if wait := m.strangers.Wait(url, id, time.Now()); wait > 0 {
		return fmt.Errorf("%w for %v", errStranger, wait.Round(time.Second))
	}
	_, err := m.sessions.Dial(ctx, url, id, nil)
	var other *session.IdentityError
	switch {
	case err == nil:
		m.strangers.Met(url, id, time.Now())
	case errors.As(err, &other):
		m.strangers.Met(url, other.Got, time.Now())
	case ctx.Err() == nil && !m.wasMet(id):
		m.strangers.Failed(url, time.Now())
	}
	return err
}

// straighten puts a direct session in the place of one that goes through a relay, if the member can be dialled by now.
func (m *Membership) straighten(id identity.ID) {
	url, err := m.urlOf(id)
	if err != nil || url == "" || isVia(url, id) {
		return
	}
	ctx, cancel := context.WithTimeout(m.ctx, dialWithin)
	defer cancel()
	if err := m.dialDirect(ctx, id, url); err != nil { // what there is goes on
		m.log.Debug("a relayed member has a URL of its own, which does not work from here", "member", id, "url", url, "error", err)
	}
}

// wasMet reports whether this node knows a member from more than what is told of it.
func (m *Membership) wasMet(id identity.ID) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	e := m.roster.entries[id]
	return e != nil && e.met
}

// relaysTried is how many members are asked to pass a session on.
const relaysTried = 3

// relaysOf returns the connected members that may pass a session with a hidden one on, the one that its card
// names first, and whether the one that it names is a member that this node knows.
func (m *Membership) relaysOf(id identity.ID, url string) (relays []identity.ID, named bool) {
	m.mu.Lock()
	first := m.roster.relayOf(id, url)
	m.mu.Unlock()
	for _, p := range m.sessions.Peers() {
		switch {
		case p.ID == id || relayed(p) || !m.isMember(p.ID):
		case p.ID == first:
			relays = append([]identity.ID{p.ID}, relays...)
		default:
			relays = append(relays, p.ID)
		}
	}
	return relays[:min(len(relays), relaysTried)], first != ""
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

// Blocked is said of a URL that nobody may make this node call, such as one of a private network that it is not on.
const Blocked = "its URL leads where no other node may send this one"

// undialled is said of a URL where nothing more is known.
const undialled = "its URL cannot be dialled"

// explain cuts an error to what fits a line of a table. It does not hold what changes from one attempt to the
// next (such as ports).
func explain(err error) string {
	var refused *session.RefusedError
	var instead *session.InsteadError
	switch {
	case errors.As(err, &refused):
		return printable(refused.Error(), 200)
	case errors.As(err, &instead):
		return printable(instead.Words, 200)
	case errors.Is(err, context.DeadlineExceeded):
		return "no answer in time"
	case errors.Is(err, session.ErrIdentity):
		return "another node answers at its URL"
	case errors.Is(err, session.ErrSelf):
		return "its URL leads to this node"
	case errors.Is(err, session.ErrTwin):
		return "its URL leads to another process with this node's key"
	case errors.Is(err, errNoURL), errors.Is(err, errRelayDown), errors.Is(err, errStranger):
		return printable(err.Error(), 200)
	case errors.Is(err, reach.ErrBlocked):
		return Blocked
	}
	return undialled
}

// onUp and onDown are told by the sessions.
func (m *Membership) onUp(peer identity.ID) {
	m.sessionIs(peer, true)
	m.run(func() { m.tellTokens(peer) }) // it may come back with an old one
}

func (m *Membership) onDown(peer identity.ID) {
	m.strangers.Left(peer) // where it answered somebody else may by now
	m.sessionIs(peer, false)
}

func (m *Membership) sessionIs(peer identity.ID, up bool) {
	if up {
		m.dialer.reset(peer)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if up {
		delete(m.roster.turned, peer)
	}
	e := m.roster.entries[peer]
	if e == nil {
		m.kick(m.kickMaintain) // perhaps one that was forgotten and has to hear it
		return
	}
	if e.connected == up {
		return
	}
	e.connected = up
	e.met = e.met || up
	e.lostSession = time.Time{}
	if up {
		e.reason, e.suspectUntil = "", time.Time{}
	} else if e.alive {
		e.lostSession = m.now()
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
