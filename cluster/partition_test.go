package cluster

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"
)

// The tests of partitions do not run beside others: a node that is too busy to answer for as long as this is
// forgotten, and comes back, as it should, but that is not what they look at.
const forgetAfter = 4 * time.Second

// sidesThatDecide asks one question at each node, all at once, and reports on which sides a majority answered.
func sidesThatDecide(sides [][]*node) []bool {
	out := make([]bool, len(sides))
	var mu sync.Mutex
	var wg sync.WaitGroup
	for i, side := range sides {
		for _, x := range side {
			wg.Go(func() {
				if x.decides() {
					mu.Lock()
					out[i] = true
					mu.Unlock()
				}
			})
		}
	}
	wg.Wait()
	return out
}

func TestOfAPartitionAtMostOneHalfDecides(t *testing.T) {
	for _, c := range []struct{ n, left int }{{4, 2}, {5, 3}} {
		t.Run(fmt.Sprintf("%d of %d", c.left, c.n), func(t *testing.T) {
			n := newNetwork(t)
			nodes := n.cluster(c.n, func(c *Config) { c.ForgetAfter = forgetAfter })
			sides := [][]*node{nodes[:c.left], nodes[c.left:]}
			n.cut(sides...)
			start := time.Now()
			check := func() {
				if d := sidesThatDecide(sides); d[0] && d[1] {
					t.Fatalf("both halves decide %v after the cut", time.Since(start))
				}
			}
			settled := func() bool {
				for i, side := range sides {
					for _, x := range side {
						for _, o := range sides[1-i] {
							if s := x.state(o); s == "alive" || s == "suspect" {
								return false
							}
						}
					}
				}
				return true
			}
			eventually(t, "each half sees the other as failed", func() bool { check(); return settled() })
			// Well past forget-after: a half with a majority has forgotten the others, one after another.
			majority := 2*c.left > c.n
			late := time.Now().Add(forgetAfter + 2*time.Second)
			eventually(t, "the majority, if there is one, has forgotten the others", func() bool {
				check()
				if !time.Now().After(late) {
					return false
				}
				for _, x := range sides[0] {
					if majority && x.counted() != c.left {
						return false
					}
				}
				return true
			})
			eventually(t, "a majority decides, and nobody else", func() bool {
				got := sidesThatDecide(sides)
				return got[0] == majority && !got[1]
			})
			for i, side := range sides {
				for _, x := range side {
					if (i == 1 || !majority) && x.counted() != c.n {
						t.Errorf("%s, without a majority, counts %d, want %d", x.name, x.counted(), c.n)
					}
				}
			}
			// A newcomer on the smaller side (or on either, of equal ones) changes nothing.
			late1 := n.start("late1", func(c *Config) { c.ForgetAfter = forgetAfter })
			late2 := n.start("late2", func(c *Config) { c.ForgetAfter = forgetAfter })
			n.mu.Lock()
			n.side["late1"], n.side["late2"] = 1, 1
			n.mu.Unlock()
			late1.join(sides[1][0])
			late2.join(sides[1][0])
			sides[1] = append(sides[1], late1, late2)
			eventually(t, "the newcomers are seen", func() bool {
				check()
				return late1.state(sides[1][0]) != "absent" && sides[1][0].state(late1) == "refused" && sides[1][0].state(late2) == "refused"
			})
			if sidesThatDecide(sides)[1] {
				t.Error("newcomers gave the smaller half a majority")
			}
			all := append(append([]*node{}, sides[0]...), sides[1]...)
			n.cut()
			t.Cleanup(func() {
				if t.Failed() {
					t.Log(tell(all))
				}
			})
			took := eventually(t, "whole after the heal", func() bool { return whole(all) })
			t.Logf("whole %v after the heal", took)
		})
	}
}

func TestAPartitionStaysWithoutTheRejoinLoop(t *testing.T) {
	n := newNetwork(t)
	nodes := n.cluster(4, func(c *Config) {
		c.NoRejoin = true
		c.TimeScale = 0.1
	})
	sides := [][]*node{nodes[:2], nodes[2:]}
	n.cut(sides...)
	eventually(t, "each half sees the other as failed", func() bool {
		return nodes[0].state(nodes[2]) == "failed" && nodes[0].state(nodes[3]) == "failed" && nodes[1].state(nodes[2]) == "failed" && nodes[1].state(nodes[3]) == "failed" &&
			nodes[2].state(nodes[0]) == "failed" && nodes[2].state(nodes[1]) == "failed" && nodes[3].state(nodes[0]) == "failed" && nodes[3].state(nodes[1]) == "failed"
	})
	// memberlist gossips to the dead for 30 s at this pace; then it has dropped them.
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Second)
	defer cancel()
	<-ctx.Done()
	n.cut()
	ctx, cancel = context.WithTimeout(t.Context(), 3*time.Second) // three times the default wait, at this pace
	defer cancel()
	for ctx.Err() == nil {
		if nodes[0].state(nodes[2]) != "failed" || nodes[3].state(nodes[1]) != "failed" {
			t.Fatal("it healed without the rejoin loop, so the test of the loop shows nothing")
		}
		time.Sleep(20 * time.Millisecond)
	}
}
