package ml

import (
	"context"
	"fmt"
	"math"
	"slices"
)

// Kind is a kind of model.
type Kind string

// The kinds of model that this package fits.
const (
	KNN    Kind = "knn"
	Forest Kind = "randforest"
	SVM    Kind = "svm"
	Tree   Kind = "tree" // golearn's CART
)

// Kinds lists the kinds that Fit knows, for help texts.
func Kinds() []Kind { return []Kind{KNN, Forest, SVM, Tree} }

// Model is a fitted, compiled, immutable classifier. All methods may be called from many goroutines.
type Model interface {
	Kind() Kind
	Task() Task
	// Params are the settings that it was fitted with, for people to read. The map is the caller's.
	Params() map[string]any
	// Fingerprint is a SHA-256 over the fitted model: equal fingerprints answer equally.
	Fingerprint() [32]byte
	// Probabilistic reports whether Predict fills probabilities.
	Probabilistic() bool
	// Predict returns the class index of row. probs, when not nil, must have one place
	// for each label and is filled if the model is probabilistic. row is checked first:
	// ErrShape, ErrNotFinite. Once warm it allocates nothing. With probs nil it skips
	// what only probabilities need.
	Predict(row, probs []float64) (int, error)
}

// FitOptions says what to fit. The zero value of a field means its default.
type FitOptions struct {
	Kind        Kind
	Seed        uint64
	Standardise *bool   // knn and svm; default: when the data is not Iris. Trees look at order alone
	K           int     // knn: neighbours, default 5 (or all rows, when there are fewer)
	Trees       int     // randforest: default 100
	Kernel      string  // svm: "linear" (default) or "rbf"
	C           float64 // svm: default 1
	Gamma       float64 // svm rbf: default 1/(features x variance)
	// Progress, when not nil, is told how much is done, from any goroutine.
	Progress func(done, total int)
}

// Fit fits and compiles a model on all rows of d. It ends early with ctx's error. The
// model does not share memory with d. At least two classes must have rows; a class
// without any is never predicted.
func Fit(ctx context.Context, d *Dataset, o FitOptions) (Model, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if err := d.check(); err != nil {
		return nil, err
	}
	seen := 0
	for _, n := range d.Counts() {
		if n > 0 {
			seen++
		}
	}
	if seen < 2 {
		return nil, fmt.Errorf("%w: %s of %s; rows of at least two labels are wanted to learn from",
			ErrData, count(len(d.Y), "row"), count(seen, "label"))
	}
	// A private copy of the names, so that the model stays what it is.
	task := Task{Name: d.Task.Name, Features: slices.Clone(d.Task.Features), Labels: slices.Clone(d.Task.Labels)}
	switch o.Kind {
	case KNN:
		return fitKNN(task, d, o)
	case Forest:
		return fitForest(ctx, task, d, o)
	case SVM:
		return fitSVM(ctx, task, d, o)
	case Tree:
		return fitTree(ctx, task, d, o)
	}
	return nil, fmt.Errorf("ml: there is no model %q; choose one of knn, randforest, svm, tree", o.Kind)
}

// standardise applies the default of the models that measure distances: on, but off for
// Iris, whose columns are all centimetres and whose votes must stay those of old.
func (o FitOptions) standardise(t Task) bool {
	if o.Standardise != nil {
		return *o.Standardise
	}
	return t.Digest() != irisDigest()
}

func (o FitOptions) progress(done, total int) {
	if o.Progress != nil {
		o.Progress(done, total)
	}
}

// scaler standardises rows: (x - mean) / sd. Nil leaves them as they are.
type scaler struct {
	mean, sd []float64
}

// newScaler takes mean and population standard deviation of each column; a column
// without spread is only shifted (sd 1).
func newScaler(d *Dataset) (*scaler, error) {
	f, n := len(d.Task.Features), float64(d.Len())
	s := &scaler{mean: make([]float64, f), sd: make([]float64, f)}
	for i := range d.Len() {
		for j, v := range d.Row(i) {
			s.mean[j] += v / n // divided first, so that huge values do not overflow the sum
		}
	}
	for i := range d.Len() {
		for j, v := range d.Row(i) {
			diff := v - s.mean[j]
			s.sd[j] += float64(diff * diff)
		}
	}
	for j := range s.sd {
		s.sd[j] = math.Sqrt(s.sd[j] / n)
		if s.sd[j]-s.sd[j] != 0 {
			return nil, fmt.Errorf("%w: the values of %s are too large to standardise; scale the column down",
				ErrData, d.Task.Features[j])
		}
		if s.sd[j] == 0 {
			s.sd[j] = 1
		}
	}
	return s, nil
}

// apply writes the standardised row to dst.
func (s *scaler) apply(dst, row []float64) {
	mean, sd := s.mean[:len(row)], s.sd[:len(row)]
	dst = dst[:len(row)]
	for j, v := range row {
		dst[j] = (v - mean[j]) / sd[j]
	}
}

// scaled returns all rows of d, standardised by s if it is not nil, in new memory.
func scaled(d *Dataset, s *scaler) []float64 {
	x := slices.Clone(d.X)
	if s == nil {
		return x
	}
	f := len(d.Task.Features)
	for i := range d.Len() {
		row := x[i*f : (i+1)*f]
		s.apply(row, row)
	}
	return x
}

// checkCall is what every Predict does first.
func checkCall(t *Task, row, probs []float64) error {
	if err := checkRow(t, row); err != nil {
		return err
	}
	if probs != nil && len(probs) != len(t.Labels) {
		return fmt.Errorf("%w: probs has %d places, the task has %d labels", ErrShape, len(probs), len(t.Labels))
	}
	return nil
}
