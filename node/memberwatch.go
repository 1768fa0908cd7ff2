package node

import (
	"context"

	"caucus/cluster"
	"caucus/cluster/identity"
)

// countChanges counts the members that come, leave and fail, until ctx ends.
func (n *Node) countChanges(ctx context.Context) {
	states := map[identity.ID]cluster.State{}
	for {
		changed := n.cluster.Changed() // before the look, so that nothing falls between
		n.engine.metrics.changes(states, n.cluster.View())
		select {
		case <-changed:
		case <-ctx.Done():
			return
		}
	}
}

// changes counts what is new in a view and brings states up to date with it. A member
// that is first seen failed, in a roster from disk, has not failed now.
func (m *metrics) changes(states map[identity.ID]cluster.State, v *cluster.View) {
	seen := make(map[identity.ID]bool, len(v.Members))
	for i := range v.Members {
		member := &v.Members[i]
		if member.Self {
			continue
		}
		seen[member.ID] = true
		was, known := states[member.ID]
		states[member.ID] = member.State
		up := known && (was == cluster.Alive || was == cluster.Suspect)
		switch member.State {
		case cluster.Alive:
			if !up {
				m.joins.Inc()
			}
		case cluster.Left:
			if known && was != cluster.Left {
				m.leaves.Inc()
			}
		case cluster.Failed:
			if up {
				m.failures.Inc()
			}
		}
	}
	for id := range states {
		if !seen[id] {
			delete(states, id)
		}
	}
}
