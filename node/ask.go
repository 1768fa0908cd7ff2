package node

import (
	"time"

	"caucus/cluster/session"
	"caucus/node/api"
	"caucus/node/consensus"
)

// ask is the question to one invited member and what became of it.
type ask struct {
	r      *round
	i      int
	ticket session.Ticket

	sent  bool // under way; guarded by round.mu
	heard bool // before the round closed; guarded by round.mu

	// What close found. A straggler's answer does not touch it any more.
	final  consensus.Outcome
	inTime bool // what follows is of an answer, or failure, that came before

	elapsed time.Duration
	outcome consensus.Outcome
	reason  string

	answer session.Answer         // decoded; its memory is used again
	vote   consensus.Vote         // of one row
	probs  []consensus.Millionths // of one row
	shares []api.Millionths       // the same, for the reply
	labels []int                  // this node's own vote
	floats []float64              // likewise
}

// askPeers puts the question to all but this node. Its own vote comes after: by then the
// questions are on their way.
func (r *round) askPeers() {
	if len(r.asks) == 1 && r.inv.self == 0 {
		return
	}
	r.wire = r.question.Append(r.wire[:0])
	for i := range r.asks {
		if i != r.inv.self {
			r.askPeer(i)
		}
	}
}

func (r *round) askPeer(i int) {
	a, p := &r.asks[i], &r.inv.peers[i]
	ok, probe := p.health.allow(r.start)
	if !ok {
		r.fail(a, consensus.Ejected, "it failed several times in a row and is left alone for a while")
		p.metrics.count(consensus.Ejected, 0)
		return
	}
	r.mu.Lock()
	a.sent = true
	r.out++
	r.refs.Add(1)
	r.mu.Unlock()
	err := r.e.courier.Send(p.id, r.wire, a)
	if err == nil {
		return
	}
	r.mu.Lock()
	a.sent = false
	r.out--
	r.mu.Unlock()
	r.refs.Add(-1)
	// Nothing was sent, so nothing is held against the peer but by its own state.
	if probe {
		p.health.unprobe()
	}
	o, why := sendFailure(err, p)
	p.metrics.count(o, 0)
	r.fail(a, o, why)
}

// fail books a member that is not going to answer.
func (r *round) fail(a *ask, o consensus.Outcome, why string) {
	a.outcome, a.reason = o, why
	a.vote = consensus.Vote{Outcome: o}
	r.mu.Lock()
	r.hear(a)
	r.mu.Unlock()
}

// Answered takes a peer's answer; see courier. It runs on a session's reader.
func (a *ask) Answered(answer []byte, err error) {
	r := a.r
	elapsed := time.Since(r.start)
	a.read(answer, err)
	r.mu.Lock()
	a.sent = false
	a.elapsed = elapsed
	r.out--
	if r.closed {
		if r.live && !a.heard {
			r.tellVote(a, true)
		}
	} else if r.hear(a) {
		r.wake(elapsed)
	}
	outcome := a.outcome
	idle := r.out == 0 && r.reaping
	if idle {
		r.reaping = false
	}
	r.mu.Unlock()
	r.e.note(&r.inv.peers[a.i], outcome, elapsed)
	if idle {
		r.timer.Stop()
		r.Release()
	}
	r.Release()
}
