package cluster

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"caucus/cluster/evidence"
	"caucus/cluster/session"
)

// evident makes nodes keep evidence about a task of three classes, on disk.
func evident(t *testing.T) func(*Config) {
	return func(c *Config) { c.Classes, c.StateDir = 3, t.TempDir() }
}

// label gives labels for rows from..to-1 at a node, in one go.
func (x *node) label(from, to int) {
	x.t.Helper()
	var all []evidence.Labelling
	for i := from; i < to; i++ {
		all = append(all, evidence.Labelling{Key: evidence.Key{Features: session.FeaturesDigest([]float64{float64(i)})}, Label: i % 3})
	}
	if _, err := x.m.Evidence().Append(all...); err != nil {
		x.t.Fatal(err)
	}
}

// evenWith reports whether nodes hold equal evidence of so many records.
func evenWith(records int, nodes ...*node) bool {
	for _, x := range nodes {
		s := x.m.Evidence().Snapshot()
		if s.Records() != records || s.Digest() != nodes[0].m.Evidence().Snapshot().Digest() {
			return false
		}
	}
	return true
}

func TestLabelsGivenAtOneNodeReachAll(t *testing.T) {
	t.Parallel()
	n := newNetwork(t)
	nodes := n.cluster(3, evident(t))
	nodes[0].label(0, 1) // travels whole
	took := eventually(t, "one label is everywhere", func() bool { return evenWith(1, nodes...) })
	t.Logf("one label was everywhere after %v", took)
	nodes[1].label(1, 31) // announced, then fetched
	took = eventually(t, "a batch is everywhere", func() bool { return evenWith(31, nodes...) })
	t.Logf("thirty more after %v", took)
}

func TestWhoWasAwayHasAllTheEvidenceAfterItsReturn(t *testing.T) {
	t.Parallel()
	n := newNetwork(t)
	nodes := n.cluster(3, evident(t))
	nodes[0].label(0, 10)
	eventually(t, "ten labels are everywhere", func() bool { return evenWith(10, nodes...) })
	nodes[1].stop()
	nodes[2].stop()
	nodes[0].label(10, 30)
	if err := os.Remove(filepath.Join(nodes[2].cfg.StateDir, "evidence.db")); err != nil {
		t.Fatal(err)
	}
	for _, x := range nodes[1:] {
		x.restart(n)
		x.join(nodes[0])
	}
	took := eventually(t, "all thirty are everywhere again", func() bool { return evenWith(30, nodes...) })
	t.Logf("all the evidence was back after %v", took)
}

func TestALostBroadcastIsMadeUpFor(t *testing.T) {
	t.Parallel()
	n := newNetwork(t)
	nodes := n.cluster(3, evident(t))
	// What is appended while a node is cut off is broadcast in vain; gossip need not give anybody up meanwhile.
	n.cut(nodes[:1], nodes[1:])
	nodes[0].label(0, 2)
	n.cut()
	took := eventually(t, "it came all the same", func() bool { return evenWith(2, nodes...) })
	t.Logf("after %v", took)
}

func TestEvidenceOfOtherTasksAndForgedMessagesChangesNothing(t *testing.T) {
	t.Parallel()
	n := newNetwork(t)
	nodes := n.cluster(2, evident(t))
	other := n.start("other", evident(t), func(c *Config) { c.Task = [32]byte{9} }).join(nodes[0])
	eventually(t, "the other is seen", func() bool { return nodes[0].state(other) == "alive" })
	other.label(0, 5)
	nodes[0].label(0, 1)
	r := nodes[1].m.evidence
	eventually(t, "the label is there", func() bool { return evenWith(1, nodes...) })
	record := nodes[0].m.Evidence()
	before := record.Snapshot().Digest()
	for _, b := range [][]byte{nil, {1}, {2, 3}, make([]byte, 400)} {
		r.handle(news{kind: newsBroadcast, from: nodes[0].id(), b: b})
		r.handle(news{kind: newsHeads, from: nodes[0].id(), b: b})
		r.noteHeads(b)
	}
	r.noteHeads(make([]byte, idBytes+evidence.MaxHeads+1))
	if !evenWith(1, nodes...) || nodes[1].m.Evidence().Snapshot().Digest() != before || other.m.Evidence().Snapshot().Records() != 5 {
		t.Error("the evidence changed")
	}
	// An exchange with a member of another task ends with that word.
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := nodes[0].m.dialer.connect(ctx, other.id()); err != nil {
		t.Fatal(err)
	}
	if _, err := nodes[0].m.evidence.ask(ctx, other.id()); err == nil {
		t.Error("evidence was exchanged across tasks")
	}
}

func TestWithoutClassesThereIsNoEvidence(t *testing.T) {
	t.Parallel()
	n := newNetwork(t)
	a, b := n.start("a").join(), n.start("b", evident(t))
	b.join(a)
	eventually(t, "both are there", func() bool { return whole([]*node{a, b}) && paired([]*node{a, b}) })
	if a.m.Evidence() != nil {
		t.Error("there is a log")
	}
	b.label(0, 1)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if _, err := b.m.evidence.ask(ctx, a.id()); err == nil {
		t.Error("a node without evidence exchanged some")
	}
}

func FuzzSection(f *testing.F) {
	f.Add([]byte{1, 3, 0, 0, 0, 2, 7, 7})
	f.Fuzz(func(t *testing.T, b []byte) {
		if _, _, err := parseState(b); err == nil {
			section(b, sectionEvidence)
		}
	})
}
