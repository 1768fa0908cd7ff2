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

// draft is a row while its records are read.
type draft struct {
	first    *Entry
	opinions []opinion // by labeller, in the order in which they first spoke
	votes    []Ballot  // by voter; shared with first until another record adds to it
}

// opinion is the last label that a labeller gave.
type opinion struct {
	labeller identity.ID
	label    int
}

// tabulate works out rows from records in replay order. Most rows have one record, which
// then costs no more than its place in a table: all this is done anew for each label.
func tabulate(replay []*Entry) *table {
	places := make(map[Key]int, len(replay))
	drafts := make([]draft, 0, len(replay))
	opinions := make([]opinion, len(replay)) // room for the first of each row
	for _, e := range replay {
		i, known := places[e.Key]
		if !known {
			i = len(drafts)
			places[e.Key] = i
			opinions[i] = opinion{e.Origin, e.Label}
			drafts = append(drafts, draft{first: e, opinions: opinions[i : i+1 : i+1], votes: slices.Clip(e.Votes)})
			continue
		}
		drafts[i].add(e)
	}
	t := &table{rows: make([]Row, 0, len(drafts))}
	for i := range drafts {
		d := &drafts[i]
		label, agree := plurality(d.opinions)
		if label < 0 {
			t.disputed++
			continue
		}
		t.rows = append(t.rows, Row{Key: d.first.Key, Label: label, Agree: agree, Labellers: len(d.opinions), Votes: d.votes, First: d.first})
	}
	t.equivocations = equivocations(replay)
	return t
}

// add takes a further record on the row: another label by the same labeller replaces the
// one before, and a voter's first vote stands.
func (d *draft) add(e *Entry) {
	if i := slices.IndexFunc(d.opinions, func(o opinion) bool { return o.labeller == e.Origin }); i >= 0 {
		d.opinions[i].label = e.Label
	} else {
		d.opinions = append(d.opinions, opinion{e.Origin, e.Label})
	}
	for i := range e.Votes {
		v := &e.Votes[i]
		at, known := slices.BinarySearchFunc(d.votes, v.Voter, func(b Ballot, id identity.ID) int { return compareIDs(b.Voter, id) })
		if !known {
			d.votes = slices.Insert(d.votes, at, *v) // copies them the first time: there is no room
		}
	}
}

// plurality returns the label that most labellers gave and how many did, or -1 if
// two labels have as many.
func plurality(opinions []opinion) (label, agree int) {
	if len(opinions) == 1 {
		return opinions[0].label, 1
	}
	counts := make(map[int]int, 1)
	for _, o := range opinions {
		counts[o.label]++
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
	// Nobody can say two things on features that one record alone is about.
	records := make(map[[32]byte]int, len(replay))
	for _, e := range replay {
		records[e.Key.Features]++
	}
	seen := make(map[asked]said)
	flagged := make(map[identity.ID]Equivocation)
	for _, e := range replay {
		if records[e.Key.Features] == 1 {
			continue
		}
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
