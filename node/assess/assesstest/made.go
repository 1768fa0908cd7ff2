// Package assesstest makes up members, rows and votes for tests, from a seed.
package assesstest

import (
	"fmt"
	"math"
	"math/rand/v2"

	"caucus/ml"
	"caucus/node/assess"
	"caucus/node/consensus"
)

// Made is a made-up cluster and file.
type Made struct {
	Rows   int
	Labels []string
	Skills []float64 // by member: how often it is right; they err alike on hard rows
	Names  []string  // by member; m0, m1, ... where they are too few
	Known  bool      // weights are known, as from many labelled rows
	Silent int       // so many rows at the end the last member does not vote on
	Batch  int       // rows in a batch; 0: all at once
	Seed   uint64
}

// Task is the made-up task: it has one feature.
func (m Made) Task() ml.Task {
	t, err := ml.NewTask("made", []string{"x"}, m.Labels)
	if err != nil {
		panic(err) // of a test's own labels
	}
	return t
}

// Name returns the name of a member.
func (m Made) Name(i int) string {
	if i < len(m.Names) {
		return m.Names[i]
	}
	return fmt.Sprintf("m%d", i)
}

// Report counts the sheet, with the fewest resamples that are taken where o names none: enough
// for what is not about intervals.
func (m Made) Report(o assess.Options) (*assess.Report, error) {
	s, err := m.Sheet()
	if err != nil {
		return nil, err
	}
	if o.Resamples == 0 {
		o.Resamples = assess.MinResamples
	}
	return s.Report(o)
}

// Sheet returns the votes on all rows. The node's answers are those of the majority.
func (m Made) Sheet() (*assess.Sheet, error) {
	r := rand.New(rand.NewPCG(m.Seed, 1))
	s := assess.NewSheet(m.Task())
	size := m.Batch
	if size == 0 {
		size = m.Rows
	}
	for at := 0; at < m.Rows; at += size {
		if err := s.Add(m.batch(r, at, min(size, m.Rows-at))); err != nil {
			return nil, err
		}
	}
	return s, nil
}

func (m Made) batch(r *rand.Rand, at, rows int) assess.Batch {
	k := len(m.Labels)
	b := assess.Batch{
		Actual: make([]int, rows),
		Basis:  &consensus.Basis{Classes: k, Best: -1},
		Answer: assess.Answer{Method: consensus.Majority, Rule: "majority", Reason: "asked for"},
	}
	for i := range m.Skills {
		b.Votes = append(b.Votes, assess.Votes{Node: fmt.Sprintf("id%02d", i), Name: m.Name(i), Model: "knn"})
		c, n := 0, 0
		if m.Known {
			c, n = int(math.Round(200*m.Skills[i])), 200
		}
		b.Basis.Members = append(b.Basis.Members, consensus.Learnt{
			ID: b.Votes[i].Node, Correct: c, Total: n, Score: consensus.SkillOf(c, n), Weight: consensus.WeightOf(c, n, k),
		})
	}
	if m.Known {
		b.Basis.Rows, b.Basis.Best = 200, 0
		b.Basis.Experts = []consensus.Expert{{Rule: consensus.Weighted, Rows: 200}}
	}
	for row := range rows {
		y := r.IntN(k)
		b.Actual[row] = y
		hard := r.Float64() // for everybody
		for i, skill := range m.Skills {
			v := &b.Votes[i]
			said := y
			luck := 0.5*hard + 0.5*r.Float64()
			if luck > quantileOfMean(skill) {
				said = (y + 1 + r.IntN(k-1)) % k
			}
			if i == len(m.Skills)-1 && at+row >= m.Rows-m.Silent {
				said, v.Reason = -1, "timeout"
				v.Labels, v.Probabilities = append(v.Labels, said), append(v.Probabilities, nil)
				continue
			}
			// The surer, the easier the row; the rest goes to the others.
			sure := math.Round(100*(1/float64(k)+(1-1/float64(k))*(1-0.8*luck*luck))) / 100
			p := make([]consensus.Millionths, k)
			left := consensus.One
			for j := range p {
				p[j] = consensus.ToMillionths((1 - sure) / float64(k-1))
				left -= p[j]
			}
			p[said] += left
			v.Labels, v.Probabilities = append(v.Labels, said), append(v.Probabilities, p)
		}
		b.Answer.Labels = append(b.Answer.Labels, majorityOf(k, b.Votes, row))
	}
	return b
}

// quantileOfMean returns below what the mean of two uniform numbers is with a chance of p.
func quantileOfMean(p float64) float64 {
	if p <= 0.5 {
		return math.Sqrt(p / 2)
	}
	return 1 - math.Sqrt((1-p)/2)
}

// majorityOf counts slowly and by other means than the product; ties go to the larger sum of
// probabilities, then the first class.
func majorityOf(k int, votes []assess.Votes, row int) int {
	best := -1
	var most, sure int64
	for class := range k {
		var n, p int64
		for i := range votes {
			if votes[i].Labels[row] == class {
				n++
			}
			if q := votes[i].Probabilities[row]; q != nil {
				p += int64(q[class])
			}
		}
		if n > most || n == most && n > 0 && p > sure {
			best, most, sure = class, n, p
		}
	}
	return best
}
