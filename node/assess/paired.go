package assess

import (
	"cmp"
	"slices"
)

// compare sets the intervals of all accuracies, and holds each method against the best member.
// all and scores are the members and then the methods.
func (s *Sheet) compare(r *Report, all []*Said, scores []*Score, best int, o Options) {
	times, did := patterns(s.actual, all)
	stats := make([]ratio, 0, len(all)+len(s.methods))
	for i := range all {
		stats = append(stats, accuracyOf(did, i))
	}
	methods := len(s.members) // the first method's place in all
	compared := best >= 0 && len(s.members) > 1
	for i := range s.methods {
		if compared {
			stats = append(stats, differenceOf(did, methods+i, best))
		}
	}
	intervals := bootstrap(times, stats, o.Resamples, o.Seed)
	for i, x := range scores {
		if x.Interval = intervals[i]; x.Interval == nil {
			x.Interval = wilson(x.Correct, x.Answered)
		}
	}
	if !compared {
		return
	}
	var p []float64
	var kind []int
	for i := range s.methods {
		c := Comparison{Method: r.Methods[i].Method, Member: r.BestMember, Interval: intervals[len(all)+i]}
		for q, n := range times {
			m, b := did[q][methods+i], did[q][best]
			switch {
			case m == silent || b == silent:
				continue
			case m > b:
				c.OnlyMethod += n
			case m < b:
				c.OnlyMember += n
			}
			c.Rows += n
		}
		if c.Rows > 0 {
			c.Difference = float64(c.OnlyMethod-c.OnlyMember) / float64(c.Rows)
		}
		c.P = mcnemar(c.OnlyMethod, c.OnlyMember)
		p, kind = append(p, c.P), append(kind, s.likeEarlier(i))
		r.Comparisons = append(r.Comparisons, c)
	}
	corrected := holm(p, kind)
	for i := range r.Comparisons {
		r.Comparisons[i].PHolm = corrected[i]
		r.Comparisons[i].judge()
	}
}

// likeEarlier returns the first method that gave the same labels.
func (s *Sheet) likeEarlier(i int) int {
	for j := range i {
		if slices.Equal(s.methods[i].Labels, s.methods[j].Labels) {
			return j
		}
	}
	return i
}

// What a contestant did on a row.
const (
	silent = int8(-1)
	wrong  = int8(0)
	right  = int8(1)
)

// patterns puts the rows together on which every contestant did the same: how many rows each
// pattern has, and what the contestants did there. Patterns are in the order of their first rows.
func patterns(actual []int, all []*Said) (times []int, did [][]int8) {
	at := map[string]int{}
	key := make([]byte, len(all))
	for row, y := range actual {
		for i, said := range all {
			d := wrong
			switch said.Labels[row] {
			case -1:
				d = silent
			case y:
				d = right
			}
			key[i] = byte(d)
		}
		p, known := at[string(key)]
		if !known {
			p = len(times)
			at[string(key)] = p
			times = append(times, 0)
			what := make([]int8, len(all))
			for i, b := range key {
				what[i] = int8(b)
			}
			did = append(did, what)
		}
		times[p]++
	}
	return times, did
}

// accuracyOf is rows right over rows answered.
func accuracyOf(did [][]int8, i int) ratio {
	r := ratio{make([]int8, len(did)), make([]int8, len(did))}
	for p, what := range did {
		if what[i] != silent {
			r.u[p], r.v[p] = what[i], 1
		}
	}
	return r
}

// differenceOf is the accuracy of a less that of b, on the rows that both answered.
func differenceOf(did [][]int8, a, b int) ratio {
	r := ratio{make([]int8, len(did)), make([]int8, len(did))}
	for p, what := range did {
		if what[a] != silent && what[b] != silent {
			r.u[p], r.v[p] = what[a]-what[b], 1
		}
	}
	return r
}

// byName orders members as tables show them.
func byName(a, b member) int { return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Node, b.Node)) }
