package evidence

import (
	"bytes"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.etcd.io/bbolt"

	"caucus/cluster/identity"
)

func onDisk(dir string) func(*Config) { return func(c *Config) { c.StateDir = dir } }

// filled makes a store with two origins' chains, a proof and votes, closes it, and
// returns its owner, its folder and a peer that has all the same.
func filled(t testing.TB) (key *identity.Key, dir string, peer *node) {
	t.Helper()
	key, dir, peer = newKey(t), t.TempDir(), newNode(t)
	n := open(t, key, onDisk(dir))
	voter := newKey(t)
	for i := range 8 {
		k := rowKey(i+1, i)
		n.label(t, k, i%3, vote(voter, key.ID(), k, i%3, 0, One, 0))
	}
	peer.labels(t, 100, 110)
	eve := newKey(t)
	r := forge(t, eve, nil, nil)
	peer.receive(t, r, Stored)
	peer.receive(t, forge(t, eve, nil, func(r *Record) { r.Label = 1 }), Fork)
	syncLogs(t, n, peer)
	equalEvidence(t, n, peer)
	if err := n.Close(); err != nil {
		t.Fatal(err)
	}
	return key, dir, peer
}

func TestAStoreHoldsWhatItHeldWhenItIsOpenedAgain(t *testing.T) {
	key, dir, peer := filled(t)
	n := open(t, key, onDisk(dir))
	equalEvidence(t, n, peer)
	if n.SetAside() != "" {
		t.Fatalf("a good file was set aside as %s", n.SetAside())
	}
	if !bytes.Equal(n.Snapshot().Heads(), peer.Snapshot().Heads()) {
		t.Fatal("other heads, so the excluded origin is forgotten")
	}
	r := n.label(t, rowKey(50, 1), 1)
	if r.Sequence != 9 {
		t.Fatalf("its chain goes on with %d", r.Sequence)
	}
	peer.receive(t, r, Stored)
	equalEvidence(t, n, peer)
	info, err := os.Stat(filepath.Join(dir, fileName))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("%v, %v", info.Mode(), err)
	}
}

func TestANewIdentityOnAnOldStoreBeginsAChainOfItsOwn(t *testing.T) {
	_, dir, peer := filled(t)
	n := open(t, newKey(t), onDisk(dir))
	equalEvidence(t, n, peer)
	if r := n.label(t, rowKey(50, 1), 1); r.Sequence != 1 {
		t.Fatalf("number %d", r.Sequence)
	}
}

func TestAnotherTaskInTheSameFolderIsKeptApart(t *testing.T) {
	key, dir, peer := filled(t)
	other := open(t, key, func(c *Config) { c.StateDir, c.Task, c.Classes = dir, [32]byte{9}, 5 })
	if other.Snapshot().Records() != 0 {
		t.Fatal("records of another task")
	}
	other.labels(t, 0, 3)
	other.Close()
	equalEvidence(t, open(t, key, onDisk(dir)), peer)
}

func TestAStoreInUseIsRefusedWithTheRemedy(t *testing.T) {
	key, dir, _ := filled(t)
	n := open(t, key, onDisk(dir))
	_, err := Open(Config{Key: key, Task: testTask, Classes: testClasses, StateDir: dir})
	if !errors.Is(err, ErrInUse) || !strings.Contains(err.Error(), "another state folder") {
		t.Fatal(err)
	}
	n.label(t, rowKey(50, 1), 1) // and the one that has it goes on
}

func TestAClosedLogSaysSo(t *testing.T) {
	n := newNode(t)
	n.label(t, rowKey(0, 1), 1)
	n.Close()
	if _, err := n.Append(Labelling{Key: rowKey(0, 2)}); !errors.Is(err, ErrClosed) {
		t.Fatal(err)
	}
	if _, err := n.Receive(forge(t, newKey(t), nil, nil).Raw); !errors.Is(err, ErrClosed) {
		t.Fatal(err)
	}
	if n.Snapshot().Records() != 1 {
		t.Fatal("the snapshot is gone")
	}
}

func TestADamagedStoreIsSetAsideAndRebuiltFromAPeer(t *testing.T) {
	flip := func(find []byte, bit byte) func(testing.TB, []byte) []byte {
		return func(t testing.TB, b []byte) []byte {
			i := bytes.LastIndex(b, find)
			if i < 0 {
				t.Fatal("not found")
			}
			b[i+len(find)-1] ^= bit
			return b
		}
	}
	for name, damage := range map[string]func(testing.TB, []byte) []byte{
		"cut in half":             func(_ testing.TB, b []byte) []byte { return b[:len(b)/2] },
		"cut to one page":         func(_ testing.TB, b []byte) []byte { return b[:4096] },
		"cut to a few bytes":      func(_ testing.TB, b []byte) []byte { return b[:100] },
		"all zeros":               func(_ testing.TB, b []byte) []byte { return make([]byte, len(b)) },
		"text":                    func(_ testing.TB, b []byte) []byte { return bytes.Repeat([]byte("damage "), 3000) },
		"both meta pages damaged": func(_ testing.TB, b []byte) []byte { b[64] ^= 1; b[4096+64] ^= 1; return b },
		"pages of noise": func(_ testing.TB, b []byte) []byte {
			for i := 2 * 4096; i < len(b); i++ {
				b[i] = byte(i * 31)
			}
			return b
		},
		"page headers damaged": func(_ testing.TB, b []byte) []byte {
			for i := 2 * 4096; i < len(b); i += 4096 {
				b[i+8] ^= 0xff
			}
			return b
		},
		"one bit of a row's digest": func(t testing.TB, b []byte) []byte {
			k := rowKey(7, 6)
			return flip(k.Features[:], 1)(t, b)
		},
		"one bit of the last record of a chain": func(t testing.TB, b []byte) []byte {
			k := rowKey(8, 7)
			return flip(k.Features[:], 1)(t, b)
		},
	} {
		t.Run(name, func(t *testing.T) {
			key, dir, peer := filled(t)
			path := filepath.Join(dir, fileName)
			whole, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			bad := damage(t, bytes.Clone(whole))
			if err := os.WriteFile(path, bad, 0o600); err != nil {
				t.Fatal(err)
			}
			var said bytes.Buffer
			n := open(t, key, func(c *Config) { c.StateDir, c.Log = dir, slog.New(slog.NewTextHandler(&said, nil)) })
			if n.SetAside() == "" {
				if name == "page headers damaged" || name == "pages of noise" {
					t.Fatalf("opened, with %d records", n.Snapshot().Records())
				}
				t.Fatal("not set aside")
			}
			if !strings.HasPrefix(n.SetAside(), path+".corrupt-") {
				t.Fatalf("set aside as %s", n.SetAside())
			}
			if kept, err := os.ReadFile(n.SetAside()); err != nil || !bytes.Equal(kept, bad) {
				t.Fatalf("the damaged file was not kept as it was: %v", err)
			}
			if !strings.Contains(said.String(), "set aside") || !strings.Contains(said.String(), "level=WARN") {
				t.Fatalf("logged %q", said.String())
			}
			n.label(t, rowKey(60, 1), 1) // before any peer has told it of its old chain
			syncLogs(t, n, peer)
			equalEvidence(t, n, peer)
			if n.Snapshot().Records() != 19 || n.Snapshot().Proof(key.ID()) != nil {
				t.Fatalf("%d records", n.Snapshot().Records())
			}
		})
	}
}

func TestAnEmptyFileIsAFreshStore(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, fileName), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	n := open(t, newKey(t), onDisk(dir))
	n.label(t, rowKey(0, 1), 1)
}

func TestACrashLeavesTheStateBeforeOrAfterACommit(t *testing.T) {
	key, dir := newKey(t), t.TempDir()
	path := filepath.Join(dir, fileName)
	n := open(t, key, onDisk(dir))
	read := func() []byte {
		t.Helper()
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	reopen := func(b []byte) string {
		t.Helper()
		other := t.TempDir()
		if err := os.WriteFile(filepath.Join(other, fileName), b, 0o600); err != nil {
			t.Fatal(err)
		}
		m := open(t, key, onDisk(other))
		defer m.Close()
		if m.SetAside() != "" {
			t.Fatal("set aside")
		}
		return replayText(m.Snapshot())
	}
	for i := range 12 {
		before, was := read(), replayText(n.Snapshot())
		n.labels(t, i*7, i*7+7)
		after, is := read(), replayText(n.Snapshot())
		// Never closed, as after a kill.
		if got := reopen(after); got != is {
			t.Fatalf("commit %d is lost", i)
		}
		// Killed after the data pages were written and before the meta page was, which
		// bbolt writes last.
		if len(before) >= 2*4096 {
			torn := append(bytes.Clone(before[:2*4096]), after[2*4096:]...)
			if got := reopen(torn); got != was {
				t.Fatalf("torn commit %d: got\n%s\nwant\n%s", i, got, was)
			}
		}
	}
}

// failingStore fails to commit when told to.
type failingStore struct {
	store
	fail error
}

func (s *failingStore) commit(c *changes) error {
	if s.fail != nil {
		return s.fail
	}
	return s.store.commit(c)
}

func TestWhatCannotBeWrittenDoesNotCountAndForksNothing(t *testing.T) {
	a, b := newNode(t), newNode(t)
	a.labels(t, 0, 3)
	fs := &failingStore{store: a.store}
	a.store = fs
	before := a.Snapshot()
	a.out.take()
	fs.fail = errors.Join(ErrStore, errors.New("no space left on device"))
	if _, err := a.Append(Labelling{Key: rowKey(0, 7), Label: 1}); !errors.Is(err, ErrStore) {
		t.Fatal(err)
	}
	r := forge(t, b.key, nil, nil)
	if outcome, err := a.Receive(r.Raw); outcome != Refused || !errors.Is(err, ErrStore) {
		t.Fatalf("%v, %v", outcome, err)
	}
	if a.Snapshot() != before || len(a.out.take()) != 0 {
		t.Fatal("something changed or was told")
	}
	fs.fail = nil
	if got := a.label(t, rowKey(0, 7), 2); got.Sequence != 4 {
		t.Fatalf("number %d", got.Sequence)
	}
	a.receive(t, r, Stored)
	syncLogs(t, b, a)
	if b.Snapshot().Proof(a.key.ID()) != nil || a.Snapshot().Records() != 5 {
		t.Fatal("the failed write left a trace")
	}
}

func TestTheFileDoesNotGrowForEver(t *testing.T) {
	key, dir := newKey(t), t.TempDir()
	n := open(t, key, onDisk(dir))
	for from := 0; from < 4000; from += 1000 {
		n.labels(t, from, from+1000)
	}
	info, err := os.Stat(filepath.Join(dir, fileName))
	if err != nil || info.Size() > 4<<20 {
		t.Fatalf("%d bytes for 1,000 records of 249 bytes, %v", info.Size(), err)
	}
	err = n.store.(*boltStore).db.View(func(tx *bbolt.Tx) error {
		if k := tx.Bucket(n.store.(*boltStore).task).Bucket(recordsBucket).Stats().KeyN; k != MaxKept {
			t.Errorf("%d records on disk", k)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestConfigIsChecked(t *testing.T) {
	k := newKey(t)
	for name, cfg := range map[string]Config{
		"no key":           {Classes: 3},
		"no classes":       {Key: k},
		"too many classes": {Key: k, Classes: MaxClasses + 1},
		"a file for a folder": {Key: k, Classes: 3, StateDir: func() string {
			p := filepath.Join(t.TempDir(), "file")
			if err := os.WriteFile(p, []byte("x"), 0o600); err != nil {
				t.Fatal(err)
			}
			return p
		}()},
	} {
		if _, err := Open(cfg); err == nil {
			t.Errorf("%s: opened", name)
		}
	}
}
