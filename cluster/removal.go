package cluster

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"time"

	"caucus/cluster/identity"
	"caucus/cluster/session"
)

// Removing a member for good. Forgetting takes one that failed out of the count, and lets it in again when it
// returns; a removed one stays out, whatever card it shows, until a person takes the removal back. The signed
// removals are merged like tombstones: in every push/pull, by broadcast, and with a new token (see tokens.go), so
// that nobody who has the new token still talks to somebody removed before it was made.

const (
	maxRemovals = 256

	// removedRetry is how long a removed node waits between attempts to come back: it cannot hear in any other way
	// that it was taken back, and each attempt may cost a tunnel's owner a request.
	removedRetry = 5 * time.Minute
)

// Errors of Remove and TakeBack.
var (
	ErrNoMajority = errors.New("cluster: this node reaches no majority")
	ErrTooSoon    = errors.New("cluster: another member was taken out a moment ago")
	ErrRemoved    = errors.New("cluster: it is removed already")
	ErrNotRemoved = errors.New("cluster: it is not removed")
)

var (
	errRemoved      = errors.New("the card of a removed member")
	errManyRemovals = fmt.Errorf("cluster: %d removals are known, the most that are kept", maxRemovals)
)

// removal is the latest word on one id.
type removal struct {
	identity.Removal
	card identity.Card // the last one known before it was removed, for show; perhaps none
}

// isRemoved reports whether an id is kept out.
func (r *roster) isRemoved(id identity.ID) bool {
	x, known := r.removals[id]
	return known && !x.Undone
}

// remove takes a verified removal over. It reports whether that is news.
func (r *roster) remove(x identity.Removal, now time.Time) (bool, error) {
	old, known := r.removals[x.ID]
	if known && !x.Supersedes(&old.Removal) {
		return false, nil
	}
	if !known && !r.roomForRemoval() {
		return false, errManyRemovals
	}
	next := removal{Removal: x, card: old.card}
	e := r.entries[x.ID]
	if x.Undone || e == nil {
		r.removals[x.ID] = next
		return true, nil
	}
	next.card = e.card
	r.removals[x.ID] = next
	if e.enrolled > 0 {
		r.lastForgot[e.card.Task] = now
	}
	e.enrolled = 0
	if x.ID != r.self {
		// The tombstone is for the day on which it is taken back: no old roster's enrolment of it holds then.
		r.bury(x.ID, e.card.Sequence, now)
		delete(r.entries, x.ID)
	}
	delete(r.refused, x.ID)
	return true, nil
}

// roomForRemoval makes sure that one more fits, at the cost of the oldest that was taken back. One that keeps somebody
// out never goes: else a member could let itself in by removing others.
func (r *roster) roomForRemoval() bool {
	if len(r.removals) < maxRemovals {
		return true
	}
	var oldest *removal
	for _, x := range r.removals {
		if x.Undone && (oldest == nil || x.Epoch < oldest.Epoch) {
			oldest = &x
		}
	}
	if oldest == nil {
		return false
	}
	delete(r.removals, oldest.ID)
	return true
}

// knows reports whether an id is or was a member's.
func (r *roster) knows(id identity.ID) bool {
	_, buried := r.tombs[id]
	return buried || r.entries[id] != nil
}

// removedBy says in words that x holds, to follow "it was" or "this node was". Of a signer that is not known here its
// name is its own word, so the start of its id is beside it.
func (r *roster) removedBy(x *identity.Removal) string {
	by := x.ByName + "#" + x.By.Short()
	if e := r.entries[x.By]; e != nil {
		by = e.card.Name
	}
	return fmt.Sprintf("removed from this cluster by %s on %s", by, time.UnixMilli(int64(x.Epoch)).UTC().Format("2 Jan 2006 15:04 UTC"))
}

// takeBack is what a person may do about a removal.
func takeBack(x *identity.Removal) string {
	name := x.Name
	if name == "" {
		name = string(x.ID)
	}
	return "any member can take it back: caucus remove --undo " + name
}

// Remove takes a node out of the cluster for good: it counts no more, its sessions are ended, and no node that has
// heard of it lets it in again, until TakeBack. The id need not be that of a present member. Errors: ErrStopped;
// ErrNoMajority if it counts and this node does not reach a majority of its task; ErrTooSoon if another that counted
// was taken out so recently that not all may have heard of it; ErrRemoved.
func (m *Membership) Remove(id identity.ID) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	e := m.roster.entries[id]
	switch {
	case m.stopped || m.leaving:
		return ErrStopped
	case m.roster.isRemoved(m.self):
		return errors.New("cluster: this node was removed itself, and nobody heeds it")
	case id == m.self:
		return errors.New("cluster: a node cannot remove itself; stop it, or have another remove it")
	case m.roster.isRemoved(id):
		return fmt.Errorf("%w: %s", ErrRemoved, m.nameLocked(id))
	case e != nil && e.enrolled > 0:
		if err := m.roster.mayRemove(e, m.now(), m.timing.spread); err != nil {
			return err
		}
	}
	return m.sayRemovalLocked(id, false)
}

// mayRemove reports whether this node may take out a member that counts: under the rule by which it forgets those that
// failed (see roster), but for the wait.
func (r *roster) mayRemove(e *entry, now time.Time, spread time.Duration) error {
	t := e.card.Task
	if !r.majority()[t] {
		err := fmt.Errorf("%w of the members that count with %s, so it cannot tell whether it is the smaller part of a split; wait for the others", ErrNoMajority, e.card.Name)
		if e.state == Failed {
			err = fmt.Errorf("%w, or, if it is gone for good: caucus forget %s, then caucus remove %s", err, e.card.Name, e.card.ID)
		}
		return err
	}
	if wait := spread - now.Sub(r.lastForgot[t]); wait > 0 {
		return fmt.Errorf("%w, and not all may have heard of it; try again in %v", ErrTooSoon, wait.Round(100*time.Millisecond))
	}
	return nil
}

// TakeBack undoes a removal: the node may come back, as a newcomer. Errors: ErrStopped, ErrNotRemoved.
func (m *Membership) TakeBack(id identity.ID) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case m.stopped || m.leaving:
		return ErrStopped
	case m.roster.isRemoved(m.self):
		return errors.New("cluster: this node was removed itself, and nobody heeds it")
	case !m.roster.isRemoved(id):
		return fmt.Errorf("%w: %s", ErrNotRemoved, m.nameLocked(id))
	}
	return m.sayRemovalLocked(id, true)
}

// sayRemovalLocked signs a removal, or its end, applies it here and tells the others.
func (m *Membership) sayRemovalLocked(id identity.ID, undone bool) error {
	x, err := m.cfg.Key.SignRemoval(identity.Removal{
		ID: id, Name: m.nameLocked(id), Undone: undone, ByName: m.cfg.Name,
		Epoch: max(uint64(m.now().UnixMilli()), m.roster.removals[id].Epoch+1),
	})
	if err != nil {
		return fmt.Errorf("cluster: %w", err)
	}
	if _, err := m.roster.remove(x, m.now()); err != nil {
		return fmt.Errorf("%w; take one back that is not needed any more (caucus remove --undo), or begin anew with --new-cluster", err)
	}
	m.roster.unfound()
	m.toldOfRemovalLocked(&x)
	return nil
}

// nameLocked returns the name of a node as it is known here, empty if it is not.
func (m *Membership) nameLocked(id identity.ID) string {
	if e := m.roster.entries[id]; e != nil {
		return e.card.Name
	}
	if x, ok := m.roster.removals[id]; ok {
		return x.Name
	}
	return m.roster.refused[id].card.Name
}

// hearRemovalsLocked takes over verified removals that others tell. It reports whether any was news.
func (m *Membership) hearRemovalsLocked(list []identity.Removal) bool {
	latest := uint64(m.now().Add(maxEpochAhead).UnixMilli())
	changed := false
	for i := range list {
		x := &list[i]
		if x.Epoch > latest {
			m.log.Warn("a removal from the future is not taken; is the clock of one of the two wrong?", "of", x.ID, "by", x.By)
			continue
		}
		news, err := m.roster.remove(*x, m.now())
		if err != nil {
			m.log.Warn("a removal is not taken", "of", x.ID, "by", x.By, "error", err)
		}
		if news {
			m.toldOfRemovalLocked(x)
			changed = true
		}
	}
	return changed
}

// toldOfRemovalLocked passes on what is news here, and acts on it.
func (m *Membership) toldOfRemovalLocked(x *identity.Removal) {
	attrs := []any{"member", x.ID, "name", x.Name, "by", x.By, "by_name", x.ByName}
	switch {
	case x.ID == m.self && !x.Undone:
		m.log.Warn("this node was "+m.roster.removedBy(x)+": the others count it no more and refuse its sessions",
			"remedy", takeBack(x)+"; or begin a cluster of your own: caucus serve --new-cluster, without --join")
	case x.ID == m.self:
		m.log.Info("this node may come back: its removal was taken back", "by", x.By, "by_name", x.ByName)
	case x.Undone:
		m.log.Info("a removal was taken back", attrs...)
	default:
		m.log.Info("member removed", attrs...)
	}
	m.spreader.removal(x)
	m.publishLocked()
	m.kick(m.kickSave)
	m.kick(m.kickMaintain) // which ends its session
}

// dismissWithin is how long a removed peer may take to hear why its session ends.
const dismissWithin = time.Second

// dismiss ends the session with a peer that was removed, after telling it so with the signature: it may have no way to
// ask again.
func (m *Membership) dismiss(id identity.ID) {
	m.mu.Lock()
	x, why := m.roster.removals[id], m.roster.refusal(id)
	m.mu.Unlock()
	if why == nil {
		return
	}
	ctx, cancel := context.WithTimeout(m.ctx, dismissWithin)
	defer cancel()
	if conn, err := m.sessions.Open(ctx, id, session.StreamRemoval); err == nil {
		_ = conn.SetDeadline(time.Now().Add(dismissWithin)) // never fails
		if _, err = conn.Write(x.Signed); err == nil && conn.Close() == nil {
			_, _ = conn.Read(make([]byte, 1)) // its end: the peer has taken it
		}
	}
	m.sessions.Drop(id, why.Error())
}

// hearRemoval takes the removal of this node from a peer that is about to end the session.
func (m *Membership) hearRemoval(peer identity.ID, conn net.Conn) {
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(dismissWithin)) // never fails
	b, err := io.ReadAll(io.LimitReader(conn, identity.MaxRemoval+1))
	if err != nil {
		return
	}
	list, err := m.verifyRemovals([][]byte{b})
	if err != nil {
		m.log.Warn("a peer's word that a node was removed is not taken", "peer", peer, "error", err)
		return
	}
	m.mu.Lock()
	m.hearRemovalsLocked(list)
	m.mu.Unlock()
}

// refusal returns why a node that was removed is not let in, or nil.
func (r *roster) refusal(id identity.ID) error {
	if x, known := r.removals[id]; known && !x.Undone && id != r.self {
		return errors.New("it was " + r.removedBy(&x.Removal) + "; " + takeBack(&x.Removal))
	}
	return nil
}

// shownRemovals returns members to be shown as refused because they were removed.
func (r *roster) shownRemovals() []Member {
	var out []Member
	for id, x := range r.removals {
		if x.Undone || id == r.self {
			continue
		}
		shown := Member{Card: x.card, State: Refused, Since: time.UnixMilli(int64(x.Epoch)), Reason: r.removedBy(&x.Removal), Removed: true}
		shown.ID = id
		if shown.Name == "" {
			shown.Name = x.Name
		}
		out = append(out, shown)
	}
	slices.SortFunc(out, func(a, b Member) int { return strings.Compare(string(a.ID), string(b.ID)) })
	return out
}

// The list of removals, in a state's section and behind a rotation: (length u16 | signed removal)...

func appendRemovals(dst []byte, removals map[identity.ID]removal) []byte {
	for _, x := range removals {
		dst = binary.BigEndian.AppendUint16(dst, uint16(len(x.Signed)))
		dst = append(dst, x.Signed...)
	}
	return dst
}

// splitRemovals takes a list apart; nothing is verified yet.
func splitRemovals(b []byte) ([][]byte, error) {
	var out [][]byte
	for len(b) > 0 {
		if len(b) < 2 || len(b)-2 < int(binary.BigEndian.Uint16(b)) {
			return nil, fmt.Errorf("%w: it ends within a removal", errState)
		}
		n := int(binary.BigEndian.Uint16(b))
		if n > identity.MaxRemoval || len(out) >= maxRemovals {
			return nil, fmt.Errorf("%w: it has more than %d removals, or one of %d bytes", errState, maxRemovals, n)
		}
		out = append(out, b[2:2+n])
		b = b[2+n:]
	}
	return out, nil
}

// verifyRemovals verifies those that are not known to the byte; it is called without mu.
func (m *Membership) verifyRemovals(raw [][]byte) ([]identity.Removal, error) {
	if len(raw) == 0 {
		return nil, nil
	}
	m.mu.Lock()
	known := make(map[string]bool, len(m.roster.removals))
	for _, x := range m.roster.removals {
		known[string(x.Signed)] = true
	}
	m.mu.Unlock()
	var out []identity.Removal
	for _, b := range raw {
		if known[string(b)] {
			continue
		}
		x, err := identity.ParseRemoval(b)
		if err != nil {
			return nil, err
		}
		out = append(out, x)
	}
	return out, nil
}
