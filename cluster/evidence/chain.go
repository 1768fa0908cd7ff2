package evidence

import (
	"cmp"
	"fmt"
	"slices"

	"caucus/cluster/identity"
)

// Entry is what readers need of a record: all but keys and signatures, which stay in
// the store. It is immutable.
type Entry struct {
	Origin   identity.ID // who gave the label
	Epoch    uint64
	Sequence uint64
	Lamport  uint64
	Hash     [32]byte
	Key      Key
	Label    int
	Votes    []Ballot // by voter, ascending

	previous [32]byte
	total    uint64
	size     uint32
	kept     uint16
}

// Ballot is one voter's vote on a labelled row.
type Ballot struct {
	Voter         identity.ID
	Fingerprint   [32]byte // of the model that voted
	Label         int
	Probabilities []uint32 // one a class, in millionths, or nil
}

func entryOf(r *Record) *Entry {
	e := &Entry{
		Origin: r.Origin, Epoch: r.Epoch, Sequence: r.Sequence, Lamport: r.Lamport, Hash: r.Hash,
		Key: r.Key(), Label: int(r.Label), Votes: make([]Ballot, len(r.Votes)),
		previous: r.Previous, total: r.Total, size: uint32(len(r.Raw)), kept: r.Kept,
	}
	for i := range r.Votes {
		v := &r.Votes[i]
		e.Votes[i] = Ballot{Voter: v.Voter, Fingerprint: v.Fingerprint, Label: int(v.Label), Probabilities: v.Probabilities}
	}
	return e
}

// first returns the sequence of the first record that counts with e as the last.
func (e *Entry) first() uint64 { return e.Sequence - uint64(e.kept) + 1 }

// before orders entries for replay.
func (e *Entry) before(o *Entry) int {
	return cmp.Or(cmp.Compare(e.Lamport, o.Lamport), compareIDs(e.Origin, o.Origin),
		cmp.Compare(e.Epoch, o.Epoch), cmp.Compare(e.Sequence, o.Sequence))
}

// contradiction says why no honest origin signs both a and b, two records of one
// chain, or "" if it may. Every rule here holds between any two records that an
// honest origin ever makes, whatever lies between them, so that the two alone are
// proof against it.
func contradiction(a, b *Entry) string {
	if a.Sequence > b.Sequence {
		a, b = b, a
	}
	next := b.Sequence == a.Sequence+1
	switch {
	case a.Hash == b.Hash:
		return ""
	case a.Sequence == b.Sequence:
		return fmt.Sprintf("two records have the number %d", a.Sequence)
	case next && b.previous != a.Hash:
		return fmt.Sprintf("record %d does not follow on record %d", b.Sequence, a.Sequence)
	case b.Lamport <= a.Lamport:
		return fmt.Sprintf("the time of record %d is not after that of record %d", b.Sequence, a.Sequence)
	case b.first() < a.first():
		return fmt.Sprintf("record %d takes back what record %d had let go", b.Sequence, a.Sequence)
	case b.total-uint64(b.size) < a.total, next && b.total-uint64(b.size) != a.total:
		return fmt.Sprintf("record %d miscounts the bytes up to record %d", b.Sequence, a.Sequence)
	case a.Sequence == b.first() && b.total-a.total+uint64(a.size) > MaxChainBytes:
		return fmt.Sprintf("records %d to %d have more than %d bytes", a.Sequence, b.Sequence, MaxChainBytes)
	}
	return ""
}

// chainID names a chain.
type chainID struct {
	origin identity.ID
	epoch  uint64
}

// chain is the part of a chain that counts: exactly the records that its last one
// says it keeps. So the last record's hash determines all of it. A chain is never
// changed, only replaced; it may share its array with its successors, who only
// write beyond its end.
type chain struct {
	id      chainID
	entries []*Entry
}

func (c *chain) head() *Entry { return c.entries[len(c.entries)-1] }

// at returns the record of a number, or nil if it is not kept.
func (c *chain) at(sequence uint64) *Entry {
	first := c.entries[0].Sequence
	if sequence < first || sequence > c.head().Sequence {
		return nil
	}
	return c.entries[sequence-first]
}

// with returns the chain with e, its successor, added and what e lets go left out.
func (c *chain) with(e *Entry) *chain {
	entries := append(c.entries, e)
	return &chain{id: c.id, entries: entries[e.first()-entries[0].Sequence:]}
}

// bytes returns the bytes of the chain's records.
func (c *chain) bytes() uint64 {
	return c.head().total - c.entries[0].total + uint64(c.entries[0].size)
}

// origin is all that is held of one labeller: its chains, or the proof that it
// forked one. It is never changed, only replaced.
type origin struct {
	id     identity.ID
	chains []*chain // by epoch, ascending; at most MaxEpochs
	proof  *Proof
}

func (o *origin) chain(epoch uint64) *chain {
	for _, c := range o.chains {
		if c.id.epoch == epoch {
			return c
		}
	}
	return nil
}

// with returns the origin with a chain added or replaced.
func (o *origin) with(c *chain) *origin {
	n := &origin{id: o.id, chains: make([]*chain, 0, len(o.chains)+1)}
	for _, old := range o.chains {
		if old.id.epoch != c.id.epoch {
			n.chains = append(n.chains, old)
		}
	}
	n.chains = append(n.chains, c)
	slices.SortFunc(n.chains, func(a, b *chain) int { return cmp.Compare(a.id.epoch, b.id.epoch) })
	return n
}

// takes reports whether a chain of this epoch has a place.
func (o *origin) takes(epoch uint64) bool {
	return len(o.chains) < MaxEpochs || epoch >= o.chains[0].id.epoch
}

func (o *origin) bytes() (n uint64) {
	for _, c := range o.chains {
		n += c.bytes()
	}
	if o.proof != nil {
		n += uint64(len(o.proof.Raw))
	}
	return n
}

// latest returns the highest Lamport time of the origin's records.
func (o *origin) latest() (t uint64) {
	for _, c := range o.chains {
		t = max(t, c.head().Lamport)
	}
	return t
}
