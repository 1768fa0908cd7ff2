package cluster

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"time"

	"caucus/cluster/identity"
	"caucus/cluster/session"
)

// maintain keeps a session with every live member, brings members with a session back into gossip, lets states and
// members expire, and has descriptions fetched. It works at once when kicked, and else every tick.
func (m *Membership) maintain() {
	tick := time.NewTicker(m.timing.tick)
	defer tick.Stop()
	k := keeper{m: m, lonely: make(map[identity.ID]time.Time), nudged: make(map[identity.ID]time.Time), dismissing: make(map[identity.ID]time.Time)}
	for {
		select {
		case <-m.ctx.Done():
			return
		case <-m.kickMaintain:
		case <-tick.C:
		}
		k.pass(m.now())
		m.tellOfTokens()
	}
}

const (
	hiddenYield    = 4               // times yield, which a hidden member has to dial first
	straightenLast = 5 * time.Minute // between attempts to do without a relay
)

// keeper is the state of the maintenance loop, touched by it alone.
type keeper struct {
	m          *Membership
	lonely     map[identity.ID]time.Time // alive members without a session, since when
	nudged     map[identity.ID]time.Time // when a member with a session was last joined
	dismissing map[identity.ID]time.Time // when removed peers whose sessions are up were last dismissed
	nextSweep  time.Time
	waiting    time.Time // since when this node does not count although it has joined; zero: it counts
	told       bool      // that it waits
}

func (k *keeper) pass(now time.Time) {
	m := k.m
	peers := make(map[identity.ID]session.Peer)
	for _, p := range m.sessions.Peers() {
		peers[p.ID] = p
	}
	var dial, nudge, describe, moved, straighten []identity.ID
	m.mu.Lock()
	if m.leaving || !m.joining {
		m.mu.Unlock()
		return
	}
	self := m.roster.entries[m.self]
	out := m.roster.isRemoved(m.self) // the others would refuse it at once; see rejoin
	for id, e := range m.roster.entries {
		if id == m.self || e.card.Leaving {
			delete(k.lonely, id)
			continue
		}
		if e.card.URL != e.seenURL {
			if e.seenURL != "" {
				moved = append(moved, id)
			}
			e.seenURL = e.card.URL
		}
		switch {
		case e.alive && !e.connected && out:
			delete(k.lonely, id)
		case e.alive && !e.connected:
			since, known := k.lonely[id]
			if !known {
				since = now
				k.lonely[id] = now
			}
			// Both ends hear of one another at about the same time. The smaller id dials and the larger waits a
			// moment, unless nobody can dial it. A hidden member is left to dial by itself for longer: its own
			// session is worth more than one through a relay, for this node can relay to it on that.
			wait := m.timing.yield
			switch hidden := isVia(e.card.URL, id) || e.card.URL == ""; {
			case m.url == "":
				wait = 0
			case hidden && !isVia(m.url, m.self):
				wait *= hiddenYield
			case m.self < id:
				wait = 0
			}
			if now.Sub(since) >= wait {
				dial = append(dial, id)
			}
		case e.connected:
			delete(k.lonely, id)
			// Not alive in gossip, or alive while this node itself does not count yet: it may know more by now.
			if (!e.alive || self.enrolled == 0) && now.Sub(k.nudged[id]) >= m.timing.nudge {
				if _, before := k.nudged[id]; before {
					nudge = append(nudge, id)
				}
				k.nudged[id] = now // the first time only: whoever opened the session is about to join
			}
		default:
			delete(k.lonely, id)
		}
		// Rosters that differ for longer than a broadcast takes: one has missed something. They exchange state,
		// less and less often if that does not help (two who cannot reach the same majority differ for good
		// reason).
		switch {
		case !e.differs || !e.alive || !e.connected:
		case e.nextSync.IsZero():
			e.syncWait = m.timing.nudge
			e.nextSync = now.Add(e.syncWait)
		case !now.Before(e.nextSync):
			e.syncWait = min(2*e.syncWait, m.timing.of(2*time.Minute))
			e.nextSync = now.Add(e.syncWait)
			nudge = append(nudge, id)
		}
		if e.connected && (e.description == nil || e.describedBy != e.card.Sequence) && !now.Before(e.nextDescribeAt) {
			e.describeWait = min(max(2*e.describeWait, dialFirst), dialLast)
			e.nextDescribeAt = now.Add(describeWithin + jitter(e.describeWait))
			describe = append(describe, id)
		}
		// A session through a relay with somebody who can be dialled is made a direct one, by the one of the two who
		// can, or the smaller id.
		if p, up := peers[id]; up && relayed(p) && e.card.URL != "" && !isVia(e.card.URL, id) && (m.self < id || isVia(m.url, m.self) || m.url == "") {
			if e.straightenWait == 0 || !now.Before(e.nextStraighten) {
				e.straightenWait = min(max(2*e.straightenWait, time.Second), straightenLast)
				e.nextStraighten = now.Add(e.straightenWait)
				straighten = append(straighten, id)
			}
		} else if up {
			e.straightenWait = 0
		}
	}
	k.tellWaiting(now, m.roster.synced && self.enrolled == 0 && !out)
	forgotten := m.roster.expired(now, m.cfg.ForgetAfter, m.timing.spread)
	for _, e := range forgotten {
		m.forgetLocked(e, "failed for "+now.Sub(e.since).Round(time.Millisecond).String())
	}
	changed := len(forgotten) > 0
	changed = m.twinOverLocked(now) || changed
	if now.After(k.nextSweep) {
		k.nextSweep = now.Add(time.Second)
		m.roster.sweep(now, leftFor, goneFor)
		for id, at := range k.nudged {
			if m.roster.entries[id] == nil && now.Sub(at) > m.timing.nudge {
				delete(k.nudged, id)
			}
		}
		for id := range k.lonely {
			if m.roster.entries[id] == nil {
				delete(k.lonely, id)
			}
		}
		changed = true // at least round-trip times
	}
	if changed || m.roster.refresh(now, m.timing.grace) {
		m.publishLocked()
	}
	m.mu.Unlock()

	for _, id := range moved {
		// What this node opened to the old URL may hang half open; and what was tried there says nothing of the new one.
		m.dialer.reset(id)
		m.sessions.Probe(probeWithin, func(p session.Peer) bool { return p.ID == id && p.Outbound && !relayed(p) })
	}
	for _, id := range straighten {
		m.run(func() { m.straighten(id) })
	}
	for _, id := range dial {
		m.run(func() {
			ctx, cancel := context.WithTimeout(m.ctx, dialWithin)
			defer cancel()
			m.dialer.connect(ctx, id) // what is wrong stands in the member's reason
		})
	}
	for _, id := range nudge {
		m.run(func() {
			if err := m.joinGossip(id); err != nil {
				m.log.Debug("member not joined", "member", id, "error", err)
			}
		})
	}
	for _, id := range describe {
		m.run(func() { m.fetchDescription(id) })
	}
	m.locator.pass(now)
	k.reconcile(now)
}

// tellWaiting logs that this node has joined and yet does not count, once it is more than the moments that
// sessions take to open.
func (k *keeper) tellWaiting(now time.Time, waits bool) {
	switch {
	case !waits:
		if k.told {
			k.m.log.Info("this node counts now")
		}
		k.waiting, k.told = time.Time{}, false
	case k.waiting.IsZero():
		k.waiting = now
	case !k.told && now.Sub(k.waiting) > 15*k.m.timing.settle:
		k.told = true
		k.m.log.Warn("this node is in the cluster but does not count yet", "why", reasonWaiting,
			"remedy", "start the members that are missing, or let the others forget them: caucus forget --failed")
	}
}

// reconcile corrects what onUp and onDown may have told in the wrong order, and tells peers that were forgotten
// that they were: only they can come back, with a new card, and gossip does not reach who is not in it.
func (k *keeper) reconcile(now time.Time) {
	m := k.m
	peers := m.sessions.Peers()
	up := make(map[identity.ID]bool, len(peers))
	for _, p := range peers {
		up[p.ID] = true
	}
	forgotten := make(map[identity.ID]uint64)
	var wrong []identity.ID
	m.mu.Lock()
	for id, e := range m.roster.entries {
		if id != m.self && e.connected != up[id] {
			wrong = append(wrong, id)
		}
	}
	var removed []identity.ID
	for id := range up {
		if m.roster.isRemoved(id) && now.Sub(k.dismissing[id]) >= 2*dismissWithin {
			k.dismissing[id] = now // again later, should a session have come up meanwhile
			removed = append(removed, id)
		}
	}
	for id := range k.dismissing {
		if !up[id] {
			delete(k.dismissing, id)
		}
	}
	for id := range up {
		if t, ok := m.roster.tombs[id]; ok && m.roster.entries[id] == nil && !m.roster.isRemoved(id) && now.Sub(k.nudged[id]) >= m.timing.nudge {
			k.nudged[id] = now
			forgotten[id] = t.sequence
		}
	}
	m.mu.Unlock()
	for _, id := range removed {
		m.run(func() { m.dismiss(id) })
	}
	for _, id := range wrong {
		m.sessionIs(id, up[id])
	}
	for id, sequence := range forgotten {
		m.tell(id, appendTombstone([]byte{messageForget}, id, sequence))
	}
}

// rejoin looks for members that gossip has given up, for memberlist never mends a partition by itself. It
// begins quickly where the roster came from disk, since then everybody may have started at once.
func (m *Membership) rejoin() {
	first := dialFirst
	var busy sync.Map // members that an earlier pass is still at
	for {
		wait := m.cfg.RejoinMin + rand.N(m.cfg.RejoinMax-m.cfg.RejoinMin+1)
		m.mu.Lock()
		switch {
		case m.restored && first < wait:
			wait, first = jitter(first), 2*first
		case m.roster.isRemoved(m.self):
			wait = jitter(m.timing.of(removedRetry))
		}
		m.mu.Unlock()
		select {
		case <-m.ctx.Done():
			return
		case <-time.After(wait):
		}
		m.mu.Lock()
		var missing []identity.ID
		if !m.leaving {
			for id, e := range m.roster.entries {
				if id != m.self && !e.alive && !e.card.Leaving {
					missing = append(missing, id)
				}
			}
		}
		m.mu.Unlock()
		for _, id := range missing {
			if _, already := busy.LoadOrStore(id, true); already {
				continue
			}
			m.run(func() {
				defer busy.Delete(id)
				m.rejoinMember(id)
			})
		}
	}
}

func (m *Membership) rejoinMember(id identity.ID) {
	ctx, cancel := context.WithTimeout(m.ctx, dialWithin)
	defer cancel()
	err := m.dialer.attempt(ctx, id, true)
	if err == nil {
		err = m.joinGossip(id)
	}
	if err != nil && !errors.Is(err, ErrStopped) {
		m.log.Debug("failed member not rejoined", "member", id, "error", err)
	}
}
