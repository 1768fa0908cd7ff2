package session

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"math"

	"caucus/cluster/identity"
)

// Contexts keep one kind of signature or digest from passing for another.
const (
	featuresContext  = "caucus features v1\x00"
	statementContext = "caucus vote v1\x00"
	jointContext     = "caucus votes v1\x00"
)

// ErrSignature is wrapped by what VerifyAnswer finds wrong.
var ErrSignature = errors.New("session: a vote's signature does not hold")

// FeaturesDigest is the one definition of a row's digest: a SHA-256 over a
// context, the number of features (u32) and each value's IEEE 754 bits,
// big-endian, with -0 as +0, since no model tells them apart.
func FeaturesDigest(row []float64) [32]byte {
	b := make([]byte, 0, 256)
	b = append(b, featuresContext...)
	b = binary.BigEndian.AppendUint32(b, uint32(len(row)))
	for _, v := range row {
		// Adding +0 turns -0 into +0 and changes nothing else.
		b = binary.BigEndian.AppendUint64(b, math.Float64bits(v+0))
	}
	return sha256.Sum256(b)
}

// Statement is what a voter signs about one row. Whoever has these fields and
// the voter's public key can check it alone, years later, without the features.
type Statement struct {
	Requester     identity.ID
	Voter         identity.ID // must be the hash of the key that it is checked with
	Round         [16]byte    // zero: none
	Features      [32]byte    // FeaturesDigest of the row
	Task          [32]byte
	Fingerprint   [32]byte // of the voter's fitted model: two different votes of one model for one row prove equivocation
	Label         uint16
	Classes       int
	Probabilities []uint32 // nil, or one a class, in millionths
}

// append encodes s. Lengths come before what varies, so no two statements share
// an encoding.
func (s *Statement) append(b []byte) []byte {
	b = append(b, statementContext...)
	for _, id := range [...]identity.ID{s.Requester, s.Voter} {
		b = binary.BigEndian.AppendUint32(b, uint32(len(id)))
		b = append(b, id...)
	}
	b = append(b, s.Round[:]...)
	b = append(b, s.Features[:]...)
	b = append(b, s.Task[:]...)
	b = append(b, s.Fingerprint[:]...)
	b = binary.BigEndian.AppendUint16(b, s.Label)
	b = binary.BigEndian.AppendUint32(b, uint32(s.Classes))
	b = binary.BigEndian.AppendUint32(b, uint32(len(s.Probabilities)))
	for _, p := range s.Probabilities {
		b = binary.BigEndian.AppendUint32(b, p)
	}
	return b
}

// Sign signs s, whose Voter must be k's id.
func (s *Statement) Sign(k *identity.Key) []byte { return k.Sign(s.append(make([]byte, 0, 512))) }

// Verify reports whether sig is s signed by its voter, whose key is pub.
func (s *Statement) Verify(pub ed25519.PublicKey, sig []byte) bool {
	return len(pub) == ed25519.PublicKeySize && identity.IDOf(pub) == s.Voter &&
		ed25519.Verify(pub, s.append(make([]byte, 0, 512)), sig)
}

// statement is what a says about row i of q.
func statement(requester, voter identity.ID, q *Question, a *Answer, i int) Statement {
	return Statement{
		Requester: requester, Voter: voter, Round: q.Round, Features: FeaturesDigest(q.Row(i)), Task: q.Task,
		Fingerprint: a.Fingerprint, Label: a.Labels[i], Classes: a.Classes, Probabilities: a.RowProbabilities(i),
	}
}

// fits says whether a can be an answer to q, so that rows and classes can be indexed.
func fits(q *Question, a *Answer) error {
	if len(a.Labels) != q.Len() || q.Len() == 0 {
		return fmt.Errorf("%w: %d labels for %d rows", ErrFrame, len(a.Labels), q.Len())
	}
	if n := len(a.Probabilities); n != 0 && n != q.Len()*a.Classes {
		return fmt.Errorf("%w: %d probabilities for %d rows of %d classes", ErrFrame, n, q.Len(), a.Classes)
	}
	return nil
}

// SignAnswer signs a, k's answer to q which requester asked: one signature for
// each row. a.Fingerprint must be set.
func SignAnswer(k *identity.Key, requester identity.ID, q *Question, a *Answer) error {
	if err := fits(q, a); err != nil {
		return err
	}
	a.Signature, a.Inclusion = a.Signature[:0], Inclusion{}
	for i := range a.Labels {
		s := statement(requester, k.ID(), q, a, i)
		a.Signature = append(a.Signature, s.Sign(k)...)
	}
	return nil
}

// VerifyAnswer checks the signatures on every row of a, voter's answer to q which
// requester asked. What is wrong wraps ErrSignature, or ErrFrame if a cannot be
// an answer to q. An answer that was signed jointly needs a Checked.
func VerifyAnswer(pub ed25519.PublicKey, requester, voter identity.ID, q *Question, a *Answer) error {
	if err := fits(q, a); err != nil {
		return err
	}
	if len(a.Signature) != signatureLength*q.Len() || !a.Inclusion.Alone() {
		return fmt.Errorf("%w: %d bytes of signatures for %d rows", ErrSignature, len(a.Signature), q.Len())
	}
	for i := range a.Labels {
		s := statement(requester, voter, q, a, i)
		if !s.Verify(pub, a.Signature[signatureLength*i:signatureLength*(i+1)]) {
			return fmt.Errorf("%w: row %d, of node %s", ErrSignature, i, voter)
		}
	}
	return nil
}
