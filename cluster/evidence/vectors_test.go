package evidence

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/hex"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"caucus/cluster/identity"
)

var update = flag.Bool("update", false, "write testdata/vectors.txt anew; only for a new version of the format")

// seedKey makes the key of a seed of 32 equal bytes, by way of a key file.
func seedKey(t testing.TB, b byte) *identity.Key {
	t.Helper()
	seed := bytes.Repeat([]byte{b}, ed25519.SeedSize)
	id := identity.IDOf(ed25519.NewKeyFromSeed(seed).Public().(ed25519.PublicKey))
	dir := t.TempDir()
	text := fmt.Sprintf("caucus node key v1, secret\nid %s\nseed %s\n", id, base64.StdEncoding.EncodeToString(seed))
	if err := os.WriteFile(filepath.Join(dir, "node.key"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	k, err := identity.LoadOrCreate(dir)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// TestVectors holds the format to testdata/vectors.txt, so that two versions of the
// program, or another program, agree on every byte. Signatures are deterministic
// (RFC 8032), so they are part of it.
func TestVectors(t *testing.T) {
	labeller, knn, svm := seedKey(t, 1), seedKey(t, 2), seedKey(t, 3)
	n := newNode(t)
	key := rowKey(1, 1)
	first := forge(t, labeller, nil, func(r *Record) {
		r.Round, r.Features, r.Label = key.Round, key.Features, 2
		r.Votes = []Vote{vote(knn, labeller.ID(), key, 2, 0, 200_000, 800_000), vote(svm, labeller.ID(), key, 1)}
		r.Total = uint64(r.Size())
	})
	second := forge(t, labeller, first, func(r *Record) { r.Features = rowKey(0, 2).Features })
	twin := forge(t, labeller, first, func(r *Record) { r.Features, r.Label = rowKey(0, 2).Features, 1 })
	n.receive(t, first, Stored)
	n.receive(t, second, Stored)
	digest := n.Snapshot().Digest()
	got := []struct {
		name  string
		bytes []byte
	}{
		{"record-1", first.Raw},
		{"record-1-hash", first.Hash[:]},
		{"record-2", second.Raw},
		{"record-2-hash", second.Hash[:]},
		{"heads", n.Snapshot().Heads()},
		{"digest", digest[:]},
		{"proof", mustProof(t, second, twin).Raw},
		{"notice", proofNotice(mustProof(t, second, twin))},
		{"announcement", announce([]*Record{first, second})[0]},
	}
	path := filepath.Join("testdata", "vectors.txt")
	if *update {
		var b strings.Builder
		b.WriteString("# Format version 1, in hex. Keys have seeds of 32 equal bytes: labeller 01, voters 02 and 03. See vectors_test.go.\n")
		for _, g := range got {
			fmt.Fprintf(&b, "%s %x\n", g.name, g.bytes)
		}
		if err := os.WriteFile(path, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string][]byte{}
	for line := range strings.Lines(string(text)) {
		if name, h, ok := strings.Cut(strings.TrimSpace(line), " "); ok && !strings.HasPrefix(name, "#") {
			if want[name], err = hex.DecodeString(h); err != nil {
				t.Fatal(err)
			}
		}
	}
	if len(want) != len(got) {
		t.Fatalf("%d vectors in the file, %d here", len(want), len(got))
	}
	for _, g := range got {
		if !bytes.Equal(g.bytes, want[g.name]) {
			t.Errorf("%s is\n%x, want\n%x", g.name, g.bytes, want[g.name])
		}
	}
	// And what is in the file is read, checked and gives the same evidence.
	m := newNode(t)
	for _, name := range []string{"record-1", "record-2"} {
		if outcome, err := m.Receive(want[name]); outcome != Stored {
			t.Fatalf("%s: %v, %v", name, outcome, err)
		}
	}
	equalEvidence(t, n, m)
	if outcome, err := m.ReceiveProof(want["proof"]); outcome != Fork {
		t.Fatalf("proof: %v, %v", outcome, err)
	}
}
