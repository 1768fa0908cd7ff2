package node_test

import (
	"context"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"regexp"
	"strconv"
	"testing"

	"caucus/cluster/identity"
	"caucus/node"
	"caucus/node/api"
	"caucus/node/nodetest"
)

// tunnelTo is a tunnel's agent on this machine: what it passes on says for whom it is.
func tunnelTo(t *testing.T, m *nodetest.Member) string {
	t.Helper()
	target, err := url.Parse(m.URL)
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewServer(&httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(target)
		r.SetXForwarded()
	}})
	t.Cleanup(s.Close)
	return s.URL
}

// series returns the value of a series of /metrics, 0 if it is not there.
func series(t *testing.T, m *nodetest.Member, name string) float64 {
	t.Helper()
	res := m.Get("/metrics")
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	found := regexp.MustCompile(`(?m)^` + regexp.QuoteMeta(name) + ` (\S+)$`).FindSubmatch(text)
	if found == nil {
		return 0
	}
	x, err := strconv.ParseFloat(string(found[1]), 64)
	if err != nil {
		t.Fatal(err)
	}
	return x
}

func member(t *testing.T, at *nodetest.Member, name string) api.Member {
	t.Helper()
	r, err := at.Client.Members(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range r.Members {
		if m.Name == name {
			return m
		}
	}
	t.Fatalf("%s does not know %s", at.Name(), name)
	return api.Member{}
}

func TestBytesAndRequestsAreCountedByMemberAndByTheTunnel(t *testing.T) {
	hub := nodetest.StartOne(t, 0, func(_ int, cfg *node.Config) { cfg.Open = true }) // else nobody comes through a tunnel without a token
	tunnel := tunnelTo(t, hub)
	join := func(at string) nodetest.Option {
		return func(_ int, cfg *node.Config) { cfg.Join = []identity.Invite{{Address: at}} }
	}
	near, far := nodetest.StartOne(t, 1, join(hub.URL)), nodetest.StartOne(t, 2, join(tunnel))
	hub.WaitInvited(3)
	if m := member(t, hub, near.Name()).Traffic; m == nil || m.Direct == nil || m.Public != nil || m.Direct.BytesIn == 0 || m.Direct.BytesOut == 0 {
		t.Fatalf("of the one beside it: %+v", m)
	}
	m := member(t, hub, far.Name()).Traffic
	if m == nil || m.Public == nil || m.Public.RequestsIn < 1 || m.Public.BytesIn == 0 {
		t.Fatalf("of the one behind the tunnel: %+v", m)
	}
	if m := member(t, hub, hub.Name()).Traffic; m != nil {
		t.Errorf("with itself: %+v", m)
	}
	id := string(far.ID())
	if n := series(t, hub, `caucus_peer_http_requests_total{direction="in",path="public",peer="`+id+`"}`); n < 1 {
		t.Errorf("%v requests of the one behind the tunnel", n)
	}
	sessions := series(t, hub, `caucus_tunnel_requests_total{route="/gossip"}`)
	bytes := series(t, hub, `caucus_inbound_bytes_total{direction="out",path="tunnel"}`)
	if sessions < 1 || bytes == 0 {
		t.Errorf("%v sessions and %v bytes through the tunnel", sessions, bytes)
	}

	// An outsider through the tunnel costs a request; one on this machine does not, nor does a vote.
	ask := func(base string) {
		res, err := http.Get(base + "/predict" + flowerQuery)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		if _, err := io.Copy(io.Discard, res.Body); err != nil || res.StatusCode != 200 {
			t.Fatal(err, res.Status)
		}
	}
	t.Cleanup(http.DefaultClient.CloseIdleConnections)
	ask(tunnel)
	ask(hub.URL)
	if n := series(t, hub, `caucus_tunnel_requests_total{route="/predict"}`); n != 1 {
		t.Errorf("%v predictions through the tunnel", n)
	}
	before := series(t, hub, `caucus_peer_bytes_total{direction="out",path="public",peer="`+id+`"}`)
	for range 20 {
		if _, err := hub.Client.Consensus(t.Context(), []float64{5.1, 3.5, 1.4, 0.2}, api.ConsensusOptions{Wait: "all"}); err != nil {
			t.Fatal(err)
		}
	}
	if after := series(t, hub, `caucus_peer_bytes_total{direction="out",path="public",peer="`+id+`"}`); after < before+20*32 {
		t.Errorf("20 questions of four numbers are counted as %v bytes", after-before)
	}
	if n := series(t, hub, `caucus_tunnel_requests_total{route="/gossip"}`); n != sessions {
		t.Errorf("votes made %v sessions", n-sessions)
	}
	if n := series(t, hub, "caucus_tunnel_projected_month_requests"); !math.IsNaN(n) {
		t.Errorf("a month is projected from seconds: %v", n)
	}
	if n := series(t, hub, "caucus_tunnel_projection_window_seconds"); n <= 0 {
		t.Errorf("the window is %v s", n)
	}
	if n := series(t, hub, "caucus_ngrok_free_plan_month_requests"); !math.IsNaN(n) {
		t.Errorf("a node without an ngrok URL shows ngrok's limit of %v requests", n)
	}
}

func TestTheFreePlanIsShownWithAnNgrokURL(t *testing.T) {
	m := nodetest.StartOne(t, 0, func(_ int, cfg *node.Config) { cfg.PublicURL = "https://ab12.ngrok-free.app" })
	if n := series(t, m, "caucus_ngrok_free_plan_month_requests"); n != 20000 {
		t.Errorf("%v", n)
	}
	if n := series(t, m, "caucus_ngrok_free_plan_month_bytes"); n != 1e9 {
		t.Errorf("%v", n)
	}
}
