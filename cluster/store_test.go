package cluster

import (
	"bytes"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

var silent = slog.New(slog.DiscardHandler)

func TestStoreKeepsWhatIsWrittenAndDropsWhatIsNot(t *testing.T) {
	dir := t.TempDir()
	s, err := openStore(dir, silent)
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(filepath.Join(dir, storeFile))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("mode %v, %v", info.Mode(), err)
	}
	a, b := newPerson(t, "ana"), newPerson(t, "bo")
	first := newSaved()
	first.sequence, first.everPeer = 41, true
	first.cards[a.id()] = append(make([]byte, 8), a.card(t, 1).Signed...)
	first.cards[b.id()] = append(make([]byte, 8), b.card(t, 1).Signed...)
	first.tombs[b.id()] = tombstone{sequence: 3, at: time.Now()}
	if !s.differs(first) {
		t.Fatal("no difference seen")
	}
	if err := s.write(first); err != nil {
		t.Fatal(err)
	}
	second := newSaved()
	second.sequence, second.everPeer = 42, true
	second.cards[a.id()] = first.cards[a.id()]
	if err := s.write(second); err != nil {
		t.Fatal(err)
	}
	if s.differs(second) {
		t.Fatal("what was just written differs")
	}
	s.close()
	s, err = openStore(dir, silent)
	if err != nil {
		t.Fatal(err)
	}
	defer s.close()
	if s.differs(second) {
		t.Fatalf("read back: %+v", s.last)
	}
}

func TestAStateFolderInUseIsRefusedWithTheRemedy(t *testing.T) {
	dir := t.TempDir()
	s, err := openStore(dir, silent)
	if err != nil {
		t.Fatal(err)
	}
	defer s.close()
	_, err = openStore(dir, silent)
	if !errors.Is(err, ErrStateInUse) || !strings.Contains(err.Error(), "--state-dir") || !strings.Contains(err.Error(), dir) {
		t.Fatalf("got %v", err)
	}
}

func TestADamagedStoreIsSetAsideAndBegunAnew(t *testing.T) {
	whole := func(t *testing.T, dir string) []byte {
		s, err := openStore(dir, silent)
		if err != nil {
			t.Fatal(err)
		}
		next := newSaved()
		for _, p := range people(t, 40) {
			next.cards[p.id()] = append(make([]byte, 8), p.card(t, 1).Signed...)
		}
		if err := s.write(next); err != nil {
			t.Fatal(err)
		}
		s.close()
		b, err := os.ReadFile(filepath.Join(dir, storeFile))
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	for name, damage := range map[string]func([]byte) []byte{
		"text":           func([]byte) []byte { return []byte("this is no database") },
		"random":         func([]byte) []byte { return bytes.Repeat([]byte{0xa5}, 1<<16) },
		"zeros":          func(b []byte) []byte { return make([]byte, len(b)) },
		"cut to a page":  func(b []byte) []byte { return b[:os.Getpagesize()] },
		"cut to 3 pages": func(b []byte) []byte { return b[:3*os.Getpagesize()] },
		"body flipped": func(b []byte) []byte {
			for i := 2 * os.Getpagesize(); i < len(b); i++ {
				b[i] ^= 0xff
			}
			return b
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			path := filepath.Join(dir, storeFile)
			if err := os.WriteFile(path, damage(whole(t, dir)), 0o600); err != nil {
				t.Fatal(err)
			}
			var log bytes.Buffer
			s, err := openStore(dir, slog.New(slog.NewTextHandler(&log, nil)))
			if err != nil {
				t.Fatal(err)
			}
			defer s.close()
			aside, _ := filepath.Glob(path + ".corrupt-*")
			if len(aside) != 1 || !strings.Contains(log.String(), "set aside") {
				t.Fatalf("set aside: %v; log: %s", aside, log.String())
			}
			next := newSaved()
			next.sequence = 1
			if err := s.write(next); err != nil {
				t.Fatal(err)
			}
		})
	}
}

func TestAnEmptyFileIsANewStore(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, storeFile), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := openStore(dir, silent)
	if err != nil {
		t.Fatal(err)
	}
	s.close()
}

func TestNoStateFolderKeepsNothing(t *testing.T) {
	s, err := openStore("", silent)
	if s != nil || err != nil {
		t.Fatal(s, err)
	}
}
