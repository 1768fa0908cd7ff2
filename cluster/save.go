package cluster

import (
	"bytes"
	"encoding/binary"
	"errors"
	"maps"
	"path/filepath"
	"time"

	"caucus/cluster/identity"
)

// saveEvery is the shortest time between two writes: each is a sync of the disk.
const saveEvery = 250 * time.Millisecond

// saveAgain is how long after a failure the same is tried anew: a disk may have room again.
const saveAgain = 5 * time.Second

// saveLoop writes the roster behind the others' backs, so that a slow disk stops nothing but itself. A failure
// is told once for each change of its words, and tried again.
func (m *Membership) saveLoop() {
	defer close(m.saved)
	var again <-chan time.Time
	for {
		select {
		case <-m.kickSave:
		case <-again:
		}
		again = nil
		m.mu.Lock()
		stopped, next := m.stopped, m.savedLocked()
		m.mu.Unlock()
		if m.store != nil && m.store.differs(next) {
			err := m.store.write(next)
			if err != nil {
				m.storageErrs.Add(1)
			}
			m.mu.Lock()
			old := m.storageErr
			m.storageErr = err
			m.mu.Unlock()
			if err != nil {
				again = time.After(m.timing.of(saveAgain))
			}
			switch {
			case err != nil && (old == nil || old.Error() != err.Error()):
				m.log.Error("the roster is not kept", "error", err)
			case err == nil && old != nil:
				m.log.Info("the roster is kept again")
			}
		}
		if stopped {
			return
		}
		select {
		case <-time.After(saveEvery):
		case <-m.ctx.Done():
		}
	}
}

// savedLocked is what is to be on disk. Only cards that count are kept: others are learnt again.
func (m *Membership) savedLocked() saved {
	s := newSaved()
	s.sequence, s.everPeer, s.rotation = m.sequence, m.everPeer, m.rotation
	for id, e := range m.roster.entries {
		if e.enrolled > 0 {
			s.cards[id] = append(binary.BigEndian.AppendUint64(nil, e.enrolled), e.card.Signed...)
		}
	}
	maps.Copy(s.tombs, m.roster.tombs)
	for id, x := range m.roster.removals {
		s.removals[id] = x.Removal
	}
	return s
}

func (s *store) differs(next saved) bool {
	return next.sequence != s.last.sequence || next.everPeer != s.last.everPeer || next.rotation.epoch != s.last.rotation.epoch ||
		!maps.EqualFunc(next.cards, s.last.cards, func(a, b []byte) bool { return string(a) == string(b) }) ||
		!maps.EqualFunc(next.tombs, s.last.tombs, func(a, b tombstone) bool { return a.sequence == b.sequence }) ||
		!maps.EqualFunc(next.removals, s.last.removals, func(a, b identity.Removal) bool { return bytes.Equal(a.Signed, b.Signed) })
}

// restore takes the roster over from disk, or only its sequence for a new cluster.
func (m *Membership) restore(s saved) {
	m.sequence = s.sequence
	if m.cfg.NewCluster {
		return
	}
	m.everPeer, m.rotation = s.everPeer, s.rotation
	now := m.now()
	for id, t := range s.tombs {
		m.roster.tombs[id] = t
	}
	for id, x := range s.removals {
		m.roster.removals[id] = removal{Removal: x}
	}
	for id, v := range s.cards {
		c, err := identity.ParseCard(v[8:])
		if err != nil || c.ID != id {
			m.log.Warn("a card on disk is damaged and dropped", "member", id, "error", err)
			continue
		}
		enrolled := binary.BigEndian.Uint64(v)
		if c.Leaving || m.roster.isRemoved(id) && id != m.self || c.Sequence > maxSequence || enrolled > c.Sequence {
			continue
		}
		if id == m.self {
			m.sequence = max(m.sequence, c.Sequence)
		}
		e := &entry{card: c, state: Failed, since: now, met: true}
		m.roster.entries[id] = e
		m.roster.count(e, enrolled)
		m.restored = m.restored || id != m.self
	}
	m.log.Info("roster read from disk", "members", len(m.roster.entries))
}

// SetAside returns the names of the damaged files of the state folder that were renamed when the
// node started, and begun anew. What was in them comes back from the other members.
func (m *Membership) SetAside() []string {
	var names []string
	if m.store != nil && m.store.aside != "" {
		names = append(names, filepath.Base(m.store.aside))
	}
	if m.evidence != nil {
		if path := m.evidence.log.SetAside(); path != "" {
			names = append(names, filepath.Base(path))
		}
	}
	return names
}

// StorageError returns why the roster or the evidence could not be saved the last time, or nil.
func (m *Membership) StorageError() error {
	m.mu.Lock()
	err := m.storageErr
	m.mu.Unlock()
	if m.evidence != nil {
		_, evidence := m.evidence.log.Unwritten()
		err = errors.Join(err, evidence)
	}
	return err
}

// Unsaved returns how many times the roster and the evidence could not be written since the start.
func (m *Membership) Unsaved() (roster, evidence uint64) {
	if m.evidence != nil {
		evidence, _ = m.evidence.log.Unwritten()
	}
	return m.storageErrs.Load(), evidence
}
