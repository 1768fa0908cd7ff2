package cluster

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"caucus/cluster/identity"
	"caucus/cluster/session"
)

// hide makes a node one that nobody can dial: it has no URL, and its listener is closed.
func (n *network) hidden(name string, edit ...func(*Config)) *node {
	n.t.Helper()
	x := n.start(name, edit...)
	x.stop()
	x.cfg.URL, x.cfg.ListenPort = "", 0
	var err error
	if x.m, err = New(x.cfg); err != nil {
		n.t.Fatal(err)
	}
	x.stopped = false
	return x
}

func (x *node) via(o *node) identity.ID {
	m, _ := x.m.View().Find(o.id())
	return m.Via
}

func TestHiddenNodesReachEachOtherThroughARelay(t *testing.T) {
	t.Parallel()
	n := newNetwork(t)
	hub := n.start("hub").join()
	a, b := n.hidden("a").join(hub), n.hidden("b").join(hub)
	all := []*node{hub, a, b}
	took := eventually(t, "whole, with a session for each pair", func() bool { return whole(all) && paired(all) })
	t.Logf("after %v", took)
	eventually(t, "all see who relays for whom", func() bool {
		for _, x := range all {
			m, _ := x.m.View().Find(hub.id())
			if x.via(a) != hub.id() || x.via(b) != hub.id() || x.via(hub) != "" || len(m.Carries) != 2 {
				return false
			}
		}
		return true
	})
	if got := a.m.card.Load().URL; got != hub.url+"/via/"+string(a.id()) {
		t.Errorf("the URL of a is %q", got)
	}
	out, err := a.m.Ask(t.Context(), b.id(), []byte("through"), nil)
	if err != nil || !strings.Contains(string(out), "through") {
		t.Fatalf("%q, %v", out, err)
	}
	p, ok := a.m.sessions.Peer(b.id())
	if !ok || !relayed(p) || identity.ID(p.Remote) != hub.id() {
		t.Errorf("the session of a with b: %+v", p)
	}
}

func TestHiddenNodesMoveWhenTheirRelayDies(t *testing.T) {
	t.Parallel()
	n := newNetwork(t)
	hubs := []*node{n.start("h0"), n.start("h1")}
	hubs[0].join()
	hubs[1].join(hubs[0])
	a, b := n.hidden("a").join(hubs[0]), n.hidden("b").join(hubs[1])
	all := append(hubs, a, b)
	eventually(t, "whole, with relays", func() bool {
		return whole(all) && paired(all) && a.via(a) != "" && b.via(b) != "" && a.via(b) != "" && b.via(a) != ""
	})
	dead, left := hubs[0], hubs[1]
	if a.via(a) == left.id() {
		dead, left = left, dead
	}
	dead.stop()
	rest := []*node{left, a, b}
	took := eventually(t, "both are with the other relay", func() bool {
		return a.via(a) == left.id() && b.via(a) == left.id() && b.via(b) == left.id() && paired(rest)
	})
	t.Logf("moved after %v", took)
	eventually(t, "the dead one has failed, and only it", func() bool {
		for _, x := range rest {
			if x.state(dead) != "failed" {
				return false
			}
		}
		return true
	})
	if out, err := a.m.Ask(t.Context(), b.id(), []byte("still"), nil); err != nil || !strings.Contains(string(out), "still") {
		t.Errorf("%q, %v", out, err)
	}
}

func TestADirectURLIsTakenAgainWhenThereIsOne(t *testing.T) {
	t.Parallel()
	n := newNetwork(t)
	hub := n.start("hub").join()
	x := n.start("x")
	own := x.url
	x.stop()
	x.cfg.URL, x.cfg.ListenPort = "", 0
	x.open2(t, n)
	x.join(hub)
	eventually(t, "relayed", func() bool { return hub.via(x) == hub.id() })
	if err := x.m.SetURL(own); err != nil {
		t.Fatal(err)
	}
	eventually(t, "direct", func() bool {
		m, _ := hub.m.View().Find(x.id())
		return m.URL == own && m.Via == ""
	})
}

// open2 serves at the old address without a URL.
func (x *node) open2(t *testing.T, n *network) {
	t.Helper()
	x.cfg.URL = x.url // open fills it in where there is none
	x.open(n, x.address)
	x.srv.Close()
	x.m.Shutdown()
	x.cfg.URL = ""
	var err error
	if x.m, err = New(x.cfg); err != nil {
		t.Fatal(err)
	}
	x.stopped = false
}

// via serves what a node serves at /via/{id}, as package api does.
func viaHandler(m *Membership) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/via/{id}/gossip", func(w http.ResponseWriter, r *http.Request) {
		if err := m.ServeVia(w, r, r.PathValue("id")); err != nil {
			http.Error(w, err.Error(), http.StatusNotFound)
		}
	})
	mux.Handle("GET /gossip", m.Handler())
	return mux
}

func TestNewcomersAndOutsidersComeThroughTheRelay(t *testing.T) {
	t.Parallel()
	token, err := identity.NewToken()
	if err != nil {
		t.Fatal(err)
	}
	n := newNetwork(t)
	with := func(c *Config) { c.Tokens = []identity.Token{token} }
	hub := n.start("hub", with).join()
	front := httptest.NewServer(viaHandler(hub.m))
	t.Cleanup(front.Close)
	a := n.hidden("a", with).join(hub)
	all := []*node{hub, a}
	eventually(t, "whole", func() bool { return whole(all) && paired(all) })

	// An outsider's request in HTTP.
	web := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "%s %s from %s", r.Method, r.URL.Path, r.RemoteAddr)
	})}
	go web.Serve(a.m.Relayed())
	t.Cleanup(func() { web.Close() })
	client := &http.Client{Transport: hub.m.RelayTransport(), Timeout: 10 * time.Second}
	res, err := client.Get("http://" + string(a.id()) + "/predict")
	if err != nil {
		t.Fatal(err)
	}
	body, _ := io.ReadAll(res.Body)
	res.Body.Close()
	if want := "GET /predict from " + string(hub.id()); string(body) != want {
		t.Errorf("got %q, want %q", body, want)
	}
	for _, id := range []string{string(hub.id()), "nobody", strings.Repeat("a", 32)} {
		if err := hub.m.Carries(id); !errors.Is(err, ErrNotRelayed) {
			t.Errorf("the relay carries %s: %v", id, err)
		}
	}
	if err := hub.m.Carries(string(a.id())); err != nil {
		t.Errorf("the relay does not carry a: %v", err)
	}

	// A newcomer that was given the hidden node's URL, and one with a wrong token.
	stranger, _ := identity.NewToken()
	wrong := n.hidden("wrong", func(c *Config) { c.Tokens = []identity.Token{stranger} })
	at := front.URL + "/via/" + string(a.id())
	if err := wrong.m.joinURL(t.Context(), at, []identity.Token{stranger}); err == nil || !strings.Contains(err.Error(), "token") {
		t.Errorf("a wrong token: %v", err)
	}
	late := n.hidden("late")
	if err := late.m.Join(context.Background(), []identity.Invite{{Address: at, Token: &token}}); err != nil {
		t.Fatal(err)
	}
	all = append(all, late)
	eventually(t, "the newcomer is in", func() bool { return whole(all) && paired(all) })
}

func TestARelayRefusesWhomItDoesNotKnowAndTooMuch(t *testing.T) {
	t.Parallel()
	n := newNetwork(t)
	hub := n.start("hub").join()
	a, b := n.hidden("a").join(hub), n.hidden("b").join(hub)
	all := []*node{hub, a, b}
	eventually(t, "whole", func() bool { return whole(all) && paired(all) })

	ask := func(want byte, rest string) error {
		conn, err := a.m.relays.open(t.Context(), hub.id(), want, []byte(rest)...)
		if err != nil {
			return err
		}
		defer conn.Close()
		return answered(conn)
	}
	for name, test := range map[string]struct {
		want byte
		rest string
		says string
	}{
		"nobody":           {relayPass, strings.Repeat("a", 32), "no member of that id"},
		"no id":            {relayPass, strings.Repeat("!", 32), "no node's id"},
		"the asker itself": {relayPass, string(a.id()), "your own id"},
		"the relay itself": {relayPass, string(hub.id()), "no member of that id"},
		"something else":   {99, "", "does not know"},
	} {
		if err := ask(test.want, test.rest); err == nil || !strings.Contains(err.Error(), test.says) {
			t.Errorf("%s: %v, want %q", name, err, test.says)
		}
	}
	// Somebody with a session who is no member: its card was not let in.
	if err := b.m.relays.m.through(t.Context(), hub.id(), "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"); err == nil {
		t.Error("a session with nobody")
	}

	// Streams are limited for each member.
	held := 0
	for {
		done, err := hub.m.relays.take(a.id(), b.id(), false)
		if err != nil {
			if !strings.Contains(err.Error(), "too much") {
				t.Error(err)
			}
			break
		}
		defer done()
		if held++; held > maxSplicesOf {
			t.Fatal("no limit")
		}
	}
	if err := ask(relayPass, string(b.id())); err == nil || !strings.Contains(err.Error(), "too much") {
		t.Errorf("one too many: %v", err)
	}
	if out, err := a.m.Ask(t.Context(), b.id(), []byte("goes on"), nil); err != nil || !strings.Contains(string(out), "goes on") {
		t.Errorf("what stands: %q, %v", out, err)
	}
}

func TestARelayedSessionDoesNotChain(t *testing.T) {
	t.Parallel()
	if relayed(session.Peer{Remote: "10.0.0.1:5001"}) || !relayed(session.Peer{Remote: strings.Repeat("a", 32)}) {
		t.Fatal("relayed")
	}
	n := newNetwork(t)
	hub := n.start("hub").join()
	a, b, c := n.hidden("a").join(hub), n.hidden("b").join(hub), n.hidden("c").join(hub)
	all := []*node{hub, a, b, c}
	eventually(t, "whole", func() bool { return whole(all) && paired(all) })
	// a reaches b only through hub, and may not be anybody's relay to it.
	if err := c.m.through(t.Context(), a.id(), b.id()); err == nil || !strings.Contains(err.Error(), "no member of that id is connected") {
		t.Errorf("got %v", err)
	}
}

func TestAMemberWhoseOwnURLDoesNotWorkFromHereIsReachedThroughAnother(t *testing.T) {
	t.Parallel()
	n := newNetwork(t)
	var barred sync.Map // addresses that a and b cannot dial
	far := func(c *Config) {
		dial := c.DialContext
		c.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
			if _, yes := barred.Load(address); yes {
				return nil, &net.OpError{Op: "dial", Net: network, Err: syscall.ECONNREFUSED}
			}
			return dial(ctx, network, address)
		}
	}
	hub, a, b := n.start("hub").join(), n.start("a", far), n.start("b", far)
	// Both are reached by hub and not by each other, as on two networks.
	barred.Store(a.address, true)
	barred.Store(b.address, true)
	a.join(hub)
	b.join(hub)
	all := []*node{hub, a, b}
	eventually(t, "whole, with a session for each pair", func() bool { return whole(all) && paired(all) })
	if p, ok := a.m.sessions.Peer(b.id()); !ok || !relayed(p) {
		t.Fatalf("a has b at %+v", p)
	}
	// A new URL that works takes the relay's place. The smaller id dials.
	mover, other := b, a
	if b.id() < a.id() {
		mover, other = a, b
	}
	moved := strings.Replace(mover.url, "127.0.0.1", "localhost", 1)
	n.mu.Lock()
	n.owner[strings.TrimPrefix(moved, "http://")] = mover.name
	n.mu.Unlock()
	if err := mover.m.SetURL(moved); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the session is direct", func() bool {
		p, ok := other.m.sessions.Peer(mover.id())
		return ok && !relayed(p)
	})
}
