package session

import (
	"bytes"
	"crypto/rand"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"caucus/cluster/identity"
)

func TestBulkOnStreamsArrivesWholeWhileQuestionsGoOn(t *testing.T) {
	data := make([]byte, 3<<20)
	if _, err := rand.Read(data); err != nil {
		t.Fatal(err)
	}
	got := make(chan []byte, 4)
	serve := func(c *Config) {
		c.OnStream = func(_ identity.ID, _ StreamKind, conn net.Conn) {
			defer conn.Close()
			b, err := io.ReadAll(conn)
			if err != nil {
				t.Error(err)
			}
			got <- b
		}
	}
	a, b := start(t, serve), start(t, serve)
	join(t, a, b)
	var wg sync.WaitGroup
	for _, way := range []struct{ from, to *node }{{a, b}, {b, a}, {a, b}, {b, a}} {
		wg.Go(func() {
			conn, err := way.from.Open(t.Context(), way.to.id, StreamGossip)
			if err != nil {
				t.Error(err)
				return
			}
			if _, err := conn.Write(data); err != nil {
				t.Error(err)
			}
			_ = conn.Close()
		})
	}
	for received := 0; received < 4; {
		mustAsk(t, a, b.id, "meanwhile")
		mustAsk(t, b, a.id, "meanwhile")
		select {
		case b := <-got:
			received++
			if !bytes.Equal(b, data) {
				t.Errorf("%d bytes arrived, of %d", len(b), len(data))
			}
		default:
		}
	}
	wg.Wait()
}

func TestAStreamThatNobodyReadsHoldsUpNothingElse(t *testing.T) {
	release := make(chan struct{})
	serve := func(c *Config) {
		c.OnStream = func(_ identity.ID, kind StreamKind, conn net.Conn) {
			defer conn.Close()
			if kind == StreamPackets {
				<-release
				return
			}
			_, _ = io.Copy(conn, conn)
		}
	}
	a, b := start(t, serve), start(t, serve)
	join(t, a, b)
	stalled, err := a.Open(t.Context(), b.id, StreamPackets)
	if err != nil {
		t.Fatal(err)
	}
	_ = stalled.SetWriteDeadline(time.Now().Add(300 * time.Millisecond))
	n, err := stalled.Write(make([]byte, 4<<20))
	var timeout net.Error
	if !errors.As(err, &timeout) || !timeout.Timeout() || n > 1<<20 {
		t.Errorf("%d bytes went into a stream that nobody reads, %v", n, err)
	}
	mustAsk(t, a, b.id, "a question")
	other, err := a.Open(t.Context(), b.id, StreamGossip)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := other.Write([]byte("ping")); err != nil {
		t.Fatal(err)
	}
	echo := make([]byte, 4)
	if _, err := io.ReadFull(other, echo); err != nil || string(echo) != "ping" {
		t.Errorf("%q, %v", echo, err)
	}
	close(release)
	_ = other.Close()
}

func TestStreamsEndWithTheSession(t *testing.T) {
	opened := make(chan net.Conn, 1)
	a, b := start(t, nil), start(t, func(c *Config) {
		c.OnStream = func(_ identity.ID, _ StreamKind, conn net.Conn) { opened <- conn }
	})
	join(t, a, b)
	here, err := a.Open(t.Context(), b.id, StreamGossip)
	if err != nil {
		t.Fatal(err)
	}
	there := <-opened
	a.Drop(b.id, "test")
	for _, c := range []net.Conn{here, there} {
		if _, err := io.ReadAll(c); err != nil {
			t.Logf("read ended with %v", err)
		}
		if _, err := c.Write([]byte("x")); err == nil {
			t.Error("something was written to a stream of a session that has ended")
		}
	}
}

func TestAPeerMayOnlyOpenSoManyStreams(t *testing.T) {
	hold := make(chan struct{})
	defer close(hold)
	a, b := start(t, nil), start(t, func(c *Config) {
		c.OnStream = func(_ identity.ID, _ StreamKind, conn net.Conn) {
			defer conn.Close()
			<-hold
		}
	})
	join(t, a, b)
	var conns []net.Conn
	for range maxStreams + 5 {
		c, err := a.Open(t.Context(), b.id, StreamGossip)
		if err != nil {
			t.Fatal(err)
		}
		conns = append(conns, c)
	}
	for _, c := range conns[maxStreams:] {
		if _, err := c.Read(make([]byte, 1)); err == nil {
			t.Error("a stream too many was kept")
		}
	}
	mustAsk(t, a, b.id, "still fine")
	for range 2 * maxStreams { // and no end of it: each takes memory there
		if _, err := a.Open(t.Context(), b.id, StreamGossip); err != nil {
			break
		}
	}
	if got := <-b.down; got != a.id {
		t.Errorf("down: %s", got)
	}
	if !strings.Contains(b.log.String(), "more and more streams") {
		t.Errorf("log:\n%s", b.log.String())
	}
}

func TestTwoHiddenNodesThroughARelay(t *testing.T) {
	// hidden and asker have sessions with relay only. What relay splices for them
	// carries a handshake of their own, so that it reads nothing.
	var relay, hidden *node
	relay = start(t, func(c *Config) {
		c.OnStream = func(_ identity.ID, kind StreamKind, in net.Conn) {
			defer in.Close()
			to := make([]byte, 32)
			if _, err := io.ReadFull(in, to); kind != StreamRelay || err != nil {
				t.Error(kind, err)
				return
			}
			out, err := relay.Open(relay.ctx, identity.ID(to), StreamRelay)
			if err != nil {
				t.Error(err)
				return
			}
			defer out.Close()
			done := make(chan struct{})
			go func() { defer close(done); _, _ = io.Copy(out, in); _ = out.Close() }()
			_, _ = io.Copy(in, out)
			_ = in.Close()
			<-done
		}
	})
	hidden = start(t, func(c *Config) {
		c.OnStream = func(_ identity.ID, _ StreamKind, conn net.Conn) { _ = hidden.Accept(hidden.ctx, conn) }
	})
	asker := start(t, nil)
	join(t, hidden, relay)
	join(t, asker, relay)
	conn, err := asker.Open(t.Context(), relay.id, StreamRelay)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Write([]byte(hidden.id)); err != nil {
		t.Fatal(err)
	}
	p, err := asker.DialOver(t.Context(), conn, hidden.id, nil)
	if err != nil || p.ID != hidden.id {
		t.Fatalf("%+v, %v", p, err)
	}
	if got := mustAsk(t, asker, hidden.id, "through a relay"); got != "re: through a relay" {
		t.Errorf("got %q", got)
	}
	eventually(t, "hidden has it too", func() bool { return hidden.Connected(asker.id) })
	if got := mustAsk(t, hidden, asker.id, "and back"); got != "re: and back" {
		t.Errorf("got %q", got)
	}
	relay.Drop(hidden.id, "test")
	eventually(t, "the relayed session ends with that to the relay", func() bool { return !asker.Connected(hidden.id) && !hidden.Connected(asker.id) })
}
