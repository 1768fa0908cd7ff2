package reach

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"sync"
	"time"
)

// Opener opens endpoints at a tunnel service. Ngrok is the real one; tests have others.
type Opener interface {
	// Open asks the service for a public endpoint and blocks until it has one, ctx
	// ends, or the service refuses for good (then the error wraps ErrTunnelRefused).
	// ctx lives as long as the endpoint. notify is called from any goroutine and does
	// not block: nil when the connection to the service is up (also the first time),
	// else why it broke. The service reconnects by itself; when it gives up, the
	// endpoint's Accept fails.
	Open(ctx context.Context, notify func(error)) (Endpoint, error)
}

// Endpoint is a public URL whose connections arrive through a listener.
type Endpoint interface {
	net.Listener
	URL() string
}

// ErrTunnelRefused says that the tunnel service will not serve this account or token,
// so that trying again is of no use until a person has done something.
var ErrTunnelRefused = errors.New("the tunnel service refused")

// TunnelState is what a Tunnel tells about itself.
type TunnelState struct {
	URL string // the public URL, empty while there is none
	Up  bool   // the connection to the service stands
	Err error  // why it is not up
}

// TunnelConfig says how a Tunnel behaves.
type TunnelConfig struct {
	Opener Opener
	// OnState is called from Run at each change, and again with the same URL when the
	// service was reconnected: what others have of this node may be stale by then.
	OnState func(TunnelState)
	// RetryMin and RetryMax bound the wait before a new endpoint is opened; it doubles
	// from one to the other. Defaults 1 s and 60 s.
	RetryMin, RetryMax time.Duration
	Log                *slog.Logger // nil: discard
}

// Tunnel keeps one public endpoint open. It is a net.Listener for an HTTP server,
// and outlives the endpoints below it: where one ends it opens the next, perhaps
// with another URL, and Accept just goes on. Make one with NewTunnel, then Run it.
type Tunnel struct {
	cfg   TunnelConfig
	log   *slog.Logger
	conns chan net.Conn
	done  chan struct{}
	once  sync.Once
}

var _ net.Listener = (*Tunnel)(nil)

// NewTunnel returns a tunnel that is not open yet.
func NewTunnel(cfg TunnelConfig) *Tunnel {
	if cfg.RetryMin <= 0 {
		cfg.RetryMin = time.Second
	}
	if cfg.RetryMax <= 0 {
		cfg.RetryMax = time.Minute
	}
	if cfg.OnState == nil {
		cfg.OnState = func(TunnelState) {}
	}
	return &Tunnel{cfg: cfg, log: logger(cfg.Log), conns: make(chan net.Conn), done: make(chan struct{})}
}

// Accept returns the next connection from the public. It blocks while there is no
// endpoint, and returns net.ErrClosed after Close or the end of Run.
func (t *Tunnel) Accept() (net.Conn, error) {
	select {
	case c := <-t.conns:
		return c, nil
	case <-t.done:
		return nil, net.ErrClosed
	}
}

// Close ends Accept and Run.
func (t *Tunnel) Close() error {
	t.once.Do(func() { close(t.done) })
	return nil
}

// Addr names the tunnel; the address of an endpoint changes, so it is none of them.
func (t *Tunnel) Addr() net.Addr { return tunnelAddr{} }

type tunnelAddr struct{}

func (tunnelAddr) Network() string { return "tunnel" }
func (tunnelAddr) String() string  { return "tunnel" }

// Run opens an endpoint and keeps one open until ctx ends, Close is called (it then
// returns nil), or the service refuses for good, which is the error it returns.
func (t *Tunnel) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stop := context.AfterFunc(ctx, func() { _ = t.Close() })
	defer stop()
	go func() {
		<-t.done
		cancel()
	}()
	defer t.Close()

	wait := t.cfg.RetryMin
	for {
		served, err := t.serve(ctx)
		if ctx.Err() != nil {
			t.cfg.OnState(TunnelState{})
			return nil
		}
		t.cfg.OnState(TunnelState{Err: err})
		if errors.Is(err, ErrTunnelRefused) {
			return err
		}
		if served {
			wait = t.cfg.RetryMin
		}
		t.log.Warn("the tunnel ended, opening another", "error", err, "wait", wait)
		select {
		case <-time.After(wait):
		case <-ctx.Done():
		}
		wait = min(2*wait, t.cfg.RetryMax)
	}
}

// serve opens one endpoint and hands out its connections until it ends. It reports
// whether there was one.
func (t *Tunnel) serve(ctx context.Context) (bool, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	// The latest word is enough: a connection that broke and came back at once is up,
	// but it must still be told, so news holds one of each kind.
	news := make(chan error, 2)
	notify := func(err error) {
		select {
		case news <- err:
		default: // two are waiting; the reader asks for no more than the last state
			select {
			case <-news:
			default:
			}
			select {
			case news <- err:
			default:
			}
		}
	}
	ep, err := t.cfg.Opener.Open(ctx, notify)
	if err != nil {
		return false, err
	}
	// Accept of an endpoint ignores contexts; closing it is what ends it.
	var closed sync.Once
	closeEndpoint := func() { closed.Do(func() { _ = ep.Close() }) }
	defer closeEndpoint()

	for range len(news) { // what happened before there was a URL
		<-news
	}
	state := TunnelState{URL: ep.URL(), Up: true}
	t.log.Info("the tunnel is open", "url", state.URL)
	t.cfg.OnState(state)

	ended := make(chan error, 1)
	go func() { ended <- t.accept(ctx, ep) }()
	for {
		select {
		case err := <-ended:
			return true, err
		case err := <-news:
			state = TunnelState{URL: ep.URL(), Up: err == nil, Err: err}
			if state.Up {
				t.log.Info("the tunnel is connected again", "url", state.URL)
			} else {
				t.log.Warn("the tunnel is disconnected", "url", state.URL, "error", err)
			}
			t.cfg.OnState(state)
		case <-ctx.Done():
			closeEndpoint() // accept ends with it, at once or when the service's answer is given up
			return true, ctx.Err()
		}
	}
}

func (t *Tunnel) accept(ctx context.Context, ep Endpoint) error {
	for {
		c, err := ep.Accept()
		if err != nil {
			return err
		}
		select {
		case t.conns <- c:
		case <-ctx.Done():
			_ = c.Close()
			return ctx.Err()
		}
	}
}

func logger(l *slog.Logger) *slog.Logger {
	if l == nil {
		return slog.New(slog.DiscardHandler)
	}
	return l.With("component", "reach")
}
