package evidence

import (
	"maps"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"

	"caucus/cluster/identity"
)

// slowRows is tabulate as one would write it down from DESIGN.md.
func slowRows(replay []*Entry) (rows []Row, disputed int) {
	seen := map[Key]bool{}
	for _, first := range replay {
		if seen[first.Key] {
			continue
		}
		seen[first.Key] = true
		labels, votes := map[identity.ID]int{}, map[identity.ID]Ballot{}
		for _, e := range replay {
			if e.Key != first.Key {
				continue
			}
			labels[e.Origin] = e.Label // the last stands
			for _, v := range e.Votes {
				if _, ok := votes[v.Voter]; !ok { // the first stands
					votes[v.Voter] = v
				}
			}
		}
		counts := map[int]int{}
		for _, l := range labels {
			counts[l]++
		}
		most := slices.Max(slices.Collect(maps.Values(counts)))
		r := Row{Key: first.Key, Agree: most, Labellers: len(labels), First: first}
		winners := 0
		for l, n := range counts {
			if n == most {
				r.Label = l
				winners++
			}
		}
		if winners > 1 {
			disputed++
			continue
		}
		for _, id := range slices.Sorted(maps.Keys(votes)) {
			r.Votes = append(r.Votes, votes[id])
		}
		rows = append(rows, r)
	}
	return rows, disputed
}

// slowEquivocations looks at every pair of votes.
func slowEquivocations(replay []*Entry) map[identity.ID]bool {
	out := map[identity.ID]bool{}
	for _, a := range replay {
		for _, b := range replay {
			for i := range a.Votes {
				for j := range b.Votes {
					v, w := &a.Votes[i], &b.Votes[j]
					if a.Key.Features == b.Key.Features && v.Voter == w.Voter && v.Fingerprint == w.Fingerprint && !v.same(w) {
						out[v.Voter] = true
					}
				}
			}
		}
	}
	return out
}

func TestRowsAreWhatASlowCountSays(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	for range 300 {
		var replay []*Entry
		for i := range random.IntN(40) {
			e := &Entry{
				Origin: identity.ID([]string{"ana", "bo", "cy", "di"}[random.IntN(4)]), Sequence: uint64(i), Label: random.IntN(3),
				Key: Key{Round: [16]byte{byte(random.IntN(2))}, Features: [32]byte{byte(random.IntN(8))}},
			}
			for _, voter := range []identity.ID{"ana", "bo", "cy", "di", "ed"} {
				if random.IntN(2) == 0 {
					// Few votes contradict one another, or every voter would be flagged every time.
					v := Ballot{Voter: voter, Fingerprint: [32]byte{byte(random.IntN(2))}, Label: int(e.Key.Features[0]) % 3}
					if random.IntN(40) == 0 {
						v.Label = 3
					}
					e.Votes = append(e.Votes, v)
				}
			}
			replay = append(replay, e)
		}
		before := make([][]Ballot, len(replay))
		for i, e := range replay {
			before[i] = slices.Clone(e.Votes)
		}
		got := tabulate(replay)
		rows, disputed := slowRows(replay)
		if got.disputed != disputed || len(got.rows) != len(rows) {
			t.Fatalf("%d rows and %d disputed, want %d and %d", len(got.rows), got.disputed, len(rows), disputed)
		}
		for i := range rows {
			if len(rows[i].Votes)+len(got.rows[i].Votes) == 0 {
				rows[i].Votes = got.rows[i].Votes // nil or empty
			}
			if !reflect.DeepEqual(got.rows[i], rows[i]) {
				t.Fatalf("row %d: %+v, want %+v", i, got.rows[i], rows[i])
			}
		}
		flagged := map[identity.ID]bool{}
		for _, q := range got.equivocations {
			flagged[q.Voter] = true
		}
		if want := slowEquivocations(replay); !maps.Equal(flagged, want) {
			t.Fatalf("two-faced: %v, want %v", flagged, want)
		}
		for i, e := range replay {
			if !slices.EqualFunc(e.Votes, before[i], func(a, b Ballot) bool { return a.Voter == b.Voter && a.same(&b) }) {
				t.Fatal("a record's own votes were changed")
			}
		}
	}
}
