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

// smoState is the solver at work. f_i = y_i - sum(coef_k K(k, i)) is the negative gradient
// times y_i. At the optimum no row that may still go up (towards class +1) has an f above
// that of a row that may go down; the bias lies between the two.
type smoState struct {
	smoProblem
	a        []float64
	f        []float64 // of the active rows; the others' is out of date
	diagonal []float64 // K(i, i)
	side     []uint8   // mayGoUp, mayGoDown
	active   []int32   // the rows that are worked on, ascending
	restored bool      // all rows were brought back once, near the optimum
}

// Whether y_i a_i may grow or shrink.
const (
	mayGoUp = 1 << iota
	mayGoDown
)

// extremes are the row that may go up with the largest f (the last among equals), and the
// largest and least f of the active rows that may go up and down.
type extremes struct {
	top         int
	most, least float64
}

// solve is sequential minimal optimisation with working sets chosen by second-order
// information (Fan, Chen, Lin 2005, "Working Set Selection Using Second Order Information
// for Training Support Vector Machines", algorithm 2) and shrinking (Joachims 1998,
// "Making Large-Scale SVM Learning Practical"): rows at a bound that are sure to stay
// there are left out, and looked at again before the end.
func (p smoProblem) solve(ctx context.Context) (smoSolution, error) {
	n := len(p.y)
	s := newSMOState(p)
	e := s.extremes()
	limit, shrink := max(smoSteps, 100*n), min(n, 1000)
	converged := false
	for step := 1; step <= limit; step++ {
		if step%256 == 0 && ctx.Err() != nil {
			return smoSolution{}, ctx.Err()
		}
		if step%shrink == 0 {
			e = s.shrink(e)
		}
		if e.most-e.least < smoTolerance {
			if len(s.active) == n {
				converged = true
				break
			}
			if e = s.restore(); e.most-e.least < smoTolerance {
				converged = true
				break
			}
		}
		i := e.top
		ki := p.rows.row(i)
		j, curvature := s.partner(i, e.most, ki)
		kj := p.rows.row(j)
		t := s.move(i, j, (e.most-s.f[j])/curvature)
		e = s.update(t, ki, kj)
	}
	s.restore()
	return smoSolution{coef: s.coefficients(), bias: s.bias(), converged: converged}, nil
}

func newSMOState(p smoProblem) *smoState {
	n := len(p.y)
	s := &smoState{
		smoProblem: p, a: make([]float64, n), f: make([]float64, n), diagonal: make([]float64, n),
		side: make([]uint8, n), active: make([]int32, n),
	}
	for i, y := range p.y {
		s.f[i] = y
		v := p.rows.vector(i)
		s.diagonal[i] = p.rows.kernel.of(v, v)
		s.active[i] = int32(i)
		s.place(i)
	}
	return s
}

// place notes where row i may go.
func (s *smoState) place(i int) {
	grow, sink := s.a[i] < s.c, s.a[i] > 0
	if s.y[i] < 0 {
		grow, sink = sink, grow
	}
	s.side[i] = 0
	if grow {
		s.side[i] |= mayGoUp
	}
	if sink {
		s.side[i] |= mayGoDown
	}
}

func (s *smoState) extremes() extremes {
	return s.update(0, s.f, s.f) // a step of nothing
}

// update takes a step of t, from j to i, into f, and finds the new extremes on the way.
func (s *smoState) update(t float64, ki, kj []float64) extremes {
	e := extremes{-1, math.Inf(-1), math.Inf(1)}
	f, side := s.f, s.side
	for _, k := range s.active {
		v := f[k] - float64(t*(ki[k]-kj[k]))
		f[k] = v
		d := side[k]
		if d&mayGoUp != 0 && v >= e.most {
			e.top, e.most = int(k), v
		}
		if d&mayGoDown != 0 && v < e.least {
			e.least = v
		}
	}
	return e
}

// partner returns the row that, paired with i, promises the largest gain (the last among
// equals), and the curvature between the two. There is one, or i would be optimal.
func (s *smoState) partner(i int, most float64, ki []float64) (int, float64) {
	at, gain, bend := i, math.Inf(-1), smoCurvature
	f, side, diagonal, own := s.f, s.side, s.diagonal, s.diagonal[i]
	for _, j := range s.active {
		d := most - f[j]
		if side[j]&mayGoDown == 0 || !(d > 0) {
			continue
		}
		curvature := own + diagonal[j] - 2*ki[j]
		if curvature <= 0 {
			curvature = smoCurvature
		}
		if g := d * d / curvature; g >= gain {
			at, gain, bend = int(j), g, curvature
		}
	}
	return at, bend
}

// move shifts t from j to i, as far as the bounds allow, and returns how far. Bounds are
// met exactly, because it hangs on them which rows may move.
func (s *smoState) move(i, j int, t float64) float64 {
	roomI, roomJ := s.a[i], s.a[j]
	if s.y[i] > 0 {
		roomI = s.c - s.a[i]
	}
	if s.y[j] < 0 {
		roomJ = s.c - s.a[j]
	}
	t = min(t, roomI, roomJ)
	s.shift(i, s.y[i] > 0, t)
	s.shift(j, s.y[j] < 0, t)
	return t
}

func (s *smoState) shift(k int, up bool, t float64) {
	switch room := s.c - s.a[k]; {
	case up && t >= room:
		s.a[k] = s.c
	case up:
		s.a[k] = min(s.a[k]+t, s.c)
	case t >= s.a[k]:
		s.a[k] = 0
	default:
		s.a[k] -= t
	}
	s.place(k)
}

// shrink leaves out the rows at a bound that would only be moved against it. Near the
// optimum it brings all rows back once, because there it matters which are left out.
func (s *smoState) shrink(e extremes) extremes {
	if !s.restored && e.most-e.least <= 10*smoTolerance {
		s.restored = true
		e = s.restore()
	}
	kept := s.active[:0]
	for _, k := range s.active {
		stuckLow := s.side[k] == mayGoDown && s.f[k] > e.most
		stuckHigh := s.side[k] == mayGoUp && s.f[k] < e.least
		if !stuckLow && !stuckHigh {
			kept = append(kept, k)
		}
	}
	s.active = kept
	return s.extremes()
}

// restore makes all rows active and computes the f of those that were not.
func (s *smoState) restore() extremes {
	if n := len(s.f); len(s.active) < n {
		stale := make([]int32, 0, n-len(s.active))
		next := 0
		for i := range n {
			if next < len(s.active) && int(s.active[next]) == i {
				next++
				continue
			}
			stale = append(stale, int32(i))
			s.f[i] = s.y[i]
		}
		coef := s.coefficients()
		if s.rows.kernel.rbf {
			for i, c := range coef {
				if c != 0 {
					s.rows.subtract(s.f, c, i, stale)
				}
			}
		} else { // one inner product a row, whatever the number of support vectors
			w := weights(coef, s.rows.x, s.rows.features)
			for _, k := range stale {
				s.f[k] -= dot(w, s.rows.vector(int(k)))
			}
		}
		s.active = s.active[:n]
		for i := range s.active {
			s.active[i] = int32(i)
		}
	}
	return s.extremes()
}

// bias is the mean f of the rows inside the bounds; if there is none, the middle of what
// the optimum allows.
func (s *smoState) bias() float64 {
	sum, free := 0.0, 0
	for i, v := range s.f {
		if s.side[i] == mayGoUp|mayGoDown {
			sum += v
			free++
		}
	}
	if free > 0 {
		return sum / float64(free)
	}
	e := s.extremes()
	return (e.most + e.least) / 2
}

func (s *smoState) coefficients() []float64 {
	c := make([]float64, len(s.a))
	for i, v := range s.a {
		c[i] = s.y[i] * v
	}
	return c
}
