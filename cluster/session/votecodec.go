package session

import (
	"encoding/binary"
	"fmt"
	"math"
	"slices"

	"caucus/cluster/merkle"
)

// The encodings, version 1, big-endian. Every value has one encoding, and
// nothing may follow it.
//
//	question: 1 u8 | flags u8 (1: sign, 2: or jointly) | round 16 | task 32 | request id u8+bytes |
//	          columns u16 | rows u32 | values f64...
//	answer:   1 u8 | flags u8 (1: probabilities, 2: signed, 4: jointly) | outcome u8 | reason u8+bytes |
//	          micros u32 | classes u16 | rows u32 | index u16, size u16 | labels u16... |
//	          probabilities u32... | fingerprint 32, signatures 64 a row | path 32...
const (
	voteVersion       = 1
	flagSign          = 1
	flagJointly       = 2
	flagProbabilities = 1
	flagSigned        = 2
	flagJoint         = 4
	signatureLength   = 64
)

// Append encodes q after dst. A question that breaks the limits is encoded as
// well as may be; the other end refuses it.
func (q *Question) Append(dst []byte) []byte {
	var flags byte
	if q.Sign {
		flags = flagSign
	}
	if q.Jointly {
		flags |= flagJointly
	}
	id := q.RequestID[:min(len(q.RequestID), maxRequestID)]
	dst = slices.Grow(dst, 57+len(id)+8*len(q.Rows))
	dst = append(dst, voteVersion, flags)
	dst = append(dst, q.Round[:]...)
	dst = append(dst, q.Task[:]...)
	dst = append(dst, byte(len(id)))
	for i := range len(id) {
		if c := id[i]; printableASCII(c) {
			dst = append(dst, c)
		} else {
			dst = append(dst, '?')
		}
	}
	dst = binary.BigEndian.AppendUint16(dst, uint16(q.Columns))
	dst = binary.BigEndian.AppendUint32(dst, uint32(q.Len()))
	for _, v := range q.Rows {
		dst = binary.BigEndian.AppendUint64(dst, math.Float64bits(v))
	}
	return dst
}

func printableASCII(c byte) bool { return c > ' ' && c < 0x7f }

// Decode reads a question into q, reusing its slices: q.Rows is overwritten by
// the next Decode. It shares no memory with b. Every failure wraps ErrFrame and
// leaves q undefined.
func (q *Question) Decode(b []byte) error {
	r := reading{b: b}
	version, flags := r.version()
	r.copy(q.Round[:])
	r.copy(q.Task[:])
	id := r.bytes(int(r.u8()))
	q.Columns = int(r.u16())
	rows := r.u32()
	if r.failed {
		return r.err("a question is cut short")
	}
	switch {
	case version != voteVersion:
		return r.err("a question is of version %d, want %d", version, voteVersion)
	case flags&^(flagSign|flagJointly) != 0:
		return r.err("a question has unknown flags %#x", flags)
	case flags == flagJointly, flags&flagJointly != 0 && rows != 1:
		return r.err("a question wants a joint signature, which is for one row that is to be signed")
	case len(id) > maxRequestID || slices.ContainsFunc(id, func(c byte) bool { return !printableASCII(c) }):
		return r.err("a question's request id is not up to %d printable characters", maxRequestID)
	case q.Columns < 1 || q.Columns > MaxColumns:
		return r.err("a question has %d columns, from 1 to %d are allowed", q.Columns, MaxColumns)
	case rows < 1 || uint64(rows)*uint64(q.Columns)*8 > MaxMessage:
		return r.err("a question has %d rows of %d columns, from 1 row to %d bytes are allowed", rows, q.Columns, MaxMessage)
	case len(r.b) != int(rows)*q.Columns*8:
		return r.err("a question of %d rows of %d columns has %d bytes of values", rows, q.Columns, len(r.b))
	}
	q.Sign, q.Jointly = flags&flagSign != 0, flags&flagJointly != 0
	if q.RequestID != string(id) {
		q.RequestID = string(id)
	}
	n := int(rows) * q.Columns
	q.Rows = slices.Grow(q.Rows[:0], n)[:n]
	for i := range q.Rows {
		bits := binary.BigEndian.Uint64(r.b[8*i:])
		if bits&infinite == infinite { // Inf and NaN have all bits of the exponent set
			return r.err("a question's row %d, column %d is not a finite number", i/q.Columns, i%q.Columns)
		}
		q.Rows[i] = math.Float64frombits(bits)
	}
	return nil
}

const infinite = 0x7ff0_0000_0000_0000

// Append encodes a after dst.
func (a *Answer) Append(dst []byte) []byte {
	var flags byte
	if len(a.Probabilities) > 0 {
		flags |= flagProbabilities
	}
	if len(a.Signature) > 0 {
		flags |= flagSigned
	}
	if !a.Inclusion.Alone() {
		flags |= flagJoint
	}
	reason := a.Reason[:min(len(a.Reason), maxReason)]
	dst = slices.Grow(dst, 46+len(reason)+2*len(a.Labels)+4*len(a.Probabilities)+len(a.Signature)+4+len(a.Inclusion.Path))
	dst = append(dst, voteVersion, flags, a.Outcome, byte(len(reason)))
	dst = append(dst, reason...)
	dst = binary.BigEndian.AppendUint32(dst, a.Micros)
	dst = binary.BigEndian.AppendUint16(dst, uint16(a.Classes))
	dst = binary.BigEndian.AppendUint32(dst, uint32(len(a.Labels)))
	if flags&flagJoint != 0 {
		dst = binary.BigEndian.AppendUint16(dst, a.Inclusion.Index)
		dst = binary.BigEndian.AppendUint16(dst, a.Inclusion.Size)
	}
	for _, l := range a.Labels {
		dst = binary.BigEndian.AppendUint16(dst, l)
	}
	for _, p := range a.Probabilities {
		dst = binary.BigEndian.AppendUint32(dst, p)
	}
	if flags&flagSigned != 0 {
		dst = append(dst, a.Fingerprint[:]...)
		dst = append(dst, a.Signature...)
	}
	if flags&flagJoint != 0 {
		dst = append(dst, a.Inclusion.Path...)
	}
	return dst
}

// Decode reads an answer into a, reusing its slices, which the next Decode
// overwrites. It shares no memory with b. Reason comes out printable. Every
// failure wraps ErrFrame and leaves a undefined.
func (a *Answer) Decode(b []byte) error {
	r := reading{b: b}
	version, flags := r.version()
	a.Outcome = r.u8()
	reason := r.bytes(int(r.u8()))
	a.Micros = r.u32()
	a.Classes = int(r.u16())
	rows := int(r.u32())
	if r.failed {
		return r.err("an answer is cut short")
	}
	switch {
	case version != voteVersion:
		return r.err("an answer is of version %d, want %d", version, voteVersion)
	case flags&^(flagProbabilities|flagSigned|flagJoint) != 0:
		return r.err("an answer has unknown flags %#x", flags)
	case flags&flagJoint != 0 && (flags&flagSigned == 0 || rows != 1):
		return r.err("an answer of %d rows has a joint signature, which is for one row", rows)
	case len(reason) > maxReason:
		return r.err("an answer's reason has %d bytes, the limit is %d", len(reason), maxReason)
	case a.Classes > MaxClasses:
		return r.err("an answer has %d classes, the limit is %d", a.Classes, MaxClasses)
	case rows > MaxMessage:
		return r.err("an answer has %d rows", rows)
	case flags != 0 && rows == 0, flags&flagProbabilities != 0 && a.Classes == 0:
		return r.err("an answer has probabilities or signatures of nothing")
	}
	want := 2 * int64(rows)
	if flags&flagProbabilities != 0 {
		want += 4 * int64(rows) * int64(a.Classes)
	}
	if flags&flagSigned != 0 {
		want += 32 + signatureLength*int64(rows)
	}
	a.Inclusion.Index, a.Inclusion.Size = 0, 0
	if flags&flagJoint != 0 {
		a.Inclusion.Index, a.Inclusion.Size = r.u16(), r.u16()
		path := merkle.PathLength(int(a.Inclusion.Index), int(a.Inclusion.Size))
		if path < merkle.Size { // also of the only leaf, which is signed alone
			return r.err("an answer's signature is over vote %d of %d", a.Inclusion.Index, a.Inclusion.Size)
		}
		want += int64(path)
	}
	if int64(len(r.b)) != want {
		return r.err("an answer of %d rows and %d classes has %d bytes of votes, want %d", rows, a.Classes, len(r.b), want)
	}
	a.Reason = ""
	if len(reason) > 0 {
		a.Reason = printable(reason)
	}
	a.Labels = slices.Grow(a.Labels[:0], rows)[:rows]
	labels := r.bytes(2 * rows)
	for i := range a.Labels {
		a.Labels[i] = binary.BigEndian.Uint16(labels[2*i:])
	}
	a.Probabilities = a.Probabilities[:0]
	if flags&flagProbabilities != 0 {
		n := rows * a.Classes
		a.Probabilities = slices.Grow(a.Probabilities, n)[:n]
		p := r.bytes(4 * n)
		for i := range a.Probabilities {
			if a.Probabilities[i] = binary.BigEndian.Uint32(p[4*i:]); a.Probabilities[i] > million {
				return r.err("an answer's row %d has the probability %d millionths", i/a.Classes, a.Probabilities[i])
			}
		}
	}
	a.Fingerprint, a.Signature, a.Inclusion.Path = [32]byte{}, a.Signature[:0], a.Inclusion.Path[:0]
	if flags&flagSigned != 0 {
		r.copy(a.Fingerprint[:])
		a.Signature = append(a.Signature, r.bytes(signatureLength*rows)...)
		a.Inclusion.Path = append(a.Inclusion.Path, r.b...)
	}
	return nil
}

// reading takes values off the front of b. After the first that is not there,
// all are zero and failed is set.
type reading struct {
	b      []byte
	failed bool
}

func (r *reading) err(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrFrame, fmt.Sprintf(format, args...))
}

func (r *reading) bytes(n int) []byte {
	if n > len(r.b) {
		r.failed, r.b = true, nil
		return nil
	}
	b := r.b[:n]
	r.b = r.b[n:]
	return b
}

// version takes the version and the flags.
func (r *reading) version() (version, flags byte) { return r.u8(), r.u8() }

func (r *reading) copy(to []byte) { copy(to, r.bytes(len(to))) }

func (r *reading) u8() byte {
	if b := r.bytes(1); b != nil {
		return b[0]
	}
	return 0
}

func (r *reading) u16() uint16 {
	if b := r.bytes(2); b != nil {
		return binary.BigEndian.Uint16(b)
	}
	return 0
}

func (r *reading) u32() uint32 {
	if b := r.bytes(4); b != nil {
		return binary.BigEndian.Uint32(b)
	}
	return 0
}
