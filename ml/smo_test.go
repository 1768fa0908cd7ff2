package ml

import (
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"testing"
)

// madeProblem is n rows of two overlapping classes.
func madeProblem(k kernel, n, features int, c float64, seed uint64) smoProblem {
	rng := rand.New(rand.NewPCG(seed, 1))
	x, y := make([]float64, n*features), make([]float64, n)
	for i := range n {
		y[i] = 1
		if rng.IntN(2) == 0 {
			y[i] = -1
		}
		for j := range features {
			x[i*features+j] = rng.NormFloat64() + y[i]*0.5
		}
	}
	y[0], y[1] = 1, -1
	return smoProblem{rows: newKernelRows(k, x, features), y: y, c: c}
}

var smoCases = []struct {
	name   string
	kernel kernel
	n      int
	c      float64
}{
	{"linear", kernel{}, 120, 1},
	{"linear, hard", kernel{}, 80, 1000},
	{"linear, soft", kernel{}, 120, 0.01},
	{"radial", kernel{rbf: true, gamma: 0.3}, 150, 1},
	{"radial, narrow", kernel{rbf: true, gamma: 50}, 60, 10},
	{"two rows", kernel{}, 2, 1},
}

// The conditions of Karush, Kuhn and Tucker, computed from the coefficients alone, are
// what makes a solution the optimum; nothing of the solver is trusted.
func TestSolutionMeetsTheOptimalityConditions(t *testing.T) {
	for _, c := range smoCases {
		t.Run(c.name, func(t *testing.T) {
			p := madeProblem(c.kernel, c.n, 3, c.c, 7)
			s, err := p.solve(t.Context())
			if err != nil || !s.converged {
				t.Fatalf("converged %v, %v", s.converged, err)
			}
			sum := 0.0
			for i, v := range s.coef {
				if a := v * p.y[i]; a < 0 || a > c.c {
					t.Fatalf("a[%d] = %v is outside 0..%v", i, a, c.c)
				}
				sum += v
			}
			if math.Abs(sum) > 1e-9*c.c*float64(c.n) {
				t.Errorf("y.a = %v, want 0", sum)
			}
			for i := range c.n {
				margin := p.y[i] * slowDecision(p, s, p.rows.vector(i))
				// Twice the tolerance: the bias may lie anywhere within it.
				switch a, slack := s.coef[i]*p.y[i], 2*smoTolerance; {
				case a == 0 && margin < 1-slack:
					t.Errorf("row %d is left out with margin %v", i, margin)
				case a == c.c && margin > 1+slack:
					t.Errorf("row %d is at the bound with margin %v", i, margin)
				case a > 0 && a < c.c && math.Abs(margin-1) > slack:
					t.Errorf("row %d is free with margin %v", i, margin)
				}
			}
		})
	}
}

func slowDecision(p smoProblem, s smoSolution, x []float64) float64 {
	sum := s.bias
	for i, c := range s.coef {
		sum += c * p.rows.kernel.of(p.rows.vector(i), x)
	}
	return sum
}

// The primal and the dual objective meet at the optimum, and nowhere else.
func TestSolutionHasNoDualityGap(t *testing.T) {
	for _, c := range smoCases {
		t.Run(c.name, func(t *testing.T) {
			p := madeProblem(c.kernel, c.n, 3, c.c, 11)
			s, err := p.solve(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			norm, total, hinge := 0.0, 0.0, 0.0
			for i := range c.n {
				f := slowDecision(p, s, p.rows.vector(i))
				norm += s.coef[i] * (f - s.bias)
				total += s.coef[i] * p.y[i]
				hinge += c.c * max(0, 1-p.y[i]*f)
			}
			primal, dual := norm/2+hinge, total-norm/2
			if gap := primal - dual; gap < -1e-9 || gap > 2*smoTolerance*c.c*float64(c.n) {
				t.Errorf("primal %v, dual %v", primal, dual)
			}
		})
	}
}

func TestSolverGivesTheSameWithASmallCache(t *testing.T) {
	p := madeProblem(kernel{rbf: true, gamma: 0.3}, 150, 3, 1, 3)
	want, err := p.solve(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	q := madeProblem(kernel{rbf: true, gamma: 0.3}, 150, 3, 1, 3)
	q.rows.most = 2
	got, err := q.solve(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if got.bias != want.bias {
		t.Errorf("bias %v, want %v", got.bias, want.bias)
	}
	for i := range got.coef {
		if got.coef[i] != want.coef[i] {
			t.Fatalf("coefficient %d: %v, want %v", i, got.coef[i], want.coef[i])
		}
	}
}

func TestKernelRowsStayRightWhileTheyAreReplaced(t *testing.T) {
	p := madeProblem(kernel{}, 20, 3, 1, 5)
	p.rows.most = 3
	rng := rand.New(rand.NewPCG(1, 1))
	for range 500 {
		i, j := rng.IntN(20), rng.IntN(20)
		ri, rj := p.rows.row(i), p.rows.row(j)
		for k := range 20 {
			if ri[k] != p.rows.kernel.of(p.rows.vector(i), p.rows.vector(k)) {
				t.Fatalf("row %d is wrong after row %d was asked for", i, j)
			}
			if rj[k] != p.rows.kernel.of(p.rows.vector(j), p.rows.vector(k)) {
				t.Fatalf("row %d is wrong", j)
			}
		}
	}
}

func TestSolverEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	p := madeProblem(kernel{}, 300, 3, 1e6, 2) // thousands of steps
	if _, err := p.solve(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

func TestDotIsTheInnerProductOfAnyLength(t *testing.T) {
	for n := range 20 {
		a, b, want := make([]float64, n), make([]float64, n), 0.0
		for i := range n {
			a[i], b[i] = float64(i+1), float64(3*i-5)
			want += a[i] * b[i]
		}
		if got := dot(a, b); got != want { // whole numbers: exact in any order
			t.Errorf("length %d: %v, want %v", n, got, want)
		}
	}
}
