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
	var out []ErrorPair
	for i := range members {
		for j := i + 1; j < len(members); j++ {
			a, b := &members[i], &members[j]
			if a.Voice > 0 && a.Voice == b.Voice {
				continue
			}
			p := ErrorPair{A: a.ID, B: b.ID}
			for t := range rows {
				v, w := rows[t].votes[i], rows[t].votes[j]
				if v == nil || w == nil {
					continue
				}
				p.Rows++
				if v.Label == w.Label && v.Label != rows[t].label {
					p.Together++
				}
			}
			if p.Rows < pairRows {
				continue
			}
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
