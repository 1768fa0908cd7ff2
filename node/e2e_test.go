package node_test

import (
	"testing"

	"caucus/node/api"
	"caucus/node/nodetest"
)

func TestThreeNodesAnswerTogether(t *testing.T) {
	nodes := nodetest.Start(t, 3)
	for _, n := range nodes {
		r, err := n.Client.Consensus(t.Context(), []float64{5.1, 3.5, 1.4, 0.2}, api.ConsensusOptions{Wait: "all"})
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("%+v", r)
		if r.Status != "ok" || r.Label != "setosa" || r.Prediction != 0 || r.Counted != 3 {
			t.Errorf("%s: %+v", n.Name(), r)
		}
	}
}
