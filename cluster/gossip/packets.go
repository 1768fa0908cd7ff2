package gossip

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"hash/crc32"
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
	out := &outlet{}
	defer func() {
		if out.conn != nil {
			t.forget(out.conn)
		}
	}()
	idle := time.NewTimer(idleWriter)
	defer idle.Stop()
	var batch [][]byte
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
		batch = append(batch[:0], packet)
		size := len(packet)
		for more := true; more && size < batchBytes; {
			select {
			case packet = <-w.queue:
				batch, size = append(batch, packet), size+len(packet)
			default:
				more = false
			}
		}
		if t.send(w.id, out, batch) {
			t.sent.Add(uint64(len(batch)))
		} else {
			t.dropped.Add(uint64(len(batch)))
		}
	}
}

// outlet is the stream on which a peer's packets go out.
type outlet struct {
	conn net.Conn // nil: none is open
	sent history  // on conn
	buf  []byte
}

// send writes a batch, on a new stream when there is none or it is broken (the session under it may have been
// replaced). It reports whether it was written.
func (t *Transport) send(id identity.ID, out *outlet, batch [][]byte) bool {
	for range 2 {
		if out.conn == nil && t.ctx.Err() == nil {
			out.conn, out.sent = t.openPackets(id), history{}
		}
		if out.conn == nil {
			return false
		}
		out.buf = out.buf[:0]
		for _, packet := range batch {
			out.buf = out.sent.append(out.buf, packet)
		}
		out.conn.SetWriteDeadline(time.Now().Add(writeWithin))
		if _, err := out.conn.Write(out.buf); err == nil {
			return true
		}
		t.forget(out.conn)
		out.conn = nil
	}
	return false
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
	var got history
	for {
		b, err := got.read(r)
		if err != nil {
			if errors.Is(err, errPacketSize) || errors.Is(err, errPatch) {
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
