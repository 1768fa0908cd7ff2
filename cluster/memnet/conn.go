package memnet

import (
	"io"
	"net"
	"os"
	"sync"
	"time"
)

// window is how many bytes may be on the way in one direction.
const window = 256 << 10

// half is one direction of a connection.
type half struct {
	mu     sync.Mutex
	moved  *sync.Cond // something of the following changed
	buf    []byte
	ended  bool // by the writer: what is in buf can still be read
	broken bool // by either: nothing can
	frozen bool

	readBy, writeBy deadline
}

func newHalf() *half {
	h := &half{}
	h.moved = sync.NewCond(&h.mu)
	return h
}

// deadline is a time after which waiting ends.
type deadline struct {
	at    time.Time
	timer *time.Timer
}

func (d *deadline) passed() bool { return !d.at.IsZero() && !time.Now().Before(d.at) }

func (h *half) set(d *deadline, t time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if d.timer != nil {
		d.timer.Stop()
		d.timer = nil
	}
	d.at = t
	if wait := time.Until(t); !t.IsZero() && wait > 0 {
		d.timer = time.AfterFunc(wait, func() {
			h.mu.Lock()
			defer h.mu.Unlock()
			h.moved.Broadcast()
		})
	}
	h.moved.Broadcast()
}

func (h *half) freeze(yes bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.frozen = yes
	h.moved.Broadcast()
}

func (h *half) read(b []byte) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for {
		switch {
		case h.broken:
			return 0, net.ErrClosed
		case h.readBy.passed():
			return 0, os.ErrDeadlineExceeded
		case h.frozen:
		case len(h.buf) > 0:
			n := copy(b, h.buf)
			h.buf = h.buf[n:]
			h.moved.Broadcast()
			return n, nil
		case h.ended:
			return 0, io.EOF
		}
		h.moved.Wait()
	}
}

func (h *half) write(b []byte) (n int, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for len(b) > 0 {
		switch {
		case h.broken || h.ended:
			return n, net.ErrClosed
		case h.writeBy.passed():
			return n, os.ErrDeadlineExceeded
		case len(h.buf) < window:
			k := min(len(b), window-len(h.buf))
			h.buf = append(h.buf, b[:k]...)
			n, b = n+k, b[k:]
			h.moved.Broadcast()
			continue
		}
		h.moved.Wait()
	}
	return n, nil
}

func (h *half) end(broken bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.ended = true
	h.broken = h.broken || broken
	for _, d := range []*deadline{&h.readBy, &h.writeBy} {
		if d.timer != nil {
			d.timer.Stop()
		}
	}
	h.moved.Broadcast()
}

// conn is one end of a connection.
type conn struct {
	n             *Network
	host, peer    string
	in, out       *half
	local, remote net.Addr
	other         *conn
}

func (c *conn) wrap(op string, err error) error {
	if err == nil || err == io.EOF {
		return err
	}
	return &net.OpError{Op: op, Net: "tcp", Source: c.local, Addr: c.remote, Err: err}
}

func (c *conn) Read(b []byte) (int, error) {
	n, err := c.in.read(b)
	return n, c.wrap("read", err)
}

func (c *conn) Write(b []byte) (int, error) {
	n, err := c.out.write(b)
	return n, c.wrap("write", err)
}

// Close ends both directions: the other end reads what was written and then the end.
func (c *conn) Close() error {
	c.n.mu.Lock()
	delete(c.n.conns, c)
	delete(c.n.conns, c.other)
	c.n.mu.Unlock()
	c.out.end(false)
	c.in.end(true)
	return nil
}

func (c *conn) LocalAddr() net.Addr  { return c.local }
func (c *conn) RemoteAddr() net.Addr { return c.remote }

func (c *conn) SetDeadline(t time.Time) error {
	c.in.set(&c.in.readBy, t)
	c.out.set(&c.out.writeBy, t)
	return nil
}

func (c *conn) SetReadDeadline(t time.Time) error {
	c.in.set(&c.in.readBy, t)
	return nil
}

func (c *conn) SetWriteDeadline(t time.Time) error {
	c.out.set(&c.out.writeBy, t)
	return nil
}
