package ml

import (
	"crypto/sha256"
	"encoding/binary"
	"hash"
	"math"
)

// fingerprinter hashes a fitted model: its kind, its task and every number that can
// change an answer. Lengths go before contents.
type fingerprinter struct {
	h   hash.Hash
	buf []byte
}

func newFingerprint(k Kind, t Task) *fingerprinter {
	f := &fingerprinter{h: sha256.New(), buf: make([]byte, 0, 1024)}
	f.text("caucus model 1")
	f.text(string(k))
	d := t.Digest()
	f.h.Write(d[:])
	return f
}

func (f *fingerprinter) text(s string) {
	f.ints(len(s))
	f.h.Write([]byte(s))
}

func (f *fingerprinter) ints(v ...int) {
	for _, x := range v {
		f.word(uint64(x))
	}
	f.flush()
}

func (f *fingerprinter) floats(v []float64) {
	f.word(uint64(len(v)))
	for _, x := range v {
		f.word(math.Float64bits(x))
	}
	f.flush()
}

func (f *fingerprinter) int32s(v []int32) {
	f.word(uint64(len(v)))
	for _, x := range v {
		f.word(uint64(uint32(x)))
	}
	f.flush()
}

func (f *fingerprinter) split(s *split) {
	f.word(math.Float64bits(s.threshold))
	f.word(uint64(uint32(s.feature)))
	f.word(uint64(uint32(s.next[0]))<<32 | uint64(uint32(s.next[1])))
}

func (f *fingerprinter) scaler(s *scaler) {
	if s == nil {
		f.ints(0)
		return
	}
	f.ints(1)
	f.floats(s.mean)
	f.floats(s.sd)
}

func (f *fingerprinter) word(x uint64) {
	f.buf = binary.LittleEndian.AppendUint64(f.buf, x)
	if len(f.buf) >= 1024 {
		f.flush()
	}
}

func (f *fingerprinter) flush() {
	f.h.Write(f.buf)
	f.buf = f.buf[:0]
}

func (f *fingerprinter) sum() (d [32]byte) {
	f.flush()
	f.h.Sum(d[:0])
	return d
}
