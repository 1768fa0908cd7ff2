package cluster

import (
	"log/slog"
	"time"

	"caucus/cluster/identity"
)

// One key in two processes, as when a state folder was copied to another machine. The two are one member and have
// one vote; their sessions and cards take turns. It is found out in three ways: one dials the other
// (session.ErrTwin); a third has sessions with both, and tells them (session.StreamTwin); this node's cards are
// outrun again and again.

const (
	reasonTwin    = "another process uses this node's key, and the two count as one: stop one of them, or give it a state folder of its own (--state-dir)"
	reasonTwinned = "two processes use its key, and count as one"

	twinTurns  = 3           // within twinWithin
	twinWithin = time.Minute // scaled
	twinShown  = 5 * time.Minute
)

// twinMet is told by the sessions, or by a member.
func (m *Membership) twinMet(where string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.twinLocked("where", where)
}

// outrunLocked counts that this node's card was outrun. Once is a state folder that was lost.
func (m *Membership) outrunLocked(now time.Time) {
	m.outrun = recent(append(m.outrun, now), now, m.timing.of(twinWithin))
	if len(m.outrun) >= twinTurns {
		m.twinLocked("turns", len(m.outrun))
	}
}

func (m *Membership) twinLocked(attrs ...any) {
	now := m.now()
	if m.twinUntil.IsZero() {
		m.log.Log(m.ctx, slog.LevelError, "two processes with one key", append(attrs, "why", reasonTwin)...)
	}
	m.twinUntil = now.Add(twinShown)
	if e := m.roster.entries[m.self]; e != nil && e.reason != reasonTwin {
		e.reason = reasonTwin
		m.publishLocked()
	}
}

// twinOverLocked ends the alarm when nothing was seen of the other process for long. It reports whether it did.
func (m *Membership) twinOverLocked(now time.Time) bool {
	if m.twinUntil.IsZero() || now.Before(m.twinUntil) {
		return false
	}
	m.twinUntil = time.Time{}
	m.roster.entries[m.self].reason = ""
	m.log.Info("nothing was seen of another process with this node's key for a while", "for", twinShown.String())
	return true
}

// KeyConflict says that another process seems to use this node's key; "" if none does.
func (m *Membership) KeyConflict() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.twinUntil.IsZero() {
		return ""
	}
	return reasonTwin
}

// twinned is told by the sessions that a peer is two processes.
func (m *Membership) twinned(peer identity.ID) {
	m.mu.Lock()
	defer m.mu.Unlock()
	e := m.roster.entries[peer]
	if e == nil {
		return
	}
	if m.now().After(e.twinUntil) {
		m.log.Warn("a member is two processes with one key, which count as one", "member", peer, "name", e.card.Name)
	}
	e.twinUntil = m.now().Add(twinShown)
	m.publishLocked()
}

// recent drops what is older than within.
func recent(times []time.Time, now time.Time, within time.Duration) []time.Time {
	for len(times) > 0 && now.Sub(times[0]) > within {
		times = times[1:]
	}
	return times
}
