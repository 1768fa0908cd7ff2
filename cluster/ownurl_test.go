package cluster

import (
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"caucus/cluster/identity"
	"caucus/cluster/reach"
	"caucus/cluster/session"
)

// A node that listens beyond its machine learns its URL from the peer that it joined, and where
// that peer meets somebody else at the port it goes through a relay instead.
func TestDialBackFindsTheURLOrARelayIsTaken(t *testing.T) {
	t.Parallel()
	n := newNetwork(t)
	hub := n.start("hub").join()
	x := n.start("x")
	_, port, _ := net.SplitHostPort(x.address)
	x.stop()
	x.cfg.URL, x.cfg.ListenPort = "", atoi(port)
	x.open(n, x.address)
	x.join(hub)
	eventually(t, "found by dial-back", func() bool {
		x.m.locator.mu.Lock()
		found := x.m.locator.backURL
		x.m.locator.mu.Unlock()
		m, _ := hub.m.View().Find(x.id())
		return found == x.url && m.URL == x.url
	})

	// This one says the port of the hub: somebody answers there, but not it.
	y := n.start("y")
	_, port, _ = net.SplitHostPort(hub.address)
	y.stop()
	y.cfg.URL, y.cfg.ListenPort = "", atoi(port)
	var err error
	if y.m, err = New(y.cfg); err != nil {
		t.Fatal(err)
	}
	y.stopped = false
	y.m.locator.mu.Lock()
	y.m.locator.loop = "" // as if its sockets were on a network
	y.m.locator.mu.Unlock()
	y.join(hub)
	eventually(t, "asked, and not believed", func() bool {
		y.m.locator.mu.Lock()
		defer y.m.locator.mu.Unlock()
		return y.m.locator.asked && y.m.locator.backURL == ""
	})
}

func TestALoopbackURLGivesWayWhenSomebodyIsElsewhere(t *testing.T) {
	t.Parallel()
	n := newNetwork(t)
	a := n.start("a")
	b := n.start("b")
	_, port, _ := net.SplitHostPort(b.address)
	b.stop()
	b.cfg.URL, b.cfg.ListenPort, b.cfg.ListenLocal = "", atoi(port), true
	b.open(n, b.address)
	a.join()
	b.join(a)
	eventually(t, "reached on loopback, as all are", func() bool {
		m, _ := a.m.View().Find(b.id())
		return m.URL == b.url && b.m.locator.onLoopback()
	})
	// a is public now, so others may come from anywhere, and b is hidden from them.
	if err := a.m.SetURL("http://203.0.113.7"); err != nil {
		t.Fatal(err)
	}
	eventually(t, "reached through a", func() bool {
		m, _ := a.m.View().Find(b.id())
		return m.URL == "http://203.0.113.7/via/"+string(b.id()) && m.Via == a.id() && !b.m.locator.onLoopback()
	})
}

// What other nodes say is dialled under the policy; what a person typed is not held to it.
func TestToldAddressesAreGuardedAndTypedOnesAreNot(t *testing.T) {
	t.Parallel()
	n := newNetwork(t)
	hub := n.start("hub").join()
	if err := hub.m.SetURL("http://203.0.113.7"); err != nil { // the cluster is not of this machine alone
		t.Fatal(err)
	}
	x := n.hidden("x", func(c *Config) { c.DialContext = nil }) // the product's own dialling
	x.join(hub)                                                 // typed: 127.0.0.1 is fine
	eventually(t, "joined by the typed address", func() bool { return x.state(hub) == "alive" })

	var hits atomic.Int64
	trap := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { hits.Add(1) }))
	t.Cleanup(trap.Close)
	_, port, _ := net.SplitHostPort(trap.Listener.Addr().String())
	liar, err := identity.Generate()
	if err != nil {
		t.Fatal(err)
	}
	for i, url := range []string{
		"http://127.0.0.1:" + port, "http://[::ffff:127.0.0.1]:" + port, "http://localhost:" + port,
		"http://127.0.0.1:4040", "http://169.254.169.254", "http://[fe80::1]:80", "http://0.0.0.0:" + port,
	} {
		card, err := liar.SignCard(identity.Card{Name: "liar", Model: "knn", Task: [32]byte{1}, URL: url, Sequence: uint64(100 + i)})
		if err != nil {
			t.Fatal(url, err)
		}
		if err := x.m.learn(card); err != nil {
			t.Fatal(url, err)
		}
		err = x.m.dialDirect(t.Context(), card.ID, card.URL)
		if err == nil || !strings.Contains(err.Error(), reach.ErrBlocked.Error()) {
			t.Errorf("%s: %v", url, err)
		}
	}
	if hits.Load() != 0 {
		t.Errorf("%d calls came through", hits.Load())
	}
}

// A card that leads to somebody else makes a node call there once, not for ever.
func TestACardOfAStrangersAddressIsCalledOnce(t *testing.T) {
	t.Parallel()
	n := newNetwork(t)
	a, b := n.start("a").join(), n.start("b")
	b.join(a)
	eventually(t, "both", func() bool { return whole([]*node{a, b}) })

	var calls atomic.Int64
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		calls.Add(1)
		http.NotFound(w, nil)
	}))
	t.Cleanup(web.Close)
	other := n.start("other") // a node of another cluster
	for _, target := range []string{web.URL, other.url} {
		key, err := identity.Generate()
		if err != nil {
			t.Fatal(err)
		}
		card, err := key.SignCard(identity.Card{Name: "liar", Model: "knn", Task: [32]byte{1}, URL: target, Sequence: 100})
		if err != nil {
			t.Fatal(err)
		}
		if err := a.m.learn(card); err != nil {
			t.Fatal(err)
		}
		for range 5 {
			if err := a.m.dialMember(t.Context(), card.ID, target); err == nil {
				t.Fatal("a session with whom a liar named")
			}
		}
		if wait := a.m.strangers.Wait(target, card.ID, time.Now()); wait <= 0 {
			t.Errorf("%s may be called again at once", target)
		}
	}
	if got := calls.Load(); got != 1 {
		t.Errorf("the web server was called %d times, want once", got)
	}
	if a.m.sessions.Connected(other.id()) {
		t.Error("there is a session with the other cluster's node")
	}
}

func TestWhatAPeersOwnAddressIs(t *testing.T) {
	for name, test := range map[string]struct {
		p    session.Peer
		want bool
	}{
		"it dialled":                  {session.Peer{Remote: "203.0.113.9:4000"}, true},
		"through a relay":             {session.Peer{Remote: strings.Repeat("a", 32)}, false},
		"dialled by address":          {session.Peer{Outbound: true, URL: "http://203.0.113.9:5001", Remote: "203.0.113.9:5001"}, true},
		"dialled by a public name":    {session.Peer{Outbound: true, URL: "https://ab12.ngrok-free.app", Remote: "3.125.1.1:443"}, false},
		"dialled by a name next door": {session.Peer{Outbound: true, URL: "http://knn:5001", Remote: netip.MustParseAddrPort("172.18.0.3:5001").String()}, true},
	} {
		if got := ownAddress(test.p); got != test.want {
			t.Errorf("%s: %t", name, got)
		}
	}
}

func TestOfTwoAtOneURLTheLivingOneIsTheRelay(t *testing.T) {
	ids := []identity.ID{identity.ID(strings.Repeat("a", 32)), identity.ID(strings.Repeat("b", 32)), identity.ID(strings.Repeat("c", 32))}
	const url = "http://203.0.113.7"
	hidden := ids[2]
	for range 20 { // maps have no order
		r := newRoster(hidden, 10)
		for i, id := range ids[:2] {
			r.entries[id] = &entry{card: identity.Card{ID: id, URL: url}, alive: i == 1} // the first has died
		}
		r.entries[hidden] = &entry{card: identity.Card{ID: hidden, URL: url + "/via/" + string(hidden)}, alive: true}
		via, carries := r.relayed()
		if via[hidden] != ids[1] || len(carries[ids[0]]) != 0 || r.relayOf(hidden, r.entries[hidden].card.URL) != ids[1] {
			t.Fatalf("via %v, carries %v", via, carries)
		}
	}
}
