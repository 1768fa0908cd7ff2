package ml

import (
	"context"
	"math"
)

const (
	// smoTolerance is how far the optimality conditions may be missed: scikit-learn's
	// default, so that the same data gives the same labels.
	smoTolerance = 1e-3
	// smoCurvature stands in for the curvature of a direction that has none.
	smoCurvature = 1e-12
	// smoSteps is the least number of steps after which the solver gives up.
	smoSteps = 10_000_000
)

// smoProblem is a C-SVC with two classes: minimise over a, for 0 <= a <= C and y.a = 0,
//
//	a'Qa/2 - sum(a), where Q_ij = y_i y_j K(i, j).
type smoProblem struct {
	rows *kernelRows
	y    []float64 // +1 or -1
	c    float64
}

// smoSolution is the decision function sum(coef_i K(i, x)) + bias.
type smoSolution struct {
	coef      []float64 // y_i a_i
	bias      float64
	converged bool
}

// solve is sequential minimal optimisation with working sets chosen by second-order
// information (Fan, Chen, Lin 2005, "Working Set Selection Using Second Order Information
// for Training Support Vector Machines", algorithm 2), without shrinking.
//
// It keeps f_i = y_i - sum(coef_k K(k, i)), the negative gradient times y_i. At the
// optimum no row that may still go up (towards class +1) has an f above that of a row
// that may go down; the bias lies between the two.
func (p smoProblem) solve(ctx context.Context) (smoSolution, error) {
	n := len(p.y)
	a := make([]float64, n)
	f := make([]float64, n)
	diagonal := make([]float64, n)
	for i, y := range p.y {
		f[i] = y
		v := p.rows.vector(i)
		diagonal[i] = p.rows.kernel.of(v, v)
	}
	limit := max(smoSteps, 100*n)
	converged := false
	for step := 0; step < limit; step++ {
		if step%256 == 255 && ctx.Err() != nil {
			return smoSolution{}, ctx.Err()
		}
		i, most := p.first(a, f)
		if i < 0 {
			converged = true
			break
		}
		ki := p.rows.row(i)
		j, least := p.second(a, f, diagonal, ki, i, most)
		if j < 0 || most-least < smoTolerance {
			converged = true
			break
		}
		kj := p.rows.row(j)
		curvature := diagonal[i] + diagonal[j] - 2*ki[j]
		if curvature <= 0 {
			curvature = smoCurvature
		}
		t := p.move(a, i, j, (most-f[j])/curvature)
		for k := range f {
			f[k] -= float64(t * (ki[k] - kj[k]))
		}
	}
	return smoSolution{coef: p.coefficients(a), bias: p.bias(a, f), converged: converged}, nil
}

// up and down say whether y_i a_i may grow or shrink.
func (p smoProblem) up(a []float64, i int) bool {
	if p.y[i] > 0 {
		return a[i] < p.c
	}
	return a[i] > 0
}

func (p smoProblem) down(a []float64, i int) bool {
	if p.y[i] > 0 {
		return a[i] > 0
	}
	return a[i] < p.c
}

// first returns the row that may go up with the largest f; the last among equals.
func (p smoProblem) first(a, f []float64) (int, float64) {
	at, most := -1, math.Inf(-1)
	for i := range f {
		if f[i] >= most && p.up(a, i) {
			at, most = i, f[i]
		}
	}
	return at, most
}

// second returns the row that, paired with i, promises the largest gain, and the least
// f of all rows that may go down.
func (p smoProblem) second(a, f, diagonal, ki []float64, i int, most float64) (int, float64) {
	at, least, gain := -1, math.Inf(1), math.Inf(-1)
	for j := range f {
		if !p.down(a, j) {
			continue
		}
		least = min(least, f[j])
		d := most - f[j]
		if !(d > 0) {
			continue
		}
		curvature := diagonal[i] + diagonal[j] - 2*ki[j]
		if curvature <= 0 {
			curvature = smoCurvature
		}
		if g := d * d / curvature; g >= gain {
			at, gain = j, g
		}
	}
	return at, least
}

// move shifts t from j to i, as far as the bounds allow, and returns how far. Bounds are
// met exactly, because the sets of rows that may move hang on it.
func (p smoProblem) move(a []float64, i, j int, t float64) float64 {
	roomI, roomJ := a[i], a[j]
	if p.y[i] > 0 {
		roomI = p.c - a[i]
	}
	if p.y[j] < 0 {
		roomJ = p.c - a[j]
	}
	t = min(t, roomI, roomJ)
	shift := func(k int, up bool) {
		switch room := p.c - a[k]; {
		case up && t >= room:
			a[k] = p.c
		case up:
			a[k] = min(a[k]+t, p.c)
		case t >= a[k]:
			a[k] = 0
		default:
			a[k] -= t
		}
	}
	shift(i, p.y[i] > 0)
	shift(j, p.y[j] < 0)
	return t
}

// bias is the mean f of the rows inside the bounds; if there is none, the middle of what
// the optimum allows.
func (p smoProblem) bias(a, f []float64) float64 {
	sum, free := 0.0, 0
	most, least := math.Inf(-1), math.Inf(1)
	for i := range f {
		up, down := p.up(a, i), p.down(a, i)
		if up && down {
			sum += f[i]
			free++
		}
		if up {
			most = max(most, f[i])
		}
		if down {
			least = min(least, f[i])
		}
	}
	if free > 0 {
		return sum / float64(free)
	}
	return (most + least) / 2
}

func (p smoProblem) coefficients(a []float64) []float64 {
	c := make([]float64, len(a))
	for i, v := range a {
		c[i] = p.y[i] * v
	}
	return c
}
