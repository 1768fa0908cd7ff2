package node

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"runtime/debug"
	"slices"
	"time"

	"caucus/ml"
)

// What a local model can fail with, besides ml's own errors.
var (
	errModelPanic = errors.New("node: the model panicked")
	errModelLabel = errors.New("node: the model gave a label that is not of the task")
	errModelBusy  = errors.New("node: the model has too much to do")
)

const (
	// quickRow is the longest that a row may take for the model to be asked on the
	// caller's own goroutine, be that a request's or a session's reader.
	quickRow = 20 * time.Microsecond
	// quickBatch is the same for all rows of one question together.
	quickBatch = 100 * time.Microsecond
	// slowCalls bounds the goroutines in models that are slow, or never come back.
	slowCalls = 64
)

// local is this node's own model with a fence around it: whatever the model does, the
// caller gets an answer or an error in time, and the process lives.
type local struct {
	model       ml.Model
	task        ml.Task
	digest      [32]byte
	classes     int
	columns     int
	probs       bool          // the model gives probabilities
	fitted      bool          // made by ml: does not panic, takes every core for a batch
	fingerprint [32]byte      // of the model
	upstream    rowsModel     // the model, if it wants all rows at once; or nil
	perRow      time.Duration // 0: unknown, never quick
	slots       chan struct{} // of slow calls
	log         *slog.Logger
}

// newLocal measures how quick the model is with one of its own rows, if it is known to
// behave.
func newLocal(m ml.Model, fitted bool, sample []float64, log *slog.Logger) *local {
	t := m.Task()
	l := &local{
		model: m, task: t, digest: t.Digest(), classes: len(t.Labels), columns: len(t.Features),
		probs: m.Probabilistic(), fitted: fitted, fingerprint: m.Fingerprint(), slots: make(chan struct{}, slowCalls), log: log,
	}
	l.upstream, _ = m.(rowsModel)
	if fitted && sample != nil {
		l.perRow = l.measure(sample)
	} else if q, ok := m.(interface{ Quick() bool }); ok && q.Quick() {
		l.perRow = quickRow
	}
	return l
}

// measure returns the shortest of a few predictions; the first ones warm the model.
func (l *local) measure(row []float64) time.Duration {
	best := time.Duration(math.MaxInt64)
	probs := make([]float64, l.classes)
	for range 20 {
		start := time.Now()
		if _, err := l.model.Predict(row, probs); err != nil {
			return 0
		}
		best = min(best, time.Since(start))
	}
	return max(best, time.Nanosecond)
}

// quick reports whether n rows take microseconds, so that no goroutine need be paid.
func (l *local) quick(n int) bool {
	return l.perRow > 0 && l.perRow <= quickRow && (n == 1 || time.Duration(n)*l.perRow <= quickBatch)
}

// predict answers rows (row-major). labels has a place a row, probs, when not nil, one
// for each row and class. The slices are not touched after it has returned.
func (l *local) predict(ctx context.Context, rows []float64, labels []int, probs []float64) error {
	if !l.probs {
		probs = nil
	}
	if l.quick(len(labels)) {
		return l.call(ctx, rows, labels, probs)
	}
	select {
	case l.slots <- struct{}{}:
	default:
		return errModelBusy
	}
	// The model may outlive the caller's patience, so it works on memory of its own.
	type result struct {
		labels []int
		probs  []float64
		err    error
	}
	done := make(chan result, 1)
	rows = slices.Clone(rows)
	r := result{labels: make([]int, len(labels))}
	if probs != nil {
		r.probs = make([]float64, len(probs))
	}
	go func() {
		defer func() { <-l.slots }()
		r.err = l.call(ctx, rows, r.labels, r.probs)
		done <- r
	}()
	select {
	case r := <-done:
		copy(labels, r.labels)
		copy(probs, r.probs)
		return r.err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// call asks the model here and now, and turns a panic into an error.
func (l *local) call(ctx context.Context, rows []float64, labels []int, probs []float64) (err error) {
	defer func() {
		if r := recover(); r != nil {
			l.log.Error("the model panicked", "panic", r, "stack", string(debug.Stack()))
			err = errModelPanic
		}
	}()
	if l.upstream != nil {
		var gave bool
		if gave, err = l.upstream.PredictRows(ctx, rows, labels, probs); !gave {
			withoutProbs(probs)
		}
	} else if l.fitted && len(labels) > 1 {
		err = ml.PredictBatch(ctx, l.model, rows, labels, probs)
	} else {
		err = l.each(ctx, rows, labels, probs)
	}
	if err != nil {
		return err
	}
	for _, y := range labels {
		if y < 0 || y >= l.classes {
			return fmt.Errorf("%w: %d of %d", errModelLabel, y, l.classes)
		}
	}
	return nil
}

// each goes row by row on this goroutine, where a panic can be caught.
func (l *local) each(ctx context.Context, rows []float64, labels []int, probs []float64) error {
	for i := range labels {
		if i > 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		var p []float64
		if probs != nil {
			p = probs[i*l.classes : (i+1)*l.classes]
		}
		y, err := l.model.Predict(rows[i*l.columns:(i+1)*l.columns], p)
		if err != nil {
			return err
		}
		labels[i] = y
	}
	return nil
}
