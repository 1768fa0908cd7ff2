package node

import (
	"github.com/prometheus/client_golang/prometheus"

	"caucus/cluster"
	"caucus/cluster/identity"
	"caucus/node/consensus"
)

// stateGauges tells how the node and its cluster stand when it is scraped. Nothing is kept
// between scrapes, so members that are gone leave no series behind.
type stateGauges struct{ n *Node }

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc(name, help, labels, nil)
}

var (
	readyDesc     = desc("caucus_ready", "1 while this node answers /consensus, as /readyz says; else 0.")
	votersDesc    = desc("caucus_cluster_voters", "Members of this node's task that count for the quorum, those that failed too.")
	connectedDesc = desc("caucus_cluster_voters_connected", "Those of caucus_cluster_voters that this node has a session with, itself included.")
	quorumDesc    = desc("caucus_cluster_quorum", "Votes that a round at this node needs.")
	sessionsDesc  = desc("caucus_cluster_sessions", "Sessions with other nodes, by path: direct or relayed.", "path")
	packetsDesc   = desc("caucus_gossip_packets_total", "Gossip packets, by direction.", "direction")
	droppedDesc   = desc("caucus_gossip_dropped_total", "Gossip packets and broadcasts that were dropped because too much was waiting or nobody was there.")
	malformedDesc = desc("caucus_gossip_malformed_total", "Messages of peers that were no gossip; who sends many of them is cut off for a while.")
	infoDesc      = desc("caucus_peer_info", "1; the labels name a member of the roster, this node included.", "peer", "name", "model")
	rttDesc       = desc("caucus_peer_rtt_seconds", "Round trip time to a member, as last measured.", "peer")
	ejectedDesc   = desc("caucus_peer_ejected", "1 while a voter is not asked because it failed several times in a row; else 0.", "peer")
	taskDesc      = desc("caucus_task_info", "1; the labels name the task of this node and the start of its digest, which nodes that vote together share.", "task", "digest")
	accuracyDesc  = desc("caucus_model_accuracy_ratio", "Accuracy of this node's model on rows that it was not fitted on, 0 to 1.")
)

func (g stateGauges) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{
		readyDesc, votersDesc, connectedDesc, quorumDesc, sessionsDesc, packetsDesc, droppedDesc, malformedDesc,
		infoDesc, rttDesc, ejectedDesc, taskDesc, accuracyDesc,
	} {
		ch <- d
	}
}

func (g stateGauges) Collect(ch chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, x float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, x, labels...)
	}
	total := func(d *prometheus.Desc, x uint64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(x), labels...)
	}
	_, err := g.n.Readiness()
	gauge(readyDesc, flag(err == nil))
	gauge(taskDesc, 1, g.n.local.task.Name, rosterDigest(g.n.local.digest))
	if e := g.n.evaluation; e != nil {
		gauge(accuracyDesc, e.Accuracy)
	}

	s := g.n.cluster.Stats()
	gauge(sessionsDesc, float64(s.Direct), "direct")
	gauge(sessionsDesc, float64(s.Relayed), "relayed")
	total(packetsDesc, s.PacketsSent, "sent")
	total(packetsDesc, s.PacketsReceived, "received")
	total(droppedDesc, s.Dropped)
	total(malformedDesc, g.n.cluster.Malformed())

	inv := g.n.engine.invitedOf()
	connected := map[identity.ID]bool{g.n.id: true}
	for _, p := range g.n.cluster.Sessions() {
		connected[p.ID] = true
	}
	reached := 0
	now := g.n.engine.now()
	for i := range inv.peers {
		p := &inv.peers[i]
		if connected[p.id] {
			reached++
		}
		gauge(ejectedDesc, flag(p.health.ejected(now)), string(p.id))
	}
	gauge(votersDesc, float64(len(inv.peers)))
	gauge(connectedDesc, float64(reached))
	gauge(quorumDesc, float64(consensus.QuorumOf(len(inv.peers), g.n.cfg.Quorum, false)))
	for i := range inv.view.Members {
		m := &inv.view.Members[i]
		switch m.State {
		case cluster.Alive, cluster.Suspect, cluster.Failed:
			gauge(infoDesc, 1, string(m.ID), m.Name, m.Model)
			if m.RTT > 0 {
				gauge(rttDesc, m.RTT.Seconds(), string(m.ID))
			}
		}
	}
}

func flag(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
