package node_test

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"caucus/ml"
	"caucus/node/consensus"
)

// labelledFirst is how many rows are labelled before the methods are compared on the others.
const labelledFirst = 60

// team is who votes: how many healthy members, weak ones (trained on a twentieth of the
// training rows) and label-swapped ones.
type team struct {
	name                   string
	healthy, weak, swapped int
}

var teams = []team{
	{"3 healthy", 3, 0, 0},
	{"3 healthy, 2 weak", 3, 2, 0},
	{"1 healthy, 2 weak", 1, 2, 0},
	{"3 healthy, 2 swapped", 3, 0, 2},
}

// tenClasses makes 900 rows of 64 features and 10 classes: prototypes drawn once, of which
// each row is a noisy copy.
func tenClasses(t *testing.T, seed uint64) *ml.Dataset {
	t.Helper()
	const features, classes, rows = 64, 10, 900
	rng := rand.New(rand.NewPCG(seed, 64))
	names := make([]string, features)
	for j := range names {
		names[j] = fmt.Sprintf("f%02d", j)
	}
	labels := make([]string, classes)
	prototypes := make([]float64, classes*features)
	for k := range labels {
		labels[k] = fmt.Sprint(k)
	}
	for i := range prototypes {
		prototypes[i] = rng.NormFloat64()
	}
	task, err := ml.NewTask("ten", names, labels)
	if err != nil {
		t.Fatal(err)
	}
	d := &ml.Dataset{Task: task}
	for i := range rows {
		k := i % classes
		for j := range features {
			d.X = append(d.X, prototypes[k*features+j]+2.6*rng.NormFloat64())
		}
		d.Y = append(d.Y, k)
	}
	return d
}

// members fits a team on the rows that are not held out, and returns those that are.
func (x team) members(t *testing.T, d *ml.Dataset, holdout float64, seed uint64) (models []ml.Model, test *ml.Dataset) {
	t.Helper()
	train, test, err := d.Split(holdout, seed)
	if err != nil {
		t.Fatal(err)
	}
	off := false
	kinds := []ml.Kind{ml.KNN, ml.Forest, ml.SVM}
	fit := func(d *ml.Dataset, kind ml.Kind, seed uint64) ml.Model {
		m, err := ml.Fit(t.Context(), d, ml.FitOptions{Kind: kind, Seed: seed, Trees: 30, Standardise: &off})
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	for i := range x.healthy {
		models = append(models, fit(train, kinds[i], seed))
	}
	for i := range x.weak {
		_, few, err := train.Split(0.05, seed+uint64(i)+1)
		if err != nil {
			t.Fatal(err)
		}
		models = append(models, fit(few, kinds[i%2], seed+uint64(i)))
	}
	for i := range x.swapped {
		models = append(models, swapped{fit(train, kinds[i%2], seed+100+uint64(i))})
	}
	return models, test
}

// ballots are all members' votes on the rows, dealt out in a random order, as nodes give them.
func ballots(t *testing.T, models []ml.Model, test *ml.Dataset, seed uint64) (peers []consensus.Peer, votes [][]consensus.Vote, truth []int) {
	t.Helper()
	for j, m := range models {
		f := m.Fingerprint()
		peers = append(peers, consensus.Peer{ID: fmt.Sprintf("m%d", j), Fingerprint: string(f[:])})
	}
	classes := len(test.Task.Labels)
	probs := make([]float64, classes)
	for _, i := range rand.New(rand.NewPCG(seed, 1)).Perm(test.Len()) {
		row := make([]consensus.Vote, len(models))
		for j, m := range models {
			y, err := m.Predict(test.Row(i), probs)
			if err != nil {
				t.Fatal(err)
			}
			row[j] = consensus.Vote{Voter: peers[j].ID, Outcome: consensus.OK, Label: y}
			for _, p := range probs {
				row[j].Probabilities = append(row[j].Probabilities, consensus.ToMillionths(p))
			}
		}
		votes, truth = append(votes, row), append(truth, test.Y[i])
	}
	return peers, votes, truth
}

// learnFrom is the basis that the first n rows give.
func learnFrom(t *testing.T, classes, n int, peers []consensus.Peer, votes [][]consensus.Vote, truth []int) *consensus.Basis {
	t.Helper()
	records := make([]consensus.Record, n)
	for i := range records {
		records[i] = consensus.Record{Row: [32]byte{byte(i), byte(i >> 8)}, Labeller: "test", Label: truth[i], Votes: votes[i]}
	}
	b, err := consensus.Learn(classes, peers, records)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// right counts the rows from..end that a method has right with a basis.
func right(t *testing.T, b *consensus.Basis, m consensus.Method, from int, votes [][]consensus.Vote, truth []int) int {
	t.Helper()
	plan, err := b.Plan(m)
	if err != nil {
		t.Fatal(err)
	}
	var c consensus.Counter
	if err := c.Reset(consensus.Rule{Method: plan.Rule, Classes: b.Classes}, plan.Members); err != nil {
		t.Fatal(err)
	}
	n := 0
	for i := from; i < len(votes); i++ {
		c.Clear()
		for j := range votes[i] {
			c.AddAt(j, &votes[i][j])
		}
		if c.Leader() == truth[i] {
			n++
		}
	}
	return n
}

func compare(t *testing.T, x team, data func(seed uint64) *ml.Dataset, seeds int, exact bool) {
	methods := []consensus.Method{consensus.Majority, consensus.Weighted, consensus.Soft, consensus.Auto}
	var mean [4]float64
	var single float64
	for seed := range uint64(seeds) {
		models, test := x.members(t, data(seed), 0.5, seed)
		peers, votes, truth := ballots(t, models, test, seed)
		rest := float64(len(votes) - labelledFirst)
		b := learnFrom(t, len(test.Task.Labels), labelledFirst, peers, votes, truth)
		for m, method := range methods {
			mean[m] += float64(right(t, b, method, labelledFirst, votes, truth)) / rest / float64(seeds)
		}
		best := 0
		for j := range models {
			n := 0
			for i := labelledFirst; i < len(votes); i++ {
				if votes[i][j].Label == truth[i] {
					n++
				}
			}
			best = max(best, n)
		}
		single += float64(best) / rest / float64(seeds)
	}
	t.Logf("majority %.3f, weighted %.3f, soft %.3f, auto %.3f, best member %.3f (means of %d seeds)", mean[0], mean[1], mean[2], mean[3], single, seeds)
	least := mean[0] - 0.01
	if !exact {
		least -= 0.01 // fewer seeds
	}
	if mean[3] < least {
		t.Errorf("auto is right on %.3f, the majority on %.3f", mean[3], mean[0])
	}
}
