//go:build unix

package main

import (
	"bytes"
	"strings"
	"syscall"
	"testing"
)

func TestWatchShowsWhatChanges(t *testing.T) {
	first := start(t, "serve", "--model", "knn", "--listen", "127.0.0.1:0", "--state-dir", "none")
	address := first.untilSaid(`address +(http://\S+)`)[1]
	watch := start(t, "members", "--watch", "--node", address)
	if page := watch.until("is the node that was asked"); strings.Contains(page, "svm") || strings.Contains(page, "\x1b") {
		t.Errorf("at first it showed\n%s", page)
	}
	asJSON := start(t, "members", "--watch", "--json", "--node", address)
	asJSON.until(`"name":"knn"`)
	second := start(t, "serve", "--model", "svm", "--listen", "127.0.0.1:0", "--state-dir", "none", "--join", address)
	watch.until("2 members, 2 voters")
	asJSON.until(`"name":"svm"`)
	second.end(syscall.SIGTERM)
	watch.until("left")
	// A node that is away is waited for. Ctrl-C is how watching ends.
	first.end(syscall.SIGTERM)
	watch.untilSaid(`no node answers at .*; still trying`)
	for _, p := range []*process{watch, asJSON} {
		if code, _ := p.end(syscall.SIGINT); code != 0 {
			t.Errorf("Ctrl-C: exit code %d\n%s", code, p.stderr)
		}
	}
	if code, _, stderr := caucus(t, "", "members", "--watch", "--node", address); code != 1 || !strings.Contains(stderr, "Try: ") {
		t.Errorf("watching nobody: exit code %d\n%s", code, stderr)
	}
}

func TestAScreenShowsPagesInPlace(t *testing.T) {
	var out bytes.Buffer
	s := &screen{w: &out, on: true}
	s.show([]byte("one\ntwo\n"))
	s.show([]byte("three\n"))
	if want := "\x1b[2J\x1b[Hone\x1b[K\ntwo\x1b[K\n\x1b[J" + "\x1b[Hthree\x1b[K\n\x1b[J"; out.String() != want {
		t.Errorf("%q, want %q", out.String(), want)
	}
	out.Reset()
	s = &screen{w: &out}
	s.show([]byte("one\n"))
	s.show([]byte("two\n"))
	if want := "one\n\ntwo\n"; out.String() != want {
		t.Errorf("where no cursor moves: %q, want %q", out.String(), want)
	}
}
