package cluster

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"caucus/cluster/evidence"
	"caucus/cluster/identity"
	"caucus/cluster/session"
)

// Pauses after an exchange that brought nothing: a peer's word on what it has is not signed, and may promise what
// it does not give.
const (
	exchangeFirst = time.Second
	exchangeLast  = 30 * time.Second
	newsQueued    = 256
)

// replicator keeps the evidence here equal to that of the others. News of what they have comes in three ways, each
// making up for the one before: broadcasts of new records; digests with the answers to probes, which
// show a lost broadcast within seconds; and heads in push/pull, which tell who comes back what it missed. Each
// leads at most to an exchange with the peer, one at a time.
type replicator struct {
	m     *Membership
	log   *evidence.Log
	inbox chan news

	digest atomic.Pointer[headsDigest]

	mu    sync.Mutex // guards peers; nothing is waited for while it is held
	peers map[identity.ID]*exchanging
}

// news is what the worker has to look at; that may wait for the disk and for signatures, so gossip does not.
type news struct {
	kind newsKind
	from identity.ID
	b    []byte
}

type newsKind uint8

const (
	newsBroadcast newsKind = iota // a record or an announcement
	newsHeads                     // the ends of a peer's chains
	newsDiffers                   // a peer's evidence has differed for a while
)

// exchanging is what is known of exchanges with one peer.
type exchanging struct {
	syncing bool // this node asked for one that is under way
	again   bool // there was news meanwhile
	serving bool // the peer asked for one that is under way
	wait    time.Duration
	next    time.Time // none is asked for before
	differs int       // answers to probes in a row that showed other evidence
}

// headsDigest is the digest of one snapshot's heads.
type headsDigest struct {
	of  *evidence.Snapshot
	sum [sha256.Size]byte
}

// openEvidence opens the log of evidence, if this node keeps one.
func (m *Membership) openEvidence() error {
	if m.cfg.Classes == 0 {
		return nil
	}
	r := &replicator{m: m, inbox: make(chan news, newsQueued), peers: make(map[identity.ID]*exchanging)}
	log, err := evidence.Open(evidence.Config{
		Key: m.cfg.Key, Task: m.cfg.Task, Classes: m.cfg.Classes, StateDir: m.cfg.StateDir, From: m.cfg.FeedbackFrom, Now: m.cfg.Now,
		Broadcast: r.broadcast, Log: m.cfg.Log.With("component", "evidence"),
	})
	switch {
	case errors.Is(err, evidence.ErrInUse):
		return fmt.Errorf("%w: %w", ErrStateInUse, err)
	case err != nil:
		return err
	}
	r.log = log
	m.evidence = r
	return nil
}

// Evidence returns the log of evidence, or nil if the configuration names no classes.
func (m *Membership) Evidence() *evidence.Log {
	if m.evidence == nil {
		return nil
	}
	return m.evidence.log
}

// broadcast spreads a message of the log's.
func (r *replicator) broadcast(msg []byte) {
	if err := r.m.spreadContent(messageEvidence, msg); err != nil {
		r.m.log.Debug("evidence was not broadcast; the others will find out from its heads", "error", err)
	}
}

// post leaves news for the worker and never waits. What is dropped is made up for by the next heads.
func (r *replicator) post(n news) {
	select {
	case r.inbox <- n:
	default:
		r.m.log.Debug("news of evidence dropped: too much is waiting", "from", n.from)
	}
}

// work looks at news, and keeps the log's members those of the roster.
func (r *replicator) work() {
	for {
		changed := r.m.Changed() // before the view, so that no change falls between
		r.setMembers(r.m.View())
		select {
		case <-r.m.ctx.Done():
			return
		case <-changed:
		case n := <-r.inbox:
			r.setMembers(r.m.View())
			r.handle(n)
		}
	}
}

// setMembers says whose records are taken: of all on the roster but the refused. Who left is still one until it
// is off the roster, or its labels would come and go with its restarts.
func (r *replicator) setMembers(v *View) {
	ids := make([]identity.ID, 0, len(v.Members))
	for i := range v.Members {
		if v.Members[i].State != Refused {
			ids = append(ids, v.Members[i].ID)
		}
	}
	r.log.SetMembers(ids)
}

func (r *replicator) handle(n news) {
	switch n.kind {
	case newsBroadcast:
		heard, err := r.log.HandleBroadcast(n.b)
		if err != nil {
			r.m.log.Debug("a broadcast of evidence was not taken", "from", n.from, "error", err)
		}
		if heard.Fetch {
			r.sync(n.from)
		}
	case newsHeads:
		d, err := r.log.Snapshot().Compare(n.b)
		if err != nil {
			if !errors.Is(err, evidence.ErrTask) { // members of other tasks are no fault
				r.m.log.Warn("a peer's heads of evidence cannot be read", "from", n.from, "error", err)
			}
			return
		}
		if d.Behind {
			r.sync(n.from)
		}
	case newsDiffers:
		r.sync(n.from)
	}
}

// peer returns what is known of a peer; r.mu is held.
func (r *replicator) peer(id identity.ID) *exchanging {
	p := r.peers[id]
	if p == nil {
		p = &exchanging{}
		r.peers[id] = p
		if len(r.peers) > 2*maxCards { // ids come on a peer's word
			for old, q := range r.peers {
				if old != id && !q.syncing && !q.serving {
					delete(r.peers, old)
					break
				}
			}
		}
	}
	return p
}

// sync begins an exchange with a peer, unless one is under way or the last one has just brought nothing.
func (r *replicator) sync(id identity.ID) {
	if id == r.m.self {
		return
	}
	r.mu.Lock()
	p := r.peer(id)
	if p.syncing {
		p.again = true
		r.mu.Unlock()
		return
	}
	if time.Now().Before(p.next) {
		r.mu.Unlock()
		return
	}
	p.syncing, p.again = true, false
	r.mu.Unlock()
	if !r.m.run(func() { r.exchange(id, p) }) {
		r.mu.Lock()
		p.syncing = false
		r.mu.Unlock()
	}
}

func (r *replicator) exchange(id identity.ID, p *exchanging) {
	done, err := r.ask(r.m.ctx, id)
	useful := done.Stored > 0 || done.Forks > 0
	r.mu.Lock()
	p.syncing, p.differs = false, 0
	if useful {
		p.wait, p.next = 0, time.Time{}
	} else {
		p.wait = min(max(2*p.wait, r.m.timing.of(exchangeFirst)), r.m.timing.of(exchangeLast))
		p.next = time.Now().Add(jitter(p.wait))
	}
	again := p.again && useful
	r.mu.Unlock()
	switch {
	case err != nil && r.m.ctx.Err() == nil:
		r.m.log.Debug("evidence was not exchanged", "peer", id, "error", err)
	case useful:
		r.m.log.Info("evidence was brought up to date", "peer", id, "records", done.Stored, "forks", done.Forks)
	}
	if again {
		r.sync(id)
	}
}

func (r *replicator) ask(ctx context.Context, id identity.ID) (evidence.Exchanged, error) {
	conn, err := r.m.sessions.Open(ctx, id, session.StreamEvidence)
	if err != nil {
		return evidence.Exchanged{}, err
	}
	return r.log.Sync(ctx, conn)
}

// serve answers an exchange that a peer began, one at a time.
func (r *replicator) serve(peer identity.ID, conn net.Conn) {
	r.mu.Lock()
	p := r.peer(peer)
	busy := p.serving
	p.serving = true
	r.mu.Unlock()
	if busy {
		conn.Close()
		return
	}
	_, err := r.log.Serve(r.m.ctx, conn)
	r.mu.Lock()
	p.serving = false
	r.mu.Unlock()
	if err != nil && r.m.ctx.Err() == nil {
		r.m.log.Debug("an exchange of evidence failed", "peer", peer, "error", err)
	}
}

// sum returns the digest of what is held.
func (r *replicator) sum() []byte {
	s := r.log.Snapshot()
	d := r.digest.Load()
	if d == nil || d.of != s {
		d = &headsDigest{of: s, sum: sha256.Sum256(s.Heads())}
		r.digest.Store(d)
	}
	return d.sum[:ackDigest]
}

// noteSum takes the digest that came with the answer to a probe. One that differs may only be ahead of a broadcast
// that is on its way, so it takes two.
func (r *replicator) noteSum(id identity.ID, theirs []byte) {
	differs := !bytes.Equal(theirs, r.sum())
	r.mu.Lock()
	p := r.peer(id)
	if differs {
		p.differs++
	} else {
		p.differs, p.wait, p.next = 0, 0, time.Time{}
	}
	due := p.differs >= 2
	r.mu.Unlock()
	if due {
		r.post(news{kind: newsDiffers, from: id})
	}
}

// Heads in push/pull: the sender's id, for memberlist does not say who it is, and its heads.

// appendHeads adds the section of evidence to a state.
func (r *replicator) appendHeads(dst []byte) []byte {
	dst, start := beginSection(dst, sectionEvidence)
	dst = append(dst, r.m.self...)
	dst = append(dst, r.log.Snapshot().Heads()...)
	endSection(dst, start)
	return dst
}

// noteHeads takes the section of a peer's state; memberlist may reuse b.
func (r *replicator) noteHeads(b []byte) {
	if len(b) < idBytes || len(b) > idBytes+evidence.MaxHeads {
		r.m.log.Debug("a peer's heads of evidence were dropped", "bytes", len(b))
		return
	}
	id, err := identity.ParseID(string(b[:idBytes]))
	if err != nil || id == r.m.self {
		return
	}
	r.post(news{kind: newsHeads, from: id, b: bytes.Clone(b[idBytes:])})
}
