package node

import (
	"slices"
	"time"

	"caucus/node/api"
	"caucus/node/consensus"
)

// waitBatch is wait for a batch. Whether it is certain shows only in a look at all rows,
// which is this goroutine's work and not that of a session's reader.
func (r *round) waitBatch() {
	linger := time.Duration(-1)
	for {
		r.mu.Lock()
		todo := r.todo
		look := todo > 0 && linger < 0 && r.patience != api.WaitAll && r.oks >= r.quorum()
		if !look {
			r.block(r.left(linger))
			if r.awake(linger) {
				return
			}
			continue
		}
		r.mu.Unlock()
		if r.certainBatch() {
			if r.patience == api.WaitDecided {
				return
			}
			linger = time.Since(r.start) + r.e.times.linger
		}
		r.mu.Lock()
		if r.todo != todo { // somebody answered meanwhile
			r.mu.Unlock()
			continue
		}
		if linger >= 0 {
			r.linger = true // no more looks: only the last answer ends the wait now
		}
		r.block(r.left(linger))
		if r.awake(linger) {
			return
		}
	}
}

// left is how long to wait at most; linger is when to stop lingering, if it is not negative.
func (r *round) left(linger time.Duration) time.Duration {
	end := r.limit
	if linger >= 0 {
		end = min(end, linger)
	}
	return end - time.Since(r.start)
}

// awake reports whether the batch need not, or must not, wait on.
func (r *round) awake(linger time.Duration) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.todo == 0 || r.left(linger) <= 0
}

// certainBatch reports whether no vote that is out can change any row's label.
func (r *round) certainBatch() bool {
	r.mu.Lock()
	heard := make([]bool, len(r.asks))
	for i := range r.asks {
		heard[i] = r.asks[i].heard
	}
	r.mu.Unlock()
	// In a batch the counter is this goroutine's alone.
	for row := range r.n {
		r.countRow(row, func(i int) consensus.Outcome {
			if heard[i] {
				return r.asks[i].outcome
			}
			return consensus.Pending
		})
		if !r.counter.Certain() {
			return false
		}
	}
	return true
}

// countRow counts the votes of one row.
func (r *round) countRow(row int, outcome func(i int) consensus.Outcome) {
	r.counter.Clear()
	for i := range r.asks {
		a := &r.asks[i]
		switch o := outcome(i); o {
		case consensus.Pending:
		case consensus.OK:
			a.row(row)
			a.vote.Outcome = consensus.OK
			r.counter.AddAt(i, &a.vote)
		default:
			r.counter.AddAt(i, &consensus.Vote{Outcome: o})
		}
	}
}

// finishBatch counts every row and writes the reply.
func (r *round) finishBatch() error {
	k, m, labels := r.rule.Classes, len(r.asks), r.e.local.task.Labels
	reply := &api.ConsensusBatchReply{
		Predictions: make([]int, r.n), Labels: make([]string, r.n), Classes: labels,
		Method: r.plan.Method.String(), Results: make([]api.BatchRow, r.n),
		VotesByNode: make([]api.NodeVotes, m),
		Round:       r.idText, Asked: string(r.e.self), Roster: r.inv.roster, Evidence: r.learnt.evidence, RequestID: r.request,
	}
	votes, shares := make([]int, r.n*m), make([]api.Millionths, 0, r.n*k)
	final := func(i int) consensus.Outcome { return r.asks[i].final }
	worst := consensus.One
	tied := 0
	em := r.fitEM()
	for row := range r.n {
		r.countRow(row, final)
		if em.used() {
			r.counter.ResultEM(&r.result, em.fit.Posterior(row))
		} else {
			r.counter.Result(&r.result)
		}
		res, out := &r.result, &reply.Results[row]
		out.Prediction, out.Status, out.Tie = res.Label, res.Status.String(), res.Tie
		if res.Label >= 0 {
			out.Label = labels[res.Label]
		}
		reply.Predictions[row], reply.Labels[row] = out.Prediction, out.Label
		start := len(shares)
		shares = appendShares(shares, res.Shares)
		out.Shares = shares[start:len(shares):len(shares)]
		out.Margin, out.Unanimous = api.Millionths(res.Margin), res.Unanimous
		out.Entropy = api.Millionths(consensus.ToMillionths(res.Entropy))
		out.Votes = votes[row*m : (row+1)*m : (row+1)*m]
		for i := range r.asks {
			out.Votes[i] = -1
			if r.asks[i].final == consensus.OK {
				out.Votes[i] = int(r.asks[i].answer.Labels[row])
			}
		}
		worst = min(worst, res.Margin)
		if res.Tie {
			tied++
		}
	}
	// But for ties, which are a row's own, the last row's status is that of all.
	res := &r.result
	if res.Status == consensus.StatusTie {
		res.Status = consensus.StatusOK
		if res.Failed > 0 {
			res.Status = consensus.Degraded
		}
	}
	reply.Status, reply.Rule, reply.Reason, reply.Follows = res.Status.String(), res.Method.String(), em.why(r), r.plan.Follow
	reply.Invited, reply.Counted, reply.Quorum = res.Invited, res.Counted, res.Quorum
	reply.DecidedEarly = r.decidedEarly()
	for i := range r.asks {
		r.fillNode(&reply.VotesByNode[i], i)
		if em.used() && r.asks[i].final == consensus.OK {
			reply.VotesByNode[i].Weight = api.Millionths(em.fit.Skills[i])
		}
	}
	reply.Summary = r.batchSummary(tied)
	reply.ElapsedMs = millis(time.Since(r.start))
	r.rowsOf = reply
	r.e.record(r, res.Status, worst)
	if res.Status == consensus.NoQuorum || res.Status == consensus.Undecided {
		return r.noQuorum(&consensus.Result{
			Label: -1, Invited: res.Invited, Counted: res.Counted, Quorum: res.Quorum, Status: res.Status,
		}, r.votesOfBatch(), reply.Summary)
	}
	return nil
}

func (r *round) fillNode(v *api.NodeVotes, i int) {
	a, t := &r.asks[i], &r.inv.votes[i]
	v.Node, v.Name, v.Model, v.Outcome = t.Node, t.Name, t.Model, a.final.String()
	v.Ms, v.Reason = r.told(a)
	v.Labels = []int{}
	if a.final != consensus.OK {
		return
	}
	v.Weight = r.weightOf(i)
	v.Labels = slices.Grow(v.Labels, r.n)
	for _, y := range a.answer.Labels {
		v.Labels = append(v.Labels, int(y))
	}
	if probs, k := a.answer.Probabilities, r.rule.Classes; r.spread && len(probs) > 0 {
		all := make([]api.Millionths, len(probs)) // the answer's own memory is used again
		for j, p := range probs {
			all[j] = api.Millionths(p)
		}
		v.Probabilities = slices.Collect(slices.Chunk(all, k))
	}
}

// votesOfBatch says for a problem what became of each member, without labels.
func (r *round) votesOfBatch() []api.Vote {
	out := slices.Clone(r.inv.votes)
	for i := range out {
		out[i].Outcome = r.asks[i].final.String()
		out[i].Ms, out[i].Reason = r.told(&r.asks[i])
	}
	return out
}
