package cluster

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"caucus/cluster/identity"
)

// What comes from outside for a hidden member: requests to this node's /via/{id}/..., and,
// where this node is the hidden one, what a relay brings.

// Carries returns nil if this node can pass requests on to the member of an id now, and
// else ErrNotRelayed.
func (m *Membership) Carries(id string) error {
	if parsed, err := identity.ParseID(id); err != nil || !m.carriesNow(parsed) {
		return ErrNotRelayed
	}
	return nil
}

// RelayTransport sends HTTP requests to the member whose id is the URL's host, each over
// the session that this node has with it. What such a request may ask for is for the
// caller to say.
func (m *Membership) RelayTransport() http.RoundTripper { return m.outside }

func (r *relays) transport() *http.Transport {
	return &http.Transport{
		DialContext:            r.dialHTTP,
		MaxConnsPerHost:        16,
		MaxIdleConnsPerHost:    2,
		IdleConnTimeout:        30 * time.Second,
		ResponseHeaderTimeout:  30 * time.Second,
		MaxResponseHeaderBytes: 16 << 10,
		DisableCompression:     true,
	}
}

func (r *relays) dialHTTP(ctx context.Context, _, address string) (net.Conn, error) {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	id, err := identity.ParseID(host)
	if err != nil {
		return nil, err
	}
	done, err := r.take("", id, true)
	if err != nil {
		return nil, err
	}
	conn, err := r.open(ctx, id, relayHTTP)
	if err == nil {
		err = answered(conn)
	}
	if err != nil {
		done()
		return nil, fmt.Errorf("cluster: pass a request on to %s: %w", id.Short(), err)
	}
	r.mu.Lock()
	limit := r.of[id].limit
	r.mu.Unlock()
	return &metered{Conn: conn, limit: limit, ctx: r.m.ctx, done: done}, nil
}

// metered is a connection that reads and writes at the pace of a limit.
type metered struct {
	net.Conn
	limit *rate.Limiter
	ctx   context.Context
	done  func()
	once  sync.Once
}

func (c *metered) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b[:min(len(b), relayBuffer)])
	if n > 0 && c.limit.WaitN(c.ctx, n) != nil {
		return n, net.ErrClosed
	}
	return n, err
}

func (c *metered) Write(b []byte) (int, error) {
	written := 0
	for len(b) > 0 {
		part := b[:min(len(b), relayBuffer)]
		if c.limit.WaitN(c.ctx, len(part)) != nil {
			return written, net.ErrClosed
		}
		n, err := c.Conn.Write(part)
		written += n
		if err != nil {
			return written, err
		}
		b = b[n:]
	}
	return written, nil
}

func (c *metered) Close() error {
	c.once.Do(c.done)
	return c.Conn.Close()
}

// ServeVia passes a newcomer's request for a session on to a hidden member: GET /via/{id}/gossip.
// An error is returned where nothing has been answered yet.
func (m *Membership) ServeVia(w http.ResponseWriter, r *http.Request, id string) error {
	to, err := identity.ParseID(id)
	if err != nil {
		return ErrNotRelayed
	}
	done, err := m.relays.take("", to, true)
	if err != nil {
		return err
	}
	onward, err := m.relays.open(r.Context(), to, relaySession)
	if err == nil {
		err = answered(onward)
	}
	if err != nil {
		done()
		return fmt.Errorf("%w: it does not answer: %w", ErrNotRelayed, err)
	}
	conn, err := m.sessions.Upgrade(w, r)
	if err != nil { // and answered
		onward.Close()
		done()
		return nil
	}
	if !m.run(func() {
		defer done()
		m.relays.splice(conn, onward, to)
	}) {
		onward.Close()
		conn.Close()
		done()
	}
	return nil
}

// Relayed is where outsiders' requests come in that a relay passes on. The address of
// their other end is the relay's id. Serve /predict and /card on it, and nothing else.
func (m *Membership) Relayed() net.Listener {
	ctx, cancel := context.WithCancel(m.ctx)
	return &relayedListener{inbound: m.relays.inbound, ctx: ctx, cancel: cancel, self: m.self}
}

type relayedListener struct {
	inbound chan net.Conn
	ctx     context.Context
	cancel  context.CancelFunc
	self    identity.ID
}

func (l *relayedListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.inbound:
		return c, nil
	case <-l.ctx.Done():
		return nil, net.ErrClosed
	}
}

func (l *relayedListener) Close() error {
	l.cancel()
	return nil
}

func (l *relayedListener) Addr() net.Addr { return relayedAddr(l.self) }

type relayedAddr identity.ID

func (relayedAddr) Network() string  { return "caucus" }
func (a relayedAddr) String() string { return string(a) }
