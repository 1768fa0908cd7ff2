// Package nodetest starts real nodes on 127.0.0.1:0 for tests: real models, real
// sessions, real HTTP, with gossip's timings scaled down.
package nodetest

import (
	"context"
	"fmt"
	"net/http"
	"testing"
	"time"

	"caucus/cluster/identity"
	"caucus/ml"
	"caucus/node"
	"caucus/node/api"
)

// Patience is how long a predicate may take to become true. It is no expectation: a
// loaded machine with the race detector is slow.
const Patience = 60 * time.Second

// TimeScale is what gossip's timings are multiplied with.
const TimeScale = 0.1

// Member is a running node with a client for it.
type Member struct {
	*node.Node
	Client *api.Client
	URL    string
	Config node.Config

	t      testing.TB
	cancel context.CancelFunc
	ended  chan struct{}
	err    error
}

// ModelOf gives node i a model in place of the one that would be fitted.
func ModelOf(i int, m ml.Model) Option {
	return func(j int, cfg *node.Config) {
		if i == j {
			cfg.Model = m
			cfg.Name = fmt.Sprintf("n%d-%s", i, m.Kind())
		}
	}
}

// Option changes the configuration of node i before it starts.
type Option func(i int, cfg *node.Config)

// Kinds are the models that nodes get in turn.
var Kinds = []ml.Kind{ml.KNN, ml.Forest, ml.SVM, ml.Tree}

// Start starts n nodes, each joining the first, and waits until every one invites all n.
// They are stopped when the test ends.
func Start(t testing.TB, n int, options ...Option) []*Member {
	t.Helper()
	members := make([]*Member, 0, n)
	for i := range n {
		var join []identity.Invite
		if i > 0 {
			join = []identity.Invite{{Address: members[0].URL}}
		}
		opts := append([]Option{func(_ int, cfg *node.Config) { cfg.Join = join }}, options...)
		members = append(members, StartOne(t, i, opts...))
	}
	for _, m := range members {
		m.WaitInvited(n)
	}
	return members
}

// Config is the configuration of node i before any option.
func Config(i int) node.Config {
	cfg := node.DefaultConfig()
	cfg.Listen = "127.0.0.1:0"
	cfg.Fit = ml.FitOptions{Kind: Kinds[i%len(Kinds)], Seed: 7, Trees: 20}
	cfg.Name = fmt.Sprintf("n%d-%s", i, cfg.Fit.Kind)
	cfg.TimeScale = TimeScale
	cfg.Version = "test"
	return cfg
}

// StartOne starts node i and waits until it answers.
func StartOne(t testing.TB, i int, options ...Option) *Member {
	t.Helper()
	m := Launch(t, i, options...)
	m.WaitReady()
	return m
}

// Launch starts node i and waits for nothing.
func Launch(t testing.TB, i int, options ...Option) *Member {
	t.Helper()
	return launch(t, i, options, func(*Member) {})
}

// launch calls bound before the node dials anybody.
func launch(t testing.TB, i int, options []Option, bound func(*Member)) *Member {
	t.Helper()
	cfg := Config(i)
	for _, o := range options {
		o(i, &cfg)
	}
	n, err := node.New(t.Context(), cfg)
	if err != nil {
		t.Fatalf("node %d: %v", i, err)
	}
	m := &Member{Node: n, Config: cfg, URL: "http://" + n.Addr(), t: t, ended: make(chan struct{})}
	bearer := ""
	if cfg.Token != nil {
		bearer = cfg.Token.Bearer()
	}
	if m.Client, err = api.NewClient(m.URL, bearer); err != nil {
		t.Fatal(err)
	}
	bound(m)
	ctx, cancel := context.WithCancel(context.Background())
	m.cancel = cancel
	go func() {
		defer close(m.ended)
		m.err = n.Run(ctx)
	}()
	t.Cleanup(func() {
		m.Client.Close()
		if err := m.Stop(); err != nil {
			t.Errorf("node %s stopped with: %v", n.Name(), err)
		}
	})
	return m
}

// Stop ends the node as SIGTERM does, and returns Run's error.
func (m *Member) Stop() error {
	m.cancel()
	<-m.ended
	return m.err
}

// Kill ends the node without a goodbye, as SIGKILL does.
func (m *Member) Kill() {
	m.t.Helper()
	if err := m.Cluster().Shutdown(); err != nil {
		m.t.Error(err)
	}
	_ = m.Stop()
}

// Ended is closed when Run has returned.
func (m *Member) Ended() <-chan struct{} { return m.ended }

// WaitReady waits until the node answers /consensus.
func (m *Member) WaitReady() {
	m.t.Helper()
	select {
	case <-m.Ready():
	case <-m.ended:
		m.t.Fatalf("node %s ended before it was ready: %v", m.Name(), m.err)
	case <-time.After(Patience):
		m.t.Fatalf("node %s is not ready after %v", m.Name(), Patience)
	}
}

// WaitInvited waits until n members would be invited to a round at this node.
func (m *Member) WaitInvited(n int) {
	m.t.Helper()
	m.Wait(fmt.Sprintf("%d invited", n), func() bool {
		r, err := m.Client.Ready(context.Background())
		return err == nil && r.Members == n
	})
}

// WaitState waits until this node sees the one named in a state: alive, suspect, failed, left, refused.
func (m *Member) WaitState(name, state string) {
	m.t.Helper()
	m.Wait(name+" "+state, func() bool {
		r, err := m.Client.Members(context.Background())
		if err != nil {
			return false
		}
		for _, o := range r.Members {
			if o.Name == name {
				return o.State == state
			}
		}
		return false
	})
}

// Wait waits until the predicate holds. It asks again at each change of the view, and
// now and then besides.
func (m *Member) Wait(what string, holds func() bool) {
	m.t.Helper()
	end := time.After(Patience)
	for {
		changed := m.Cluster().Changed()
		if holds() {
			return
		}
		again := time.NewTimer(50 * time.Millisecond)
		select {
		case <-changed:
		case <-again.C:
		case <-end:
			r, err := m.Client.Members(context.Background())
			m.t.Fatalf("%s: not %q after %v; members: %+v, %v", m.Name(), what, Patience, r, err)
		}
		again.Stop()
	}
}

// Get asks a path of the node and returns the response; the caller closes its body.
func (m *Member) Get(path string) *http.Response {
	m.t.Helper()
	res, err := http.Get(m.URL + path)
	if err != nil {
		m.t.Fatal(err)
	}
	return res
}
