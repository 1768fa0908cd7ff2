package node_test

import (
	"strings"
	"testing"

	"caucus/node"
	"caucus/node/api"
	"caucus/node/nodetest"
)

func TestARemovedMemberIsNotInvitedAndSaysSoItself(t *testing.T) {
	nodes := nodetest.Start(t, 4, func(_ int, cfg *node.Config) { cfg.StateDir = t.TempDir() })
	ana, bo := nodes[0], nodes[1]
	// By a name that is nobody's, of oneself, and by nobody's word.
	for name, want := range map[string]string{
		"nobody":         `there is no member "nobody" to remove; there are n1-randforest, n2-svm, n3-tree`,
		string(ana.ID()): "a node cannot remove itself",
	} {
		if _, err := ana.Client.Remove(t.Context(), name, false); err == nil || problem(t, err).Kind() != api.BadInput || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", name, err, want)
		}
	}
	if _, err := ana.Client.Remove(t.Context(), "n1-randforest", true); err == nil || !strings.Contains(err.Error(), "nobody is removed") {
		t.Errorf("taken back before it was removed: %v", err)
	}
	r, err := ana.Client.Remove(t.Context(), "n1-randforest", false)
	if err != nil || r.Removed != "n1-randforest ("+string(bo.ID())+")" {
		t.Fatalf("%+v %v", r, err)
	}
	for _, n := range []*nodetest.Member{ana, nodes[2], nodes[3]} {
		n.WaitInvited(3)
		n.WaitState("n1-randforest", "refused")
	}
	c, err := nodes[3].Client.Consensus(t.Context(), setosa, api.ConsensusOptions{})
	if err != nil || c.Status != "ok" || c.Invited != 3 || c.Counted != 3 || c.Quorum != 2 {
		t.Errorf("%+v %v", c, err)
	}
	bo.Wait("it knows", func() bool { return bo.Cluster().View().Removed != "" })
	_, err = bo.Client.Consensus(t.Context(), setosa, api.ConsensusOptions{})
	p := problem(t, err)
	if p.Kind() != api.Removed || p.Status != 503 || !strings.Contains(p.Detail, "removed from this cluster by n0-knn") || len(p.WhatToDo) != 2 || p.RetryAfter == 0 {
		t.Errorf("%+v", p)
	}
	if _, err := bo.Client.Predict(t.Context(), setosa); err != nil {
		t.Errorf("its own model: %v", err)
	}
	// The doctor finds that it is out, at the removed one; to the others it is no trouble.
	out := finding(t, examine(t, bo), "ready", "")
	says(t, out, api.SeverityFail, "removed from this cluster by n0-knn")
	if !strings.Contains(out.Remedy, "caucus remove --undo") {
		t.Errorf("%+v", out)
	}
	for _, f := range examine(t, ana).Findings {
		if f.ID == "member.refused" || f.ID == "refused" {
			t.Errorf("%+v", f)
		}
	}
	// Once more, and by one who is out.
	if _, err := nodes[2].Client.Remove(t.Context(), "n1-randforest", false); err == nil || !strings.Contains(err.Error(), "removed already (removed from this cluster by n0-knn") {
		t.Errorf("a second time: %v", err)
	}
	if _, err := bo.Client.Remove(t.Context(), "n2-svm", false); err == nil || !strings.Contains(err.Error(), "nobody heeds it") {
		t.Errorf("by the removed one: %v", err)
	}
	// Any other takes it back, and it comes when it is started again.
	if r, err := nodes[3].Client.Remove(t.Context(), "n1-randforest", true); err != nil || r.TakenBack != "n1-randforest ("+string(bo.ID())+")" {
		t.Fatalf("%+v %v", r, err)
	}
	ana.Wait("the first has heard", func() bool { m, ok := ana.Cluster().View().Find(bo.ID()); return !ok || !m.Removed })
	if err := bo.Stop(); err != nil {
		t.Fatal(err)
	}
	again := nodetest.Launch(t, 1, func(_ int, cfg *node.Config) { cfg.Join, cfg.StateDir = bo.Config.Join, bo.Config.StateDir })
	again.WaitInvited(4)
	ana.WaitInvited(4)
}
