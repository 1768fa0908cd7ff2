package node

import (
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"caucus/cluster/session"
	"caucus/node/api"
)

// told collects what is told of rounds, with when it was told.
type told struct {
	mu    sync.Mutex
	start time.Time
	steps []api.LiveEvent
	at    []time.Duration
}

func (x *told) tell(ev api.LiveEvent) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.steps, x.at = append(x.steps, ev), append(x.at, time.Since(x.start))
}

func all(string) bool { return true }

func TestVotesAreToldAsTheyComeWithTheTallySoFar(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ms := time.Millisecond
		b := newBench(t, 4)
		b.courier.set(idOf(1), votesFor(1, 300*ms))
		b.courier.set(idOf(2), votesFor(0, 100*ms))
		b.courier.set(idOf(3), behaviour{sendErr: session.ErrBusy})
		x := &told{start: time.Now()}
		stop := b.WatchRounds(all, x.tell)
		reply, _, p := b.ask(t, func(q *api.Question) { q.Wait = api.WaitAll })
		if p != nil {
			t.Fatal(p)
		}
		stop()
		stop() // twice does no harm
		if _, _, p := b.ask(t); p != nil {
			t.Fatal(p)
		}
		if len(x.steps) != 6 {
			t.Fatalf("%d steps: %+v", len(x.steps), x.steps)
		}
		asked := x.steps[0].Data.(*api.RoundAsked)
		if x.steps[0].Name != "asked" || asked.Round != reply.Round || asked.RequestID != "req" || asked.Quorum != 3 || len(asked.Invited) != 4 {
			t.Errorf("asked: %+v", asked)
		}
		for i, want := range []struct {
			node, outcome, label, leads string
			at                          time.Duration
			counted, out                int
			setosa                      api.Millionths
			certain                     bool
		}{
			{node: string(idOf(3)), outcome: "shed", out: 3},
			{string(idOf(0)), "ok", "setosa", "setosa", 0, 1, 2, 1_000_000, false},
			{string(idOf(2)), "ok", "setosa", "setosa", 100 * ms, 2, 1, 1_000_000, false}, // the quorum is three
			{string(idOf(1)), "ok", "versicolor", "setosa", 300 * ms, 3, 0, 666_667, true},
		} {
			v := x.steps[i+1].Data.(*api.RoundVote)
			if x.steps[i+1].Name != "vote" || v.Vote.Node != want.node || v.Vote.Outcome != want.outcome || v.Vote.Label != want.label ||
				x.at[i+1] != want.at || v.Label != want.leads || v.Counted != want.counted || v.Out != want.out ||
				v.Shares.Of("setosa") != want.setosa || v.Certain != want.certain || v.Late || v.Round != reply.Round {
				t.Errorf("step %d after %v: %+v, want %+v", i+1, x.at[i+1], v, want)
			}
		}
		end := x.steps[5].Data.(*api.RoundDecided)
		if x.steps[5].Name != "decided" || end.Label != "setosa" || end.Status != reply.Status || end.Summary != reply.Summary || end.ElapsedMs != reply.ElapsedMs {
			t.Errorf("decided: %+v", end)
		}
	})
}

func TestAVoteThatComesTooLateIsToldToo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, 3)
		b.courier.set(idOf(2), votesFor(1, time.Second))
		x := &told{start: time.Now()}
		defer b.WatchRounds(all, x.tell)()
		if _, took, p := b.ask(t); p != nil || took > 100*time.Millisecond {
			t.Fatal(took, p)
		}
		time.Sleep(5 * time.Second)
		x.mu.Lock()
		defer x.mu.Unlock()
		last := len(x.steps) - 1
		v, ok := x.steps[last].Data.(*api.RoundVote)
		if !ok || !v.Late || v.Vote.Label != "versicolor" || x.at[last] != time.Second || !v.Shares.IsZero() {
			t.Errorf("last after %v: %+v", x.at[last], x.steps[last].Data)
		}
		if x.steps[last-1].Name != "decided" {
			t.Errorf("before it: %+v", x.steps[last-1])
		}
	})
}

func TestRoundsThatNobodyWantsAreNotTold(t *testing.T) {
	b := newBench(t, 3)
	var seen []string
	x := &told{}
	defer b.WatchRounds(func(id string) bool {
		seen = append(seen, id)
		return strings.HasPrefix(id, "mine-")
	}, x.tell)()
	for _, id := range []string{"other", "mine-1"} {
		if _, _, p := b.ask(t, func(q *api.Question) { q.RequestID, q.Wait = id, api.WaitAll }); p != nil {
			t.Fatal(p)
		}
	}
	if _, err := b.Consensus(t.Context(), &api.Question{RequestID: "mine-2", Start: time.Now(), Rows: make([]float64, 8), N: 2, Batch: true, Method: "auto"}); err != nil {
		t.Fatal(err)
	}
	if strings.Join(seen, " ") != "other mine-1" {
		t.Errorf("asked of %q; of a batch nothing is told", seen)
	}
	for _, s := range x.steps {
		if v, ok := s.Data.(*api.RoundVote); ok && v.RequestID != "mine-1" {
			t.Errorf("told of %s", v.RequestID)
		}
	}
	if len(x.steps) != 5 {
		t.Errorf("%d steps", len(x.steps))
	}
}

func TestNobodyToTellCostsNoMemory(t *testing.T) {
	var l liveRounds
	if n := testing.AllocsPerRun(1000, func() {
		if l.wanted("a request") {
			t.Fatal("nobody watches")
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
