package reach

import (
	"context"
	"errors"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// fakeOpener hands out endpoints as a test says. Each Open takes the next of script;
// after the last one it blocks until its context ends.
type fakeOpener struct {
	mu     sync.Mutex
	script []fakeEnd
	opened int
	notify func(error)
	ends   []*fakeEndpoint
}

type fakeEnd struct {
	url string
	err error
}

type fakeEndpoint struct {
	url    string
	conns  chan net.Conn
	broken chan struct{}
	once   sync.Once
}

func (e *fakeEndpoint) URL() string    { return e.url }
func (e *fakeEndpoint) Addr() net.Addr { return tunnelAddr{} }
func (e *fakeEndpoint) Close() error {
	e.once.Do(func() { close(e.broken) })
	return nil
}

func (e *fakeEndpoint) Accept() (net.Conn, error) {
	select {
	case c := <-e.conns:
		return c, nil
	case <-e.broken:
		return nil, errors.New("the endpoint ended")
	}
}

func (o *fakeOpener) Open(ctx context.Context, notify func(error)) (Endpoint, error) {
	o.mu.Lock()
	i := o.opened
	o.opened++
	o.notify = notify
	o.mu.Unlock()
	if i >= len(o.script) {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	if err := o.script[i].err; err != nil {
		return nil, err
	}
	notify(nil) // as the SDK does before the URL is known
	e := &fakeEndpoint{url: o.script[i].url, conns: make(chan net.Conn), broken: make(chan struct{})}
	o.mu.Lock()
	o.ends = append(o.ends, e)
	o.mu.Unlock()
	return e, nil
}

func (o *fakeOpener) end(i int) *fakeEndpoint {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.ends[i]
}

// states collects what a tunnel tells.
type states struct {
	mu  sync.Mutex
	all []TunnelState
}

func (s *states) add(t TunnelState) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all = append(s.all, t)
}

func (s *states) take() (urls []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, t := range s.all {
		u := t.URL
		if !t.Up {
			u = "down " + u
		}
		urls = append(urls, strings.TrimSpace(u))
	}
	s.all = nil
	return urls
}

func run(ctx context.Context, tun *Tunnel) (result func() error) {
	done := make(chan error, 1)
	go func() { done <- tun.Run(ctx) }()
	return func() error { return <-done }
}

func TestTunnelFollowsReconnectsAndNewEndpoints(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := &fakeOpener{script: []fakeEnd{{url: "https://one.ngrok.app"}, {err: errors.New("no network")}, {err: errors.New("no network")}, {url: "https://two.ngrok.app"}}}
		var s states
		tun := NewTunnel(TunnelConfig{Opener: o, OnState: s.add})
		ctx, cancel := context.WithCancel(t.Context())
		result := run(ctx, tun)
		expect := func(want ...string) {
			t.Helper()
			synctest.Wait()
			if got := s.take(); !slices.Equal(got, want) {
				t.Fatalf("told %q, want %q", got, want)
			}
		}
		expect("https://one.ngrok.app")

		o.notify(errors.New("heartbeat missed"))
		expect("down https://one.ngrok.app")
		o.notify(nil)
		expect("https://one.ngrok.app") // the same URL, told again

		for range 10 { // more than it can hold: the last word counts
			o.notify(errors.New("flapping"))
		}
		o.notify(nil)
		synctest.Wait()
		if got := s.take(); len(got) == 0 || got[len(got)-1] != "https://one.ngrok.app" {
			t.Fatalf("after flapping: told %q", got)
		}

		o.end(0).Close() // the service gives up
		expect("down")
		time.Sleep(time.Second)
		expect("down") // no network
		time.Sleep(2*time.Second - time.Nanosecond)
		expect()
		time.Sleep(time.Nanosecond)
		expect("down")
		time.Sleep(4 * time.Second)
		expect("https://two.ngrok.app")

		cancel()
		if err := result(); err != nil {
			t.Errorf("Run: %v", err)
		}
		expect("down")
		if _, err := tun.Accept(); !errors.Is(err, net.ErrClosed) {
			t.Errorf("Accept after the end: %v", err)
		}
	})
}

func TestTunnelGivesUpWhenTheServiceRefuses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		refused := errors.Join(ErrTunnelRefused, errors.New("the authtoken is not valid"))
		o := &fakeOpener{script: []fakeEnd{{err: refused}}}
		var s states
		tun := NewTunnel(TunnelConfig{Opener: o, OnState: s.add})
		if err := tun.Run(t.Context()); !errors.Is(err, ErrTunnelRefused) {
			t.Errorf("Run: %v", err)
		}
		if _, err := tun.Accept(); !errors.Is(err, net.ErrClosed) {
			t.Errorf("Accept: %v", err)
		}
		if got := s.take(); !slices.Equal(got, []string{"down"}) || o.opened != 1 {
			t.Errorf("told %q, opened %d times", got, o.opened)
		}
	})
}

func TestTunnelEndsWithClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := &fakeOpener{script: []fakeEnd{{url: "https://one.ngrok.app"}}}
		tun := NewTunnel(TunnelConfig{Opener: o})
		result := run(t.Context(), tun)
		synctest.Wait()
		_ = tun.Close()
		_ = tun.Close()
		if err := result(); err != nil {
			t.Errorf("Run: %v", err)
		}
	})
}

func TestTunnelServesHTTPThroughChangingEndpoints(t *testing.T) {
	o := &fakeOpener{script: []fakeEnd{{url: "https://one.ngrok.app"}, {url: "https://two.ngrok.app"}}}
	up := make(chan string, 8)
	tun := NewTunnel(TunnelConfig{Opener: o, RetryMin: time.Millisecond, OnState: func(s TunnelState) {
		if s.Up {
			up <- s.URL
		}
	}})
	result := run(t.Context(), tun)
	srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("hello")) })}
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = srv.Serve(tun)
	}()
	for i := range 2 {
		<-up
		client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(context.Context, string, string) (net.Conn, error) {
			ours, theirs := net.Pipe()
			o.end(i).conns <- theirs
			return ours, nil
		}}}
		resp, err := client.Get("http://tunnel.test/")
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		o.end(i).Close()
	}
	_ = srv.Close() // closes the tunnel too
	if err := result(); err != nil {
		t.Errorf("Run: %v", err)
	}
	<-served
}
