package node_test

import (
	"testing"

	"caucus/cluster/identity"
	"caucus/node"
	"caucus/node/api"
	"caucus/node/nodetest"
)

func TestTheCutOffSideDoesNotDecide(t *testing.T) {
	links := nodetest.NewLinks()
	nodes := make([]*nodetest.Member, 3)
	for i := range nodes {
		nodes[i] = links.Start(t, i, func(_ int, cfg *node.Config) {
			if i > 0 {
				cfg.Join = []identity.Invite{{Address: nodes[0].URL}}
			}
		})
	}
	for _, n := range nodes {
		n.WaitInvited(3)
	}
	links.Cut([]int{0, 1}, []int{2})
	nodes[2].WaitState("n0-knn", "failed")
	nodes[2].WaitState("n1-randforest", "failed")
	nodes[0].WaitState("n2-svm", "failed")
	_, err := nodes[2].Client.Consensus(t.Context(), setosa, api.ConsensusOptions{})
	if p := problem(t, err); p.Kind() != api.QuorumNotReached || p.Counted != 1 || p.Invited != 3 {
		t.Errorf("%+v", p)
	}
	if r, err := nodes[0].Client.Consensus(t.Context(), setosa, api.ConsensusOptions{}); err != nil || r.Status != "degraded" || r.Counted != 2 {
		t.Errorf("%+v %v", r, err)
	}
	links.Heal()
	nodes[2].Wait("three votes again", func() bool {
		r, err := nodes[2].Client.Consensus(t.Context(), setosa, api.ConsensusOptions{Wait: "all"})
		return err == nil && r.Counted == 3
	})
}

// TestNeverDoTwoHalvesBothDecide cuts a cluster in two, asks both sides from the first
// moment on, and heals it. (What becomes of rosters beyond forget-after is tested in
// package cluster.)
