//go:build bench

package cluster

// Measurements at gossip's own pace, for make bench: they take minutes and hold nothing.

import (
	"fmt"
	"runtime"
	"testing"
	"time"
)

// fullPace leaves all timings at their defaults.
func fullPace(c *Config) { c.TimeScale, c.RejoinMin, c.RejoinMax = 1, 0, 0 }

// TestHealAtFullPace measures how long a cut of 3|2 takes to heal with the default timings, long after memberlist has
// given the other half up.
func TestHealAtFullPace(t *testing.T) {
	n := newNetwork(t)
	nodes := n.cluster(5, fullPace, func(c *Config) { c.ForgetAfter = 20 * time.Second })
	n.cut(nodes[:3], nodes[3:])
	eventually(t, "the majority has forgotten the others", func() bool { return nodes[0].counted() == 3 })
	<-time.After(20 * time.Second)
	n.cut()
	t.Logf("whole %v after the heal", eventually(t, "whole", func() bool { return whole(nodes) }))
}

// TestTrafficAtRest measures the bytes that sessions carry for gossip and keep-alive alone.
func TestTrafficAtRest(t *testing.T) {
	for _, profile := range []Profile{LAN, Tunnel} {
		n := newNetwork(t)
		nodes := n.cluster(5, fullPace, func(c *Config) { c.Profile = profile })
		<-time.After(10 * time.Second)
		count := func() (in, out uint64) {
			for _, p := range nodes[0].m.Sessions() {
				in += p.BytesIn
				out += p.BytesOut
			}
			return in, out
		}
		in, out := count()
		const window = 45 * time.Second
		<-time.After(window)
		in2, out2 := count()
		t.Logf("%s: %.0f B/s in, %.0f B/s out at a node of 5", profile, float64(in2-in)/window.Seconds(), float64(out2-out)/window.Seconds())
		for _, x := range nodes {
			x.stop()
		}
	}
}

// TestTwentyConverge measures a start of twenty at once, at gossip's own pace, and how many sessions it makes.
func TestTwentyConverge(t *testing.T) {
	const count = 20
	n := newNetwork(t)
	var nodes []*node
	for i := range count {
		nodes = append(nodes, n.start(fmt.Sprintf("n%d", i), fullPace))
	}
	start := time.Now()
	for i, x := range nodes {
		if i == 0 {
			x.join()
		} else {
			x.join(nodes[0])
		}
	}
	eventually(t, "all see all", func() bool { return whole(nodes) })
	t.Logf("all see all after %v", time.Since(start))
	eventually(t, "all pairs have a session", func() bool { return paired(nodes) })
	t.Logf("all pairs have a session after %v", time.Since(start))
	sockets := func() int {
		n.mu.Lock()
		defer n.mu.Unlock()
		return len(n.conns)
	}
	eventually(t, "one session a pair", func() bool { return sockets() == count*(count-1)/2 })
	t.Logf("%d sockets for %d pairs after %v", sockets(), count*(count-1)/2, time.Since(start))
	var heap runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&heap)
	t.Logf("soak: a membership of %d, of those that share a process | %d goroutines, %.1f MiB of heap", count, runtime.NumGoroutine()/count, float64(heap.HeapAlloc)/count/(1<<20))
	victim := nodes[count-1]
	rest := nodes[:count-1]
	victim.stop()
	took := eventually(t, "the dead one is failed everywhere", func() bool {
		for _, x := range rest {
			if x.state(victim) != "failed" {
				return false
			}
		}
		return true
	})
	t.Logf("failed everywhere after %v", took)
	leaver := rest[count-2]
	begin := time.Now()
	if err := leaver.m.Leave(t.Context()); err != nil {
		t.Error(err)
	}
	t.Logf("Leave took %v", time.Since(begin))
	took = eventually(t, "the leaver is left everywhere", func() bool {
		for _, x := range rest[:count-2] {
			if x.state(leaver) != "left" {
				return false
			}
		}
		return true
	})
	t.Logf("left everywhere %v after Leave", took)
}
