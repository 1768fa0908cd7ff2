package node_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"caucus/cluster/identity"
	"caucus/node"
	"caucus/node/api"
	"caucus/node/nodetest"
)

// smallDisk is a file system of its own with little room.
func smallDisk(t *testing.T, size string) string {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("a disk of its own needs root; run this test as root to see a full one")
	}
	dir := filepath.Join(t.TempDir(), "disk")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "mode=0700,size="+size); err != nil {
		t.Skipf("this machine does not let root mount a file system: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// fill leaves no room at all on a disk, and returns how to make some again.
func fill(t *testing.T, dir string) (free func()) {
	t.Helper()
	path := filepath.Join(dir, "ballast")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	block := make([]byte, 4096)
	for err == nil {
		_, err = f.Write(block)
	}
	if !errors.Is(err, syscall.ENOSPC) {
		t.Fatal(err)
	}
	return func() {
		if err := os.Remove(path); err != nil {
			t.Error(err)
		}
	}
}

// F17: the disk is full. Votes and membership go on, and it shows.
func TestF17DiskFull(t *testing.T) {
	disk := smallDisk(t, "1m")
	nodes := nodetest.Start(t, 3, func(i int, cfg *node.Config) {
		if i == 0 {
			cfg.StateDir = disk
		}
	})
	n := nodes[0]
	if r, err := n.Client.Ready(t.Context()); err != nil || r.Degraded != "" {
		t.Fatalf("%+v, %v", r, err)
	}
	free := fill(t, disk)
	// Every label is something to write; some fit into what the files have already.
	rows, labels := irisLabels(50)
	next := 0
	label := func() {
		_, err := n.Client.Feedback(t.Context(), rows[next:next+1], labels[next:next+1])
		next = (next + 1) % len(rows)
		if err != nil {
			t.Logf("a label is refused: %v", err)
		}
	}
	n.Wait("the disk shows", func() bool {
		label()
		r, err := n.Client.Ready(t.Context())
		return err == nil && strings.HasPrefix(r.Degraded, "storage: ")
	})
	if err := n.Client.Healthy(t.Context()); err != nil {
		t.Errorf("it is alive all the same: %v", err)
	}
	if got := series(t, n, `caucus_persist_errors_total{what="evidence"}`); got < 1 {
		t.Errorf("%v errors of the evidence", got)
	}
	for _, m := range nodes {
		r, err := m.Client.Consensus(t.Context(), []float64{5.1, 3.5, 1.4, 0.2}, api.ConsensusOptions{Wait: "all"})
		if err != nil || r.Status != "ok" || r.Counted != 3 || r.Label != "setosa" {
			t.Errorf("%s: %+v, %v", m.Name(), r, err)
		}
	}
	// Newcomers are let in, and what was not kept is kept once there is room again.
	late := nodetest.StartOne(t, 3, func(_ int, cfg *node.Config) { cfg.Join = []identity.Invite{{Address: n.URL}} })
	for _, m := range append(nodes, late) {
		m.WaitInvited(4)
	}
	free()
	n.Wait("all is kept again", func() bool {
		label()
		r, err := n.Client.Ready(t.Context())
		return err == nil && r.Degraded == ""
	})
}
