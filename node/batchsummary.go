package node

import (
	"fmt"
	"strings"

	"caucus/node/consensus"
)

// batchSummary tells a batch's outcome in one sentence: how many voted on how many
// rows, how often they all agreed, and who is missing.
func (r *round) batchSummary(tied int) string {
	res := &r.result
	unanimous := 0
	for i := range r.n {
		if r.agreeOn(i) {
			unanimous++
		}
	}
	rows := "rows"
	if r.n == 1 {
		rows = "row"
	}
	var b strings.Builder
	switch {
	case res.Status == consensus.NoQuorum || res.Status == consensus.Undecided:
		fmt.Fprintf(&b, "no quorum: %d of %d voted on %d %s and %d are needed", res.Counted, res.Invited, r.n, rows, res.Quorum)
	case res.Counted == 1:
		fmt.Fprintf(&b, "one of %d voted on %d %s", res.Invited, r.n, rows)
	default:
		fmt.Fprintf(&b, "%d of %d voted on %d %s and agree on %d", res.Counted, res.Invited, r.n, rows, unanimous)
	}
	if tied > 0 {
		fmt.Fprintf(&b, "; %d tied", tied)
	}
	for i := range r.asks {
		if o := r.asks[i].final; o != consensus.OK {
			fmt.Fprintf(&b, "; %s: %s", r.inv.peers[i].name, o)
		}
	}
	return b.String()
}

// agreeOn reports whether all who voted gave row the same label.
func (r *round) agreeOn(row int) bool {
	first := -1
	for i := range r.asks {
		a := &r.asks[i]
		if a.final != consensus.OK {
			continue
		}
		y := int(a.answer.Labels[row])
		if first >= 0 && y != first {
			return false
		}
		first = y
	}
	return first >= 0
}
