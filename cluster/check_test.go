package cluster

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"caucus/cluster/identity"
	"caucus/cluster/reach"
	"caucus/cluster/session"
)

func TestAPeersClockIsComparedOverTheSession(t *testing.T) {
	t.Parallel()
	n := newNetwork(t)
	a := n.start("a").join()
	late := n.start("late", func(c *Config) { c.Now = func() time.Time { return time.Now().Add(-10 * time.Minute) } }).join(a)
	hidden := n.hidden("hidden").join(a)
	all := []*node{a, late, hidden}
	eventually(t, "whole", func() bool { return whole(all) && paired(all) })
	near := func(got Clock, want time.Duration) bool {
		off := got.Ahead - want
		return got.Error > 0 && off <= got.Error && off >= -got.Error
	}
	for _, pair := range []struct {
		from, to *node
		want     time.Duration
	}{{a, late, -10 * time.Minute}, {late, a, 10 * time.Minute}, {a, hidden, 0}, {hidden, late, -10 * time.Minute}} {
		c, err := pair.from.m.Clock(t.Context(), pair.to.id())
		if err != nil || !near(c, pair.want) {
			t.Errorf("%s of %s: %+v, %v", pair.from.name, pair.to.name, c, err)
		}
	}
	if _, err := a.m.Clock(t.Context(), n.start("nobody").id()); !errors.Is(err, session.ErrNoSession) {
		t.Errorf("of one that there is no session with: %v", err)
	}
}

func TestAPeerSaysWhetherThisNodesURLWorks(t *testing.T) {
	t.Parallel()
	n := newNetwork(t)
	a := n.start("a").join()
	b := n.start("b").join(a)
	nowhere, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	nowhere.Close()
	wrong := n.start("wrong", func(c *Config) { c.URL = "http://" + nowhere.Addr().String() }).join(a)
	all := []*node{a, b, wrong}
	eventually(t, "whole", func() bool { return whole(all) && paired(all) })

	if url, err := b.m.Reached(t.Context(), a.id()); err != nil || url != b.url {
		t.Errorf("%q, %v", url, err)
	}
	if _, err := b.m.Reached(t.Context(), a.id()); !errors.Is(err, reach.ErrAskLater) {
		t.Errorf("again at once: %v", err)
	}
	if _, err := wrong.m.Reached(t.Context(), b.id()); !errors.Is(err, reach.ErrNotReached) || !strings.Contains(err.Error(), "nobody answers there") {
		t.Errorf("a URL that leads nowhere: %v", err)
	}
	if _, err := b.m.Reached(t.Context(), n.start("nobody").id()); !errors.Is(err, session.ErrNoSession) {
		t.Errorf("%v", err)
	}
}

func TestWhatIsNoCheckIsAnsweredAndBounded(t *testing.T) {
	t.Parallel()
	n := newNetwork(t)
	a := n.start("a").join()
	b := n.start("b").join(a)
	eventually(t, "paired", func() bool { return paired([]*node{a, b}) })
	conn, err := b.m.sessions.Open(t.Context(), a.id(), session.StreamCheck)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(patience))
	if status, content, err := b.m.check(t.Context(), conn, 99); err != nil || status != checkNo || len(content) == 0 {
		t.Errorf("%d %q %v", status, content, err)
	}
	for range 2 * maxChecks {
		if _, err = conn.Write([]byte{checkVersion, checkClock}); err != nil {
			break
		}
	}
	answers, err := io.ReadAll(conn)
	if err != nil || len(answers) > maxChecks*(3+8) {
		t.Errorf("%d bytes of answers, %v", len(answers), err)
	}
}

// signedAs is a card whose name no node of ours would sign, rightly signed.
func signedAs(t *testing.T, k *identity.Key, name string) []byte {
	t.Helper()
	c, err := k.SignCard(identity.Card{Name: "ana", Model: "knn", Sequence: 1})
	if err != nil {
		t.Fatal(err)
	}
	body := c.Signed[:len(c.Signed)-ed25519.SignatureSize]
	body = bytes.Replace(body, []byte("\x03ana"), append([]byte{byte(len(name))}, name...), 1)
	return append(bytes.Clone(body), k.Sign(append([]byte("caucus card v1\x00"), body...))...)
}

// stranger is a node that is not one of ours: it shows what it likes.
func stranger(t *testing.T, hello func(k *identity.Key) []byte, tokens ...identity.Token) (*session.Manager, identity.ID) {
	t.Helper()
	k, err := identity.Generate()
	if err != nil {
		t.Fatal(err)
	}
	m, err := session.New(session.Config{Key: k, Tokens: func(identity.ID) []identity.Token { return tokens }, Hello: func(identity.ID) []byte { return hello(k) }, Responder: responder{}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = m.Close() })
	return m, k.ID()
}

func TestWhoIsTurnedAwayIsShownWithTheReason(t *testing.T) {
	t.Parallel()
	n := newNetwork(t)
	right, _ := identity.NewToken()
	wrong, _ := identity.NewToken()
	a := n.start("a", func(c *Config) { c.Tokens = []identity.Token{right} }).join()
	for name, c := range map[string]struct {
		hello  func(k *identity.Key) []byte
		tokens []identity.Token
		says   string
	}{
		"a name that is none": {func(k *identity.Key) []byte { return append([]byte{helloVersion}, signedAs(t, k, "Ana\x1b[31m")...) }, []identity.Token{right}, "name"},
		"a version to come":   {func(k *identity.Key) []byte { return []byte{helloVersion + 1} }, []identity.Token{right}, "update the older"},
		"another token":       {func(k *identity.Key) []byte { return nil }, []identity.Token{wrong}, "token is not that of this cluster"},
		"no token":            {func(k *identity.Key) []byte { return nil }, nil, "asks for an invite token"},
	} {
		m, id := stranger(t, c.hello, c.tokens...)
		if _, err := m.Dial(t.Context(), a.url, "", nil); err == nil {
			t.Errorf("%s: let in", name)
		}
		eventually(t, name+" is shown", func() bool {
			x, ok := a.m.View().Find(id)
			return ok && x.State == Refused && strings.Contains(x.Reason, c.says) && !strings.ContainsAny(x.Reason+x.Name, "\x1b")
		})
	}
	if a.counted() != 1 {
		t.Errorf("%d count", a.counted())
	}
}

func TestStrangersPushOutOneAnotherAndNobodyElse(t *testing.T) {
	t.Parallel()
	n := newNetwork(t)
	a := n.start("a").join()
	b := n.start("b").join(a)
	eventually(t, "whole", func() bool { return whole([]*node{a, b}) && paired([]*node{a, b}) })
	a.m.refuse(identity.Card{ID: "proven"}, errors.New("the cluster is full"))
	for i := range 10 * maxTurnedAway {
		a.m.stranger(identity.ID(fmt.Sprintf("stranger-%03d", i)), "203.0.113.7:999", "the invite token is not that of this cluster: ask")
	}
	a.m.stranger(b.id(), "203.0.113.7:999", "an old token")
	a.m.mu.Lock()
	a.m.publishLocked()
	a.m.mu.Unlock()
	v := a.m.View()
	if want := 2 + 1 + maxTurnedAway; len(v.Members) != want {
		t.Errorf("%d are shown, want %d", len(v.Members), want)
	}
	if x, ok := v.Find(identity.ID(fmt.Sprintf("stranger-%03d", 10*maxTurnedAway-1))); !ok || x.Reason != "turned away: the invite token is not that of this cluster (it came from 203.0.113.7)" {
		t.Errorf("the last: %+v", x)
	}
	if x, _ := v.Find(b.id()); x.State != Alive || x.Reason != "" {
		t.Errorf("a member: %+v", x)
	}
	if _, ok := v.Find("proven"); !ok {
		t.Error("one that was refused later on is gone")
	}
}

func TestWhatBecameOfEachInviteIsKnown(t *testing.T) {
	t.Parallel()
	n := newNetwork(t)
	right, _ := identity.NewToken()
	wrong, _ := identity.NewToken()
	a := n.start("a", func(c *Config) { c.Tokens = []identity.Token{right} }).join()
	nowhere, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	nowhere.Close()
	x := n.start("x")
	if err := x.m.Join(context.Background(), []identity.Invite{
		{Address: "http://" + nowhere.Addr().String()}, {Address: a.url, Token: &wrong}, {Address: x.url},
	}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "each has been tried", func() bool {
		s := x.m.Invites()
		return len(s) == 2 && s[0].Reason != "" && s[1].Reason != ""
	})
	for _, s := range x.m.Invites() {
		if s.Joined || s.Since.IsZero() || s.Refused != (s.Address == a.url) {
			t.Errorf("%+v", s)
		}
	}
	y := n.start("y").join(a)
	eventually(t, "joined", func() bool { s := y.m.Invites(); return len(s) == 1 && s[0].Joined })
}
