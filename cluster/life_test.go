package cluster

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"caucus/cluster/identity"
)

func TestWhoLeavesIsLeftAndWhoDiesIsFailed(t *testing.T) {
	t.Parallel()
	n := newNetwork(t)
	nodes := n.cluster(4)
	gone, dead, rest := nodes[2], nodes[3], nodes[:2]

	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := gone.m.Leave(ctx); err != nil {
		t.Fatal(err)
	}
	took := eventually(t, "it is left everywhere", func() bool {
		return nodes[0].state(gone) == "left" && nodes[1].state(gone) == "left" && dead.state(gone) == "left"
	})
	t.Logf("left everywhere %v after Leave returned", took)
	gone.stop()
	for _, x := range rest {
		if x.counted() != 3 {
			t.Errorf("%s counts %d after one left", x.name, x.counted())
		}
	}

	dead.stop()
	took = eventually(t, "it is failed everywhere", func() bool {
		return nodes[0].state(dead) == "failed" && nodes[1].state(dead) == "failed"
	})
	t.Logf("failed everywhere after %v at %v of gossip's pace", took, scale)
	for _, x := range rest {
		if x.counted() != 3 || x.state(gone) != "left" {
			t.Errorf("%s counts %d after one died; the other is %s", x.name, x.counted(), x.state(gone))
		}
		eventually(t, "two of three decide", x.decides)
	}
	if err := gone.m.Join(t.Context(), nil); !errors.Is(err, ErrStopped) {
		t.Errorf("Join after the end: %v", err)
	}
}

func TestAMemberIsSuspectBeforeItIsFailedAndRefutesIt(t *testing.T) {
	t.Parallel()
	n := newNetwork(t)
	nodes := n.cluster(3)
	victim := nodes[2]
	// Between a cut and the failure.
	seen := make(chan State, 64)
	go func() {
		defer close(seen)
		last := Alive
		for {
			changed := nodes[0].m.Changed()
			m, ok := nodes[0].m.View().Find(victim.id())
			if ok && m.State != last {
				last = m.State
				seen <- last
			}
			if last == Failed {
				return
			}
			select {
			case <-changed:
			case <-time.After(patience):
				return
			}
		}
	}()
	n.cut(nodes[:2], []*node{victim})
	states := slices.Collect(func(yield func(State) bool) {
		for s := range seen {
			if !yield(s) {
				return
			}
		}
	})
	// On a busy machine it may have been suspected before and have refuted it.
	if len(states) < 2 || states[0] != Suspect || states[len(states)-2] != Suspect || states[len(states)-1] != Failed {
		t.Errorf("states seen: %v", states)
	}
	n.cut()
	eventually(t, "whole again", func() bool { return whole(nodes) })
}

func TestAllRestartFromDiskAndFormTheSameCluster(t *testing.T) {
	t.Parallel()
	n := newNetwork(t)
	var nodes []*node
	for _, name := range []string{"a", "b", "c"} {
		dir := t.TempDir()
		nodes = append(nodes, n.start(name, func(c *Config) { c.StateDir = dir }))
	}
	nodes[0].join()
	nodes[1].join(nodes[0])
	nodes[2].join(nodes[0])
	eventually(t, "whole", func() bool { return whole(nodes) })
	digest := nodes[0].m.View().Digest
	sequence := nodes[0].m.card.Load().Sequence
	for _, x := range nodes {
		x.stop()
	}
	// One alone remembers the others, counts them, and says that it has reached nobody.
	nodes[0].restart(n)
	nodes[0].join()
	v := nodes[0].m.View()
	if !v.Restored || !v.Joined || !v.EverPeer || v.Digest != digest || nodes[0].counted() != 3 || nodes[0].state(nodes[1]) != "failed" {
		t.Fatalf("after a restart alone: %d counted, %+v", nodes[0].counted(), v)
	}
	if nodes[0].m.card.Load().Sequence <= sequence {
		t.Fatal("the sequence did not rise over a restart")
	}
	if nodes[0].decides() {
		t.Fatal("one of three decides")
	}
	nodes[1].restart(n)
	nodes[1].join()
	nodes[2].restart(n)
	nodes[2].join()
	eventually(t, "whole again, without an invite", func() bool { return whole(nodes) })
	if v := nodes[0].m.View(); v.Restored || v.Digest != digest {
		t.Fatalf("after all came back: %+v", v)
	}
	// A roster of its own is one without the others.
	nodes[0].stop()
	nodes[0].cfg.NewCluster = true
	nodes[0].open(n, nodes[0].address)
	nodes[0].join()
	if err := nodes[0].m.WaitReady(t.Context()); err != nil {
		t.Fatal(err)
	}
	if v := nodes[0].m.View(); v.Restored || nodes[0].counted() != 1 {
		t.Fatalf("a new cluster: %+v", v)
	}
}

func TestAMemberThatDiesAndRestartsIsBackUnderTheSameID(t *testing.T) {
	t.Parallel()
	n := newNetwork(t)
	// On disk, since the sequence must rise even within a second.
	nodes := n.cluster(3, func(c *Config) { c.StateDir = t.TempDir() })
	x := nodes[2]
	before := x.m.card.Load().Sequence
	x.restart(n)
	x.join(nodes[0])
	took := eventually(t, "back with a newer card, with sessions", func() bool {
		for _, o := range nodes[:2] {
			if m, _ := o.m.View().Find(x.id()); m.Sequence <= before || m.State != Alive {
				return false
			}
		}
		return whole(nodes) && paired(nodes)
	})
	t.Logf("back after %v", took)
}

func TestMembersOfAnotherTaskAreListedAndCountForTheirOwn(t *testing.T) {
	t.Parallel()
	n := newNetwork(t)
	wine := func(c *Config) { c.Task = [32]byte{7} }
	a, b := n.start("a").join(), n.start("b", wine)
	b.join(a)
	c := n.start("c", wine).join(a)
	all := []*node{a, b, c}
	eventually(t, "all list all", func() bool { return whole(all) && paired(all) })
	b.stop()
	eventually(t, "it failed", func() bool { return a.state(b) == "failed" && c.state(b) == "failed" })
	if m, _ := a.m.View().Find(b.id()); m.Task != [32]byte{7} {
		t.Errorf("its task is %x", m.Task[:1])
	}
	// a reaches two of all three, but of the two of that task one: it must not take one out.
	a.m.mu.Lock()
	got := a.m.roster.expired(time.Now().Add(time.Hour), time.Minute, 0)
	a.m.mu.Unlock()
	if len(got) != 0 {
		t.Error("a member was forgotten with half of its task out of reach")
	}
}

// Gossip tells each message to random members a few times, so now and then one misses somebody:
// what must hold is that almost all arrive, and none twice.
func TestBroadcastsReachAlmostEverybodyOnce(t *testing.T) {
	t.Parallel()
	n := newNetwork(t)
	nodes := n.cluster(5)
	const each = 20
	for i := range each {
		for _, x := range nodes {
			if err := x.m.Broadcast([]byte(strings.Repeat("m", i))); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := nodes[0].m.Broadcast(make([]byte, MaxBroadcast+1)); err == nil {
		t.Fatal("a broadcast over the limit was taken")
	}
	eventually(t, "nine in ten messages of all others came", func() bool {
		for _, x := range nodes {
			x.mu.Lock()
			n := len(x.heard)
			x.mu.Unlock()
			if n < each*(len(nodes)-1)*9/10 {
				return false
			}
		}
		return true
	})
	for _, x := range nodes {
		x.mu.Lock()
		for m, times := range x.heard {
			if times != 1 {
				t.Errorf("%s heard %q %d times", x.name, m, times)
			}
			if strings.HasPrefix(m, string(x.id())) {
				t.Errorf("%s heard itself", x.name)
			}
		}
		x.mu.Unlock()
	}
}

func TestANewURLReachesEverybodyAndIsDialled(t *testing.T) {
	t.Parallel()
	n := newNetwork(t)
	nodes := n.cluster(3)
	x := nodes[1]
	// The same node behind another name: what a new tunnel is.
	moved := strings.Replace(x.url, "127.0.0.1", "localhost", 1)
	n.mu.Lock()
	n.owner[strings.TrimPrefix(moved, "http://")] = x.name
	n.mu.Unlock()
	if err := x.m.SetURL(moved); err != nil {
		t.Fatal(err)
	}
	if err := x.m.SetURL("ftp://nowhere"); err == nil {
		t.Fatal("a URL that is none was taken")
	}
	took := eventually(t, "everybody knows the new URL", func() bool {
		for _, o := range nodes {
			if m, _ := o.m.View().Find(x.id()); m.URL != moved {
				return false
			}
		}
		return true
	})
	t.Logf("known everywhere after %v", took)
	eventually(t, "all have sessions", func() bool { return whole(nodes) && paired(nodes) })
}

func TestForgetOnCommandSpreadsAndALiveOneComesBack(t *testing.T) {
	t.Parallel()
	n := newNetwork(t)
	nodes := n.cluster(4)
	lost := nodes[3]
	if err := nodes[0].m.Forget(lost.id()); err == nil || errors.Is(err, ErrNoMember) {
		t.Fatalf("a live member was forgotten: %v", err)
	}
	if err := nodes[0].m.Forget("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"); !errors.Is(err, ErrNoMember) {
		t.Fatalf("got %v, want ErrNoMember", err)
	}
	if err := nodes[0].m.Forget(nodes[0].id()); err == nil {
		t.Fatal("a node forgot itself")
	}
	n.cut(nodes[:3], []*node{lost})
	eventually(t, "it has failed", func() bool { return nodes[0].state(lost) == "failed" && nodes[1].state(lost) == "failed" })
	if err := nodes[0].m.Forget(lost.id()); err != nil {
		t.Fatal(err)
	}
	eventually(t, "all have forgotten it", func() bool {
		return nodes[0].counted() == 3 && nodes[1].counted() == 3 && nodes[2].counted() == 3
	})
	before := lost.m.card.Load().Sequence
	n.cut()
	eventually(t, "it is back, with a newer card", func() bool {
		return whole(nodes) && lost.m.card.Load().Sequence > before
	})
}

func TestANewcomerThatWaitsForTheDeadBeginsAnewOnCommand(t *testing.T) {
	t.Parallel()
	n := newNetwork(t)
	nodes := n.cluster(2)
	a, b := nodes[0], nodes[1]
	b.stop()
	eventually(t, "one of two has failed", func() bool { return a.state(b) == "failed" })
	c := n.start("c").join(a)
	eventually(t, "the newcomer waits, in both views", func() bool {
		return a.state(c) == "refused" && c.state(c) == "refused" && c.state(b) == "failed"
	})
	if m, _ := c.m.View().Find(c.id()); m.Reason != reasonWaiting {
		t.Errorf("the reason given: %q", m.Reason)
	}
	if c.decides() || a.decides() {
		t.Fatal("one of two decides, or a newcomer with it")
	}
	eventually(t, "the newcomer says so in its log, with the remedy", func() bool {
		return strings.Contains(c.log.String(), "does not count yet") && strings.Contains(c.log.String(), "caucus forget --failed")
	})
	a.stop()
	eventually(t, "the other has failed too", func() bool { return c.state(a) == "failed" })
	if err := c.m.Forget(a.id(), b.id()); err != nil {
		t.Fatal(err)
	}
	if c.state(c) != "alive" || c.counted() != 1 || !c.decides() {
		t.Fatalf("after Forget: %s", tell([]*node{c}))
	}
}

func TestAForgottenMemberStaysForgottenWhenAnOldRosterComesBack(t *testing.T) {
	t.Parallel()
	n := newNetwork(t)
	nodes := n.cluster(4)
	dead, away := nodes[3], nodes[2]
	dead.stop()
	eventually(t, "it has failed", func() bool { return nodes[0].state(dead) == "failed" })
	n.cut(nodes[:2], []*node{away})
	if err := nodes[0].m.Forget(dead.id()); err != nil {
		t.Fatal(err)
	}
	eventually(t, "forgotten where it is heard", func() bool { return nodes[1].state(dead) == "absent" })
	if away.state(dead) == "absent" {
		t.Fatal("heard through a cut")
	}
	n.cut()
	eventually(t, "the tombstone wins over the old roster", func() bool { return whole(nodes[:3]) })
}

func TestANodeWithoutAConfiguredURLAdvertisesWhatItsSocketsShow(t *testing.T) {
	t.Parallel()
	n := newNetwork(t)
	a, b := n.start("a"), n.start("b")
	for _, x := range []*node{a, b} {
		_, port, _ := strings.Cut(x.address, ":")
		x.stop()
		x.cfg.URL, x.cfg.ListenPort = "", atoi(port)
		x.open(n, x.address)
		if x.m.card.Load().URL != "" {
			t.Fatal("a URL before any socket")
		}
	}
	a.join()
	b.join(a)
	eventually(t, "both know both URLs", func() bool {
		for _, x := range []*node{a, b} {
			for _, o := range []*node{a, b} {
				if m, _ := x.m.View().Find(o.id()); m.URL != o.url {
					return false
				}
			}
		}
		return whole([]*node{a, b})
	})
}

func atoi(s string) int {
	n := 0
	for _, c := range s {
		n = 10*n + int(c-'0')
	}
	return n
}

func TestANodeThatCannotBeDialledIsInByItsOwnDials(t *testing.T) {
	t.Parallel()
	n := newNetwork(t)
	nodes := n.cluster(2)
	hidden := n.start("hidden")
	hidden.stop()
	hidden.cfg.URL, hidden.cfg.ListenPort = "", 0
	var err error
	if hidden.m, err = New(hidden.cfg); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { hidden.m.Shutdown() })
	hidden.join(nodes[0])
	all := append(nodes, hidden)
	eventually(t, "whole, with sessions that it opened", func() bool { return whole(all) && paired(all) })
}

func TestNewSaysWhatIsWrongWithAConfiguration(t *testing.T) {
	t.Parallel()
	key, err := identity.Generate()
	if err != nil {
		t.Fatal(err)
	}
	good := Config{Key: key, Name: "a", Model: "knn", Responder: responder{}}
	for want, edit := range map[string]func(*Config){
		"key":         func(c *Config) { c.Key = nil },
		"name":        func(c *Config) { c.Name = "No Such Name" },
		"url":         func(c *Config) { c.URL = "gopher://x" },
		"description": func(c *Config) { c.Description = make([]byte, MaxDescription+1) },
		"profile":     func(c *Config) { c.Profile = "moon" },
		"time scale":  func(c *Config) { c.TimeScale = -1 },
		"rejoin":      func(c *Config) { c.RejoinMin, c.RejoinMax = time.Second, time.Millisecond },
		"members":     func(c *Config) { c.MaxMembers = 257 },
	} {
		c := good
		edit(&c)
		if m, err := New(c); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, %v", want, m, err)
		}
	}
}

func TestTwoProcessesDoNotShareAStateFolder(t *testing.T) {
	t.Parallel()
	n := newNetwork(t)
	dir := t.TempDir()
	x := n.start("a", func(c *Config) { c.StateDir = dir })
	if _, err := New(x.cfg); !errors.Is(err, ErrStateInUse) {
		t.Fatalf("got %v, want ErrStateInUse", err)
	}
}

func TestTheMemberCapHoldsInALiveCluster(t *testing.T) {
	t.Parallel()
	n := newNetwork(t)
	nodes := n.cluster(3, func(c *Config) { c.MaxMembers = 3 })
	late := n.start("late").join(nodes[0])
	eventually(t, "the newcomer is told why", func() bool { return strings.Contains(late.log.String(), "full") })
	eventually(t, "the member shows whom it refused", func() bool {
		m, ok := nodes[0].m.View().Find(late.id())
		return ok && m.State == Refused && strings.Contains(m.Reason, "full")
	})
	if !whole(nodes) {
		t.Fatal("a member lost its slot")
	}
}

// What a node signed last before it was killed may not have reached its disk. Its next life must
// not sign another card with the same sequence, which the others would take for a copied key.
func TestARestartAtOnceSignsLaterCardsEvenIfNothingWasKept(t *testing.T) {
	t.Parallel()
	n := newNetwork(t)
	x := n.start("a")
	for _, url := range []string{"http://127.0.0.1:1", "http://127.0.0.1:2", "http://127.0.0.1:3"} {
		if err := x.m.SetURL(url); err != nil {
			t.Fatal(err)
		}
	}
	before := x.m.card.Load().Sequence
	x.restart(n)
	if after := x.m.card.Load().Sequence; after <= before {
		t.Errorf("the first card after the restart has sequence %d, the last one before it %d", after, before)
	}
}
