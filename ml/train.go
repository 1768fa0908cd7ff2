package ml

import (
	"context"
	"slices"
	"sync/atomic"
)

// trainFolds is how often rows are held out in turn when none are held out for good.
const trainFolds = 5

// Train fits on the rows that are not held out and evaluates on those that are. With
// holdout 0 it fits on all, and evaluates by cross-validation. The seed of o draws both.
func Train(ctx context.Context, d *Dataset, o FitOptions, holdout float64) (Model, *Evaluation, error) {
	if holdout == 0 {
		return trainOnAll(ctx, d, o)
	}
	train, test, err := d.Split(holdout, o.Seed)
	if err != nil {
		return nil, nil, err
	}
	m, err := Fit(ctx, train, o)
	if err != nil {
		return nil, nil, err
	}
	e, err := Evaluate(ctx, m, test)
	return m, &e, err
}

// trainOnAll fits once for the model and once for each fold of its evaluation, and tells
// the progress of all that together.
func trainOnAll(ctx context.Context, d *Dataset, o FitOptions) (Model, *Evaluation, error) {
	progress := o.Progress
	var steps atomic.Int64 // of one fit
	if progress != nil {
		o.Progress = func(done, total int) {
			steps.Store(int64(total))
			progress(done, total*(1+trainFolds))
		}
	}
	m, err := Fit(ctx, d, o)
	if err != nil {
		return nil, nil, err
	}
	if progress != nil {
		n := int(steps.Load())
		o.Progress = func(fold, _ int) { progress(n*(1+fold), n*(1+trainFolds)) }
	}
	e, err := CrossValidate(ctx, d, o, trainFolds)
	return m, &e, err
}

// Range tells where the values of a feature lie: Typical is the upper median.
type Range struct {
	Min, Typical, Max float64
}

// Ranges returns the range of each feature, or nil if there is no row.
func (d *Dataset) Ranges() []Range {
	n, columns := d.Len(), len(d.Task.Features)
	if n == 0 {
		return nil
	}
	out := make([]Range, columns)
	column := make([]float64, n)
	for j := range columns {
		for i := range n {
			column[i] = d.X[i*columns+j]
		}
		slices.Sort(column)
		out[j] = Range{Min: column[0], Typical: column[n/2], Max: column[n-1]}
	}
	return out
}
