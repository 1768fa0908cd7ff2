package cluster

import (
	"errors"
	"fmt"
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
