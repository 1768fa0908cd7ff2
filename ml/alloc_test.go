//go:build !race

// The race detector drops items of pools, so allocations are counted without it.

package ml_test

import (
	"fmt"
	"testing"

	"caucus/ml"
)

func TestPredictAllocatesNothingOnceWarm(t *testing.T) {
	large := random(t, 1, 120, 80, 20, 9) // beyond what fits on the stack
	for name, d := range map[string]*ml.Dataset{"iris": ml.Iris(), "80 features, 20 classes": large} {
		for _, o := range everyKind {
			if o.Kind == ml.KNN && d == large {
				o.K = 20
			}
			m := fit(t, d, o)
			for _, probs := range [][]float64{nil, make([]float64, len(d.Task.Labels))} {
				t.Run(fmt.Sprint(name, "/", named(o), "/", probs != nil), func(t *testing.T) {
					i, n := 0, 0.0
					for range 20 { // whatever else the process does is counted too
						n = testing.AllocsPerRun(300, func() {
							if _, err := m.Predict(d.Row(i%d.Len()), probs); err != nil {
								t.Fatal(err)
							}
							i++
						})
						if n == 0 {
							return
						}
					}
					t.Errorf("%v allocations a row", n)
				})
			}
		}
	}
}
