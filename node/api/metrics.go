package api

import (
	"log/slog"
	"math"
	"net/http"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// httpMetrics counts requests. Its labels are bounded: routes are patterns, methods are
// those that there are, and what matches no route has one name.
type httpMetrics struct {
	requests  *prometheus.CounterVec
	durations *prometheus.HistogramVec
	predicted []prometheus.Counter // by class
	tunnel    *prometheus.CounterVec
	through   atomic.Uint64 // how many tunnel has counted
	fast      map[string]*routeMetrics
}

// routeMetrics saves the hot routes the look-up by label.
type routeMetrics struct {
	getOK, postOK prometheus.Counter
	duration      prometheus.Observer
}

func newHTTPMetrics(reg prometheus.Registerer, info *Info) (*httpMetrics, error) {
	m := &httpMetrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "caucus_http_requests_total", Help: "HTTP requests answered, by route, method and status code.",
		}, []string{"route", "method", "code"}),
		durations: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "caucus_http_request_duration_seconds", Help: "Time from a request's headers to the end of its answer.",
			Buckets: []float64{.0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5},
		}, []string{"route"}),
		tunnel: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "caucus_tunnel_requests_total", Help: "HTTP requests that came through this node's tunnel (or another proxy: they have X-Forwarded-*), sessions included, by route.",
		}, []string{"route"}),
		fast: map[string]*routeMetrics{},
	}
	predictions := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "caucus_predictions_total", Help: "Rows that the local model was asked for on /predict, by label.",
	}, []string{"model", "label"})
	for _, l := range info.Labels {
		m.predicted = append(m.predicted, predictions.WithLabelValues(info.Model, l))
	}
	for _, c := range []prometheus.Collector{m.requests, m.durations, predictions, m.tunnel} {
		if err := reg.Register(c); err != nil {
			return nil, err
		}
	}
	m.tunnel.WithLabelValues(gossipRoute)
	for _, route := range []string{"/predict", "/consensus"} {
		m.tunnel.WithLabelValues(route)
		m.fast[route] = &routeMetrics{
			getOK:    m.requests.WithLabelValues(route, http.MethodGet, "200"),
			postOK:   m.requests.WithLabelValues(route, http.MethodPost, "200"),
			duration: m.durations.WithLabelValues(route),
		}
	}
	return m, nil
}

// tunnelled counts a request that came through a tunnel.
func (m *httpMetrics) tunnelled(route string) {
	if route == "" {
		route = "unmatched"
	}
	m.tunnel.WithLabelValues(route).Inc()
	m.through.Add(1)
}

// Tunnelled returns how many requests came through a tunnel or another proxy.
func (a *API) Tunnelled() uint64 { return a.metrics.through.Load() }

func (m *httpMetrics) observe(route, method string, status int, elapsed time.Duration) {
	if f := m.fast[route]; f != nil && status == http.StatusOK {
		f.duration.Observe(elapsed.Seconds())
		switch method {
		case http.MethodGet:
			f.getOK.Inc()
			return
		case http.MethodPost:
			f.postOK.Inc()
			return
		}
	} else {
		if route == "" {
			route = "unmatched"
		}
		m.durations.WithLabelValues(route).Observe(elapsed.Seconds())
	}
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodDelete, http.MethodPatch, http.MethodOptions:
	default:
		method = "other"
	}
	m.requests.WithLabelValues(route, method, strconv.Itoa(status)).Inc()
}

func metricsHandler(reg *prometheus.Registry) http.Handler {
	return promhttp.HandlerFor(reg, promhttp.HandlerOpts{})
}

// logRequest writes the request's line: debug when all is well, else info.
func (a *API) logRequest(c *gin.Context, id string, status int, elapsed time.Duration) {
	level := slog.LevelDebug
	if status >= 500 {
		level = slog.LevelInfo
	}
	ctx := c.Request.Context()
	if !a.log.Enabled(ctx, level) {
		return
	}
	a.log.LogAttrs(ctx, level, "request",
		slog.String("request_id", id),
		slog.String("method", shown(c.Request.Method)),
		slog.String("path", shown(c.Request.URL.Path)),
		slog.Int("status", status),
		slog.Int("bytes", c.Writer.Size()),
		slog.Duration("elapsed", elapsed),
		slog.String("remote", shown(c.Request.RemoteAddr)))
}

// toMillionths rounds half away from zero, as votes do.
func toMillionths(p float64) Millionths { return Millionths(math.Round(p * 1e6)) }
