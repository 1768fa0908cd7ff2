package node_test

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"caucus/cluster/identity"
	"caucus/ml"
	"caucus/node"
	"caucus/node/api"
	"caucus/node/nodetest"
)

func TestAConfigurationThatIsWrongSaysWhereAndHow(t *testing.T) {
	token, err := identity.NewToken()
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		change func(*node.Config)
		says   []string // none: it is right
	}{
		"the defaults":               {func(*node.Config) {}, nil},
		"a bad name":                 {func(c *node.Config) { c.Name = "Ana!" }, []string{"name", "Ana!"}},
		"no port":                    {func(c *node.Config) { c.Listen = "localhost" }, []string{"listen", "localhost", "host:port"}},
		"a port that is none":        {func(c *node.Config) { c.Listen = "127.0.0.1:99999" }, []string{"99999", "65535"}},
		"open to all by accident":    {func(c *node.Config) { c.Listen = ":5001" }, []string{":5001", "token", "--open"}},
		"open to all on purpose":     {func(c *node.Config) { c.Listen, c.Open = "0.0.0.0:5001", true }, nil},
		"open to those with a token": {func(c *node.Config) { c.Listen, c.Token = ":5001", &token }, nil},
		"open with an invite's token": {func(c *node.Config) {
			c.Listen, c.Join = ":5001", []identity.Invite{{Address: "http://x", Token: &token}}
		}, nil},
		"IPv6 loopback":                 {func(c *node.Config) { c.Listen = "[::1]:5001" }, nil},
		"an unknown model":              {func(c *node.Config) { c.Fit.Kind = "oracle" }, []string{"oracle", "knn, randforest, svm, tree"}},
		"all rows held out":             {func(c *node.Config) { c.Holdout = 1 }, []string{"holdout", "1"}},
		"a URL with a path":             {func(c *node.Config) { c.PublicURL = "https://x.example/predict" }, []string{"public URL", "/predict"}},
		"a URL without a scheme":        {func(c *node.Config) { c.PublicURL = "x.example" }, []string{"public URL", "https://"}},
		"a negative quorum":             {func(c *node.Config) { c.Quorum = -1 }, []string{"quorum", "-1"}},
		"peers slower than the round":   {func(c *node.Config) { c.PeerTimeout, c.Deadline = 5*time.Second, time.Second }, []string{"peer timeout", "5s", "1s"}},
		"a negative linger":             {func(c *node.Config) { c.Linger = -time.Second }, []string{"linger", "-1s"}},
		"an endless deadline":           {func(c *node.Config) { c.Deadline = time.Hour }, []string{"deadline", "1h"}},
		"mdns without a token":          {func(c *node.Config) { c.MDNS = true }, []string{"mdns finds nodes of the same token", "CAUCUS_TOKEN", "--open"}},
		"mdns with a token":             {func(c *node.Config) { c.MDNS, c.Token = true, &token }, nil},
		"mdns among open nodes":         {func(c *node.Config) { c.MDNS, c.Open, c.Listen = true, true, ":5001" }, nil},
		"join required of the network":  {func(c *node.Config) { c.MDNS, c.Token, c.JoinRequired = true, &token, true }, nil},
		"forgetting too soon":           {func(c *node.Config) { c.ForgetAfter = 59 * time.Second }, []string{"forget-after is 59s", "at least 1m0s", "caucus forget NAME"}},
		"forgetting as soon as it goes": {func(c *node.Config) { c.ForgetAfter = time.Minute }, nil},
		"too soon through a tunnel":     {func(c *node.Config) { c.ForgetAfter, c.PublicURL = time.Minute, "https://x.example" }, []string{"at least 2m0s (profile tunnel)"}},
		"soon at another pace":          {func(c *node.Config) { c.ForgetAfter, c.TimeScale = 6*time.Second, 0.1 }, nil},
		"a profile that is none":        {func(c *node.Config) { c.Profile = "wan" }, []string{"wan", "tunnel"}},
		"join required of nobody":       {func(c *node.Config) { c.JoinRequired = true }, []string{"--join"}},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := node.DefaultConfig()
			c.change(&cfg)
			err := cfg.Validate()
			if (err == nil) != (c.says == nil) {
				t.Fatalf("%v", err)
			}
			for _, s := range c.says {
				if !strings.Contains(err.Error(), s) {
					t.Errorf("%q does not say %q", err, s)
				}
			}
		})
	}
}

func TestATakenPortIsSaidOrReplaced(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	cfg := nodetest.Config(0)
	cfg.Listen = taken.Addr().String()
	if _, err := node.New(t.Context(), cfg); err == nil || !strings.Contains(err.Error(), cfg.Listen) || !strings.Contains(err.Error(), "--listen") {
		t.Errorf("%v", err)
	}
	cfg.NextPort = true
	n, err := node.New(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	if n.Addr() == cfg.Listen {
		t.Error(n.Addr())
	}
	if err := n.Close(); err != nil {
		t.Error(err)
	}
}

// TestANewThatFailsLeavesNothingOpen: the listener can be bound again and the state
// folder opened; goroutines are goleak's to find.
func TestANewThatFailsLeavesNothingOpen(t *testing.T) {
	dir := t.TempDir()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	l.Close()
	good := nodetest.Config(0)
	good.Listen, good.StateDir = addr, dir
	for name, spoil := range map[string]func(*node.Config){
		"no such data": func(c *node.Config) { c.Data = filepath.Join(dir, "none.csv") },
		"bad data": func(c *node.Config) {
			c.Data = filepath.Join(dir, "bad.csv")
			if err := os.WriteFile(c.Data, []byte("a,b\n1,\n"), 0o600); err != nil {
				t.Fatal(err)
			}
		},
		"a label without data": func(c *node.Config) { c.Label = "species" },
		"a damaged key": func(c *node.Config) {
			c.StateDir = filepath.Join(dir, "damaged")
			if err := os.MkdirAll(c.StateDir, 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(c.StateDir, "node.key"), []byte("not a key"), 0o600); err != nil {
				t.Fatal(err)
			}
		},
	} {
		cfg := good
		spoil(&cfg)
		if n, err := node.New(t.Context(), cfg); err == nil || n != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := node.New(ended, good); err == nil {
		t.Error("a context that has ended was not noticed")
	}
	n, err := node.New(t.Context(), good)
	if err != nil {
		t.Fatalf("after the failures: %v", err)
	}
	if _, err := node.New(t.Context(), func() node.Config { c := good; c.Listen = "127.0.0.1:0"; return c }()); err == nil {
		t.Error("the state folder was opened twice")
	}
	if err := n.Close(); err != nil {
		t.Error(err)
	}
	if err := n.Close(); err != nil {
		t.Error(err)
	}
	if err := n.Run(t.Context()); err == nil {
		t.Error("a closed node was run")
	}
}

func TestANodeStopsQuicklyAndCleanly(t *testing.T) {
	nodes := nodetest.Start(t, 3)
	start := time.Now()
	for _, n := range nodes {
		if err := n.Stop(); err != nil {
			t.Error(err)
		}
	}
	if took := time.Since(start); took > 10*time.Second {
		t.Errorf("three nodes took %v", took)
	}
}

func TestATokenClosesTheLocalRoutesToStrangersAndKeepsOthersOut(t *testing.T) {
	token, err := identity.NewToken()
	if err != nil {
		t.Fatal(err)
	}
	n := nodetest.StartOne(t, 0, func(_ int, cfg *node.Config) { cfg.Token = &token })
	stranger, err := identity.NewToken()
	if err != nil {
		t.Fatal(err)
	}
	other := nodetest.Launch(t, 1, func(_ int, cfg *node.Config) {
		cfg.Join = []identity.Invite{{Address: n.URL, Token: &stranger}}
	})
	if _, err := other.Client.Consensus(t.Context(), setosa, api.ConsensusOptions{}); problem(t, err).Kind() != api.Joining {
		t.Errorf("%v", err)
	}
	friend := nodetest.StartOne(t, 2, func(_ int, cfg *node.Config) {
		cfg.Join = []identity.Invite{{Address: n.URL, Token: &token}}
	})
	friend.WaitInvited(2)
	n.WaitInvited(2)
	if r, err := n.Client.Consensus(t.Context(), setosa, api.ConsensusOptions{Wait: "all"}); err != nil || r.Counted != 2 {
		t.Errorf("%+v %v", r, err)
	}
}

func TestAModelFromElsewhereIsNotFitted(t *testing.T) {
	n := nodetest.StartOne(t, 0, func(_ int, cfg *node.Config) {
		cfg.Model = nodetest.Constant("oracle", 1)
		cfg.Evaluation = &ml.Evaluation{Accuracy: 0.5, Rows: 10}
		cfg.Name = ""
	})
	if n.Name() != "oracle" {
		t.Error(n.Name())
	}
	m, err := n.Client.Members(t.Context())
	if err != nil || len(m.Members) != 1 || m.Members[0].Model != "oracle" || !m.Members[0].Voter || !m.Members[0].Self {
		t.Errorf("%+v %v", m, err)
	}
	if p, err := n.Client.Predict(t.Context(), setosa); err != nil || p.Label != "versicolor" || p.Probabilities.Of("versicolor") != 900_000 {
		t.Errorf("%+v %v", p, err)
	}
}
