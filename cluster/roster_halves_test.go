package cluster

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"caucus/cluster/identity"
)

// show names who is enrolled, a star at those that are reached, and what is forgotten.
func (r *roster) show(who []*person) string {
	out := ""
	for _, p := range who {
		if e := r.entries[p.id()]; e != nil && e.enrolled > 0 {
			out += p.name
			if r.reached(e) {
				out += "*"
			}
			out += " "
		}
		if s := r.tombs[p.id()].sequence; s > 0 {
			out += fmt.Sprintf("(%s<=%d) ", p.name, s)
		}
	}
	return out
}

// The property that all the rules are for: whatever splits, heals, joins and leaves there are, as long as news
// spreads within a half before the next split, no two halves reach a quorum at once.
func TestOfTwoHalvesAtMostOneReachesAQuorum(t *testing.T) {
	t.Parallel()
	seed := rand.Uint64()
	rng := rand.New(rand.NewPCG(seed, 1))
	defer func() {
		if t.Failed() {
			t.Logf("seed %d", seed)
		}
	}()
	everybody := people(t, 9)
	task := everybody[0].task
	start := time.Now()
	removed := 0
	for run := 0; run < 20 && (run < 2 || removed == 0 || time.Since(start) < 3*time.Second); run++ {
		var trace []string
		n := 2 + rng.IntN(4)
		rosters := make(map[*person]*roster)
		sequences := make(map[*person]uint64)
		joined := everybody[:n]
		for _, p := range joined {
			r := newRoster(p.id(), 256)
			r.synced = true
			sequences[p] = 1
			for _, q := range joined {
				r.add(t, q, 1)
			}
			r.enrol()
			rosters[p] = r
		}
		now := time.Now()
		for step := range 12 {
			// A split into two halves.
			side := make(map[*person]int)
			for _, p := range joined {
				side[p] = rng.IntN(2)
			}
			if len(joined) < len(everybody) && rng.IntN(2) == 0 { // a newcomer
				p := everybody[len(joined)]
				joined = everybody[:len(joined)+1]
				r := newRoster(p.id(), 256)
				sequences[p] = 1
				r.add(t, p, 1)
				// It comes to somebody: two who meet nobody found a cluster apart, of which this one cannot know.
				rosters[p], side[p] = r, side[joined[rng.IntN(n)]]
			}
			now = now.Add(time.Hour)
			for _, p := range joined {
				trace = append(trace, fmt.Sprintf("before step %d: %s, now on side %d, counts %s", step, p.name, side[p], rosters[p].show(joined)))
			}
			settle := func() {
				for range 4 {
					for _, p := range joined {
						for _, q := range joined {
							same := side[p] == side[q]
							if x, out := rosters[p].removals[q.id()]; same && out && !x.Undone {
								same = false // q is refused, and told so
								rosters[q].remove(x.Removal, now)
							}
							same = same && !rosters[q].isRemoved(p.id())
							if same && p != q {
								if _, err := rosters[p].upsert(q.card(t, sequences[q]), now); err != nil && !errors.Is(err, errForgotten) {
									t.Fatal(err)
								}
								transfer(t, rosters[q], rosters[p])
							}
							rosters[p].reach(q, same)
						}
						if rosters[p].mustResign() {
							sequences[p] = rosters[p].tombs[p.id()].sequence + 1
							rosters[p].upsert(p.card(t, sequences[p]), now)
						}
						rosters[p].enrol()
						rosters[p].refresh(now, time.Second)
					}
				}
			}
			quorums := func() {
				var decided [2]bool
				for _, p := range joined {
					if rosters[p].isRemoved(p.id()) {
						continue // it says that it was removed, and decides nothing
					}
					r, reached := rosters[p], 0
					for _, e := range r.entries {
						if e.enrolled > 0 && e.card.Task == task && r.reached(e) {
							reached++
						}
					}
					if 2*reached > r.n(task) {
						decided[side[p]] = true
					}
				}
				if decided[0] && decided[1] {
					for _, p := range joined {
						trace = append(trace, fmt.Sprintf("%s on side %d counts %s", p.name, side[p], rosters[p].show(joined)))
					}
					t.Log(strings.Join(trace, "\n"))
					t.Fatalf("run %d, step %d: both halves of %d reach a quorum", run, step, len(joined))
				}
			}
			settle()
			quorums()
			if rng.IntN(3) == 0 { // somebody removes another, or takes one back
				p, q := joined[rng.IntN(len(joined))], joined[rng.IntN(len(joined))]
				r := rosters[p]
				e, old := r.entries[q.id()], r.removals[q.id()]
				undo := r.isRemoved(q.id())
				if p != q && !r.isRemoved(p.id()) && (undo || e != nil && e.enrolled > 0 && r.mayRemove(e, now, time.Second) == nil) {
					x, err := p.key.SignRemoval(identity.Removal{ID: q.id(), Undone: undo, Epoch: old.Epoch + 1, ByName: p.name})
					if err != nil {
						t.Fatal(err)
					}
					r.remove(x, now)
					trace = append(trace, fmt.Sprintf("%s removes %s (or takes it back: %v)", p.name, q.name, undo))
					removed++
				}
				settle()
				quorums()
			}
			for range 3 { // time to forget, one by one
				now = now.Add(time.Hour)
				for _, p := range joined {
					for _, e := range rosters[p].expired(now, time.Minute, time.Second) {
						rosters[p].forget(e.card.ID, e.card.Sequence, now)
					}
				}
				settle()
				quorums()
			}
		}
	}
	t.Logf("%d removals", removed)
	if removed == 0 {
		t.Error("nobody was removed in any run")
	}
}
