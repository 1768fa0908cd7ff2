package session

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/yamux"

	"caucus/cluster/identity"
)

// muxConn is the connection that yamux believes to have: what it writes goes
// out in mux frames among all others, and the reader pushes what comes in.
type muxConn struct {
	l    *link
	head []byte        // a header of yamux that waits for its body; only yamux's sender writes
	room chan struct{} // has a token when mux frames were written

	mu     sync.Mutex // guards all below
	cond   *sync.Cond // something was pushed, read or shut
	in     []byte
	begin  int // what of in was read
	closed bool
}

const (
	// maxMuxOut is how much of yamux may be queued for writing; its sender then blocks.
	maxMuxOut = 32 << 10
	// maxMuxIn is how much may wait for yamux's receiver; the link's reader then blocks.
	// The receiver only moves it on to its streams' buffers, whose windows bound it.
	maxMuxIn = 1 << 20
	// maxStreams is how many streams of the peer may be open at once.
	maxStreams = 256
	// yamux's header: version, type, flags, stream, length.
	yamuxHeader = 12
)

func newMuxConn(l *link) *muxConn {
	c := &muxConn{l: l, room: make(chan struct{}, 1)}
	c.cond = sync.NewCond(&c.mu)
	return c
}

// push gives what came in a mux frame to yamux.
func (c *muxConn) push(b []byte) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	for len(c.in)-c.begin > maxMuxIn && !c.closed {
		c.cond.Wait()
	}
	if c.begin == len(c.in) {
		c.in, c.begin = c.in[:0], 0
	} else if len(c.in)+len(b) > cap(c.in) {
		// Make room where it was read, or what is never read to its end would grow for ever.
		c.in, c.begin = append(c.in[:0], c.in[c.begin:]...), 0
	}
	c.in = append(c.in, b...)
	c.cond.Broadcast()
	return nil
}

func (c *muxConn) Read(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for c.begin == len(c.in) {
		if c.closed {
			return 0, io.EOF
		}
		c.cond.Wait()
	}
	n := copy(p, c.in[c.begin:])
	if c.begin += n; c.begin == len(c.in) {
		if cap(c.in) > keepBuffer {
			c.in = nil
		}
		c.in, c.begin = c.in[:0], 0
	}
	c.cond.Broadcast()
	return n, nil
}

// Write queues p in frames, and waits while too much is queued. yamux writes a
// header and its body apart; the header is held until the body comes, so that
// they travel together and wake the peer once.
func (c *muxConn) Write(p []byte) (int, error) {
	if len(c.head) == 0 && len(p) == yamuxHeader && p[1] == 0 && binary.BigEndian.Uint32(p[8:]) > 0 {
		c.head = append(c.head, p...)
		return len(p), nil
	}
	whole := p
	if len(c.head) > 0 {
		whole = append(c.head, p...)
		c.head = c.head[:0]
	}
	for len(whole) > 0 {
		n := min(len(whole), maxMux)
		if err := c.queue(whole[:n]); err != nil {
			return 0, err
		}
		whole = whole[n:]
	}
	return len(p), nil
}

func (c *muxConn) queue(chunk []byte) error {
	l := c.l
	for {
		l.mu.Lock()
		switch {
		case l.ended != nil || l.leaving != nil:
			l.mu.Unlock()
			return io.ErrClosedPipe
		case l.queue.muxed < maxMuxOut:
			l.queue.muxed += len(chunk)
			l.queueFrame(frameMux, chunk)
			l.mu.Unlock()
			l.used.Store(true)
			return nil
		}
		l.mu.Unlock()
		select {
		case <-c.room:
		case <-l.shut:
			return io.ErrClosedPipe
		}
	}
}

// signalRoom says that mux frames were written.
func (c *muxConn) signalRoom() {
	select {
	case c.room <- struct{}{}:
	default:
	}
}

// shut ends reading, after what was pushed.
func (c *muxConn) shut() {
	c.mu.Lock()
	c.closed = true
	c.cond.Broadcast()
	c.mu.Unlock()
}

// Close is yamux's way to say that it is done for, of itself or because of the
// peer; the link is of no use without it.
func (c *muxConn) Close() error {
	c.shut()
	return nil
}

// nodeAddr is the address of a stream's end: a node's id.
type nodeAddr identity.ID

func (nodeAddr) Network() string  { return "caucus" }
func (a nodeAddr) String() string { return string(a) }

func (c *muxConn) LocalAddr() net.Addr  { return nodeAddr(c.l.m.id) }
func (c *muxConn) RemoteAddr() net.Addr { return nodeAddr(c.l.peer) }

// startMux starts yamux. Its keep-alive is off: the link has its own, which
// does not stand in a queue behind streams.
func (l *link) startMux() error {
	config := yamux.DefaultConfig()
	config.EnableKeepAlive = false
	config.ConnectionWriteTimeout = 30 * time.Second
	config.StreamOpenTimeout = 0
	config.LogOutput, config.Logger = nil, yamuxLog{l.m.cfg.Log}
	var err error
	if l.outbound {
		l.yamux, err = yamux.Client(l.mux, config)
	} else {
		l.yamux, err = yamux.Server(l.mux, config)
	}
	return err
}

// yamuxLog sends yamux's log to ours: what it tells are a peer's mistakes or the
// end of a link, which the link's own end reports.
type yamuxLog struct{ log *slog.Logger }

func (y yamuxLog) Print(v ...any) { y.line(fmt.Sprint(v...)) }

func (y yamuxLog) Printf(format string, v ...any) { y.line(fmt.Sprintf(format, v...)) }

func (y yamuxLog) Println(v ...any) { y.line(fmt.Sprint(v...)) }

func (y yamuxLog) line(s string) {
	y.log.Debug("yamux", "message", printable([]byte(strings.TrimSpace(s))))
}

// acceptStreams takes the streams that the peer opens.
func (l *link) acceptStreams() {
	open := make(chan struct{}, maxStreams)
	refused := 0
	for {
		s, err := l.yamux.AcceptStream()
		if err != nil {
			l.end(fmt.Errorf("its streams broke: %w", err))
			return
		}
		select {
		case open <- struct{}{}:
		default:
			// yamux keeps a closed stream, and what came on it, until the peer closes it too.
			if refused++; refused > maxStreams {
				l.end(fmt.Errorf("the peer opens more and more streams over the limit of %d", maxStreams))
				return
			}
			if refused == 1 {
				l.m.cfg.Log.Warn("a peer opened too many streams", "peer", l.peer, "limit", maxStreams)
			}
			_ = s.Close()
			continue
		}
		l.m.wg.Go(func() {
			defer func() { <-open }()
			l.serveStream(s)
		})
	}
}

// serveStream reads a stream's kind and hands it on.
func (l *link) serveStream(s *yamux.Stream) {
	var kind [1]byte
	_ = s.SetReadDeadline(time.Now().Add(l.m.cfg.HandshakeTimeout)) // never fails
	if _, err := io.ReadFull(s, kind[:]); err != nil {
		_ = s.Close()
		return
	}
	_ = s.SetReadDeadline(time.Time{})
	if l.m.cfg.OnStream == nil {
		_ = s.Close()
		return
	}
	l.m.cfg.OnStream(l.peer, StreamKind(kind[0]), s)
}

// open opens a stream. yamux's own OpenStream knows no context.
func (l *link) open(ctx context.Context, kind StreamKind) (net.Conn, error) {
	l.mu.Lock()
	if l.ended != nil || l.leaving != nil || l.drain.sent && kind != StreamTwin { // that is for this very link
		l.mu.Unlock()
		return nil, errElsewhere
	}
	l.drain.opening++
	l.m.wg.Add(1) // the link has not ended, so Close still waits
	l.mu.Unlock()
	type result struct {
		s   *yamux.Stream
		err error
	}
	opened := make(chan result)
	go func() { // ends when yamux's write timeout does, or the link
		defer l.m.wg.Done()
		s, err := l.yamux.OpenStream()
		if err == nil {
			if _, err = s.Write([]byte{byte(kind)}); err != nil {
				_ = s.Close()
			}
		}
		l.mu.Lock()
		l.drain.opening--
		l.mu.Unlock()
		select {
		case opened <- result{s, err}:
		case <-ctx.Done():
			if err == nil {
				_ = s.Close()
			}
		}
	}()
	select {
	case r := <-opened:
		if r.err != nil {
			if errors.Is(r.err, yamux.ErrSessionShutdown) {
				return nil, fmt.Errorf("%w: it ended while a stream was opened", ErrNoSession)
			}
			return nil, fmt.Errorf("session: open a stream to %s: %w", l.peer, r.err)
		}
		return r.s, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}
