package node_test

import (
	"bytes"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"caucus/cluster/identity"
	"caucus/internal/testlog"
	"caucus/node"
	"caucus/node/api"
	"caucus/node/nodetest"
)

// TestF18DamagedState: what lies in the state folder is not what was written there. The node starts, sets it
// aside, and has roster and evidence again from the others.
func TestF18DamagedState(t *testing.T) {
	dir := t.TempDir()
	nodes := nodetest.Start(t, 2)
	var log testlog.Buffer
	start := func() *nodetest.Member {
		n := nodetest.Launch(t, 2, func(_ int, cfg *node.Config) {
			cfg.StateDir = dir
			cfg.Join = []identity.Invite{{Address: nodes[0].URL}}
			cfg.Log = slog.New(slog.NewTextHandler(&log, nil))
		})
		n.Wait("all three vote", func() bool { return counted(t, n) == 3 })
		return n
	}
	third := start()
	id := third.ID()
	r, err := third.Client.Consensus(t.Context(), setosa, api.ConsensusOptions{Wait: "all"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := third.Client.FeedbackRound(t.Context(), r.Round, "setosa"); err != nil {
		t.Fatal(err)
	}
	evidence := func(n *nodetest.Member) string {
		r, err := n.Client.Consensus(t.Context(), setosa, api.ConsensusOptions{Wait: "all"})
		if err != nil {
			return ""
		}
		return r.Evidence
	}
	want := evidence(third)
	nodes[0].Wait("the label is everywhere", func() bool { return evidence(nodes[0]) == want && want != "" })
	files, err := filepath.Glob(filepath.Join(dir, "*.db"))
	if err != nil || len(files) == 0 {
		t.Fatalf("%v %v", files, err)
	}
	if err := third.Stop(); err != nil {
		t.Fatal(err)
	}
	sound := map[string][]byte{}
	for _, f := range files {
		if sound[f], err = os.ReadFile(f); err != nil {
			t.Fatal(err)
		}
	}
	for name, damage := range map[string]func(path string, b []byte) error{
		"cut short": func(path string, b []byte) error { return os.WriteFile(path, b[:len(b)/3], 0o600) },
		"bits flipped": func(path string, b []byte) error {
			b = bytes.Clone(b)
			for i := range b {
				b[i] ^= 0xff
			}
			return os.WriteFile(path, b, 0o600)
		},
		"empty": func(path string, _ []byte) error { return os.WriteFile(path, nil, 0o600) },
		"a gigabyte of nothing": func(path string, _ []byte) error {
			if err := os.WriteFile(path, nil, 0o600); err != nil {
				return err
			}
			return os.Truncate(path, 1<<30) // sparse
		},
		"a gigabyte after what was there": func(path string, b []byte) error {
			if err := os.WriteFile(path, b, 0o600); err != nil {
				return err
			}
			return os.Truncate(path, 1<<30)
		},
	} {
		for _, f := range files {
			if err := damage(f, sound[f]); err != nil {
				t.Fatal(err)
			}
		}
		again := start()
		if again.ID() != id {
			t.Errorf("%s: it is another node now", name)
		}
		again.Wait(name+": the evidence is back", func() bool { return evidence(again) == want })
		aside, _ := filepath.Glob(filepath.Join(dir, "*.corrupt-*"))
		if whole := name == "empty" || name == "a gigabyte after what was there"; !whole && len(aside) != len(files) {
			t.Errorf("%s: set aside: %v of %v", name, aside, files)
		}
		if err := again.Stop(); err != nil {
			t.Fatal(err)
		}
		for _, f := range aside {
			if err := os.Remove(f); err != nil {
				t.Fatal(err)
			}
		}
	}
	if !strings.Contains(log.String(), "set aside") {
		t.Error("the log does not say that anything was set aside")
	}
}

// TestF18DamagedKey: a key cannot be learnt again, and a new one would be another member. So it is fatal.
func TestF18DamagedKey(t *testing.T) {
	dir := t.TempDir()
	option := func(_ int, cfg *node.Config) { cfg.StateDir = dir }
	first := nodetest.StartOne(t, 0, option)
	if err := first.Stop(); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "node.key")
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		t.Fatal("the key lies elsewhere, so this test shows nothing")
	}
	for name, text := range map[string]string{"empty": "", "nonsense": "this is no key\n", "binary": "\x00\xff\x13"} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		cfg := nodetest.Config(0)
		option(0, &cfg)
		n, err := node.New(t.Context(), cfg)
		if err == nil {
			n.Close()
			t.Errorf("%s: the node has a new key, and is another", name)
			continue
		}
		if text := err.Error(); !strings.Contains(text, path) || strings.Contains(text, "\n") {
			t.Errorf("%s: %v", name, err)
		}
		t.Log(err)
		if b, _ := os.ReadFile(path); string(b) != text {
			t.Errorf("%s: the key was written over", name)
		}
	}
}
