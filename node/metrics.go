package node

import (
	"runtime"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"caucus/cluster"
	"caucus/cluster/identity"
	"caucus/node/api"
	"caucus/node/consensus"
)

// metrics are those of the rounds and the cluster; the ones of HTTP are in node/api.
// They live in a registry of this node's own, since several nodes may share a process.
type metrics struct {
	registry     *prometheus.Registry
	rounds       *prometheus.CounterVec
	labels       *prometheus.CounterVec
	roundTime    prometheus.Histogram
	margin       prometheus.Histogram
	early        prometheus.Counter
	peerRequests *prometheus.CounterVec
	peerTime     *prometheus.HistogramVec
	disagreed    *prometheus.CounterVec
	joins        prometheus.Counter
	leaves       prometheus.Counter
	failures     prometheus.Counter

	counters [8][8]atomic.Pointer[prometheus.Counter] // of rounds, by status and method
	mu       sync.Mutex                               // guards peers
	peers    map[identity.ID]*peerMetrics
}

// peerMetrics saves the hot path the look-up by label.
type peerMetrics struct {
	id       string
	parent   *metrics
	outcomes [32]atomic.Pointer[prometheus.Counter]
	time     prometheus.Observer
}

func newMetrics(version string, view func() *cluster.View) *metrics {
	m := &metrics{
		registry: prometheus.NewRegistry(),
		rounds: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "caucus_consensus_total", Help: "Rounds played at this node, by status and by the rule that decided.",
		}, []string{"status", "method"}),
		roundTime: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "caucus_consensus_duration_seconds", Help: "Time of a round from the request to its outcome.",
			Buckets: []float64{.0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 1.5, 3},
		}),
		margin: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "caucus_consensus_margin", Help: "Share of the label less the next one's, 0 to 1.",
			Buckets: prometheus.LinearBuckets(0.1, 0.1, 10),
		}),
		early: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "caucus_consensus_early_total", Help: "Rounds decided while votes were still out.",
		}),
		peerRequests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "caucus_peer_requests_total", Help: "Votes asked of a peer, by outcome.",
		}, []string{"peer", "outcome"}),
		peerTime: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "caucus_peer_request_duration_seconds", Help: "Time until a peer's vote was there.",
			Buckets: []float64{.0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 1.5},
		}, []string{"peer"}),
		disagreed: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "caucus_peer_disagreements_total", Help: "Rounds of one row in which a member's vote was not the outcome.",
		}, []string{"peer"}),
		joins:    counter("caucus_cluster_joins_total", "Members that came, or came back."),
		leaves:   counter("caucus_cluster_leaves_total", "Members that said goodbye."),
		failures: counter("caucus_cluster_failures_total", "Members that went without a word."),
		peers:    map[identity.ID]*peerMetrics{},
	}
	info := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "caucus_build_info", Help: "1; the labels say what was built.",
		ConstLabels: prometheus.Labels{"version": version, "revision": revision(), "goversion": runtime.Version()},
	})
	info.Set(1)
	m.labels = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "caucus_feedback_total", Help: "Labels given at this node, by what became of them.",
	}, []string{"status"})
	for _, status := range []string{api.LabelRecorded, api.LabelReplaced, api.LabelKnown} {
		m.labels.WithLabelValues(status)
	}
	m.registry.MustRegister(m.labels, m.rounds, m.roundTime, m.margin, m.early, m.peerRequests, m.peerTime, m.disagreed,
		m.joins, m.leaves, m.failures, info,
		memberGauge{view, prometheus.NewDesc("caucus_cluster_members", "Members, by state.", []string{"state"}, nil)})
	return m
}

func counter(name, help string) prometheus.Counter {
	return prometheus.NewCounter(prometheus.CounterOpts{Name: name, Help: help})
}

func revision() string {
	if b, ok := debug.ReadBuildInfo(); ok {
		for _, s := range b.Settings {
			if s.Key == "vcs.revision" {
				return s.Value
			}
		}
	}
	return "unknown"
}

// memberGauge counts the view's members when it is scraped.
type memberGauge struct {
	view func() *cluster.View
	desc *prometheus.Desc
}

func (g memberGauge) Describe(ch chan<- *prometheus.Desc) { ch <- g.desc }

func (g memberGauge) Collect(ch chan<- prometheus.Metric) {
	var counts [cluster.Refused + 1]int
	if v := g.view(); v != nil {
		for i := range v.Members {
			if s := v.Members[i].State; int(s) < len(counts) {
				counts[s]++
			}
		}
	}
	for s, n := range counts {
		ch <- prometheus.MustNewConstMetric(g.desc, prometheus.GaugeValue, float64(n), cluster.State(s).String())
	}
}

// round counts a finished round.
func (m *metrics) round(status consensus.Status, method consensus.Method, elapsed time.Duration, margin consensus.Millionths, early bool) {
	slot := &m.counters[status&7][method&7]
	c := slot.Load()
	if c == nil {
		made := m.rounds.WithLabelValues(status.String(), method.String())
		c = &made
		slot.Store(c)
	}
	(*c).Inc()
	m.roundTime.Observe(elapsed.Seconds())
	if status != consensus.NoQuorum {
		m.margin.Observe(margin.Float())
	}
	if early {
		m.early.Inc()
	}
}

// peer returns the counters of one peer.
func (m *metrics) peer(id identity.ID) *peerMetrics {
	m.mu.Lock()
	defer m.mu.Unlock()
	p := m.peers[id]
	if p == nil {
		p = &peerMetrics{id: string(id), parent: m, time: m.peerTime.WithLabelValues(string(id))}
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
	for id := range m.peers {
		if !known[id] {
			delete(m.peers, id)
			m.peerRequests.DeletePartialMatch(prometheus.Labels{"peer": string(id)})
			m.peerTime.DeleteLabelValues(string(id))
			m.disagreed.DeleteLabelValues(string(id))
		}
	}
}

// count takes what came of one question.
func (p *peerMetrics) count(o consensus.Outcome, elapsed time.Duration) {
	slot := &p.outcomes[int(o)%len(p.outcomes)]
	c := slot.Load()
	if c == nil {
		made := p.parent.peerRequests.WithLabelValues(p.id, o.String())
		c = &made
		slot.Store(c)
	}
	(*c).Inc()
	if o == consensus.OK {
		p.time.Observe(elapsed.Seconds())
	}
}
