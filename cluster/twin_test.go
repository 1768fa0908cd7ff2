package cluster

import (
	"errors"
	"strings"
	"testing"

	"caucus/cluster/session"
)

// TestF15ClonedKey: a state folder was copied, so that two processes have one key. They are one member, which
// counts once; both say so, and the others too.
func TestF15ClonedKey(t *testing.T) {
	t.Parallel()
	n := newNetwork(t)
	nodes := n.cluster(3)
	first := nodes[2]
	clone := n.start("clone", func(c *Config) { c.Key = first.cfg.Key })
	clone.join(nodes[0], nodes[1])
	eventually(t, "both say that there are two", func() bool {
		return first.m.KeyConflict() != "" && clone.m.KeyConflict() != ""
	})
	for _, x := range []*node{first, clone} {
		eventually(t, x.name+" shows it of itself", func() bool {
			m, ok := x.m.View().Find(x.id())
			return ok && m.Self && m.Reason == reasonTwin
		})
		if got := strings.Count(x.log.String(), "two processes with one key"); got != 1 {
			t.Errorf("the log of %s says it %d times", x.name, got)
		}
	}
	eventually(t, "the others show it", func() bool {
		m, _ := nodes[0].m.View().Find(first.id())
		return m.Reason == reasonTwinned
	})
	for _, x := range nodes[:2] {
		if x.counted() != 3 {
			t.Errorf("%s counts %d members; the two with one key are one\n%s", x.name, x.counted(), tell(nodes))
		}
	}
}

// A clone that is told to join the node that it was copied from is no node that was given its own address.
func TestACloneThatJoinsItsOriginIsNotAlone(t *testing.T) {
	t.Parallel()
	n := newNetwork(t)
	first := n.start("first").join()
	clone := n.start("clone", func(c *Config) { c.Key = first.cfg.Key }).join(first)
	eventually(t, "both say that there are two", func() bool {
		return first.m.KeyConflict() != "" && clone.m.KeyConflict() != ""
	})
	if v := clone.m.View(); v.Joined {
		t.Error("the clone takes itself for a cluster of its own")
	}
	if !strings.Contains(clone.log.String(), "has the key of this one") {
		t.Error("the log does not say what is wrong with the invite")
	}
	if _, err := first.m.sessions.Dial(t.Context(), first.url, "", nil); !errors.Is(err, session.ErrSelf) {
		t.Errorf("a node that dials itself: %v", err)
	}
}
