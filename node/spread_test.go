package node_test

import (
	"encoding/hex"
	"slices"
	"testing"

	"caucus/cluster/session"
	"caucus/node/api"
	"caucus/node/nodetest"
)

func TestABatchCarriesEveryVotesProbabilitiesWhereTheyAreAskedFor(t *testing.T) {
	nodes := nodetest.Start(t, 4) // the last is a tree, which gives labels only
	rows := nodetest.IrisRows()
	plain, err := nodes[0].Client.ConsensusBatch(t.Context(), rows, api.ConsensusOptions{Wait: "all"})
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range plain.VotesByNode {
		if v.Probabilities != nil {
			t.Errorf("%s: probabilities that nobody asked for", v.Name)
		}
	}
	full, err := nodes[0].Client.ConsensusBatch(t.Context(), rows, api.ConsensusOptions{Wait: "all", Probabilities: true})
	if err != nil {
		t.Fatal(err)
	}
	// They are those that each node gives by itself.
	for _, n := range nodes {
		own, err := n.Client.PredictBatch(t.Context(), rows)
		if err != nil {
			t.Fatal(err)
		}
		i := slices.IndexFunc(full.VotesByNode, func(v api.NodeVotes) bool { return v.Name == n.Name() })
		if i < 0 {
			t.Fatalf("%s has no part in %+v", n.Name(), full.VotesByNode)
		}
		v := full.VotesByNode[i]
		if len(own.Probabilities) != len(v.Probabilities) {
			t.Fatalf("%s gives %d rows of probabilities by itself and %d in the batch", v.Name, len(own.Probabilities), len(v.Probabilities))
		}
		for row := range v.Probabilities {
			if !slices.Equal(v.Probabilities[row], own.Probabilities[row]) {
				t.Fatalf("%s, row %d: %v in the batch, %v by itself", v.Name, row, v.Probabilities[row], own.Probabilities[row])
			}
		}
	}
}

func TestWeightsNameTheRowsThatTheyRestOn(t *testing.T) {
	nodes := nodetest.Start(t, 2)
	rows := nodetest.IrisRows()[:3]
	if _, err := nodes[1].Client.Feedback(t.Context(), append(rows, rows[0]), []string{"setosa", "setosa", "setosa", "setosa"}); err != nil {
		t.Fatal(err)
	}
	var want []string
	for _, row := range rows {
		digest := session.FeaturesDigest(row)
		want = append(want, hex.EncodeToString(digest[:]))
	}
	slices.Sort(want)
	nodes[0].Wait("the labels of the other node", func() bool {
		w, err := nodes[0].Client.WeightsAndRows(t.Context())
		return err == nil && slices.Equal(w.Rows, want)
	})
	w, err := nodes[0].Client.Weights(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if w.Rows != nil {
		t.Errorf("rows that nobody asked for: %v", w.Rows)
	}
}
