package node

import (
	"github.com/prometheus/client_golang/prometheus"

	"caucus/node/api"
)

// feedback counts labels.
func (m *metrics) feedback(r *api.FeedbackReply) {
	m.labels.WithLabelValues(api.LabelRecorded).Add(float64(r.Recorded))
	m.labels.WithLabelValues(api.LabelReplaced).Add(float64(r.Replaced))
	m.labels.WithLabelValues(api.LabelKnown).Add(float64(r.Known))
}

// weightGauges tells of what was learnt when it is scraped, so members that are gone
// leave no series behind.
type weightGauges struct {
	learnt func() *learnt
}

var (
	weightDesc = prometheus.NewDesc("caucus_peer_weight", "What a member's vote weighs by method=weighted.", []string{"peer"}, nil)
	regretDesc = prometheus.NewDesc("caucus_regret", "Labelled rows that the Hedge mixture had wrong, less those of its best rule.", nil, nil)
	boundDesc  = prometheus.NewDesc("caucus_regret_bound", "What caucus_regret cannot exceed.", nil, nil)
	rowsDesc   = prometheus.NewDesc("caucus_labelled_rows", "Labelled rows in the evidence that counts here.", nil, nil)
)

func (g weightGauges) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{weightDesc, regretDesc, boundDesc, rowsDesc} {
		ch <- d
	}
}

func (g weightGauges) Collect(ch chan<- prometheus.Metric) {
	x := g.learnt()
	if x == nil {
		return
	}
	b := x.basis
	for i := range b.Members {
		ch <- prometheus.MustNewConstMetric(weightDesc, prometheus.GaugeValue, b.Members[i].Weight.Float(), b.Members[i].ID)
	}
	ch <- prometheus.MustNewConstMetric(regretDesc, prometheus.GaugeValue, b.Regret.Float())
	ch <- prometheus.MustNewConstMetric(boundDesc, prometheus.GaugeValue, b.Bound)
	ch <- prometheus.MustNewConstMetric(rowsDesc, prometheus.GaugeValue, float64(b.Rows))
}
