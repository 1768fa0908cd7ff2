package session

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"caucus/cluster/identity"
)

// Manager holds the sessions of one node. Its methods may be called from many
// goroutines at once.
type Manager struct {
	cfg     Config
	id      identity.ID
	tls     *tls.Config
	ctx     context.Context // ends with Close
	cancel  context.CancelFunc
	wg      sync.WaitGroup // all goroutines, and calls of Dial and ServeHTTP
	workers workers
	refused refusals
	calls   sync.Pool // *call

	unproven atomic.Int32                          // sockets accepted and not through their handshake
	current  atomic.Pointer[map[identity.ID]*link] // the link in use for each peer; replaced, never changed

	mu      sync.Mutex // guards all below; taken before any link's
	closed  bool
	links   map[identity.ID][]*link  // every link that has not ended, in the order in which they came up
	meters  map[identity.ID]*Traffic // what those that have ended moved, and the requests for them all
	events  []func()                 // calls of OnUp and OnDown that wait
	telling bool                     // a goroutine is calling them
}

// Peer is a snapshot of a peer with a session.
type Peer struct {
	ID       identity.ID
	Hello    []byte
	Outbound bool   // this end dialled
	URL      string // the base URL that it dialled, "" if none
	Path     Path
	RTT      time.Duration // of the last keep-alive or handshake
	BytesIn  uint64
	BytesOut uint64
	Remote   string // the socket's other end; the relay's id where one passes the session on
}

// New returns a manager. It dials nobody by itself.
func New(cfg Config) (*Manager, error) {
	if cfg.Key == nil {
		return nil, errors.New("session: a manager needs a key")
	}
	cfg.setDefaults()
	config, err := tlsConfig(cfg.Key)
	if err != nil {
		return nil, err
	}
	refused, err := newRefusals()
	if err != nil {
		return nil, err
	}
	m := &Manager{cfg: cfg, id: cfg.Key.ID(), tls: config, refused: refused, links: map[identity.ID][]*link{}, meters: map[identity.ID]*Traffic{}}
	m.cfg.Log = cfg.Log.With("component", "session")
	m.ctx, m.cancel = context.WithCancel(context.Background())
	m.workers.slots = make(chan struct{}, maxWorkers)
	m.current.Store(&map[identity.ID]*link{})
	return m, nil
}

// enter counts a call in, unless the manager is closed; leave counts it out.
func (m *Manager) enter() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return ErrClosed
	}
	m.wg.Add(1)
	return nil
}

func (m *Manager) leave() { m.wg.Done() }

// tell queues a call of OnUp or OnDown; m.mu is held. One goroutine at a time
// calls them, so that they keep their order.
func (m *Manager) tell(f func(identity.ID), peer identity.ID) {
	if f == nil {
		return
	}
	m.events = append(m.events, func() { f(peer) })
	if m.telling {
		return
	}
	m.telling = true
	m.wg.Go(func() {
		for {
			m.mu.Lock()
			if len(m.events) == 0 {
				m.telling = false
				m.mu.Unlock()
				return
			}
			event := m.events[0]
			m.events = m.events[1:]
			m.mu.Unlock()
			event()
		}
	})
}

// link returns the link to use for a peer.
func (m *Manager) link(id identity.ID) (*link, error) {
	if l := (*m.current.Load())[id]; l != nil {
		return l, nil
	}
	return nil, m.gone()
}

// gone is why there is no link with a peer.
func (m *Manager) gone() error {
	if m.ctx.Err() != nil {
		return ErrClosed
	}
	return ErrNoSession
}

// Peers returns those with a live session, sorted by id.
func (m *Manager) Peers() []Peer {
	current := *m.current.Load()
	peers := make([]Peer, 0, len(current))
	for _, l := range current {
		peers = append(peers, l.snapshot())
	}
	slices.SortFunc(peers, func(a, b Peer) int { return strings.Compare(string(a.ID), string(b.ID)) })
	return peers
}

// Peer returns the peer of an id, if a session with it is up.
func (m *Manager) Peer(id identity.ID) (Peer, bool) {
	l := (*m.current.Load())[id]
	if l == nil {
		return Peer{}, false
	}
	return l.snapshot(), true
}

// Connected reports whether a session with the peer is up. It takes no lock that is held for long.
func (m *Manager) Connected(id identity.ID) bool { return (*m.current.Load())[id] != nil }

// Ask sends a question and waits for the answer, which it appends to dst. Errors:
// ErrNoSession, ErrClosed, ErrBusy, ErrTooLarge, ctx.Err(), or *RemoteError when
// the peer could not answer; dst comes back as it was. Questions and answers over
// 16 KiB travel in chunks, and may have MaxMessage bytes. ask is not used after
// Ask has returned.
func (m *Manager) Ask(ctx context.Context, id identity.ID, ask, dst []byte) ([]byte, error) {
	for range maxLinks {
		l, err := m.link(id)
		if err != nil {
			return dst, err
		}
		out, err := l.ask(ctx, ask, dst)
		if err != errElsewhere { //nolint:errorlint // never wrapped, and this path is hot
			return out, err
		}
	}
	return dst, m.gone()
}

// AskAsync sends a question and returns at once; done is told of the answer. ask
// is copied before it returns. An error (ErrNoSession, ErrClosed, ErrBusy,
// ErrTooLarge) means that done will never be called. There is no time limit but
// the caller's Cancel.
func (m *Manager) AskAsync(id identity.ID, ask []byte, done Asker) (Ticket, error) {
	for range maxLinks {
		l, err := m.link(id)
		if err != nil {
			return Ticket{}, err
		}
		t, err := l.askAsync(ask, done)
		if err != errElsewhere { //nolint:errorlint // never wrapped, and this path is hot
			return t, err
		}
	}
	return Ticket{}, m.gone()
}

// Open opens a stream of a kind to a peer. Its deadlines do not end it, and its
// Close is a half-close: what the peer still sends can be read.
func (m *Manager) Open(ctx context.Context, id identity.ID, kind StreamKind) (net.Conn, error) {
	for range maxLinks {
		l, err := m.link(id)
		if err != nil {
			return nil, err
		}
		conn, err := l.open(ctx, kind)
		if !errors.Is(err, errElsewhere) {
			return conn, err
		}
	}
	return nil, m.gone()
}

// CloseInbound ends the sessions that others dialled (after this node's URL changed).
func (m *Manager) CloseInbound(reason string) {
	for _, l := range m.all() {
		if !l.outbound {
			m.dismiss(l, errEnded, reason)
		}
	}
}

// Probe asks the other end of every session that which returns true for to show that it is
// there, and ends those that show nothing within a time much shorter than keep-alive's: for
// when something is known that makes a session likely to hang half open.
func (m *Manager) Probe(within time.Duration, which func(Peer) bool) {
	for _, l := range m.all() {
		if which(l.snapshot()) {
			l.probe(within)
		}
	}
}

// Drop ends the sessions with one peer.
func (m *Manager) Drop(id identity.ID, reason string) {
	for _, l := range m.all() {
		if l.peer == id {
			m.dismiss(l, errEnded, reason)
		}
	}
}

// dismiss says bye on a link and takes it out of use at once.
func (m *Manager) dismiss(l *link, cause error, reason string) {
	l.bye(cause, reason)
	m.mu.Lock()
	m.publish(l.peer)
	m.mu.Unlock()
}

// all returns every link.
func (m *Manager) all() []*link {
	m.mu.Lock()
	defer m.mu.Unlock()
	var all []*link
	for _, links := range m.links {
		all = append(all, links...)
	}
	return all
}

// Close ends all and waits for its goroutines, and for handlers of streams. It
// takes about a second if a peer does not hang up.
func (m *Manager) Close() error {
	m.mu.Lock()
	m.closed = true
	m.mu.Unlock()
	for _, l := range m.all() {
		m.dismiss(l, ErrClosed, "this node is shutting down")
	}
	m.cancel() // handshakes and workers
	m.wg.Wait()
	return nil
}

// String names the manager by its node.
func (m *Manager) String() string { return fmt.Sprintf("sessions of %s", m.id) }
