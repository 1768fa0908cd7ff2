package api

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"caucus/cluster/identity"
)

func TestReplacingTheTokenTakesTheKeyAlsoOnThisMachine(t *testing.T) {
	token, err := identity.NewToken()
	if err != nil {
		t.Fatal(err)
	}
	present := identity.Token{7}
	var got identity.Token
	var kept time.Duration
	var members bool
	a := newAPI(t, &fakeNode{}, func(cfg *Config) {
		cfg.Bearer = "key"
		cfg.Rotate = func(sealed string, keep time.Duration, membersOnly bool) error {
			next, err := present.Unseal(sealed, RotateAbout(keep, membersOnly))
			if err == nil {
				got, kept, members = next, keep, membersOnly
			}
			return err
		}
	})
	here := func(key string) func(*http.Request) {
		return func(r *http.Request) {
			r.RemoteAddr, r.Host = "127.0.0.1:4000", "localhost:5001"
			if key != "" {
				r.Header.Set("Authorization", "Bearer "+key)
			}
		}
	}
	sealed := func(by identity.Token, keep time.Duration, membersOnly bool, rest string) string {
		return `{"sealed":"` + by.Seal(token, RotateAbout(keep, membersOnly)) + `"` + rest + `}`
	}
	good := sealed(present, defaultKeep, false, "")
	for _, test := range []struct {
		key, body string
		status    int
		says      string
	}{
		{"", good, 401, "also on the node's own machine"},
		{"other", good, 401, "also on the node's own machine"},
		{"key", good, 200, "old_until"},
		{"key", sealed(present, 10*time.Minute, false, `,"keep":"10m"`), 200, "old_until"},
		{"key", sealed(present, defaultKeep, true, `,"members_only":true`), 200, "old_until"},
		{"key", sealed(identity.Token{8}, defaultKeep, false, ""), 401, "not sealed with the present one"},
		{"key", sealed(present, 10*time.Minute, false, `,"keep":"11m"`), 401, "not sealed with the present one"},
		{"key", sealed(present, defaultKeep, true, `,"members_only":false`), 401, "not sealed with the present one"},
		{"key", `{"sealed":"short"}`, 401, "not sealed with the present one"},
		{"key", `{"token":"` + token.String() + `"}`, 400, "cannot be read"}, // it must not cross the wire
		{"key", sealed(present, -time.Second, false, `,"keep":"-1s"`), 400, "keep"},
		{"key", sealed(present, 9999*time.Hour, false, `,"keep":"9999h"`), 400, "keep"},
		{"key", `{"tokens":1}`, 400, "cannot be read"},
		{"key", `nonsense`, 400, "cannot be read"},
	} {
		got, kept, members = identity.Token{}, 0, false
		w := serve(a, "POST", "/invite/rotate", test.body, here(test.key))
		if w.Code != test.status || !strings.Contains(w.Body.String(), test.says) {
			t.Errorf("key %q, %s: %d %s, want %d %q", test.key, test.body, w.Code, w.Body, test.status, test.says)
		}
		if strings.Contains(w.Body.String(), token.String()) {
			t.Errorf("the answer repeats the token: %s", w.Body)
		}
		if (w.Code == 200) != (got == token) {
			t.Errorf("%s: the node was told %t", test.body, got == token)
		}
		if w.Code == 200 && members != strings.Contains(test.body, "members_only") {
			t.Errorf("%s: for members only: %v", test.body, members)
		}
		if w.Code == 200 && kept != 10*time.Minute && kept != defaultKeep {
			t.Errorf("kept for %v", kept)
		}
	}

	// From now on another key counts, and the old one for as long as the node says so.
	a.SetBearers([]string{"new", "key"})
	for key, want := range map[string]int{"new": 200, "key": 200, "other": 401} {
		if w := serve(a, "GET", "/members", "", func(r *http.Request) {
			r.RemoteAddr = "203.0.113.9:1"
			r.Header.Set("Authorization", "Bearer "+key)
		}); w.Code != want {
			t.Errorf("key %s: %d, want %d", key, w.Code, want)
		}
	}

	open := newAPI(t, &fakeNode{}, func(cfg *Config) {
		cfg.Rotate = func(string, time.Duration, bool) error { return errors.New("asked") }
	})
	if w := serve(open, "POST", "/invite/rotate", good, here("")); w.Code != 400 || !strings.Contains(w.Body.String(), "open") {
		t.Errorf("an open cluster: %d %s", w.Code, w.Body)
	}
}
