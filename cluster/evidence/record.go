package evidence

import (
	"crypto/ed25519"
	"crypto/sha256"
	"fmt"
	"slices"
	"unique"

	"caucus/cluster/identity"
	"caucus/cluster/session"
)

// maxCount bounds sequences, totals and Lamport times, so that adding to one never
// overflows.
const maxCount = 1 << 63

// Key names a labelled row: a row of a round, or, with a zero round, all rows of
// these features. A batch is one round of many rows, hence both.
type Key struct {
	Round    [16]byte
	Features [32]byte
}

// Digest returns a name of 32 bytes for the row: the features' digest if there is no round.
func (k Key) Digest() [32]byte {
	if k.Round == [16]byte{} {
		return k.Features
	}
	b := append(append(append(make([]byte, 0, 80), "caucus row v1\x00"...), k.Round[:]...), k.Features[:]...)
	return sha256.Sum256(b)
}

// Vote is one voter's signed vote on the row. The signature is over the
// session.Statement that Record.Statement puts together: with it the record's origin
// is the requester, so a vote that was given to one labeller is of no use to another.
type Vote struct {
	Voter         identity.ID       // hash of PublicKey
	PublicKey     ed25519.PublicKey // 32 bytes
	Fingerprint   [32]byte          // of the model that voted
	Label         uint16
	Probabilities []uint32 // one a class, in millionths, or nil
	Signature     []byte   // 64 bytes
}

// Record is one labelled row as its origin signed it. What Parse and Sign return is
// not changed any more.
type Record struct {
	Origin    identity.ID       // the labeller: hash of PublicKey
	PublicKey ed25519.PublicKey // 32 bytes
	Epoch     uint64            // names the chain among its origin's
	Sequence  uint64            // from 1 without gaps
	Kept      uint16            // how many records of the chain count with this one as the last, itself included
	Total     uint64            // bytes of the chain from its first record to this one
	Lamport   uint64            // above all that the origin had seen
	Previous  [32]byte          // hash of the record before; zero for the first
	Task      [32]byte          // digest of the task
	Round     [16]byte          // the round that was asked, or zero
	Features  [32]byte          // session.FeaturesDigest of the row
	Label     uint16            // class index
	Classes   uint16            // labels of the task
	Votes     []Vote            // by voter, ascending

	Hash [32]byte // SHA-256 of Raw
	Raw  []byte   // the encoding, signature included
}

// Key returns the name of the row that the record labels.
func (r *Record) Key() Key { return Key{Round: r.Round, Features: r.Features} }

// First returns the sequence of the first record that counts with this one as the last.
func (r *Record) First() uint64 { return r.Sequence - uint64(r.Kept) + 1 }

// recordContext keeps a record's signature from being of use as any other.
const recordContext = "caucus evidence record v1\x00"

// Sign makes the record that follows from the fields but Origin, PublicKey, Hash and
// Raw, which it fills in; it sorts Votes. Total must already count this record
// (see Size).
func (r *Record) Sign(k *identity.Key) error {
	r.Origin, r.PublicKey = k.ID(), k.Public()
	slices.SortFunc(r.Votes, func(a, b Vote) int { return compareIDs(a.Voter, b.Voter) })
	if err := r.validate(); err != nil {
		return fmt.Errorf("%w: %v", ErrRecord, err)
	}
	size := r.Size()
	if size > MaxRecord {
		return fmt.Errorf("%w: with %d votes of %d classes it has %d bytes, the limit is %d; keep fewer votes",
			ErrRecord, len(r.Votes), r.Classes, size, MaxRecord)
	}
	b := append(make([]byte, 0, len(recordContext)+size), recordContext...)
	b = r.appendBody(b)
	b = append(b, k.Sign(b)...)
	r.Raw = b[len(recordContext):len(b):len(b)]
	r.Hash = sha256.Sum256(r.Raw)
	return nil
}

// ParseRecord decodes a record and checks that it is in the one form that there is.
// It checks no signature: see Verify. The record shares no memory with b. Every
// error wraps ErrRecord.
func ParseRecord(b []byte) (*Record, error) {
	if len(b) > MaxRecord {
		return nil, fmt.Errorf("%w: it has %d bytes, the limit is %d", ErrRecord, len(b), MaxRecord)
	}
	r, err := decodeRecord(slices.Clone(b))
	if err != nil {
		return nil, fmt.Errorf("%w: %v", ErrRecord, err)
	}
	if err := r.validate(); err != nil {
		return nil, fmt.Errorf("%w: %v", ErrRecord, err)
	}
	r.Hash = sha256.Sum256(r.Raw)
	return r, nil
}

// Verify checks the signatures of the origin and of every voter: all that can be
// said of the record alone. Every error wraps ErrRecord.
func (r *Record) Verify() error {
	if err := r.verifyOrigin(); err != nil {
		return err
	}
	return r.verifyVotes()
}

func (r *Record) verifyVotes() error {
	for i := range r.Votes {
		s, v := r.Statement(i), &r.Votes[i]
		if !s.Verify(v.PublicKey, v.Signature) {
			return fmt.Errorf("%w: the signature of voter %s does not hold", ErrRecord, v.Voter)
		}
	}
	return nil
}

// Statement returns what voter i signed.
func (r *Record) Statement(i int) session.Statement {
	v := &r.Votes[i]
	return session.Statement{
		Requester: r.Origin, Voter: v.Voter, Round: r.Round, Features: r.Features, Task: r.Task,
		Fingerprint: v.Fingerprint, Label: v.Label, Classes: int(r.Classes), Probabilities: v.Probabilities,
	}
}

func (r *Record) verifyOrigin() error {
	body := len(r.Raw) - ed25519.SignatureSize
	signed := append(append(make([]byte, 0, len(recordContext)+body), recordContext...), r.Raw[:body]...)
	if !ed25519.Verify(r.PublicKey, signed, r.Raw[body:]) {
		return fmt.Errorf("%w: the signature of its origin %s does not hold", ErrRecord, r.Origin)
	}
	return nil
}

// sumTolerance is how far probabilities may sum from One, as in a tally.
const sumTolerance = One / 50

// validate names the first field that breaks its rule. The rules look at this
// record alone; those between two records of a chain are in contradiction.
func (r *Record) validate() error {
	switch {
	case r.Sequence == 0 || r.Sequence >= maxCount:
		return fmt.Errorf("its sequence %d is not in 1 to 2^63-1", r.Sequence)
	case r.Kept == 0 || r.Kept > MaxKept || uint64(r.Kept) > r.Sequence:
		return fmt.Errorf("as number %d it cannot keep %d records, the limit is %d", r.Sequence, r.Kept, MaxKept)
	case r.Lamport == 0 || r.Lamport >= maxCount:
		return fmt.Errorf("its Lamport time %d is not in 1 to 2^63-1", r.Lamport)
	case r.Total >= maxCount:
		return fmt.Errorf("its total of %d bytes is out of range", r.Total)
	case r.Sequence == 1 && (r.Previous != [32]byte{} || r.Total != uint64(r.Size())):
		return fmt.Errorf("it is the first of its chain and yet names one before it")
	case r.Sequence > 1 && r.Total <= uint64(r.Size()):
		return fmt.Errorf("its total of %d bytes does not count those before it", r.Total)
	case r.Classes == 0 || r.Classes > MaxClasses:
		return fmt.Errorf("it has %d classes, a task has 1 to %d", r.Classes, MaxClasses)
	case r.Label >= r.Classes:
		return fmt.Errorf("its label %d is outside the %d classes", r.Label, r.Classes)
	case len(r.Votes) > MaxVotes:
		return fmt.Errorf("it has %d votes, the limit is %d", len(r.Votes), MaxVotes)
	}
	for i := range r.Votes {
		if err := r.Votes[i].validate(r.Classes); err != nil {
			return err
		}
		if i > 0 && r.Votes[i].Voter <= r.Votes[i-1].Voter {
			return fmt.Errorf("its votes are not in the order of their voters, each once: %s comes after %s", r.Votes[i].Voter, r.Votes[i-1].Voter)
		}
	}
	return nil
}

func (v *Vote) validate(classes uint16) error {
	switch {
	case len(v.PublicKey) != ed25519.PublicKeySize || identity.IDOf(v.PublicKey) != v.Voter:
		return fmt.Errorf("the key of voter %s is not that node's", v.Voter)
	case len(v.Signature) != ed25519.SignatureSize:
		return fmt.Errorf("voter %s has a signature of %d bytes, want %d", v.Voter, len(v.Signature), ed25519.SignatureSize)
	case v.Label >= classes:
		return fmt.Errorf("voter %s has label %d of %d classes", v.Voter, v.Label, classes)
	case v.Probabilities == nil:
		return nil
	case len(v.Probabilities) != int(classes):
		return fmt.Errorf("voter %s has %d probabilities for %d classes", v.Voter, len(v.Probabilities), classes)
	}
	var sum uint64
	for _, p := range v.Probabilities {
		if p > One {
			return fmt.Errorf("voter %s has a probability of %d millionths", v.Voter, p)
		}
		sum += uint64(p)
	}
	if sum < One-sumTolerance || sum > One+sumTolerance {
		return fmt.Errorf("voter %s has probabilities that sum to %d millionths", v.Voter, sum)
	}
	return nil
}

// idOf returns the id of a key, one string for all its mentions: thousands of
// records name the same few nodes.
func idOf(pub ed25519.PublicKey) identity.ID { return unique.Make(identity.IDOf(pub)).Value() }

func compareIDs(a, b identity.ID) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}
