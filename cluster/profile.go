package cluster

import (
	"fmt"
	"time"

	"github.com/hashicorp/memberlist"

	"caucus/cluster/gossip"
)

// timing holds what depends on the profile and on Config.TimeScale.
type timing struct {
	scale     float64
	keepAlive time.Duration // of sessions
	handshake time.Duration // of sessions; a limit, not a pace, so no scale makes it shorter
	grace     time.Duration // how long a session may be down before its member is suspect
	suspect   time.Duration // a failed probe is shown for this long at most; gossip has decided by then
	settle    time.Duration // a view unchanged for this long has settled
	tick      time.Duration // of the maintenance loop
	yield     time.Duration // how long the larger id waits for the smaller one to dial
	nudge     time.Duration // between attempts to join a member that has a session but is not alive in gossip
	spread    time.Duration // by then a broadcast has reached everybody whom it can reach
	announce  time.Duration // how long to wait for memberlist to send a broadcast of this node's own
}

// MinForgetAfter is the least Config.ForgetAfter that is safe at gossip's full pace. Whoever is in the smaller part of
// a split believes for a while that it reaches a majority, until the last of its dead sessions has failed to answer
// keep-alive (three periods: 15 s, tunnel 45 s); and after a heal it takes a pass of the rejoin loop and a dial (22 s)
// until those who are there again are called. In neither time may anybody be forgotten. A minute, for a tunnel two, is that and
// half as much again.
func MinForgetAfter(p Profile) time.Duration {
	if p == Tunnel {
		return 2 * time.Minute
	}
	return time.Minute
}

// Kept for show only.
const (
	leftFor = time.Hour
	goneFor = time.Minute
)

func timings(p Profile, scale float64) (timing, error) {
	if scale == 0 {
		scale = 1
	}
	if scale < 0.01 || scale > 100 {
		return timing{}, fmt.Errorf("cluster: the time scale is %v; it must be 0.01 to 100", scale)
	}
	t := timing{scale: scale}
	switch p {
	case LAN, "":
		t.keepAlive, t.grace = t.of(5*time.Second), t.of(time.Second)
	case Tunnel:
		t.keepAlive, t.grace = t.of(15*time.Second), t.of(3*time.Second)
	default:
		return timing{}, fmt.Errorf("cluster: the profile is %q; it must be %q or %q", p, LAN, Tunnel)
	}
	t.handshake = max(t.of(5*time.Second), 5*time.Second)
	t.suspect = t.of(30 * time.Second)
	t.settle = t.of(200 * time.Millisecond)
	t.tick = max(t.of(200*time.Millisecond), 10*time.Millisecond)
	t.yield = max(t.of(500*time.Millisecond), 50*time.Millisecond)
	t.nudge = max(t.of(2*time.Second), 100*time.Millisecond)
	t.spread = t.of(5 * time.Second)
	t.announce = max(t.of(2*time.Second), 500*time.Millisecond)
	return t, nil
}

func (t timing) of(d time.Duration) time.Duration { return time.Duration(float64(d) * t.scale) }

// gossipConfig returns memberlist's settings but for names, delegates and transport. LAN has memberlist's own
// timings for a LAN with two differences: a suspicion that nobody confirms lasts at most 3 times (not 6 times)
// the shortest one, so that a death is known within 15 s even where few are left to confirm it; and packets may
// be larger than a datagram, for they ride a stream.
func gossipConfig(p Profile, t timing) *memberlist.Config {
	c := memberlist.DefaultLANConfig()
	c.SuspicionMaxTimeoutMult = 3
	c.UDPBufferSize = 8 << 10
	if p == Tunnel {
		c.ProbeInterval = 2500 * time.Millisecond
		c.ProbeTimeout = 1500 * time.Millisecond
		c.PushPullInterval = 300 * time.Second // rosters are compared at every answer to a probe; see docs/decisions/0010
		c.GossipInterval = 500 * time.Millisecond
		c.GossipToTheDeadTime = 60 * time.Second
		c.TCPTimeout = 15 * time.Second
	}
	c.ProbeInterval = t.of(c.ProbeInterval)
	c.ProbeTimeout = t.of(c.ProbeTimeout)
	c.PushPullInterval = t.of(c.PushPullInterval)
	c.GossipInterval = max(t.of(c.GossipInterval), 5*time.Millisecond)
	c.GossipToTheDeadTime = t.of(c.GossipToTheDeadTime)
	c.TCPTimeout = max(t.of(c.TCPTimeout), 2*time.Second)
	c.RequireNodeNames = true
	c.BindPort, c.AdvertisePort = gossip.Port, gossip.Port
	c.DNSConfigPath = ""
	return c
}
