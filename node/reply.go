package node

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"caucus/cluster"
	"caucus/node/api"
	"caucus/node/consensus"
)

// finish closes the round, writes the reply and puts it on record. The error is a
// *api.Problem when the quorum was missed.
func (r *round) finish() error {
	r.close()
	if r.batch {
		return r.finishBatch()
	}
	r.counter.Result(&r.result)
	r.fillReply()
	if err := r.prove(); err != nil {
		return err
	}
	r.e.record(r, r.result.Status, r.result.Margin)
	if r.live {
		r.tellDecided()
	}
	if r.result.Status == consensus.NoQuorum || r.result.Status == consensus.Undecided {
		return r.noQuorum(&r.result, r.reply.Votes, r.reply.Summary)
	}
	return nil
}

// Reply implements api.Round.
func (r *round) Reply() *api.ConsensusReply {
	if r.batch {
		return nil
	}
	return &r.reply
}

// Batch implements api.Round.
func (r *round) Batch() *api.ConsensusBatchReply { return r.rowsOf }

// decidedEarly: votes were still out when the round was closed, and could not have
// changed its label.
func (r *round) decidedEarly() bool { return r.result.Outstanding > 0 && r.result.Certain }

// fillReply writes the reply of a round of one row, in memory of the round's own.
func (r *round) fillReply() {
	res, labels := &r.result, r.e.local.task.Labels
	p := &r.reply
	p.Prediction, p.Label = res.Label, ""
	if res.Label >= 0 {
		p.Label = labels[res.Label]
	}
	p.Status = res.Status.String()
	p.Method, p.Rule, p.Reason, p.Follows = r.plan.Method.String(), res.Method.String(), r.why(), r.plan.Follow
	p.Invited, p.Counted, p.Quorum = res.Invited, res.Counted, res.Quorum
	p.DecidedEarly = r.decidedEarly()
	p.Tie, p.TieBreak = res.Tie, res.TieBreak
	p.Shares.Labels = labels
	p.Shares.Shares = appendShares(p.Shares.Shares[:0], res.Shares)
	p.Margin = api.Millionths(res.Margin)
	p.Entropy = api.Millionths(consensus.ToMillionths(res.Entropy))
	p.EffectiveVoters = api.Millionths(consensus.ToMillionths(res.Effective))
	p.Unanimous = res.Unanimous
	p.Dissenters = append(p.Dissenters[:0], res.Dissenters...)
	p.Votes = append(p.Votes[:0], r.inv.votes...)
	for i := range p.Votes {
		r.fillVote(&p.Votes[i], i)
	}
	p.Summary = r.summary()
	p.Round, p.Asked, p.Roster, p.Evidence = r.idText, string(r.e.self), r.inv.roster, r.learnt.evidence
	p.ElapsedMs = millis(r.elapsed)
	p.RequestID, p.Receipt = r.request, ""
}

func (r *round) fillVote(v *api.Vote, i int) {
	a := &r.asks[i]
	o := r.result.Outcomes[i]
	v.Outcome = o.String()
	v.Ms, v.Reason = r.told(a)
	if o != consensus.OK {
		return
	}
	v.Label = r.e.local.task.Labels[a.vote.Label]
	v.Weight = r.weightOf(i)
	if len(a.shares) > 0 {
		v.Probabilities = api.Distribution{Labels: r.e.local.task.Labels, Shares: a.shares}
	}
}

// weightOf returns what member i's vote counted for.
func (r *round) weightOf(i int) api.Millionths {
	if r.result.Method == consensus.Majority {
		return api.Millionths(consensus.One)
	}
	return api.Millionths(r.plan.Members[i].Weight)
}

// why says why the rule that decided did.
func (r *round) why() string {
	switch {
	case r.result.Method != consensus.Majority || r.plan.Rule == consensus.Majority:
		return r.plan.Reason
	case r.plan.Follow != "":
		return r.plan.Reason + "; but the one to follow did not vote, so each vote counts one"
	}
	return r.plan.Reason + "; but all that voted weigh nothing, so each vote counts one"
}

// told returns how long a member took and why it did not vote. Of a straggler only that
// may be read which close has found.
func (r *round) told(a *ask) (api.Millis, string) {
	switch {
	case a.inTime && a.final == consensus.OK:
		return millis(a.elapsed), ""
	case a.inTime:
		return millis(a.elapsed), a.reason
	case a.final == consensus.Timeout:
		return millis(r.elapsed), ""
	}
	return millis(r.elapsed), "it was not waited for: its vote could not have changed the label"
}

func millis(d time.Duration) api.Millis { return api.Millis(max(d, 0).Microseconds()) }

func appendShares(dst []api.Millionths, src []consensus.Millionths) []api.Millionths {
	for _, s := range src {
		dst = append(dst, api.Millionths(s))
	}
	return dst
}

// summary tells the outcome in one sentence; the most frequent ones are written already.
func (r *round) summary() string {
	res := &r.result
	if r.inv.allSay != nil && res.Unanimous && res.Counted == res.Invited && res.Status == consensus.StatusOK && res.Agreeing == res.Invited {
		return r.inv.allSay[res.Label]
	}
	r.lines = r.lines[:0]
	for i := range r.inv.peers {
		l := consensus.Line{Name: r.inv.peers[i].name, Outcome: res.Outcomes[i]}
		if l.Outcome == consensus.OK {
			l.Label = r.asks[i].vote.Label
		}
		r.lines = append(r.lines, l)
	}
	return consensus.Summary(res, r.e.local.task.Labels, r.lines)
}

// noQuorum makes the problem: the votes, who is missing since when, the provisional
// label, and what to do. It shares no memory with the round.
func (r *round) noQuorum(res *consensus.Result, votes []api.Vote, summary string) error {
	p := api.NewProblem(api.QuorumNotReached, summary)
	p.Round, p.Invited, p.Counted, p.Quorum = r.idText, res.Invited, res.Counted, res.Quorum
	p.Votes = cloneVotes(votes)
	if res.Label >= 0 {
		label := res.Label
		p.ProvisionalLabel, p.ProvisionalClass = r.e.local.task.Labels[label], &label
	}
	var failed []string
	for i := range r.inv.peers {
		a, m := &r.asks[i], &r.inv.peers[i]
		if a.final == consensus.OK {
			continue
		}
		_, reason := r.told(a)
		p.Missing = append(p.Missing, api.Missing{
			Node: string(m.id), Name: m.name, Model: m.model, State: m.state.String(), Since: m.since,
			Outcome: a.final.String(), Reason: reason,
		})
		if m.state == cluster.Failed {
			failed = append(failed, m.name)
		}
	}
	p.WhatToDo = r.whatToDo(res, failed)
	return p
}

func (r *round) whatToDo(res *consensus.Result, failed []string) []string {
	if res.Quorum > res.Invited {
		return []string{fmt.Sprintf("ask for at most %d votes: quorum=%d is more than the members there are", res.Invited, res.Quorum)}
	}
	var todo []string
	if r.inv.view.Restored {
		todo = append(todo,
			"wait: this node knows its cluster from before its restart and has not reached anybody of it yet",
			"if they are gone for good: caucus forget --failed, or start it with caucus serve --new-cluster")
	} else if len(failed) > 0 {
		todo = append(todo,
			"start "+strings.Join(failed, ", ")+" again, or wait until they can be reached",
			"if they are gone for good: caucus forget "+strings.Join(failed, " ")+", or caucus forget --failed")
	} else {
		todo = append(todo, "try again: the members are there but did not answer in time")
	}
	if res.Counted > 0 && !r.rule.Minority {
		todo = append(todo, "to take what there is all the same: minority=true")
	}
	return todo
}

func cloneVotes(votes []api.Vote) []api.Vote {
	out := slices.Clone(votes)
	for i := range out {
		out[i].Probabilities.Shares = slices.Clone(out[i].Probabilities.Shares)
	}
	return out
}

func cloneReply(r *api.ConsensusReply) *api.ConsensusReply {
	out := *r
	out.Votes = cloneVotes(r.Votes)
	out.Shares.Shares = slices.Clone(r.Shares.Shares)
	out.Dissenters = slices.Clone(r.Dissenters)
	return &out
}
