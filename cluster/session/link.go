package session

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/yamux"

	"caucus/cluster/identity"
)

// link is one session: a connection that is through its handshake, and what
// goes on on it. Its goroutines: one reads, one writes what is queued, one keeps
// it alive, one accepts streams, and two belong to yamux.
type link struct {
	m        *Manager
	peer     identity.ID
	hello    []byte
	outbound bool   // this end dialled
	url      string // the base URL that it dialled, if it was one
	path     Path
	conn     net.Conn // TLS; the reader alone reads
	base     *countedConn
	process  []byte // the peer's certificate, which each of its processes makes anew
	rtt      atomic.Int64

	ctx  context.Context // ends with the link
	stop context.CancelFunc
	shut chan struct{} // closed when the link has ended, before its goroutines are gone
	once sync.Once     // for the end

	heard  atomic.Bool   // something was received since the last tick of keep-alive
	used   atomic.Bool   // something but keep-alive went in or out since then
	read   atomic.Uint32 // bytes of frames received and dealt with, modulo 2^32
	faster chan struct{} // tells keep-alive that the link is being drained

	scan    frameScanner // the reader's
	answers []byte       // the reader's: answers not yet written
	joint   jointAsks    // the reader's: questions to be answered together

	yamux *yamux.Session
	mux   *muxConn

	mu       sync.Mutex // guards all below; held for copying a frame or two, never over I/O
	ended    error      // why the link has ended; nil while it lives
	leaving  error      // why this end said bye; nothing is queued after that
	pending  map[uint64]*call
	alone    int // questions in a row that were the only one when they were asked, to aloneBefore
	lastID   uint64
	jobs     map[uint64]*job // the peer's questions that are with workers or not all here yet
	claimed  int             // bytes that the peer's unfinished questions will have
	queue    queue           // what is to be written
	drain    drainage        // how far merging has come
	pingSent time.Time       // of the ping that waits for its pong
	pingID   uint64
}

// errEnded begins the cause of every end that this node chose.
var errEnded = errors.New("the session was ended here")

// byeTimeout is how long a peer may take to hang up after bye.
const byeTimeout = time.Second

// newLink makes a link of a finished handshake. start sets it going.
func (m *Manager) newLink(g *greeting, outbound bool, p Path) *link {
	l := &link{
		m: m, peer: g.peer, hello: g.hello, outbound: outbound, path: p, process: g.process, conn: g.conn, base: g.base,
		shut: make(chan struct{}), faster: make(chan struct{}, 1),
		pending: map[uint64]*call{}, jobs: map[uint64]*job{},
	}
	l.rtt.Store(int64(g.rtt))
	l.ctx, l.stop = context.WithCancel(m.ctx)
	l.queue.wake = make(chan struct{}, 1)
	l.mux = newMuxConn(l)
	return l
}

// start runs the link's goroutines; m.mu is held and m is not closed.
func (l *link) start() error {
	if err := l.startMux(); err != nil {
		return err
	}
	for _, run := range []func(){l.readLoop, l.writeLoop, l.keepAlive, l.acceptStreams} {
		l.m.wg.Go(run)
	}
	return nil
}

// end ends the link at once: every question still out fails with the cause, and
// the goroutines return soon after. It may be called from any of them, not under a lock.
func (l *link) end(cause error) {
	l.once.Do(func() {
		// Counted before anything lets the link's other goroutines go, so that
		// Close cannot have stopped waiting.
		l.m.wg.Add(1)
		l.mu.Lock()
		if l.leaving != nil {
			cause = l.leaving // the peer hung up because it was told to
		}
		l.ended = cause
		pending := l.pending
		l.pending, l.jobs, l.queue.bulk = nil, nil, nil
		l.mu.Unlock()
		l.stop()
		close(l.shut)
		gone := goneError(cause)
		for id, c := range pending {
			if c.asker == nil {
				c.done <- gone
				delete(pending, id)
			}
		}
		l.m.unregister(l, cause)
		go func() { // closing waits for whoever is in Read or Write, which may be the caller
			defer l.m.wg.Done()
			for _, c := range pending { // not on the caller, who may hold what an Asker wants
				c.finish(gone)
			}
			_ = l.base.Close()
			l.mux.shut()
			_ = l.yamux.Close()
		}()
	})
}

// goneError is what Ask and Open return when the link has ended.
func goneError(cause error) error {
	if errors.Is(cause, ErrClosed) {
		return ErrClosed
	}
	return fmt.Errorf("%w: %v", ErrNoSession, cause)
}

// bye tells the peer why and ends the link as soon as the peer has hung up, or
// after byeTimeout. (To hang up first could reset the connection and lose the words.)
func (l *link) bye(cause error, reason string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ended != nil || l.leaving != nil {
		return
	}
	l.queueFrame(frameBye, []byte(printable([]byte(reason))))
	l.leaving = fmt.Errorf("%w: %s", cause, reason)
	time.AfterFunc(byeTimeout, func() { l.end(cause) })
}

// snapshot is what Peers shows of the link.
func (l *link) snapshot() Peer {
	return Peer{
		ID: l.peer, Hello: l.hello, Outbound: l.outbound, URL: l.url, Path: l.path, RTT: time.Duration(l.rtt.Load()),
		BytesIn: l.base.in.Load(), BytesOut: l.base.out.Load(), Remote: l.base.RemoteAddr().String(),
	}
}

// countedConn counts what passes, TLS and all.
type countedConn struct {
	net.Conn
	in, out atomic.Uint64
	limit   uint64 // of bytes in, while the peer is a stranger; 0: none. The reader's
}

// maxUnproven is how many bytes a peer may send before its proof and hello are
// judged. It needs 1 KB and its hello, but TLS would take 256 KB for a certificate.
const maxUnproven = 16 << 10

var errStranger = fmt.Errorf("session: more than %d bytes before it proved itself", maxUnproven)

func (c *countedConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if in := c.in.Add(uint64(n)); c.limit > 0 && in > c.limit {
		return 0, errStranger
	}
	return n, err
}

func (c *countedConn) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	c.out.Add(uint64(n))
	return n, err
}
