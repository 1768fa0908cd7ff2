package consensus

import (
	"cmp"
	"math"
	"slices"
)

// ErrorPair is two members that give the same wrong label more often than members would
// that err independently.
type ErrorPair struct {
	A, B     string  // ids, in order
	Rows     int     // that both voted on
	Together int     // rows with the same wrong label from both
	Expected float64 // of two independent members with their skills
	Z        float64 // (Together - Expected) / sqrt(Expected), above 3
}

// Which pairs are told: enough rows for the normal approximation to mean something, and
// three standard deviations.
const (
	pairRows = 20
	pairZ    = 3
)

// errTogether returns such pairs, the most striking first. With skills s and errors spread
// evenly over the K-1 other classes, two independent members give the same wrong label on
// n (1-s_i)(1-s_j)/(K-1) rows of n. Real errors are not spread evenly, since some rows are
// hard for everybody, so honest members are found too: the pairs are to be shown, not
// merged. Members of one voice are left out; that they agree is known.
func errTogether(classes int, members []Learnt, rows []labelledRow) []ErrorPair {
	if classes < 2 {
		return nil
	}
	pairs := countPairs(len(members), rows)
	var out []ErrorPair
	for i := range members {
		for j := i + 1; j < len(members); j++ {
			a, b := &members[i], &members[j]
			if a.Voice > 0 && a.Voice == b.Voice {
				continue
			}
			c := pairs[i*len(members)+j]
			if c.rows < pairRows {
				continue
			}
			p := ErrorPair{A: a.ID, B: b.ID, Rows: int(c.rows), Together: int(c.together)}
			missA, missB := (One - a.Score).Float(), (One - b.Score).Float()
			p.Expected = float64(p.Rows) * missA * missB / float64(classes-1)
			p.Z = (float64(p.Together) - p.Expected) / math.Sqrt(p.Expected)
			if p.Z > pairZ {
				out = append(out, p)
			}
		}
	}
	slices.SortStableFunc(out, func(a, b ErrorPair) int { return cmp.Compare(b.Z, a.Z) })
	return out
}

// pairCount is what the rows say of two members.
type pairCount struct{ rows, together int32 }

// countPairs counts for members i < j, at i*n+j. It goes through the rows once and pairs up
// only those who voted on each, so it costs what the votes do and not members squared times
// rows: of many members few have a vote on any one row, for a record has room for few.
func countPairs(n int, rows []labelledRow) []pairCount {
	pairs := make([]pairCount, n*n)
	type voter struct{ member, label int }
	voted := make([]voter, 0, n)
	for t := range rows {
		row := &rows[t]
		voted = voted[:0]
		for i, v := range row.votes {
			if v != nil {
				voted = append(voted, voter{i, v.Label})
			}
		}
		for x, a := range voted {
			with := pairs[a.member*n : (a.member+1)*n]
			wrong := a.label != row.label
			for _, b := range voted[x+1:] {
				c := &with[b.member]
				c.rows++
				if wrong && a.label == b.label {
					c.together++
				}
			}
		}
	}
	return pairs
}
