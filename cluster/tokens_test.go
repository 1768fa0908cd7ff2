package cluster

import (
	"bytes"
	"errors"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"caucus/cluster/identity"
	"caucus/cluster/session"
)

func newToken(t testing.TB) identity.Token {
	t.Helper()
	token, err := identity.NewToken()
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func TestANewTokenReachesAllAndTheOldOneIsGoodForAWhile(t *testing.T) {
	t.Parallel()
	n := newNetwork(t)
	old := newToken(t)
	with := func(token identity.Token) func(*Config) {
		return func(c *Config) { c.Tokens = []identity.Token{token} }
	}
	nodes := n.cluster(3, with(old), func(c *Config) { c.StateDir = t.TempDir() })
	away := nodes[2]
	away.stop()
	next := newToken(t)
	if err := nodes[0].m.Rotate(next, time.Hour, false); err != nil {
		t.Fatal(err)
	}
	uses := func(x *node, first identity.Token, count int) bool {
		tokens := x.m.Tokens()
		return len(tokens) == count && tokens[0] == first
	}
	eventually(t, "the other one uses it", func() bool { return uses(nodes[0], next, 2) && uses(nodes[1], next, 2) })

	// Who was away comes back with the old one and is told; newcomers come with either.
	away.open(n, away.address)
	away.join(nodes[1])
	late := n.start("late", with(next)).join(nodes[0])
	early := n.start("early", with(old)).join(nodes[1])
	all := append(nodes, late, early)
	eventually(t, "all are in, and use the new one", func() bool {
		for _, x := range all {
			if !uses(x, next, 2) {
				return false
			}
		}
		return whole(all) && paired(all)
	})

	// It outlives a restart, whatever the configuration says.
	away.restart(n)
	if !uses(away, next, 2) {
		t.Errorf("after a restart: %d tokens", len(away.m.Tokens()))
	}
	away.join(nodes[0])
	eventually(t, "it is back", func() bool { return whole(all) && paired(all) })

	// The next one ends both at once.
	last := newToken(t)
	if err := nodes[1].m.Rotate(last, 0, false); err != nil {
		t.Fatal(err)
	}
	eventually(t, "all use the last one alone", func() bool {
		return !slices.ContainsFunc(all, func(x *node) bool { return !uses(x, last, 1) })
	})
	wrong := n.start("wrong", with(next)).join(nodes[0])
	eventually(t, "the old one is refused in words", func() bool {
		return strings.Contains(wrong.log.String(), "the invite token is not that of this cluster")
	})
	eventually(t, "the others go on", func() bool { return whole(all) })
}

func TestAnOpenClusterHasNoTokenToReplace(t *testing.T) {
	t.Parallel()
	n := newNetwork(t)
	x := n.start("x").join()
	if err := x.m.Rotate(newToken(t), time.Hour, false); !errors.Is(err, ErrOpenCluster) {
		t.Errorf("got %v", err)
	}
}

func TestRotationsAreReadStrictly(t *testing.T) {
	t.Parallel()
	good := rotation{epoch: 7, held: []heldToken{{token: newToken(t)}, {token: newToken(t), until: time.Unix(1000, 0), membersOnly: true}}}
	b := good.encode()
	got, rest, err := parseRotation(append(bytes.Clone(b), "rest"...))
	if err != nil || string(rest) != "rest" || !bytes.Equal(got.encode(), b) || !got.held[1].membersOnly || got.epoch != 7 || len(got.held) != 2 || !got.held[1].until.Equal(time.Unix(1000, 0)) {
		t.Fatalf("%v", err)
	}
	edit := func(i int, to byte) []byte {
		c := bytes.Clone(b)
		c[i] = to
		return c
	}
	for name, bad := range map[string][]byte{
		"nothing":                    nil,
		"another version":            edit(0, 9),
		"no epoch":                   edit(8, 0),
		"a wrong count":              edit(9, 3),
		"none":                       edit(9, 0)[:rotationHead],
		"cut short":                  b[:len(b)-1],
		"the first ending":           edit(rotationHead+7, 1),
		"the first for members only": edit(rotationHead+8, 1),
		"unknown flags":              edit(rotationHead+heldBytes+8, 2),
		"an absurd end":              edit(rotationHead+heldBytes, 0xff),
	} {
		if _, _, err := parseRotation(bad); err == nil {
			t.Errorf("%s was taken", name)
		}
	}
	// As it was before there were flags.
	old := append([]byte{1}, b[1:rotationHead]...)
	for _, h := range good.held {
		x := rotation{held: []heldToken{h}}.encode()[rotationHead:]
		old = append(append(old, x[:8]...), x[9:]...)
	}
	if got, rest, err := parseRotation(old); err != nil || len(rest) != 0 || len(got.held) != 2 || got.held[1].token != good.held[1].token || got.held[1].membersOnly {
		t.Errorf("version 1: %v", err)
	}
	future := rotation{epoch: uint64(time.Now().Add(2 * maxEpochAhead).UnixMilli()), held: good.held}
	n := newNetwork(t)
	token := newToken(t)
	x := n.start("x", func(c *Config) { c.Tokens = []identity.Token{token} })
	y := n.start("y", func(c *Config) { c.Tokens = []identity.Token{token} })
	x.join()
	y.join(x)
	eventually(t, "both", func() bool { return whole([]*node{x, y}) })
	y.m.mu.Lock()
	y.m.rotation = future
	y.m.mu.Unlock()
	y.m.tellTokens(x.id())
	eventually(t, "it is said", func() bool { return strings.Contains(x.log.String(), "from the future") })
	if tokens := x.m.Tokens(); len(tokens) != 1 || tokens[0] != token {
		t.Error("a rotation from the future was taken")
	}
}

// A node that is alone without a token may get one, when a tunnel comes to lead to it; one that is not would shut the
// others out.
func TestOnlyWhoIsAloneGetsAFirstToken(t *testing.T) {
	t.Parallel()
	n := newNetwork(t)
	first, second := newToken(t), newToken(t)
	pair := n.cluster(2)
	if err := pair[0].m.Protect(first); !errors.Is(err, ErrNotAlone) || len(pair[0].m.Tokens()) != 0 {
		t.Errorf("one of two: %v, %d tokens", err, len(pair[0].m.Tokens()))
	}
	told := make(chan []identity.Token, 1)
	alone := n.start("alone", func(c *Config) { c.OnTokens = func(all []identity.Token) { told <- all } }).join()
	if err := alone.m.Protect(first); err != nil {
		t.Fatal(err)
	}
	if all := <-told; len(all) != 1 || all[0] != first {
		t.Errorf("told of %d tokens", len(all))
	}
	if err := alone.m.Protect(second); err != nil || alone.m.Tokens()[0] != first {
		t.Errorf("a second first token was taken: %v", err)
	}
	stranger := n.start("stranger").join(alone)
	eventually(t, "who has no token is refused in words", func() bool { return strings.Contains(stranger.log.String(), "asks for an invite token") })
	friend := n.start("friend", func(c *Config) { c.Tokens = []identity.Token{first} })
	friend.join(alone)
	eventually(t, "who has it is in", func() bool { return whole([]*node{alone, friend}) })
}

func TestWhoComesThroughATunnelIsRefusedWhileThereIsNoToken(t *testing.T) {
	t.Parallel()
	n := newNetwork(t)
	x := n.start("a", func(c *Config) { c.ThisMachineOnly = true }).join()
	target, err := url.Parse(x.url)
	if err != nil {
		t.Fatal(err)
	}
	tunnel := httptest.NewServer(&httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(target)
		r.SetXForwarded()
	}})
	t.Cleanup(tunnel.Close)
	stranger := n.start("stranger")
	var refused *session.RefusedError
	_, err = stranger.m.sessions.Dial(t.Context(), tunnel.URL, "", nil)
	if !errors.As(err, &refused) || !strings.Contains(refused.Reason, "no token") {
		t.Errorf("through the tunnel: %v", err)
	}
	if _, err := stranger.m.sessions.Dial(t.Context(), x.url, "", nil); err != nil {
		t.Errorf("from this machine: %v", err)
	}
}

// The keys that open a node's local routes are derived from the tokens that are good.
func TestItIsToldWhenTheTimeOfATokenIsOver(t *testing.T) {
	t.Parallel()
	n := newNetwork(t)
	told := make(chan []identity.Token, 16)
	x := n.cluster(1, func(c *Config) {
		c.Tokens = []identity.Token{{1}}
		c.OnTokens = func(tokens []identity.Token) { told <- tokens }
	})[0]
	next := newToken(t)
	if err := x.m.Rotate(next, 300*time.Millisecond, false); err != nil {
		t.Fatal(err)
	}
	for both := 0; ; {
		switch tokens := <-told; {
		case len(tokens) == 2 && tokens[0] == next && tokens[1] == identity.Token{1}:
			both++
		case len(tokens) == 1 && tokens[0] == next:
			if both == 0 {
				t.Error("the old token was no good at once")
			}
			return
		default:
			t.Fatalf("%d tokens", len(tokens))
		}
	}
}
