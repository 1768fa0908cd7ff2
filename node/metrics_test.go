package node

import (
	"slices"
	"testing"
	"time"

	"caucus/cluster"
	"caucus/cluster/identity"
	"caucus/node/api"
	"caucus/node/consensus"
)

// peersIn lists the values of the label peer in all series of a metric.
func (b *bench) peersIn(t *testing.T, name string) (out []string) {
	t.Helper()
	families, err := b.metrics.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			for _, l := range m.GetLabel() {
				if f.GetName() == name && l.GetName() == "peer" && !slices.Contains(out, l.GetValue()) {
					out = append(out, l.GetValue())
				}
			}
		}
	}
	return out
}

func TestAPeerThatIsGoneLeavesNoSeriesBehind(t *testing.T) {
	b := newBench(t, 3)
	gone, stays := string(idOf(1)), string(idOf(2))
	b.courier.set(idOf(1), votesFor(1, 0))
	b.ask(t, func(q *api.Question) { q.Wait = api.WaitAll })
	late := b.metrics.peer(idOf(1)) // of a question that is under way when it leaves
	names := []string{"caucus_peer_requests_total", "caucus_peer_request_duration_seconds", "caucus_peer_disagreements_total"}
	for i, name := range names {
		want := [][]string{{gone, stays}, {gone, stays}, {gone}}[i]
		if got := b.peersIn(t, name); !slices.Equal(got, want) { // the node itself is never asked
			t.Errorf("%s is of %v, want %v", name, got, want)
		}
	}
	b.cluster.change(func(v *cluster.View) { v.Members = slices.Delete(v.Members, 1, 2) })
	b.invitedOf()
	late.count(consensus.OK, time.Millisecond)
	late.count(consensus.Timeout, time.Millisecond)
	b.metrics.disagreement(identity.ID(gone))
	for _, name := range names {
		if got := b.peersIn(t, name); slices.Contains(got, gone) {
			t.Errorf("%s is still of the one that left: %v", name, got)
		}
	}
	// One that comes back counts anew.
	b.cluster.change(func(v *cluster.View) {
		back := v.Members[1]
		back.ID, back.Sequence = idOf(1), 2
		v.Members = slices.Insert(v.Members, 1, back)
	})
	b.ask(t, func(q *api.Question) { q.Wait = api.WaitAll })
	if got := b.peersIn(t, names[0]); !slices.Equal(got, []string{gone, stays}) {
		t.Errorf("after its return: %v", got)
	}
}

func TestOwnVotesAreCountedByOutcome(t *testing.T) {
	for outcome, model := range map[string]*constant{"ok": {quick: true}, "internal": {boom: true}} {
		own := *model
		own.task = newBench(t, 1).local.task
		b := newBench(t, 3, &own)
		b.ask(t, func(q *api.Question) { q.Wait = api.WaitAll })
		families, err := b.metrics.registry.Gather()
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range families {
			if f.GetName() != "caucus_own_votes_total" {
				continue
			}
			for _, m := range f.GetMetric() {
				want := 0.0
				if m.GetLabel()[0].GetValue() == outcome {
					want = 1
				}
				if got := m.GetCounter().GetValue(); got != want {
					t.Errorf("with %s there are %v of %s", outcome, got, m.GetLabel()[0].GetValue())
				}
			}
		}
	}
}

func TestEjectionShowsWhileItLasts(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	var h health
	for range ejectAfter {
		if h.ejected(now) {
			t.Error("ejected too early")
		}
		h.note(consensus.Timeout, now)
	}
	if !h.ejected(now) || h.ejected(now.Add(ejectFirst)) {
		t.Errorf("after three failures: %v, after its time: %v", h.ejected(now), h.ejected(now.Add(ejectFirst)))
	}
}
