package identity

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
)

func TestKeyIsMadeOnceAndReadAgain(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state", "ana")
	first, err := LoadOrCreate(dir)
	if err != nil {
		t.Fatal(err)
	}
	second, err := LoadOrCreate(dir)
	if err != nil {
		t.Fatal(err)
	}
	if first.ID() != second.ID() || !first.Public().Equal(second.Public()) {
		t.Fatalf("%s, then %s", first.ID(), second.ID())
	}
	names, err := os.ReadDir(dir)
	if err != nil || len(names) != 1 {
		t.Fatalf("temporary files stayed behind: %v, %v", names, err)
	}
	if runtime.GOOS != "windows" {
		for path, want := range map[string]os.FileMode{dir: 0o700, filepath.Join(dir, "node.key"): 0o600} {
			if info, err := os.Stat(path); err != nil || info.Mode().Perm() != want {
				t.Errorf("%s: mode %v, %v; want %v", path, info.Mode().Perm(), err, want)
			}
		}
	}
}

func TestProcessesThatStartTogetherGetOneKey(t *testing.T) {
	dir := t.TempDir()
	ids := make([]ID, 8)
	var wg sync.WaitGroup
	for i := range ids {
		wg.Go(func() {
			k, err := LoadOrCreate(dir)
			if err != nil {
				t.Error(err)
				return
			}
			ids[i] = k.ID()
		})
	}
	wg.Wait()
	for _, id := range ids {
		if id != ids[0] {
			t.Fatalf("different keys: %v", ids)
		}
	}
}

func TestDamagedKeyIsRefusedAndLeftAlone(t *testing.T) {
	good := encodeKey(mustKey(t))
	lines := strings.SplitAfter(string(good), "\n")
	other := strings.SplitAfter(string(encodeKey(mustKey(t))), "\n")
	flipped := bytes.Clone(good)
	i := bytes.Index(flipped, []byte("seed ")) + 10
	if flipped[i]++; flipped[i] > 'z' || flipped[i] == ':' || flipped[i] == '[' {
		flipped[i] = 'A'
	}
	for name, b := range map[string]string{
		"empty":                 "",
		"cut short":             string(good[:len(good)-10]),
		"garbage":               "\x00\xff\x10garbage",
		"a bit flipped":         string(flipped),
		"another node's seed":   lines[0] + lines[1] + other[2],
		"a line more":           string(good) + "x\n",
		"far too long":          string(good) + strings.Repeat("x", 1<<16),
		"carriage returns":      strings.ReplaceAll(string(good), "\n", "\r\n"),
		"a seed of other bytes": lines[0] + lines[1] + "seed AAAA\n",
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			path := filepath.Join(dir, "node.key")
			if err := os.WriteFile(path, []byte(b), 0o600); err != nil {
				t.Fatal(err)
			}
			_, err := LoadOrCreate(dir)
			if !errors.Is(err, ErrKey) || !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), "move it away") {
				t.Fatalf("got %v; want ErrKey with the file and the remedy", err)
			}
			if seed := strings.TrimSpace(strings.TrimPrefix(lines[2], "seed ")); strings.Contains(err.Error(), seed[:16]) {
				t.Fatalf("the error gives the seed away: %v", err)
			}
			after, err := os.ReadFile(path)
			if err != nil || string(after) != b {
				t.Fatalf("the file was changed: %v", err)
			}
		})
	}
}

func TestWidelyReadableKeyIsRefused(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("Windows has no such bits")
	}
	for _, mode := range []os.FileMode{0o644, 0o640, 0o660, 0o604, 0o622} {
		dir := t.TempDir()
		if _, err := LoadOrCreate(dir); err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(dir, "node.key")
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		if _, err := LoadOrCreate(dir); !errors.Is(err, ErrKey) || !strings.Contains(err.Error(), "chmod 600 "+path) {
			t.Errorf("mode %o: %v", mode, err)
		}
	}
}

func TestKeyThatIsNoFileIsRefused(t *testing.T) {
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "node.key"), 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := LoadOrCreate(dir); !errors.Is(err, ErrKey) {
		t.Errorf("a folder: %v", err)
	}
	dir = t.TempDir()
	if err := os.Symlink(filepath.Join(dir, "nowhere"), filepath.Join(dir, "node.key")); err != nil {
		t.Skip("no symbolic links here")
	}
	if _, err := LoadOrCreate(dir); !errors.Is(err, ErrKey) {
		t.Errorf("a link to nowhere: %v", err)
	}
}

func TestIDs(t *testing.T) {
	k := mustKey(t)
	id, err := ParseID(string(k.ID()))
	if err != nil || id != IDOf(k.Public()) {
		t.Fatalf("%s, %v", id, err)
	}
	for _, bad := range []string{"", "abc", strings.Repeat("A", 32), strings.Repeat("a", 31) + "1", strings.Repeat("a", 33), strings.Repeat("a", 31) + "\n"} {
		if _, err := ParseID(bad); err == nil {
			t.Errorf("%q was taken for an id", bad)
		}
	}
	a := id.Placeholder()
	if !netip.MustParsePrefix("fd00::/8").Contains(a) || a == mustKey(t).ID().Placeholder() || a != id.Placeholder() {
		t.Errorf("placeholder %s", a)
	}
	if id.Short() != string(id[:4]) || ID("ab").Short() != "ab" {
		t.Error("Short")
	}
}

func TestCertificateCarriesTheKey(t *testing.T) {
	k := mustKey(t)
	cert, err := k.Certificate()
	if err != nil {
		t.Fatal(err)
	}
	id, pub, err := OfCertificate(cert.Leaf)
	if err != nil || id != k.ID() || !pub.Equal(k.Public()) {
		t.Fatalf("%s, %v", id, err)
	}
	if !ed25519.Verify(pub, []byte("x"), k.Sign([]byte("x"))) {
		t.Fatal("its signature does not hold")
	}
}
