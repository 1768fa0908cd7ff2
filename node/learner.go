package node

import (
	"context"
	"crypto/sha256"
	"sync"
	"sync/atomic"
	"time"

	"caucus/cluster/evidence"
	"caucus/node/consensus"
	"caucus/node/receipt"
)

// learnt is what the evidence says of some members: a pure function of the two, so that
// nodes with equal digests of both count alike. It is immutable.
type learnt struct {
	snapshot *evidence.Snapshot // nil: this node keeps no evidence
	members  [32]byte           // digest of those it is about
	basis    *consensus.Basis
	plans    [methodsThere]consensus.Plan // by method
	evidence string                       // digest of the evidence as replies show it; empty while there is none
	digest   string                       // of the evidence and the members together
}

// methodsThere is how many methods there are; EM is the last.
const methodsThere = int(consensus.EM) + 1

// learner keeps the weights up to date with the evidence. A round takes them with one
// atomic load; learning happens beside the rounds, but for the first one after the
// members have changed, which waits for it: what is not learnt for exactly the members
// that a round invites would make two nodes count differently.
type learner struct {
	classes int
	log     *evidence.Log // nil: no evidence

	current  atomic.Pointer[learnt] // for the whole roster
	watchers watchers               // told when it is replaced

	mu      sync.Mutex           // one learns at a time; guards what follows
	subsets map[[32]byte]*learnt // for rounds of some kinds of model, from the current evidence
	cost    time.Duration        // of learning the last time
	woken   chan struct{}        // closed when current is replaced; nil: nobody waits
}

// mostSubsets bounds the combinations of models that are remembered.
const mostSubsets = 16

// of returns what is learnt about the invited.
func (l *learner) of(inv *invited) *learnt {
	if x := l.current.Load(); x != nil && x.members == inv.digest {
		return x
	}
	return l.slowly(inv)
}

// slowly is of, where something has to be learnt first.
func (l *learner) slowly(inv *invited) *learnt {
	l.mu.Lock()
	defer l.mu.Unlock()
	current := l.current.Load()
	if current != nil && current.members == inv.digest {
		return current // somebody else was quicker
	}
	if !inv.part {
		return l.learnLocked(inv)
	}
	// Rounds of some models rest on the same evidence as all others at this moment.
	s := l.snapshot()
	if current != nil {
		s = current.snapshot
	}
	if x := l.subsets[inv.digest]; x != nil && x.snapshot == s {
		return x
	}
	x := learn(l.classes, inv, s)
	if l.subsets == nil || len(l.subsets) >= mostSubsets {
		l.subsets = make(map[[32]byte]*learnt, mostSubsets)
	}
	l.subsets[inv.digest] = x
	return x
}

// learnLocked replaces current by what the evidence says now; l.mu is held.
func (l *learner) learnLocked(inv *invited) *learnt {
	start := time.Now()
	x := learn(l.classes, inv, l.snapshot())
	l.cost = time.Since(start)
	l.current.Store(x)
	l.watchers.wake()
	if l.woken != nil {
		close(l.woken)
		l.woken = nil
	}
	return x
}

func (l *learner) snapshot() *evidence.Snapshot {
	if l.log == nil {
		return nil
	}
	return l.log.Snapshot()
}

// run learns whenever the evidence or the members have changed, until ctx ends. However fast
// labels come in, it then pauses four times as long as it took, so that a fifth of one core
// does; but a second at most, since who gives labels waits for what they teach.
func (l *learner) run(ctx context.Context, members func() <-chan struct{}, invited func() *invited) {
	for {
		changed := members()
		var more <-chan struct{}
		if l.log != nil {
			more = l.log.Changed() // before the snapshot, so that no change falls between
		}
		inv := invited()
		l.mu.Lock()
		if x := l.current.Load(); x == nil || x.members != inv.digest || x.snapshot != l.snapshot() {
			l.learnLocked(inv)
		}
		pause := min(4*l.cost, time.Second)
		l.mu.Unlock()
		select {
		case <-changed:
		case <-more:
		case <-ctx.Done():
			return
		}
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return
		}
	}
}

// caughtUp waits until all the evidence there is has been learnt, or ctx ends.
func (l *learner) caughtUp(ctx context.Context) {
	for {
		l.mu.Lock()
		if x := l.current.Load(); x != nil && x.snapshot == l.snapshot() {
			l.mu.Unlock()
			return
		}
		if l.woken == nil {
			l.woken = make(chan struct{})
		}
		woken := l.woken
		l.mu.Unlock()
		select {
		case <-woken:
		case <-ctx.Done():
			return
		}
	}
}

// learn works out what the evidence says of the members.
func learn(classes int, inv *invited, s *evidence.Snapshot) *learnt {
	x := &learnt{snapshot: s, members: inv.digest}
	peers := make([]consensus.Peer, len(inv.peers))
	for i := range inv.peers {
		peers[i] = consensus.Peer{ID: string(inv.peers[i].id), Fingerprint: string(inv.peers[i].fingerprint[:])}
	}
	basis, err := receipt.Learn(classes, peers, s)
	if err != nil {
		// Only for more members or labels than can be counted, which the roster and the task rule out.
		basis = &consensus.Basis{Classes: classes, Best: -1}
	}
	sum := receipt.DigestOf(s)
	if sum != (receipt.Digest{}) {
		x.evidence = rosterDigest(sum)
	}
	x.basis = basis
	for m := range x.plans {
		// The only error is for a number that is no method's.
		x.plans[m], _ = basis.Plan(consensus.Method(m))
	}
	both := sha256.Sum256(append(sum[:], inv.digest[:]...))
	x.digest = rosterDigest(both)
	return x
}

// digestOf is of the members and their models.
func digestOf(peers []peer) [32]byte {
	h := sha256.New()
	for i := range peers {
		h.Write([]byte(peers[i].id))
		h.Write(peers[i].fingerprint[:])
	}
	return [32]byte(h.Sum(nil))
}
