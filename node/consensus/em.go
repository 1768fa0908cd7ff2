package consensus

import (
	"fmt"
	"math"
	"slices"
	"strings"
)

// The gates of EM, and where it stops.
const (
	emVoters   = 5    // fewer cannot tell skill from luck
	emRows     = 50   // nor can fewer rows
	emRounds   = 100  // of expectation and maximisation
	emSettled  = 1e-6 // largest change of a skill at which it has converged
	emLow      = 0.01 // skills are clipped, as MinSkill and MaxSkill
	emHigh     = 0.99
	emOverLuck = 0.1 // better than chance means a skill above 1/K + this
)

// Column is one member's labels for the rows of a batch.
type Column struct {
	Peer
	Labels []int // class index by row; -1, any other value that is not a class, or a missing row: no vote
}

// EMFit is what FitEM makes of a batch.
type EMFit struct {
	Gate      string       // why EM is not to be used here, in words; empty if it may be
	Voices    int          // different models that voted; copies of one are one voice
	Rows      int          // rows with a vote
	Rounds    int          // of expectation and maximisation
	Converged bool         // within emRounds
	Able      int          // voices whose skill is above 1/K + 0.1
	Skills    []Millionths // by column, estimated without any label; 0 if it did not vote
	Prior     []Millionths // by class
	classes   int
	posterior [][]Millionths // by pattern
	pattern   []int          // by row; -1 without a vote
}

// Posterior returns the probabilities of the classes for a row, in Millionths, or nil if
// nobody voted on it. The slice is shared and must not be written to.
func (f *EMFit) Posterior(row int) []Millionths {
	if row < 0 || row >= len(f.pattern) || f.pattern[row] < 0 {
		return nil
	}
	return f.posterior[f.pattern[row]]
}

// FitEM fits the one-coin model of Dawid and Skene (1979; Zhang, Chen, Zhou and Jordan 2014,
// arXiv 1406.3824) to the labels of a batch alone: each member is right with a skill of its
// own, and wrong evenly over the other classes. From the shares of votes as a first guess
// of the truth it estimates skills, from skills the truth, and so on until they settle.
// Unlike a weight, a skill below chance counts as evidence against a label here.
//
// Copies of one model (equal fingerprints) are one voter, since their agreement would look
// like skill; the first in id order that voted on a row speaks for them. The fit is
// to be used only if Gate is empty; otherwise the rows are to be counted as a majority.
//
// The error wraps ErrRule.
func FitEM(classes int, columns []Column) (*EMFit, error) {
	check := Rule{Method: Majority, Classes: classes}
	if err := check.check(len(columns)); err != nil {
		return nil, fmt.Errorf("em: %w", err)
	}
	d := newDawidSkene(classes, columns)
	f := d.fit()
	f.Gate = f.gate()
	return f, nil
}

// gate returns the first gate that the fit does not pass.
func (f *EMFit) gate() string {
	switch {
	case f.classes < 2:
		return "em needs at least 2 labels, the task has 1"
	case f.Voices < emVoters:
		return fmt.Sprintf("em needs %d different models, %d voted", emVoters, f.Voices)
	case f.Rows < emRows:
		return fmt.Sprintf("em needs %d rows, %d have votes", emRows, f.Rows)
	case !f.Converged:
		return fmt.Sprintf("em did not settle in %d rounds", emRounds)
	case 2*f.Able < f.Voices+1:
		return fmt.Sprintf("em needs most models better than chance, %d of %d are", f.Able, f.Voices)
	}
	return ""
}

// dawidSkene is a batch made ready: rows with the same votes are one pattern, so the work
// grows with the number of different patterns, not of rows.
type dawidSkene struct {
	classes  int
	voices   int
	voice    []int   // by column; -1 if it did not vote
	patterns [][]int // label by voice, -1 without a vote; in lexical order
	times    []int   // how many rows have a pattern
	pattern  []int   // by row
	votes    []int   // by voice: rows voted on

	skill []float64   // by voice
	prior []float64   // by class
	truth [][]float64 // by pattern and class
}

func newDawidSkene(classes int, columns []Column) *dawidSkene {
	d := &dawidSkene{classes: classes, voice: make([]int, len(columns))}
	// Everything is summed in the order of ids, whatever the order of the columns.
	order := make([]int, len(columns))
	rows := 0
	for i := range columns {
		order[i] = i
		rows = max(rows, len(columns[i].Labels))
	}
	slices.SortStableFunc(order, func(a, b int) int { return strings.Compare(columns[a].ID, columns[b].ID) })
	valid := func(i, t int) bool {
		return t < len(columns[i].Labels) && columns[i].Labels[t] >= 0 && columns[i].Labels[t] < classes
	}
	shared := map[string]int{}
	var speakers [][]int // columns by voice, in id order
	for _, i := range order {
		d.voice[i] = -1
		voted := false
		for t := 0; t < rows && !voted; t++ {
			voted = valid(i, t)
		}
		if !voted {
			continue
		}
		v, known := shared[columns[i].Fingerprint]
		if !known || columns[i].Fingerprint == "" {
			v = len(speakers)
			speakers = append(speakers, nil)
			shared[columns[i].Fingerprint] = v
		}
		d.voice[i] = v
		speakers[v] = append(speakers[v], i)
	}
	d.voices = len(speakers)
	d.readRows(rows, func(t int, labels []int) {
		for v, all := range speakers {
			labels[v] = -1
			for _, i := range all {
				if valid(i, t) {
					labels[v] = columns[i].Labels[t]
					break
				}
			}
		}
	})
	return d
}

// readRows finds the patterns of so many rows, and sorts them so that the order of rows
// does not matter either.
func (d *dawidSkene) readRows(rows int, read func(t int, labels []int)) {
	at := map[string]int{}
	var key []byte
	labels := make([]int, d.voices)
	d.pattern = make([]int, rows)
	for t := range rows {
		read(t, labels)
		key = key[:0]
		silent := true
		for _, l := range labels {
			key = append(key, byte(l>>16), byte(l>>8), byte(l))
			silent = silent && l < 0
		}
		if silent {
			d.pattern[t] = -1
			continue
		}
		p, known := at[string(key)]
		if !known {
			p = len(d.patterns)
			at[string(key)] = p
			d.patterns = append(d.patterns, slices.Clone(labels))
			d.times = append(d.times, 0)
		}
		d.pattern[t] = p
		d.times[p]++
	}
	order := make([]int, len(d.patterns))
	for p := range order {
		order[p] = p
	}
	slices.SortFunc(order, func(a, b int) int { return slices.Compare(d.patterns[a], d.patterns[b]) })
	rank := make([]int, len(order))
	patterns, times := make([][]int, len(order)), make([]int, len(order))
	for to, from := range order {
		rank[from] = to
		patterns[to], times[to] = d.patterns[from], d.times[from]
	}
	d.patterns, d.times = patterns, times
	for t, p := range d.pattern {
		if p >= 0 {
			d.pattern[t] = rank[p]
		}
	}
	d.votes = make([]int, d.voices)
	for p, labels := range d.patterns {
		for v, l := range labels {
			if l >= 0 {
				d.votes[v] += d.times[p]
			}
		}
	}
}

// fit runs EM.
func (d *dawidSkene) fit() *EMFit {
	f := &EMFit{classes: d.classes, Voices: d.voices, pattern: d.pattern}
	for _, n := range d.times {
		f.Rows += n
	}
	d.skill, d.prior = make([]float64, d.voices), make([]float64, d.classes)
	d.start()
	for f.Rounds < emRounds && !f.Converged && f.Rows > 0 && d.classes > 1 {
		f.Rounds++
		f.Converged = d.maximise(f.Rows) < emSettled
		d.expect()
	}
	f.posterior = make([][]Millionths, len(d.truth))
	for p, g := range d.truth {
		f.posterior[p] = make([]Millionths, d.classes)
		for k, x := range g {
			f.posterior[p][k] = ToMillionths(x)
		}
	}
	for k := range d.prior {
		f.Prior = append(f.Prior, ToMillionths(d.prior[k]))
	}
	f.Skills = make([]Millionths, len(d.voice))
	for i, v := range d.voice {
		if v >= 0 {
			f.Skills[i] = ToMillionths(d.skill[v])
		}
	}
	for _, s := range d.skill {
		if s > 1/float64(d.classes)+emOverLuck {
			f.Able++
		}
	}
	return f
}

// start guesses the truth: the shares of votes.
func (d *dawidSkene) start() {
	d.truth = make([][]float64, len(d.patterns))
	for p, labels := range d.patterns {
		d.truth[p] = make([]float64, d.classes)
		n := 0
		for _, l := range labels {
			if l >= 0 {
				n++
			}
		}
		for _, l := range labels {
			if l >= 0 {
				d.truth[p][l] += 1 / float64(n)
			}
		}
	}
}

// maximise sets skills and prior from the truth, and returns the largest change of a skill.
// A skill has the prior Beta(2,1): s = (expected rows right + 1)/(rows + 1).
func (d *dawidSkene) maximise(rows int) (change float64) {
	rightOf := make([]float64, d.voices)
	clear(d.prior)
	for p, labels := range d.patterns {
		times := float64(d.times[p])
		for v, l := range labels {
			if l >= 0 {
				rightOf[v] += float64(times * d.truth[p][l])
			}
		}
		for k, g := range d.truth[p] {
			d.prior[k] += float64(times * g)
		}
	}
	for v := range d.skill {
		s := max(emLow, min(emHigh, (rightOf[v]+1)/float64(d.votes[v]+1)))
		change = max(change, math.Abs(s-d.skill[v]))
		d.skill[v] = s
	}
	for k := range d.prior {
		d.prior[k] = (d.prior[k] + 1) / float64(rows+d.classes)
	}
	return change
}

// expect sets the truth from skills and prior, in logarithms.
func (d *dawidSkene) expect() {
	odds, base := make([]float64, d.voices), make([]float64, d.classes)
	for v, s := range d.skill {
		odds[v] = ln(float64(s*float64(d.classes-1)) / (1 - s))
	}
	for k, p := range d.prior {
		base[k] = ln(p)
	}
	for p, labels := range d.patterns {
		g := d.truth[p]
		copy(g, base) // the chance of an error, (1-s)/(K-1), is in all classes alike and cancels out
		for v, l := range labels {
			if l >= 0 {
				g[l] += odds[v]
			}
		}
		most, sum := slices.Max(g), 0.0
		for k, x := range g {
			g[k] = exp(x - most)
			sum += g[k]
		}
		for k := range g {
			g[k] /= sum
		}
	}
}
