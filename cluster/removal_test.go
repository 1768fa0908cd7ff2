package cluster

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"caucus/cluster/identity"
)

// says signs a removal for tests without nodes.
func (p *person) says(t testing.TB, of *person, epoch uint64, undone bool) identity.Removal {
	t.Helper()
	x, err := p.key.SignRemoval(identity.Removal{ID: of.id(), Name: of.name, Epoch: epoch, Undone: undone, ByName: p.name})
	if err != nil {
		t.Fatal(err)
	}
	return x
}

func (r *roster) mustRemove(t testing.TB, x identity.Removal) bool {
	t.Helper()
	news, err := r.remove(x, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return news
}

func TestNoCardOfARemovedMemberComesInUntilItIsTakenBack(t *testing.T) {
	t.Parallel()
	who := people(t, 4)
	r, other := rosterOf(t, who), rosterOf(t, who)
	bo := who[1]
	if !r.mustRemove(t, who[2].says(t, bo, 10, false)) {
		t.Fatal("no news")
	}
	if r.counts(bo) || r.n(bo.task) != 3 {
		t.Fatal("it counts")
	}
	if _, err := r.upsert(bo.card(t, 99), time.Now()); !errors.Is(err, errRemoved) {
		t.Fatalf("a later card of it: %v", err)
	}
	// From somebody who has not heard of it; and back.
	transfer(t, other, r)
	if r.entries[bo.id()] != nil || r.n(bo.task) != 3 {
		t.Fatal("another's roster brought it back")
	}
	transfer(t, r, other)
	if other.counts(bo) || other.n(bo.task) != 3 {
		t.Fatal("the other has not heard of it")
	}
	// An older word changes nothing, a later one takes it back: as a newcomer with a new card.
	if r.mustRemove(t, who[3].says(t, bo, 9, true)) || !r.isRemoved(bo.id()) {
		t.Fatal("an older word was heeded")
	}
	if !r.mustRemove(t, who[3].says(t, bo, 11, true)) || r.isRemoved(bo.id()) {
		t.Fatal("it was not taken back")
	}
	if _, err := r.upsert(bo.card(t, 1), time.Now()); !errors.Is(err, errForgotten) {
		t.Fatalf("the card under which it counted: %v", err)
	}
	r.add(t, bo, 2)
	r.enrol()
	if !r.counts(bo) || r.n(bo.task) != 4 {
		t.Fatal("it does not count")
	}
}

func TestAMemberIsRemovedOnlyWithAMajorityAndOneAtATime(t *testing.T) {
	t.Parallel()
	who := people(t, 5)
	r := rosterOf(t, who)
	now := time.Now()
	may := func(p *person) error { return r.mayRemove(r.entries[p.id()], now, time.Second) }
	if err := may(who[1]); err != nil {
		t.Fatal(err)
	}
	for _, p := range who[2:] {
		r.reach(p, false)
	}
	r.refresh(now, time.Second)
	if err := may(who[1]); !errors.Is(err, ErrNoMajority) || strings.Contains(err.Error(), "forget") {
		t.Errorf("with two of five: %v", err)
	}
	if err := may(who[2]); !errors.Is(err, ErrNoMajority) || !strings.Contains(err.Error(), "caucus forget "+who[2].name) {
		t.Errorf("of one that failed: %v", err)
	}
	r.reach(who[2], true)
	if err := may(who[1]); err != nil {
		t.Fatal(err)
	}
	r.mustRemove(t, who[0].says(t, who[1], 1, false))
	now = time.Now()
	r.reach(who[3], true)
	if err := may(who[2]); !errors.Is(err, ErrTooSoon) {
		t.Errorf("at once after another: %v", err)
	}
	now = now.Add(2 * time.Second)
	if err := may(who[2]); err != nil {
		t.Error(err)
	}
}

func TestRemovalsAreBoundedAndNoneThatKeepsOutGivesWay(t *testing.T) {
	t.Parallel()
	who := people(t, 2)
	r := rosterOf(t, who)
	var first identity.Removal
	for i := range maxRemovals + 1 {
		x := who[0].says(t, newPerson(t, "x"), uint64(i+1), i == 7)
		if i == 0 {
			first = x
		}
		if _, err := r.remove(x, time.Now()); err != nil {
			t.Fatalf("%d: %v", i, err) // the last one takes the place of the one taken back
		}
	}
	if len(r.removals) != maxRemovals || !r.isRemoved(first.ID) {
		t.Fatalf("%d removals", len(r.removals))
	}
	if _, err := r.remove(who[0].says(t, who[1], 1, false), time.Now()); !errors.Is(err, errManyRemovals) {
		t.Errorf("one too many: %v", err)
	}
	if _, _, err := parseState(r.appendState(nil)); err != nil {
		t.Error(err)
	}
	list, err := splitRemovals(section(r.appendState(nil), sectionRemovals))
	if err != nil || len(list) != maxRemovals {
		t.Errorf("%d removals, %v", len(list), err)
	}
	for name, b := range map[string][]byte{"half a length": {0}, "cut short": {0, 9, 1}, "one too long": append([]byte{0xff, 0xff}, make([]byte, 0xffff)...)} {
		if _, err := splitRemovals(b); !errors.Is(err, errState) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// refusedAs reports whether x shows o as removed.
func (x *node) refusedAs(o *node, reason string) bool {
	m, ok := x.m.View().Find(o.id())
	return ok && m.State == Refused && strings.Contains(m.Reason, reason) && m.Name == o.name
}

func TestARemovedMemberStaysOutWhoeverRestarts(t *testing.T) {
	t.Parallel()
	n := newNetwork(t)
	nodes := n.cluster(4, func(c *Config) { c.StateDir = t.TempDir() })
	ana, bo, cy, away := nodes[0], nodes[1], nodes[2], nodes[3]
	away.stop()
	eventually(t, "one is away", func() bool { return ana.state(away) == "failed" && cy.state(away) == "failed" })

	if err := ana.m.Remove(ana.id()); err == nil {
		t.Error("a node removed itself")
	}
	if err := ana.m.Remove(bo.id()); err != nil {
		t.Fatal(err)
	}
	if err := ana.m.Remove(bo.id()); !errors.Is(err, ErrRemoved) {
		t.Errorf("a second time: %v", err)
	}
	apart := func(x *node) bool {
		return x.counted() == 3 && x.refusedAs(bo, "removed from this cluster by n0") && !x.m.sessions.Connected(bo.id())
	}
	eventually(t, "the others have no session with it", func() bool { return apart(ana) && apart(cy) })
	eventually(t, "it knows, and says so", func() bool {
		return strings.HasPrefix(bo.m.View().Removed, "this node was removed from this cluster by n0 on ") &&
			strings.Contains(bo.log.String(), "caucus remove --undo n1")
	})
	if !bo.refusedAs(bo, "removed") || bo.decides() {
		t.Errorf("it shows itself as %s", bo.state(bo))
	}
	if err := bo.m.Remove(ana.id()); err == nil {
		t.Error("it removed another")
	}

	// One that was away learns of it, and everybody still knows after all restart.
	away.open(n, away.address)
	away.join()
	eventually(t, "the one that was away has heard", func() bool { return apart(away) })
	rest := []*node{ana, cy, away}
	for _, x := range nodes {
		x.stop()
	}
	for _, x := range nodes {
		x.open(n, x.address)
		x.join()
	}
	if bo.m.View().Removed == "" {
		t.Error("it has forgotten that it was removed")
	}
	bo.stop() // with its invite, as a person would start it
	bo.open(n, bo.address)
	bo.join(cy)
	eventually(t, "it is refused in words at both ends", func() bool {
		return strings.Contains(cy.log.String(), "it was removed from this cluster by n0") &&
			strings.Contains(bo.log.String(), "it was removed from this cluster by n0")
	})
	eventually(t, "the others are whole without it", func() bool {
		return whole(rest) && paired(rest) && apart(ana) && apart(cy) && apart(away)
	})

	// Any member takes it back; it comes as soon as it asks again.
	if err := away.m.TakeBack(bo.id()); err != nil {
		t.Fatal(err)
	}
	if err := away.m.TakeBack(bo.id()); !errors.Is(err, ErrNotRemoved) {
		t.Errorf("a second time: %v", err)
	}
	eventually(t, "the others have heard", func() bool {
		return ana.state(bo) == "absent" && cy.state(bo) == "absent"
	})
	bo.restart(n)
	bo.join()
	eventually(t, "it is back", func() bool { return whole(nodes) && paired(nodes) && bo.m.View().Removed == "" })
}

func TestOneThatWasAwayLearnsThatItWasRemoved(t *testing.T) {
	t.Parallel()
	n := newNetwork(t)
	nodes := n.cluster(3, func(c *Config) { c.StateDir = t.TempDir() })
	ana, bo := nodes[0], nodes[1]
	bo.stop()
	eventually(t, "it failed", func() bool { return ana.state(bo) == "failed" })
	if err := ana.m.Remove(bo.id()); err != nil {
		t.Fatal(err)
	}
	bo.open(n, bo.address)
	bo.join()
	eventually(t, "it was told, signed", func() bool { return bo.m.View().Removed != "" })
	if ana.counted() != 2 || ana.m.sessions.Connected(bo.id()) {
		t.Error("it is in")
	}
	// A cluster of its own is its own affair.
	bo.stop()
	bo.cfg.NewCluster = true
	bo.open(n, bo.address)
	bo.join()
	if err := bo.m.WaitReady(t.Context()); err != nil {
		t.Fatal(err)
	}
	if v := bo.m.View(); v.Removed != "" || bo.counted() != 1 {
		t.Errorf("a new cluster: %+v", v)
	}
}

func TestTheSmallerPartOfASplitRemovesNobody(t *testing.T) {
	t.Parallel()
	n := newNetwork(t)
	nodes := n.cluster(3)
	n.cut(nodes[:1], nodes[1:])
	eventually(t, "it is alone", func() bool { return nodes[0].state(nodes[1]) == "failed" && nodes[0].state(nodes[2]) == "failed" })
	if err := nodes[0].m.Remove(nodes[1].id()); !errors.Is(err, ErrNoMajority) {
		t.Errorf("alone: %v", err)
	}
	if err := nodes[1].m.Remove(nodes[0].id()); err != nil {
		t.Errorf("with two of three: %v", err)
	}
}

// A member that has heard of the new token has heard of the removal, even if no other news of it came: so it does not
// tell the removed one.
func TestANewTokenIsNotToldToARemovedMemberAndItsOldOneIsNoWayIn(t *testing.T) {
	t.Parallel()
	n := newNetwork(t)
	old := newToken(t)
	with := func(token identity.Token) func(*Config) {
		return func(c *Config) { c.Tokens = []identity.Token{token} }
	}
	nodes := n.cluster(4, with(old), func(c *Config) { c.StateDir = t.TempDir() })
	ana, bo, cy, away := nodes[0], nodes[1], nodes[2], nodes[3]
	away.stop()
	eventually(t, "one is away", func() bool { return ana.state(away) == "failed" })
	next := newToken(t)
	if err := ana.m.Remove(bo.id()); err != nil {
		t.Fatal(err)
	}
	if err := ana.m.Rotate(next, time.Hour, true); err != nil {
		t.Fatal(err)
	}
	uses := func(x *node) bool { tokens := x.m.Tokens(); return len(tokens) == 1 && tokens[0] == next }
	eventually(t, "the members use the new one, and not the old one for newcomers", func() bool { return uses(ana) && uses(cy) })

	// The old token lets the member in that was away, and not the removed one, nor a new node of its owner's.
	away.open(n, away.address)
	away.join(cy)
	another := n.start("bo-again", with(old)).join(cy)
	eventually(t, "who was away is back with the new one", func() bool {
		return uses(away) && whole([]*node{ana, cy, away}) && paired([]*node{ana, cy, away})
	})
	eventually(t, "the new node is refused in words", func() bool {
		return strings.Contains(another.log.String(), "the invite token is not that of this cluster")
	})
	eventually(t, "the removed one is told what happened", func() bool { return bo.m.View().Removed != "" })
	for _, x := range []*node{bo, another} {
		if slices.Contains(x.m.Tokens(), next) {
			t.Errorf("%s was told the new token", x.name)
		}
		for _, o := range []*node{ana, cy, away} {
			// Who was away may have met the removed one first; it hears of the removal, then ends the session.
			eventually(t, o.name+" has not let "+x.name+" in", func() bool {
				return !o.m.sessions.Connected(x.id()) && o.state(x) != "alive"
			})
		}
	}
}

func TestWhoHearsOfATokenHearsFirstWhoIsRemoved(t *testing.T) {
	t.Parallel()
	n := newNetwork(t)
	old := newToken(t)
	nodes := n.cluster(3, func(c *Config) { c.Tokens = []identity.Token{old} })
	ana, bo, cy := nodes[0], nodes[1], nodes[2]
	// A removal that reaches nobody by gossip: only the stream with the token can bring it.
	x, err := ana.cfg.Key.SignRemoval(identity.Removal{ID: bo.id(), Epoch: uint64(time.Now().UnixMilli()), ByName: "n0"})
	if err != nil {
		t.Fatal(err)
	}
	ana.m.mu.Lock()
	_, err = ana.m.roster.remove(x, time.Now())
	ana.m.mu.Unlock()
	if err != nil {
		t.Fatal(err)
	}
	next := newToken(t)
	if err := ana.m.Rotate(next, time.Hour, true); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the other has the token", func() bool { return slices.Contains(cy.m.Tokens(), next) })
	cy.m.mu.Lock()
	known := cy.m.roster.isRemoved(bo.id())
	cy.m.mu.Unlock()
	if !known {
		t.Error("it has the token and does not know who is removed")
	}
	eventually(t, "the removed one knows", func() bool { return bo.m.View().Removed != "" })
	if slices.Contains(bo.m.Tokens(), next) {
		t.Error("the removed one has the new token")
	}
}

// An old token that is for members only lets those back in who left long ago, too.
func TestWhoEverWasAMemberIsKnown(t *testing.T) {
	t.Parallel()
	who := people(t, 3)
	r := rosterOf(t, who[:2])
	now := time.Now()
	if !r.knows(who[1].id()) || r.knows(who[2].id()) {
		t.Fatal("a member is not known, or a stranger is")
	}
	if _, err := r.upsert(who[1].card(t, 2, leaving), now); err != nil {
		t.Fatal(err)
	}
	r.refresh(now, time.Second)
	r.sweep(now.Add(2*leftFor), leftFor, goneFor)
	if r.entries[who[1].id()] != nil || !r.knows(who[1].id()) {
		t.Error("who left is not known once it is off the roster")
	}
}
