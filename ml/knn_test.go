package ml_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"

	"caucus/ml"
)

// random is rows of small whole numbers, so that equal distances are common.
func random(t testing.TB, seed uint64, rows, features, classes, values int) *ml.Dataset {
	t.Helper()
	rng := rand.New(rand.NewPCG(seed, 7))
	f, l := make([]string, features), make([]string, classes)
	for i := range f {
		f[i] = "f" + strconv.Itoa(i)
	}
	for i := range l {
		l[i] = strconv.Itoa(i)
	}
	d := &ml.Dataset{Task: mustTask(t, f, l), X: make([]float64, rows*features), Y: make([]int, rows)}
	for i := range d.X {
		d.X[i] = float64(rng.IntN(values))
	}
	for i := range d.Y {
		d.Y[i] = rng.IntN(classes)
		if i < 2*classes {
			d.Y[i] = i % classes
		}
	}
	return d
}

// slowKNN sorts all rows by distance, then number, and counts the first k.
func slowKNN(d *ml.Dataset, k int, row []float64) (int, []float64) {
	order := make([]int, d.Len())
	dist := make([]float64, d.Len())
	for i := range order {
		order[i] = i
		for j, v := range d.Row(i) {
			dist[i] += (v - row[j]) * (v - row[j])
		}
	}
	slices.SortStableFunc(order, func(a, b int) int {
		switch {
		case dist[a] < dist[b]:
			return -1
		case dist[a] > dist[b]:
			return 1
		}
		return a - b
	})
	probs := make([]float64, len(d.Task.Labels))
	for _, i := range order[:k] {
		probs[d.Y[i]]++
	}
	best := 0
	for c := range probs {
		if probs[c] > probs[best] {
			best = c
		}
	}
	for c := range probs {
		probs[c] /= float64(k)
	}
	return best, probs
}

func TestKNNIsWhatSortingAllDistancesGives(t *testing.T) {
	no := false
	for _, c := range []struct{ rows, features, classes, values, k int }{
		{105, 4, 3, 5, 5},
		{105, 4, 3, 1000, 1},
		{200, 64, 10, 3, 5},
		{200, 20, 4, 4, 7},
		{50, 3, 2, 2, 50},   // every row is a neighbour
		{90, 70, 30, 3, 20}, // more of everything than fits on the stack
		{40, 2, 3, 1, 4},    // all rows are the same
	} {
		t.Run(fmt.Sprint(c), func(t *testing.T) {
			d := random(t, 1, c.rows, c.features, c.classes, c.values)
			m, err := ml.Fit(t.Context(), d, ml.FitOptions{Kind: ml.KNN, K: c.k, Standardise: &no})
			if err != nil {
				t.Fatal(err)
			}
			probs := make([]float64, c.classes)
			queries := random(t, 2, 100, c.features, c.classes, c.values)
			for i := range queries.Len() {
				row := queries.Row(i)
				want, wantProbs := slowKNN(d, c.k, row)
				got, err := m.Predict(row, probs)
				if err != nil || got != want || !slices.Equal(probs, wantProbs) {
					t.Fatalf("%v: %d %v (%v), want %d %v", row, got, probs, err, want, wantProbs)
				}
				if label, err := m.Predict(row, nil); label != got || err != nil {
					t.Fatalf("without probabilities: %d, %v", label, err)
				}
			}
		})
	}
}

func TestKNNBreaksTiesByRowThenByLabelOrder(t *testing.T) {
	no := false
	task := mustTask(t, []string{"a"}, []string{"x", "y", "z"})
	d := &ml.Dataset{Task: task, X: []float64{-1, 1, 3, -3}, Y: []int{2, 1, 0, 1}}
	for _, c := range []struct {
		name string
		k    int
		want int
	}{
		{"of two equally far rows the earlier is nearer", 1, 2},
		{"one vote each: the first label", 2, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			m, err := ml.Fit(t.Context(), d, ml.FitOptions{Kind: ml.KNN, K: c.k, Standardise: &no})
			if err != nil {
				t.Fatal(err)
			}
			if got, err := m.Predict([]float64{0}, nil); got != c.want || err != nil {
				t.Errorf("got %d, %v, want %d", got, err, c.want)
			}
		})
	}
}

func TestKNNSurvivesHugeValues(t *testing.T) {
	task := mustTask(t, []string{"a", "b"}, []string{"x", "y"})
	big := math.MaxFloat64
	no := false
	d := &ml.Dataset{Task: task, X: []float64{big, -big, -big, big, big, big, -big, -big}, Y: []int{0, 1, 0, 1}}
	m, err := ml.Fit(t.Context(), d, ml.FitOptions{Kind: ml.KNN, K: 3, Standardise: &no})
	if err != nil {
		t.Fatal(err)
	}
	probs := make([]float64, 2)
	if _, err := m.Predict([]float64{-big, big}, probs); err != nil || math.Abs(probs[0]+probs[1]-1) > 1e-9 {
		t.Errorf("%v, %v", probs, err)
	}
	if _, err := ml.Fit(t.Context(), d, ml.FitOptions{Kind: ml.KNN}); err == nil || !strings.Contains(err.Error(), "too large to standardise") {
		t.Errorf("got %v", err)
	}
}
