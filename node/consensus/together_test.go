package consensus

import (
	"fmt"
	"testing"
)

// TestPairsAreCountedAsOneByOneTheyWouldBe holds the one pass over the rows against the
// question asked anew of each pair, on rows where many members have no vote.
func TestPairsAreCountedAsOneByOneTheyWouldBe(t *testing.T) {
	const n = 23
	random := newRandom(11)
	for _, some := range []int{1, 2, 5} { // one in so many members votes on a row
		rows := make([]labelledRow, 300)
		for k := range rows {
			rows[k] = labelledRow{label: random.IntN(3), votes: make([]*Vote, n)}
			for i := range n {
				if random.IntN(some) == 0 {
					rows[k].votes[i] = &Vote{Label: random.IntN(3)}
				}
			}
		}
		pairs := countPairs(n, rows)
		for i := range n {
			for j := range n {
				var want pairCount
				for k := range rows {
					if v, w := rows[k].votes[i], rows[k].votes[j]; i < j && v != nil && w != nil {
						want.rows++
						if v.Label == w.Label && v.Label != rows[k].label {
							want.together++
						}
					}
				}
				if got := pairs[i*n+j]; got != want {
					t.Fatalf("one in %d votes, members %d and %d: %+v, want %+v", some, i, j, got, want)
				}
			}
		}
	}
}

// BenchmarkErrTogether: as many members as there may be, with all the labels that each may
// give and as many votes on each as a record of that size has room for; and one in which
// everybody voted, as far as the log's bound on bytes goes.
func BenchmarkErrTogether(b *testing.B) {
	for _, size := range []struct{ members, rows, votes int }{{256, 256_000, 8}, {256, 8_000, 256}} {
		b.Run(fmt.Sprintf("%d_rows_of_%d_votes", size.rows, size.votes), func(b *testing.B) {
			random := newRandom(1)
			rows := make([]labelledRow, size.rows)
			votes := [3]*Vote{{Label: 0}, {Label: 1}, {Label: 2}}
			for k := range rows {
				rows[k] = labelledRow{label: random.IntN(3), votes: make([]*Vote, size.members)}
				first := random.IntN(size.members)
				for i := range size.votes {
					rows[k].votes[(first+i)%size.members] = votes[random.IntN(3)]
				}
			}
			members := make([]Learnt, size.members)
			for i := range members {
				members[i].Score = One / 2
			}
			for b.Loop() {
				errTogether(3, members, rows)
			}
		})
	}
}
