package node_test

import (
	"testing"

	"caucus/cluster/identity"
	"caucus/node"
	"caucus/node/api"
	"caucus/node/nodetest"
)

func TestF13TheCutOffSideDoesNotDecide(t *testing.T) {
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

// TestF13NeverDoTwoHalvesBothDecide cuts a cluster in two, asks both sides from the first
// moment on, and heals it. (What becomes of rosters beyond forget-after is tested in
// package cluster.)
func TestF13NeverDoTwoHalvesBothDecide(t *testing.T) {
	for _, c := range []struct {
		name  string
		left  []int
		right []int
	}{
		{"2|2 of four", []int{0, 1}, []int{2, 3}},
		{"3|2 of five", []int{0, 1, 2}, []int{3, 4}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			links := nodetest.NewLinks()
			n := len(c.left) + len(c.right)
			nodes := make([]*nodetest.Member, n)
			for i := range nodes {
				nodes[i] = links.Start(t, i, func(_ int, cfg *node.Config) {
					if i > 0 {
						cfg.Join = []identity.Invite{{Address: nodes[0].URL}}
					}
				})
			}
			for _, m := range nodes {
				m.WaitInvited(n)
			}
			links.Cut(c.left, c.right)
			left, right := nodes[c.left[0]], nodes[c.right[0]]
			decides := func(m *nodetest.Member) bool {
				_, err := m.Client.Consensus(t.Context(), setosa, api.ConsensusOptions{})
				if err != nil && problem(t, err).Kind() != api.QuorumNotReached {
					t.Errorf("%s: %v", m.Name(), err)
				}
				return err == nil
			}
			majority := len(c.left) > len(c.right)
			failed := func(m *nodetest.Member, others []int) bool {
				r, err := m.Client.Members(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				count := 0
				for _, o := range r.Members {
					if o.State == "failed" {
						count++
					}
				}
				return count == len(others)
			}
			left.Wait("each side takes the other for failed", func() bool {
				if decides(right) || decides(left) && !majority {
					t.Error("a side without the majority decided")
				}
				return failed(left, c.right) && failed(right, c.left)
			})
			if l := decides(left); l != majority || decides(right) {
				t.Errorf("the left side decides: %v", l)
			}
			links.Heal()
			for _, m := range nodes {
				m.Wait("all vote again", func() bool {
					r, err := m.Client.Consensus(t.Context(), setosa, api.ConsensusOptions{Wait: "all"})
					return err == nil && r.Counted == n
				})
			}
		})
	}
}
