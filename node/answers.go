package node

import (
	"context"
	"errors"
	"strconv"
	"strings"

	"caucus/cluster/session"
	"caucus/node/api"
	"caucus/node/consensus"
)

// read takes what a peer sent, or why nothing came, into the ask. It belongs to the ask
// alone until hear has been called for it.
func (a *ask) read(b []byte, err error) {
	if err != nil {
		a.outcome, a.reason = answerFailure(err)
	} else {
		a.outcome, a.reason = a.decode(b)
	}
	if a.outcome != consensus.OK {
		a.vote = consensus.Vote{Outcome: a.outcome}
	}
}

// decode checks an answer: nothing in it is believed.
func (a *ask) decode(b []byte) (consensus.Outcome, string) {
	r := a.r
	if err := a.answer.Decode(b); err != nil {
		return consensus.BadSchema, "its answer cannot be read"
	}
	classes := r.rule.Classes
	switch o := consensus.Outcome(a.answer.Outcome); o {
	case consensus.OK:
	case consensus.Abstain, consensus.BadSchema, consensus.BadLabel, consensus.Shed, consensus.Timeout, consensus.Internal,
		consensus.ConnectError, // of its upstream
		consensus.HTTPError, consensus.TooLarge, consensus.BadJSON, consensus.TLSError, consensus.RefusedRedirect, consensus.BlockedAddress:
		return o, clean(a.answer.Reason)
	default: // the others are for the asking node to find
		return consensus.BadSchema, "its answer has an outcome that makes no sense"
	}
	if a.answer.Classes != classes || len(a.answer.Labels) != r.n {
		return consensus.BadSchema, "its answer is for another number of rows or labels"
	}
	if n := len(a.answer.Probabilities); n != 0 && n != r.n*classes {
		return consensus.BadSchema, "its answer has another number of probabilities than there are labels"
	}
	if r.sign {
		p := &r.inv.peers[a.i]
		if p.health.checked.VerifyAnswer(p.key, r.e.self, p.id, &r.question, &a.answer) != nil || a.answer.Fingerprint != p.fingerprint {
			return consensus.BadSignature, "its signature does not hold"
		}
	}
	a.vote.Outcome = consensus.OK
	for i := r.n - 1; i >= 0; i-- { // the first row last, which is the vote of a round of one
		a.row(i)
		if o := a.vote.Check(classes); o != consensus.OK {
			return o, badVote(o, &a.vote, i, r.n)
		}
	}
	return consensus.OK, ""
}

// row sets the vote to row i of the answer.
func (a *ask) row(i int) {
	k := a.r.rule.Classes
	a.vote.Label = int(a.answer.Labels[i])
	a.vote.Probabilities = nil
	if len(a.answer.Probabilities) == 0 {
		a.shares = a.shares[:0]
		return
	}
	a.probs, a.shares = a.probs[:0], a.shares[:0]
	for _, p := range a.answer.Probabilities[i*k : (i+1)*k] {
		a.probs = append(a.probs, consensus.Millionths(p))
		a.shares = append(a.shares, api.Millionths(p))
	}
	a.vote.Probabilities = a.probs
}

func badVote(o consensus.Outcome, v *consensus.Vote, row, rows int) string {
	where := ""
	if rows > 1 {
		where = " in row " + strconv.Itoa(row)
	}
	if o == consensus.BadLabel {
		return "it answered class " + strconv.Itoa(v.Label) + where + ", which the task has not"
	}
	return "its probabilities" + where + " are not between 0 and 1 with a sum of 1"
}

// answerFailure says what an error instead of an answer means.
func answerFailure(err error) (consensus.Outcome, string) {
	var remote *session.RemoteError
	switch {
	case errors.As(err, &remote) && remote.Busy:
		return consensus.Shed, clean(remote.Reason)
	case errors.As(err, &remote):
		return consensus.Internal, clean(remote.Reason)
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return consensus.Timeout, ""
	}
	return consensus.ConnectError, "the connection broke before it had answered"
}

// sendFailure says why a question was not even sent.
func sendFailure(err error, p *peer) (consensus.Outcome, string) {
	switch {
	case errors.Is(err, session.ErrBusy):
		return consensus.Shed, "too much is queued for it"
	case errors.Is(err, session.ErrTooLarge):
		return consensus.TooLarge, "the question is too large to send; ask about fewer rows at once"
	}
	return consensus.ConnectError, p.why()
}

// clean makes a peer's words fit for a log or a page: short and without control characters.
func clean(s string) string {
	return cleanTo(s, 200)
}

// ownWords is how long a sentence may be that this node makes itself, of what it met, for its own replies.
const ownWords = 600

// cleanTo is clean with a limit in bytes; what is cut shows it.
func cleanTo(s string, limit int) string {
	if len(s) > limit {
		s = strings.ToValidUTF8(s[:limit-len("…")], "") + "…"
	}
	s = strings.ToValidUTF8(s, "?")
	for _, r := range s {
		if !strconv.IsGraphic(r) {
			q := strconv.QuoteToGraphic(s)
			return q[1 : len(q)-1]
		}
	}
	return s
}
