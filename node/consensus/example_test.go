package consensus_test

import (
	"fmt"

	"caucus/node/consensus"
)

// The worked example of the package's documentation: weights from evidence, and a vote
// that is not certain until the last member has spoken.
func Example() {
	names := []string{"knn", "randforest", "svm"}
	labels := []string{"setosa", "versicolor", "virginica"}
	peers := []consensus.Peer{{ID: "knn"}, {ID: "randforest"}, {ID: "svm"}}
	right := []int{9, 8, 5} // of ten rows, all of them setosa
	var evidence []consensus.Record
	for row := range 10 {
		r := consensus.Record{Row: [32]byte{byte(row)}, Labeller: "ana", Label: 0}
		for j, id := range names {
			v := consensus.Vote{Voter: id, Outcome: consensus.OK, Label: 0}
			if row >= right[j] {
				v.Label = 1
			}
			r.Votes = append(r.Votes, v)
		}
		evidence = append(evidence, r)
	}
	basis, err := consensus.Learn(len(labels), peers, evidence)
	if err != nil {
		panic(err)
	}
	for _, m := range basis.Members {
		fmt.Printf("%s: %d of %d right, skill %.6f, weight %.6f\n", m.ID, m.Correct, m.Total, m.Score.Float(), m.Weight.Float())
	}

	plan, err := basis.Plan(consensus.Weighted)
	if err != nil {
		panic(err)
	}
	var c consensus.Counter
	if err := c.Reset(consensus.Rule{Method: plan.Rule, Classes: len(labels)}, plan.Members); err != nil {
		panic(err)
	}
	c.Add(consensus.Vote{Voter: "knn", Outcome: consensus.OK, Label: 1})
	c.Add(consensus.Vote{Voter: "randforest", Outcome: consensus.OK, Label: 0})
	fmt.Println("certain after two:", c.Certain())
	c.Add(consensus.Vote{Voter: "svm", Outcome: consensus.OK, Label: 0})
	var r consensus.Result
	c.Result(&r)
	fmt.Printf("%s, share %.6f, margin %.6f\n", labels[r.Label], r.Shares[r.Label].Float(), r.Margin.Float())
	fmt.Println(consensus.Summary(&r, labels, []consensus.Line{
		{Name: "knn", Outcome: consensus.OK, Label: 1},
		{Name: "randforest", Outcome: consensus.OK, Label: 0},
		{Name: "svm", Outcome: consensus.OK, Label: 0},
	}))
	// Output:
	// knn: 9 of 10 right, skill 0.846154, weight 2.397895
	// randforest: 8 of 10 right, skill 0.769231, weight 1.897120
	// svm: 5 of 10 right, skill 0.538462, weight 0.847298
	// certain after two: false
	// setosa, share 0.533693, margin 0.067387
	// 2 of 3 say setosa; knn says versicolor
}
