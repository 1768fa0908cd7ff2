package node

import (
	"cmp"
	"slices"
	"sync"
	"time"

	"github.com/oklog/ulid/v2"

	"caucus/cluster/identity"
	"caucus/node/api"
	"caucus/node/consensus"
)

// historySize is how many rounds a node remembers, its own and those it hears of.
const historySize = 200

// history is a ring of recent rounds. This node's own are kept as they are, by holding on
// to the pooled round: nothing is copied on the way of a request.
type history struct {
	mu   sync.Mutex // guards the rest
	ring [historySize]past
	next int // where the next one goes
	seen map[ulid.ULID]int

	watchers watchers // told of each new round
}

// past is one remembered round: an own one of one row, or a summary.
type past struct {
	id    ulid.ULID
	at    uint64 // Unix milliseconds: its place among the others, and when it is said to have been
	own   *round
	short *summary
}

// aheadMost is how far the clock of whoever asked may be ahead of this node's.
const aheadMost = time.Minute

// placed returns when a round is taken to have been, in Unix milliseconds, if it was heard of now. An id's time is
// its maker's word: one from the future would stay on top of all lists until two hundred others had
// come, so its place is that of its arrival.
func placed(id ulid.ULID, now time.Time) uint64 {
	if id.Time() > ulid.Timestamp(now.Add(aheadMost)) {
		return ulid.Timestamp(now)
	}
	return id.Time()
}

func newHistory() *history { return &history{seen: make(map[ulid.ULID]int, historySize)} }

// put remembers a round. What it replaces is let go of.
func (h *history) put(p past) {
	h.mu.Lock()
	if _, known := h.seen[p.id]; known {
		h.mu.Unlock()
		if p.own != nil {
			p.own.Release()
		}
		return
	}
	old := h.ring[h.next]
	if old.own != nil || old.short != nil {
		delete(h.seen, old.id)
	}
	h.ring[h.next] = p
	h.seen[p.id] = h.next
	h.next = (h.next + 1) % historySize
	h.mu.Unlock()
	h.watchers.wake()
	if old.own != nil {
		old.own.Release()
	}
}

// clear lets go of everything.
func (h *history) clear() {
	h.mu.Lock()
	defer h.mu.Unlock()
	for i := range h.ring {
		if r := h.ring[i].own; r != nil {
			r.Release()
		}
		h.ring[i] = past{}
	}
	clear(h.seen)
}

// newest calls f with the rounds, newest first, until it returns false. The lock is
// held: f only reads.
func (h *history) newest(f func(*past) bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	var all []*past
	for i := range h.ring {
		if p := &h.ring[i]; p.own != nil || p.short != nil {
			all = append(all, p)
		}
	}
	// By time and not as they came: rounds of others come in out of order.
	slices.SortFunc(all, func(a, b *past) int { return cmp.Or(cmp.Compare(b.at, a.at), b.id.Compare(a.id)) })
	for _, p := range all {
		if !f(p) {
			return
		}
	}
}

// record counts a finished round, remembers it and tells the others of it.
func (e *engine) record(r *round, status consensus.Status, margin consensus.Millionths) {
	e.metrics.round(status, r.result.Method, time.Since(r.start), margin, r.decidedEarly())
	for _, id := range r.result.Dissenters {
		if !r.batch {
			e.metrics.disagreement(identity.ID(id))
		}
	}
	if r.batch {
		e.history.put(past{id: r.id, at: r.id.Time(), short: r.summarise()})
	} else {
		r.refs.Add(1)
		e.history.put(past{id: r.id, at: r.id.Time(), own: r})
		e.recall.put(r.id, r.rows)
	}
	if e.spread.allow(e.now()) {
		// The message is this node's own view of the round; whoever misses it misses little.
		if err := e.cluster.Broadcast(r.summarise().encode(e.local.digest)); err != nil {
			e.log.Debug("a round's summary was not spread", "round", r.idText, "error", err)
		}
	}
}

// heard takes a broadcast of another node.
func (e *engine) heard(from identity.ID, msg []byte) {
	s, ok := decodeSummary(msg, e.local.digest, e.local.classes)
	if !ok {
		e.log.Debug("a broadcast cannot be read", "peer", string(from), "bytes", len(msg))
		return
	}
	s.asked = from
	e.history.put(past{id: s.id, at: placed(s.id, e.wall()), short: s})
}

// Rounds implements api.Node.
func (e *engine) Rounds(limit int) []api.RoundSummary {
	var out []api.RoundSummary
	e.history.newest(func(p *past) bool {
		if len(out) == limit {
			return false
		}
		out = append(out, e.line(p))
		return true
	})
	return out
}

// Round implements api.Node.
func (e *engine) Round(id string) (*api.RoundReply, bool) {
	want, err := ulid.ParseStrict(id)
	if err != nil {
		return nil, false
	}
	var out *api.RoundReply
	e.history.newest(func(p *past) bool {
		if p.id != want {
			return true
		}
		out = &api.RoundReply{RoundSummary: e.line(p), Votes: e.shortVotes(p)}
		if p.own != nil {
			out.Features = slices.Clone(p.own.rows)
			out.Consensus = cloneReply(&p.own.reply)
		}
		return false
	})
	return out, out != nil
}

func (e *engine) line(p *past) api.RoundSummary {
	s := p.short
	if s == nil {
		s = p.own.summarise()
	}
	line := api.RoundSummary{
		Round: s.id.String(), At: ulid.Time(p.at).UTC(), Asked: string(s.asked), Rows: s.rows,
		Status: s.status.String(), Counted: s.counted, Invited: s.invited, Entropy: api.Millionths(s.entropy),
	}
	if s.label >= 0 && s.label < e.local.classes {
		line.Label = e.local.task.Labels[s.label]
	}
	votes := make([]int, e.local.classes)
	for _, v := range s.votes {
		if v.label >= 0 && v.label < len(votes) {
			votes[v.label]++
		}
	}
	line.Disagreement = api.Millionths(consensus.ToMillionths(consensus.DisagreementOf(votes)))
	return line
}

func (e *engine) shortVotes(p *past) []api.ShortVote {
	s := p.short
	if s == nil {
		s = p.own.summarise()
	}
	names := map[identity.ID]string{}
	if v := e.cluster.View(); v != nil {
		for i := range v.Members {
			names[v.Members[i].ID] = v.Members[i].Name
		}
	}
	out := make([]api.ShortVote, 0, len(s.votes))
	for _, v := range s.votes {
		line := api.ShortVote{Node: string(v.id), Name: names[v.id]}
		if v.label >= 0 && v.label < e.local.classes {
			line.Label = e.local.task.Labels[v.label]
		}
		out = append(out, line)
	}
	return out
}
