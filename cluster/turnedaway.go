package cluster

import (
	"net"
	"strings"
	"time"

	"caucus/cluster/identity"
)

// Nodes that were turned away before more was known of them than their key: they have another token, or
// speak another version. They are shown, since one of them may be a friend with an old line, but anybody on the
// Internet can be one and make up keys as he likes. So few are kept, apart from those that are refused later
// on, the newest push the oldest out, nothing that they say is shown, and the view takes them up once a second at most.

// maxTurnedAway is how many are shown.
const maxTurnedAway = 16

// stranger is told by the sessions of a peer that was turned away.
func (m *Membership) stranger(peer identity.ID, remote, reason string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	why, _, _ := strings.Cut(reason, ": ") // the rest is what the other end has to do
	why = "turned away: " + printable(why, 200)
	if e := m.roster.entries[peer]; e != nil {
		if !e.connected { // else it is one more socket of a member that is there
			e.reason = why
		}
		return // the sweep publishes it
	}
	if host, _, err := net.SplitHostPort(remote); err == nil {
		why += " (it came from " + printable(host, 64) + ")"
	}
	m.roster.turnAway(peer, why, m.now())
}

// turnAway records a node that was turned away, at the cost of the one that has waited longest.
func (r *roster) turnAway(id identity.ID, reason string, now time.Time) {
	if r.turned == nil {
		r.turned = make(map[identity.ID]refusal)
	}
	at := now
	if old, known := r.turned[id]; known && old.reason == reason {
		at = old.at // it tries again and again; since when is what matters
	} else if !known && len(r.turned) >= maxTurnedAway {
		var oldest identity.ID
		for id, f := range r.turned {
			if oldest == "" || f.seen.Before(r.turned[oldest].seen) {
				oldest = id
			}
		}
		delete(r.turned, oldest)
	}
	r.turned[id] = refusal{card: identity.Card{ID: id}, reason: reason, at: at, seen: now}
}
