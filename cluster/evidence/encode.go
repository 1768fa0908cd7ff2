package evidence

import (
	"crypto/ed25519"
	"encoding/binary"
	"errors"
	"fmt"
)

// The encoding, version 1, integers big-endian. Each field has one form only, so a
// record has one encoding and equal hashes mean equal records:
//
//	version u8 | public key 32 | epoch u64 | sequence u64 | kept u16 | total u64 |
//	lamport u64 | previous 32 | task 32 | round 16 | features 32 | label u16 |
//	classes u16 | votes u16 | votes ... | signature 64, over recordContext and all before it
//
// and a vote, in the order of the voters' ids:
//
//	public key 32 | fingerprint 32 | label u16 | probabilities u8 (0 or 1) |
//	classes x u32 if 1 | signature 64
const (
	recordVersion = 1
	recordFixed   = 1 + 32 + 8 + 8 + 2 + 8 + 8 + 32 + 32 + 16 + 32 + 2 + 2 + 2
	voteFixed     = 32 + 32 + 2 + 1 + 64
)

// Size returns the bytes of the encoding, signature included.
func (r *Record) Size() int {
	n := recordFixed + ed25519.SignatureSize
	for i := range r.Votes {
		n += voteFixed + 4*len(r.Votes[i].Probabilities)
	}
	return n
}

// appendBody appends all but the signature.
func (r *Record) appendBody(b []byte) []byte {
	be := binary.BigEndian
	b = append(b, recordVersion)
	b = append(b, r.PublicKey...)
	b = be.AppendUint64(b, r.Epoch)
	b = be.AppendUint64(b, r.Sequence)
	b = be.AppendUint16(b, r.Kept)
	b = be.AppendUint64(b, r.Total)
	b = be.AppendUint64(b, r.Lamport)
	b = append(b, r.Previous[:]...)
	b = append(b, r.Task[:]...)
	b = append(b, r.Round[:]...)
	b = append(b, r.Features[:]...)
	b = be.AppendUint16(b, r.Label)
	b = be.AppendUint16(b, r.Classes)
	b = be.AppendUint16(b, uint16(len(r.Votes)))
	for i := range r.Votes {
		v := &r.Votes[i]
		b = append(b, v.PublicKey...)
		b = append(b, v.Fingerprint[:]...)
		b = be.AppendUint16(b, v.Label)
		if v.Probabilities == nil {
			b = append(b, 0)
		} else {
			b = append(b, 1)
			for _, p := range v.Probabilities {
				b = be.AppendUint32(b, p)
			}
		}
		b = append(b, v.Signature...)
	}
	return b
}

// decodeRecord reads a record, which keeps b. What it returns is in form but not
// yet validated.
func decodeRecord(b []byte) (*Record, error) {
	if len(b) > 0 && b[0] != recordVersion {
		return nil, fmt.Errorf("it is of version %d and this node reads version %d; update the older of the two", b[0], recordVersion)
	}
	if len(b) < recordFixed+ed25519.SignatureSize {
		return nil, fmt.Errorf("it has only %d bytes", len(b))
	}
	d := decoder{b: b[1 : len(b)-ed25519.SignatureSize]}
	r := &Record{Raw: b}
	r.PublicKey = d.bytes(32)
	r.Epoch = d.uint64()
	r.Sequence = d.uint64()
	r.Kept = d.uint16()
	r.Total = d.uint64()
	r.Lamport = d.uint64()
	copy(r.Previous[:], d.bytes(32))
	copy(r.Task[:], d.bytes(32))
	copy(r.Round[:], d.bytes(16))
	copy(r.Features[:], d.bytes(32))
	r.Label = d.uint16()
	r.Classes = d.uint16()
	votes := int(d.uint16())
	if votes > MaxVotes || votes*voteFixed > len(d.b) {
		return nil, fmt.Errorf("%d votes do not fit", votes)
	}
	r.Votes = make([]Vote, votes)
	for i := range r.Votes {
		if err := r.Votes[i].decode(&d, int(r.Classes)); err != nil {
			return nil, err
		}
	}
	if d.err != nil {
		return nil, d.err
	}
	if len(d.b) != 0 {
		return nil, fmt.Errorf("%d bytes too many", len(d.b))
	}
	r.Origin = idOf(r.PublicKey)
	return r, nil
}

func (v *Vote) decode(d *decoder, classes int) error {
	v.PublicKey = d.bytes(32)
	copy(v.Fingerprint[:], d.bytes(32))
	v.Label = d.uint16()
	switch has := d.byte(); {
	case has > 1:
		return fmt.Errorf("a vote is marked %d, want 0 or 1", has)
	case has == 1:
		if classes == 0 || classes > MaxClasses || 4*classes > len(d.b) {
			return fmt.Errorf("probabilities of %d classes do not fit", classes)
		}
		v.Probabilities = make([]uint32, classes)
		for k := range v.Probabilities {
			v.Probabilities[k] = d.uint32()
		}
	}
	v.Signature = d.bytes(ed25519.SignatureSize)
	if d.err != nil {
		return d.err
	}
	v.Voter = idOf(v.PublicKey)
	return nil
}

// decoder reads from b. After an error it gives zeros; what it reads is only good
// if err is nil in the end.
type decoder struct {
	b   []byte
	err error
}

var (
	errShort = errors.New("it ends too early")
	zeros    [64]byte // handed out after an error and never written
)

// bytes returns the next n bytes, not copied. n is at most len(zeros).
func (d *decoder) bytes(n int) []byte {
	if len(d.b) < n {
		d.b, d.err = nil, errShort
		return zeros[:n:n]
	}
	b := d.b[:n:n]
	d.b = d.b[n:]
	return b
}

func (d *decoder) byte() byte     { return d.bytes(1)[0] }
func (d *decoder) uint16() uint16 { return binary.BigEndian.Uint16(d.bytes(2)) }
func (d *decoder) uint32() uint32 { return binary.BigEndian.Uint32(d.bytes(4)) }
func (d *decoder) uint64() uint64 { return binary.BigEndian.Uint64(d.bytes(8)) }
