package ml_test

import (
	"testing"

	"caucus/ml"
)

func TestIrisIsFishers(t *testing.T) {
	d := ml.Iris()
	if d.Len() != 150 || len(d.Task.Features) != 4 || d.Task.Name != "iris" {
		t.Fatalf("got %d rows of %v", d.Len(), d.Task)
	}
	if got := d.Task.Labels; len(got) != 3 || got[0] != "setosa" || got[1] != "versicolor" || got[2] != "virginica" {
		t.Fatalf("labels %q", got)
	}
	for k, n := range d.Counts() {
		if n != 50 {
			t.Errorf("class %d has %d rows", k, n)
		}
	}
	if r := d.Row(0); r[0] != 5.1 || r[1] != 3.5 || r[2] != 1.4 || r[3] != 0.2 {
		t.Errorf("row 0 is %v", r)
	}
	d.X[0], d.Task.Labels[0] = -1, "changed"
	if e := ml.Iris(); e.X[0] != 5.1 || e.Task.Labels[0] != "setosa" {
		t.Error("a caller's change reached the embedded data")
	}
	m, err := ml.Fit(t.Context(), ml.Iris(), ml.FitOptions{Kind: ml.KNN})
	if err != nil {
		t.Fatal(err)
	}
	e, err := ml.Evaluate(t.Context(), m, ml.Iris())
	if err != nil || e.Accuracy < 0.95 {
		t.Errorf("evaluation %+v, %v", e, err)
	}
	if y, err := m.Predict([]float64{5.1, 3.5, 1.4, 0.2}, nil); y != 0 || err != nil {
		t.Errorf("setosa predicted as %d, %v", y, err)
	}
}
