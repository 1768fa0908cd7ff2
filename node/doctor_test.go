package node_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"caucus/cluster/identity"
	"caucus/node"
	"caucus/node/api"
	"caucus/node/nodetest"
)

// examine asks a node what is wrong with it.
func examine(t *testing.T, m *nodetest.Member) *api.DoctorReply {
	t.Helper()
	r, err := m.Client.Doctor(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if r.Node != string(m.ID()) || r.Name != m.Name() || r.Status != api.Worst(r.Findings) {
		t.Errorf("%+v", r)
	}
	for _, f := range r.Findings {
		if f.Sentence == "" || !strings.HasSuffix(f.Sentence, ".") || strings.HasSuffix(f.Sentence, "..") || f.Severity == api.SeverityFail && f.Remedy == "" {
			t.Errorf("a finding that helps nobody: %+v", f)
		}
	}
	return r
}

// finding returns the first finding with an id that is about somebody (or anybody) or a failure of the test.
func finding(t *testing.T, r *api.DoctorReply, id, about string) api.Finding {
	t.Helper()
	for _, f := range r.Findings {
		if f.ID == id && (about == "" || f.About == about) {
			return f
		}
	}
	var all []string
	for _, f := range r.Findings {
		all = append(all, fmt.Sprintf("%s %s (%s): %s", f.Severity, f.ID, f.About, f.Sentence))
	}
	t.Fatalf("%s found nothing about %s %s:\n%s", r.Name, id, about, strings.Join(all, "\n"))
	return api.Finding{}
}

func says(t *testing.T, f api.Finding, severity string, words ...string) {
	t.Helper()
	for _, w := range words {
		if !strings.Contains(f.Sentence+" | "+f.Remedy, w) {
			t.Errorf("%s says %q, not %q", f.ID, f.Sentence+" | "+f.Remedy, w)
		}
	}
	if f.Severity != severity {
		t.Errorf("%s is %s, not %s: %s", f.ID, f.Severity, severity, f.Sentence)
	}
}

// F16: a clock is ten minutes wrong. Nothing depends on it but what is shown, and the doctor names whose it is.
func TestF16ClockSkewHarmsNothingAndIsNamed(t *testing.T) {
	const skew = 10 * time.Minute
	release := make(chan struct{})
	t.Cleanup(func() { close(release) })
	const patience = 300 * time.Millisecond
	nodes := nodetest.Start(t, 4, keep(t), nodetest.ModelOf(3, nodetest.Hanging("hanging", release)), func(i int, cfg *node.Config) {
		cfg.PeerTimeout = patience
		if i == 1 {
			cfg.Now = func() time.Time { return time.Now().Add(skew) }
		}
	})
	wrong, name := nodes[1], nodes[1].Name()
	for _, m := range nodes {
		m.Wait("the others have sessions and are alive", func() bool {
			r, err := m.Client.Members(context.Background())
			if err != nil {
				return false
			}
			for _, o := range r.Members {
				if o.State != "alive" || !o.Connected {
					return false
				}
			}
			return true
		})
	}
	// Votes and deadlines: whoever is asked, the three that answer count, and the one that hangs is given up when its time is
	// over: not at once, and not ten minutes later.
	for _, m := range nodes[:3] {
		r, err := m.Client.Consensus(t.Context(), setosa, api.ConsensusOptions{Wait: "all"})
		if err != nil || r.Invited != 4 || r.Counted != 3 || r.Status != "degraded" || r.Label != "setosa" {
			t.Errorf("%s: %+v, %v", m.Name(), r, err)
			continue
		}
		if took := time.Duration(r.ElapsedMs) * time.Microsecond; took < patience || took > time.Minute {
			t.Errorf("%s took %v", m.Name(), took)
		}
	}
	for _, m := range nodes {
		r := examine(t, m)
		if m == wrong {
			says(t, finding(t, r, "clock", name), api.SeverityWarn, "This node's clock is 10 min ahead of those of all 3 peers", "set the clock")
			if d := time.Until(r.At); d < skew-time.Minute || d > skew+time.Minute {
				t.Errorf("it thinks that it is %v", r.At)
			}
			continue
		}
		says(t, finding(t, r, "clock", name), api.SeverityWarn, "The clock of "+name+" is 10 min ahead of this node's", "votes and membership do not depend on it")
		says(t, finding(t, r, "clock", ""), api.SeverityWarn) // and nobody else's is named
		for _, f := range r.Findings {
			if f.ID == "clock" && f.Severity != api.SeverityOK && f.About != name {
				t.Errorf("%s: %s", m.Name(), f.Sentence)
			}
		}
	}
	// Membership: the one with the wrong clock dies, is given up by the others, and comes back to the same roster.
	config, address := wrong.Config, wrong.Addr()
	wrong.Kill()
	nodes[0].WaitState(name, "failed")
	back := nodetest.Launch(t, 1, func(_ int, cfg *node.Config) { *cfg = config; cfg.Listen = address })
	back.WaitReady()
	nodes[0].WaitState(name, "alive")
	for _, m := range []*nodetest.Member{nodes[0], back} {
		m.WaitInvited(4)
	}
}

func TestTheDoctorOfAHealthyNodeFindsNothing(t *testing.T) {
	nodes := nodetest.Start(t, 3, keep(t))
	for _, m := range nodes {
		m.Wait("all is well", func() bool { return worst(t, m) == api.SeverityOK })
		r := examine(t, m)
		says(t, finding(t, r, "ready", ""), api.SeverityOK, "all 3 members can be reached", "a quorum is 2")
		says(t, finding(t, r, "url.reach", ""), api.SeverityOK, "met this node", m.URL)
		says(t, finding(t, r, "clock", ""), api.SeverityOK, "2 peers")
		says(t, finding(t, r, "version", ""), api.SeverityOK, "test")
		says(t, finding(t, r, "storage", ""), api.SeverityOK, m.Config.StateDir)
	}
	says(t, finding(t, examine(t, nodes[1]), "join", ""), api.SeverityOK, nodes[0].URL)
	alone := nodetest.StartOne(t, 0)
	r := examine(t, alone)
	says(t, finding(t, r, "ready", ""), api.SeverityOK, "by itself")
	if r.Status != api.SeverityOK {
		t.Errorf("a node alone: %+v", r.Findings)
	}
}

// worst is what the doctor's report comes to, "" where there is none.
func worst(t *testing.T, m *nodetest.Member) string {
	r, err := m.Client.Doctor(t.Context())
	if err != nil {
		return ""
	}
	return r.Status
}

func TestTheDoctorNamesWhoIsMissingAndWhatToDo(t *testing.T) {
	nodes := nodetest.Start(t, 3)
	a := nodes[0]
	nodes[1].Kill()
	a.WaitState(nodes[1].Name(), "failed")
	r := examine(t, a)
	says(t, finding(t, r, "member.failed", nodes[1].Name()), api.SeverityWarn, nodes[1].Name()+" has failed", "caucus forget "+nodes[1].Name())
	says(t, finding(t, r, "ready", ""), api.SeverityOK, "2 of the 3")
	nodes[2].Kill()
	a.WaitState(nodes[2].Name(), "failed")
	says(t, finding(t, examine(t, a), "ready", ""), api.SeverityFail, "1 of the 3", "quorum is 2", "caucus forget --failed")
}

func TestTheDoctorTellsOfAURLThatDoesNotWork(t *testing.T) {
	page := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Ngrok-Error-Code", "ERR_NGROK_3200")
		w.WriteHeader(http.StatusNotFound)
	}))
	t.Cleanup(page.Close)
	nodes := nodetest.Start(t, 3, func(i int, cfg *node.Config) {
		switch i {
		case 1:
			cfg.PublicURL = page.URL
		case 2:
			cfg.Version = "older"
		}
	})
	bad := nodes[1]
	bad.Wait("it is said that its URL does not work", func() bool { return worst(t, bad) == api.SeverityFail })
	r := examine(t, bad)
	says(t, finding(t, r, "url", ""), api.SeverityOK, page.URL, "--public-url")
	says(t, finding(t, r, "url.reach", ""), api.SeverityFail, page.URL, "did not meet this node", "ERR_NGROK_3200", "--public-url")
	says(t, finding(t, r, "version", ""), api.SeverityWarn, nodes[2].Name()+" runs version older, and this node test")
	// Another node is at its URL: that is told apart.
	twin := nodetest.StartOne(t, 3, func(_ int, cfg *node.Config) {
		cfg.PublicURL, cfg.Join = nodes[0].URL, []identity.Invite{{Address: nodes[0].URL}}
	})
	twin.Wait("it is said that another is there", func() bool { return worst(t, twin) == api.SeverityFail })
	says(t, finding(t, examine(t, twin), "url.reach", ""), api.SeverityFail, "another node answers", "one account for each tunnel")
	says(t, finding(t, examine(t, nodes[2]), "member.url", ""), api.SeverityWarn, nodes[0].URL, "one domain")
	// Alone, a node calls itself.
	alone := nodetest.StartOne(t, 0, func(_ int, cfg *node.Config) { cfg.PublicURL = page.URL })
	says(t, finding(t, examine(t, alone), "url.reach", ""), api.SeverityFail, "did not meet itself", "ERR_NGROK_3200")
	closed := nodetest.StartOne(t, 0)
	if err := closed.Cluster().SetURL(tunnelTo(t, closed)); err != nil {
		t.Fatal(err)
	}
	closed.Wait("a tunnel to a node without a token is shut", func() bool {
		f := finding(t, examine(t, closed), "url.reach", "")
		return f.Severity == api.SeverityFail && strings.Contains(f.Sentence, "no token") && strings.Contains(f.Remedy, "start it again")
	})
	proxied := nodetest.StartOne(t, 0, func(_ int, cfg *node.Config) { cfg.Open = true })
	tunnel := tunnelTo(t, proxied)
	if err := proxied.Cluster().SetURL(tunnel); err != nil {
		t.Fatal(err)
	}
	proxied.Wait("it meets itself", func() bool {
		r := examine(t, proxied)
		f := finding(t, r, "url.reach", "")
		return f.Severity == api.SeverityOK && strings.Contains(f.Sentence, "met itself") && f.About == tunnel
	})
}

func TestTheDoctorKnowsWhoRelaysForWhom(t *testing.T) {
	// The hub has a name, as behind a tunnel, and so is not on this machine as far as the others can tell. The
	// hidden one listens on loopback, which nobody elsewhere could call.
	var at atomic.Value
	named := func(_ int, cfg *node.Config) {
		cfg.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
			if address == "hub.test:80" {
				address = at.Load().(string)
			}
			return (&net.Dialer{}).DialContext(ctx, network, address)
		}
	}
	hub := nodetest.Launch(t, 0, named, func(_ int, cfg *node.Config) { cfg.PublicURL = "http://hub.test" })
	at.Store(hub.Addr())
	hidden := nodetest.StartOne(t, 1, named, func(_ int, cfg *node.Config) {
		cfg.Join = []identity.Invite{{Address: "http://hub.test"}}
	})
	hub.WaitInvited(2)
	hidden.Wait("it is carried", func() bool {
		m, ok := hub.Cluster().View().Find(hidden.ID())
		own, known := hidden.Cluster().View().Find(hidden.ID())
		return ok && known && m.Via == hub.ID() && own.Via == hub.ID()
	})
	r := examine(t, hidden)
	says(t, finding(t, r, "relay.via", ""), api.SeverityOK, hub.Name()+" relays for this node")
	says(t, finding(t, r, "url", ""), api.SeverityOK, "through "+hub.Name(), "/via/"+string(hidden.ID()))
	hidden.Wait("its URL works", func() bool { return finding(t, examine(t, hidden), "url.reach", "").Severity == api.SeverityOK })
	hub.Wait("the relay knows too", func() bool {
		for _, f := range examine(t, hub).Findings {
			if f.ID == "relay.carries" && strings.Contains(f.Sentence, hidden.Name()) {
				return true
			}
		}
		return false
	})
	says(t, finding(t, examine(t, hub), "clock", ""), api.SeverityOK, "1 peer")
}

func TestTheDoctorTellsWhoIsTurnedAwayAndWhoVotesOnSomethingElse(t *testing.T) {
	right, err := identity.NewToken()
	if err != nil {
		t.Fatal(err)
	}
	wrong, err := identity.NewToken()
	if err != nil {
		t.Fatal(err)
	}
	a := nodetest.StartOne(t, 0, func(_ int, cfg *node.Config) { cfg.Token = &right })
	foreign := nodetest.Launch(t, 1, nodetest.ModelOf(1, nodetest.Foreign("foreign")), func(_ int, cfg *node.Config) {
		cfg.Join = []identity.Invite{{Address: a.URL, Token: &right}}
	})
	lost := nodetest.Launch(t, 2, func(_ int, cfg *node.Config) {
		cfg.Token, cfg.Join = &wrong, []identity.Invite{{Address: a.URL, Token: &wrong}}
	})
	a.Wait("both are seen", func() bool {
		seen := map[string]bool{}
		for _, f := range examine(t, a).Findings {
			seen[f.ID] = true
		}
		return seen["refused"] && seen["member.task"]
	})
	r := examine(t, a)
	says(t, finding(t, r, "refused", lost.ID().Short()), api.SeverityWarn, "token is not that of this cluster", "caucus invite")
	says(t, finding(t, r, "member.task", foreign.Name()), api.SeverityWarn, "does not vote with this node", "alcohol")
	lost.Wait("the one with another token knows it", func() bool {
		f := finding(t, examine(t, lost), "join", "")
		return f.Severity == api.SeverityFail && strings.Contains(f.Sentence, "refuses this one") && strings.Contains(f.Remedy, "caucus invite")
	})
	says(t, finding(t, examine(t, lost), "ready", ""), api.SeverityFail)
	if strings.Contains(fmt.Sprint(r, examine(t, lost)), right.String()) || strings.Contains(fmt.Sprint(examine(t, lost)), wrong.String()) {
		t.Error("a token is in a report")
	}
	nowhere, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	nowhere.Close()
	b := nodetest.Launch(t, 3, func(_ int, cfg *node.Config) {
		cfg.Join = []identity.Invite{{Address: "http://" + nowhere.Addr().String()}}
	})
	b.Wait("nobody is where it wants to join", func() bool {
		f := finding(t, examine(t, b), "join", "")
		return f.Severity == api.SeverityFail && strings.Contains(f.Sentence, "nothing listens at")
	})
}

func TestTheDoctorSeesWhereAnNgrokAgentLeads(t *testing.T) {
	var tunnels atomic.Value
	tunnels.Store(`{"tunnels":[]}`)
	agent := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/api/tunnels" {
			http.NotFound(w, r)
			return
		}
		fmt.Fprint(w, tunnels.Load())
	}))
	t.Cleanup(agent.Close)
	leads := func(to string) {
		tunnels.Store(`{"tunnels":[{"public_url":"https://ab12.ngrok-free.app","config":{"addr":"` + to + `"}}]}`)
	}
	watch := func(_ int, cfg *node.Config) {
		cfg.WatchAgent, cfg.AgentAPI = true, agent.URL
		cfg.Dial = func(context.Context, string, string) (net.Conn, error) {
			return nil, errors.New("tests call nobody outside")
		}
	}
	m := nodetest.StartOne(t, 0, watch)
	_, port, _ := net.SplitHostPort(m.Addr())
	says(t, finding(t, examine(t, m), "tunnel", ""), api.SeverityWarn, "has no tunnel", "ngrok http "+port)
	leads("http://localhost:1")
	says(t, finding(t, examine(t, m), "tunnel", ""), api.SeverityWarn, "leads elsewhere", "https://ab12.ngrok-free.app -> http://localhost:1", "port "+port, "ngrok http "+port)
	leads(m.URL)
	says(t, finding(t, examine(t, m), "tunnel", ""), api.SeverityWarn, "no token", "start the node again")

	token, err := identity.NewToken()
	if err != nil {
		t.Fatal(err)
	}
	safe := nodetest.StartOne(t, 1, watch, func(_ int, cfg *node.Config) { cfg.Token = &token })
	leads(safe.URL)
	safe.Wait("the tunnel is taken up", func() bool {
		f := finding(t, examine(t, safe), "url", "")
		return strings.Contains(f.Sentence, "https://ab12.ngrok-free.app, by the tunnel of the ngrok agent")
	})
	says(t, finding(t, examine(t, safe), "quota", ""), api.SeverityOK, "too short", "20,000 requests")
	for _, f := range examine(t, safe).Findings {
		if f.ID == "tunnel" {
			t.Errorf("%+v", f)
		}
	}
}
