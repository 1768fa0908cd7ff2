package node

import (
	"context"
	"net"
	"net/http"
	"sync/atomic"
)

// meter counts the bytes of the connections that others opened to this node, on the socket, so
// that sessions, answers and headers are all in it. What came through a tunnel is apart, for a
// tunnel's month has a limit.
type meter struct {
	direct, tunnel flow
}

type flow struct{ in, out atomic.Uint64 }

// listen counts what the connections of l move. tunnel: all of them come through one.
func (m *meter) listen(l net.Listener, tunnel bool) net.Listener {
	return &meteredListener{Listener: l, meter: m, tunnel: tunnel}
}

type meteredListener struct {
	net.Listener
	meter  *meter
	tunnel bool
}

func (l *meteredListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	out := &meteredConn{Conn: c, meter: l.meter}
	if l.tunnel {
		out.flow.Store(&l.meter.tunnel)
	}
	return out, nil
}

// meteredConn is a connection whose bytes are counted. A tunnel's agent on this machine connects
// like anybody else; it shows by the headers of its first request, and so what is read until
// something is written waits to be counted.
type meteredConn struct {
	net.Conn
	meter   *meter
	flow    atomic.Pointer[flow] // where bytes are counted; nil: not known yet
	waiting atomic.Uint64        // bytes read by then
}

func (c *meteredConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if f := c.flow.Load(); f != nil {
		f.in.Add(uint64(n))
	} else {
		c.waiting.Add(uint64(n))
	}
	return n, err
}

func (c *meteredConn) Write(b []byte) (int, error) {
	f := c.flow.Load()
	if f == nil {
		f = c.settle()
	}
	n, err := c.Conn.Write(b)
	f.out.Add(uint64(n))
	return n, err
}

// settle counts a connection as direct if nothing has shown that it is not.
func (c *meteredConn) settle() *flow {
	c.flow.CompareAndSwap(nil, &c.meter.direct)
	f := c.flow.Load()
	f.in.Add(c.waiting.Swap(0))
	return f
}

func (c *meteredConn) Close() error {
	c.settle()
	return c.Conn.Close()
}

type meteredKey struct{}

// remember lets forwarded find the connection of a request; it is an http.Server's ConnContext.
func (m *meter) remember(ctx context.Context, c net.Conn) context.Context {
	return context.WithValue(ctx, meteredKey{}, c)
}

// forwarded says that a request came through a tunnel or another proxy, and so does all else on its connection.
func (m *meter) forwarded(r *http.Request) {
	c, ok := r.Context().Value(meteredKey{}).(*meteredConn)
	if ok && c.flow.Load() != &m.tunnel {
		c.flow.Store(&m.tunnel)
		m.tunnel.in.Add(c.waiting.Swap(0))
	}
}
