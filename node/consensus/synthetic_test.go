package consensus

import (
	"math"
	"testing"
)

// TestSyntheticTable simulates teams of known skill and compares how often each method is
// right with the figures of an independent simulation (K=3, 150 rows, 200 runs): the
// majority, EM on the unlabelled batch, and weights learnt by a label after each answer.
// In the team of three EM's gate is closed, as it needs five; there the fit behind the gate
// is measured. The seeds are 1 to 200 (1 to 100
// under the race detector).
func TestSyntheticTable(t *testing.T) {
	const classes, rows, tolerance = 3, 150, 0.015
	runs := max(rounds(200), 100)
	for _, team := range []struct {
		name                   string
		skills                 []float64
		majority, em, weighted float64
	}{
		{"three equal", []float64{.8, .8, .8}, .913, .912, .910},
		{"one good of three", []float64{.95, .6, .6}, .846, .938, .944},
		{"five, from good to poor", []float64{.95, .9, .6, .55, .5}, .907, .961, .960},
		{"three good and two at random", []float64{.9, .9, .9, 1. / 3, 1. / 3}, .910, .976, .974},
		{"three good and two hostile", []float64{.9, .9, .9, .05, .05}, .836, .984, .982},
	} {
		var right [3]int // majority, em, weighted
		for run := range runs {
			c := crowd{random: newRandom(uint64(run + 1)), classes: classes, skills: team.skills}
			peers := c.peers()
			learner := newLearner(classes, peers)
			columns := make([]Column, len(peers))
			truths := make([]int, rows)
			for j := range columns {
				columns[j] = Column{Peer: peers[j]}
			}
			for i := range truths {
				truth, said := c.labels()
				truths[i] = truth
				row := labelledRow{label: truth, votes: make([]*Vote, len(said))}
				for j, l := range said {
					columns[j].Labels = append(columns[j].Labels, l)
					row.votes[j] = &Vote{Outcome: OK, Label: l}
				}
				for m, rule := range map[int]Method{0: Majority, 2: Weighted} {
					if learner.predict(rule, &row) == truth {
						right[m]++
					}
				}
				learner.learn(&row)
			}
			fit, err := FitEM(classes, columns)
			if err != nil {
				t.Fatal(err)
			}
			for i, truth := range truths {
				best := 0
				for k, p := range fit.Posterior(i) {
					if p > fit.Posterior(i)[best] {
						best = k
					}
				}
				if best == truth {
					right[1]++
				}
			}
		}
		for m, want := range []float64{team.majority, team.em, team.weighted} {
			got := float64(right[m]) / float64(rows*runs)
			if math.Abs(got-want) > tolerance {
				t.Errorf("%s: %s is right on %.4f, want %.3f within %g", team.name, []string{"majority", "em", "weighted"}[m], got, want, tolerance)
			} else {
				t.Logf("%s: %s %.4f (%.3f)", team.name, []string{"majority", "em", "weighted"}[m], got, want)
			}
		}
	}
}
