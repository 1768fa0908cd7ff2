package node

import (
	"context"
	"math"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"caucus/cluster"
	"caucus/cluster/identity"
	"caucus/cluster/session"
	"caucus/node/api"
)

// traffic is what this node knows of its own bytes and requests.
type traffic struct {
	meter    meter
	pace     pace
	view     func() *cluster.View
	peers    func() map[identity.ID]session.Traffic
	url      func() string // under which others reach this node
	requests func() uint64 // that came through a tunnel
}

// tunnelled is what went through this node's tunnel until now.
func (t *traffic) tunnelled() usage {
	return usage{requests: t.requests(), bytes: t.meter.tunnel.out.Load()}
}

// follow takes a sample now and then until ctx ends.
func (t *traffic) follow(ctx context.Context) {
	tick := time.NewTicker(quotaEvery)
	defer tick.Stop()
	for {
		t.pace.note(time.Now(), t.tunnelled())
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

var (
	peerBytesDesc = prometheus.NewDesc("caucus_peer_bytes_total",
		"Bytes of sessions with a member. path=direct: from socket to socket; public: through a tunnel, a proxy or the Internet; relayed: inside the session with a relay, and counted there too.",
		[]string{"peer", "direction", "path"}, nil)
	peerRequestsDesc = prometheus.NewDesc("caucus_peer_http_requests_total",
		"HTTP requests for a session with a member: out, those that this node made, also in vain; in, those that it took.",
		[]string{"peer", "direction", "path"}, nil)
	socketBytesDesc = prometheus.NewDesc("caucus_inbound_bytes_total",
		"Bytes on connections that others opened to this node, sessions included, by whether they came through its tunnel (or another proxy).",
		[]string{"path", "direction"}, nil)
	monthRequestsDesc = prometheus.NewDesc("caucus_tunnel_projected_month_requests",
		"HTTP requests through this node's tunnel in 30 days at the pace of caucus_tunnel_projection_window_seconds. NaN in the first ten minutes.", nil, nil)
	monthBytesDesc = prometheus.NewDesc("caucus_tunnel_projected_month_bytes",
		"Bytes sent through this node's tunnel in 30 days at the pace of caucus_tunnel_projection_window_seconds. NaN in the first ten minutes.", nil, nil)
	windowDesc = prometheus.NewDesc("caucus_tunnel_projection_window_seconds",
		"How long the pace behind the projection was measured, at most a day.", nil, nil)
	quotaRequestsDesc = prometheus.NewDesc("caucus_ngrok_free_plan_month_requests",
		"HTTP requests that ngrok's free plan has for a month. NaN unless this node's URL is one of ngrok's.", nil, nil)
	quotaBytesDesc = prometheus.NewDesc("caucus_ngrok_free_plan_month_bytes",
		"Bytes out that ngrok's free plan has for a month. NaN unless this node's URL is one of ngrok's.", nil, nil)
)

// Describe implements prometheus.Collector.
func (t *traffic) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{
		peerBytesDesc, peerRequestsDesc, socketBytesDesc, monthRequestsDesc, monthBytesDesc, windowDesc, quotaRequestsDesc, quotaBytesDesc,
	} {
		ch <- d
	}
}

// Collect implements prometheus.Collector. Only members have series, so that there are no more than
// 256 peers, and those that are forgotten leave none behind.
func (t *traffic) Collect(ch chan<- prometheus.Metric) {
	count := func(d *prometheus.Desc, n uint64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(n), labels...)
	}
	gauge := func(d *prometheus.Desc, x float64) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, x)
	}
	all := t.peers()
	for _, m := range t.view().Members {
		flows, known := all[m.ID]
		if !known || m.Self || m.State == cluster.Refused {
			continue
		}
		for p, f := range flows {
			path := session.Path(p).String()
			if f == (session.Flow{}) {
				continue
			}
			count(peerBytesDesc, f.BytesIn, string(m.ID), "in", path)
			count(peerBytesDesc, f.BytesOut, string(m.ID), "out", path)
			if session.Path(p) != session.Relayed {
				count(peerRequestsDesc, f.Accepted, string(m.ID), "in", path)
				count(peerRequestsDesc, f.Dialled, string(m.ID), "out", path)
			}
		}
	}
	count(socketBytesDesc, t.meter.direct.in.Load(), "direct", "in")
	count(socketBytesDesc, t.meter.direct.out.Load(), "direct", "out")
	count(socketBytesDesc, t.meter.tunnel.in.Load(), "tunnel", "in")
	count(socketBytesDesc, t.meter.tunnel.out.Load(), "tunnel", "out")
	p := t.pace.project(time.Now(), t.tunnelled())
	gauge(windowDesc, p.Over.Seconds())
	// What is not known is NaN, with which every comparison of an alert fails, rather than a hole that a query
	// could be wrong about.
	known := func(d *prometheus.Desc, x float64, is bool) {
		if !is {
			x = math.NaN()
		}
		gauge(d, x)
	}
	known(monthRequestsDesc, p.requests, p.Over >= quotaLeast)
	known(monthBytesDesc, p.bytes, p.Over >= quotaLeast)
	known(quotaRequestsDesc, ngrokRequests, isNgrok(t.url()))
	known(quotaBytesDesc, ngrokBytes, isNgrok(t.url()))
}

// of is what /members shows of a member's traffic, nil if there was none.
func trafficOf(t session.Traffic) *api.Traffic {
	if t == (session.Traffic{}) {
		return nil
	}
	one := func(p session.Path) *api.Flow {
		if t[p] == (session.Flow{}) {
			return nil
		}
		f := t[p]
		return &api.Flow{BytesIn: f.BytesIn, BytesOut: f.BytesOut, RequestsIn: f.Accepted, RequestsOut: f.Dialled}
	}
	return &api.Traffic{Direct: one(session.Direct), Public: one(session.Public), Relayed: one(session.Relayed)}
}
