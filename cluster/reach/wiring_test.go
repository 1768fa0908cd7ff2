package reach

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"caucus/cluster/identity"
	"caucus/cluster/session"
)

type mute struct{}

func (mute) Quick([]byte) bool { return true }
func (mute) Answer(_ context.Context, _ identity.ID, _, dst []byte) []byte {
	return dst
}

// peerNode is a node with real sessions that dials back whoever asks, on a stream of any kind.
type peerNode struct {
	*session.Manager
	srv *httptest.Server
}

func startPeer(t *testing.T, policy Policy) *peerNode {
	t.Helper()
	key, err := identity.Generate()
	must(t, err)
	n := &peerNode{}
	dialer := NewDialer(DialerConfig{Policy: policy, Meet: func(ctx context.Context, url string, want identity.ID) error {
		_, err := n.Dial(WithTrust(ctx, Told), url, want, nil)
		return err
	}})
	n.Manager, err = session.New(session.Config{
		Key: key, Responder: mute{}, DialContext: policy.Dial,
		OnStream: func(peer identity.ID, _ session.StreamKind, conn net.Conn) {
			for _, p := range n.Peers() {
				if p.ID == peer {
					_ = dialer.Serve(context.Background(), peer, p.Remote, !p.Outbound, conn)
					return
				}
			}
			conn.Close()
		},
	})
	must(t, err)
	mux := http.NewServeMux()
	mux.Handle("GET /gossip", n.Manager)
	n.srv = httptest.NewServer(mux)
	t.Cleanup(func() {
		_ = n.Close()
		n.srv.Close()
	})
	return n
}

func (n *peerNode) port() uint16 { return uint16(n.srv.Listener.Addr().(*net.TCPAddr).Port) }

// Over real sessions: a node joins a peer, asks it to dial back, and learns the URL at
// which that peer met it; where another node listens, or nobody, it learns none.
func TestDialBackOverRealSessions(t *testing.T) {
	onLoopback := Policy{OnLoopback: func() bool { return true }}
	hub, joiner, stranger := startPeer(t, onLoopback), startPeer(t, onLoopback), startPeer(t, onLoopback)
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	peer, err := joiner.Dial(WithTrust(ctx, Typed), hub.srv.URL, "", nil)
	must(t, err)

	stream, err := joiner.Open(ctx, peer.ID, session.StreamDescribe)
	must(t, err)
	url, err := AskDialBack(ctx, stream, joiner.port())
	if err != nil || url != joiner.srv.URL {
		t.Fatalf("%q, %v; want %q", url, err, joiner.srv.URL)
	}
	if !joiner.Connected(peer.ID) {
		t.Error("the session is gone")
	}

	other := startPeer(t, onLoopback)
	peer, err = other.Dial(WithTrust(ctx, Typed), hub.srv.URL, "", nil)
	must(t, err)
	stream, err = other.Open(ctx, peer.ID, session.StreamDescribe)
	must(t, err)
	if url, err := AskDialBack(ctx, stream, stranger.port()); !errors.Is(err, ErrNotReached) {
		t.Errorf("the port of another node: %q, %v", url, err)
	}
}

// What gossip says about a node's address is not dialled when it leads to an agent, to
// metadata or to this machine; what a person typed is.
func TestSessionsAreDialledUnderThePolicy(t *testing.T) {
	var hits atomic.Int64
	n := startPeer(t, Policy{})
	hub := startPeer(t, Policy{})
	trap := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { hits.Add(1) }))
	defer trap.Close()
	_, port, _ := net.SplitHostPort(trap.Listener.Addr().String())
	for _, url := range []string{
		"http://127.0.0.1:" + port, "http://[::ffff:127.0.0.1]:" + port, "http://localhost:" + port, "http://127.1:" + port,
		"http://0x7f000001:" + port, "http://127.0.0.1:4040", "http://169.254.169.254", "http://0.0.0.0:" + port,
	} {
		if _, err := n.Dial(t.Context(), url, "", nil); !errors.Is(err, ErrBlocked) {
			t.Errorf("%s: %v", url, err)
		}
	}
	if hits.Load() != 0 {
		t.Errorf("%d requests came through", hits.Load())
	}
	if _, err := n.Dial(WithTrust(t.Context(), Typed), hub.srv.URL, "", nil); err != nil {
		t.Errorf("typed: %v", err)
	}
	if _, err := n.Dial(WithTrust(t.Context(), Typed), "http://169.254.169.254", "", nil); !errors.Is(err, ErrBlocked) || !strings.Contains(err.Error(), "credentials") {
		t.Errorf("typed metadata: %v", err)
	}
}
