package session

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strings"

	"github.com/coder/websocket"
)

// subprotocol is what both ends name in the upgrade, and protocolHeader what an
// answer of a caucus node carries, so that a dialer knows whom it met even when
// it is refused.
const (
	subprotocol    = "caucus.v1"
	protocolHeader = "Caucus-Protocol"
)

// ServeHTTP is GET /gossip: the accepting end of a session. It returns after
// the handshake, with the session running or the socket closed.
func (m *Manager) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set(protocolHeader, fmt.Sprint(protocolVersion))
	if m.enter() != nil {
		m.refuseRequest(w, r, http.StatusServiceUnavailable, "this node is shutting down")
		return
	}
	defer m.leave()
	if m.unproven.Add(1) > int32(m.cfg.MaxUnproven) {
		m.unproven.Add(-1)
		m.refuseRequest(w, r, http.StatusServiceUnavailable, "too many connections that have not proved themselves: try again in some seconds")
		return
	}
	defer m.unproven.Add(-1)
	conn, err := m.Upgrade(w, r)
	if err != nil {
		return
	}
	// The request's own context ends when this method returns, or earlier.
	_ = m.accepted(m.ctx, conn, r.RemoteAddr, pathOfRequest(r)) // logged there
}

// Upgrade makes a byte stream of a request for a session with whoever is behind this node,
// for a relay to pass on. On an error the request has been answered and the reason logged.
func (m *Manager) Upgrade(w http.ResponseWriter, r *http.Request) (net.Conn, error) {
	w.Header().Set(protocolHeader, fmt.Sprint(protocolVersion))
	// Nodes never send an Origin. Browsers always do, and a page that a
	// member's browser happens to show has no business here.
	if len(r.Header.Values("Origin")) > 0 {
		return nil, m.refuseRequest(w, r, http.StatusForbidden, "sessions are for nodes, not for pages in a browser")
	}
	offered := strings.Join(r.Header.Values("Sec-Websocket-Protocol"), ", ")
	if r.Header.Get("Upgrade") != "" && !slices.Contains(strings.FieldsFunc(offered, func(c rune) bool { return c == ',' || c == ' ' }), subprotocol) {
		return nil, m.refuseRequest(w, r, http.StatusBadRequest, fmt.Sprintf("this node speaks %s and was offered %q: update caucus on the older of the two", subprotocol, printable([]byte(offered))))
	}
	catcher := &hijackCatcher{ResponseWriter: w}
	ws, err := websocket.Accept(catcher, r, &websocket.AcceptOptions{Subprotocols: []string{subprotocol}})
	if err != nil {
		m.refused.log(r.Context(), m.cfg.Log, slog.LevelInfo, "a request for a session could not be upgraded", r.RemoteAddr, err)
		return nil, err
	}
	return newWSConn(ws, catcher.raw), nil
}

// Refuse answers a request for a session with a reason in words, which the dialling node tells its user.
func (m *Manager) Refuse(w http.ResponseWriter, r *http.Request, status int, reason string) {
	w.Header().Set(protocolHeader, fmt.Sprint(protocolVersion))
	_ = m.refuseRequest(w, r, status, reason)
}

// refuseRequest answers a request for a session with a reason in words, and returns it.
func (m *Manager) refuseRequest(w http.ResponseWriter, r *http.Request, status int, reason string) error {
	err := &RefusedError{Reason: reason}
	m.refused.log(r.Context(), m.cfg.Log, slog.LevelInfo, "refused a request for a session", r.RemoteAddr, err)
	if status == http.StatusServiceUnavailable {
		w.Header().Set("Retry-After", "5")
	}
	http.Error(w, reason, status)
	return err
}

// Accept is the accepting end of a session over a connection of any kind, such
// as a stream that a relay has spliced. It returns after the handshake; if that
// fails it has been logged and conn is closed.
func (m *Manager) Accept(ctx context.Context, conn net.Conn) error {
	if err := m.enter(); err != nil {
		_ = conn.Close()
		return err
	}
	defer m.leave()
	if m.unproven.Add(1) > int32(m.cfg.MaxUnproven) {
		m.unproven.Add(-1)
		_ = conn.Close()
		return ErrBusy
	}
	defer m.unproven.Add(-1)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(m.ctx, cancel)()
	return m.accepted(ctx, conn, conn.RemoteAddr().String(), Relayed)
}

func (m *Manager) accepted(ctx context.Context, conn net.Conn, remote string, p Path) error {
	g, err := m.handshake(ctx, conn, acceptor, "", nil)
	if err == nil {
		err = m.register(m.newLink(g, false, p))
	}
	if err != nil {
		_ = conn.Close()
		level := slog.LevelInfo // anybody can cause these
		switch {
		case errors.Is(err, ErrSelf): // a list of seeds may name this node too
			level = slog.LevelDebug
		case inWords(err):
			level = slog.LevelWarn
		}
		m.refused.log(ctx, m.cfg.Log, level, "a session was not accepted", remote, err)
	}
	return err
}

// inWords reports whether err is a refusal, by either end: somebody has to act
// on it.
func inWords(err error) bool {
	var theirs *RefusedError
	var ours *refusal
	return errors.As(err, &theirs) || errors.As(err, &ours)
}
