package node

import (
	"errors"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"caucus/cluster/session"
	"caucus/node/api"
)

// TestManyRoundsAtOnce is for the race detector: rounds are pooled, and stragglers,
// timers, the history and readers of it hold on to them while requests come and go.
func TestManyRoundsAtOnce(t *testing.T) {
	b := newBench(t, 6)
	b.times = times{peer: 12 * time.Millisecond, deadline: 20 * time.Millisecond, linger: 2 * time.Millisecond}
	labels := []string{"setosa", "versicolor", "virginica"}
	const label = 1
	b.courier.set(idOf(1), votesFor(label, 0))
	b.courier.set(idOf(2), votesFor(label, 500*time.Microsecond))
	b.courier.set(idOf(3), votesFor(label, 11*time.Millisecond))
	b.courier.set(idOf(4), never)
	b.courier.set(idOf(5), behaviour{after: time.Millisecond, err: session.ErrClosed})
	var wg sync.WaitGroup
	for worker := range 16 {
		wg.Go(func() {
			r := rand.New(rand.NewPCG(uint64(worker), 1))
			for range 60 {
				n := 1 + r.IntN(2)*r.IntN(30)
				q := &api.Question{
					RequestID: "r", Start: time.Now(), N: n, Rows: make([]float64, 4*n), Method: "auto", Minority: true,
					Batch: n > 1, Wait: api.Wait(r.IntN(3)), Timeout: time.Duration(r.IntN(3)) * 5 * time.Millisecond,
				}
				round, err := b.Consensus(t.Context(), q)
				var p *api.Problem
				if errors.As(err, &p) && p.Kind() == api.QuorumNotReached && p.Counted == 0 {
					continue // so slow is the machine that nobody voted in time
				}
				if err != nil {
					t.Error(err)
					return
				}
				if reply := round.Reply(); reply != nil {
					for i, v := range reply.Votes {
						if v.Label != "" && i > 0 && v.Label != labels[label] {
							t.Errorf("member %d voted %s", i, v.Label)
						}
					}
					if reply.Invited != 6 || reply.Counted < 1 {
						t.Errorf("%+v", reply)
					}
					reply.AppendJSON(nil)
				} else {
					round.Batch().AppendJSON(nil)
				}
				if past := b.Rounds(3); len(past) > 0 {
					b.Round(past[0].Round)
				}
				round.Release()
			}
		})
	}
	wg.Wait()
	b.history.clear()
}
