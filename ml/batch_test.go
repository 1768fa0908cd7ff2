package ml_test

import (
	"context"
	"errors"
	"math"
	"slices"
	"strings"
	"testing"

	"caucus/ml"
)

func TestBatchGivesTheAnswersOfSingleRows(t *testing.T) {
	iris := ml.Iris()
	for _, o := range everyKind {
		m := fit(t, iris, o)
		for _, n := range []int{0, 1, 63, 64, 65, 1000} {
			x := make([]float64, 0, 4*n)
			for i := range n {
				x = append(x, iris.Row(i*7%150)...)
			}
			labels, probs := make([]int, n), make([]float64, 3*n)
			if err := ml.PredictBatch(t.Context(), m, x, labels, probs); err != nil {
				t.Fatal(err)
			}
			bare := make([]int, n)
			if err := ml.PredictBatch(t.Context(), m, x, bare, nil); err != nil {
				t.Fatal(err)
			}
			for i := range n {
				p := make([]float64, 3)
				y, err := m.Predict(x[4*i:4*i+4], p)
				if err != nil || labels[i] != y || bare[i] != y || !slices.Equal(p, probs[3*i:3*i+3]) {
					t.Fatalf("%s: row %d of %d: %d and %d %v, one by one %d %v", named(o), i, n, labels[i], bare[i], probs[3*i:3*i+3], y, p)
				}
			}
		}
	}
}

func TestBatchNamesTheFirstBadRow(t *testing.T) {
	m := fit(t, ml.Iris(), ml.FitOptions{Kind: ml.KNN})
	x := make([]float64, 4*1000)
	for _, bad := range []int{999, 700, 130, 131} {
		x[4*bad+2] = math.NaN()
	}
	for range 20 {
		err := ml.PredictBatch(t.Context(), m, x, make([]int, 1000), nil)
		if !errors.Is(err, ml.ErrNotFinite) || !strings.HasPrefix(err.Error(), "row 130: ") {
			t.Fatalf("got %v", err)
		}
	}
}

func TestBatchRefusesWrongShapes(t *testing.T) {
	m := fit(t, ml.Iris(), ml.FitOptions{Kind: ml.KNN})
	for _, c := range []struct {
		name                string
		rows, labels, probs int
	}{
		{"values that make no whole row", 9, 2, 0},
		{"fewer labels than rows", 8, 1, 0},
		{"probs too short", 8, 2, 5},
		{"probs too long", 8, 2, 7},
	} {
		t.Run(c.name, func(t *testing.T) {
			var probs []float64
			if c.probs > 0 {
				probs = make([]float64, c.probs)
			}
			err := ml.PredictBatch(t.Context(), m, make([]float64, c.rows), make([]int, c.labels), probs)
			if !errors.Is(err, ml.ErrShape) {
				t.Errorf("got %v", err)
			}
		})
	}
}

// cancelling is a model that cancels the batch it is used in.
type cancelling struct {
	ml.Model
	cancel func()
}

func (c cancelling) Predict(row, probs []float64) (int, error) {
	c.cancel()
	return c.Model.Predict(row, probs)
}

func TestBatchEndsWithItsContext(t *testing.T) {
	m := fit(t, ml.Iris(), ml.FitOptions{Kind: ml.KNN})
	ctx, cancel := context.WithCancel(t.Context())
	n := 100_000
	labels := make([]int, n)
	for i := range labels {
		labels[i] = -1
	}
	err := ml.PredictBatch(ctx, cancelling{m, cancel}, make([]float64, 4*n), labels, nil)
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if labels[n-1] != -1 {
		t.Error("it went on to the end")
	}
}
