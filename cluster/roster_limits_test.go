package cluster

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"caucus/cluster/identity"
)

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
