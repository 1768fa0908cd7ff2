package node

import (
	"context"
	"errors"
	"math"
	"slices"
	"time"

	"caucus/ml"
	"caucus/node/api"
	"caucus/node/consensus"
	"caucus/node/dialect"
)

// askSelf asks this node's own model: here and now if it is quick, else beside the wait.
func (r *round) askSelf() {
	i := r.inv.self
	if i < 0 {
		return
	}
	a, l := &r.asks[i], r.e.local
	a.labels = slices.Grow(a.labels[:0], r.n)[:r.n]
	a.floats = a.floats[:0]
	if l.probs {
		a.floats = slices.Grow(a.floats, r.n*l.classes)[:r.n*l.classes]
	}
	if l.quick(r.n) {
		a.ownVote(l.call(context.Background(), r.rows, a.labels, a.floats))
		r.e.metrics.own.add(a.outcome, 1)
		r.mu.Lock()
		r.hear(a)
		r.mu.Unlock()
		return
	}
	r.refs.Add(1)
	go func() {
		defer r.Release()
		// The request's own context is not used: a client that hangs up would make the
		// others' votes, and what is learnt from them, depend on its patience.
		ctx, cancel := context.WithTimeout(context.Background(), r.limit-time.Since(r.start))
		defer cancel()
		a.ownVote(l.predict(ctx, r.rows, a.labels, a.floats))
		r.e.metrics.own.add(a.outcome, 1)
		r.mu.Lock()
		defer r.mu.Unlock()
		if !r.closed && r.hear(a) {
			r.wake(time.Since(r.start))
		}
	}()
}

// ownVote takes the local model's answer, in millionths as a peer's would be.
func (a *ask) ownVote(err error) {
	r := a.r
	a.elapsed = time.Since(r.start)
	if err != nil {
		a.outcome, a.reason = modelFailure(err)
		a.vote = consensus.Vote{Outcome: a.outcome}
		return
	}
	a.answer.Classes = r.rule.Classes
	a.answer.Labels = a.answer.Labels[:0]
	for _, y := range a.labels {
		a.answer.Labels = append(a.answer.Labels, uint16(y))
	}
	a.answer.Probabilities = appendMillionths(a.answer.Probabilities[:0], given(a.floats))
	a.outcome, a.reason = consensus.OK, ""
	a.vote.Outcome = consensus.OK
	for i := r.n - 1; i >= 0; i-- {
		a.row(i)
		if o := a.vote.Check(r.rule.Classes); o != consensus.OK {
			a.outcome, a.reason = o, badVote(o, &a.vote, i, r.n)
			a.vote = consensus.Vote{Outcome: o}
			return
		}
	}
}

// appendMillionths rounds probabilities as votes carry them. What is no probability
// becomes a number that Vote.Check refuses.
func appendMillionths(dst []uint32, probs []float64) []uint32 {
	for _, p := range probs {
		if !(p >= 0 && p <= 1) {
			dst = append(dst, 2*uint32(consensus.One))
			continue
		}
		dst = append(dst, uint32(consensus.ToMillionths(p)))
	}
	return dst
}

// modelFailure says what an error of the local model means, for its own node and for peers.
func modelFailure(err error) (consensus.Outcome, string) {
	var upstream *dialect.Failure
	switch {
	case errors.As(err, &upstream):
		if upstream.Reply.Outcome == consensus.Pending {
			return consensus.Timeout, "its upstream did not answer in time"
		}
		return upstream.Reply.Outcome, clean(upstream.Error())
	case errors.Is(err, errModelPanic):
		return consensus.Internal, "its model panicked"
	case errors.Is(err, errModelLabel):
		return consensus.BadLabel, "its model gave a label that is not of the task"
	case errors.Is(err, errModelBusy):
		return consensus.Shed, "its model has too much to do"
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return consensus.Timeout, "its model did not answer in time"
	case errors.Is(err, ml.ErrShape), errors.Is(err, ml.ErrNotFinite):
		return consensus.BadSchema, clean(err.Error())
	}
	return consensus.Internal, "its model failed: " + clean(err.Error())
}

// problemOfModel is modelFailure for /predict.
func problemOfModel(err error) error {
	var p *api.Problem
	var upstream *dialect.Failure
	switch {
	case err == nil:
		return nil
	case errors.As(err, &upstream):
		kind := api.UpstreamFailed
		switch upstream.Reply.Outcome {
		case consensus.Shed:
			kind = api.Overloaded
		case consensus.Timeout, consensus.Pending:
			kind = api.ModelTimeout
		}
		p = api.NewProblem(kind, cleanTo(upstream.Error(), ownWords)+"; /consensus does without it")
		if kind == api.Overloaded && upstream.Reply.RetryAfter > 0 {
			p.RetryAfter = int(math.Ceil(upstream.Reply.RetryAfter.Seconds()))
		}
	case errors.Is(err, ml.ErrShape), errors.Is(err, ml.ErrNotFinite):
		p = api.NewProblem(api.BadInput, clean(err.Error()))
	case errors.Is(err, errModelBusy):
		p = api.NewProblem(api.Overloaded, "this node's model has too much to do; try again in a moment")
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		p = api.NewProblem(api.ModelTimeout, "this node's model did not answer in time; try again, or ask /consensus, which does without it")
	default:
		p = api.NewProblem(api.InternalError, "this node's model failed on this row; the node's log has the details under the request id")
	}
	p.Cause = err
	return p
}
