package cluster

import (
	"context"
	"time"

	"caucus/cluster/identity"
)

// What is said of a live node that does not count yet.
const reasonWaiting = "it came while this node reaches no majority of the roster, and counts once it does, or once the missing members are forgotten"

// View returns the current snapshot. It takes no lock.
func (m *Membership) View() *View { return m.view.Load() }

// Changed returns a channel that is closed at the next change of the view.
func (m *Membership) Changed() <-chan struct{} {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.changed
}

// WaitReady waits until the view has settled: joined, and the roster unchanged for a moment (longer while this node
// does not count yet, or waits for those whom it remembers from disk).
func (m *Membership) WaitReady(ctx context.Context) error {
	for {
		m.mu.Lock()
		changed, age, joined := m.changed, m.now().Sub(m.settledAt), m.joinedLocked()
		if m.stopped {
			m.mu.Unlock()
			return ErrStopped
		}
		alone := m.joining && m.seeds == 0 && !m.everPeer
		settle := m.timing.settle
		if e := m.roster.entries[m.self]; e.enrolled == 0 || m.restored {
			settle *= 15 // it may come to count yet, or reach those whom it remembers, once it has sessions with them
		}
		m.mu.Unlock()
		wait := settle - age
		if joined && (alone || wait <= 0) {
			return nil
		}
		if !joined {
			wait = time.Hour // a change will come first
		}
		timer := time.NewTimer(wait)
		select {
		case <-changed:
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return ctx.Err()
		case <-m.ctx.Done():
			timer.Stop()
			return ErrStopped
		}
		timer.Stop()
	}
}

func (m *Membership) joinedLocked() bool {
	return m.joining && (m.roster.synced || m.restored)
}

// publishLocked brings the roster up to date with its own rules and replaces the view. It is called
// after every change, with mu held.
func (m *Membership) publishLocked() {
	now := m.now()
	if m.roster.mustResign() && !m.leaving {
		m.log.Warn("the others have forgotten this node; it comes back with a new card")
		if err := m.signLocked(false); err != nil {
			m.log.Error("cannot sign the card anew", "error", err)
		}
		m.kick(m.kickAnnounce)
	}
	if m.restored && m.roster.countsAlone() {
		m.restored = false // all that it waited for were forgotten
		m.aloneLocked()
	}
	m.roster.enrol()
	m.roster.refresh(now, m.timing.grace)
	sorted := m.roster.sorted()
	via, carries := m.roster.relayed()
	shared := sharedURLs(sorted)
	v := &View{
		Members: make([]Member, 0, len(sorted)+len(m.roster.refused)),
		Digest:  digest(sorted),
	}
	for _, e := range sorted {
		self := e.card.ID == m.self
		if !self && (e.enrolled > 0 || e.alive) {
			m.everPeer = true
			if e.alive {
				m.restored = false
			}
		}
		shown := Member{Card: e.card, State: e.state, Since: e.since, RTT: e.rtt, Reason: e.reason, Description: e.description, Self: self}
		shown.Via, shown.Carries = via[e.card.ID], carries[e.card.ID]
		if with := shared[e]; shown.Reason == "" && with != nil {
			shown.Reason = "it advertises the same URL as " + with.card.Name + ", so either may answer there: give each a URL of its own"
		}
		if shown.Reason == "" && now.Before(e.twinUntil) {
			shown.Reason = reasonTwinned
		}
		switch {
		case e.enrolled > 0, e.card.Leaving:
		case self && m.roster.isRemoved(m.self):
			x := m.roster.removals[m.self]
			shown.State, shown.Since, shown.Reason, shown.Removed = Refused, time.UnixMilli(int64(x.Epoch)), m.roster.removedBy(&x.Removal), true
		case e.alive && m.roster.synced:
			shown.State, shown.Reason = Refused, reasonWaiting
		case self: // joining: there is no roster yet to count in
		default:
			continue // only heard of
		}
		v.Members = append(v.Members, shown)
	}
	for _, x := range m.roster.shownRemovals() {
		v.Members = insertMember(v.Members, x)
	}
	if x, ok := m.roster.removals[m.self]; ok && !x.Undone {
		v.Removed = "this node was " + m.roster.removedBy(&x.Removal)
	}
	for _, refused := range []map[identity.ID]refusal{m.roster.refused, m.roster.turned} {
		for id, f := range refused {
			if _, shown := v.Find(id); !shown && m.roster.entries[id] == nil {
				v.Members = insertMember(v.Members, Member{Card: f.card, State: Refused, Since: f.at, Reason: f.reason})
			}
		}
	}
	v.EverPeer = m.everPeer || m.seeds > 0
	v.Joined, v.Restored = m.joinedLocked(), m.restored
	old := m.view.Load()
	if old != nil && sameView(old, v) {
		if !sameDetails(old, v) {
			m.view.Store(v) // not worth waking anybody
		}
		return
	}
	if old != nil {
		m.logChanges(old, v)
	}
	m.view.Store(v)
	if old == nil || old.Digest != v.Digest || old.Joined != v.Joined || old.Restored != v.Restored {
		m.settledAt = now
	}
	m.wakeLocked()
	m.spreader.members.Store(int64(len(v.Members)))
	m.kick(m.kickSave)
}

// sharedURLs has the live members whose URL is that of another one too, with that one.
func sharedURLs(sorted []*entry) map[*entry]*entry {
	owner := make(map[string]*entry, len(sorted))
	shared := make(map[*entry]*entry)
	for _, e := range sorted {
		if !e.alive || e.card.Leaving || e.card.URL == "" {
			continue
		}
		if first := owner[e.card.URL]; first == nil {
			owner[e.card.URL] = e
		} else {
			shared[e] = first
			if shared[first] == nil {
				shared[first] = e
			}
		}
	}
	return shared
}

// wakeLocked tells those who wait on Changed.
func (m *Membership) wakeLocked() {
	close(m.changed)
	m.changed = make(chan struct{})
}

func insertMember(list []Member, x Member) []Member {
	i := 0
	for i < len(list) && list[i].ID < x.ID {
		i++
	}
	list = append(list, Member{})
	copy(list[i+1:], list[i:])
	list[i] = x
	return list
}

// sameView compares what others wait for.
func sameView(a, b *View) bool {
	if a.Digest != b.Digest || a.Joined != b.Joined || a.EverPeer != b.EverPeer || a.Restored != b.Restored || a.Removed != b.Removed || len(a.Members) != len(b.Members) {
		return false
	}
	for i := range a.Members {
		x, y := &a.Members[i], &b.Members[i]
		if x.ID != y.ID || x.Sequence != y.Sequence || x.State != y.State || x.Reason != y.Reason || len(x.Description) != len(y.Description) {
			return false
		}
	}
	return true
}

// sameDetails compares what is only shown.
func sameDetails(a, b *View) bool {
	for i := range a.Members {
		if a.Members[i].RTT != b.Members[i].RTT || a.Members[i].Since != b.Members[i].Since {
			return false
		}
	}
	return true
}

// logChanges tells of members that came, went or changed state.
func (m *Membership) logChanges(old, next *View) {
	before := make(map[identity.ID]State, len(old.Members))
	for _, x := range old.Members {
		before[x.ID] = x.State
	}
	for _, x := range next.Members {
		was, known := before[x.ID]
		if x.Self || known && was == x.State {
			continue // for this node itself see keeper.tellWaiting: it may be waiting for moments only
		}
		attrs := []any{"member", x.ID, "name", x.Name, "state", x.State.String()}
		if known {
			attrs = append(attrs, "was", was.String())
		}
		if x.Reason != "" {
			attrs = append(attrs, "reason", x.Reason)
		}
		m.log.Info("member changed", attrs...)
	}
}

// String returns the state's name as it is shown to people and programs.
func (s State) String() string {
	switch s {
	case Alive:
		return "alive"
	case Suspect:
		return "suspect"
	case Failed:
		return "failed"
	case Left:
		return "left"
	case Refused:
		return "refused"
	}
	return "unknown"
}

// Find returns the member of an id.
func (v *View) Find(id identity.ID) (Member, bool) {
	for _, x := range v.Members {
		if x.ID == id {
			return x, true
		}
	}
	return Member{}, false
}
