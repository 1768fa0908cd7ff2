package ml

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/sjwhitworth/golearn/evaluation"
)

// Evaluation is how a model does on labelled rows.
type Evaluation struct {
	Accuracy  float64   `json:"accuracy"`
	Rows      int       `json:"rows"`
	Confusion [][]int   `json:"confusion"`       // [actual][predicted], in label order
	Precision []float64 `json:"precision"`       // by label; 0 for a label that was never predicted
	Recall    []float64 `json:"recall"`          // by label; 0 for a label without rows
	Folds     int       `json:"folds,omitempty"` // when cross-validated
}

// Evaluate predicts every row of d and counts with golearn.
func Evaluate(ctx context.Context, m Model, d *Dataset) (Evaluation, error) {
	if t := m.Task(); t.Digest() != d.Task.Digest() {
		return Evaluation{}, fmt.Errorf("%w: the data is of another task than the model: %s",
			ErrData, strings.Join(t.Diff(d.Task), "; "))
	}
	predicted := make([]int, d.Len())
	if err := PredictBatch(ctx, m, d.X, predicted, nil); err != nil {
		return Evaluation{}, err
	}
	return EvaluateLabels(d.Task, d.Y, predicted)
}

// EvaluateLabels counts predicted labels against the actual ones, with golearn.
func EvaluateLabels(t Task, actual, predicted []int) (Evaluation, error) {
	if len(actual) != len(predicted) {
		return Evaluation{}, fmt.Errorf("%w: %d labels are predicted for %d rows", ErrData, len(predicted), len(actual))
	}
	if len(actual) == 0 {
		return Evaluation{}, fmt.Errorf("%w: there is no row to evaluate on", ErrData)
	}
	for i := range actual {
		for _, c := range [2]int{actual[i], predicted[i]} {
			if c < 0 || c >= len(t.Labels) {
				return Evaluation{}, fmt.Errorf("%w: row %d has class %d; the task has %d", ErrData, i+1, c, len(t.Labels))
			}
		}
	}
	c, err := evaluation.GetConfusionMatrix(classInstances(t, actual), classInstances(t, predicted))
	if err != nil {
		return Evaluation{}, fmt.Errorf("ml: golearn cannot count: %w", err)
	}
	return evaluationOf(t, c), nil
}

// evaluationOf asks golearn for the figures of a confusion matrix, which knows only of
// pairs that occurred.
func evaluationOf(t Task, c evaluation.ConfusionMatrix) Evaluation {
	e := Evaluation{
		Accuracy:  evaluation.GetAccuracy(c),
		Confusion: make([][]int, len(t.Labels)),
		Precision: make([]float64, len(t.Labels)),
		Recall:    make([]float64, len(t.Labels)),
	}
	for i, label := range t.Labels {
		e.Confusion[i] = make([]int, len(t.Labels))
		for j, other := range t.Labels {
			e.Confusion[i][j] = c[label][other]
			e.Rows += c[label][other]
		}
		e.Precision[i] = orZero(evaluation.GetPrecision(label, c))
		e.Recall[i] = orZero(evaluation.GetRecall(label, c))
	}
	return e
}

// Macro are means over the labels that a row has or that were predicted, each counting the
// same however many rows it has.
type Macro struct {
	Precision float64 `json:"precision"`
	Recall    float64 `json:"recall"`
	F1        float64 `json:"f1"`
}

// Scores returns the F1 score of each label, the harmonic mean of its precision and recall (0
// where both are 0), by golearn, and the means. As in scikit-learn a label that no row has and
// that was never predicted counts in no mean.
func (e Evaluation) Scores() (f1 []float64, m Macro) {
	c := evaluation.ConfusionMatrix{}
	name := func(k int) string { return strconv.Itoa(k) } // two labels never share a name here
	there := make([]bool, len(e.Confusion))
	for i, row := range e.Confusion {
		for j, n := range row {
			if n == 0 {
				continue
			}
			if c[name(i)] == nil {
				c[name(i)] = map[string]int{}
			}
			c[name(i)][name(j)] = n
			there[i], there[j] = true, true
		}
	}
	f1 = make([]float64, len(e.Confusion))
	labels := 0.0
	for k := range e.Confusion {
		f1[k] = orZero(evaluation.GetF1Score(name(k), c))
		if there[k] {
			labels++
			m.Precision, m.Recall, m.F1 = m.Precision+e.Precision[k], m.Recall+e.Recall[k], m.F1+f1[k]
		}
	}
	if labels > 0 {
		m.Precision, m.Recall, m.F1 = m.Precision/labels, m.Recall/labels, m.F1/labels
	}
	return f1, m
}

// orZero replaces golearn's 0/0, which JSON cannot write.
func orZero(v float64) float64 {
	if v != v {
		return 0
	}
	return v
}

// CrossValidate fits on all folds but one and predicts that one, for each of the
// stratified folds, drawn with o.Seed. Every row is predicted once, by a model that has
// not seen it; the evaluation is over all rows, which is the mean over folds weighted by
// their sizes. folds is at least 2 and at most the number of rows.
func CrossValidate(ctx context.Context, d *Dataset, o FitOptions, folds int) (Evaluation, error) {
	if err := d.check(); err != nil {
		return Evaluation{}, err
	}
	if folds < 2 || folds > d.Len() {
		return Evaluation{}, fmt.Errorf("ml: cannot cross-validate %d rows in %d folds; choose 2 to %d", d.Len(), folds, d.Len())
	}
	progress := o.Progress
	o.Progress = nil // the folds are the steps
	fold := dealFolds(d.Y, len(d.Task.Labels), folds, newRand(o.Seed, streamFolds, 0))
	predicted := make([]int, d.Len())
	for k := range folds {
		var in, out []int
		for i, f := range fold {
			if f == k {
				out = append(out, i)
			} else {
				in = append(in, i)
			}
		}
		m, err := Fit(ctx, d.Subset(in), o)
		if err != nil {
			return Evaluation{}, fmt.Errorf("fold %d of %d: %w", k+1, folds, err)
		}
		test := d.Subset(out)
		got := make([]int, test.Len())
		if err := PredictBatch(ctx, m, test.X, got, nil); err != nil {
			return Evaluation{}, fmt.Errorf("fold %d of %d: %w", k+1, folds, err)
		}
		for j, i := range out {
			predicted[i] = got[j]
		}
		if progress != nil {
			progress(k+1, folds)
		}
	}
	e, err := EvaluateLabels(d.Task, d.Y, predicted)
	e.Folds = folds
	return e, err
}
