package ml

import (
	"math"
	"math/rand/v2"
	"testing"
)

// At the maximum of the likelihood the residuals sum to 0, and so do they times f.
func TestSigmoidIsTheMostLikely(t *testing.T) {
	rng := rand.New(rand.NewPCG(4, 4))
	for _, scale := range []float64{0.01, 1, 1000} {
		f, y := make([]float64, 200), make([]float64, 200)
		positive := 0.0
		for i := range f {
			y[i] = float64(2*(i%2) - 1)
			f[i] = scale * (y[i] + rng.NormFloat64())
			positive += (y[i] + 1) / 2
		}
		s := fitSigmoid(f, y)
		if s.a >= 0 {
			t.Errorf("scale %v: a = %v; a larger decision value must be likelier the first class", scale, s.a)
		}
		g1, g2 := 0.0, 0.0
		for i := range f {
			target := 1 / (200 - positive + 2)
			if y[i] > 0 {
				target = (positive + 1) / (positive + 2)
			}
			g1 += (target - s.raw(f[i])) * f[i] / scale
			g2 += target - s.raw(f[i])
		}
		if math.Abs(g1) > 1e-2 || math.Abs(g2) > 1e-2 {
			t.Errorf("scale %v: gradient %v, %v", scale, g1, g2)
		}
	}
}

func TestSigmoidIsAProbabilityForAnyDecisionValue(t *testing.T) {
	inf := math.Inf(1)
	for _, s := range []sigmoid{{-1, 0}, {0, 0}, {-1e300, 1e300}, {3, -700}} {
		for _, f := range []float64{0, 1, -1, 1e308, -1e308, inf, -inf, math.NaN()} {
			if p := s.of(f); !(p > 0 && p < 1) {
				t.Errorf("sigmoid %+v of %v is %v", s, f, p)
			}
		}
	}
}

func TestSigmoidOfValuesThatSayNothingIsTheShare(t *testing.T) {
	f, y := make([]float64, 40), make([]float64, 40)
	for i := range y {
		y[i] = -1
		if i < 10 {
			y[i] = 1
		}
	}
	if p := fitSigmoid(f, y).of(0); math.Abs(p-0.25) > 0.03 {
		t.Errorf("got %v for 10 of 40", p)
	}
	for i := range f {
		f[i] = 1e200 * y[i] // overflows the second derivatives
	}
	if p := fitSigmoid(f, y).of(1); !(p > 0 && p < 1) {
		t.Errorf("got %v", p)
	}
}

// Pairwise probabilities that come from true ones must lead back to them.
func TestCouplingFindsProbabilitiesThatThePairsAgreeOn(t *testing.T) {
	rng := rand.New(rand.NewPCG(9, 9))
	for k := 2; k <= 12; k++ {
		want, sum := make([]float64, k), 0.0
		for i := range want {
			want[i] = rng.Float64() + 0.01
			sum += want[i]
		}
		r := make([]float64, k*k)
		for i := range k {
			for j := range k {
				if i != j {
					r[i*k+j] = want[i] / (want[i] + want[j])
				}
			}
		}
		p := make([]float64, k)
		couple(p, r, make([]float64, k*k), make([]float64, k))
		total := 0.0
		for i := range p {
			total += p[i]
			if math.Abs(p[i]-want[i]/sum) > 2e-3 {
				t.Errorf("%d classes: p[%d] = %v, want %v", k, i, p[i], want[i]/sum)
			}
		}
		if math.Abs(total-1) > 1e-9 {
			t.Errorf("%d classes: the sum is %v", k, total)
		}
	}
}

// Where the pairs do not agree, no other probabilities may have a smaller objective: a
// slow search around the answer must not find any.
func TestCouplingMinimisesItsObjective(t *testing.T) {
	rng := rand.New(rand.NewPCG(2, 8))
	const k = 4
	objective := func(p, r []float64) float64 {
		sum := 0.0
		for i := range k {
			for j := range k {
				if i != j {
					d := r[j*k+i]*p[i] - r[i*k+j]*p[j]
					sum += d * d
				}
			}
		}
		return sum
	}
	for range 20 {
		r := make([]float64, k*k)
		for i := range k {
			for j := i + 1; j < k; j++ {
				r[i*k+j] = 0.02 + 0.96*rng.Float64()
				r[j*k+i] = 1 - r[i*k+j]
			}
		}
		p := make([]float64, k)
		couple(p, r, make([]float64, k*k), make([]float64, k))
		best := objective(p, r)
		for range 2000 {
			q := make([]float64, k)
			total := 0.0
			for i := range q {
				q[i] = max(0, p[i]+0.05*rng.NormFloat64())
				total += q[i]
			}
			for i := range q {
				q[i] /= total
			}
			if o := objective(q, r); o < best-1e-4 {
				t.Fatalf("%v has %v, but %v has %v", p, best, q, o)
			}
		}
	}
}
