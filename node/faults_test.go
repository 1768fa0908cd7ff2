package node_test

import (
	"fmt"
	"io"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"caucus/cluster"
	"caucus/cluster/identity"
	"caucus/cluster/session"
	"caucus/node"
	"caucus/node/api"
	"caucus/node/nodetest"
)

// counted is how many votes count in a round at a node that waits for all; 0 if there is no quorum.
func counted(t *testing.T, n *nodetest.Member) int {
	t.Helper()
	r, err := n.Client.Consensus(t.Context(), setosa, api.ConsensusOptions{Wait: "all"})
	if err != nil {
		return 0
	}
	ids := map[string]bool{}
	for _, v := range r.Votes {
		if ids[v.Node] {
			t.Errorf("%s shows two votes of %s", n.Name(), v.Node)
		}
		ids[v.Node] = true
	}
	return r.Counted
}

// metric returns the value of a metric without labels.
func metric(t *testing.T, n *nodetest.Member, name string) string {
	t.Helper()
	b, err := n.Client.Raw(t.Context(), http.MethodGet, "/metrics", nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(b)) {
		if value, ok := strings.CutPrefix(line, name+" "); ok {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

func TestF02PeerSlow(t *testing.T) {
	release := make(chan struct{})
	nodes := nodetest.Start(t, 3, nodetest.ModelOf(2, nodetest.Hanging("slow", release)), func(_ int, cfg *node.Config) {
		cfg.PeerTimeout, cfg.Deadline = 400*time.Millisecond, 400*time.Millisecond
	})
	for _, n := range nodes[:2] {
		n.WaitState("n2-slow", "alive") // which opens the test's connections to them
	}
	before := runtime.NumGoroutine()
	for range 4 {
		// The model answers when the test lets it, so the reply is no thanks to it.
		r, err := nodes[0].Client.Consensus(t.Context(), setosa, api.ConsensusOptions{Wait: "all"})
		if err != nil || r.Status != "degraded" || r.Counted != 2 || r.Invited != 3 {
			t.Fatalf("waiting for all: %+v %v", r, err)
		}
		if o := outcomes(r.Votes)["n2-slow"]; o != "timeout" && o != "ejected" {
			t.Errorf("waiting for all: the slow one's vote is %q", o)
		}
		r, err = nodes[1].Client.Consensus(t.Context(), setosa, api.ConsensusOptions{})
		if err != nil || !r.DecidedEarly && outcomes(r.Votes)["n2-slow"] != "ejected" {
			t.Errorf("deciding early: %+v %v", r, err)
		}
	}
	for _, n := range nodes[:2] {
		if s := member(t, n, "n2-slow").State; s != "alive" && s != "suspect" {
			t.Errorf("%s takes the slow one for %s", n.Name(), s)
		}
	}
	close(release)
	nodes[0].Wait("what waited for the slow one has ended", func() bool { return runtime.NumGoroutine() <= before+5 })
}

// TestF03AnswerBreaksOff: a peer falls silent in the middle of an answer, on a connection that stands.
func TestF03AnswerBreaksOff(t *testing.T) {
	door := newFront(t)
	nodes := nodetest.Start(t, 2, func(i int, cfg *node.Config) {
		cfg.Profile, cfg.PeerTimeout, cfg.Deadline, cfg.TimeScale = cluster.LAN, 400*time.Millisecond, 400*time.Millisecond, 0.3
		if i == 0 {
			cfg.PublicURL = door.url()
		}
	})
	asker := nodes[0]
	door.lead(asker.Addr())
	third := nodetest.StartOne(t, 2, func(_ int, cfg *node.Config) {
		cfg.Join = []identity.Invite{{Address: door.url()}}
		cfg.Profile, cfg.TimeScale = cluster.LAN, 0.3
	})
	for _, n := range append(nodes, third) {
		n.WaitInvited(3)
	}
	asker.Wait("all three vote", func() bool { return counted(t, asker) == 3 })
	asker.Wait("the others have a session too", func() bool {
		return slices.ContainsFunc(nodes[1].Cluster().Sessions(), func(p session.Peer) bool { return p.ID == third.ID() })
	})
	remote := func() string { // of the asker's session with the third
		for _, p := range asker.Cluster().Sessions() {
			if p.ID == third.ID() {
				return p.Remote
			}
		}
		return ""
	}
	failed, before := false, remote()
	release := door.hold()
	asker.Wait("the answer breaks off, and the others decide", func() bool {
		r, err := asker.Client.Consensus(t.Context(), setosa, api.ConsensusOptions{Wait: "all"})
		if err != nil || r.Counted < 2 || r.Invited != 3 || r.Label != "setosa" {
			t.Fatalf("%+v %v", r, err)
		}
		return outcomes(r.Votes)["n2-svm"] == "timeout"
	})
	asker.Wait("the dead connection is noticed, and there is another", func() bool {
		failed = failed || member(t, asker, "n2-svm").State == "failed"
		now := remote() // through the door again, or through the other node
		return now != "" && now != before
	})
	asker.Wait("it votes again", func() bool { return counted(t, asker) == 3 })
	if failed {
		t.Error("who fell silent towards one was taken for dead")
	}
	release()
}

// TestF11TwoNodesAtOneURL: a tunnel leads now to one and now to the other of two nodes.
func TestF11TwoNodesAtOneURL(t *testing.T) {
	door := newFront(t)
	labels := map[string]string{"n0-a": "setosa", "n1-b": "versicolor", "n2-c": "virginica"}
	models := []*nodetest.Model{nodetest.Constant("a", 0), nodetest.Constant("b", 1), nodetest.Constant("c", 2)}
	nodes := nodetest.Start(t, 3, func(i int, cfg *node.Config) {
		cfg.Profile, cfg.Model, cfg.Name = cluster.LAN, models[i], fmt.Sprintf("n%d-%s", i, models[i].Kind())
		if i > 0 {
			cfg.PublicURL = door.url()
		}
	})
	door.lead(nodes[1].Addr(), nodes[2].Addr())
	for _, n := range nodes {
		n.Wait("everybody's own vote counts, once", func() bool {
			r, err := n.Client.Consensus(t.Context(), setosa, api.ConsensusOptions{Wait: "all"})
			if err != nil {
				return false
			}
			seen := map[string]bool{}
			for _, v := range r.Votes {
				if seen[v.Node] {
					t.Errorf("two votes of %s", v.Name)
				}
				seen[v.Node] = true
				if v.Outcome == "ok" && v.Label != labels[v.Name] {
					t.Errorf("%s counts the vote %s for %s, which says %s", n.Name(), v.Label, v.Name, labels[v.Name])
				}
			}
			return r.Counted == 3
		})
	}
	for _, name := range []string{"n1-b", "n2-c"} {
		nodes[0].Wait(name+" is shown with what is wrong", func() bool {
			return strings.Contains(member(t, nodes[0], name).Reason, "the same URL as")
		})
	}
}

func TestF12URLChanged(t *testing.T) {
	old, next := newFront(t), newFront(t)
	release := make(chan struct{})
	slow := nodetest.Hanging("slow", release)
	inside := make(chan struct{}, 100)
	hang := slow.Before
	slow.Before = func() { inside <- struct{}{}; hang() }
	nodes := nodetest.Start(t, 2, nodetest.ModelOf(1, slow), func(i int, cfg *node.Config) {
		cfg.Profile = cluster.LAN
		if i == 1 {
			cfg.PublicURL = old.url()
		}
	})
	mover := nodes[1]
	old.lead(mover.Addr())
	next.lead(mover.Addr())
	third := nodetest.StartOne(t, 2, func(_ int, cfg *node.Config) {
		cfg.Join = []identity.Invite{{Address: old.url()}} // its session goes through what is about to break
	})
	all := append(nodes, third)
	for _, n := range all {
		n.WaitInvited(3)
	}
	before := member(t, third, mover.Name())
	type result struct {
		r   *api.ConsensusReply
		err error
	}
	done := make(chan result, 1)
	go func() {
		r, err := third.Client.Consensus(t.Context(), setosa, api.ConsensusOptions{Wait: "all"})
		done <- result{r, err}
	}()
	<-inside
	old.close()
	old.cut()
	if err := mover.Cluster().SetURL(next.url()); err != nil {
		t.Fatal(err)
	}
	if got := <-done; got.err != nil || got.r.Counted != 2 || outcomes(got.r.Votes)[mover.Name()] != "connect_error" {
		t.Errorf("the round under way: %+v %v", got.r, got.err)
	}
	close(release)
	for _, n := range all {
		n.Wait("all have the new URL", func() bool { return member(t, n, mover.Name()).URL == next.url() })
		n.Wait("all three vote", func() bool { return counted(t, n) == 3 })
		if after := member(t, n, mover.Name()); after.ID != before.ID || after.State == "failed" {
			t.Errorf("%s has it as %+v", n.Name(), after)
		}
	}
}

func TestF15DisplayNameClash(t *testing.T) {
	nodes := nodetest.Start(t, 3, func(i int, cfg *node.Config) {
		if i > 0 {
			cfg.Name = "twin"
		}
	})
	r, err := nodes[0].Client.Consensus(t.Context(), setosa, api.ConsensusOptions{Wait: "all"})
	if err != nil || r.Counted != 3 {
		t.Fatalf("%+v %v", r, err)
	}
	for _, n := range nodes[1:] {
		if want := "twin#" + n.ID().Short(); outcomes(r.Votes)[want] != "ok" {
			t.Errorf("no vote of %s among %v", want, outcomes(r.Votes))
		}
	}
}

// TestF20MoreThanItCanDo: questions come faster than a node can answer. What is too much is refused at once, and
// gossip does not notice. (What is left of its speed is measured by make soak.)
func TestF20MoreThanItCanDo(t *testing.T) {
	release := make(chan struct{})
	busy := nodetest.Hanging("busy", release)
	nodes := nodetest.Start(t, 3, nodetest.ModelOf(0, busy), func(_ int, cfg *node.Config) {
		cfg.Profile, cfg.TimeScale, cfg.Deadline, cfg.PeerTimeout = cluster.Tunnel, 1, time.Minute, time.Minute
	})
	for _, n := range nodes {
		n.Wait("all have sessions", func() bool { return len(n.Cluster().Sessions()) == 2 })
	}
	stop := make(chan struct{})
	suspected := watchStates(t, nodes, stop)
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 200}}
	defer client.CloseIdleConnections()
	before := runtime.NumGoroutine()
	var taken, refused, wrong atomic.Int64
	var most atomic.Int64
	ask := func(path string) {
		res, err := client.Get(nodes[0].URL + path)
		if err != nil {
			t.Error(err)
			return
		}
		_, _ = io.Copy(io.Discard, res.Body)
		res.Body.Close()
		switch {
		case res.StatusCode == http.StatusOK:
			taken.Add(1)
		case (res.StatusCode == 503 || res.StatusCode == 429) && res.Header.Get("Retry-After") != "":
			refused.Add(1)
		default:
			wrong.Add(1)
		}
		most.Store(max(most.Load(), int64(runtime.NumGoroutine())))
	}
	const questions = 300
	var wg sync.WaitGroup
	for range questions {
		wg.Go(func() { ask("/predict?features=5.1,3.5,1.4,0.2") })
	}
	// The model holds on to as many as it takes, and all others are told so while it does.
	nodes[0].Wait("the others are refused", func() bool { return refused.Load() >= questions-100 })
	if r, err := nodes[0].Client.Consensus(t.Context(), setosa, api.ConsensusOptions{}); err != nil || r.Label != "setosa" || r.Counted != 2 || outcomes(r.Votes)["n0-busy"] != "shed" {
		t.Errorf("a round while the own model has too much to do: %+v %v", r, err)
	}
	close(release)
	wg.Wait()
	if wrong.Load() > 0 || taken.Load() == 0 || taken.Load()+refused.Load() != questions {
		t.Errorf("%d answered, %d refused, %d neither", taken.Load(), refused.Load(), wrong.Load())
	}
	// Rounds, from as many clients as there are, as fast as they go.
	for range 50 {
		wg.Go(func() {
			for range 20 {
				ask("/consensus?features=5.1,3.5,1.4,0.2")
			}
		})
	}
	wg.Wait()
	if wrong.Load() > 0 {
		t.Errorf("%d questions got neither an answer nor a refusal with Retry-After", wrong.Load())
	}
	close(stop)
	if s := <-suspected; len(s) > 0 {
		t.Errorf("under load members were taken for dead, or suspected: %v", s)
	}
	// A connection is a goroutine or two at each end, and all of this is one process.
	if most.Load() > int64(before+12*questions) {
		t.Errorf("there were up to %d goroutines", most.Load())
	}
	client.CloseIdleConnections()
	nodes[0].Wait("the goroutines of the load are gone", func() bool { return runtime.NumGoroutine() <= before+20 })
}

// watchStates collects every state but alive that one of the nodes has another in, until stop is closed.
func watchStates(t *testing.T, nodes []*nodetest.Member, stop chan struct{}) <-chan []string {
	t.Helper()
	out := make(chan []string, 1)
	var mu sync.Mutex
	var seen []string
	var wg sync.WaitGroup
	for _, n := range nodes {
		wg.Go(func() {
			for {
				changed := n.Cluster().Changed()
				for _, m := range n.Cluster().View().Members {
					if m.State != cluster.Alive {
						mu.Lock()
						seen = append(seen, fmt.Sprintf("%s has %s as %s", n.Name(), m.Name, m.State))
						mu.Unlock()
					}
				}
				select {
				case <-changed:
				case <-stop:
					return
				}
			}
		})
	}
	go func() {
		wg.Wait()
		out <- seen
	}()
	return out
}
