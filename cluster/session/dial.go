package session

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/coder/websocket"

	"caucus/cluster/identity"
)

// Dial opens a session to a base URL (http or https; "/gossip" is appended) and
// returns the peer's id and hello. want, when not empty, is the id that must
// answer (else ErrIdentity). tokens, when not nil, replace Config.Tokens for
// this dial. If a session with that peer exists already, the two are merged.
func (m *Manager) Dial(ctx context.Context, url string, want identity.ID, tokens []identity.Token) (Peer, error) {
	base, err := identity.ParseURL(url)
	if err != nil {
		return Peer{}, err
	}
	if err := m.enter(); err != nil {
		return Peer{}, err
	}
	defer m.leave()
	ctx, cancel := m.bounded(ctx, 2*m.cfg.HandshakeTimeout) // names and connections, then the handshake
	defer cancel()
	conn, p, err := m.upgrade(ctx, base, want)
	if err != nil {
		return Peer{}, m.closedOr(err)
	}
	peer, err := m.dialled(ctx, conn, base, p, want, tokens)
	if want == "" {
		m.countDial(peer.ID, p) // now that it is known who it was
	}
	return peer, err
}

// DialOver opens a session over a connection of any kind, such as a stream that
// a relay has spliced. If it fails, conn is closed. Otherwise it is as Dial.
func (m *Manager) DialOver(ctx context.Context, conn net.Conn, want identity.ID, tokens []identity.Token) (Peer, error) {
	if err := m.enter(); err != nil {
		_ = conn.Close()
		return Peer{}, err
	}
	defer m.leave()
	ctx, cancel := m.bounded(ctx, m.cfg.HandshakeTimeout)
	defer cancel()
	return m.dialled(ctx, conn, "", Relayed, want, tokens)
}

// Meet finds out whether the node with that id answers at a base URL: it goes as far as
// TLS, in which the other end proves its key, and hangs up. Errors are as Dial's.
func (m *Manager) Meet(ctx context.Context, url string, want identity.ID) error {
	base, err := identity.ParseURL(url)
	if err != nil {
		return err
	}
	if err := m.enter(); err != nil {
		return err
	}
	defer m.leave()
	ctx, cancel := m.bounded(ctx, m.cfg.HandshakeTimeout)
	defer cancel()
	conn, _, err := m.upgrade(ctx, base, want)
	if err != nil {
		return m.closedOr(err)
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })()
	_, peer, err := m.secure(ctx, &countedConn{Conn: conn, limit: maxUnproven}, dialer)
	switch {
	case err != nil:
		return m.closedOr(err)
	case peer != want:
		return &IdentityError{Want: want, Got: peer}
	}
	return nil
}

func (m *Manager) dialled(ctx context.Context, conn net.Conn, base string, p Path, want identity.ID, tokens []identity.Token) (Peer, error) {
	g, err := m.handshake(ctx, conn, dialer, want, tokens)
	if err != nil {
		_ = conn.Close()
		if inWords(err) { // both ends log a refusal; all else is the caller's to log
			m.refused.log(ctx, m.cfg.Log, slog.LevelWarn, "a session was refused", conn.RemoteAddr().String(), err)
		}
		return Peer{}, m.closedOr(err)
	}
	l := m.newLink(g, true, p)
	l.url = base
	if err := m.register(l); err != nil {
		_ = conn.Close()
		return Peer{}, err
	}
	if survivor, err := m.link(l.peer); err == nil {
		l = survivor
	}
	return l.snapshot(), nil
}

// bounded is ctx with a timeout, ended by Close too.
func (m *Manager) bounded(ctx context.Context, limit time.Duration) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	stop := context.AfterFunc(m.ctx, cancel)
	return ctx, func() { stop(); cancel() }
}

// closedOr returns ErrClosed if Close is why err came about.
func (m *Manager) closedOr(err error) error {
	if m.ctx.Err() != nil {
		return ErrClosed
	}
	return err
}

// upgrade dials base and makes a WebSocket of the connection. The request is counted for the one that
// is meant.
func (m *Manager) upgrade(ctx context.Context, base string, want identity.ID) (net.Conn, Path, error) {
	var raw atomic.Pointer[net.Conn] // a dial that is given up may still end beside us
	// A transport for this one request: it pools nothing, so raw is the connection
	// that the request used. No proxy, no redirects: what is dialled is what was
	// checked.
	transport := &http.Transport{
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			conn, err := m.cfg.DialContext(ctx, network, address)
			if err == nil {
				raw.Store(&conn)
			}
			return conn, err
		},
		DisableKeepAlives:      true,
		DisableCompression:     true,
		MaxResponseHeaderBytes: 16 << 10,
	}
	client := &http.Client{
		Transport:     transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	ws, response, err := websocket.Dial(ctx, base+"/gossip", &websocket.DialOptions{
		HTTPClient:   client,
		HTTPHeader:   http.Header{"Ngrok-Skip-Browser-Warning": {"1"}, "User-Agent": {"caucus"}},
		Subprotocols: []string{subprotocol},
	})
	p := Direct
	socket := raw.Load()
	if socket != nil {
		p = pathOfDial(base, *socket)
		m.countDial(want, p)
	}
	if err != nil {
		return nil, p, m.dialError(ctx, base, response, err)
	}
	if ws.Subprotocol() != subprotocol {
		_ = ws.CloseNow()
		return nil, p, notCaucus(base, "it opened a WebSocket that is none of caucus's")
	}
	return newWSConn(ws, *socket), p, nil
}
