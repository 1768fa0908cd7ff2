package evidence

import (
	"bytes"
	"encoding/hex"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"caucus/internal/testkey"
)

var update = flag.Bool("update", false, "write testdata/vectors.txt anew; only for a new version of the format")

// TestVectors holds the format to testdata/vectors.txt, so that two versions of the
// program, or another program, agree on every byte. Signatures are deterministic
// (RFC 8032), so they are part of it.
func TestVectors(t *testing.T) {
	labeller, knn, svm := testkey.OfSeed(t, 1), testkey.OfSeed(t, 2), testkey.OfSeed(t, 3)
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
