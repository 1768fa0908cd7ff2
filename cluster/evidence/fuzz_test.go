package evidence

import (
	"bytes"
	"encoding/binary"
	"errors"
	"testing"
)

func FuzzParseRecord(f *testing.F) {
	k := newKey(f)
	for _, r := range []*Record{sample(f, k), sample(f, k, newKey(f), newKey(f)), forge(f, k, sample(f, k), nil)} {
		f.Add(r.Raw)
	}
	f.Add([]byte{recordVersion})
	f.Add(bytes.Repeat([]byte{1}, 600))
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := ParseRecord(b)
		if err != nil {
			if !errors.Is(err, ErrRecord) {
				t.Fatalf("error of no kind: %v", err)
			}
			return
		}
		// Whatever the signatures, what decodes has one encoding.
		again := append(r.appendBody(nil), r.Raw[len(r.Raw)-64:]...)
		if !bytes.Equal(again, b) || r.Size() != len(b) {
			t.Fatalf("two encodings of %+v", r)
		}
		_ = r.Verify()
	})
}

func FuzzParseProof(f *testing.F) {
	k := newKey(f)
	p := mustProof(f, forge(f, k, nil, nil), forge(f, k, nil, func(r *Record) { r.Label = 1 }))
	f.Add(p.Raw)
	f.Add([]byte{proofVersion, 0xff, 0xff, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, b []byte) {
		if p, err := decodeProof(b); err == nil {
			if !bytes.Equal(p.Raw, b) {
				t.Fatal("two encodings of one proof")
			}
		} else if !errors.Is(err, ErrProof) {
			t.Fatalf("error of no kind: %v", err)
		}
	})
}

func FuzzHeads(f *testing.F) {
	n := newNode(f)
	n.label(f, rowKey(0, 1), 1)
	k := newKey(f)
	n.receive(f, forge(f, k, nil, nil), Stored)
	f.Add(n.Snapshot().Heads())
	n.receive(f, forge(f, k, nil, func(r *Record) { r.Label = 1 }), Fork)
	f.Add(n.Snapshot().Heads())
	s := n.Snapshot()
	f.Fuzz(func(t *testing.T, b []byte) {
		if _, err := s.Compare(b); err != nil && !errors.Is(err, ErrHeads) && !errors.Is(err, ErrTask) {
			t.Fatalf("error of no kind: %v", err)
		}
		if w, err := decodeWants(b); err == nil && !bytes.Equal(w.encode(), b) {
			t.Fatal("two encodings of the same wants")
		}
	})
}

func FuzzBroadcast(f *testing.F) {
	n := newNode(f)
	n.label(f, rowKey(0, 1), 1)
	f.Add(n.out.take()[0])
	n.labels(f, 2, 4)
	f.Add(n.out.take()[0])
	f.Add(append([]byte{messageProof}, make([]byte, 64)...))
	f.Fuzz(func(t *testing.T, b []byte) { _, _ = n.HandleBroadcast(b) })
}

// FuzzExchange plays any bytes to an exchange.
func FuzzExchange(f *testing.F) {
	k := newKey(f)
	source := newNode(f)
	r := forge(f, k, nil, nil)
	source.receive(f, r, Stored)
	frame := func(kind byte, b []byte) []byte {
		return append(binary.BigEndian.AppendUint32([]byte{kind}, uint32(len(b))), b...)
	}
	good := frame(frameHeads, source.Snapshot().Heads())
	good = append(good, frame(frameWants, wants{}.encode())...)
	f.Add(append(bytes.Clone(good), frame(frameRecords, records(r))...))
	f.Add(append(bytes.Clone(good), frame(frameDone, nil)...))
	f.Add([]byte{frameBusy, 0, 0, 0, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		n := newNode(t)
		own := n.label(t, rowKey(0, 1), 1)
		_, _ = n.Sync(t.Context(), playedConn(b))
		if got := n.Snapshot(); got.Records() < 1 || got.Proof(own.Origin) != nil {
			t.Fatal("a stranger's bytes took something away")
		}
	})
}
