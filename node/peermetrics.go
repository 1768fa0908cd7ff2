package node

import (
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"caucus/cluster/identity"
	"caucus/node/consensus"
)

// outcomeCounters counts by outcome and saves the hot path the look-up by label.
type outcomeCounters struct {
	of    func(outcome string) prometheus.Counter // makes the series; nil: there must be none any more
	slots [32]atomic.Pointer[prometheus.Counter]
}

func (c *outcomeCounters) add(o consensus.Outcome, n float64) {
	slot := &c.slots[int(o)%len(c.slots)]
	p := slot.Load()
	if p == nil {
		made := c.of(o.String())
		if made == nil {
			return
		}
		p = &made
		slot.Store(p)
	}
	(*p).Add(n)
}

// peerMetrics are those of one peer. Its series are dropped with it, and what comes of
// questions that were under way then is not counted any more: it would bring them back.
type peerMetrics struct {
	id       string
	parent   *metrics
	gone     bool // guarded by parent.mu
	outcomes outcomeCounters
	time     atomic.Pointer[prometheus.Observer]
}

// peer returns the counters of one peer.
func (m *metrics) peer(id identity.ID) *peerMetrics {
	m.mu.Lock()
	defer m.mu.Unlock()
	p := m.peers[id]
	if p == nil {
		p = &peerMetrics{id: string(id), parent: m}
		p.outcomes.of = p.outcome
		m.peers[id] = p
	}
	return p
}

// keepPeers drops the series of peers that are not members any more.
func (m *metrics) keepPeers(ids []identity.ID) {
	m.mu.Lock()
	defer m.mu.Unlock()
	known := make(map[identity.ID]bool, len(ids))
	for _, id := range ids {
		known[id] = true
	}
	for id, p := range m.peers {
		if !known[id] {
			p.gone = true
			delete(m.peers, id)
			m.peerRequests.DeletePartialMatch(prometheus.Labels{"peer": string(id)})
			m.peerTime.DeleteLabelValues(string(id))
			m.disagreed.DeleteLabelValues(string(id))
		}
	}
}

// disagreement counts a round whose outcome was not the member's vote.
func (m *metrics) disagreement(id identity.ID) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.peers[id] != nil {
		m.disagreed.WithLabelValues(string(id)).Inc()
	}
}

// outcome returns the series of an outcome, nil for a peer that is gone.
func (p *peerMetrics) outcome(name string) prometheus.Counter {
	p.parent.mu.Lock()
	defer p.parent.mu.Unlock()
	if p.gone {
		return nil
	}
	return p.parent.peerRequests.WithLabelValues(p.id, name)
}

// count takes what came of one question.
func (p *peerMetrics) count(o consensus.Outcome, elapsed time.Duration) {
	p.outcomes.add(o, 1)
	if o != consensus.OK {
		return
	}
	if t := p.timer(); t != nil {
		t.Observe(elapsed.Seconds())
	}
}

// timer returns the peer's histogram, which this node, never asking itself, has none of.
func (p *peerMetrics) timer() prometheus.Observer {
	if t := p.time.Load(); t != nil {
		return *t
	}
	p.parent.mu.Lock()
	defer p.parent.mu.Unlock()
	if p.gone {
		return nil
	}
	t := p.parent.peerTime.WithLabelValues(p.id)
	p.time.Store(&t)
	return t
}
