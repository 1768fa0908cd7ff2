//go:build unix

package node_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"syscall"
	"testing"

	"caucus/cluster/identity"
	"caucus/node"
	"caucus/node/api"
	"caucus/node/nodetest"
)

// The tests of faults have the numbers of docs/faults.md, which says what each one must do to /consensus and
// to the membership. These play theirs on real processes.

func TestF01PeerKilled(t *testing.T) {
	nodes := nodetest.Start(t, 2)
	third := startChild(t, childConfig{Name: "third", Join: nodes[0].URL, Index: 2})
	for _, n := range nodes {
		n.WaitInvited(3)
		n.Wait("all three vote", func() bool { return counted(t, n) == 3 })
	}
	third.kill()
	for _, n := range nodes {
		rounds := 0
		n.Wait("it is failed", func() bool {
			r, err := n.Client.Consensus(t.Context(), setosa, api.ConsensusOptions{Wait: "all"})
			if err != nil || r.Counted != 2 || r.Invited != 3 || r.Status != "degraded" || r.Label != "setosa" {
				t.Errorf("%s: %+v %v", n.Name(), r, err)
			}
			for _, v := range r.Votes {
				if v.Name == "third" && v.Outcome != "connect_error" && v.Outcome != "ejected" {
					t.Errorf("%s: the dead one's vote is %+v", n.Name(), v)
				}
			}
			rounds++
			m, err := n.Client.Members(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			for _, x := range m.Members {
				if x.Name == "third" {
					return x.State == "failed"
				}
			}
			t.Errorf("%s does not list it any more", n.Name())
			return false
		})
		t.Logf("%s held %d rounds until it said that the third had failed", n.Name(), rounds)
		n.Wait("it has failed once", func() bool { return metric(t, n, "caucus_cluster_failures_total") == "1" })
	}
}

func TestF14RestartWithTheSameIdentity(t *testing.T) {
	dir := t.TempDir()
	nodes := nodetest.Start(t, 2)
	third := startChild(t, childConfig{Name: "third", Join: nodes[0].URL, Index: 2, StateDir: dir})
	for _, n := range nodes {
		n.Wait("all three vote", func() bool { return counted(t, n) == 3 })
	}
	before := member(t, nodes[0], "third")
	third.kill()
	again := startChild(t, childConfig{Name: "third", Index: 2, StateDir: dir, Listen: third.addr}) // it knows whom to look for
	if again.id != third.id {
		t.Fatalf("its id was %s and is %s", third.id, again.id)
	}
	for _, n := range nodes {
		n.Wait("all three vote again", func() bool { return counted(t, n) == 3 })
		if n.Config.Name == "" || member(t, n, "third").ID != before.ID {
			t.Error("it came back as another")
		}
	}
	wait(t, "it votes in rounds of its own", func() bool {
		r, err := again.client.Consensus(t.Context(), setosa, api.ConsensusOptions{Wait: "all"})
		return err == nil && r.Counted == 3 && r.Invited == 3
	})
}

func TestF19SIGTERMInARound(t *testing.T) {
	inside, release := make(chan struct{}, 100), make(chan struct{})
	slow := nodetest.Hanging("slow", release)
	hang := slow.Before
	slow.Before = func() { inside <- struct{}{}; hang() }
	first := nodetest.StartOne(t, 0, nodetest.ModelOf(0, slow))
	second := startChild(t, childConfig{Name: "second", Join: first.URL, Index: 1})
	first.WaitInvited(2)
	wait(t, "both know both", func() bool {
		r, err := second.client.Ready(t.Context())
		return err == nil && r.Members == 2
	})
	type result struct {
		r   *api.ConsensusReply
		err error
	}
	done := make(chan result, 1)
	go func() {
		r, err := second.client.Consensus(t.Context(), setosa, api.ConsensusOptions{Wait: "all"})
		done <- result{r, err}
	}()
	<-inside // the round waits for this vote
	second.signal(syscall.SIGTERM)
	first.WaitState("second", "left")
	close(release)
	switch got := <-done; {
	case got.err == nil && got.r.Counted == 2:
	case got.err != nil && problem(t, got.err).Status == 503: // the machine was so slow that the time was up
		t.Logf("it was cut off: %v", got.err)
	default:
		t.Errorf("%+v %v", got.r, got.err)
	}
	<-second.ended
	if code := second.cmd.ProcessState.ExitCode(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	// Who has left does not count any more.
	r, err := first.Client.Consensus(t.Context(), setosa, api.ConsensusOptions{})
	if err != nil || r.Invited != 1 {
		t.Errorf("%+v %v", r, err)
	}
}

func TestF19NewQuestionsWhileStopping(t *testing.T) {
	inside, release := make(chan struct{}, 100), make(chan struct{})
	slow := nodetest.Hanging("slow", release)
	hang := slow.Before
	slow.Before = func() { inside <- struct{}{}; hang() }
	n := nodetest.StartOne(t, 0, nodetest.ModelOf(0, slow))
	conn := &http.Client{Transport: &http.Transport{}} // keeps its connection, which is open already when the node stops
	defer conn.CloseIdleConnections()
	ask := func() *http.Response {
		t.Helper()
		res, err := conn.Get(n.URL + "/healthz")
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, res.Body)
		res.Body.Close()
		return res
	}
	ask()
	under := make(chan error, 1)
	go func() {
		_, err := n.Client.Predict(t.Context(), setosa)
		under <- err
	}()
	<-inside
	stopped := make(chan error, 1)
	go func() { stopped <- n.Stop() }()
	n.Wait("new questions are refused", func() bool {
		res, err := conn.Get(n.URL + "/predict?features=5.1,3.5,1.4,0.2")
		if err != nil {
			return true // the listener is closed already
		}
		body, _ := io.ReadAll(res.Body)
		res.Body.Close()
		if res.StatusCode == http.StatusServiceUnavailable {
			if !res.Close || !strings.Contains(string(body), "shutting down") || res.Header.Get("Retry-After") == "" {
				t.Errorf("%v %s", res.Header, body)
			}
			return true
		}
		return false
	})
	close(release)
	if err := <-under; err != nil {
		t.Errorf("the question that was under way: %v", err)
	}
	if err := <-stopped; err != nil {
		t.Error(err)
	}
}

// TestF26LaptopSleeps stops a process and lets it go on, after the others have given it up.
func TestF26LaptopSleeps(t *testing.T) {
	inside, release := make(chan struct{}, 1000), make(chan struct{})
	slow := nodetest.Hanging("slow", release)
	hang := slow.Before
	slow.Before = func() { inside <- struct{}{}; hang() }
	door := newFront(t) // counts who comes to node 0
	nodes := nodetest.Start(t, 2, func(i int, cfg *node.Config) {
		cfg.Profile = "lan"
		if i == 0 {
			cfg.PublicURL = door.url()
			cfg.Model, cfg.Name = slow, "n0-slow"
		}
	}, func(i int, cfg *node.Config) {
		if i > 0 {
			cfg.Join = []identity.Invite{{Address: cfg.Join[0].Address}}
		}
	})
	door.lead(nodes[0].Addr())
	sleeper := startChild(t, childConfig{Name: "sleeper", Join: door.url(), Index: 2})
	for _, n := range nodes {
		n.WaitInvited(3)
	}
	wait(t, "the sleeper knows all", func() bool {
		r, err := sleeper.client.Ready(t.Context())
		return err == nil && r.Members == 3
	})
	// It is asked, and falls asleep over the question.
	type result struct {
		r   *api.ConsensusReply
		err error
	}
	done := make(chan result, 1)
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), 2*nodetest.Patience)
		defer cancel()
		r, err := sleeper.client.Consensus(ctx, setosa, api.ConsensusOptions{Wait: "all"})
		done <- result{r, err}
	}()
	<-inside
	sleeper.signal(syscall.SIGSTOP)
	for _, n := range nodes {
		n.WaitState("sleeper", "failed")
	}
	close(release)
	// The others go on without it, and it stays on their roster.
	if r, err := nodes[1].Client.Consensus(t.Context(), setosa, api.ConsensusOptions{Wait: "all"}); err != nil || r.Counted != 2 || r.Invited != 3 {
		t.Errorf("while it sleeps: %+v %v", r, err)
	}
	came := door.count()
	sleeper.signal(syscall.SIGCONT)
	switch got := <-done; {
	case got.err == nil:
		counted := 0
		for _, v := range got.r.Votes {
			if v.Outcome == "ok" {
				counted++
			}
		}
		if got.r.Invited != 3 || got.r.Counted < 2 || counted != got.r.Counted || got.r.Label != "setosa" {
			t.Errorf("the answer that it slept over: %+v", got.r)
		}
	default:
		var p *api.Problem
		if !errors.As(got.err, &p) || p.Status != 503 || p.Kind() != api.QuorumNotReached {
			t.Errorf("the answer that it slept over: %v", got.err)
		}
	}
	for _, n := range nodes {
		n.WaitState("sleeper", "alive")
		n.Wait("all three vote", func() bool { return counted(t, n) == 3 })
	}
	wait(t, "it votes in rounds of its own", func() bool {
		r, err := sleeper.client.Consensus(t.Context(), setosa, api.ConsensusOptions{Wait: "all"})
		return err == nil && r.Counted == 3
	})
	// All the ways back in at once (rejoining, gossip, a broken session) are a handful of calls, not one for each
	// timer that came due in its sleep.
	if burst := door.count() - came; burst > 8 {
		t.Errorf("it called %d times when it woke", burst)
	} else {
		t.Logf("it called %d times when it woke", burst)
	}
}
