package ml

import (
	"context"
	"fmt"
	"math"
	"runtime"
	"sync"
	"sync/atomic"
)

// maxTrees bounds what one forest may take.
const maxTrees = 10_000

// forestModel is a random forest (Breiman 2001), compiled: the splits of all trees in
// one array. The answer is the class with the largest mean of leaf shares, the first in
// label order among equals.
type forestModel struct {
	task        Task
	seed        uint64
	drawn       int // features drawn at each split
	splits      []split
	roots       []int32   // one a tree; a split, or a leaf as in split.next
	shares      []float64 // of the leaves that hold more than one class
	fingerprint [32]byte
	scratch     sync.Pool // *[]float64, when there are many classes
}

// split is one inner node. A row goes to next[1] if its feature is above the threshold,
// else to next[0]. A next of 0 or more is the index of a split. Below 0 it is a leaf,
// and ^next says which: up to the number of classes, a leaf of that class alone;
// beyond, the place of its shares in forestModel.shares, plus the number of classes.
type split struct {
	threshold float64
	feature   int32
	next      [2]int32
}

// fitForest grows the trees on all cores. Standardising would change nothing: a tree looks
// at the order of values alone.
func fitForest(ctx context.Context, task Task, d *Dataset, o FitOptions) (Model, error) {
	trees := o.Trees
	switch {
	case trees == 0:
		trees = 100
	case trees < 0 || trees > maxTrees:
		return nil, fmt.Errorf("ml: a forest of %d trees cannot be grown; choose 1 to %d", trees, maxTrees)
	}
	data := rankRows(task, d.X, d.Y)
	m := &forestModel{task: task, seed: o.Seed, drawn: data.drawn}
	grown := make([]grownTree, trees)
	var next, done atomic.Int64
	var wg sync.WaitGroup
	for range min(runtime.GOMAXPROCS(0), trees) {
		wg.Go(func() {
			g := newGrower(data)
			for ctx.Err() == nil {
				i := int(next.Add(1)) - 1
				if i >= trees {
					return
				}
				grown[i] = g.grow(ctx, newRand(o.Seed, streamTree, uint64(i)))
				o.progress(int(done.Add(1)), trees)
			}
		})
	}
	wg.Wait()
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if err := m.compile(grown); err != nil {
		return nil, err
	}
	return m, nil
}

// compile joins the trees into the model's arrays.
func (m *forestModel) compile(grown []grownTree) error {
	splits, shares := 0, 0
	for _, t := range grown {
		splits += len(t.splits)
		shares += len(t.shares)
	}
	classes := len(m.task.Labels)
	if splits > math.MaxInt32 || shares > math.MaxInt32-classes {
		return fmt.Errorf("ml: the forest has %d splits; take fewer trees", splits)
	}
	m.splits = make([]split, 0, splits)
	m.shares = make([]float64, 0, shares)
	m.roots = make([]int32, len(grown))
	for i, t := range grown {
		at, sharesAt := int32(len(m.splits)), int32(len(m.shares))
		move := func(next int32) int32 {
			switch {
			case next >= 0:
				return next + at
			case int(^next) >= classes:
				return ^(^next + sharesAt)
			}
			return next
		}
		m.roots[i] = move(t.root)
		for _, sp := range t.splits {
			sp.next[0], sp.next[1] = move(sp.next[0]), move(sp.next[1])
			m.splits = append(m.splits, sp)
		}
		m.shares = append(m.shares, t.shares...)
	}
	m.seal()
	return nil
}

// seal fills in what follows from the rest.
func (m *forestModel) seal() {
	fp := newFingerprint(Forest, m.task)
	fp.int32s(m.roots)
	fp.floats(m.shares)
	fp.ints(len(m.splits))
	for i := range m.splits {
		fp.split(&m.splits[i])
	}
	m.fingerprint = fp.sum()
	classes := len(m.task.Labels)
	m.scratch.New = func() any { s := make([]float64, classes); return &s }
}

func (m *forestModel) Kind() Kind            { return Forest }
func (m *forestModel) Task() Task            { return m.task }
func (m *forestModel) Fingerprint() [32]byte { return m.fingerprint }
func (m *forestModel) Probabilistic() bool   { return true }

func (m *forestModel) Params() map[string]any {
	return map[string]any{
		"trees": len(m.roots), "splits": len(m.splits), "features_drawn": m.drawn, "seed": m.seed,
	}
}

// Predict gives the class with the largest mean of leaf shares; the means are the
// probabilities.
func (m *forestModel) Predict(row, probs []float64) (int, error) {
	if err := checkCall(&m.task, row, probs); err != nil {
		return 0, err
	}
	classes := len(m.task.Labels)
	if probs != nil {
		clear(probs)
		best := m.vote(row, probs)
		trees := float64(len(m.roots))
		for c := range probs {
			probs[c] /= trees
		}
		return best, nil
	}
	if classes <= stackClasses {
		var sums [stackClasses]float64
		return m.vote(row, sums[:classes]), nil
	}
	s := m.scratch.Get().(*[]float64)
	clear(*s)
	best := m.vote(row, *s)
	m.scratch.Put(s)
	return best, nil
}

// vote adds the leaf shares of all trees to sums and returns the largest.
func (m *forestModel) vote(row, sums []float64) int {
	splits := m.splits
	for _, at := range m.roots {
		for at >= 0 {
			s := &splits[at]
			above := 0
			if row[s.feature] > s.threshold {
				above = 1
			}
			at = s.next[above]
		}
		leaf := int(^at)
		if leaf < len(sums) {
			sums[leaf]++
			continue
		}
		leaf -= len(sums)
		for c, share := range m.shares[leaf : leaf+len(sums)] {
			sums[c] += share
		}
	}
	best := 0
	for c, s := range sums {
		if s > sums[best] {
			best = c
		}
	}
	return best
}

var _ Model = (*forestModel)(nil)
