package node

import (
	"sync"
	"time"

	"caucus/cluster/identity"
	"caucus/cluster/session"
	"caucus/node/consensus"
)

const (
	ejectAfter = 3                // failures in a row
	ejectFirst = 10 * time.Second // and double each time, up to
	ejectMost  = 300 * time.Second
)

// health is what rounds have met of one peer. A peer that failed three times in a row
// is not asked for a while, so that it costs nobody the wait; then one round probes it.
// It stays invited all the same.
type health struct {
	mu       sync.Mutex
	sequence uint64 // of the card: a node that started again begins anew
	fails    int    // in a row
	backoff  time.Duration
	until    time.Time // not asked before; zero: asked
	probing  bool

	checked session.Checked // has a lock of its own
}

// allow reports whether to ask the peer now. After an ejection, one caller is let
// through to probe.
func (h *health) allow(now time.Time) (ok, probe bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.until.IsZero() {
		return true, false
	}
	if h.probing || now.Before(h.until) {
		return false, false
	}
	h.probing = true
	return true, true
}

// ejected reports whether the peer is left alone at the moment, but for a probe.
func (h *health) ejected(now time.Time) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return now.Before(h.until)
}

// note takes what came of a question. It reports whether the peer was ejected by it.
func (h *health) note(o consensus.Outcome, now time.Time) (ejected bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case o == consensus.Shed, o == consensus.Ejected:
		h.probing = false // busy, which is not broken
		return false
	case !o.Failed():
		h.fails, h.backoff, h.until, h.probing = 0, 0, time.Time{}, false
		return false
	}
	h.fails++
	if h.fails < ejectAfter && !h.probing {
		return false
	}
	if now.Before(h.until) {
		return false // an answer from before the ejection
	}
	h.probing = false
	h.backoff = min(max(2*h.backoff, ejectFirst), ejectMost)
	h.until = now.Add(h.backoff)
	return true
}

// unprobe takes back a probe that was never sent.
func (h *health) unprobe() {
	h.mu.Lock()
	h.probing = false
	h.mu.Unlock()
}

// restarted forgets everything if the card is a newer one.
func (h *health) restarted(sequence uint64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if sequence != h.sequence {
		h.sequence, h.fails, h.backoff, h.until, h.probing = sequence, 0, 0, time.Time{}, false
	}
}

// healths keeps one for each peer that is in the view.
type healths struct {
	mu   sync.Mutex
	byID map[identity.ID]*health
}

// keep returns the health of each of ids and drops the others.
func (hs *healths) keep(ids []identity.ID, sequences []uint64) []*health {
	hs.mu.Lock()
	defer hs.mu.Unlock()
	next := make(map[identity.ID]*health, len(ids))
	out := make([]*health, len(ids))
	for i, id := range ids {
		h := hs.byID[id]
		if h == nil {
			h = &health{sequence: sequences[i]}
		}
		h.restarted(sequences[i])
		next[id], out[i] = h, h
	}
	hs.byID = next
	return out
}
