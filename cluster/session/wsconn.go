package session

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/coder/websocket"
)

// maxWSMessage is the most bytes of one WebSocket message: one TLS record, with
// room to spare.
const maxWSMessage = 32 << 10

// wsConn is a WebSocket as a byte stream: each Write is one binary message, and
// a Read does not mind where messages end.
//
// It is our own because websocket.NetConn lifts the read limit and puts a
// context, a timer and a lock on every call. One goroutine may read and one
// write. After a deadline has passed it is of no more use, like the library's
// connection under it: sessions only set one to get out of a handshake.
type wsConn struct {
	ws     *websocket.Conn
	raw    net.Conn  // the TCP connection under it, for addresses and deadlines
	reader io.Reader // the message being read; nil between messages
}

var _ net.Conn = (*wsConn)(nil)

func newWSConn(ws *websocket.Conn, raw net.Conn) *wsConn {
	ws.SetReadLimit(maxWSMessage)
	return &wsConn{ws: ws, raw: raw}
}

func (c *wsConn) Read(p []byte) (int, error) {
	for {
		if c.reader == nil {
			kind, r, err := c.ws.Reader(context.Background())
			if err != nil {
				return 0, readError(err)
			}
			if kind != websocket.MessageBinary {
				return 0, errors.New("session: a text message, where only binary ones are spoken")
			}
			c.reader = r
		}
		n, err := c.reader.Read(p)
		if errors.Is(err, io.EOF) {
			c.reader, err = nil, nil
		}
		if n > 0 || err != nil {
			return n, err
		}
	}
}

// readError makes an orderly end of the WebSocket the end of the stream.
func readError(err error) error {
	switch websocket.CloseStatus(err) {
	case websocket.StatusNormalClosure, websocket.StatusGoingAway:
		return io.EOF
	}
	return err
}

func (c *wsConn) Write(p []byte) (int, error) {
	if err := c.ws.Write(context.Background(), websocket.MessageBinary, p); err != nil {
		return 0, err
	}
	return len(p), nil
}

// Close closes the socket without the closing handshake, which would wait for
// the peer. What there is to say at the end is said in a frame.
func (c *wsConn) Close() error {
	// Unblock whoever is in Read or Write first: CloseNow waits for them.
	_ = c.raw.SetDeadline(time.Unix(1, 0))
	return c.ws.CloseNow()
}

func (c *wsConn) LocalAddr() net.Addr                { return c.raw.LocalAddr() }
func (c *wsConn) RemoteAddr() net.Addr               { return c.raw.RemoteAddr() }
func (c *wsConn) SetDeadline(t time.Time) error      { return c.raw.SetDeadline(t) }
func (c *wsConn) SetReadDeadline(t time.Time) error  { return c.raw.SetReadDeadline(t) }
func (c *wsConn) SetWriteDeadline(t time.Time) error { return c.raw.SetWriteDeadline(t) }

// hijackCatcher is a ResponseWriter that keeps the connection which the
// WebSocket library takes over, because the library does not give it out.
type hijackCatcher struct {
	http.ResponseWriter
	raw net.Conn
}

func (h *hijackCatcher) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, rw, err := http.NewResponseController(h.ResponseWriter).Hijack()
	if err != nil {
		return nil, nil, fmt.Errorf("take over the connection: %w", err)
	}
	// The HTTP server's timeouts were for the request.
	if err := conn.SetDeadline(time.Time{}); err != nil {
		_ = conn.Close()
		return nil, nil, fmt.Errorf("lift the request's deadline: %w", err)
	}
	h.raw = conn
	return conn, rw, nil
}

// WriteHeaderNow passes on to writers, like Gin's, that hold the header back.
func (h *hijackCatcher) WriteHeaderNow() {
	if w, ok := h.ResponseWriter.(interface{ WriteHeaderNow() }); ok {
		w.WriteHeaderNow()
	}
}
