package node

import (
	"slices"
	"sync"
	"sync/atomic"

	"github.com/oklog/ulid/v2"

	"caucus/node/api"
	"caucus/node/consensus"
)

// liveRounds tells watchers of rounds while they are played. A round asks once, when it
// begins, whether anybody wants to be told: one atomic load while nobody watches. A round
// that nobody wants is never looked at again.
type liveRounds struct {
	count atomic.Int32
	mu    sync.Mutex // guards set; taken with a round's mu held
	set   map[*liveWatcher]struct{}
}

type liveWatcher struct {
	want func(requestID string) bool
	tell func(api.LiveEvent)
}

// WatchRounds implements api.Node.
func (e *engine) WatchRounds(want func(requestID string) bool, tell func(api.LiveEvent)) (stop func()) {
	l := &e.live
	w := &liveWatcher{want: want, tell: tell}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.set == nil {
		l.set = make(map[*liveWatcher]struct{})
	}
	l.set[w] = struct{}{}
	l.count.Add(1)
	return sync.OnceFunc(func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		delete(l.set, w)
		l.count.Add(-1)
	})
}

// wanted reports whether anybody wants to be told of a round.
func (l *liveRounds) wanted(requestID string) bool {
	if l.count.Load() == 0 {
		return false
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	any := false
	for w := range l.set {
		any = w.want(requestID) || any
	}
	return any
}

func (l *liveRounds) tell(ev api.LiveEvent) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for w := range l.set {
		w.tell(ev)
	}
}

// tellAsked says that the round has begun. The caller holds r.mu.
func (r *round) tellAsked() {
	ids := make([]string, len(r.inv.peers))
	for i := range r.inv.peers {
		ids[i] = string(r.inv.peers[i].id)
	}
	r.e.live.tell(api.LiveEvent{Name: api.EventAsked, Data: &api.RoundAsked{
		Round: r.idText, RequestID: r.request, At: ulid.Time(r.id.Time()).UTC(), Method: r.plan.Method.String(), Rule: r.rule.Method.String(),
		Quorum: r.quorum(), Invited: ids,
	}})
}

// tellVote says what has just been heard of a member, and how the votes stand. The caller
// holds r.mu. Nothing that is told shares memory with the round.
func (r *round) tellVote(a *ask, late bool) {
	v := &api.RoundVote{Round: r.idText, RequestID: r.request, Vote: r.inv.votes[a.i], Late: late}
	v.Vote.Outcome, v.Vote.Ms, v.Vote.Reason = a.outcome.String(), millis(a.elapsed), a.reason
	labels := r.e.local.task.Labels
	if a.outcome == consensus.OK {
		v.Vote.Reason = ""
		v.Vote.Label = labels[a.vote.Label]
		if len(a.shares) > 0 {
			v.Vote.Probabilities = api.Distribution{Labels: labels, Shares: slices.Clone(a.shares)}
		}
	}
	if !late { // after the end the counter is the request's
		if r.soFar == nil {
			r.soFar = new(consensus.Result)
		}
		res := r.soFar
		r.counter.Result(res)
		v.Counted, v.Out, v.Certain = res.Counted, r.todo, r.counter.Certain()
		v.Shares = api.Distribution{Labels: labels, Shares: appendShares(nil, res.Shares)}
		if res.Label >= 0 {
			v.Label = labels[res.Label]
		}
		if a.outcome == consensus.OK {
			v.Vote.Weight = api.Millionths(consensus.One)
			if res.Method != consensus.Majority {
				v.Vote.Weight = api.Millionths(r.plan.Members[a.i].Weight)
			}
		}
	}
	r.e.live.tell(api.LiveEvent{Name: api.EventVote, Data: v})
}

// tellDecided says that the round has ended, once its reply is written.
func (r *round) tellDecided() {
	p := &r.reply
	r.e.live.tell(api.LiveEvent{Name: api.EventDecided, Data: &api.RoundDecided{
		Round: r.idText, RequestID: r.request, Status: p.Status, Label: p.Label, Summary: p.Summary, ElapsedMs: p.ElapsedMs,
	}})
}
