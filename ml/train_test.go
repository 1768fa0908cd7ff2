package ml_test

import (
	"sync"
	"testing"

	"caucus/ml"
)

func TestTrainMeasuresOnWhatWasKeptBackOrByFolds(t *testing.T) {
	for _, c := range []struct {
		name    string
		holdout float64
		rows    int
		folds   int
		learned int
	}{
		{"three in ten kept back", 0.3, 45, 0, 105},
		{"nothing kept back", 0, 150, 5, 150},
	} {
		var mu sync.Mutex // guards last and whole
		last, whole := 0, 0
		o := ml.FitOptions{Kind: ml.KNN, Progress: func(done, total int) {
			mu.Lock()
			defer mu.Unlock()
			if whole != 0 && total != whole {
				t.Errorf("%s: the whole was %d steps and is %d", c.name, whole, total)
			}
			last, whole = max(last, done), total
		}}
		m, e, err := ml.Train(t.Context(), ml.Iris(), o, c.holdout)
		if err != nil {
			t.Fatal(err)
		}
		if e.Rows != c.rows || e.Folds != c.folds || m.Params()["rows"] != c.learned || e.Accuracy < 0.9 {
			t.Errorf("%s: %d rows, %d folds, learnt from %v, accuracy %v", c.name, e.Rows, e.Folds, m.Params()["rows"], e.Accuracy)
		}
		if last == 0 || last != whole {
			t.Errorf("%s: it ended at step %d of %d", c.name, last, whole)
		}
	}
	if _, _, err := ml.Train(t.Context(), ml.Iris(), ml.FitOptions{Kind: ml.KNN}, 1); err == nil {
		t.Error("it learnt from nothing")
	}
}

func TestRangesSayWhereValuesLie(t *testing.T) {
	d := &ml.Dataset{Task: mustTask(t, []string{"a", "b"}, []string{"x", "y"}), X: []float64{3, -1, 1, 0, 2, 5, 9, 5}, Y: []int{0, 1, 0, 1}}
	want := []ml.Range{{Min: 1, Typical: 3, Max: 9}, {Min: -1, Typical: 5, Max: 5}}
	got := d.Ranges()
	if len(got) != 2 || got[0] != want[0] || got[1] != want[1] {
		t.Errorf("%v, want %v", got, want)
	}
	if d.X[0] != 3 {
		t.Error("the rows were sorted")
	}
}
