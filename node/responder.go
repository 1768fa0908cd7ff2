package node

import (
	"context"
	"encoding/hex"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/oklog/ulid/v2"

	"caucus/cluster/identity"
	"caucus/cluster/session"
	"caucus/node/consensus"
)

// responder answers the questions of peers by the local model alone: it never asks
// anybody in turn, so that no loop can form.
type responder struct {
	local *local
	key   *identity.Key // signs what is asked for signed
	votes *outcomeCounters
	log   *slog.Logger
	calls sync.Pool // *responderCall
	joint sync.Pool // *jointCall
}

var _ session.JointResponder = (*responder)(nil)

type responderCall struct {
	q      session.Question
	a      session.Answer
	labels []int
	probs  []float64
}

// jointCall is several questions that are answered together.
type jointCall struct {
	calls     []*responderCall // by question
	outcomes  []consensus.Outcome
	reasons   []string
	signer    session.JointSigner
	questions []*session.Question // of those with a vote to sign
	answers   []*session.Answer
	out       []byte
}

// signedMost is how many rows may be asked for signed in one question: a batch of labels has at most a thousand.
const signedMost = 1000

// signedAtOnce is how many signatures, of some 30 µs each, a session's reader may be kept for.
const signedAtOnce = 2

// answerWithin bounds an answer that nobody waits for any more.
const answerWithin = time.Minute

// Quick implements session.Responder.
func (p *responder) Quick(ask []byte) bool {
	rows, sign, _ := session.PeekQuestion(ask)
	return p.local.quick(max(rows, 1)) && (rows <= signedAtOnce || !sign)
}

// Answer implements session.Responder.
func (p *responder) Answer(ctx context.Context, peer identity.ID, ask, dst []byte) []byte {
	c := p.call()
	start := time.Now()
	outcome, reason := p.vote(ctx, c, ask)
	if outcome == consensus.OK && c.q.Sign {
		c.a.Fingerprint = p.local.fingerprint
		if err := session.SignAnswer(p.key, peer, &c.q, &c.a); err != nil {
			outcome, reason = consensus.Internal, errSigning
		}
	}
	return p.write(ctx, peer, c, outcome, reason, time.Since(start), dst)
}

// AnswerJointly implements session.JointResponder.
func (p *responder) AnswerJointly(ctx context.Context, peer identity.ID, asks [][]byte, answered func(i int, answer []byte)) {
	j, _ := p.joint.Get().(*jointCall)
	if j == nil {
		j = new(jointCall)
	}
	start := time.Now()
	j.calls, j.outcomes, j.reasons, j.questions, j.answers = j.calls[:0], j.outcomes[:0], j.reasons[:0], j.questions[:0], j.answers[:0]
	for _, ask := range asks {
		c := p.call()
		outcome, reason := p.vote(ctx, c, ask)
		if outcome == consensus.OK {
			c.a.Fingerprint = p.local.fingerprint
			j.questions, j.answers = append(j.questions, &c.q), append(j.answers, &c.a)
		}
		j.calls, j.outcomes, j.reasons = append(j.calls, c), append(j.outcomes, outcome), append(j.reasons, reason)
	}
	err := j.signer.Sign(p.key, peer, j.questions, j.answers)
	elapsed := time.Since(start) // of all: so long it took until there was any answer
	for i, c := range j.calls {
		if err != nil && j.outcomes[i] == consensus.OK {
			j.outcomes[i], j.reasons[i] = consensus.Internal, errSigning
		}
		j.out = p.write(ctx, peer, c, j.outcomes[i], j.reasons[i], elapsed, j.out[:0])
		answered(i, j.out)
	}
	clear(j.calls)
	clear(j.questions)
	clear(j.answers)
	p.joint.Put(j)
}

// errSigning is what a peer hears when signing fails, which is a fault of this node's own.
const errSigning = "its answer could not be signed"

// call lends the memory that one answer takes; write gives it back.
func (p *responder) call() *responderCall {
	c, _ := p.calls.Get().(*responderCall)
	if c == nil {
		c = new(responderCall)
	}
	a := &c.a
	a.Classes, a.Labels, a.Probabilities = p.local.classes, a.Labels[:0], a.Probabilities[:0]
	a.Signature, a.Inclusion.Size, a.Inclusion.Path = a.Signature[:0], 0, a.Inclusion.Path[:0]
	return c
}

// write appends an answer to dst.
func (p *responder) write(ctx context.Context, peer identity.ID, c *responderCall, outcome consensus.Outcome, reason string, elapsed time.Duration, dst []byte) []byte {
	a := &c.a
	if outcome != consensus.OK {
		a.Labels, a.Probabilities, a.Signature, a.Inclusion.Size = a.Labels[:0], a.Probabilities[:0], a.Signature[:0], 0
	}
	p.votes.add(outcome, 1)
	a.Outcome, a.Reason = byte(outcome), reason
	a.Micros = uint32(min(elapsed.Microseconds(), 1<<31))
	dst = a.Append(dst)
	if p.log.Enabled(ctx, slog.LevelDebug) {
		p.log.LogAttrs(ctx, slog.LevelDebug, "voted",
			slog.String("request_id", clean(c.q.RequestID)), slog.String("round", ulid.ULID(c.q.Round).String()),
			slog.String("peer", string(peer)), slog.Int("rows", len(c.labels)),
			slog.String("outcome", outcome.String()), slog.Duration("elapsed", elapsed))
	}
	if cap(c.q.Rows) <= keepRows {
		p.calls.Put(c)
	}
	return dst
}

func (p *responder) vote(ctx context.Context, c *responderCall, ask []byte) (consensus.Outcome, string) {
	l := p.local
	c.labels = c.labels[:0]
	if err := c.q.Decode(ask); err != nil {
		return consensus.BadSchema, "the question cannot be read; is that node of another version?"
	}
	if c.q.Task != l.digest {
		return consensus.BadSchema, fmt.Sprintf("the question is for task %s, this node has %s (%s)",
			hex.EncodeToString(c.q.Task[:4]), hex.EncodeToString(l.digest[:4]), clean(l.task.Name))
	}
	n := len(c.q.Rows) / l.columns
	if c.q.Columns != l.columns || n == 0 || n*l.columns != len(c.q.Rows) {
		return consensus.BadSchema, fmt.Sprintf("the question has rows of %d features, this node's task has %d", c.q.Columns, l.columns)
	}
	if c.q.Sign && n > signedMost {
		return consensus.TooLarge, fmt.Sprintf("the question wants %d signatures, at most %d are made at once", n, signedMost)
	}
	c.labels = slices.Grow(c.labels, n)[:n]
	c.probs = c.probs[:0]
	if l.probs {
		c.probs = slices.Grow(c.probs, n*l.classes)[:n*l.classes]
	}
	ctx, cancel := p.bound(ctx, n)
	defer cancel()
	if err := l.predict(ctx, c.q.Rows, c.labels, c.probs); err != nil {
		return modelFailure(err)
	}
	for _, y := range c.labels {
		c.a.Labels = append(c.a.Labels, uint16(y))
	}
	c.a.Probabilities = appendMillionths(c.a.Probabilities, given(c.probs))
	return consensus.OK, ""
}

func noCancel() {}

// bound gives a slow model a deadline; a quick one needs none.
func (p *responder) bound(ctx context.Context, rows int) (context.Context, context.CancelFunc) {
	if p.local.quick(rows) {
		return ctx, noCancel
	}
	return context.WithTimeout(ctx, answerWithin)
}
