package cluster

import (
	"errors"
	"time"

	"caucus/cluster/identity"
)

// remoteCard is a card in another node's state.
type remoteCard struct {
	card     identity.Card
	enrolled uint64 // there
}

// merge takes over another node's state, after its removals. It reports whether anything changed.
func (r *roster) merge(cards []remoteCard, tombs map[identity.ID]uint64, now time.Time) bool {
	changed := !r.synced
	r.synced = true
	for id, sequence := range tombs {
		changed = r.forget(id, sequence, now) || changed
	}
	theirs := make(map[[32]byte]map[identity.ID]uint64) // their E, by task
	for _, rc := range cards {
		c, err := r.upsert(rc.card, now)
		changed = c || changed
		e := r.entries[rc.card.ID]
		if errors.Is(err, errForgotten) || errors.Is(err, errConflict) || r.isRemoved(rc.card.ID) || e == nil || rc.enrolled == 0 || e.card.Leaving {
			continue
		}
		if r.tombs[rc.card.ID].sequence >= rc.enrolled || rc.card.Task != e.card.Task {
			continue // enrolled under a card that is void by now
		}
		if rc.enrolled > rc.card.Sequence {
			continue // under a card that there is not: no tombstone for its present one would end that
		}
		t := e.card.Task
		if theirs[t] == nil {
			theirs[t] = make(map[identity.ID]uint64)
		}
		theirs[t][rc.card.ID] = rc.enrolled
	}
	for id, e := range r.entries {
		if set := theirs[e.card.Task]; e.enrolled > 0 && set != nil && set[id] == 0 {
			delete(theirs, e.card.Task) // they do not know all whom this node counts
		}
	}
	for _, set := range theirs {
		for id, under := range set {
			if e := r.entries[id]; e.enrolled < under {
				r.count(e, under)
				changed = true
			}
		}
	}
	return changed
}

// countsAlone reports whether nobody but this node is enrolled.
func (r *roster) countsAlone() bool {
	for id, e := range r.entries {
		if e.enrolled > 0 && id != r.self {
			return false
		}
	}
	return true
}

// reached reports whether this node is in touch with an enrolled member.
func (r *roster) reached(e *entry) bool {
	return e.card.ID == r.self || e.alive && e.connected
}

// majority reports, for each task, whether this node reaches a strict majority of its enrolled
// members. A task with none is absent.
func (r *roster) majority() map[[32]byte]bool {
	type count struct{ n, reached int }
	counts := make(map[[32]byte]count)
	for _, e := range r.entries {
		if e.enrolled == 0 {
			continue
		}
		c := counts[e.card.Task]
		c.n++
		if r.reached(e) {
			c.reached++
		}
		counts[e.card.Task] = c
	}
	out := make(map[[32]byte]bool, len(counts))
	for t, c := range counts {
		out[t] = 2*c.reached > c.n
	}
	return out
}

// enrol lets live newcomers in where this node may (see roster). It reports whether it did.
func (r *roster) enrol() bool {
	if !r.synced {
		return false
	}
	majority := r.majority()
	var news []*entry
	for _, e := range r.entries {
		if e.enrolled > 0 || e.card.Leaving || !e.alive || r.isRemoved(e.card.ID) || r.tombs[e.card.ID].sequence >= e.card.Sequence {
			continue
		}
		may, any := majority[e.card.Task]
		if any && !may || !any && r.founded[e.card.Task] {
			continue
		}
		news = append(news, e)
	}
	for _, e := range news {
		r.count(e, e.card.Sequence)
	}
	return len(news) > 0
}

// unfound lets tasks that have no enrolled member left be founded again.
func (r *roster) unfound() {
	left := r.majority()
	for t := range r.founded {
		if _, any := left[t]; !any {
			delete(r.founded, t)
		}
	}
}

// count has a member count from now on.
func (r *roster) count(e *entry, under uint64) {
	e.enrolled = under
	if len(r.founded) >= maxTasks && !r.founded[e.card.Task] {
		r.unfound() // a member that says another task with each card must not fill the memory
	}
	r.founded[e.card.Task] = true
}

// expired returns the members that this node may forget now for having failed for so long: at most one a task, and
// none of a task within spread of the last, so that the others have heard of that one.
func (r *roster) expired(now time.Time, after, spread time.Duration) []*entry {
	var out []*entry
	chosen := make(map[[32]byte]*entry)
	for _, e := range r.entries {
		t := e.card.Task
		since, majority := r.since[t]
		if e.enrolled == 0 || e.state != Failed || now.Sub(e.since) < after || !majority || now.Sub(since) < after ||
			now.Sub(r.lastForgot[t]) < spread {
			continue
		}
		// The smallest id first, so that nodes that decide at once decide alike.
		if c := chosen[t]; c == nil || e.card.ID < c.card.ID {
			chosen[t] = e
		}
	}
	for t, e := range chosen {
		r.lastForgot[t] = now
		out = append(out, e)
	}
	return out
}
