package cluster

// Stats are counts for metrics: how many sessions there are now, and what happened since the start.
type Stats struct {
	Direct, Relayed              int    // sessions with other nodes, by how they run
	PacketsSent, PacketsReceived uint64 // of gossip
	Dropped                      uint64 // packets and broadcasts of gossip, in or out
}

// Stats returns the counts. It takes no lock of the roster's.
func (m *Membership) Stats() Stats {
	p := m.transport.Stats()
	s := Stats{
		PacketsSent: p.Sent, PacketsReceived: p.Received,
		Dropped: p.Dropped + m.spreader.dropped.Load(),
	}
	for _, x := range m.sessions.Peers() {
		if relayed(x) {
			s.Relayed++
		} else {
			s.Direct++
		}
	}
	return s
}
