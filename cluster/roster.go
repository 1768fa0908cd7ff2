package cluster

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"time"

	"caucus/cluster/identity"
)

// Why a card is not taken.
var (
	errStale     = errors.New("an older card than the one known")
	errForgotten = errors.New("the card of a forgotten member")
	errConflict  = errors.New("two different cards with one sequence number: is one key used by two nodes?")
	errFull      = errors.New("the cluster is full")
	errSequence  = fmt.Errorf("a card with a sequence number over %d, the highest that there may be", uint64(maxSequence))
)

// Bounds of what is remembered.
const (
	maxTombstones = 1024
	maxTasks      = 512 // twice as many as there can be members
	maxRefusals   = 64
)

// entry is what this node knows of one id.
type entry struct {
	card     identity.Card
	enrolled uint64 // the sequence of the card under which it came to count for the quorum of its task; 0: it does not; see roster

	alive          bool          // gossip holds it alive
	connected      bool          // a session with it is up
	met            bool          // it was once, or it is known from disk
	straightenWait time.Duration // the maintenance loop's: between attempts to do without a relay
	nextStraighten time.Time
	seenURL        string    // the maintenance loop's: the URL of the card when it last looked
	lostSession    time.Time // when the last session went down while gossip held it alive; zero: not
	suspectUntil   time.Time // a probe of it failed; gossip has decided by then

	state  State // as last computed by refresh
	since  time.Time
	reason string // why it cannot be reached or used

	twinUntil time.Time // two processes use its key; see twin.go

	differs  bool // its roster's digest differed from this node's when it last answered a probe
	nextSync time.Time
	syncWait time.Duration

	description    []byte
	describedBy    uint64 // sequence of the card that the description was fetched under
	rtt            time.Duration
	nextDescribeAt time.Time
	describeWait   time.Duration
}

// tombstone forgets the cards of an id up to a sequence number.
type tombstone struct {
	sequence uint64
	at       time.Time // when this node learnt of it; decides which goes first when there are too many
}

// refusal is a node that was seen and not let in.
type refusal struct {
	card   identity.Card // perhaps only with an id
	reason string
	at     time.Time
	seen   time.Time // last, of one that was turned away
}

// roster is the set of signed cards with the rules by which it grows, shrinks and is
// merged with another node's. It does no I/O and is guarded by Membership.mu.
//
// A card alone does not make a member count. Let E be the enrolled members of one task:
// those that a quorum of that task is counted over. Every step that takes somebody out
// of E for being silent, or adds somebody to E, is taken only by a node that at that
// moment reaches a strict majority of E (gossip holds them alive and a session with them
// is up; the node itself counts if it is in E):
//
//   - forgetting (expired): when a member has failed and the majority was reached for all of forget-after, so
//     that after a heal nobody is forgotten who just was not called yet; and one member a task at a time, so
//     that two nodes of one half that have not yet heard of each other's step still hold rosters whose
//     majorities overlap;
//   - enrolling (enrol): every live newcomer of the task.
//
// So the half of a partition that lacks a majority keeps all absent members in n and takes no newcomer into it,
// however many join there: it cannot reach a quorum until the partition heals or a person says Forget. The
// majority is counted per task since the quorum is: a node of another task (or an observer) applies the same
// rule to E of that task from where it stands. When there never was an E, there is nobody to protect: the first
// nodes of a task found it, but not before this node has exchanged state with a peer (synced), since E may only
// look empty from here. An E whose last member was forgotten is not founded again (unless a person said
// Forget): the others tell who counts.
// When E is this node alone, it is its own majority. When E has two members, neither can forget the other by
// itself: one of two is no strict majority.
//
// An enrolment is bound to the sequence of the card under which it was made, and a tombstone ends all
// enrolments up to its own sequence. So one who was forgotten and has signed anew is a newcomer everywhere,
// also where the newer card is seen before the tombstone.
//
// Steps of others are taken over by merge: tombstones always (they only shrink n with a
// majority's consent, or a person's), enrolments if the other's E contains all of this node's
// E, that is, if they were decided by somebody who knew all that this node counts.
// Otherwise (two clusters that were founded apart) the other's members are newcomers here.
//
// Removing for good, by a person's word, is a step like forgetting but for the wait, and may be of one who lives.
//
// Leaving needs no majority: who leaves was reached by the side that hears it, so that side loses
// a vote together with a seat and gains no majority by it. A change of task is the same.
type roster struct {
	self    identity.ID
	limit   int // members, this node included
	entries map[identity.ID]*entry
	tombs   map[identity.ID]tombstone
	refused map[identity.ID]refusal
	turned  map[identity.ID]refusal // see turnedaway.go
	// removals are the latest word on each id that somebody removed, and on those taken back; see removal.go.
	removals map[identity.ID]removal
	synced   bool // state was exchanged with a peer, or there is nobody to exchange it with

	founded    map[[32]byte]bool      // tasks that have or had enrolled members
	since      map[[32]byte]time.Time // since when this node reaches a majority of a task; absent: it does not
	lastForgot map[[32]byte]time.Time // by task
}

func newRoster(self identity.ID, limit int) *roster {
	return &roster{
		self: self, limit: limit,
		entries:    make(map[identity.ID]*entry),
		tombs:      make(map[identity.ID]tombstone),
		refused:    make(map[identity.ID]refusal),
		removals:   make(map[identity.ID]removal),
		founded:    make(map[[32]byte]bool),
		since:      make(map[[32]byte]time.Time),
		lastForgot: make(map[[32]byte]time.Time),
	}
}

// upsert takes a verified card in, unless it is stale, forgotten, a removed node's or one too many. It reports whether anything
// changed.
func (r *roster) upsert(c identity.Card, now time.Time) (bool, error) {
	if r.isRemoved(c.ID) && c.ID != r.self {
		return false, errRemoved
	}
	if c.Sequence > maxSequence {
		// Nobody could forget it, nor read the state of a node that counts it: see maxSequence.
		return false, errSequence
	}
	e := r.entries[c.ID]
	if e != nil {
		switch {
		case c.Sequence < e.card.Sequence:
			return false, errStale
		case c.Sequence == e.card.Sequence:
			if !bytes.Equal(c.Signed, e.card.Signed) {
				return false, errConflict
			}
			return false, nil
		}
	}
	if t, ok := r.tombs[c.ID]; ok && c.Sequence <= t.sequence && c.ID != r.self {
		return false, errForgotten
	}
	if e == nil {
		if c.Leaving {
			// Nobody misses it, but an older card of it must not come in later.
			r.bury(c.ID, c.Sequence, now)
			return false, nil
		}
		if !r.room(now) {
			return false, fmt.Errorf("%w: it has %d members, the most that it takes", errFull, r.limit)
		}
		r.entries[c.ID] = &entry{card: c, state: Failed, since: now, alive: c.ID == r.self}
		delete(r.refused, c.ID)
		return true, nil
	}
	if c.Task != e.card.Task || e.card.Leaving {
		e.enrolled = 0 // it left the old task, or comes back: a newcomer
	}
	if c.Leaving {
		e.enrolled = 0
	}
	e.card = c
	return true, nil
}

// room makes sure that one more entry fits, at the cost of one that does not count.
func (r *roster) room(now time.Time) bool {
	if len(r.entries) < r.limit {
		return true
	}
	var victim *entry
	for id, e := range r.entries {
		if e.enrolled > 0 || e.alive || id == r.self {
			continue
		}
		if victim == nil || e.since.Before(victim.since) {
			victim = e
		}
	}
	if victim == nil {
		return false
	}
	if victim.card.Leaving {
		r.bury(victim.card.ID, victim.card.Sequence, now)
	}
	delete(r.entries, victim.card.ID)
	return true
}

// bury records a tombstone, unless a later one is known.
func (r *roster) bury(id identity.ID, sequence uint64, now time.Time) {
	if r.tombs[id].sequence >= sequence {
		return
	}
	if _, known := r.tombs[id]; !known && len(r.tombs) >= maxTombstones {
		var oldest identity.ID
		for id, t := range r.tombs {
			if oldest == "" || t.at.Before(r.tombs[oldest].at) {
				oldest = id
			}
		}
		delete(r.tombs, oldest)
	}
	r.tombs[id] = tombstone{sequence: sequence, at: now}
}

// forget applies a tombstone. It reports whether it was news. A member that left stays on show; this
// node's own card stays, but counts no more until it is signed anew (see mustResign).
func (r *roster) forget(id identity.ID, sequence uint64, now time.Time) bool {
	if r.tombs[id].sequence >= sequence || !r.plausible(id, sequence, now) {
		return false
	}
	r.bury(id, sequence, now)
	if e := r.entries[id]; e != nil && e.enrolled <= sequence {
		// A newer card may have come before this news: then the member lives, but as a newcomer.
		e.enrolled = 0
		if e.card.Sequence <= sequence && id != r.self && !e.card.Leaving {
			delete(r.entries, id)
		}
	}
	return true
}

// plausible reports whether a tombstone covers no more than a card that is known, or than the clock of whoever signed
// one can have told. One far beyond would take from its member all sequences that it could come back with.
func (r *roster) plausible(id identity.ID, sequence uint64, now time.Time) bool {
	if e := r.entries[id]; e != nil && sequence <= e.card.Sequence {
		return true
	}
	return sequence <= uint64(max(0, now.Add(maxEpochAhead).UnixMicro()))
}

// mustResign reports whether others have forgotten this node's present card.
func (r *roster) mustResign() bool {
	e := r.entries[r.self]
	return e != nil && r.tombs[r.self].sequence >= e.card.Sequence && !r.isRemoved(r.self)
}

// sweep drops what is only kept for show or by chance: members that left more than leftFor ago, cards of nodes
// that do not count and are gone for goneFor, and old refusals. It reports whether it dropped any.
func (r *roster) sweep(now time.Time, leftFor, goneFor time.Duration) bool {
	changed := false
	for id, e := range r.entries {
		if id == r.self || e.enrolled > 0 || e.alive && !e.card.Leaving {
			continue
		}
		switch age := now.Sub(e.since); {
		case e.card.Leaving && age >= leftFor:
			r.bury(id, e.card.Sequence, now)
		case !e.card.Leaving && !e.connected && age >= goneFor:
		default:
			continue
		}
		delete(r.entries, id)
		changed = true
	}
	for t, at := range r.lastForgot {
		if now.Sub(at) >= leftFor {
			delete(r.lastForgot, t)
		}
	}
	for id, f := range r.turned {
		if now.Sub(f.seen) >= leftFor {
			delete(r.turned, id)
			changed = true
		}
	}
	for id, f := range r.refused {
		if now.Sub(f.at) >= leftFor {
			delete(r.refused, id)
			changed = true
		}
	}
	return changed
}

// refuse records a node that was not let in, for show. It reports whether that is news.
func (r *roster) refuse(c identity.Card, reason string, now time.Time) bool {
	old, known := r.refused[c.ID]
	if r.isRemoved(c.ID) || !known && len(r.refused) >= maxRefusals || known && old.reason == reason {
		return false
	}
	r.refused[c.ID] = refusal{card: c, reason: reason, at: now}
	return true
}

// fatal reports whether the owner of a card is not to be talked to. With the owner of a forgotten or an old
// card one talks: it learns from it.
func fatal(err error) bool {
	return errors.Is(err, errFull) || errors.Is(err, errConflict) || errors.Is(err, errRemoved) || errors.Is(err, errSequence)
}

// refresh recomputes the states, and since when a majority of each task is reached. It reports whether a state
// changed. grace is how long a session may be down before its member is shown as suspect.
func (r *roster) refresh(now time.Time, grace time.Duration) bool {
	majority := r.majority()
	for t := range r.since {
		if !majority[t] {
			delete(r.since, t)
		}
	}
	for t, yes := range majority {
		if _, already := r.since[t]; yes && !already {
			r.since[t] = now
		}
	}
	changed := false
	for id, e := range r.entries {
		s := Failed
		switch {
		case e.card.Leaving:
			s = Left
		case id == r.self:
			s = Alive
		case !e.alive:
		case now.Before(e.suspectUntil),
			!e.connected && !e.lostSession.IsZero() && now.Sub(e.lostSession) >= grace:
			s = Suspect
		default:
			s = Alive
		}
		if s != e.state {
			e.state, e.since = s, now
			changed = true
		}
	}
	return changed
}

// sorted returns the entries by id.
func (r *roster) sorted() []*entry {
	out := make([]*entry, 0, len(r.entries))
	for _, e := range r.entries {
		out = append(out, e)
	}
	slices.SortFunc(out, func(a, b *entry) int { return cmp.Compare(a.card.ID, b.card.ID) })
	return out
}

// digest is a SHA-256 over id, task and fingerprint of all enrolled members, in id order.
func digest(sorted []*entry) [32]byte {
	h := sha256.New()
	for _, e := range sorted {
		if e.enrolled == 0 {
			continue
		}
		h.Write([]byte(e.card.ID))
		h.Write(e.card.Task[:])
		h.Write(e.card.Fingerprint[:])
	}
	return [32]byte(h.Sum(nil))
}
