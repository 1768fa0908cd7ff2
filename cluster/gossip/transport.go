package gossip

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/memberlist"

	"caucus/cluster/identity"
	"caucus/cluster/session"
)

// Limits. A packet is a datagram in spirit, so a long one is a fault of the sender; a
// stream carries at most a whole push/pull state.
const (
	// MaxPacket is the most bytes one packet may have.
	MaxPacket = 16 << 10
	// MaxStream is the most bytes that are read from one of memberlist's streams.
	MaxStream = 1 << 20

	queueLength = 256              // packets that may wait for one peer
	batchBytes  = 32 << 10         // packets written at once
	writeWithin = 5 * time.Second  // then the stream is given up
	openWithin  = 5 * time.Second  // for opening a stream on a session that is up
	idleWriter  = 60 * time.Second // a writer with nothing to send ends after this
)

// ErrClosed is returned by dials after Shutdown.
var ErrClosed = errors.New("gossip: the transport is shut down")

// Config says whose transport it is. All but Log is needed.
type Config struct {
	Self     identity.ID
	Sessions Sessions
	// Connect opens a session with a peer, if there is none, or says why it cannot. It
	// is called from goroutines of the transport, for one peer at a time, and returns
	// soon after ctx ends.
	Connect func(ctx context.Context, id identity.ID) error
	// Malformed is told of a peer's packet that cannot be one; nil: nobody is. It must not block.
	Malformed func(peer identity.ID, what string)
	Log       *slog.Logger // nil: discard
}

// Transport implements memberlist.NodeAwareTransport. Streams that peers open
// are given to it with HandleStream.
type Transport struct {
	cfg    Config
	log    *slog.Logger
	ctx    context.Context // ends with Shutdown
	cancel context.CancelFunc

	packets chan *memberlist.Packet
	streams chan net.Conn

	mu      sync.Mutex // guards what follows
	closed  bool
	writers map[identity.ID]*writer
	conns   map[net.Conn]struct{} // to close at Shutdown
	wg      sync.WaitGroup        // writers, readers and connects; added to only under mu while not closed

	sent, received, dropped atomic.Uint64
}

var _ memberlist.NodeAwareTransport = (*Transport)(nil)

// New returns a transport. It holds no goroutine until it is used.
func New(cfg Config) *Transport {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Malformed == nil {
		cfg.Malformed = func(identity.ID, string) {}
	}
	ctx, cancel := context.WithCancel(context.Background())
	return &Transport{
		cfg: cfg, log: cfg.Log.With("component", "gossip"), ctx: ctx, cancel: cancel,
		packets: make(chan *memberlist.Packet),
		streams: make(chan net.Conn),
		writers: make(map[identity.ID]*writer),
		conns:   make(map[net.Conn]struct{}),
	}
}

// Stats counts packets since the start.
type Stats struct{ Sent, Received, Dropped uint64 }

// Stats returns the counts.
func (t *Transport) Stats() Stats {
	return Stats{Sent: t.sent.Load(), Received: t.received.Load(), Dropped: t.dropped.Load()}
}

// FinalAdvertiseAddr returns this node's placeholder, whatever is configured.
func (t *Transport) FinalAdvertiseAddr(string, int) (net.IP, int, error) {
	return t.cfg.Self.Placeholder().AsSlice(), Port, nil
}

// WriteTo drops the packet: without a name nobody is addressed. memberlist calls it
// only for transports that know no names.
func (t *Transport) WriteTo([]byte, string) (time.Time, error) {
	t.dropped.Add(1)
	return time.Now(), nil
}

// WriteToAddress queues a copy of the packet for the node of that name. It never
// blocks and its error is always nil; see the package comment.
func (t *Transport) WriteToAddress(b []byte, to memberlist.Address) (time.Time, error) {
	now := time.Now()
	id, err := identity.ParseID(to.Name)
	switch {
	case err != nil:
		t.dropped.Add(1)
		t.log.Debug("packet to an unknown kind of name dropped", "error", err)
		return now, nil
	case len(b) == 0 || len(b) > MaxPacket:
		t.dropped.Add(1)
		t.log.Warn("packet of unusable size dropped", "bytes", len(b), "limit", MaxPacket)
		return now, nil
	}
	w := t.writer(id)
	if w == nil { // shut down
		return now, nil
	}
	packet := make([]byte, len(b))
	copy(packet, b)
	select {
	case w.queue <- packet:
	default:
		t.dropped.Add(1)
	}
	return now, nil
}

// DialTimeout fails: without a name nobody is addressed.
func (t *Transport) DialTimeout(addr string, _ time.Duration) (net.Conn, error) {
	return nil, fmt.Errorf("gossip: %s is a placeholder and cannot be dialled without a node's name", addr)
}

// DialAddressTimeout opens one of memberlist's streams to the node of that name,
// and a session first if there is none.
func (t *Transport) DialAddressTimeout(to memberlist.Address, timeout time.Duration) (net.Conn, error) {
	id, err := identity.ParseID(to.Name)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(t.ctx, timeout)
	defer cancel()
	if !t.cfg.Sessions.Connected(id) {
		if err := t.cfg.Connect(ctx, id); err != nil {
			return nil, err
		}
	}
	conn, err := t.cfg.Sessions.Open(ctx, id, session.StreamGossip)
	if err != nil {
		return nil, err
	}
	return t.wrap(id, conn)
}

// PacketCh implements memberlist.Transport.
func (t *Transport) PacketCh() <-chan *memberlist.Packet { return t.packets }

// StreamCh implements memberlist.Transport.
func (t *Transport) StreamCh() <-chan net.Conn { return t.streams }

// HandleStream takes a StreamPackets or StreamGossip stream that a peer opened and
// owns it from then on. It blocks while packets arrive on it.
func (t *Transport) HandleStream(peer identity.ID, kind session.StreamKind, conn net.Conn) {
	switch kind {
	case session.StreamPackets:
		if !t.enter(conn) {
			conn.Close()
			return
		}
		defer t.wg.Done()
		defer t.forget(conn)
		t.readPackets(peer, conn)
	case session.StreamGossip:
		wrapped, err := t.wrap(peer, conn)
		if err != nil {
			return
		}
		select {
		case t.streams <- wrapped:
		case <-t.ctx.Done():
			wrapped.Close()
		}
	default:
		t.cfg.Malformed(peer, "a stream of another kind")
		conn.Close()
	}
}

// Shutdown closes all streams and waits for the transport's goroutines.
// memberlist calls it before it stops its own.
func (t *Transport) Shutdown() error {
	t.mu.Lock()
	t.closed = true
	t.cancel()
	conns := t.conns
	t.conns = make(map[net.Conn]struct{})
	t.mu.Unlock()
	for c := range conns {
		// A close alone is a half-close: a read would wait on for what the peer still sends.
		c.SetDeadline(time.Unix(1, 0))
		c.Close()
	}
	t.wg.Wait()
	return nil
}

// enter counts a goroutine in and remembers its conn for Shutdown (conn may be nil). It reports false
// after Shutdown.
func (t *Transport) enter(conn net.Conn) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return false
	}
	t.wg.Add(1)
	if conn != nil {
		t.conns[conn] = struct{}{}
	}
	return true
}

// remember keeps a conn to be closed at Shutdown; it reports false after Shutdown.
func (t *Transport) remember(conn net.Conn) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return false
	}
	t.conns[conn] = struct{}{}
	return true
}

// forget closes a conn and drops it from those that Shutdown closes.
func (t *Transport) forget(conn net.Conn) error {
	t.mu.Lock()
	delete(t.conns, conn)
	t.mu.Unlock()
	return conn.Close()
}
