package ml_test

import (
	"math"
	"math/rand/v2"
	"testing"

	"caucus/ml"
)

// blobs is rows around one centre a class, at the corners of a circle.
func blobs(t testing.TB, classes, rows int, spread float64, seed uint64) *ml.Dataset {
	t.Helper()
	labels := make([]string, classes)
	for c := range labels {
		labels[c] = string(rune('a' + c))
	}
	rng := rand.New(rand.NewPCG(seed, 5))
	d := &ml.Dataset{Task: mustTask(t, []string{"x", "y"}, labels)}
	for i := range rows {
		c := i % classes
		s, co := math.Sincos(2 * math.Pi * float64(c) / float64(classes))
		d.X = append(d.X, 3*co+spread*rng.NormFloat64(), 3*s+spread*rng.NormFloat64())
		d.Y = append(d.Y, c)
	}
	return d
}

// Of rows that are given p for their label, about p should have that label.
func TestProbabilitiesAreCalibrated(t *testing.T) {
	for _, o := range []ml.FitOptions{{Kind: ml.SVM}, {Kind: ml.SVM, Kernel: "rbf"}, {Kind: ml.Forest}} {
		t.Run(named(o), func(t *testing.T) {
			t.Parallel()
			m := fit(t, blobs(t, 4, 400, 1.5, 1), o)
			test := blobs(t, 4, 4000, 1.5, 2)
			var sum, right [5]float64
			var rows [5]float64
			for i := range test.Len() {
				probs := make([]float64, 4)
				if _, err := m.Predict(test.Row(i), probs); err != nil {
					t.Fatal(err)
				}
				best := 0
				for c := range probs {
					if probs[c] > probs[best] {
						best = c
					}
				}
				bin := min(4, int(probs[best]*5))
				rows[bin]++
				sum[bin] += probs[best]
				if best == test.Y[i] {
					right[bin]++
				}
			}
			off := 0.0
			for b := range rows {
				off += math.Abs(sum[b] - right[b])
			}
			if off /= float64(test.Len()); off > 0.06 {
				t.Errorf("expected calibration error %.3f; rows %v, right %v, sum %v", off, rows, right, sum)
			}
		})
	}
}

// The radial machine must learn what no line can: a ring around a disc.
func TestRadialMachineLearnsARing(t *testing.T) {
	rng := rand.New(rand.NewPCG(8, 8))
	d := &ml.Dataset{Task: mustTask(t, []string{"x", "y"}, []string{"disc", "ring"})}
	for i := range 300 {
		s, c := math.Sincos(2 * math.Pi * rng.Float64())
		r := 1 + 2*float64(i%2) + 0.3*rng.NormFloat64()
		d.X = append(d.X, r*c, r*s)
		d.Y = append(d.Y, i%2)
	}
	for _, c := range []struct {
		kernel string
		ok     func(accuracy float64) bool
	}{
		{"rbf", func(a float64) bool { return a > 0.98 }},
		{"linear", func(a float64) bool { return a < 0.7 }},
	} {
		e, err := ml.CrossValidate(t.Context(), d, ml.FitOptions{Kind: ml.SVM, Kernel: c.kernel}, 5)
		if err != nil || !c.ok(e.Accuracy) {
			t.Errorf("%s: accuracy %v, %v", c.kernel, e.Accuracy, err)
		}
	}
}

// Many classes: all pairs vote, and scratch no longer fits on the stack.
func TestManyClasses(t *testing.T) {
	d := blobs(t, 24, 24*20, 0.05, 3)
	for _, o := range everyKind {
		m := fit(t, d, o)
		e, err := ml.Evaluate(t.Context(), m, blobs(t, 24, 24*10, 0.05, 4))
		if err != nil || e.Accuracy < 0.95 {
			t.Errorf("%s: accuracy %v, %v", named(o), e.Accuracy, err)
		}
	}
	wide := random(t, 1, 600, 2, 257, 100)
	if _, err := ml.Fit(t.Context(), wide, ml.FitOptions{Kind: ml.SVM}); err == nil {
		t.Error("257 labels were taken")
	}
}
