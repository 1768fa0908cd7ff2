package evidence

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"caucus/cluster/identity"
	"caucus/cluster/session"
)

// served is what became of an exchange that the other end began.
type served struct {
	x   Exchanged
	err error
}

// member is a log and the sessions that carry its exchanges, as in a node.
type member struct {
	*node
	sessions *session.Manager
	url      string
	served   chan served
}

// silent answers no questions; nobody asks any here.
type silent struct{}

func (silent) Quick([]byte) bool { return true }

func (silent) Answer(_ context.Context, _ identity.ID, _, dst []byte) []byte { return dst }

func newMember(t *testing.T) *member {
	t.Helper()
	m := &member{node: newNode(t), served: make(chan served, 10)}
	s, err := session.New(session.Config{
		Key: m.key, Responder: silent{}, Hello: func(identity.ID) []byte { return []byte("card") },
		OnStream: func(_ identity.ID, kind session.StreamKind, conn net.Conn) {
			if kind != session.StreamEvidence {
				conn.Close()
				return
			}
			x, err := m.Serve(context.Background(), conn)
			m.served <- served{x, err}
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.Handle("GET /gossip", s)
	server := httptest.NewServer(mux)
	m.sessions, m.url = s, server.URL
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		server.CloseClientConnections()
		server.Close()
	})
	return m
}

func (m *member) syncWith(t *testing.T, peer *member) (Exchanged, served, error) {
	t.Helper()
	conn, err := m.sessions.Open(t.Context(), peer.key.ID(), session.StreamEvidence)
	if err != nil {
		t.Fatal(err)
	}
	x, err := m.Sync(t.Context(), conn)
	select {
	case s := <-peer.served:
		return x, s, err
	case <-time.After(30 * time.Second):
		t.Fatal("the other end goes on")
	}
	panic("not reached")
}

func TestExchangesOverSessions(t *testing.T) {
	a, b := newMember(t), newMember(t)
	if _, err := a.sessions.Dial(t.Context(), b.url, b.key.ID(), nil); err != nil {
		t.Fatal(err)
	}
	voter := newKey(t)
	for i := range 100 {
		k := rowKey(i+1, i)
		a.label(t, k, i%3, vote(voter, a.key.ID(), k, i%3, 0, One, 0))
	}
	b.labels(t, 0, 700)
	x, s, err := a.syncWith(t, b)
	if err != nil || s.err != nil || x.Stored != 700 || s.x.Stored != 100 {
		t.Fatalf("%+v %v, %+v %v", x, err, s.x, s.err)
	}
	equalEvidence(t, a.node, b.node)
	// The acceptor of the session may begin as well.
	a.labels(t, 800, 810)
	if _, s, err = b.syncWith(t, a); err != nil || s.err != nil {
		t.Fatal(err, s.err)
	}
	equalEvidence(t, a.node, b.node)

	for range maxServed {
		b.syncs <- struct{}{}
	}
	if _, s, err = a.syncWith(t, b); !errors.Is(err, ErrBusy) || !errors.Is(s.err, ErrBusy) {
		t.Fatal(err, s.err)
	}
}
