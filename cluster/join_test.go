package cluster

import (
	"context"
	"strings"
	"testing"

	"caucus/cluster/identity"
)

func TestThreeJoinAndAgree(t *testing.T) {
	t.Parallel()
	n := newNetwork(t)
	nodes := n.cluster(3)
	for _, x := range nodes {
		if err := x.m.WaitReady(t.Context()); err != nil {
			t.Fatal(err)
		}
		if v := x.m.View(); !v.Joined || !v.EverPeer || v.Restored {
			t.Errorf("%s: %+v", x.name, v)
		}
		for _, o := range nodes {
			if x == o {
				continue
			}
			got, err := x.m.Ask(context.Background(), o.id(), []byte("who?"), nil)
			if err != nil || string(got) != "echo who?" {
				t.Errorf("%s asks %s: %q, %v", x.name, o.name, got, err)
			}
		}
		eventually(t, "descriptions are fetched", func() bool {
			for _, o := range nodes {
				m, _ := x.m.View().Find(o.id())
				if string(m.Description) != `{"of":"`+o.name+`"}` {
					return false
				}
			}
			return true
		})
		if peers := x.m.Sessions(); len(peers) != 2 {
			t.Errorf("%s has sessions with %d peers", x.name, len(peers))
		}
	}
}

func TestTheOrderOfStartIsFreeAndANodeMayBeItsOwnSeed(t *testing.T) {
	t.Parallel()
	n := newNetwork(t)
	a, b, c := n.start("a"), n.start("b"), n.start("c")
	// Every one has the same list, and the first two join before the third listens.
	address := c.address
	c.stop()
	a.join(a, b, c)
	b.join(a, b, c)
	eventually(t, "the two that are up found a cluster", func() bool { return whole([]*node{a, b}) })
	c.open(n, address)
	c.join(a, b, c)
	eventually(t, "the third is in", func() bool { return whole([]*node{a, b, c}) })
}

func TestANodeWithoutPeersIsReadyAtOnce(t *testing.T) {
	t.Parallel()
	n := newNetwork(t)
	x := n.start("a").join()
	if err := x.m.WaitReady(t.Context()); err != nil {
		t.Fatal(err)
	}
	v := x.m.View()
	if !v.Joined || v.EverPeer || x.counted() != 1 || !v.Members[0].Self || v.Members[0].State != Alive {
		t.Fatalf("%+v", v)
	}
	y := n.start("b").join(n.start("silent"))
	if v := y.m.View(); v.Joined || !v.EverPeer {
		t.Fatalf("a node whose seed says nothing: %+v", v)
	}
}

func TestASeedThatIsThisNodeOnlyMakesItAlone(t *testing.T) {
	t.Parallel()
	n := newNetwork(t)
	x := n.start("a")
	x.join(x)
	if err := x.m.WaitReady(t.Context()); err != nil {
		t.Fatal(err)
	}
	if v := x.m.View(); !v.Joined || v.EverPeer || x.counted() != 1 {
		t.Fatalf("%+v", v)
	}
}

func TestAWrongTokenIsRefusedInWordsAtBothEnds(t *testing.T) {
	t.Parallel()
	n := newNetwork(t)
	with := func(tok identity.Token) func(*Config) {
		return func(c *Config) { c.Tokens = []identity.Token{tok} }
	}
	right, _ := identity.NewToken()
	wrong, _ := identity.NewToken()
	a := n.start("a", with(right)).join()
	b := n.start("b", with(wrong))
	if err := b.m.Join(t.Context(), []identity.Invite{{Address: a.url, Token: &wrong}}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the joiner is told why", func() bool { return strings.Contains(b.log.String(), "token") })
	eventually(t, "the other says why", func() bool { return strings.Contains(a.log.String(), "token") })
	if a.counted() != 1 || b.m.View().Joined {
		t.Fatal("a wrong token let somebody in")
	}
	if strings.Contains(a.log.String()+b.log.String(), wrong.String()) || strings.Contains(b.log.String(), right.String()) {
		t.Fatal("a token is in the log")
	}
	// A third with the invite's token and none of its own is let in and reaches both.
	c := n.start("c").join(a)
	d := n.start("d", with(right)).join(c)
	eventually(t, "those with the token are whole", func() bool { return whole([]*node{a, c, d}) && paired([]*node{a, c, d}) })
}

func TestNamesBehindDNSAreAllJoined(t *testing.T) {
	t.Parallel()
	n := newNetwork(t)
	a := n.start("a").join()
	b := n.start("b")
	_, port, _ := strings.Cut(a.address, ":")
	n.mu.Lock()
	n.owner["[::1]:"+port] = a.name
	n.mu.Unlock()
	if err := b.m.Join(t.Context(), []identity.Invite{{Address: "dns+localhost:" + port}}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "both are whole", func() bool { return whole([]*node{a, b}) })
}
