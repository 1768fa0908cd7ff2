package node_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"

	"caucus/internal/testlog"
	"caucus/ml"
	"caucus/node"
	"caucus/node/api"
	"caucus/node/nodetest"
)

// again starts a node that has stopped, with its state and at its address.
func again(t *testing.T, i int, m *nodetest.Member, options ...nodetest.Option) *nodetest.Member {
	t.Helper()
	config, address := m.Config, m.Addr()
	return nodetest.Launch(t, i, append([]nodetest.Option{func(_ int, cfg *node.Config) { *cfg = config; cfg.Listen = address }}, options...)...)
}

func TestDamagedEvidenceIsSetAsideAndComesBackFromTheOthers(t *testing.T) {
	nodes := nodetest.Start(t, 3, keep(t))
	rows, labels := irisLabels(40)
	for i, m := range nodes { // evidence of each, not only of one
		if _, err := m.Client.Feedback(t.Context(), rows[10*i:10*i+10], labels[10*i:10*i+10]); err != nil {
			t.Fatal(err)
		}
	}
	even(t, 30, nodes...)
	want := weights(t, nodes[0])
	path := filepath.Join(nodes[2].Config.StateDir, "evidence.db")
	log := nodes[2].Cluster().Evidence()
	raws, err := log.Raw(log.Snapshot())
	if err != nil || len(raws) != 30 {
		t.Fatalf("%d records, %v", len(raws), err)
	}
	for name, damage := range map[string]func([]byte) []byte{
		"a bit of a record": func(b []byte) []byte {
			at := bytes.Index(b, raws[15])
			if at < 0 {
				t.Fatal("the record is not in the file")
			}
			b[at+200] ^= 4
			return b
		},
		"cut short": func(b []byte) []byte { return b[:len(b)/2] },
	} {
		if err := nodes[2].Stop(); err != nil {
			t.Fatal(err)
		}
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, damage(b), 0o600); err != nil {
			t.Fatal(err)
		}
		var written testlog.Buffer
		nodes[2] = again(t, 2, nodes[2], func(_ int, cfg *node.Config) {
			cfg.Log = slog.New(slog.NewTextHandler(&written, nil))
		})
		even(t, 30, nodes...)
		if got := weights(t, nodes[2]); !reflect.DeepEqual(got, want) {
			t.Errorf("%s: weights of %+v became %+v", name, want, got)
		}
		if aside := setAside(t, nodes[2]); len(aside) != 1 || !strings.HasPrefix(aside[0], "evidence.db.corrupt-") {
			t.Errorf("%s: /readyz says %q was set aside", name, aside)
		}
		if !strings.Contains(written.String(), "the evidence on disk is damaged; it was set aside") {
			t.Errorf("%s: the log does not say so: %s", name, written.String())
		}
	}
	// What came back is on disk again, and a good file is left alone.
	if err := nodes[2].Stop(); err != nil {
		t.Fatal(err)
	}
	nodes[2] = again(t, 2, nodes[2])
	even(t, 30, nodes...)
	if aside := setAside(t, nodes[2]); len(aside) != 0 {
		t.Errorf("/readyz says %q was set aside", aside)
	}
}

// setAside returns what /readyz says of damaged files, once the node is ready.
func setAside(t *testing.T, m *nodetest.Member) (names []string) {
	t.Helper()
	m.Wait("it is ready", func() bool {
		r, err := m.Client.Ready(t.Context())
		if err == nil {
			names = r.SetAside
		}
		return err == nil
	})
	return names
}

// TestALabellerWhoseChainForksIsExcludedEverywhere puts an old copy of a node's evidence back. Its key then signs
// numbers anew that the others have, and says something else under them.
func TestALabellerWhoseChainForksIsExcludedEverywhere(t *testing.T) {
	nodes := nodetest.Start(t, 3, keep(t))
	rows, labels := irisLabels(9)
	give := func(m *nodetest.Member, from, to int) error {
		_, err := m.Client.Feedback(t.Context(), rows[from:to], labels[from:to])
		return err
	}
	if err := give(nodes[2], 0, 3); err != nil {
		t.Fatal(err)
	}
	even(t, 3, nodes...)
	nodes[2].Kill()
	path := filepath.Join(nodes[2].Config.StateDir, "evidence.db")
	old, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	nodes[2] = again(t, 2, nodes[2])
	nodes[2].WaitInvited(3)
	if err := give(nodes[2], 3, 5); err != nil {
		t.Fatal(err)
	}
	even(t, 5, nodes...)
	for _, m := range nodes {
		m.Kill()
	}
	if err := os.WriteFile(path, old, 0o600); err != nil {
		t.Fatal(err)
	}
	// Had it met anybody before its next label, it would have its chain back.
	nodes[2] = again(t, 2, nodes[2])
	if err := give(nodes[2], 5, 6); err != nil {
		t.Fatal(err)
	}
	for i := range 2 {
		nodes[i] = again(t, i, nodes[i])
	}
	culprit := string(nodes[2].ID())
	for _, m := range nodes {
		m.Wait("the forked chain counts nowhere", func() bool {
			w := weights(t, m)
			return w.Labels == 0 && len(w.Labellers) == 1 && w.Labellers[0].ID == culprit && !w.Labellers[0].Counts && w.Labellers[0].Excluded != ""
		})
		t.Logf("%s: %s", m.Name(), weights(t, m).Labellers[0].Excluded)
	}
	if p := problem(t, give(nodes[2], 6, 7)); p.Status != 409 || p.Kind() != api.NoEvidence || !strings.Contains(p.Message, "an old copy of its evidence was put back") {
		t.Errorf("%+v", p)
	}
	// Others go on, it votes as before, and it learns from them.
	nodes[0].WaitInvited(3)
	if err := give(nodes[0], 6, 9); err != nil {
		t.Fatal(err)
	}
	for _, m := range nodes {
		m.Wait("the weights of the three labels that count", func() bool {
			own, first := weights(t, m), weights(t, nodes[0])
			own.Labellers, first.Labellers = nil, nil // each tells of the proof that it found first
			return own.Labels == 3 && reflect.DeepEqual(own, first)
		})
	}
	nodes[0].Wait("all three vote", func() bool { return counted(t, nodes[0]) == 3 })
}

func TestANodeThatWasAwayHasAllLabelsSoonAfterItIsBack(t *testing.T) {
	nodes := nodetest.Start(t, 3, keep(t))
	nodes[2].Kill()
	nodes[0].WaitState(nodes[2].Name(), "failed")
	var rows [][]float64
	var labels []string
	for i := range 300 { // 300 rows of two labellers, more than a broadcast carries and than one frame holds
		rows, labels = append(rows, []float64{float64(i), 1, 2, 3}), append(labels, []string{"setosa", "versicolor", "virginica"}[i%3])
	}
	for i := range 3 {
		if _, err := nodes[i%2].Client.Feedback(t.Context(), rows[100*i:100*i+100], labels[100*i:100*i+100]); err != nil {
			t.Fatal(err)
		}
	}
	even(t, 300, nodes[:2]...)
	nodes[2] = again(t, 2, nodes[2])
	even(t, 300, nodes...)
	if w := weights(t, nodes[2]); len(w.Labellers) != 2 || w.Labellers[0].Records+w.Labellers[1].Records != 300 {
		t.Errorf("%+v", w.Labellers)
	}
}

// TestTwoOfFiveNodesThatAreLateChangeNoLabel: they hang until all rounds have been answered. (make bench has
// how fast that is when they answer after two seconds.)
func TestTwoOfFiveNodesThatAreLateChangeNoLabel(t *testing.T) {
	release := make(chan struct{})
	answer := sync.OnceFunc(func() { close(release) })
	defer answer()
	late := func(i int) nodetest.Option {
		m := nodetest.Constant(ml.Kind(fmt.Sprintf("late%d", i)), 1) // versicolor, whatever the row
		m.IsQuick, m.Before = false, func() { <-release }
		return nodetest.ModelOf(i, m)
	}
	nodes := nodetest.Start(t, 5, late(3), late(4), patient)
	for _, m := range nodes[:2] {
		m.Wait("it has sessions with all", func() bool { return len(m.Cluster().Sessions()) == 4 })
	}
	rows := [][]float64{setosa, {6.3, 2.8, 5.1, 1.5}, {6.7, 3.1, 5.6, 2.4}} // on each of which the other three agree
	var early []string
	for k, row := range rows {
		for i, m := range nodes[:2] {
			r, err := m.Client.Consensus(t.Context(), row, api.ConsensusOptions{})
			if err != nil {
				t.Fatal(err)
			}
			o := outcomes(r.Votes)
			if !r.DecidedEarly || r.Counted != 3 || r.Invited != 5 || o["n3-late3"] != "pending" || o["n4-late4"] != "pending" {
				t.Errorf("row %d at %s: %+v", k, m.Name(), r)
			}
			if i == 0 {
				early = append(early, r.Label)
			} else if r.Label != early[k] {
				t.Errorf("row %d: %s at one node, %s at the other", k, early[k], r.Label)
			}
		}
	}
	answer()
	for k, row := range rows {
		nodes[0].Wait("all five vote", func() bool {
			r, err := nodes[0].Client.Consensus(t.Context(), row, api.ConsensusOptions{Wait: "all"})
			if err != nil || r.Counted != 5 {
				return false
			}
			if r.Label != early[k] || r.DecidedEarly {
				t.Errorf("row %d: %s early, and with all votes %+v", k, early[k], r)
			}
			return true
		})
	}
}
