package node

import (
	"runtime"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

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
	own          *outcomeCounters // this node's own votes
	joins        prometheus.Counter
	leaves       prometheus.Counter
	failures     prometheus.Counter

	counters [8][8]atomic.Pointer[prometheus.Counter] // of rounds, by status and method
	mu       sync.Mutex                               // guards peers
	peers    map[identity.ID]*peerMetrics
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
	own := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "caucus_own_votes_total", Help: "Votes asked of this node's own model, in its own rounds and in those of others, by outcome.",
	}, []string{"outcome"})
	m.own = &outcomeCounters{of: func(outcome string) prometheus.Counter { return own.WithLabelValues(outcome) }}
	m.own.add(consensus.OK, 0)
	// Those that an alert asks about are there before they happen, so that the first one is an increase.
	for _, s := range []consensus.Status{consensus.StatusOK, consensus.Degraded, consensus.NoQuorum} {
		m.rounds.WithLabelValues(s.String(), consensus.Majority.String())
	}
	m.registry.MustRegister(m.labels, m.rounds, m.roundTime, m.margin, m.early, m.peerRequests, m.peerTime, m.disagreed,
		m.joins, m.leaves, m.failures, own, info,
		// Of the process: with several nodes in it, as under caucus up, each shows the same.
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
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
