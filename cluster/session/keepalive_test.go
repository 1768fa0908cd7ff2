package session

import (
	"io"
	"log/slog"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"caucus/cluster/identity"
	"caucus/internal/testlog"
)

// In these tests time is testing/synctest's: it stands still while anything
// runs, so nothing depends on how fast this machine is. They open no streams:
// yamux keeps timers in a global pool, and those may not leave their bubble.

// clocked is a manager in a bubble.
type clocked struct {
	*Manager
	log  *testlog.Buffer
	down atomic.Int32
}

func startClocked(t *testing.T, change func(*Config)) *clocked {
	t.Helper()
	c := &clocked{log: &testlog.Buffer{}}
	cfg := Config{
		Key: newKey(t), Responder: echo{}, OnDown: func(identity.ID) { c.down.Add(1) },
		Log: slog.New(slog.NewTextHandler(c.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	}
	if change != nil {
		change(&cfg)
	}
	m, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	c.Manager = m
	return c
}

// joinClocked connects two managers in memory. What it returns stops all traffic,
// with both ends open.
func joinClocked(t *testing.T, a, b *clocked) (freeze func()) {
	t.Helper()
	aEnd, aFar := net.Pipe()
	bFar, bEnd := net.Pipe()
	var frozen atomic.Bool
	relay := func(to, from net.Conn) {
		defer to.Close()
		p := make([]byte, 32<<10)
		for {
			n, err := from.Read(p)
			if err != nil {
				return
			}
			if frozen.Load() {
				continue
			}
			if _, err := to.Write(p[:n]); err != nil {
				return
			}
		}
	}
	go relay(aFar, bFar)
	go relay(bFar, aFar)
	accepted := make(chan error, 1)
	go func() { accepted <- b.Accept(t.Context(), bEnd) }()
	if _, err := a.DialOver(t.Context(), aEnd, "", nil); err != nil {
		t.Fatal(err)
	}
	if err := <-accepted; err != nil {
		t.Fatal(err)
	}
	return func() { frozen.Store(true) }
}

func TestAFrozenPeerIsNoticedAfterTwoPings(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := startClocked(t, nil), startClocked(t, nil)
		freeze := joinClocked(t, a, b)
		freeze()
		asked := make(chan error, 1)
		if _, err := a.AskAsync(b.id, []byte("x"), askerFunc(func(_ []byte, err error) { asked <- err })); err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		if err := <-asked; err == nil {
			t.Error("answered")
		}
		if after := time.Since(began); after < 40*time.Second || after > 65*time.Second {
			t.Errorf("noticed after %v", after)
		}
		synctest.Wait()
		if a.down.Load() != 1 || a.Connected(b.id) || !strings.Contains(a.log.String(), "fell silent") {
			t.Errorf("down %d; log:\n%s", a.down.Load(), a.log.String())
		}
		_, _ = a.Close(), b.Close()
	})
}

func TestAnIdleSessionIsKeptAliveAndItsRoundTripMeasured(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := startClocked(t, nil), startClocked(t, nil)
		joinClocked(t, a, b)
		sent := a.Peers()[0].BytesOut + b.Peers()[0].BytesOut
		time.Sleep(time.Hour)
		synctest.Wait()
		if !a.Connected(b.id) || !b.Connected(a.id) || a.down.Load()+b.down.Load() != 0 {
			t.Fatal("it is gone")
		}
		pings := func(c *clocked) uint64 {
			l := c.all()[0]
			l.mu.Lock()
			defer l.mu.Unlock()
			return l.pingID
		}
		// One of the two pings, now the one and now the other; each hears the other then.
		if n := pings(a) + pings(b); n < 150 || n > 250 {
			t.Errorf("%d pings in an hour", n)
		}
		bytes := a.Peers()[0].BytesOut + b.Peers()[0].BytesOut - sent
		if bytes > 3600*10 {
			t.Errorf("an idle session cost %d bytes in an hour", bytes)
		}
		_, _ = a.Close(), b.Close()
	})
}

func TestAnIdleSessionIsClosedAndAUsedOneIsNot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := startClocked(t, func(c *Config) { c.IdleTimeout = time.Minute }), startClocked(t, nil)
		joinClocked(t, a, b)
		for range 20 {
			time.Sleep(25 * time.Second)
			if _, err := b.Ask(t.Context(), a.id, []byte("x"), nil); err != nil {
				t.Fatalf("a used session was closed: %v", err)
			}
		}
		began := time.Now()
		for a.Connected(b.id) {
			time.Sleep(time.Second)
		}
		if after := time.Since(began); after < 55*time.Second || after > 95*time.Second {
			t.Errorf("closed after %v", after)
		}
		time.Sleep(2 * byeTimeout)
		if a.down.Load() != 1 || b.down.Load() != 1 || !strings.Contains(b.log.String(), "it was not used for 1m0s") {
			t.Errorf("down %d, %d; the peer's log:\n%s", a.down.Load(), b.down.Load(), b.log.String())
		}
		_, _ = a.Close(), b.Close()
	})
}

func TestAHandshakeThatHangsIsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := startClocked(t, nil)
		for name, over := range map[string]func(net.Conn) error{
			"dialling":  func(c net.Conn) error { _, err := a.DialOver(t.Context(), c, "", nil); return err },
			"accepting": func(c net.Conn) error { return a.Accept(t.Context(), c) },
		} {
			near, far := net.Pipe()
			go func() { _, _ = io.Copy(io.Discard, far) }()
			began := time.Now()
			if err := over(near); err == nil || time.Since(began) != 5*time.Second {
				t.Errorf("%s: %v after %v", name, err, time.Since(began))
			}
			_ = far.Close()
		}
		_ = a.Close()
	})
}
