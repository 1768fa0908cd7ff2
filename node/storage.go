package node

import (
	"errors"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
)

// storageError is why something of this node's state could not be kept the last time, nil if all was.
func (n *Node) storageError() error {
	err := n.cluster.StorageError()
	if token := n.tokenErr.Load(); token != nil {
		err = errors.Join(err, *token)
	}
	return err
}

// notKept is storageError in one line of words, "" if all was kept.
func (n *Node) notKept() string {
	err := n.storageError()
	if err == nil {
		return ""
	}
	return clean(strings.ReplaceAll(err.Error(), "\n", "; "))
}

// storage tells how often the state could not be kept.
type storage struct{ n *Node }

var (
	unkeptDesc = prometheus.NewDesc("caucus_persist_errors_total",
		"Times that something could not be written to the state folder; it is tried again.", []string{"what"}, nil)
	degradedDesc = prometheus.NewDesc("caucus_storage_failing",
		"1 while the state folder could not be written the last time; else 0.", nil, nil)
)

func (s storage) Describe(ch chan<- *prometheus.Desc) { ch <- unkeptDesc; ch <- degradedDesc }

func (s storage) Collect(ch chan<- prometheus.Metric) {
	roster, evidence := s.n.cluster.Unsaved()
	for what, times := range map[string]uint64{"roster": roster, "evidence": evidence, "token": s.n.unkept.Load()} {
		ch <- prometheus.MustNewConstMetric(unkeptDesc, prometheus.CounterValue, float64(times), what)
	}
	ch <- prometheus.MustNewConstMetric(degradedDesc, prometheus.GaugeValue, flag(s.n.storageError() != nil))
}
