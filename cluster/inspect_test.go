package cluster

import (
	"os"
	"path/filepath"
	"testing"

	"caucus/cluster/identity"
)

func TestAStateFolderIsInspectedFromOutside(t *testing.T) {
	t.Parallel()
	n := newNetwork(t)
	dir := t.TempDir()
	k, err := identity.LoadOrCreate(dir)
	if err != nil {
		t.Fatal(err)
	}
	before, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	if r := InspectState(dir); r.Err != nil || r.InUse || r.ID != k.ID() {
		t.Errorf("before the first start: %+v", r)
	}
	if after, _ := os.ReadDir(dir); len(after) != len(before) {
		t.Errorf("the folder has %v now", after)
	}
	x := n.start("x", func(c *Config) { c.Key, c.StateDir = k, dir }).join()
	if r := InspectState(dir); r.Err != nil || !r.InUse || r.ID != k.ID() {
		t.Errorf("while it runs: %+v", r)
	}
	x.stop()
	if r := InspectState(dir); r.Err != nil || r.InUse {
		t.Errorf("after it ended: %+v", r)
	}
	if err := os.WriteFile(filepath.Join(dir, storeFile), []byte("damaged"), 0o600); err != nil {
		t.Fatal(err)
	}
	if r := InspectState(dir); r.Err != nil {
		t.Errorf("a damaged roster keeps no node from starting: %+v", r)
	}
	if err := os.WriteFile(filepath.Join(dir, "node.key"), []byte("damaged"), 0o600); err != nil {
		t.Fatal(err)
	}
	if r := InspectState(dir); r.Err == nil || r.ID != "" {
		t.Errorf("a damaged key does: %+v", r)
	}
	if r := InspectState(filepath.Join(dir, "absent")); r.Err == nil {
		t.Errorf("an absent folder: %+v", r)
	}
}
