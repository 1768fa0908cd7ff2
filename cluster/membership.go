package cluster

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/memberlist"

	"caucus/cluster/gossip"
	"caucus/cluster/identity"
	"caucus/cluster/reach"
	"caucus/cluster/session"
)

// The rejoin loop's wait, jittered between these.
const (
	defaultRejoinMin = 8 * time.Second
	defaultRejoinMax = 12 * time.Second
)

// MaxDescription is the most bytes a description may have.
const MaxDescription = 64 << 10

// Membership is this node's part in the cluster. It is inert until Join.
//
// Locks: memberlist calls the delegates under its own lock and they take mu, so mu is never
// held while memberlist is called; nor while a session or the disk is waited for.
type Membership struct {
	cfg       Config
	log       *slog.Logger
	self      identity.ID
	timing    timing
	sessions  *session.Manager
	transport *gossip.Transport
	gossip    *memberlist.Memberlist
	store     *store
	spreader  *spreader
	dialer    *dialer
	locator   *locator
	relays    *relays
	outside   *http.Transport // to hidden members, for outsiders' requests
	strangers *reach.Strangers
	evidence  *replicator // nil: no evidence is kept
	conduct   conduct

	ctx    context.Context // ends with Shutdown
	cancel context.CancelFunc
	wg     sync.WaitGroup // all goroutines of this package; see run

	card atomic.Pointer[identity.Card] // this node's present card
	view atomic.Pointer[View]

	storageErrs atomic.Uint64 // failed writes of the roster

	told toldTokens // taken before mu

	mu         sync.Mutex // guards what follows
	roster     *roster
	url        string                 // of the card
	sequence   uint64                 // of the card
	tokens     []identity.Token       // from the configuration and invites
	rotation   rotation               // what replaced them
	changed    chan struct{}          // closed when the view is replaced
	settledAt  time.Time              // when the roster last changed
	seeds      int                    // invites that have not turned out to be this node
	invites    map[string]InviteState // by address
	joining    bool                   // Join was called
	everPeer   bool
	restored   bool        // the roster came from disk and nobody on it has been reached
	outranAt   time.Time   // when a later card of this node's own key was last answered
	outrun     []time.Time // when that was, of late; see twin.go
	twinUntil  time.Time   // another process with this node's key was seen; zero: none
	leaving    bool
	stopped    bool
	storageErr error

	kickMaintain chan struct{} // each holds one token: there is something to do
	kickAnnounce chan struct{}
	kickSave     chan struct{}
	saved        chan struct{} // closed when the saver has ended

	stopOnce sync.Once
	stopErr  error
}

// New opens the state folder and makes a membership that talks to nobody yet.
func New(cfg Config) (*Membership, error) {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.ForgetAfter == 0 {
		cfg.ForgetAfter = 15 * time.Minute
	}
	if cfg.RejoinMin == 0 {
		cfg.RejoinMin = defaultRejoinMin
	}
	if cfg.RejoinMax == 0 {
		cfg.RejoinMax = max(defaultRejoinMax, cfg.RejoinMin)
	}
	if cfg.MaxMembers == 0 {
		cfg.MaxMembers = 256
	}
	switch {
	case cfg.Key == nil:
		return nil, errors.New("cluster: no key")
	case cfg.Responder == nil:
		return nil, errors.New("cluster: no responder")
	case len(cfg.Description) > MaxDescription:
		return nil, fmt.Errorf("cluster: the description has %d bytes, the limit is %d", len(cfg.Description), MaxDescription)
	case cfg.RejoinMin < 0 || cfg.RejoinMax < cfg.RejoinMin:
		return nil, fmt.Errorf("cluster: the rejoin wait is from %v to %v; the first must be positive and not over the second", cfg.RejoinMin, cfg.RejoinMax)
	case cfg.MaxMembers < 1 || cfg.MaxMembers > 256:
		return nil, fmt.Errorf("cluster: the limit of %d members; it must be 1 to 256", cfg.MaxMembers)
	}
	timing, err := timings(cfg.Profile, cfg.TimeScale)
	if err != nil {
		return nil, err
	}
	m := &Membership{
		cfg: cfg, log: cfg.Log.With("component", "cluster"), self: cfg.Key.ID(), timing: timing,
		url: cfg.URL, tokens: cfg.Tokens,
		changed:      make(chan struct{}),
		settledAt:    cfg.Now(),
		kickMaintain: make(chan struct{}, 1),
		kickAnnounce: make(chan struct{}, 1),
		kickSave:     make(chan struct{}, 1),
		saved:        make(chan struct{}),
	}
	m.roster = newRoster(m.self, cfg.MaxMembers)
	m.ctx, m.cancel = context.WithCancel(context.Background())
	if err := m.start(); err != nil {
		m.cancel()
		m.wg.Wait()
		return nil, err
	}
	return m, nil
}

// start opens what New must open, in the order in which things need one another, and closes it again on failure.
func (m *Membership) start() (err error) {
	if m.store, err = openStore(m.cfg.StateDir, m.log); err != nil {
		return err
	}
	undo := []func(){}
	defer func() {
		if err != nil {
			for i := len(undo) - 1; i >= 0; i-- {
				undo[i]()
			}
		}
	}()
	if m.store != nil {
		undo = append(undo, func() { m.store.close() })
		m.restore(m.store.last)
	}
	m.told.tokens = m.Tokens()
	if err = m.openEvidence(); err != nil {
		return err
	}
	if m.evidence != nil {
		undo = append(undo, func() { m.evidence.log.Close() })
	}
	// The first card is signed before anything runs, so that a bad name or URL is an error of New. The
	// sequence rises across restarts even if the file was lost, or was behind when the process was
	// killed: it is never below the Unix time, in microseconds so that a restart at once has a later one.
	m.sequence = max(m.sequence, uint64(m.now().UnixMicro()))
	if err := m.signLocked(false); err != nil {
		return fmt.Errorf("cluster: %w", err)
	}
	if m.store != nil {
		if err := m.store.write(m.savedLocked()); err != nil {
			return err
		}
	}
	m.locator = newLocator(m)
	undo = append(undo, m.locator.chooser.Close)
	if m.cfg.URL != "" {
		if err := m.locator.chooser.Set(reach.FromFlag, m.cfg.URL); err != nil {
			return fmt.Errorf("cluster: %w", err)
		}
		choice, _ := m.locator.chooser.Current()
		m.locator.turn = choice.Turn // it is on the first card
	}
	m.strangers = reach.NewStrangers()
	m.relays = newRelays(m)
	m.outside = m.relays.transport()
	m.sessions, err = session.New(session.Config{
		Key: m.cfg.Key, Tokens: m.tokensFor,
		Hello: m.hello, OnHello: m.onHello,
		Responder: m.cfg.Responder, OnStream: m.onStream, OnStranger: m.stranger, OnUp: m.onUp, OnDown: m.onDown, OnTwin: m.twinMet, OnTwins: m.twinned,
		DialContext: m.dialContext, Explain: explainPage,
		HandshakeTimeout: m.timing.handshake, KeepAlive: m.timing.keepAlive,
		Log: m.cfg.Log,
	})
	if err != nil {
		return err
	}
	undo = append(undo, func() { m.sessions.Close() })
	m.dialer = newDialer(m)
	m.transport = gossip.New(gossip.Config{Self: m.self, Sessions: m.sessions, Connect: m.dialer.connect, Malformed: m.malformed, Log: m.cfg.Log})
	m.spreader = newSpreader(m)
	c := gossipConfig(m.cfg.Profile, m.timing)
	d := &delegate{m}
	c.Name = string(m.self)
	c.Transport = m.transport
	if m.cfg.transport != nil {
		c.Transport = m.cfg.transport(m.transport)
	}
	c.Delegate, c.Events, c.Alive, c.Ping, c.Conflict = d, d, d, d, d
	c.Logger = gossip.NewLogger(m.cfg.Log, m.observeGossip)
	if m.gossip, err = memberlist.Create(c); err != nil {
		return fmt.Errorf("cluster: cannot start gossip: %w", err)
	}
	m.mu.Lock()
	m.publishLocked()
	m.mu.Unlock()
	m.run(m.announceLoop)
	m.run(m.spreader.deliver)
	m.run(m.maintain)
	m.run(m.locator.follow)
	if m.evidence != nil {
		m.run(m.evidence.work)
	}
	go m.saveLoop() // ends after all others, so it is not counted among them
	return nil
}

func (m *Membership) now() time.Time { return m.cfg.Now() }

// run starts a goroutine that Shutdown waits for. It does nothing after Shutdown.
func (m *Membership) run(f func()) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.stopped {
		return false
	}
	m.wg.Go(f)
	return true
}

// Handler is GET /gossip. Mount it before Join.
func (m *Membership) Handler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if m.cfg.ThisMachineOnly && session.Forwarded(r.Header) && len(m.Tokens()) == 0 {
			m.sessions.Refuse(w, r, http.StatusForbidden, "this node has no token to tell friends from strangers, and a tunnel leads to it: start it again, and it makes one")
			return
		}
		m.observeInbound(r)
		m.sessions.ServeHTTP(w, r)
	})
}

// Join starts gossip and dials the invites in the background, each retried for
// ever with backoff, in any order; one that turns out to be this node is dropped.
// It returns at once. When ctx ends, invites are no longer dialled.
func (m *Membership) Join(ctx context.Context, invites []identity.Invite) error {
	m.mu.Lock()
	if m.stopped || m.leaving {
		m.mu.Unlock()
		return ErrStopped
	}
	m.joining = true
	m.seeds += len(invites)
	if m.cfg.MDNS {
		m.seeds++
	}
	for _, inv := range invites {
		if inv.Token != nil {
			m.addTokenLocked(*inv.Token)
		}
	}
	m.aloneLocked()
	m.publishLocked()
	m.mu.Unlock()
	for _, inv := range invites {
		m.run(func() { m.invite(ctx, inv) })
	}
	if m.cfg.MDNS {
		m.run(m.nearby)
	}
	if !m.cfg.NoRejoin {
		m.run(m.rejoin)
	}
	m.kick(m.kickMaintain)
	return nil
}

// addTokenLocked makes the token of an invite the first, for it is the token of the cluster that
// this node means to talk to; its own stay good for those who come to it.
func (m *Membership) addTokenLocked(t identity.Token) {
	tokens := []identity.Token{t}
	for _, own := range m.tokens {
		if own != t {
			tokens = append(tokens, own)
		}
	}
	m.tokens = tokens
}

// aloneLocked lets a node that has nobody to ask begin the roster by itself.
func (m *Membership) aloneLocked() {
	if m.joining && m.seeds == 0 && !m.restored {
		m.roster.synced = true
	}
}

// Ask puts a question to a member on its session (see session.Manager.Ask).
func (m *Membership) Ask(ctx context.Context, id identity.ID, ask, dst []byte) ([]byte, error) {
	return m.sessions.Ask(ctx, id, ask, dst)
}

// AskAsync puts a question to a member and returns at once (see session.Manager.AskAsync).
func (m *Membership) AskAsync(id identity.ID, ask []byte, done session.Asker) (session.Ticket, error) {
	return m.sessions.AskAsync(id, ask, done)
}

// Traffic returns what passed between this node and each peer since the start (see session.Manager.Traffic).
func (m *Membership) Traffic() map[identity.ID]session.Traffic { return m.sessions.Traffic() }

// Sessions returns the peers with a live session, sorted by id.
func (m *Membership) Sessions() []session.Peer { return m.sessions.Peers() }

// SetURL changes the URL that a person has given this node, and advertises it.
func (m *Membership) SetURL(url string) error {
	if err := m.locator.chooser.Set(reach.FromFlag, url); err != nil {
		return err
	}
	return m.locator.apply()
}

// Forget takes failed members out of the roster, here and at every node that hears of it.
// A member that lives after all comes back by itself. On an error none was taken out.
func (m *Membership) Forget(ids ...identity.ID) error {
	m.mu.Lock()
	if m.stopped {
		m.mu.Unlock()
		return ErrStopped
	}
	for _, id := range ids {
		e := m.roster.entries[id]
		var err error
		switch {
		case e == nil:
			err = fmt.Errorf("%w: %q", ErrNoMember, id)
		case id == m.self:
			err = errors.New("cluster: a node cannot forget itself; stop it instead")
		case e.state == Alive || e.state == Suspect:
			err = fmt.Errorf("cluster: %s is %v and would come back at once; stop it first, or wait until it has failed", e.card.Name, e.state)
		}
		if err != nil {
			m.mu.Unlock()
			return err
		}
	}
	for _, id := range ids {
		m.forgetLocked(m.roster.entries[id], "a person said so")
	}
	// Whoever says this of the last who counted lets a waiting newcomer begin anew.
	m.roster.unfound()
	m.publishLocked()
	m.mu.Unlock()
	return nil
}

// forgetLocked takes a member out and tells the others.
func (m *Membership) forgetLocked(e *entry, why string) {
	id, sequence := e.card.ID, e.card.Sequence
	m.log.Info("member forgotten", "member", id, "name", e.card.Name, "why", why)
	m.roster.forget(id, sequence, m.now())
	delete(m.roster.entries, id) // also one that left and would stay on show
	m.spreader.tombstone(id, sequence)
}

// kick puts the token into a channel that holds one.
func (m *Membership) kick(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
