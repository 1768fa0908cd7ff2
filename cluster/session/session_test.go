package session

import (
	"context"
	"errors"
	"net"
	"strings"
	"testing"

	"caucus/cluster/identity"
)

func TestTwoNodesTalk(t *testing.T) {
	a, b := start(t, nil), start(t, nil)
	p, err := a.Dial(t.Context(), b.url(), b.id, nil)
	if err != nil {
		t.Fatal(err)
	}
	if p.ID != b.id || string(p.Hello) != "card of "+string(b.id) || !p.Outbound || p.RTT <= 0 || p.BytesIn == 0 || p.BytesOut == 0 {
		t.Fatalf("peer %+v", p)
	}
	if id := <-a.up; id != b.id {
		t.Fatalf("up: %s", id)
	}
	if id := <-b.up; id != a.id {
		t.Fatalf("up: %s", id)
	}
	if got := mustAsk(t, a, b.id, "hello"); got != "re: hello" {
		t.Fatalf("got %q", got)
	}
	if got := mustAsk(t, b, a.id, "and back"); got != "re: and back" {
		t.Fatalf("got %q", got)
	}
	dst := []byte("kept ")
	out, err := a.Ask(t.Context(), b.id, []byte("x"), dst)
	if err != nil || string(out) != "kept re: x" {
		t.Fatalf("got %q, %v", out, err)
	}
	peers := b.Peers()
	if len(peers) != 1 || peers[0].ID != a.id || peers[0].Outbound || !strings.HasPrefix(peers[0].Remote, "127.0.0.1:") {
		t.Fatalf("peers %+v", peers)
	}
	if _, err := a.Ask(t.Context(), newKey(t).ID(), nil, nil); !errors.Is(err, ErrNoSession) {
		t.Fatalf("asked a stranger: %v", err)
	}
}

func TestSessionOutlivesTheContextOfItsDial(t *testing.T) {
	a, b := start(t, nil), start(t, nil)
	ctx, cancel := context.WithCancel(t.Context())
	if _, err := a.Dial(ctx, b.url(), "", nil); err != nil {
		t.Fatal(err)
	}
	cancel()
	for range 10 {
		mustAsk(t, a, b.id, "still there?")
	}
}

func TestStreamsGoBothWays(t *testing.T) {
	type opened struct {
		peer identity.ID
		kind StreamKind
		text string
	}
	got := make(chan opened, 2)
	serve := func(c *Config) {
		c.OnStream = func(peer identity.ID, kind StreamKind, conn net.Conn) {
			defer conn.Close()
			b := make([]byte, 4)
			_, _ = conn.Read(b)
			got <- opened{peer, kind, string(b)}
			_, _ = conn.Write([]byte("pong"))
		}
	}
	a, b := start(t, serve), start(t, serve)
	join(t, a, b) // a can dial b; nothing ever dials a
	for _, way := range []struct {
		from, to *node
		kind     StreamKind
	}{{a, b, StreamGossip}, {b, a, StreamEvidence}} {
		conn, err := way.from.Open(t.Context(), way.to.id, way.kind)
		if err != nil {
			t.Fatal(err)
		}
		if conn.RemoteAddr().String() != string(way.to.id) || conn.LocalAddr().String() != string(way.from.id) {
			t.Errorf("addresses %v, %v", conn.LocalAddr(), conn.RemoteAddr())
		}
		if _, err := conn.Write([]byte("ping")); err != nil {
			t.Fatal(err)
		}
		if s := readAll(t, conn); s != "pong" {
			t.Errorf("read %q", s)
		}
		_ = conn.Close()
		if g := <-got; g != (opened{way.from.id, way.kind, "ping"}) {
			t.Errorf("got %+v", g)
		}
	}
}
