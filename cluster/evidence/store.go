package evidence

import (
	"errors"
	"math"

	"caucus/cluster/identity"
)

// store keeps what the log holds. The log calls load once, and commit from one
// goroutine at a time; read may run beside commit.
type store interface {
	// load visits the records, in the order of chain and sequence, then the proofs,
	// and returns the epoch of this node's own chain, 0 if it has none yet. What it
	// passes on may be kept.
	load(record, proof func(raw []byte) error) (epoch uint64, err error)
	// commit makes all the changes or, with an error, none.
	commit(c *changes) error
	// read returns records of a chain, from a number on, in order, together of about
	// limit bytes but at least one if there is one. They may be kept.
	read(id chainID, from uint64, limit int) ([][]byte, error)
	close() error
}

// changes is one transaction: first the trims, then the records.
type changes struct {
	trims   []trim
	records []*Record
	proofs  []*Proof
	unprove []identity.ID
	epoch   uint64 // of this node's own chain, 0: as it was
}

// trim lets go the records of a chain below a number.
type trim struct {
	id    chainID
	below uint64
}

// everything as trim.below lets a whole chain go.
const everything = math.MaxUint64

func (c *changes) empty() bool {
	return len(c.trims) == 0 && len(c.records) == 0 && len(c.proofs) == 0 && len(c.unprove) == 0 && c.epoch == 0
}

var errAbsent = errors.New("a record that should be there is not")
