package node

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"caucus/cluster"
	"caucus/cluster/identity"
	"caucus/node/api"
	"caucus/node/consensus"
)

// directory is what the engine needs of the cluster.
type directory interface {
	// View returns the current snapshot; the same one while nothing changes.
	View() *cluster.View
	// Broadcast spreads a message, best effort.
	Broadcast(msg []byte) error
	// Trouble says why the addresses that this node was told to join have led nowhere; empty if they have.
	Trouble() string
}

// courier carries questions to peers.
type courier interface {
	// Send queues the question, which it copies, and returns at once. Unless it returns an
	// error, a.Answered is called at most once, on a goroutine of the courier's.
	Send(id identity.ID, question []byte, a *ask) error
	// Recall forgets a question that was sent. It reports true if a.Answered was not
	// called and never will be.
	Recall(a *ask) bool
}

// engine plays rounds: it asks the invited, counts their votes and decides when to stop
// waiting.
type engine struct {
	cluster directory
	courier courier
	local   *local
	self    identity.ID
	times   times
	quorum  int // wanted at least, by the node's own configuration
	invites string
	metrics *metrics
	healths healths
	history *history
	recall  *recall
	learner learner
	key     *identity.Key // signs receipts
	proofs  receipts
	log     *slog.Logger
	now     func() time.Time
	wall    func() time.Time // the clock that is shown; may be wrong

	invited atomic.Pointer[invited]
	rounds  sync.Pool // *round
	spread  spreader
	live    liveRounds
}

type times struct {
	peer, deadline, linger time.Duration
}

// Consensus plays one round. It implements api.Node's method of that name.
func (e *engine) Consensus(_ context.Context, q *api.Question) (api.Round, error) {
	inv := e.invitedOf()
	if err := e.open(inv); err != nil {
		return nil, err
	}
	if len(q.Models) > 0 {
		var err error
		if inv, err = inv.ofModels(q.Models, e.local.task.Labels); err != nil {
			return nil, err
		}
	}
	r, _ := e.rounds.Get().(*round)
	if r == nil {
		r = newRound(e)
	}
	if err := r.begin(inv, q); err != nil {
		return nil, err
	}
	r.askPeers()
	r.askSelf()
	if r.batch {
		r.waitBatch()
	} else {
		r.wait()
	}
	err := r.finish()
	if err != nil {
		r.Release()
		return nil, err
	}
	return r, nil
}

// open refuses rounds while this node does not know whom to invite.
func (e *engine) open(inv *invited) error {
	v := inv.view
	if v.Removed != "" {
		p := api.Problemf(api.Removed, "%s, so it neither votes nor asks the others", v.Removed)
		p.WhatToDo = []string{
			"ask a member to take it back: caucus remove --undo, with this node's name or id; it is back within five minutes, or when it is started again",
			"to go on alone, begin a cluster of your own: caucus serve --new-cluster, without --join",
		}
		return p
	}
	if !v.Joined {
		whom := "the others"
		if e.invites != "" {
			whom = e.invites
		}
		if why := e.cluster.Trouble(); why != "" {
			return api.Problemf(api.Joining, "this node has not reached %s yet and goes on trying; what came of it the last time: %s", whom, cleanTo(why, ownWords))
		}
		return api.Problemf(api.Joining, "this node has not reached %s yet and goes on trying; wait, or check the address and whether that node runs", whom)
	}
	if inv.self < 0 {
		reason := "the cluster has not let it in"
		for i := range v.Members {
			if m := &v.Members[i]; m.Self && m.Reason != "" {
				reason = m.Reason
			}
		}
		return api.Problemf(api.Joining, "this node does not vote yet: %s", reason)
	}
	return nil
}

// rule resolves the method asked for into one that can be counted by, with what the
// members weigh, as the evidence says.
func (e *engine) rule(q *api.Question, inv *invited) (rule consensus.Rule, x *learnt, plan *consensus.Plan) {
	method, err := consensus.ParseMethod(q.Method)
	if err != nil {
		method = consensus.Auto
	}
	x = e.learner.of(inv)
	plan = &x.plans[method]
	rule = consensus.Rule{
		Method: plan.Rule, Classes: e.local.classes, Quorum: max(q.Quorum, e.quorum), Full: q.Full,
		Minority: q.Minority, Alone: !inv.view.EverPeer, Linger: e.times.linger,
	}
	return rule, x, plan
}

// limit is how long this question's peers have.
func (e *engine) limit(q *api.Question) time.Duration {
	limit := e.times.peer
	// A batch may well take a slow model longer than one row, and wait=all asks for patience.
	if q.Batch || q.Wait == api.WaitAll {
		limit = e.times.deadline
	}
	if q.Timeout > 0 {
		limit = min(limit, q.Timeout)
	}
	return limit
}

// note books what came of a question to a peer.
func (e *engine) note(p *peer, o consensus.Outcome, elapsed time.Duration) {
	p.metrics.count(o, elapsed)
	if p.health.note(o, e.now()) {
		e.log.Info("a peer failed several times in a row and is not asked for a while",
			"peer", string(p.id), "name", p.name, "outcome", o.String())
	}
}
