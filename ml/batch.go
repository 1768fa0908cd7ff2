package ml

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
)

// batchChunk is how many rows a core takes at a time: enough to make handing them out
// free, few enough that cores end together and cancelling is quick.
const batchChunk = 64

// PredictBatch predicts rows (row-major) on every core. labels has one place a row;
// probs, when not nil, rows x labels. An error names the first bad row; labels and
// probs are then of no use. It ends early with ctx's error.
func PredictBatch(ctx context.Context, m Model, rows []float64, labels []int, probs []float64) error {
	t := m.Task()
	f, k, n := len(t.Features), len(t.Labels), len(labels)
	if len(rows) != n*f {
		return fmt.Errorf("%w: %d rows of %d features are %d values, got %d", ErrShape, n, f, n*f, len(rows))
	}
	if probs != nil && len(probs) != n*k {
		return fmt.Errorf("%w: probs has %d places, %d rows of %d labels want %d", ErrShape, len(probs), n, k, n*k)
	}
	chunks := (n + batchChunk - 1) / batchChunk
	var (
		next   atomic.Int64
		mu     sync.Mutex // guards bad and badErr
		bad    = n
		badErr error
	)
	work := func() {
		for ctx.Err() == nil {
			c := int(next.Add(1)) - 1
			if c >= chunks {
				return
			}
			for i := c * batchChunk; i < min(n, (c+1)*batchChunk); i++ {
				var p []float64
				if probs != nil {
					p = probs[i*k : (i+1)*k]
				}
				y, err := m.Predict(rows[i*f:(i+1)*f], p)
				if err != nil {
					mu.Lock()
					if i < bad {
						bad, badErr = i, err
					}
					mu.Unlock()
					next.Store(int64(chunks)) // chunks before this one are already out
					return
				}
				labels[i] = y
			}
		}
	}
	workers := min(runtime.GOMAXPROCS(0), chunks)
	var wg sync.WaitGroup
	for range workers - 1 {
		wg.Go(work)
	}
	work()
	wg.Wait()
	if badErr != nil {
		return fmt.Errorf("row %d: %w", bad, badErr)
	}
	return ctx.Err()
}
