package ml_test

import (
	"encoding/json"
	"errors"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"caucus/ml"
)

func TestEvaluationIsWhatCountingGives(t *testing.T) {
	task := mustTask(t, []string{"a"}, []string{"10", "9", "x y", "class"})
	rng := rand.New(rand.NewPCG(6, 6))
	for range 20 {
		n := 1 + rng.IntN(200)
		actual, predicted := make([]int, n), make([]int, n)
		var confusion [4][4]int
		right := 0
		for i := range n {
			actual[i], predicted[i] = rng.IntN(4), rng.IntN(1+rng.IntN(4)) // some labels stay unpredicted
			confusion[actual[i]][predicted[i]]++
			if actual[i] == predicted[i] {
				right++
			}
		}
		e, err := ml.EvaluateLabels(task, actual, predicted)
		if err != nil {
			t.Fatal(err)
		}
		if e.Rows != n || math.Abs(e.Accuracy-float64(right)/float64(n)) > 1e-12 || e.Folds != 0 {
			t.Errorf("%d rows, accuracy %v, want %d of %d", e.Rows, e.Accuracy, right, n)
		}
		for i := range 4 {
			row, column := 0, 0
			for j := range 4 {
				if e.Confusion[i][j] != confusion[i][j] {
					t.Fatalf("confusion %v, want %v", e.Confusion, confusion)
				}
				row += confusion[i][j]
				column += confusion[j][i]
			}
			share := func(of int) float64 {
				if of == 0 {
					return 0
				}
				return float64(confusion[i][i]) / float64(of)
			}
			if math.Abs(e.Precision[i]-share(column)) > 1e-12 || math.Abs(e.Recall[i]-share(row)) > 1e-12 {
				t.Errorf("class %d: precision %v, recall %v", i, e.Precision[i], e.Recall[i])
			}
		}
		if _, err := json.Marshal(e); err != nil {
			t.Error(err)
		}
	}
}

func TestALabelNeverPredictedAndOneWithoutRowsCanBeWrittenAsJSON(t *testing.T) {
	task := mustTask(t, []string{"a"}, []string{"x", "y", "z"})
	e, err := ml.EvaluateLabels(task, []int{0, 0, 1}, []int{0, 0, 0})
	if err != nil {
		t.Fatal(err)
	}
	b, err := json.Marshal(e)
	if err != nil {
		t.Fatal(err)
	}
	want := `{"accuracy":0.6666666666666666,"rows":3,"confusion":[[2,0,0],[1,0,0],[0,0,0]],` +
		`"precision":[0.6666666666666666,0,0],"recall":[1,0,0]}`
	if string(b) != want {
		t.Errorf("got  %s\nwant %s", b, want)
	}
}

func TestEvaluateRefuses(t *testing.T) {
	task := mustTask(t, []string{"a"}, []string{"x", "y"})
	for name, c := range map[string][2][]int{
		"no rows":           {nil, nil},
		"different lengths": {{0, 1}, {0}},
		"a class too high":  {{0, 2}, {0, 1}},
		"a class below 0":   {{0, 1}, {0, -1}},
	} {
		if _, err := ml.EvaluateLabels(task, c[0], c[1]); !errors.Is(err, ml.ErrData) {
			t.Errorf("%s: %v", name, err)
		}
	}
	m := fit(t, ml.Iris(), ml.FitOptions{Kind: ml.KNN})
	wine, err := ml.OpenCSV("testdata/wine.csv", ml.CSVOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ml.Evaluate(t.Context(), m, wine); !errors.Is(err, ml.ErrData) || !strings.Contains(err.Error(), "another task") {
		t.Errorf("got %v", err)
	}
}

func TestCrossValidationPredictsEveryRowOnceUnseen(t *testing.T) {
	d := ml.Iris()
	for _, o := range everyKind {
		e, err := ml.CrossValidate(t.Context(), d, o, 5)
		if err != nil {
			t.Fatal(err)
		}
		if e.Rows != 150 || e.Folds != 5 || e.Accuracy < 0.9 {
			t.Errorf("%s: %+v", named(o), e)
		}
		again, err := ml.CrossValidate(t.Context(), d, o, 5)
		if err != nil || again.Accuracy != e.Accuracy || again.Confusion[1][2] != e.Confusion[1][2] {
			t.Errorf("%s: %+v, then %+v, %v", named(o), e, again, err)
		}
	}
	// One neighbour finds the row itself if it was learnt from; noise then has accuracy 1.
	noise := random(t, 3, 200, 3, 2, 1e6)
	e, err := ml.CrossValidate(t.Context(), noise, ml.FitOptions{Kind: ml.KNN, K: 1}, 10)
	if err != nil || e.Accuracy > 0.7 {
		t.Errorf("accuracy %v on noise, %v", e.Accuracy, err)
	}
}

func TestCrossValidationCopesWithSmallClasses(t *testing.T) {
	d := numbered(t, 2, 2, 30)
	for _, o := range everyKind {
		if o.Kind == ml.KNN {
			o.K = 1
		}
		if e, err := ml.CrossValidate(t.Context(), d, o, 5); err != nil || e.Rows != 34 {
			t.Errorf("%s: %+v, %v", named(o), e, err)
		}
	}
	for _, folds := range []int{-1, 0, 1, 35} {
		if _, err := ml.CrossValidate(t.Context(), d, everyKind[0], folds); err == nil {
			t.Errorf("%d folds were taken", folds)
		}
	}
}

// By hand: rows a a a b b c, said a a b b c a; nobody is or says d, which counts in no mean.
// Precision of a is 2/3, of b 1/2, of c 0; recall 2/3, 1/2, 0; F1 2/3, 1/2, 0.
func TestMeansOverLabelsLeaveOutThoseThatDoNotOccur(t *testing.T) {
	task := mustTask(t, []string{"x"}, []string{"a", "b", "c", "d"})
	e, err := ml.EvaluateLabels(task, []int{0, 0, 0, 1, 1, 2}, []int{0, 0, 1, 1, 2, 0})
	if err != nil {
		t.Fatal(err)
	}
	f1, macro := e.Scores()
	want := []float64{2.0 / 3, 0.5, 0, 0}
	for k := range want {
		if math.Abs(f1[k]-want[k]) > 1e-12 {
			t.Errorf("F1 of %s is %v, want %v", task.Labels[k], f1[k], want[k])
		}
	}
	mean := (2.0/3 + 0.5) / 3
	for what, got := range map[string]float64{"precision": macro.Precision, "recall": macro.Recall, "F1": macro.F1} {
		if math.Abs(got-mean) > 1e-12 {
			t.Errorf("the mean %s is %v, want %v", what, got, mean)
		}
	}
}
