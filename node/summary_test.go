package node

import (
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/oklog/ulid/v2"

	"caucus/cluster"
	"caucus/cluster/identity"
	"caucus/ml"
	"caucus/node/api"
	"caucus/node/consensus"
)

func sampleSummary(votes int) *summary {
	s := &summary{id: ulid.Make(), status: consensus.Degraded, rows: 1, label: 2, counted: 3, invited: 4, entropy: 123_456}
	for i := range votes {
		s.votes = append(s.votes, shortVote{id: identity.ID(strings.Repeat(string(rune('a'+i%26)), 32)), label: i%4 - 1})
	}
	return s
}

func TestASummaryComesBackAsItWas(t *testing.T) {
	task := ml.Iris().Task.Digest()
	in := sampleSummary(5)
	b := in.encode(task)
	out, ok := decodeSummary(b, task, 3)
	if !ok || !reflect.DeepEqual(in, out) {
		t.Errorf("%+v came back as %+v", in, out)
	}
	foreign, ok := decodeSummary(b, [32]byte{1}, 3)
	if !ok || foreign.label != -1 || foreign.votes[3].label != -1 {
		t.Errorf("labels of another task were believed: %+v", foreign)
	}
}

func TestASummaryNeverExceedsABroadcast(t *testing.T) {
	b := sampleSummary(256).encode([32]byte{})
	if len(b) > summaryMost {
		t.Errorf("%d bytes", len(b))
	}
	if s, ok := decodeSummary(b, [32]byte{}, 3); !ok || len(s.votes) < 15 || s.invited != 4 {
		t.Errorf("%+v", s)
	}
}

func TestARoundOfALaterYearThanJSONHasIsNotKept(t *testing.T) {
	for _, c := range []struct {
		at   time.Time
		kept bool
	}{{time.Now(), true}, {time.UnixMilli(lastTime), true}, {time.UnixMilli(lastTime + 1), false}, {ulid.Time(ulid.MaxTime()), false}} {
		s := sampleSummary(1)
		s.id = ulid.MustNew(uint64(c.at.UnixMilli()), ulid.DefaultEntropy())
		got, ok := decodeSummary(s.encode([32]byte{}), [32]byte{}, 3)
		if ok != c.kept {
			t.Errorf("%v: kept %t", c.at, ok)
		}
		if ok {
			if _, err := json.Marshal(ulid.Time(got.id.Time()).UTC()); err != nil {
				t.Error(err)
			}
		}
	}
}

// TestARoundFromTheFutureIsListedWhenItCame: whoever dates rounds ahead stays no longer on top than others.
func TestARoundFromTheFutureIsListedWhenItCame(t *testing.T) {
	b := newBench(t, 2)
	now := time.UnixMilli(1_800_000_000_000)
	b.wall = func() time.Time { return now }
	hear := func(at time.Time) string {
		s := sampleSummary(1)
		s.id = ulid.MustNew(ulid.Timestamp(at), ulid.DefaultEntropy())
		b.heard(idOf(1), s.encode([32]byte{}))
		return s.id.String()
	}
	future := hear(now.AddDate(100, 0, 0))
	if lines := b.Rounds(10); len(lines) != 1 || !lines[0].At.Equal(now) {
		t.Errorf("at %v it was listed as of %v", now, lines)
	}
	skewed := hear(now.Add(aheadMost)) // an honest clock may be ahead so far
	now = now.Add(time.Second)
	later := hear(now)
	var got []string
	for _, line := range b.Rounds(10) {
		got = append(got, line.Round)
	}
	if want := []string{skewed, later, future}; !slices.Equal(got, want) {
		t.Errorf("listed as %v, want %v", got, want)
	}
	if _, ok := b.Round(future); !ok {
		t.Error("it is not found by its id")
	}
}

func FuzzSummary(f *testing.F) {
	f.Add(sampleSummary(3).encode([32]byte{}))
	f.Add([]byte{summaryVersion})
	f.Fuzz(func(t *testing.T, b []byte) {
		s, ok := decodeSummary(b, [32]byte{}, 3)
		if !ok {
			return
		}
		for _, v := range append(s.votes, shortVote{label: s.label}) {
			if v.label < -1 || v.label >= 3 {
				t.Fatalf("label %d got through", v.label)
			}
		}
		if len(b) <= summaryMost {
			if again, ok := decodeSummary(s.encode([32]byte{}), [32]byte{}, 3); !ok || !reflect.DeepEqual(s, again) {
				t.Fatalf("%+v came back as %+v", s, again)
			}
		}
	})
}

func TestAStrangersBroadcastDoesNoHarm(t *testing.T) {
	b := newBench(t, 2)
	for _, msg := range [][]byte{nil, {}, {1}, []byte(strings.Repeat("x", 512))} {
		b.heard(idOf(1), msg)
	}
	if r := b.Rounds(9); len(r) != 0 {
		t.Errorf("%+v", r)
	}
	s := sampleSummary(2)
	for range 3 {
		b.heard(idOf(1), s.encode(b.local.digest))
	}
	if r := b.Rounds(9); len(r) != 1 || r[0].Label != "virginica" || r[0].Asked != string(idOf(1)) {
		t.Errorf("%+v", r)
	}
}

func TestTenSummariesASecondAreSpread(t *testing.T) {
	b := newBench(t, 1)
	now := time.Unix(1_800_000_000, 0)
	b.now = func() time.Time { return now }
	for range 25 {
		b.ask(t)
	}
	if n := len(b.cluster.sent); n != 10 {
		t.Errorf("%d were spread", n)
	}
	now = now.Add(time.Second)
	b.ask(t)
	if n := len(b.cluster.sent); n != 11 {
		t.Errorf("%d were spread", n)
	}
}

func TestTheHistoryKeepsTheLatest(t *testing.T) {
	b := newBench(t, 1)
	var last string
	for range historySize + 20 {
		r, _, _ := b.ask(t)
		last = r.Round
	}
	rounds := b.Rounds(10_000)
	if len(rounds) != historySize || rounds[0].Round != last {
		t.Errorf("%d rounds, newest %s, want %s", len(rounds), rounds[0].Round, last)
	}
	if got := b.Rounds(3); len(got) != 3 {
		t.Errorf("%d", len(got))
	}
	if _, ok := b.Round("nonsense"); ok {
		t.Error("nonsense was found")
	}
}

func TestMembersOfOneNameAreToldApart(t *testing.T) {
	b := newBench(t, 3)
	b.cluster.change(func(v *cluster.View) { v.Members[2].Name = v.Members[1].Name })
	r, _, p := b.ask(t, func(q *api.Question) { q.Wait = api.WaitAll })
	if p != nil || r.Votes[1].Name != "m1#bbbb" || r.Votes[2].Name != "m1#cccc" || r.Votes[0].Name != "m0" || r.Counted != 3 {
		t.Errorf("%+v %v", r, p)
	}
}

// counted returns the sum of a counter over its labels.
func (b *bench) counted(t *testing.T, name string) (sum float64) {
	t.Helper()
	families, err := b.metrics.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == name {
			for _, m := range f.GetMetric() {
				sum += m.GetCounter().GetValue()
			}
		}
	}
	return sum
}

func TestComingsAndGoingsAreCounted(t *testing.T) {
	b := newBench(t, 3)
	states := map[identity.ID]cluster.State{}
	look := func(joins, leaves, failures float64) {
		t.Helper()
		b.metrics.changes(states, b.cluster.View())
		got := [3]float64{
			b.counted(t, "caucus_cluster_joins_total"), b.counted(t, "caucus_cluster_leaves_total"), b.counted(t, "caucus_cluster_failures_total"),
		}
		if want := [3]float64{joins, leaves, failures}; got != want {
			t.Errorf("joins, leaves, failures are %v, want %v", got, want)
		}
	}
	set := func(i int, s cluster.State) {
		b.cluster.change(func(v *cluster.View) { v.Members[i].State = s })
	}
	look(2, 0, 0)
	set(1, cluster.Suspect)
	look(2, 0, 0)
	set(1, cluster.Failed)
	set(2, cluster.Left)
	look(2, 1, 1)
	look(2, 1, 1)
	set(1, cluster.Alive)
	look(3, 1, 1)
}

func TestDissentIsCounted(t *testing.T) {
	b := newBench(t, 3)
	b.courier.set(idOf(1), votesFor(1, 0))
	b.ask(t, func(q *api.Question) { q.Wait = api.WaitAll })
	if n := b.counted(t, "caucus_peer_disagreements_total"); n != 1 {
		t.Errorf("%v", n)
	}
}

func TestAnUnchangedViewIsLookedAtOnce(t *testing.T) {
	b := newBench(t, 3)
	first := b.invitedOf()
	if b.invitedOf() != first {
		t.Error("derived again")
	}
	b.cluster.change(func(v *cluster.View) { v.Members = v.Members[:2] })
	if got := b.invitedOf(); got == first || len(got.peers) != 2 {
		t.Errorf("%+v", got)
	}
}
