package session

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"

	"caucus/cluster/identity"
)

// voter answers a question as a node does: decode, a label, encode.
type voter struct{}

func (voter) Quick([]byte) bool { return true }

func (voter) Answer(_ context.Context, _ identity.ID, ask, dst []byte) []byte {
	var q Question
	if err := q.Decode(ask); err != nil {
		return dst
	}
	a := Answer{Outcome: 1, Classes: 3, Labels: []uint16{uint16(q.Row(0)[0])}, Probabilities: []uint32{0, million, 0}}
	return a.Append(dst)
}

func benchPair(b *testing.B) (*node, *node) {
	b.Helper()
	set := func(c *Config) { c.Responder, c.Log = voter{}, nil }
	from, to := start(b, set), start(b, set)
	join(b, from, to)
	return from, to
}

func iris() []byte {
	q := Question{RequestID: "01J0000000000000000000000", Columns: 4, Rows: []float64{1, 3.5, 1.4, 0.2}}
	return q.Append(nil)
}

// BenchmarkAsk is one row asked over TLS in a WebSocket on loopback, both ends in this process.
func BenchmarkAsk(b *testing.B) {
	for _, inFlight := range []int{1, 32} {
		b.Run(fmt.Sprintf("%d in flight", inFlight), func(b *testing.B) {
			from, to := benchPair(b)
			ask := iris()
			b.ReportAllocs()
			b.ResetTimer()
			var left atomic.Int64
			left.Store(int64(b.N))
			done := make(chan error, inFlight)
			for range inFlight {
				go func() {
					var dst []byte
					var err error
					for left.Add(-1) >= 0 && err == nil {
						dst, err = from.Ask(context.Background(), to.id, ask, dst[:0])
					}
					done <- err
				}()
			}
			for range inFlight {
				if err := <-done; err != nil {
					b.Error(err)
				}
			}
		})
	}
}

type signalAsker chan error

func (s signalAsker) Answered(_ []byte, err error) { s <- err }

// BenchmarkAskAsync is the same through AskAsync, one in flight.
func BenchmarkAskAsync(b *testing.B) {
	from, to := benchPair(b)
	ask, done := iris(), make(signalAsker, 1)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := from.AskAsync(to.id, ask, done); err != nil {
			b.Fatal(err)
		}
		if err := <-done; err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkAskBatch is 10,000 rows of four columns.
func BenchmarkAskBatch(b *testing.B) {
	set := func(c *Config) { c.Responder, c.Log = echo{}, nil }
	from, to := start(b, set), start(b, set)
	join(b, from, to)
	q := Question{Columns: 4, Rows: make([]float64, 40_000)}
	ask := q.Append(nil)
	var dst []byte
	b.SetBytes(int64(2 * len(ask)))
	b.ReportAllocs()
	for b.Loop() {
		var err error
		if dst, err = from.Ask(context.Background(), to.id, ask, dst[:0]); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkHandshake is Dial to Drop.
func BenchmarkHandshake(b *testing.B) {
	set := func(c *Config) { c.Log, c.OnUp, c.OnDown = nil, nil, nil }
	from, to := start(b, set), start(b, set)
	for b.Loop() {
		if _, err := from.Dial(context.Background(), to.url(), "", nil); err != nil {
			b.Fatal(err)
		}
		from.Drop(to.id, "again")
		b.StopTimer()
		eventually(b, "gone", func() bool { return len(from.all()) == 0 && len(to.all()) == 0 })
		b.StartTimer()
	}
}
