package ml

import (
	"fmt"
	"math"
	"sync"
)

// knnModel is k nearest neighbours (Cover and Hart 1967) by brute force: Euclidean
// distance over one flat array. Of equally far rows the earlier is nearer; of classes
// with equally many neighbours the first in label order wins.
type knnModel struct {
	task        Task
	k           int
	scale       *scaler
	x           []float64 // row-major, standardised if scale is not nil
	y           []int32
	fingerprint [32]byte
	scratch     sync.Pool // *knnScratch, for tasks or k too large for the stack
}

// What fits on the stack of a Predict.
const (
	stackFeatures = 64
	stackK        = 16
	stackClasses  = 16
)

type knnScratch struct {
	row   []float64
	dist  []float64
	class []int32
	votes []int32
}

func fitKNN(task Task, d *Dataset, o FitOptions) (Model, error) {
	k := o.K
	switch {
	case k < 0:
		return nil, fmt.Errorf("ml: knn cannot ask %d neighbours; k must be at least 1", k)
	case k > d.Len():
		return nil, fmt.Errorf("ml: knn cannot ask %d neighbours of %d rows; choose a smaller k", k, d.Len())
	case k == 0:
		k = min(5, d.Len())
	}
	m := &knnModel{task: task, k: k, y: make([]int32, d.Len())}
	if o.standardise(task) {
		var err error
		if m.scale, err = newScaler(d); err != nil {
			return nil, err
		}
	}
	m.x = scaled(d, m.scale)
	for i, y := range d.Y {
		m.y[i] = int32(y)
	}
	m.seal()
	o.progress(1, 1)
	return m, nil
}

// seal fills in what follows from the rest.
func (m *knnModel) seal() {
	fp := newFingerprint(KNN, m.task)
	fp.ints(m.k)
	fp.scaler(m.scale)
	fp.floats(m.x)
	fp.int32s(m.y)
	m.fingerprint = fp.sum()
	features, labels, k := len(m.task.Features), len(m.task.Labels), m.k
	m.scratch.New = func() any {
		return &knnScratch{
			row:  make([]float64, features),
			dist: make([]float64, k), class: make([]int32, k),
			votes: make([]int32, labels),
		}
	}
}

func (m *knnModel) Kind() Kind            { return KNN }
func (m *knnModel) Task() Task            { return m.task }
func (m *knnModel) Fingerprint() [32]byte { return m.fingerprint }
func (m *knnModel) Probabilistic() bool   { return true }

func (m *knnModel) Params() map[string]any {
	return map[string]any{"k": m.k, "rows": len(m.y), "metric": "euclidean", "standardise": m.scale != nil}
}

// Predict gives the class of most of the k nearest rows; probabilities are votes/k.
func (m *knnModel) Predict(row, probs []float64) (int, error) {
	if err := checkCall(&m.task, row, probs); err != nil {
		return 0, err
	}
	if len(row) > stackFeatures || m.k > stackK || len(m.task.Labels) > stackClasses {
		s := m.scratch.Get().(*knnScratch)
		clear(s.votes)
		y := m.predict(row, probs, s.row, s.dist, s.class, s.votes)
		m.scratch.Put(s)
		return y, nil
	}
	var (
		q     [stackFeatures]float64
		dist  [stackK]float64
		class [stackK]int32
		votes [stackClasses]int32
	)
	return m.predict(row, probs, q[:len(row)], dist[:m.k], class[:m.k], votes[:len(m.task.Labels)]), nil
}

func (m *knnModel) predict(row, probs, q, dist []float64, class, votes []int32) int {
	if m.scale != nil {
		m.scale.apply(q, row)
		row = q
	}
	m.nearest(row, dist, class)
	for _, c := range class {
		votes[c]++
	}
	best := 0
	for c, v := range votes {
		if v > votes[best] {
			best = c
		}
	}
	if probs != nil {
		for c, v := range votes {
			probs[c] = float64(v) / float64(m.k)
		}
	}
	return best
}

// nearest fills dist (squared, ascending) and class with the len(dist) nearest rows.
func (m *knnModel) nearest(q, dist []float64, class []int32) {
	n, k := len(q), len(dist)
	have := 0
	worst := math.Inf(1)
	for i := range m.y {
		p := m.x[i*n : i*n+n]
		sum := 0.0
		if n > distanceBlock {
			sum = distanceWithin(q, p, worst)
		} else { // here, because a call for each row would be felt
			for j, v := range q {
				diff := v - p[j]
				sum += float64(diff * diff)
			}
		}
		if have == k && !(sum < worst) {
			continue // equally far but later: not nearer
		}
		at := have
		if have < k {
			have++
		} else {
			at = k - 1
		}
		for at > 0 && sum < dist[at-1] {
			dist[at], class[at] = dist[at-1], class[at-1]
			at--
		}
		dist[at], class[at] = sum, m.y[i]
		if have == k {
			worst = dist[k-1]
		}
	}
}

// distanceBlock is after how many features distanceWithin looks whether to go on.
const distanceBlock = 16

// distanceWithin is the squared distance of two vectors of the same length. It stops as
// soon as the sum so far, which only grows, is not below enough.
func distanceWithin(a, b []float64, enough float64) float64 {
	sum := 0.0
	for len(a) > distanceBlock && len(b) > distanceBlock {
		sum += squaredDistance(a[:distanceBlock], b[:distanceBlock])
		if !(sum < enough) {
			return sum
		}
		a, b = a[distanceBlock:], b[distanceBlock:]
	}
	return sum + squaredDistance(a, b)
}

var _ Model = (*knnModel)(nil)
