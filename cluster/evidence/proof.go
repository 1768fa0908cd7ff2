package evidence

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"

	"caucus/cluster/identity"
)

// Proof is two records of one chain, both signed by its origin, that no honest
// origin signs both. It stands by itself: whoever holds it excludes the origin.
type Proof struct {
	Origin identity.ID
	Reason string // what contradicts what
	A, B   *Record
	Raw    []byte
}

// The encoding, version 1: version u8 | length u32 | record | record, the earlier
// record first (by sequence, then hash), so that two records have one proof.
const proofVersion = 1

// newProof makes a proof of two records, or fails if they prove nothing. It checks no signature.
func newProof(a, b *Record) (*Proof, error) {
	if a.Origin != b.Origin || a.Epoch != b.Epoch || a.Task != b.Task {
		return nil, fmt.Errorf("%w: its records are of two chains", ErrProof)
	}
	if a.Sequence > b.Sequence || a.Sequence == b.Sequence && bytes.Compare(a.Hash[:], b.Hash[:]) > 0 {
		a, b = b, a
	}
	reason := contradiction(entryOf(a), entryOf(b))
	if reason == "" {
		return nil, fmt.Errorf("%w: its records %d and %d go together", ErrProof, a.Sequence, b.Sequence)
	}
	raw := append(make([]byte, 0, 5+len(a.Raw)+len(b.Raw)), proofVersion)
	raw = binary.BigEndian.AppendUint32(raw, uint32(len(a.Raw)))
	raw = append(append(raw, a.Raw...), b.Raw...)
	return &Proof{Origin: a.Origin, Reason: reason, A: a, B: b, Raw: raw}, nil
}

// ParseProof decodes a proof and checks it, the origin's signatures included. (The
// voters' do not matter: signing two records is the fault.) The proof shares no
// memory with b. Every error wraps ErrProof.
func ParseProof(b []byte) (*Proof, error) {
	p, err := decodeProof(b)
	if err != nil {
		return nil, err
	}
	for _, r := range []*Record{p.A, p.B} {
		if err := r.verifyOrigin(); err != nil {
			return nil, fmt.Errorf("%w: %v", ErrProof, err)
		}
	}
	return p, nil
}

func decodeProof(b []byte) (*Proof, error) {
	if len(b) < 5 || b[0] != proofVersion {
		return nil, fmt.Errorf("%w: it is not of version %d", ErrProof, proofVersion)
	}
	n, rest := uint64(binary.BigEndian.Uint32(b[1:])), b[5:]
	if n > uint64(len(rest)) {
		return nil, fmt.Errorf("%w: it ends too early", ErrProof)
	}
	x, err := ParseRecord(rest[:n])
	if err != nil {
		return nil, fmt.Errorf("%w: %v", ErrProof, err)
	}
	y, err := ParseRecord(rest[n:])
	if err != nil {
		return nil, fmt.Errorf("%w: %v", ErrProof, err)
	}
	p, err := newProof(x, y)
	if err != nil {
		return nil, err
	}
	if !slices.Equal(p.Raw, b) {
		return nil, fmt.Errorf("%w: its records are in the wrong order", ErrProof)
	}
	return p, nil
}
