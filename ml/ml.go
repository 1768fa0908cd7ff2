// Package ml holds what is predicted and what predicts it: the task, data sets
// and their checks, the models, and their evaluation. It is the only package that
// knows golearn. It imports nothing else of this module.
package ml

import (
	"context"
	"errors"
	"io"
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

// Sentinels that callers branch on.
var (
	ErrShape     = errors.New("ml: wrong number of features")
	ErrNotFinite = errors.New("ml: not a finite number")
	ErrData      = errors.New("ml: bad data") // wrapped by every complaint about a data file
)

// Task is what is predicted: feature names in order and labels in order.
// Labels are sorted, numerically if all are numbers. It is a value; make it with NewTask.
type Task struct {
	Name     string   `json:"name"`
	Features []string `json:"features"`
	Labels   []string `json:"labels"`
}

// NewTask checks the names, sorts the labels and returns the task.
func NewTask(name string, features, labels []string) (Task, error) { return Task{}, ErrData }

// Digest is a SHA-256 over features and labels, in order; the name does not count.
func (t Task) Digest() [32]byte { return [32]byte{} }

// Index returns the index of a label, or -1.
func (t Task) Index(label string) int { return -1 }

// Check returns ErrShape or ErrNotFinite, wrapped with the value and the feature's name, or nil.
func (t Task) Check(row []float64) error { return ErrShape }

// Diff says in sentences, column by column, how other differs from t; nil if it does not.
func (t Task) Diff(other Task) []string { return nil }

// Dataset is labelled rows of a task. X is row-major, rows x len(Task.Features).
type Dataset struct {
	Task Task
	X    []float64
	Y    []int // class index of each row
}

// CSVOptions says how to read a file.
type CSVOptions struct {
	Name  string // the task's name; empty: the file's name without extension
	Label string // the label column; empty: the last column
	Task  *Task  // when set, columns and labels must be of this task (for test data)
}

// ReadCSV reads a data set. Every complaint wraps ErrData and names line and column.
func ReadCSV(r io.Reader, o CSVOptions) (*Dataset, error) { return nil, ErrData }

// OpenCSV reads a .csv or .csv.gz file.
func OpenCSV(path string, o CSVOptions) (*Dataset, error) { return nil, ErrData }

// Iris returns the embedded Iris data set: 150 rows, 4 features in cm, 3 labels.
func Iris() *Dataset { return nil }

// Len returns the number of rows.
func (d *Dataset) Len() int { return len(d.Y) }

// Row returns row i, which shares memory with the data set.
func (d *Dataset) Row(i int) []float64 {
	n := len(d.Task.Features)
	return d.X[i*n : (i+1)*n : (i+1)*n]
}

// Subset returns a copy of the rows named by index.
func (d *Dataset) Subset(rows []int) *Dataset { return nil }

// Split holds out a share of each class's rows (stratified), drawn with seed.
func (d *Dataset) Split(holdout float64, seed uint64) (train, test *Dataset, err error) {
	return nil, nil, ErrData
}

// Model is a fitted, compiled, immutable classifier. All methods may be called from many goroutines.
type Model interface {
	Kind() Kind
	Task() Task
	// Params are the settings that it was fitted with, for people to read.
	Params() map[string]any
	// Fingerprint is a SHA-256 over the fitted model: equal fingerprints answer equally.
	Fingerprint() [32]byte
	// Probabilistic reports whether Predict fills probabilities.
	Probabilistic() bool
	// Predict returns the class index of row. probs, when not nil, must have one place
	// for each label and is filled if the model is probabilistic. row is checked first:
	// ErrShape, ErrNotFinite. Once warm it allocates nothing.
	Predict(row, probs []float64) (int, error)
}

// FitOptions says what to fit. The zero value of a field means its default.
type FitOptions struct {
	Kind        Kind
	Seed        uint64
	Standardise *bool   // default: knn and svm, when the data is not Iris
	K           int     // knn: neighbours, default 5
	Trees       int     // randforest: default 100
	Kernel      string  // svm: "linear" (default) or "rbf"
	C           float64 // svm: default 1
	Gamma       float64 // svm rbf: default 1/(features x variance)
	// Progress, when not nil, is told how much is done, from any goroutine.
	Progress func(done, total int)
}

// Fit fits and compiles a model on all rows of d. It ends early with ctx's error.
func Fit(ctx context.Context, d *Dataset, o FitOptions) (Model, error) { return nil, ErrData }

// PredictBatch predicts rows (row-major) on every core. labels has one place a row;
// probs, when not nil, rows x labels.
func PredictBatch(ctx context.Context, m Model, rows []float64, labels []int, probs []float64) error {
	return ErrShape
}

// Evaluation is how a model does on labelled rows.
type Evaluation struct {
	Accuracy  float64   `json:"accuracy"`
	Rows      int       `json:"rows"`
	Confusion [][]int   `json:"confusion"` // [actual][predicted]
	Precision []float64 `json:"precision"`
	Recall    []float64 `json:"recall"`
	Folds     int       `json:"folds,omitempty"` // when cross-validated
}

// Evaluate predicts every row of d and counts with golearn.
func Evaluate(ctx context.Context, m Model, d *Dataset) (Evaluation, error) {
	return Evaluation{}, ErrData
}

// EvaluateLabels counts predicted labels against the actual ones.
func EvaluateLabels(t Task, actual, predicted []int) (Evaluation, error) {
	return Evaluation{}, ErrData
}

// CrossValidate returns the mean evaluation over stratified folds.
func CrossValidate(ctx context.Context, d *Dataset, o FitOptions, folds int) (Evaluation, error) {
	return Evaluation{}, ErrData
}
