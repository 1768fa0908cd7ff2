package gossip

import (
	"errors"
	"net"
	"sync/atomic"

	"caucus/cluster/identity"
)

// ErrStreamTooLong is what memberlist reads from a stream that passes MaxStream.
var ErrStreamTooLong = errors.New("gossip: the stream is longer than its limit")

// stream is one of memberlist's streams: it shows the peer's placeholder as its
// address, stops reading at MaxStream and is closed by Shutdown.
type stream struct {
	net.Conn
	t      *Transport
	remote *net.TCPAddr
	read   int // only memberlist's one reader touches it
	closed atomic.Bool
}

// wrap takes conn over; on an error it is closed already.
func (t *Transport) wrap(peer identity.ID, conn net.Conn) (net.Conn, error) {
	s := &stream{Conn: conn, t: t, remote: &net.TCPAddr{IP: peer.Placeholder().AsSlice(), Port: Port}}
	if !t.remember(s) {
		conn.Close()
		return nil, ErrClosed
	}
	return s, nil
}

func (s *stream) RemoteAddr() net.Addr { return s.remote }

func (s *stream) Read(b []byte) (int, error) {
	if s.read >= MaxStream {
		return 0, ErrStreamTooLong
	}
	if room := MaxStream - s.read; len(b) > room {
		b = b[:room]
	}
	n, err := s.Conn.Read(b)
	s.read += n
	return n, err
}

func (s *stream) Close() error {
	if s.closed.Swap(true) {
		return nil
	}
	s.t.mu.Lock()
	delete(s.t.conns, s)
	s.t.mu.Unlock()
	return s.Conn.Close()
}
