package session

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"go.uber.org/goleak"

	"caucus/cluster/identity"
	"caucus/internal/testlog"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// node is a manager behind a real HTTP server on 127.0.0.1.
type node struct {
	*Manager
	server *httptest.Server
	log    *testlog.Buffer
	up     chan identity.ID
	down   chan identity.ID
}

func newKey(t testing.TB) *identity.Key {
	t.Helper()
	k, err := identity.Generate()
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func newToken(t testing.TB) identity.Token {
	t.Helper()
	tok, err := identity.NewToken()
	if err != nil {
		t.Fatal(err)
	}
	return tok
}

// start runs a node, closed with the test.
func start(t testing.TB, change func(*Config)) *node {
	t.Helper()
	n := &node{log: &testlog.Buffer{}, up: make(chan identity.ID, 100), down: make(chan identity.ID, 100)}
	cfg := Config{
		Key:       newKey(t),
		Responder: echo{},
		OnUp:      func(id identity.ID) { offer(n.up, id) },
		OnDown:    func(id identity.ID) { offer(n.down, id) },
		Log:       slog.New(slog.NewTextHandler(n.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	}
	cfg.Hello = func(identity.ID) []byte { return []byte("card of " + cfg.Key.ID()) }
	if change != nil {
		change(&cfg)
	}
	m, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	n.Manager = m
	mux := http.NewServeMux()
	mux.Handle("GET /gossip", m)
	n.server = httptest.NewServer(mux)
	t.Cleanup(func() {
		if err := m.Close(); err != nil {
			t.Error(err)
		}
		n.server.CloseClientConnections()
		n.server.Close()
	})
	return n
}

// offer never blocks: Close waits for OnUp and OnDown.
func offer(c chan identity.ID, id identity.ID) {
	select {
	case c <- id:
	default:
	}
}

func (n *node) url() string { return n.server.URL }

// join dials from a to b and waits until both have the session.
func join(t testing.TB, a, b *node) {
	t.Helper()
	p, err := a.Dial(t.Context(), b.url(), "", nil)
	if err != nil {
		t.Fatal(err)
	}
	if p.ID != b.id {
		t.Fatalf("reached %s, want %s", p.ID, b.id)
	}
	eventually(t, "the acceptor has the session too", func() bool { return b.Connected(a.id) })
}

// eventually waits until f holds.
func eventually(t testing.TB, what string, f func() bool) {
	t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for !f() {
		if time.Now().After(deadline) {
			t.Fatalf("never: %s", what)
		}
		time.Sleep(time.Millisecond) // between looks at a predicate
	}
}

// echo answers with the question, after "re: ". Questions of one row are quick.
type echo struct{}

func (echo) Quick(ask []byte) bool { return len(ask) < 1024 }

func (echo) Answer(_ context.Context, _ identity.ID, ask, dst []byte) []byte {
	return append(append(dst, "re: "...), ask...)
}

// responder is a Responder of functions.
type responder struct {
	quick  func(ask []byte) bool
	answer func(ctx context.Context, peer identity.ID, ask, dst []byte) []byte
}

func (r responder) Quick(ask []byte) bool { return r.quick != nil && r.quick(ask) }

func (r responder) Answer(ctx context.Context, peer identity.ID, ask, dst []byte) []byte {
	return r.answer(ctx, peer, ask, dst)
}

func mustAsk(t testing.TB, from *node, to identity.ID, ask string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	b, err := from.Ask(ctx, to, []byte(ask), nil)
	if err != nil {
		t.Fatalf("ask %.20q: %v", ask, err)
	}
	return string(b)
}

// readAll reads a stream to its end.
func readAll(t testing.TB, c net.Conn) string {
	t.Helper()
	b, err := io.ReadAll(c)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
