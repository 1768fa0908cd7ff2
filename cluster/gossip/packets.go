package gossip

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
	"net"
	"time"

	"github.com/hashicorp/memberlist"

	"caucus/cluster/identity"
	"caucus/cluster/session"
)

// writer sends packets to one peer from a queue.
type writer struct {
	id    identity.ID
	queue chan []byte
}

// writer returns the peer's writer, which it starts if there is none; nil after Shutdown.
func (t *Transport) writer(id identity.ID) *writer {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return nil
	}
	w := t.writers[id]
	if w == nil {
		w = &writer{id: id, queue: make(chan []byte, queueLength)}
		t.writers[id] = w
		t.wg.Add(1)
		go t.drain(w)
	}
	return w
}

// retire takes an idle writer out, unless a packet came in meanwhile.
func (t *Transport) retire(w *writer) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(w.queue) > 0 {
		return false
	}
	delete(t.writers, w.id)
	return true
}

// drain writes what is queued for one peer until the transport ends or nothing comes for long.
func (t *Transport) drain(w *writer) {
	defer t.wg.Done()
	var conn net.Conn
	defer func() {
		if conn != nil {
			t.forget(conn)
		}
	}()
	idle := time.NewTimer(idleWriter)
	defer idle.Stop()
	buf := make([]byte, 0, 2048)
	for {
		var packet []byte
		select {
		case <-t.ctx.Done():
			return
		case <-idle.C:
			if t.retire(w) {
				return
			}
			idle.Reset(idleWriter)
			continue
		case packet = <-w.queue:
		}
		idle.Reset(idleWriter)
		// All that waits goes out in one write: the mux below pays by the write.
		buf = appendPacket(buf[:0], packet)
		n := uint64(1)
		for more := true; more && len(buf) < batchBytes; {
			select {
			case packet = <-w.queue:
				buf = appendPacket(buf, packet)
				n++
			default:
				more = false
			}
		}
		conn = t.send(w.id, conn, buf)
		if conn != nil {
			t.sent.Add(n)
		} else {
			t.dropped.Add(n)
		}
	}
}

// send writes a batch on conn, or on a new stream when conn is nil or broken (the session under it
// may have been replaced). It returns the stream to use next, or nil when the batch was lost.
func (t *Transport) send(id identity.ID, conn net.Conn, batch []byte) net.Conn {
	for range 2 {
		if conn == nil && t.ctx.Err() == nil {
			conn = t.openPackets(id)
		}
		if conn == nil {
			return nil
		}
		conn.SetWriteDeadline(time.Now().Add(writeWithin))
		if _, err := conn.Write(batch); err == nil {
			return conn
		}
		t.forget(conn)
		conn = nil
	}
	return nil
}

// openPackets opens the stream for packets to a peer. Without a session it has one opened in the
// background and returns nil: a packet that waited for it would come too late to be of use.
func (t *Transport) openPackets(id identity.ID) net.Conn {
	if !t.cfg.Sessions.Connected(id) {
		t.connect(id)
		return nil
	}
	ctx, cancel := context.WithTimeout(t.ctx, openWithin)
	defer cancel()
	conn, err := t.cfg.Sessions.Open(ctx, id, session.StreamPackets)
	if err != nil {
		t.log.Debug("no stream for packets", "peer", id, "error", err)
		return nil
	}
	if !t.remember(conn) {
		conn.Close()
		return nil
	}
	return conn
}

func (t *Transport) connect(id identity.ID) {
	if !t.enter(nil) {
		return
	}
	go func() {
		defer t.wg.Done()
		ctx, cancel := context.WithTimeout(t.ctx, openWithin)
		defer cancel()
		if err := t.cfg.Connect(ctx, id); err != nil && !errors.Is(err, context.Canceled) {
			t.log.Debug("no session for packets", "peer", id, "error", err)
		}
	}()
}

// readPackets hands the peer's packets to memberlist until the stream ends.
func (t *Transport) readPackets(peer identity.ID, conn net.Conn) {
	from := &net.UDPAddr{IP: peer.Placeholder().AsSlice(), Port: Port}
	r := bufio.NewReaderSize(conn, 4096)
	for {
		b, err := readPacket(r)
		if err != nil {
			if errors.Is(err, errPacketSize) {
				t.cfg.Malformed(peer, err.Error())
			}
			return
		}
		t.received.Add(1)
		if !intact(b) {
			t.cfg.Malformed(peer, "a packet with a wrong checksum") // which memberlist would log without the sender
			continue
		}
		select {
		case t.packets <- &memberlist.Packet{Buf: b, From: from, Timestamp: time.Now()}:
		case <-t.ctx.Done():
			return
		}
	}
}

var errPacketSize = errors.New("gossip: a packet's length is 0 or over the limit")

// checksummed is the first byte of a packet with a CRC-32, which stands in the four bytes after it.
const checksummed = 12

func intact(b []byte) bool {
	return len(b) < 5 || b[0] != checksummed || binary.BigEndian.Uint32(b[1:]) == crc32.ChecksumIEEE(b[5:])
}

func appendPacket(dst, packet []byte) []byte {
	dst = binary.BigEndian.AppendUint16(dst, uint16(len(packet)))
	return append(dst, packet...)
}

// readPacket reads one packet into a slice of its own, which memberlist keeps.
func readPacket(r io.Reader) ([]byte, error) {
	var head [2]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return nil, err
	}
	n := int(binary.BigEndian.Uint16(head[:]))
	if n == 0 || n > MaxPacket {
		return nil, errPacketSize
	}
	b := make([]byte, n)
	if _, err := io.ReadFull(r, b); err != nil {
		return nil, err
	}
	return b, nil
}
