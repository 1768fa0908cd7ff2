package assess

import (
	"fmt"
	"strconv"
	"strings"

	"caucus/node/consensus"
)

// counted are the methods that a batch is counted again by, in the order in which they are shown.
var counted = []consensus.Method{consensus.Majority, consensus.Weighted, consensus.Soft, consensus.EM, consensus.Auto}

// recount counts a batch by every method.
func recount(classes int, b *Batch) ([]method, error) {
	if b.Basis == nil {
		return recountWithout(classes, b)
	}
	out := make([]method, 0, len(counted))
	for _, m := range counted {
		x, err := count(classes, b, b.Basis, m)
		if err != nil {
			return nil, err
		}
		out = append(out, x)
	}
	return out, nil
}

// recountWithout is recount where nothing is known of the members: of the majority alone, and
// of the method asked for what the node answered.
func recountWithout(classes int, b *Batch) ([]method, error) {
	known := &consensus.Basis{Classes: classes, Best: -1}
	for i := range b.Votes {
		known.Members = append(known.Members, consensus.Learnt{ID: b.Votes[i].Node})
	}
	majority, err := count(classes, b, known, consensus.Majority)
	if err != nil || b.Answer.Method == consensus.Majority {
		return []method{majority}, err
	}
	a := &b.Answer
	x := method{method: a.Method, follow: a.Follow, reason: a.Reason, answered: true, Said: a.Said}
	if x.rule, err = consensus.ParseMethod(a.Rule); err != nil {
		return nil, fmt.Errorf("assess: the rule that decided: %w", err)
	}
	return []method{majority, x}, nil
}

// count counts a batch by one method, as a node does: package node, batch.go.
func count(classes int, b *Batch, basis *consensus.Basis, m consensus.Method) (method, error) {
	plan, err := basis.Plan(m)
	if err != nil {
		return method{}, fmt.Errorf("assess: %w", err)
	}
	out := method{method: m, rule: plan.Rule, follow: plan.Follow}
	// A plan says first that it was asked for; here all are.
	out.reason = strings.TrimPrefix(strings.TrimPrefix(plan.Reason, "asked for"), "; ")
	var em *consensus.EMFit
	if m == consensus.EM {
		if em, err = consensus.FitEM(classes, columns(b, basis)); err != nil {
			return method{}, fmt.Errorf("assess: %w", err)
		}
		if em.Gate != "" {
			out.reason, em = em.Gate+"; so each vote counts one", nil
		} else {
			out.rule = consensus.EM
			out.reason = fmt.Sprintf("skills of %d models estimated from %d rows without labels", em.Voices, em.Rows)
		}
	}
	var c consensus.Counter
	if err := c.Reset(consensus.Rule{Method: plan.Rule, Classes: classes}, plan.Members); err != nil {
		return method{}, fmt.Errorf("assess: %w", err)
	}
	place := make([]int, len(b.Votes))
	for i := range b.Votes {
		place[i] = c.Index(b.Votes[i].Node)
	}
	out.Labels = make([]int, len(b.Actual))
	out.Probabilities = make([][]consensus.Millionths, len(b.Actual))
	var r consensus.Result
	for row := range b.Actual {
		c.Clear()
		for i := range b.Votes {
			if v := vote(&b.Votes[i], row); v.Outcome == consensus.OK {
				c.AddAt(place[i], &v)
			}
		}
		if em != nil {
			c.ResultEM(&r, em.Posterior(row))
		} else {
			c.Result(&r)
		}
		out.Labels[row] = r.Label
		if r.Label >= 0 {
			out.Probabilities[row] = append([]consensus.Millionths(nil), r.Shares...)
		}
		if r.Tie {
			out.ties++
		}
	}
	return out, nil
}

func vote(v *Votes, row int) consensus.Vote {
	if row >= len(v.Labels) || v.Labels[row] < 0 {
		return consensus.Vote{Outcome: consensus.Pending}
	}
	out := consensus.Vote{Outcome: consensus.OK, Label: v.Labels[row]}
	if row < len(v.Probabilities) && len(v.Probabilities[row]) > 0 {
		out.Probabilities = v.Probabilities[row]
	}
	return out
}

// columns are the votes as EM wants them. Members of one voice have one model: their number is
// as good a fingerprint as the real one.
func columns(b *Batch, basis *consensus.Basis) []consensus.Column {
	voice := map[string]int{}
	for _, m := range basis.Members {
		voice[m.ID] = m.Voice
	}
	out := make([]consensus.Column, len(b.Votes))
	for i := range b.Votes {
		v := &b.Votes[i]
		out[i] = consensus.Column{Peer: consensus.Peer{ID: v.Node}, Labels: v.Labels}
		if n := voice[v.Node]; n > 0 {
			out[i].Fingerprint = strconv.Itoa(n)
		}
	}
	return out
}
