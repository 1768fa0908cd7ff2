package consensus

import (
	"cmp"
	"slices"
)

// Record is one piece of evidence: somebody's label for a row, and the votes on it.
type Record struct {
	Row      [32]byte // digest of the features
	Labeller string   // node id of who gave the label
	Label    int      // class index
	Votes    []Vote   // only Voter, Outcome, Label and Probabilities are looked at
}

// Peer is a member whose weight is learnt.
type Peer struct {
	ID          string
	Fingerprint string // of its model; those with equal ones are one voice; empty: unknown
}

// labelledRow is what all records on one row say together.
type labelledRow struct {
	label int
	votes []*Vote // by member; nil where there is none
}

// assembled is evidence put together by row.
type assembled struct {
	rows     []labelledRow // in the order of their first records
	disputed int           // rows left out, because as many labellers say one thing as another
	ignored  int           // records with a label that is not of the task
	twofaced []bool        // by member: signed two labels for one row
}

// assemble puts the records together by row, as Learn says. The peers are sorted by id.
func assemble(classes int, peers []Peer, records []Record) assembled {
	place := make(map[string]int, len(peers))
	for i, p := range peers {
		place[p.ID] = i
	}
	type opinion struct {
		labeller string
		label    int
	}
	type open struct {
		labelledRow
		opinions []opinion
		dropped  []bool // by member
	}
	out := assembled{twofaced: make([]bool, len(peers))}
	at := make(map[[32]byte]*open, len(records))
	var order []*open
	for i := range records {
		r := &records[i]
		if r.Label < 0 || r.Label >= classes {
			out.ignored++
			continue
		}
		row := at[r.Row]
		if row == nil {
			row = &open{labelledRow: labelledRow{votes: make([]*Vote, len(peers))}}
			at[r.Row] = row
			order = append(order, row)
		}
		if k := slices.IndexFunc(row.opinions, func(o opinion) bool { return o.labeller == r.Labeller }); k >= 0 {
			row.opinions[k].label = r.Label
		} else {
			row.opinions = append(row.opinions, opinion{r.Labeller, r.Label})
		}
		for j := range r.Votes {
			v := &r.Votes[j]
			m, known := place[v.Voter]
			if !known || v.Check(classes) != OK {
				continue
			}
			switch had := row.votes[m]; {
			case had == nil:
				row.votes[m] = v
			case had.Label != v.Label:
				out.twofaced[m] = true
				if row.dropped == nil {
					row.dropped = make([]bool, len(peers))
				}
				row.dropped[m] = true
			}
		}
	}
	heads := make([]int, classes)
	for _, row := range order {
		clear(heads)
		for _, o := range row.opinions {
			heads[o.label]++
		}
		most := slices.Max(heads)
		row.label = slices.Index(heads, most)
		if slices.Contains(heads[row.label+1:], most) {
			out.disputed++
			continue
		}
		for m, drop := range row.dropped {
			if drop {
				row.votes[m] = nil
			}
		}
		out.rows = append(out.rows, row.labelledRow)
	}
	return out
}

// sortedPeers returns the peers by id, each once.
func sortedPeers(peers []Peer) []Peer {
	all := slices.Clone(peers)
	slices.SortStableFunc(all, func(a, b Peer) int { return cmp.Compare(a.ID, b.ID) })
	return slices.CompactFunc(all, func(a, b Peer) bool { return a.ID == b.ID })
}
