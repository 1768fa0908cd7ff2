package node

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/oklog/ulid/v2"

	"caucus/cluster/session"
	"caucus/node/api"
	"caucus/node/consensus"
)

// round is one call of /consensus. Rounds are pooled: one is used again when nobody
// holds it any more, neither the request, nor a question still under way, nor the
// history. Its own timer, one for all peers, wakes it.
//
//	begin -> askPeers, askSelf -> wait <- Answered (sessions' readers) / tick (timer)
//	      -> finish -> Release ... stragglers -> Answered or reap
type round struct {
	e    *engine
	refs atomic.Int32

	// Set by begin, then only read.
	inv      *invited
	id       ulid.ULID
	idText   string
	start    time.Time
	limit    time.Duration // of the peers and this node's own model
	patience api.Wait
	batch    bool
	n        int       // rows
	rows     []float64 // copied from the question
	rule     consensus.Rule
	learnt   *learnt         // what is known of the invited
	plan     *consensus.Plan // how the method asked for is carried out with it
	request  string
	wire     []byte // the question as it goes to peers
	question session.Question
	sign     bool // a receipt is wanted, so votes must be signed
	live     bool // somebody wants to be told of each vote as it comes
	spread   bool // a batch's reply is to carry the probabilities of every vote

	mu      sync.Mutex // guards what follows, and the counter until closed
	counter consensus.Counter
	todo    int // invited members of whom nothing has been heard
	oks     int // valid votes
	out     int // questions under way, of which Answered or reap will hear
	waiting bool
	wakeAt  time.Time
	linger  bool
	reaping bool              // the timer holds a reference, to give up on stragglers
	soFar   *consensus.Result // of the votes heard, for those who are told of each; nil until needed
	closed  bool              // decided: what comes now is for the books only
	elapsed time.Duration

	done  chan struct{} // one token wakes the request
	timer *time.Timer
	asks  []ask

	// Written by finish, then only read.
	result consensus.Result
	reply  api.ConsensusReply
	rowsOf *api.ConsensusBatchReply
	lines  []consensus.Line
}

func newRound(e *engine) *round {
	r := &round{e: e, done: make(chan struct{}, 1)}
	r.timer = time.AfterFunc(time.Hour, r.tick)
	r.timer.Stop()
	return r
}

// begin readies the round. The question's rows are copied: stragglers and the history
// outlive the request.
func (r *round) begin(inv *invited, q *api.Question) error {
	e := r.e
	r.refs.Store(1)
	// A late tick of the last use may still look at what mu guards.
	r.mu.Lock()
	defer r.mu.Unlock()
	r.inv, r.batch, r.n, r.patience, r.request = inv, q.Batch, q.N, q.Wait, q.RequestID
	r.id = ulid.MustNew(ulid.Timestamp(r.e.wall()), ulid.DefaultEntropy())
	r.idText = r.id.String()
	r.start = q.Start
	r.limit = e.limit(q)
	r.rows = append(r.rows[:0], q.Rows...)
	r.question = session.Question{Round: r.id, RequestID: r.request, Task: e.local.digest, Columns: e.local.columns, Rows: r.rows, Sign: q.Receipt, Jointly: q.Receipt}
	r.sign, r.spread = q.Receipt, q.Probabilities
	r.rule, r.learnt, r.plan = e.rule(q, inv)
	if r.plan.Method == consensus.EM {
		r.patience = api.WaitAll // it weighs all the votes of a batch together
	}
	if err := r.counter.Reset(r.rule, r.plan.Members); err != nil {
		return err
	}
	n := len(inv.members)
	r.todo, r.oks, r.out = n, 0, 0
	r.waiting, r.linger, r.reaping, r.closed, r.rowsOf = false, false, false, false, nil
	if cap(r.asks) < n {
		r.asks = slices.Grow(r.asks[:0], n)
	}
	r.asks = r.asks[:n]
	for i := range r.asks {
		a := &r.asks[i]
		a.r, a.i, a.sent, a.heard, a.elapsed, a.outcome, a.reason = r, i, false, false, 0, consensus.Pending, ""
	}
	if r.live = !r.batch && e.live.wanted(r.request); r.live {
		r.tellAsked()
	}
	return nil
}

// hear counts a member's vote or failure. It reports whether the request may have
// something to do now. The caller holds mu.
func (r *round) hear(a *ask) bool {
	if a.heard {
		return false
	}
	a.heard = true
	r.todo--
	if !r.batch {
		a.outcome = r.counter.AddAt(a.i, &a.vote)
	}
	if a.outcome == consensus.OK {
		r.oks++
	}
	if r.live {
		r.tellVote(a, false)
	}
	if r.todo == 0 {
		return true
	}
	if r.patience == api.WaitAll || r.linger {
		return false
	}
	if r.batch {
		return r.oks >= r.quorum() // whether it is certain takes a look at every row
	}
	return r.counter.Certain()
}

func (r *round) quorum() int {
	return consensus.QuorumOf(len(r.asks), r.rule.Quorum, r.rule.Full)
}

// wake ends the request's wait, or shortens it to the linger. The caller holds mu.
func (r *round) wake(elapsed time.Duration) {
	switch {
	case !r.waiting:
	case r.todo == 0, r.batch, r.patience == api.WaitDecided:
		r.signal()
	case !r.linger:
		r.linger = true
		r.arm(min(r.e.times.linger, r.limit-elapsed))
	}
}

// signal gives the request its token. The caller holds mu.
func (r *round) signal() {
	r.waiting = false
	r.done <- struct{}{}
}

// arm sets the timer. The caller holds mu.
func (r *round) arm(d time.Duration) {
	r.wakeAt = time.Now().Add(d)
	r.timer.Reset(d)
}

// wait returns when the round of one row need not, or must not, go on.
func (r *round) wait() {
	r.mu.Lock()
	elapsed := time.Since(r.start)
	left := r.limit - elapsed
	if r.todo > 0 && r.patience != api.WaitAll && r.counter.Certain() {
		if r.patience == api.WaitDecided {
			left = 0
		} else {
			r.linger = true
			left = min(left, r.e.times.linger)
		}
	}
	r.block(left)
}

// block waits for the token for at most d. The caller holds mu, which it gives up.
func (r *round) block(d time.Duration) {
	if r.todo == 0 || d <= 0 {
		r.mu.Unlock()
		return
	}
	r.waiting = true
	r.arm(d)
	r.mu.Unlock()
	<-r.done
}

// tick is the timer's. A tick of an earlier use of the round finds that it is too early.
func (r *round) tick() {
	r.mu.Lock()
	if time.Now().Before(r.wakeAt) {
		r.mu.Unlock()
		return
	}
	if r.waiting {
		r.signal()
	}
	reap := r.reaping
	r.reaping = false
	r.mu.Unlock()
	if reap {
		r.reap()
		r.Release()
	}
}

// close ends the counting. Whoever has not been heard of is pending, or has run out of
// time. What is still under way is given the peer's whole time, for the books.
func (r *round) close() {
	r.mu.Lock()
	elapsed := time.Since(r.start)
	r.closed = true
	for i := range r.asks {
		a := &r.asks[i]
		switch {
		case a.heard:
			a.final = a.outcome
		case elapsed >= r.limit:
			a.final = consensus.Timeout
			r.counter.AddAt(i, &consensus.Vote{Outcome: consensus.Timeout})
		default:
			a.final = consensus.Pending
		}
		a.inTime = a.heard
	}
	r.elapsed = elapsed
	var left time.Duration
	if r.out > 0 {
		left = max(r.limit, r.e.times.peer) - elapsed
		if left > 0 {
			r.refs.Add(1)
			r.reaping = true
			r.arm(left)
		}
	}
	straggling := r.out > 0
	r.mu.Unlock()
	if left > 0 {
		return // the timer will reap
	}
	r.timer.Stop()
	if straggling {
		r.reap()
	}
}

// reap gives up on questions that were not answered in a peer's whole time.
func (r *round) reap() {
	elapsed := time.Since(r.start)
	for i := range r.asks {
		a := &r.asks[i]
		r.mu.Lock()
		sent := a.sent && i != r.inv.self // this node's own vote ends by itself
		r.mu.Unlock()
		if !sent || !r.e.courier.Recall(a) {
			continue
		}
		r.mu.Lock()
		a.sent = false
		r.out--
		r.mu.Unlock()
		r.e.note(&r.inv.peers[i], consensus.Timeout, elapsed)
		r.Release()
	}
}

// Release gives up one hold of the round; the last one gives it back to the pool.
func (r *round) Release() {
	if r.refs.Add(-1) > 0 {
		return
	}
	if cap(r.rows) > keepRows || cap(r.wire) > 8*keepRows {
		return // a large batch: its memory is not kept
	}
	r.inv, r.rowsOf, r.learnt, r.plan = nil, nil, nil, nil
	r.e.rounds.Put(r)
}

// keepRows is the most values whose memory a pooled round keeps.
const keepRows = 4096
