//go:build cgo && golearnknn

// golearn's KNN wants cgo, which the product does without. Run this with a C compiler:
//
//	CGO_ENABLED=1 go test -tags golearnknn -run GolearnKNN ./ml

package ml_test

import (
	"slices"
	"testing"

	"github.com/sjwhitworth/golearn/base"
	"github.com/sjwhitworth/golearn/knn"

	"caucus/ml"
)

// Where the neighbours are beyond doubt, golearn's KNN and ours give the same label. It
// breaks ties by the order of a map, so rows are left out whose fifth and sixth neighbour
// are equally far, or whose two commonest classes have equally many neighbours.
func TestGolearnKNNGivesOurLabels(t *testing.T) {
	const k = 5
	no := false
	ref := readReference(t)
	for _, name := range referenceSets {
		t.Run(name, func(t *testing.T) {
			train, test := ref.Data[name].load(t, name)
			m := fit(t, train, ml.FitOptions{Kind: ml.KNN, K: k, Standardise: &no})
			theirs := knn.NewKnnClassifier("euclidean", "linear", k)
			if err := theirs.Fit(train.Instances()); err != nil {
				t.Fatal(err)
			}
			predicted, err := theirs.Predict(test.Instances())
			if err != nil {
				t.Fatal(err)
			}
			left := 0
			for i := range test.Len() {
				if ambiguous(train, k, test.Row(i)) {
					left++
					continue
				}
				y, err := m.Predict(test.Row(i), nil)
				if err != nil {
					t.Fatal(err)
				}
				if got, want := m.Task().Labels[y], base.GetClass(predicted, i); got != want {
					t.Errorf("row %d: %s, golearn %s", i, got, want)
				}
			}
			t.Logf("%d rows compared, %d left out", test.Len()-left, left)
			if left > test.Len()/5 {
				t.Errorf("%d of %d rows are left out", left, test.Len())
			}
		})
	}
}

// ambiguous reports whether the k nearest rows, or the vote among them, hang on a tie.
func ambiguous(d *ml.Dataset, k int, row []float64) bool {
	_, atK := slowKNN(d, k, row)
	votes := map[float64]int{}
	most := 0.0
	for _, p := range atK {
		votes[p]++
		most = max(most, p)
	}
	return votes[most] > 1 || kthDistance(d, k, row) == kthDistance(d, k+1, row)
}

// kthDistance is the squared distance of the k-th nearest row.
func kthDistance(d *ml.Dataset, k int, row []float64) float64 {
	dist := make([]float64, d.Len())
	for i := range dist {
		for j, v := range d.Row(i) {
			dist[i] += (v - row[j]) * (v - row[j])
		}
	}
	slices.Sort(dist)
	return dist[k-1]
}
