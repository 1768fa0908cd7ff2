package main

import (
	"encoding/hex"
	"errors"
	"slices"

	"caucus/cluster/session"
	"caucus/ml"
	"caucus/node/api"
	"caucus/node/assess"
	"caucus/node/consensus"
)

// batchOf puts a reply into the form in which it is assessed. The error is for a rule that
// this version does not know.
func batchOf(reply *api.ConsensusBatchReply, actual []int, method consensus.Method) (assess.Batch, error) {
	b := assess.Batch{Actual: actual, Answer: assess.Answer{
		Method: method, Rule: reply.Rule, Reason: reply.Reason, Follow: reply.Follows,
		Said: assess.Said{Labels: reply.Predictions},
	}}
	for i := range reply.Results {
		b.Answer.Probabilities = append(b.Answer.Probabilities, millionths(reply.Results[i].Shares))
	}
	for i := range reply.VotesByNode {
		v := &reply.VotesByNode[i]
		x := assess.Votes{Node: v.Node, Name: v.Name, Model: v.Model}
		if v.Outcome != consensus.OK.String() {
			x.Reason = v.Outcome
			if v.Reason != "" {
				x.Reason += ": " + v.Reason
			}
		} else {
			x.Labels = v.Labels
			for _, p := range v.Probabilities {
				x.Probabilities = append(x.Probabilities, millionths(p))
			}
		}
		b.Votes = append(b.Votes, x)
	}
	_, err := consensus.ParseMethod(reply.Rule)
	return b, err
}

func millionths(p []api.Millionths) []consensus.Millionths {
	out := make([]consensus.Millionths, len(p))
	for i, x := range p {
		out[i] = consensus.Millionths(x)
	}
	return out
}

// digestsOf names the rows as the evidence does.
func digestsOf(d *ml.Dataset) []string {
	out := make([]string, d.Len())
	for i := range out {
		digest := session.FeaturesDigest(d.Row(i))
		out[i] = hex.EncodeToString(digest[:])
	}
	return out
}

// among returns the places of the rows that are in a list.
func among(digests, list []string) (places []int) {
	known := make(map[string]bool, len(list))
	for _, s := range list {
		known[s] = true
	}
	for i, s := range digests {
		if known[s] {
			places = append(places, i)
		}
	}
	return places
}

// copies returns how many rows repeat an earlier one.
func copies(digests []string) int {
	seen := make(map[string]bool, len(digests))
	for _, s := range digests {
		seen[s] = true
	}
	return len(digests) - len(seen)
}

// withoutSeen leaves out the rows at these places.
func withoutSeen(d *ml.Dataset, seen []int, known bool) (*ml.Dataset, error) {
	if !known {
		return nil, usage("caucus evaluate --unseen --token-file FILE", "the node does not say which rows it has learnt from; ask it on its own machine, or with the cluster's token")
	}
	var rest []int
	for i := range d.Len() {
		if _, found := slices.BinarySearch(seen, i); !found {
			rest = append(rest, i)
		}
	}
	if len(rest) == 0 {
		return nil, &failure{code: exitFailure, err: errors.New("the cluster has learnt from every row of the file"), try: "rows that were not given to caucus feedback, or no --unseen"}
	}
	return d.Subset(rest), nil
}
