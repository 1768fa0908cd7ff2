package ml

import (
	"context"
	"fmt"
	"math"
	"runtime"
	"sync/atomic"

	"golang.org/x/sync/errgroup"
)

const (
	// plattFolds is into how many parts the rows of a pair are dealt to find decision
	// values for rows that were not learnt from.
	plattFolds = 5
	// maxSVMLabels bounds the number of pairs: 32,640.
	maxSVMLabels = 256
	// maxC and maxSVMValue keep every sum of the solver finite.
	maxC        = 1e9
	maxSVMValue = 1e100
)

// pairFit is the work on two classes: one machine on all their rows, and the decision
// values of machines that had not seen the row.
type pairFit struct {
	first, second int // classes, as indexes into svmFit.classes
	rows          []int
	x             []float64 // the rows, standardised, those of first before those of second
	y             []float64
	fold          []int
	solution      smoSolution
	held          []float64 // decision value of each row by the machine that had not seen it
	sigmoid       sigmoid
}

// svmFit is what fitting an SVM needs in all its parts.
type svmFit struct {
	kernel   kernel
	c        float64
	features int
	classes  []int // the classes that have rows
}

func fitSVM(ctx context.Context, task Task, d *Dataset, o FitOptions) (Model, error) {
	s := &svmFit{c: o.C, features: len(task.Features)}
	switch o.Kernel {
	case "", "linear":
	case "rbf":
		s.kernel.rbf = true
	default:
		return nil, fmt.Errorf("ml: there is no kernel %q; choose linear or rbf", o.Kernel)
	}
	if s.c == 0 {
		s.c = 1
	}
	if !(s.c > 0 && s.c <= maxC) {
		return nil, fmt.Errorf("ml: svm's C is %v; it must be above 0 and at most %g, for example 1", o.C, maxC)
	}
	if !(o.Gamma >= 0) || math.IsInf(o.Gamma, 0) {
		return nil, fmt.Errorf("ml: svm's gamma is %v; it must be above 0, or 0 for the default", o.Gamma)
	}
	if len(task.Labels) > maxSVMLabels {
		return nil, fmt.Errorf("ml: svm compares every two labels, and %d are too many (at most %d); use randforest", len(task.Labels), maxSVMLabels)
	}
	var scale *scaler
	if o.standardise(task) {
		var err error
		if scale, err = newScaler(d); err != nil {
			return nil, err
		}
	}
	x := scaled(d, scale)
	if err := checkKernel(d, x); err != nil {
		return nil, err
	}
	if s.kernel.rbf {
		s.kernel.gamma = o.Gamma
		if s.kernel.gamma == 0 {
			s.kernel.gamma = defaultGamma(x, s.features)
		}
	}
	pairs := s.deal(d, x, o.Seed)
	if err := s.solve(ctx, pairs, o); err != nil {
		return nil, err
	}
	return s.compile(task, pairs, scale, o.Seed), nil
}

// checkKernel refuses values whose inner products overflow.
func checkKernel(d *Dataset, x []float64) error {
	features := d.Task.Features
	for i, v := range x {
		if math.Abs(v) > maxSVMValue {
			row, f := i/len(features), i%len(features)
			return fmt.Errorf("%w: %s: %s is %v, too large for an svm; scale the column down", ErrData, d.place(row), features[f], v)
		}
	}
	return nil
}

// defaultGamma is 1 / (features x variance of all values), as scikit-learn's "scale".
func defaultGamma(x []float64, features int) float64 {
	n := float64(len(x))
	mean, variance := 0.0, 0.0
	for _, v := range x {
		mean += v / n
	}
	for _, v := range x {
		variance += float64((v-mean)*(v-mean)) / n
	}
	if variance == 0 {
		return 1
	}
	return min(1/(float64(features)*variance), math.MaxFloat64)
}

// deal makes the pairs of classes that have rows, in label order, and deals their rows to
// the folds.
func (s *svmFit) deal(d *Dataset, x []float64, seed uint64) []*pairFit {
	rows := d.byClass()
	for c, r := range rows {
		if len(r) > 0 {
			s.classes = append(s.classes, c)
		}
	}
	var pairs []*pairFit
	for i := range s.classes {
		for j := i + 1; j < len(s.classes); j++ {
			p := &pairFit{first: i, second: j}
			for _, side := range []struct {
				class int
				y     float64
			}{{s.classes[i], 1}, {s.classes[j], -1}} {
				for _, r := range rows[side.class] {
					p.rows = append(p.rows, r)
					p.x = append(p.x, x[r*s.features:(r+1)*s.features]...)
					p.y = append(p.y, side.y)
				}
			}
			class := make([]int, len(p.y))
			for k, y := range p.y {
				if y < 0 {
					class[k] = 1
				}
			}
			p.fold = dealFolds(class, 2, min(plattFolds, len(class)), newRand(seed, streamPlatt, uint64(len(pairs))))
			p.held = make([]float64, len(p.y))
			pairs = append(pairs, p)
		}
	}
	return pairs
}

// solve runs all machines, each on one core.
func (s *svmFit) solve(ctx context.Context, pairs []*pairFit, o FitOptions) error {
	total := len(pairs) * (plattFolds + 1)
	var done atomic.Int64
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(runtime.GOMAXPROCS(0))
	step := func(f func() error) {
		g.Go(func() error {
			if err := ctx.Err(); err != nil {
				return err
			}
			if err := f(); err != nil {
				return err
			}
			o.progress(int(done.Add(1)), total)
			return nil
		})
	}
	for _, p := range pairs {
		step(func() (err error) {
			p.solution, err = s.machine(ctx, p.x, p.y)
			return err
		})
		for k := range plattFolds {
			step(func() error { return s.holdOut(ctx, p, k) })
		}
	}
	if err := g.Wait(); err != nil {
		return err
	}
	for _, p := range pairs {
		p.sigmoid = fitSigmoid(p.held, p.y)
	}
	return nil
}

func (s *svmFit) machine(ctx context.Context, x, y []float64) (smoSolution, error) {
	return smoProblem{rows: newKernelRows(s.kernel, x, s.features), y: y, c: s.c}.solve(ctx)
}

// holdOut learns from the rows outside fold k and decides on those in it.
func (s *svmFit) holdOut(ctx context.Context, p *pairFit, k int) error {
	var x, y []float64
	var positive, negative bool
	for i, f := range p.fold {
		if f == k {
			continue
		}
		x = append(x, p.x[i*s.features:(i+1)*s.features]...)
		y = append(y, p.y[i])
		positive = positive || p.y[i] > 0
		negative = negative || p.y[i] < 0
	}
	var decide func(row []float64) float64
	switch {
	case positive && negative:
		m, err := s.machine(ctx, x, y)
		if err != nil {
			return err
		}
		decide = s.decision(m, x)
	default:
		// A class with one row, and that one is held out: the others say all they can.
		v := 0.0
		if positive {
			v = 1
		} else if negative {
			v = -1
		}
		decide = func([]float64) float64 { return v }
	}
	for i, f := range p.fold {
		if f == k {
			p.held[i] = decide(p.x[i*s.features : (i+1)*s.features])
		}
	}
	return nil
}

// decision returns the decision function of a machine that learnt from x.
func (s *svmFit) decision(m smoSolution, x []float64) func(row []float64) float64 {
	if !s.kernel.rbf {
		w := weights(m.coef, x, s.features)
		return func(row []float64) float64 { return dot(w, row) + m.bias }
	}
	return func(row []float64) float64 {
		sum := m.bias
		for i, c := range m.coef {
			if c != 0 {
				sum += float64(c * s.kernel.of(row, x[i*s.features:(i+1)*s.features]))
			}
		}
		return sum
	}
}

// weights collapses the support vectors of a linear machine into one vector.
func weights(coef, x []float64, features int) []float64 {
	w := make([]float64, features)
	for i, c := range coef {
		if c == 0 {
			continue
		}
		for j, v := range x[i*features : (i+1)*features] {
			w[j] += float64(c * v)
		}
	}
	return w
}
