package consensus

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
)

// crowd makes members with given skills, whose errors are spread evenly over the other classes.
type crowd struct {
	random
	classes int
	skills  []float64
	copies  []int // by member: whose vote it repeats, -1 for a model of its own; nil: all of their own
}

// labels draws the truth for a row, and each member's label.
func (c *crowd) labels() (truth int, said []int) {
	truth = c.IntN(c.classes)
	said = make([]int, len(c.skills))
	for j, s := range c.skills {
		switch {
		case c.copies != nil && c.copies[j] >= 0:
			said[j] = said[c.copies[j]]
		case c.Float64() < s:
			said[j] = truth
		default:
			said[j] = (truth + 1 + c.IntN(c.classes-1)) % c.classes
		}
	}
	return truth, said
}

func (c *crowd) peers() []Peer {
	all := make([]Peer, len(c.skills))
	for j := range all {
		all[j] = Peer{ID: fmt.Sprintf("m%02d", j), Fingerprint: fmt.Sprint("model of ", j)}
		if c.copies != nil && c.copies[j] >= 0 {
			all[j].Fingerprint = all[c.copies[j]].Fingerprint
		}
	}
	return all
}

func record(row int, label int, peers []Peer, said []int) Record {
	r := Record{Labeller: "ana", Label: label}
	binary.BigEndian.PutUint64(r.Row[:], uint64(row))
	r.Row = sha256.Sum256(r.Row[:])
	for j, l := range said {
		if l >= 0 {
			r.Votes = append(r.Votes, Vote{Voter: peers[j].ID, Outcome: OK, Label: l})
		}
	}
	return r
}
