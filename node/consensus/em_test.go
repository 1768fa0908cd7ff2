package consensus

import (
	"errors"
	"fmt"
	"math"
	"testing"
)

// batch draws a batch of columns; of each vote, the share missing is silent.
func (c *crowd) batch(rows int, missing float64) (truths []int, columns []Column) {
	columns = make([]Column, len(c.skills))
	for j, p := range c.peers() {
		columns[j].Peer = p
	}
	for range rows {
		truth, said := c.labels()
		truths = append(truths, truth)
		for j, l := range said {
			if c.Float64() < missing {
				l = -1
			}
			columns[j].Labels = append(columns[j].Labels, l)
		}
	}
	return truths, columns
}

// plainEM is the algorithm as its paper writes it: a row at a time, probabilities
// multiplied, the standard library's arithmetic.
func plainEM(classes int, columns []Column, rounds int) (skill []float64, truth [][]float64) {
	rows := len(columns[0].Labels)
	truth = make([][]float64, rows)
	skill = make([]float64, len(columns))
	for t := range truth {
		truth[t] = make([]float64, classes)
		n := 0.0
		for _, c := range columns {
			if c.Labels[t] >= 0 {
				truth[t][c.Labels[t]]++
				n++
			}
		}
		for k := range truth[t] {
			truth[t][k] /= max(n, 1)
		}
	}
	for range rounds {
		prior, voted := make([]float64, classes), 0.0
		for t := range truth {
			sum := 0.0
			for k, g := range truth[t] {
				prior[k] += g
				sum += g
			}
			voted += math.Round(sum)
		}
		for k := range prior {
			prior[k] = (prior[k] + 1) / (voted + float64(classes))
		}
		for j, c := range columns {
			good, n := 1.0, 1.0
			for t, l := range c.Labels {
				if l >= 0 {
					good += truth[t][l]
					n++
				}
			}
			skill[j] = max(0.01, min(0.99, good/n))
		}
		for t := range truth {
			sum := 0.0
			silent := true
			for k := range truth[t] {
				g := prior[k]
				for j, c := range columns {
					switch c.Labels[t] {
					case -1:
						continue
					case k:
						g *= skill[j]
					default:
						g *= (1 - skill[j]) / float64(classes-1)
					}
					silent = false
				}
				truth[t][k] = g
				sum += g
			}
			for k := range truth[t] {
				truth[t][k] /= sum
				if silent {
					truth[t][k] = 0
				}
			}
		}
	}
	return skill, truth
}

func TestEMAgreesWithThePlainAlgorithm(t *testing.T) {
	for seed := uint64(1); seed <= 40; seed++ {
		r := newRandom(seed)
		c := crowd{random: r, classes: 2 + r.IntN(4), skills: make([]float64, 1+r.IntN(8))}
		for j := range c.skills {
			c.skills[j] = r.Float64()
		}
		_, columns := c.batch(20+r.IntN(100), r.Float64()*0.7)
		fit, err := FitEM(c.classes, columns)
		if err != nil {
			t.Fatal(err)
		}
		skill, truth := plainEM(c.classes, columns, fit.Rounds)
		for j := range skill {
			if math.Abs(fit.Skills[j].Float()-skill[j]) > 2e-6 {
				t.Fatalf("seed %d: skill %d is %d, plainly %g", seed, j, fit.Skills[j], skill[j])
			}
		}
		for row := range truth {
			for k, p := range fit.Posterior(row) {
				if math.Abs(p.Float()-truth[row][k]) > 2e-6 {
					t.Fatalf("seed %d: row %d, class %d: %d, plainly %g", seed, row, k, p, truth[row][k])
				}
			}
		}
	}
}

func TestEMGates(t *testing.T) {
	good := []float64{.9, .9, .8, .8, .7}
	for _, c := range []struct {
		name    string
		classes int
		rows    int
		skills  []float64
		copies  []int
		gate    string
	}{
		{"open", 3, 100, good, nil, ""},
		{"open at the least", 3, 50, good, nil, ""},
		{"four voters", 3, 100, good[:4], nil, "em needs 5 different models, 4 voted"},
		{"five voters of four models", 3, 100, good, []int{-1, -1, -1, -1, 0}, "em needs 5 different models, 4 voted"},
		{"no voters", 3, 100, nil, nil, "em needs 5 different models, 0 voted"},
		{"forty-nine rows", 3, 49, good, nil, "em needs 50 rows, 49 have votes"},
		{"three little better than chance", 3, 2000, []float64{.9, .9, .9, .38, .38, .38, .38}, nil, "em needs most models better than chance, 3 of 7 are"},
		{"one label", 1, 100, good, nil, "em needs at least 2 labels, the task has 1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			columns := make([]Column, len(c.skills))
			if c.classes > 1 {
				_, columns = (&crowd{random: newRandom(1), classes: c.classes, skills: c.skills, copies: c.copies}).batch(c.rows, 0)
			} else {
				for j := range columns {
					columns[j] = Column{Peer: Peer{ID: fmt.Sprint(j)}, Labels: make([]int, c.rows)}
				}
			}
			fit, err := FitEM(c.classes, columns)
			if err != nil || fit.Gate != c.gate {
				t.Errorf("%q, %v", fit.Gate, err)
			}
		})
	}
	for gate, fit := range map[string]EMFit{
		"em did not settle in 100 rounds":                     {classes: 3, Voices: 5, Rows: 50, Able: 5},
		"em needs most models better than chance, 2 of 5 are": {classes: 3, Voices: 5, Rows: 50, Able: 2, Converged: true},
		"em needs most models better than chance, 3 of 6 are": {classes: 3, Voices: 6, Rows: 50, Able: 3, Converged: true},
		"": {classes: 3, Voices: 5, Rows: 50, Able: 3, Converged: true},
	} {
		if got := fit.gate(); got != gate {
			t.Errorf("%q, want %q", got, gate)
		}
	}
	if _, err := FitEM(0, nil); !errors.Is(err, ErrRule) {
		t.Error(err)
	}
}

// TestEMOfGuessersIsClosed: no skill can be found where there is none.
func TestEMOfGuessersIsClosed(t *testing.T) {
	closed := 0
	for seed := uint64(1); seed <= 30; seed++ {
		c := crowd{random: newRandom(seed), classes: 3, skills: []float64{.3, .3, .3, .3, .3}}
		_, columns := c.batch(300, 0)
		fit, err := FitEM(3, columns)
		if err != nil {
			t.Fatal(err)
		}
		if fit.Gate != "" {
			closed++
		}
	}
	t.Logf("closed for %d of 30 teams of guessers", closed)
	if closed < 25 {
		t.Errorf("closed for %d of 30 teams of guessers", closed)
	}
}

func TestEMDoesNotDependOnTheOrderOfRowsOrMembers(t *testing.T) {
	c := crowd{random: newRandom(2), classes: 3, skills: []float64{.9, .8, .7, .6, .5, .4}, copies: []int{-1, -1, -1, -1, -1, 2}}
	_, columns := c.batch(120, 0.2)
	want, err := FitEM(3, columns)
	if err != nil {
		t.Fatal(err)
	}
	for range 5 {
		rows, order := c.Perm(120), c.Perm(len(columns))
		mixed := make([]Column, len(columns))
		for to, from := range order {
			mixed[to].Peer = columns[from].Peer
			for _, row := range rows {
				mixed[to].Labels = append(mixed[to].Labels, columns[from].Labels[row])
			}
		}
		got, err := FitEM(3, mixed)
		if err != nil || got.Rounds != want.Rounds || fmt.Sprint(got.Prior) != fmt.Sprint(want.Prior) {
			t.Fatalf("%+v, %v", got, err)
		}
		for to, from := range order {
			if got.Skills[to] != want.Skills[from] {
				t.Errorf("the skill of %s is %d and %d", mixed[to].ID, got.Skills[to], want.Skills[from])
			}
		}
		for to, from := range rows {
			if fmt.Sprint(got.Posterior(to)) != fmt.Sprint(want.Posterior(from)) {
				t.Errorf("row %d: %v and %v", from, got.Posterior(to), want.Posterior(from))
			}
		}
	}
}

// TestEMTakesCopiesForOneVoice: four copies of a weak model agree with one another always.
// Without their fingerprints EM believes them; with them it does not.
func TestEMTakesCopiesForOneVoice(t *testing.T) {
	c := crowd{
		random: newRandom(3), classes: 3, skills: []float64{.5, .5, .5, .5, .9, .9, .9, .9},
		copies: []int{-1, 0, 0, 0, -1, -1, -1, -1},
	}
	_, columns := c.batch(300, 0)
	fit, err := FitEM(3, columns)
	if err != nil || fit.Gate != "" || fit.Voices != 5 || fit.Skills[0] > 600_000 || fit.Skills[4] < 800_000 || fit.Skills[0] != fit.Skills[3] {
		t.Errorf("%+v, %v", fit.Skills, err)
	}
	for j := range columns {
		columns[j].Fingerprint = ""
	}
	if fit, err = FitEM(3, columns); err != nil || fit.Skills[0] < 900_000 {
		t.Errorf("%+v, %v", fit.Skills, err)
	}
}

func TestEMOfRowsThatNobodyVotedOn(t *testing.T) {
	c := crowd{random: newRandom(4), classes: 3, skills: []float64{.9, .9, .9, .9, .9, .9}}
	_, columns := c.batch(60, 0)
	for j := range columns {
		columns[j].Labels[7] = []int{-1, 3, -5}[j%3]
	}
	columns[5].Labels = nil // did not answer
	fit, err := FitEM(3, columns)
	if err != nil || fit.Rows != 59 || fit.Voices != 5 || fit.Skills[5] != 0 || fit.Gate != "" {
		t.Fatalf("%+v, %v", fit, err)
	}
	if fit.Posterior(7) != nil || fit.Posterior(-1) != nil || fit.Posterior(60) != nil || len(fit.Posterior(59)) != 3 {
		t.Error("posterior of a row without votes")
	}
}

func TestResultsOfEM(t *testing.T) {
	c := crowd{random: newRandom(5), classes: 3, skills: []float64{.95, .95, .4, .4, .4}}
	_, columns := c.batch(200, 0)
	fit, err := FitEM(3, columns)
	if err != nil || fit.Gate != "" {
		t.Fatalf("%q, %v", fit.Gate, err)
	}
	var count Counter
	members := make([]Member, len(columns))
	for j := range members {
		members[j] = Member{ID: columns[j].ID, Voice: []int{0, 0, 0, 1, 1}[j]}
	}
	if err := count.Reset(Rule{Method: Majority, Classes: 3}, members); err != nil {
		t.Fatal(err)
	}
	var out Result
	overruled := 0
	for row := range 200 {
		count.Clear()
		for j := range columns {
			count.AddAt(j, &Vote{Outcome: OK, Label: columns[j].Labels[row]})
		}
		count.ResultEM(&out, fit.Posterior(row))
		best := 0
		for k, p := range fit.Posterior(row) {
			if int64(p) != out.Sums[k] || math.Abs(float64(out.Shares[k]-p)) > 2 {
				t.Fatalf("row %d: sums %v, shares %v of %v", row, out.Sums, out.Shares, fit.Posterior(row))
			}
			if p > fit.Posterior(row)[best] {
				best = k
			}
		}
		if out.Label != best || out.Method != EM || !out.Certain || out.Counted != 5 || out.Effective != 4 ||
			out.Agreeing+len(out.Dissenters) != 5 || (out.Status != StatusOK && out.Status != StatusTie) {
			t.Fatalf("row %d: %+v", row, out)
		}
		if out.Agreeing == 2 {
			overruled++
		}
	}
	if overruled == 0 {
		t.Error("the two good ones never overrule the three poor ones")
	}
	count.Clear()
	count.AddAt(0, &Vote{Outcome: OK})
	if count.ResultEM(&out, nil); out.Method != Majority || out.Status != Undecided {
		t.Errorf("without a posterior: %+v", out)
	}
	if count.ResultEM(&out, fit.Posterior(0)); out.Certain {
		t.Error("certain while votes are out")
	}
}
