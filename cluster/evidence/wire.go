package evidence

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"caucus/cluster/identity"
)

// An exchange is frames: kind u8 | length u32 | payload.
const (
	frameHeads   byte = 1 + iota // heads, both ends' first frame
	frameWants                   // chains u16 | proofs u16 | id 32, epoch u64, from u64 each | id 32 each
	frameRecords                 // (length u32 | record) ..., records of one chain in order
	frameProof                   // a proof
	frameDone                    // empty: nothing more comes
	frameBusy                    // empty, instead of heads: too many exchanges are under way
)

const (
	frameHeader = 5
	wantSize    = 32 + 8 + 8
	maxWants    = 4 + MaxOrigins*(MaxEpochs*wantSize+32)
	// chunk is how many bytes of records go in a frame and into one commit, if they
	// are not a single record.
	chunk = 64 << 10
	// maxFrame is the longest payload: a proof of two records at their limit.
	maxFrame = 5 + 2*MaxRecord
)

// errKind says that a frame of another kind was due.
var errKind = errors.New("an unexpected frame")

// wire reads and writes frames on a connection, each step within the idle time.
// One goroutine reads while one writes.
type wire struct {
	conn net.Conn
	idle time.Duration
	r    *bufio.Reader
	w    *bufio.Writer
	buf  []byte // what read returned last
}

func newWire(conn net.Conn, idle time.Duration) *wire {
	return &wire{conn: conn, idle: idle, r: bufio.NewReaderSize(conn, 16<<10), w: bufio.NewWriterSize(conn, 16<<10)}
}

// read returns the next frame. The payload is good until the next call.
func (w *wire) read() (kind byte, payload []byte, err error) {
	// Not checked: a peer that has closed may make it fail with its last frames already
	// in the buffer. A read that matters says itself what is wrong.
	_ = w.conn.SetReadDeadline(time.Now().Add(w.idle))
	var head [frameHeader]byte
	if _, err := io.ReadFull(w.r, head[:]); err != nil {
		return 0, nil, err
	}
	n := binary.BigEndian.Uint32(head[1:])
	if n > maxFrame {
		return 0, nil, fmt.Errorf("a frame of %d bytes, the limit is %d", n, maxFrame)
	}
	// Grow with what comes, not with what was announced.
	w.buf = w.buf[:0]
	for len(w.buf) < int(n) {
		part := min(int(n)-len(w.buf), 16<<10)
		w.buf = append(w.buf, make([]byte, part)...)
		if _, err := io.ReadFull(w.r, w.buf[len(w.buf)-part:]); err != nil {
			return 0, nil, err
		}
	}
	return head[0], w.buf, nil
}

// expect returns the payload of the next frame, which must be of a kind.
func (w *wire) expect(kind byte) ([]byte, error) {
	got, payload, err := w.read()
	switch {
	case err != nil:
		return nil, err
	case got == frameBusy:
		return nil, ErrBusy
	case got != kind:
		return nil, fmt.Errorf("%w: kind %d, want %d", errKind, got, kind)
	}
	return payload, nil
}

// write buffers a frame.
func (w *wire) write(kind byte, payload ...[]byte) error {
	if err := w.conn.SetWriteDeadline(time.Now().Add(w.idle)); err != nil {
		return err
	}
	n := 0
	for _, p := range payload {
		n += len(p)
	}
	head := binary.BigEndian.AppendUint32([]byte{kind}, uint32(n))
	if _, err := w.w.Write(head); err != nil {
		return err
	}
	for _, p := range payload {
		if _, err := w.w.Write(p); err != nil {
			return err
		}
	}
	return nil
}

func (w *wire) flush() error {
	if err := w.conn.SetWriteDeadline(time.Now().Add(w.idle)); err != nil {
		return err
	}
	return w.w.Flush()
}

func (w wants) encode() []byte {
	b := binary.BigEndian.AppendUint16(nil, uint16(len(w.chains)))
	b = binary.BigEndian.AppendUint16(b, uint16(len(w.proofs)))
	for _, c := range w.chains {
		b = append(b, c.id.origin...)
		b = binary.BigEndian.AppendUint64(b, c.id.epoch)
		b = binary.BigEndian.AppendUint64(b, c.from)
	}
	for _, id := range w.proofs {
		b = append(b, id...)
	}
	return b
}

// decodeWants takes no chain and no proof twice, so that what is served is bounded
// by what is held.
func decodeWants(b []byte) (wants, error) {
	d := decoder{b: b}
	chains, proofs := int(d.uint16()), int(d.uint16())
	if d.err != nil || len(b) > maxWants || len(d.b) != chains*wantSize+proofs*32 {
		return wants{}, fmt.Errorf("wants of %d bytes", len(b))
	}
	w := wants{chains: make([]want, chains), proofs: make([]identity.ID, proofs)}
	for i := range w.chains {
		id, err := d.chainID()
		if err != nil {
			return wants{}, err
		}
		w.chains[i] = want{id, d.uint64()}
		if i > 0 && compareChains(w.chains[i-1].id, id) >= 0 {
			return wants{}, errors.New("wants that are not in order")
		}
	}
	for i := range w.proofs {
		id, err := d.id()
		if err != nil {
			return wants{}, err
		}
		if w.proofs[i] = id; i > 0 && w.proofs[i-1] >= id {
			return wants{}, errors.New("wants that are not in order")
		}
	}
	return w, nil
}
