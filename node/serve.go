package node

import (
	"context"
	"fmt"
	"sort"
	"strings"
	"time"

	"caucus/cluster"
	"caucus/cluster/identity"
	"caucus/node/api"
)

var _ api.Node = (*Node)(nil)

// Info implements api.Node.
func (n *Node) Info() *api.Info { return n.info }

// Predict implements api.Node: the local model alone.
func (n *Node) Predict(ctx context.Context, rows []float64, labels []int, probs []float64) error {
	if n.local.quick(len(labels)) {
		return problemOfModel(n.local.predict(ctx, rows, labels, probs))
	}
	ctx, cancel := context.WithTimeout(ctx, n.cfg.Deadline)
	defer cancel()
	return problemOfModel(n.local.predict(ctx, rows, labels, probs))
}

// settleWithin is how long a round waits for a node that has just reached the others to
// have the whole picture.
const settleWithin = time.Second

// Consensus implements api.Node.
func (n *Node) Consensus(ctx context.Context, q *api.Question) (api.Round, error) {
	if !n.settled.Load() {
		n.settle(ctx)
	}
	return n.engine.Consensus(ctx, q)
}

func (n *Node) settle(ctx context.Context) {
	if v := n.cluster.View(); !v.Joined {
		return // it has reached nobody, and that may take long
	}
	timer := time.NewTimer(settleWithin)
	defer timer.Stop()
	select {
	case <-n.ready:
	case <-timer.C:
	case <-ctx.Done():
	}
}

// Rounds implements api.Node.
func (n *Node) Rounds(limit int) []api.RoundSummary { return n.engine.Rounds(limit) }

// Round implements api.Node.
func (n *Node) Round(id string) (*api.RoundReply, bool) { return n.engine.Round(id) }

// WatchRounds implements api.Node.
func (n *Node) WatchRounds(want func(requestID string) bool, tell func(api.LiveEvent)) (stop func()) {
	return n.engine.WatchRounds(want, tell)
}

// Readiness implements api.Node: Ready in words.
func (n *Node) Readiness() (*api.ReadyReply, error) {
	inv := n.engine.invitedOf()
	if err := n.engine.open(inv); err != nil {
		return nil, err
	}
	if !n.settled.Load() {
		return nil, api.NewProblem(api.NotReady, "this node has just reached the others and waits a moment for the whole picture")
	}
	if err := n.upstreamReady(); err != nil {
		return nil, err
	}
	r := &api.ReadyReply{
		Status: "ready", Node: string(n.id), Name: n.cfg.Name, Model: n.info.Model, Members: len(inv.peers),
		SetAside: n.cluster.SetAside(),
	}
	if why := n.notKept(); why != "" {
		r.Degraded = "storage: " + why
	}
	if why := n.cluster.KeyConflict(); why != "" {
		r.Degraded = strings.TrimPrefix(r.Degraded+"; identity: "+why, "; ")
	}
	return r, nil
}

// Forget implements api.Node.
func (n *Node) Forget(_ context.Context, names []string, failed bool) ([]string, error) {
	v := n.cluster.View()
	var ids []identity.ID
	var gone []string
	take := func(m *cluster.Member) {
		ids = append(ids, m.ID)
		gone = append(gone, fmt.Sprintf("%s (%s)", m.Name, m.ID))
	}
	if failed {
		for i := range v.Members {
			if v.Members[i].State == cluster.Failed {
				take(&v.Members[i])
			}
		}
	}
	for _, name := range names {
		m, err := find(v, name)
		if err != nil {
			return nil, err
		}
		take(m)
	}
	if len(ids) == 0 {
		return nil, nil
	}
	if err := n.cluster.Forget(ids...); err != nil {
		return nil, api.NewProblem(api.BadInput, clean(err.Error()))
	}
	n.log.Info("members were forgotten on request", "members", strings.Join(gone, ", "))
	return gone, nil
}

// find returns the failed member that is meant by an id, a name, or name#id's start.
func find(v *cluster.View, text string) (*cluster.Member, error) {
	name, short, _ := strings.Cut(text, "#")
	var found []*cluster.Member
	var known []string
	for i := range v.Members {
		m := &v.Members[i]
		if m.State == cluster.Failed {
			known = append(known, m.Name)
		}
		if string(m.ID) == text || (m.Name == name && strings.HasPrefix(string(m.ID), short)) {
			found = append(found, m)
		}
	}
	sort.Strings(known)
	there := "no member has failed"
	if len(known) > 0 {
		there = "those that have failed: " + strings.Join(known, ", ")
	}
	switch {
	case len(found) == 0:
		return nil, api.Problemf(api.BadInput, "there is no member %q; %s", clean(text), there)
	case len(found) > 1:
		return nil, api.Problemf(api.BadInput, "%d members are called %q; say which by its id, as in %s#%s", len(found), clean(text), found[0].Name, found[0].ID.Short())
	case found[0].State != cluster.Failed:
		return nil, api.Problemf(api.BadInput, "%s is %s; only members that have failed can be forgotten (%s)", found[0].Name, found[0].State, there)
	}
	return found[0], nil
}
