package evidence

import (
	"maps"
	"slices"

	"caucus/cluster/identity"
)

// Row is a labelled row: what its labellers agree on, and the votes to be held against it.
type Row struct {
	Key       Key
	Label     int      // said by more labellers than any other
	Agree     int      // labellers who say Label
	Labellers int      // labellers who say anything
	Votes     []Ballot // by voter, ascending; of each voter the vote that comes first in replay order
	First     *Entry   // the first record of the row, which gives it its place
}

// Equivocation says that a voter signed two different votes by one model for one row.
// Models are deterministic, so one of them was not the model's. It is reported; the
// vote that comes first in replay order counts.
type Equivocation struct {
	Voter       identity.ID
	Fingerprint [32]byte
	A, B        *Entry // the records that hold the two votes
}

// Rows returns the labelled rows in the order of their first records. A row whose
// labellers are evenly split is left out. The slice is shared: do not change it.
func (s *Snapshot) Rows() []Row { return s.table().rows }

// Disputed returns how many rows are left out because their labellers are evenly split.
func (s *Snapshot) Disputed() int { return s.table().disputed }

// Equivocations returns the first of each voter's, by voter. The slice is shared: do not change it.
func (s *Snapshot) Equivocations() []Equivocation { return s.table().equivocations }

type table struct {
	rows          []Row
	disputed      int
	equivocations []Equivocation
}

// tabulate works out rows from records in replay order.
func tabulate(replay []*Entry) *table {
	type draft struct {
		first  *Entry
		labels map[identity.ID]int // the last that each labeller said
		votes  map[identity.ID]Ballot
	}
	t := &table{}
	drafts := make(map[Key]*draft)
	var order []*draft
	for _, e := range replay {
		d := drafts[e.Key]
		if d == nil {
			d = &draft{first: e, labels: make(map[identity.ID]int, 1), votes: make(map[identity.ID]Ballot, len(e.Votes))}
			drafts[e.Key] = d
			order = append(order, d)
		}
		d.labels[e.Origin] = e.Label
		for _, v := range e.Votes {
			if _, ok := d.votes[v.Voter]; !ok {
				d.votes[v.Voter] = v
			}
		}
	}
	for _, d := range order {
		label, agree := plurality(d.labels)
		if label < 0 {
			t.disputed++
			continue
		}
		voters := slices.Sorted(maps.Keys(d.votes))
		votes := make([]Ballot, len(voters))
		for i, id := range voters {
			votes[i] = d.votes[id]
		}
		t.rows = append(t.rows, Row{Key: d.first.Key, Label: label, Agree: agree, Labellers: len(d.labels), Votes: votes, First: d.first})
	}
	t.equivocations = equivocations(replay)
	return t
}

// plurality returns the label that most labellers gave and how many did, or -1 if
// two labels have as many.
func plurality(labels map[identity.ID]int) (label, agree int) {
	counts := make(map[int]int, 1)
	for _, l := range labels {
		counts[l]++
	}
	label = -1
	for l, n := range counts {
		switch {
		case n > agree:
			label, agree = l, n
		case n == agree:
			label = -1
		}
	}
	return label, agree
}

func equivocations(replay []*Entry) []Equivocation {
	type asked struct {
		voter                 identity.ID
		fingerprint, features [32]byte
	}
	type said struct {
		entry *Entry
		vote  *Ballot
	}
	seen := make(map[asked]said)
	flagged := make(map[identity.ID]Equivocation)
	for _, e := range replay {
		for i := range e.Votes {
			v := &e.Votes[i]
			k := asked{v.Voter, v.Fingerprint, e.Key.Features}
			was, ok := seen[k]
			if !ok {
				seen[k] = said{e, v}
				continue
			}
			if _, known := flagged[v.Voter]; !known && !was.vote.same(v) {
				flagged[v.Voter] = Equivocation{Voter: v.Voter, Fingerprint: v.Fingerprint, A: was.entry, B: e}
			}
		}
	}
	out := make([]Equivocation, 0, len(flagged))
	for _, id := range slices.Sorted(maps.Keys(flagged)) {
		out = append(out, flagged[id])
	}
	return out
}

func (b *Ballot) same(o *Ballot) bool {
	return b.Label == o.Label && slices.Equal(b.Probabilities, o.Probabilities)
}
