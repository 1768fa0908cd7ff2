package nodetest

import (
	"crypto/sha256"
	"errors"
	"slices"
	"sync/atomic"
	"time"

	"caucus/ml"
)

// Model is a model of functions for tests: it gives Label for every row, after what
// Before does.
type Model struct {
	Name      ml.Kind
	Of        ml.Task
	Label     int
	Share     float64 // of Label, the rest being shared by the others; 0: no probabilities
	Before    func()  // nil: nothing
	IsQuick   bool
	Predicted atomic.Int64 // how many rows it was asked for
}

// Kind implements ml.Model.
func (m *Model) Kind() ml.Kind { return m.Name }

// Task implements ml.Model.
func (m *Model) Task() ml.Task { return m.Of }

// Params implements ml.Model.
func (m *Model) Params() map[string]any { return map[string]any{} }

// Fingerprint implements ml.Model.
func (m *Model) Fingerprint() [32]byte { return sha256.Sum256([]byte(m.Name)) }

// Probabilistic implements ml.Model.
func (m *Model) Probabilistic() bool { return m.Share > 0 }

// Quick says that Predict returns at once.
func (m *Model) Quick() bool { return m.IsQuick }

// Predict implements ml.Model.
func (m *Model) Predict(row, probs []float64) (int, error) {
	m.Predicted.Add(1)
	if len(row) != len(m.Of.Features) {
		return 0, ml.ErrShape
	}
	if m.Before != nil {
		m.Before()
	}
	for i := range probs {
		probs[i] = (1 - m.Share) / float64(len(probs)-1)
		if i == m.Label {
			probs[i] = m.Share
		}
	}
	return m.Label, nil
}

// Constant gives one label for every Iris row, at once.
func Constant(name ml.Kind, label int) *Model {
	return &Model{Name: name, Of: ml.Iris().Task, Label: label, Share: 0.9, IsQuick: true}
}

// Slow gives a label after a while.
func Slow(name ml.Kind, label int, d time.Duration) *Model {
	m := Constant(name, label)
	m.IsQuick, m.Before = false, func() { time.Sleep(d) }
	return m
}

// Hanging does not answer before release is closed.
func Hanging(name ml.Kind, release <-chan struct{}) *Model {
	m := Constant(name, 0)
	m.IsQuick, m.Before = false, func() { <-release }
	return m
}

// Panicking panics on every row.
func Panicking(name ml.Kind) *Model {
	m := Constant(name, 0)
	m.Before = func() { panic(errors.New("this model is broken on purpose")) }
	return m
}

// Lying gives a label that the task has not.
func Lying(name ml.Kind) *Model {
	m := Constant(name, 99)
	m.Share = 0
	return m
}

// OtherTask is a task with other columns and labels than Iris.
func OtherTask() ml.Task {
	t, err := ml.NewTask("wine", []string{"alcohol", "sepal_width", "ash"}, []string{"barolo", "barbera"})
	if err != nil {
		panic(err)
	}
	return t
}

// Foreign is a model of OtherTask.
func Foreign(name ml.Kind) *Model {
	m := Constant(name, 0)
	m.Of = OtherTask()
	return m
}

// IrisRows returns the rows of Iris.
func IrisRows() [][]float64 {
	d := ml.Iris()
	rows := make([][]float64, d.Len())
	for i := range rows {
		rows[i] = slices.Clone(d.Row(i))
	}
	return rows
}
