package main

import (
	"context"
	"fmt"
	"time"

	"caucus/ml"
	"caucus/node/api"
)

// What evaluate and feedback share: reading a file of labelled rows of the node's task, and
// asking about it batch by batch.

// openLabelled reads a file of labelled rows of the node's task.
func (a *app) openLabelled(ctx context.Context, c *api.Client, path, column string) (*ml.Dataset, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	card, err := c.Card(ctx)
	if err != nil {
		return nil, err
	}
	task, err := ml.NewTask(card.Task.Name, card.Task.Features, card.Task.Labels)
	if err != nil {
		return nil, fmt.Errorf("the node's card describes no task that rows could be of: %w", err)
	}
	d, err := ml.OpenCSV(path, ml.CSVOptions{Label: column, Task: &task})
	if err != nil {
		return nil, &failure{code: exitFailure, err: err, try: fmt.Sprintf("a CSV file with the columns %s and one with the label", list(task.Features, "and"))}
	}
	return d, nil
}

// rowsAtOnce is how many rows go into a request, at most limit: well under the nodes' limit of
// 4 MiB for any number of features.
func rowsAtOnce(features, limit int) int {
	const bytesPerNumber = 25
	return min(limit, max(1, (2<<20)/(bytesPerNumber*features)))
}

// batch is some rows of a file, one after the other.
type batch struct {
	at     int // place of the first
	rows   [][]float64
	actual []int // class index by row
}

// eachBatch gives f the rows in batches of at most size, each with a minute's time, and shows
// how far it is. f may take fewer: it returns how many it has dealt with, and gets the rest
// again in batches of that size.
func (a *app) eachBatch(ctx context.Context, d *ml.Dataset, size int, what string, f func(context.Context, batch) (int, error)) error {
	bar := a.newBar(d.Len(), what)
	defer func() { _ = bar.Finish() }()
	for at := 0; at < d.Len(); {
		b := batch{at: at, actual: d.Y[at:min(at+size, d.Len())]}
		for i := range b.actual {
			b.rows = append(b.rows, d.Row(at+i))
		}
		limited, cancel := context.WithTimeout(ctx, time.Minute)
		done, err := f(limited, b)
		cancel()
		if err != nil {
			return err
		}
		if done < len(b.rows) {
			size = max(done, 1)
		}
		at += done
		_ = bar.Add(done) // a terminal that went away is no reason to stop
	}
	return nil
}
