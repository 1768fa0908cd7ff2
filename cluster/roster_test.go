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

// person is somebody who signs cards.
type person struct {
	key   *identity.Key
	name  string
	task  [32]byte
	cards map[uint64]identity.Card
}

func newPerson(t testing.TB, name string) *person {
	t.Helper()
	key, err := identity.Generate()
	if err != nil {
		t.Fatal(err)
	}
	return &person{key: key, name: name, task: [32]byte{1}, cards: make(map[uint64]identity.Card)}
}

func people(t testing.TB, n int) []*person {
	t.Helper()
	out := make([]*person, n)
	for i := range out {
		out[i] = newPerson(t, fmt.Sprintf("p%d", i))
	}
	return out
}

func (p *person) id() identity.ID { return p.key.ID() }

// card signs a card; the same one again without edits, since signing is slow under the race detector.
func (p *person) card(t testing.TB, sequence uint64, edit ...func(*identity.Card)) identity.Card {
	t.Helper()
	if c, ok := p.cards[sequence]; ok && len(edit) == 0 && c.Task == p.task {
		return c
	}
	c := identity.Card{Name: p.name, Model: "knn", Task: p.task, Sequence: sequence, URL: "http://127.0.0.1:1"}
	for _, f := range edit {
		f(&c)
	}
	c, err := p.key.SignCard(c)
	if err != nil {
		t.Fatal(err)
	}
	if len(edit) == 0 {
		p.cards[sequence] = c
	}
	return c
}

func leaving(c *identity.Card) { c.Leaving = true }

// rosterOf makes the roster of who's first, with all of them enrolled under sequence 1 and reached.
func rosterOf(t testing.TB, who []*person) *roster {
	t.Helper()
	r := newRoster(who[0].id(), 256)
	r.synced = true
	for _, p := range who {
		r.add(t, p, 1)
	}
	r.enrol()
	r.refresh(time.Now(), time.Second)
	if n := r.n(who[0].task); n != len(who) {
		t.Fatalf("%d of %d enrolled at the start", n, len(who))
	}
	return r
}

// add takes a card in and has its owner alive and connected.
func (r *roster) add(t testing.TB, p *person, sequence uint64) {
	t.Helper()
	if _, err := r.upsert(p.card(t, sequence), time.Now()); err != nil {
		t.Fatal(err)
	}
	r.reach(p, true)
}

func (r *roster) reach(p *person, yes bool) {
	if e := r.entries[p.id()]; e != nil && p.id() != r.self {
		e.alive, e.connected = yes, yes
	}
}

func (r *roster) n(task [32]byte) int {
	n := 0
	for _, e := range r.entries {
		if e.enrolled > 0 && e.card.Task == task {
			n++
		}
	}
	return n
}

func (r *roster) counts(p *person) bool {
	e := r.entries[p.id()]
	return e != nil && e.enrolled > 0
}

func TestAnOlderCardNeverReplacesANewerOne(t *testing.T) {
	t.Parallel()
	who := people(t, 2)
	r := rosterOf(t, who)
	if changed, err := r.upsert(who[1].card(t, 5), time.Now()); !changed || err != nil {
		t.Fatal(changed, err)
	}
	if _, err := r.upsert(who[1].card(t, 4), time.Now()); !errors.Is(err, errStale) {
		t.Fatalf("got %v, want errStale", err)
	}
	if changed, err := r.upsert(who[1].card(t, 5), time.Now()); changed || err != nil {
		t.Fatal("the same card again changed something", changed, err)
	}
	other := who[1].card(t, 5, func(c *identity.Card) { c.URL = "http://127.0.0.1:2" })
	if _, err := r.upsert(other, time.Now()); !errors.Is(err, errConflict) {
		t.Fatalf("got %v, want errConflict", err)
	}
}

func TestAFailedMemberIsForgottenOnlyWithAStrictMajorityOfItsTask(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		n, reached int // reached includes this node
		want       bool
	}{{2, 1, false}, {3, 2, true}, {3, 1, false}, {4, 2, false}, {4, 3, true}, {5, 3, true}, {5, 2, false}} {
		t.Run(fmt.Sprintf("%d of %d", c.reached, c.n), func(t *testing.T) {
			who := people(t, c.n)
			r := rosterOf(t, who)
			for _, p := range who[c.reached:] {
				r.reach(p, false)
			}
			now := time.Now()
			r.refresh(now, time.Second)
			if got := r.expired(now.Add(59*time.Second), time.Minute, time.Second); len(got) != 0 {
				t.Fatal("forgotten too early")
			}
			got := r.expired(now.Add(61*time.Second), time.Minute, time.Second)
			if (len(got) == 1) != c.want || len(got) > 1 {
				t.Fatalf("%d to forget, want any: %v", len(got), c.want)
			}
			if again := r.expired(now.Add(61*time.Second), time.Minute, time.Second); len(again) != 0 {
				t.Fatal("a second one within the time that the first takes to spread")
			}
		})
	}
}

func TestTheMajorityIsCountedPerTask(t *testing.T) {
	t.Parallel()
	who := people(t, 5)
	for _, p := range who[2:] {
		p.task = [32]byte{2}
	}
	r := rosterOf2(t, who)
	// All of the other task but one are gone: of their 3 this node reaches 1, though of all 5 it reaches 3.
	r.reach(who[3], false)
	r.reach(who[4], false)
	now := time.Now()
	r.refresh(now, time.Second)
	if got := r.expired(now.Add(time.Hour), time.Minute, 0); len(got) != 0 {
		t.Fatalf("forgot %v with a minority of its task", got[0].card.Name)
	}
	r.reach(who[3], true)
	r.refresh(now, time.Second)
	if got := r.expired(now.Add(time.Hour), time.Minute, 0); len(got) != 1 || got[0].card.ID != who[4].id() {
		t.Fatalf("got %v, want the one that is gone", got)
	}
}

// rosterOf2 is rosterOf for several tasks.
func rosterOf2(t *testing.T, who []*person) *roster {
	t.Helper()
	r := newRoster(who[0].id(), 256)
	r.synced = true
	for _, p := range who {
		r.add(t, p, 1)
	}
	r.enrol()
	r.refresh(time.Now(), time.Second)
	return r
}

func TestANewcomerOnTheMinoritySideDoesNotCount(t *testing.T) {
	t.Parallel()
	who := people(t, 3)
	r := rosterOf(t, who)
	r.reach(who[1], false)
	r.reach(who[2], false)
	for i := range 4 {
		r.add(t, newPerson(t, fmt.Sprintf("late%d", i)), 1)
	}
	if r.enrol() || r.n([32]byte{1}) != 3 {
		t.Fatalf("newcomers count on the minority side: n = %d", r.n([32]byte{1}))
	}
	r.reach(who[1], true)
	if !r.enrol() || r.n([32]byte{1}) != 7 {
		t.Fatalf("newcomers do not count with a majority: n = %d", r.n([32]byte{1}))
	}
}

func TestNobodyIsEnrolledBeforeStateWasExchanged(t *testing.T) {
	t.Parallel()
	who := people(t, 2)
	r := newRoster(who[0].id(), 256)
	r.add(t, who[0], 1)
	r.add(t, who[1], 1)
	if r.enrol() {
		t.Fatal("enrolled before the roster of the other was seen")
	}
	if !r.merge(nil, nil, time.Now()) {
		t.Fatal("the first exchange changed nothing")
	}
	if !r.enrol() || r.n([32]byte{1}) != 2 {
		t.Fatal("the two did not found a roster")
	}
}

func TestANewcomerTakesTheRosterOfThoseWhomItJoins(t *testing.T) {
	t.Parallel()
	who := people(t, 4)
	old := rosterOf(t, who[:3])
	late := newRoster(who[3].id(), 256)
	late.add(t, who[3], 1)
	late.reach(who[0], true)
	transfer(t, old, late)
	if late.n([32]byte{1}) != 3 || late.counts(who[3]) {
		t.Fatalf("n = %d, want the 3 of the others and not itself yet", late.n([32]byte{1}))
	}
	// It reaches one of three: it does not count itself in.
	late.reach(who[0], true)
	if late.enrol() {
		t.Fatal("counted itself in with one of three")
	}
	late.reach(who[1], true)
	if !late.enrol() || !late.counts(who[3]) {
		t.Fatal("did not count itself in with two of three")
	}
}

// transfer merges from's state into to, over the wire form.
func transfer(t testing.TB, from, to *roster) bool {
	t.Helper()
	raw, tombs, err := parseState(from.appendState(nil))
	if err != nil {
		t.Fatal(err)
	}
	known := make(map[string]identity.Card)
	for _, e := range from.entries {
		known[string(e.card.Signed)] = e.card
	}
	var cards []remoteCard
	for _, r := range raw {
		cards = append(cards, remoteCard{known[string(r.signed)], r.enrolled})
	}
	list, err := splitRemovals(section(from.appendState(nil), sectionRemovals))
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range list {
		x, err := identity.ParseRemoval(b)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := to.remove(x, time.Now()); err != nil {
			t.Fatal(err)
		}
	}
	return to.merge(cards, tombs, time.Now())
}

func TestMergeTakesOverEnrolmentsOfThoseWhoKnewAll(t *testing.T) {
	t.Parallel()
	who := people(t, 5)
	a, b := rosterOf(t, who[:3]), rosterOf(t, who[:3])
	a.add(t, who[3], 1)
	a.enrol()
	if !transfer(t, a, b) || !b.counts(who[3]) {
		t.Fatal("an enrolment by the same roster's owner was not taken over")
	}
	// Founded apart: a pair that knows nothing of the three.
	apart := rosterOf(t, who[3:])
	apart.self = who[4].id()
	c := rosterOf(t, who[:3])
	transfer(t, apart, c)
	if c.counts(who[3]) || c.counts(who[4]) {
		t.Fatal("members of a cluster founded apart count without this one's majority")
	}
}

func TestATombstoneCoversOnlyOlderCards(t *testing.T) {
	t.Parallel()
	who := people(t, 3)
	a, b := rosterOf(t, who), rosterOf(t, who)
	if !a.forget(who[2].id(), 1, time.Now()) || a.forget(who[2].id(), 1, time.Now()) {
		t.Fatal("a tombstone is news once")
	}
	transfer(t, b, a) // b still has the old card, enrolled
	if a.entries[who[2].id()] != nil {
		t.Fatal("a forgotten card came back by merge")
	}
	if _, err := a.upsert(who[2].card(t, 1), time.Now()); !errors.Is(err, errForgotten) {
		t.Fatalf("got %v, want errForgotten", err)
	}
	transfer(t, a, b)
	if b.entries[who[2].id()] != nil {
		t.Fatal("the tombstone did not spread")
	}
	a.add(t, who[2], 2)
	a.enrol()
	if !a.counts(who[2]) {
		t.Fatal("a live member could not come back with a newer card")
	}
	transfer(t, b, a)
	if !a.counts(who[2]) {
		t.Fatal("an old tombstone took the newer card out")
	}
}

func TestANodeThatHearsOfItsOwnTombstoneSignsAnew(t *testing.T) {
	t.Parallel()
	who := people(t, 3)
	r := rosterOf(t, who)
	if r.mustResign() {
		t.Fatal("no tombstone yet")
	}
	r.forget(who[0].id(), 7, time.Now())
	if !r.mustResign() || r.counts(who[0]) {
		t.Fatal("it still counts itself")
	}
	if _, err := r.upsert(who[0].card(t, 8), time.Now()); err != nil {
		t.Fatal(err)
	}
	if r.mustResign() || !r.enrol() || !r.counts(who[0]) {
		t.Fatal("it did not come back")
	}
}

func TestWhoLeftNoLongerCountsAndAnOldCardDoesNotRaiseIt(t *testing.T) {
	t.Parallel()
	who := people(t, 3)
	a, b := rosterOf(t, who), rosterOf(t, who)
	now := time.Now()
	a.upsert(who[2].card(t, 2, leaving), now)
	a.refresh(now, time.Second)
	if a.counts(who[2]) || a.entries[who[2].id()].state != Left {
		t.Fatal("who left still counts")
	}
	transfer(t, b, a)
	if a.counts(who[2]) {
		t.Fatal("the roster of one who missed it brought the member back")
	}
	transfer(t, a, b)
	if b.counts(who[2]) {
		t.Fatal("the leaving card did not spread")
	}
	// After the time on show it is dropped, and still cannot be raised.
	if !a.sweep(now.Add(2*time.Hour), time.Hour, time.Minute) || a.entries[who[2].id()] != nil {
		t.Fatal("who left long ago is still on show")
	}
	if _, err := a.upsert(who[2].card(t, 1), now); !errors.Is(err, errForgotten) {
		t.Fatalf("got %v, want errForgotten", err)
	}
	a.add(t, who[2], 3)
	if a.enrol(); !a.counts(who[2]) {
		t.Fatal("it could not come back as a newcomer")
	}
}

func TestTheCapKeepsExistingMembersAndRefusesMore(t *testing.T) {
	t.Parallel()
	who := people(t, 4)
	r := rosterOf(t, who[:3])
	r.limit = 3
	for range 200 {
		if _, err := r.upsert(newPerson(t, "more").card(t, 1), time.Now()); !errors.Is(err, errFull) {
			t.Fatalf("got %v, want errFull", err)
		}
	}
	if len(r.entries) != 3 || r.n([32]byte{1}) != 3 {
		t.Fatal("a member lost its slot")
	}
	r.upsert(who[2].card(t, 2, leaving), time.Now())
	r.reach(who[2], false)
	if _, err := r.upsert(who[3].card(t, 1), time.Now()); err != nil {
		t.Fatalf("the slot of one who left was not given: %v", err)
	}
}

func TestTombstonesAreBounded(t *testing.T) {
	t.Parallel()
	r := newRoster("self", 8)
	for i := range maxTombstones + 50 {
		r.bury(identity.ID(fmt.Sprint(i)), 1, time.Unix(int64(i), 0))
	}
	if len(r.tombs) != maxTombstones {
		t.Fatalf("%d tombstones", len(r.tombs))
	}
	if _, kept := r.tombs["0"]; kept {
		t.Fatal("the oldest was kept")
	}
}

func TestAChangeOfTaskIsANewcomerToIt(t *testing.T) {
	t.Parallel()
	who := people(t, 3)
	r := rosterOf(t, who)
	r.reach(who[1], false)
	r.reach(who[2], false)
	who[1].task = [32]byte{2}
	r.upsert(who[1].card(t, 2), time.Now())
	if r.counts(who[1]) || r.n([32]byte{1}) != 2 {
		t.Fatal("it counts in the old task still, or in the new one already")
	}
}

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

// TestACardBeyondAllSequencesIsRefused: a node that counted it would tell of it in a state that nobody reads, and no
// tombstone could name it.
func TestACardBeyondAllSequencesIsRefused(t *testing.T) {
	t.Parallel()
	who := people(t, 3)
	r := rosterOf(t, who[:2])
	if _, err := r.upsert(who[2].card(t, maxSequence+1), time.Now()); !errors.Is(err, errSequence) || !fatal(err) {
		t.Fatalf("got %v, want errSequence", err)
	}
	if _, err := r.upsert(who[1].card(t, 1<<63), time.Now()); !errors.Is(err, errSequence) {
		t.Fatalf("got %v, want errSequence", err)
	}
	r.add(t, who[2], maxSequence)
	r.enrol()
	if !r.counts(who[2]) {
		t.Fatal("the highest sequence does not count")
	}
	if _, _, err := parseState(r.appendState(nil)); err != nil {
		t.Errorf("others cannot read the state: %v", err)
	}
}

// TestATombstoneFromTheFutureIsOnlyForAKnownCard: else it would take all the sequences that its member can come back
// with. One whose clock is ahead can still be forgotten where its card is known.
func TestATombstoneFromTheFutureIsOnlyForAKnownCard(t *testing.T) {
	t.Parallel()
	now := time.Now()
	ahead := uint64(now.Add(maxEpochAhead).UnixMicro())
	who := people(t, 2)
	r := rosterOf(t, who)
	for _, p := range who {
		if r.forget(p.id(), ahead+1, now) || !r.counts(p) {
			t.Fatalf("a tombstone of the future was applied to %s", p.name)
		}
	}
	r.add(t, who[1], ahead+5)
	if r.forget(who[1].id(), ahead+6, now) {
		t.Error("a tombstone beyond the card was applied")
	}
	if !r.forget(who[1].id(), ahead+5, now) || r.counts(who[1]) {
		t.Error("who has its clock ahead cannot be forgotten")
	}
	if !r.forget(who[0].id(), ahead, now) || !r.mustResign() {
		t.Error("clocks may differ by an hour")
	}
}

// TestAnEnrolmentUnderACardThatThereIsNotIsNotTakenOver: the tombstone of the member's card would not end it, so those
// who hear of the tombstone would count the member on, and those who decided it would not.
func TestAnEnrolmentUnderACardThatThereIsNotIsNotTakenOver(t *testing.T) {
	t.Parallel()
	who := people(t, 3)
	for _, c := range []struct {
		under uint64
		want  bool
	}{{6, false}, {maxSequence, false}, {5, true}, {4, true}} {
		r := rosterOf(t, who[:2])
		cards := []remoteCard{{who[0].card(t, 1), 1}, {who[1].card(t, 1), 1}, {who[2].card(t, 5), c.under}}
		r.merge(cards, nil, time.Now())
		if got := r.counts(who[2]); got != c.want {
			t.Errorf("enrolled under %d with the card 5: counts %t, want %t", c.under, got, c.want)
		}
		r.forget(who[2].id(), 5, time.Now())
		if r.counts(who[2]) {
			t.Errorf("enrolled under %d, it counts on after it was forgotten", c.under)
		}
	}
}

// TestTasksThatAreGoneAreForgottenInTheEnd: a member may say another task with every card that it signs.
func TestTasksThatAreGoneAreForgottenInTheEnd(t *testing.T) {
	t.Parallel()
	who := people(t, 3)
	r := rosterOf(t, who)
	for i := range uint64(maxTasks + 50) {
		c := who[2].card(t, 2+i, func(c *identity.Card) { c.Task = [32]byte{2, byte(i), byte(i >> 8)} })
		if _, err := r.upsert(c, time.Now()); err != nil {
			t.Fatal(err)
		}
		r.enrol()
		if !r.counts(who[2]) {
			t.Fatalf("the member does not count with its task %d", i)
		}
	}
	if n := len(r.founded); n > maxTasks {
		t.Errorf("%d tasks are remembered", n)
	}
	if !r.founded[who[0].task] || !r.founded[r.entries[who[2].id()].card.Task] {
		t.Error("a task that has members may be founded again")
	}
	now := time.Now()
	r.lastForgot[[32]byte{9}], r.lastForgot[[32]byte{8}] = now.Add(-leftFor), now
	r.sweep(now, leftFor, goneFor)
	if len(r.lastForgot) != 1 {
		t.Errorf("%d tasks have lost a member of late, want 1", len(r.lastForgot))
	}
}
