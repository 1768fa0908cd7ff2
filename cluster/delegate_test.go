package cluster

import (
	"strings"
	"testing"

	"github.com/hashicorp/memberlist"

	"caucus/cluster/gossip"
	"caucus/cluster/identity"
)

func TestAliveMessagesAreBelievedOnlyWithACardThatFits(t *testing.T) {
	t.Parallel()
	n := newNetwork(t)
	x := n.start("a").join()
	d := &delegate{x.m}
	p, q := newPerson(t, "p"), newPerson(t, "q")
	x.m.learn(p.card(t, 5))
	node := func(name, address identity.ID, card []byte) *memberlist.Node {
		a := address.Placeholder().As16()
		return &memberlist.Node{Name: string(name), Addr: a[:], Port: gossip.Port, Meta: card}
	}
	forged := []byte(string(p.card(t, 6).Signed))
	forged[len(forged)-1] ^= 1
	for name, c := range map[string]struct {
		node *memberlist.Node
		want string
	}{
		"good":                           {node(p.id(), p.id(), p.card(t, 6).Signed), ""},
		"the same again":                 {node(p.id(), p.id(), p.card(t, 6).Signed), ""},
		"a name that is no id":           {node("mallory", p.id(), p.card(t, 6).Signed), "an id has"},
		"another's card":                 {node(p.id(), p.id(), q.card(t, 9).Signed), "the card of"},
		"another's address":              {node(p.id(), q.id(), p.card(t, 7).Signed), "does not belong"},
		"no card":                        {node(p.id(), p.id(), nil), "card"},
		"a forged card":                  {node(p.id(), p.id(), forged), "signature"},
		"an older card (replay)":         {node(p.id(), p.id(), p.card(t, 4).Signed), "older"},
		"this node: refuted, not vetoed": {node(x.id(), x.id(), nil), ""},
	} {
		if name == "an older card (replay)" {
			x.m.learn(p.card(t, 6))
		}
		err := d.NotifyAlive(c.node)
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %q", name, err, c.want)
		}
	}
	wrongPort := node(p.id(), p.id(), p.card(t, 8).Signed)
	wrongPort.Port = 80
	if err := d.NotifyAlive(wrongPort); err == nil {
		t.Error("a card at another port was believed")
	}
}

func TestALaterCardOfTheOwnKeyIsOutrun(t *testing.T) {
	t.Parallel()
	n := newNetwork(t)
	x := n.start("a").join()
	before := x.m.card.Load().Sequence
	twin := person{key: x.cfg.Key, name: "a", cards: map[uint64]identity.Card{}}
	x.m.learn(twin.card(t, before+1000))
	if after := x.m.card.Load().Sequence; after != before+1001 {
		t.Errorf("sequence %d after a card of %d", after, before+1000)
	}
	x.m.learn(twin.card(t, before+5000))
	if after := x.m.card.Load().Sequence; after != before+1001 {
		t.Error("two with one key chase each other without a pause")
	}
}

func TestASlowDiskStopsNothing(t *testing.T) {
	t.Parallel()
	n := newNetwork(t)
	dir := t.TempDir()
	x := n.start("a", func(c *Config) { c.StateDir = dir }).join()
	tx, err := x.m.store.db.Begin(true) // the disk takes for ever
	if err != nil {
		t.Fatal(err)
	}
	y := n.start("b").join(x)
	eventually(t, "both are whole while nothing can be written", func() bool { return whole([]*node{x, y}) })
	if err := tx.Rollback(); err != nil {
		t.Fatal(err)
	}
	x.stop()
	s, err := openStore(dir, silent)
	if err != nil {
		t.Fatal(err)
	}
	defer s.close()
	if s.last.cards[y.id()] == nil {
		t.Fatal("the member was not saved at the end")
	}
}

func TestAFailingDiskIsToldAndHarmsNothingElse(t *testing.T) {
	t.Parallel()
	n := newNetwork(t)
	x := n.start("a", func(c *Config) { c.StateDir = t.TempDir() }).join()
	x.m.store.db.Close()
	y := n.start("b").join(x)
	eventually(t, "both are whole", func() bool { return whole([]*node{x, y}) })
	eventually(t, "the failure is shown", func() bool { return x.m.StorageError() != nil })
	if !strings.Contains(x.log.String(), "the roster is not kept") {
		t.Error("the failure is not in the log")
	}
	roster, _ := x.m.Unsaved()
	if s := x.m.Stats(); roster == 0 || s.Direct != 1 || s.Relayed != 0 {
		t.Errorf("%d failed writes, %+v", roster, s)
	}
}

func TestAMemberThatLostItsKeyIsFoundAtItsURL(t *testing.T) {
	t.Parallel()
	n := newNetwork(t)
	nodes := n.cluster(3)
	lost := nodes[0]
	lost.stop()
	old := lost.id()
	key, err := identity.Generate()
	if err != nil {
		t.Fatal(err)
	}
	lost.cfg.Key = key
	lost.open(n, lost.address)
	lost.join() // knows nobody
	eventually(t, "the others find it", func() bool {
		return nodes[1].state(lost) == "alive" && nodes[2].state(lost) == "alive" && lost.state(nodes[2]) == "alive"
	})
	eventually(t, "its old self has failed", func() bool {
		m, ok := nodes[1].m.View().Find(old)
		return ok && m.State == Failed
	})
}
