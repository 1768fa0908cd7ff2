package node_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"caucus/cluster/identity"
	"caucus/internal/testlog"
	"caucus/ml"
	"caucus/node"
	"caucus/node/api"
	"caucus/node/nodetest"
)

var setosa = []float64{5.1, 3.5, 1.4, 0.2}

// outcomes maps the members' names to what became of their votes.
func outcomes(votes []api.Vote) map[string]string {
	out := map[string]string{}
	for _, v := range votes {
		out[v.Name] = v.Outcome
	}
	return out
}

func problem(t testing.TB, err error) *api.Problem {
	t.Helper()
	var p *api.Problem
	if !errors.As(err, &p) {
		t.Fatalf("not a problem: %v", err)
	}
	return p
}

func TestEveryNodeGivesTheSameAnswerForAllOfIris(t *testing.T) {
	nodes := nodetest.Start(t, 3)
	type answer struct{ label, method, rule, roster, evidence, shares, weights string }
	right := 0
	for i, row := range nodetest.IrisRows() {
		var first answer
		for k, n := range nodes {
			r, err := n.Client.Consensus(t.Context(), row, api.ConsensusOptions{Wait: "all"})
			if err != nil {
				t.Fatal(err)
			}
			if r.Counted != 3 || (r.Status != "ok" && r.Status != "tie") || r.Asked != string(n.ID()) {
				t.Fatalf("row %d at %s: %+v", i, n.Name(), r)
			}
			weights := map[string]api.Millionths{}
			for _, v := range r.Votes {
				weights[v.Node] = v.Weight
			}
			got := answer{r.Label, r.Method, r.Rule, r.Roster, r.Evidence, fmt.Sprint(r.Shares), fmt.Sprint(weights)}
			if k == 0 {
				first = got
				if r.Prediction == i/50 {
					right++
				}
			} else if got != first {
				t.Fatalf("row %d: %s says %+v, %s says %+v", i, n.Name(), got, nodes[0].Name(), first)
			}
		}
	}
	if right < 140 {
		t.Errorf("%d of 150 right", right)
	}
}

func TestABatchIsOneRoundWithTheSameLabels(t *testing.T) {
	nodes := nodetest.Start(t, 3)
	rows := nodetest.IrisRows()
	var first *api.ConsensusBatchReply
	for _, n := range nodes {
		b, err := n.Client.ConsensusBatch(t.Context(), rows, api.ConsensusOptions{Wait: "all"})
		if err != nil {
			t.Fatal(err)
		}
		if b.Counted != 3 || b.Status != "ok" || len(b.Results) != 150 || len(b.VotesByNode) != 3 || b.Round == "" {
			t.Fatalf("%s: %d of %d, %s, %d rows", n.Name(), b.Counted, b.Invited, b.Status, len(b.Results))
		}
		for i, r := range b.Results {
			for k, v := range b.VotesByNode {
				if v.Labels[i] != r.Votes[k] {
					t.Fatalf("row %d: %v and %v", i, v, r)
				}
			}
		}
		if first == nil {
			first = b
		} else if !slices.Equal(b.Predictions, first.Predictions) || b.Roster != first.Roster {
			t.Errorf("%s answers otherwise", n.Name())
		}
	}
	for i := range rows[:20] {
		r, err := nodes[0].Client.Consensus(t.Context(), rows[i], api.ConsensusOptions{Wait: "all"})
		if err != nil || r.Label != first.Labels[i] || r.Margin != first.Results[i].Margin {
			t.Errorf("row %d: %+v, in the batch %+v, %v", i, r, first.Results[i], err)
		}
	}
	if r, err := nodes[1].Client.Rounds(t.Context(), 0); err != nil || r.Rounds[0].Rows != 150 && !slices.ContainsFunc(r.Rounds, func(s api.RoundSummary) bool { return s.Rows == 150 }) {
		t.Errorf("%+v %v", r, err)
	}
}

func TestNodesThatMisbehaveDoNotSpoilTheRound(t *testing.T) {
	release := make(chan struct{})
	nodes := nodetest.Start(t, 5,
		nodetest.ModelOf(2, nodetest.Panicking("panics")),
		nodetest.ModelOf(3, nodetest.Hanging("hangs", release)),
		nodetest.ModelOf(4, nodetest.Lying("lies")),
		func(_ int, cfg *node.Config) {
			cfg.PeerTimeout, cfg.Deadline = 800*time.Millisecond, time.Second
		},
	)
	t.Cleanup(func() { close(release) }) // before the nodes stop
	r, err := nodes[0].Client.Consensus(t.Context(), setosa, api.ConsensusOptions{Minority: true})
	if err != nil {
		t.Fatal(err)
	}
	got := outcomes(r.Votes)
	want := map[string]string{"n0-knn": "ok", "n1-randforest": "ok", "n2-panics": "internal", "n3-hangs": "timeout", "n4-lies": "bad_label"}
	if fmt.Sprint(got) != fmt.Sprint(want) || r.Label != "setosa" || r.Status != "minority" || r.Invited != 5 || r.Quorum != 3 {
		t.Errorf("%v in %+v", got, r)
	}
	_, err = nodes[0].Client.Consensus(t.Context(), setosa, api.ConsensusOptions{})
	if p := problem(t, err); p.Kind() != api.QuorumNotReached || len(p.Missing) != 3 || p.ProvisionalLabel != "setosa" {
		t.Errorf("%+v", p)
	}
	// The broken ones themselves.
	if r, err := nodes[2].Client.Consensus(t.Context(), setosa, api.ConsensusOptions{Minority: true}); err != nil || outcomes(r.Votes)["n2-panics"] != "internal" || r.Label != "setosa" {
		t.Errorf("%+v %v", r, err)
	}
	_, err = nodes[2].Client.Predict(t.Context(), setosa)
	if p := problem(t, err); p.Status != 500 {
		t.Errorf("%+v", p)
	}
	_, err = nodes[3].Client.Predict(t.Context(), setosa)
	if p := problem(t, err); p.Status != 503 || p.Kind() != api.ModelTimeout {
		t.Errorf("%+v", p)
	}
}

func TestARoundAsksEachMemberOnceAndNobodyAsksOn(t *testing.T) {
	models := []*nodetest.Model{nodetest.Constant("a", 0), nodetest.Constant("b", 1), nodetest.Constant("c", 1)}
	nodes := nodetest.Start(t, 3, func(i int, cfg *node.Config) { cfg.Model = models[i] })
	for i, n := range nodes {
		r, err := n.Client.Consensus(t.Context(), setosa, api.ConsensusOptions{Wait: "all"})
		if err != nil || r.Label != "versicolor" || r.Unanimous || len(r.Dissenters) != 1 || r.Dissenters[0] != string(nodes[0].ID()) {
			t.Errorf("%+v %v", r, err)
		}
		for _, m := range models {
			if got := m.Predicted.Load(); got != int64(i+1) {
				t.Errorf("after %d rounds model %s was asked %d times", i+1, m.Name, got)
			}
		}
	}
}

func TestASlowNodeIsNotWaitedForWhenTheOthersAgree(t *testing.T) {
	release := make(chan struct{})
	nodes := nodetest.Start(t, 3, nodetest.ModelOf(2, nodetest.Hanging("slow", release)))
	t.Cleanup(func() { close(release) })
	r, err := nodes[0].Client.Consensus(t.Context(), setosa, api.ConsensusOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if !r.DecidedEarly || outcomes(r.Votes)["n2-slow"] != "pending" || r.Label != "setosa" || r.Counted != 2 {
		t.Errorf("%+v", r)
	}
}

func TestANodeThatDiesInARoundIsReportedAndThenMissed(t *testing.T) {
	inside := make(chan struct{}, 10)
	release := make(chan struct{})
	dying := nodetest.Hanging("dies", release)
	wait := dying.Before
	dying.Before = func() { inside <- struct{}{}; wait() }
	nodes := nodetest.Start(t, 3, nodetest.ModelOf(2, dying))
	t.Cleanup(func() { close(release) })
	type result struct {
		r   *api.ConsensusReply
		err error
	}
	done := make(chan result, 1)
	go func() {
		r, err := nodes[0].Client.Consensus(t.Context(), setosa, api.ConsensusOptions{Wait: "all"})
		done <- result{r, err}
	}()
	<-inside // the question is with the node that dies now
	nodes[2].Kill()
	got := <-done
	if got.err != nil || got.r.Status != "degraded" || outcomes(got.r.Votes)["n2-dies"] != "connect_error" || got.r.Counted != 2 {
		t.Errorf("%+v %v", got.r, got.err)
	}
	nodes[0].WaitState("n2-dies", "failed")
	r, err := nodes[0].Client.Consensus(t.Context(), setosa, api.ConsensusOptions{})
	if err != nil || r.Status != "degraded" || r.Invited != 3 || r.Counted != 2 || !strings.Contains(r.Summary, "2 of 3 say setosa") {
		t.Errorf("%+v %v", r, err)
	}
	for _, v := range r.Votes {
		if v.Name == "n2-dies" && !strings.HasPrefix(v.Reason, "failed since ") {
			t.Errorf("%+v", v)
		}
	}
	nodes[1].Kill()
	nodes[0].WaitState("n1-randforest", "failed")
	_, err = nodes[0].Client.Consensus(t.Context(), setosa, api.ConsensusOptions{})
	p := problem(t, err)
	if p.Status != 503 || p.Kind() != api.QuorumNotReached || len(p.Missing) != 2 || p.ProvisionalLabel != "setosa" || p.RetryAfter == 0 {
		t.Errorf("%+v", p)
	}
	for _, m := range p.Missing {
		if m.State != "failed" || m.Since.IsZero() {
			t.Errorf("%+v", m)
		}
	}
	if r, err := nodes[0].Client.Consensus(t.Context(), setosa, api.ConsensusOptions{Minority: true}); err != nil || r.Status != "minority" || r.Label != "setosa" {
		t.Errorf("%+v %v", r, err)
	}
	// Whoever is gone for good can be forgotten, by name.
	if _, err := nodes[0].Client.Forget(t.Context(), "nobody"); err == nil || !strings.Contains(err.Error(), "n1-randforest, n2-dies") {
		t.Errorf("%v", err)
	}
	if _, err := nodes[0].Client.Forget(t.Context(), "n0-knn"); err == nil || !strings.Contains(err.Error(), "alive") {
		t.Errorf("%v", err)
	}
	if f, err := nodes[0].Client.ForgetFailed(t.Context()); err != nil || len(f.Forgotten) != 2 {
		t.Errorf("%+v %v", f, err)
	}
	if r, err := nodes[0].Client.Consensus(t.Context(), setosa, api.ConsensusOptions{}); err != nil || r.Counted != 1 || r.Invited != 1 {
		t.Errorf("%+v %v", r, err)
	}
}

func TestANodeThatLeavesDoesNotCountAnyMore(t *testing.T) {
	nodes := nodetest.Start(t, 3)
	start := time.Now()
	if err := nodes[2].Stop(); err != nil {
		t.Fatal(err)
	}
	t.Logf("left within %v", time.Since(start))
	for _, n := range nodes[:2] {
		n.WaitState("n2-svm", "left")
		r, err := n.Client.Consensus(t.Context(), setosa, api.ConsensusOptions{})
		if err != nil || r.Status != "ok" || r.Invited != 2 || r.Counted != 2 {
			t.Errorf("%+v %v", r, err)
		}
	}
}

func TestAMemberOfAnotherTaskIsListedAndNotAsked(t *testing.T) {
	foreign := nodetest.Foreign("wine-model")
	nodes := nodetest.Start(t, 2)
	other := nodetest.StartOne(t, 2, nodetest.ModelOf(2, foreign), func(_ int, cfg *node.Config) {
		cfg.Join = []identity.Invite{{Address: nodes[0].URL}}
	})
	var line api.Member
	nodes[0].Wait("the other task is described", func() bool {
		m, err := nodes[0].Client.Members(t.Context())
		if err != nil {
			return false
		}
		for _, line = range m.Members {
			if line.ID == string(other.ID()) {
				return line.Task == "wine"
			}
		}
		return false
	})
	if line.Voter || line.State != "alive" || !strings.Contains(line.Reason, "another task (wine)") || !strings.Contains(line.Reason, "sepal_length") {
		t.Errorf("%+v", line)
	}
	r, err := nodes[0].Client.Consensus(t.Context(), setosa, api.ConsensusOptions{Wait: "all"})
	if err != nil || r.Invited != 2 || r.Status != "ok" {
		t.Errorf("%+v %v", r, err)
	}
	if n := foreign.Predicted.Load(); n != 0 {
		t.Errorf("the foreign model was asked %d times", n)
	}
	// It answers for itself, and for its own task.
	own, err := other.Client.Consensus(t.Context(), []float64{1, 2, 3}, api.ConsensusOptions{})
	if err != nil || own.Invited != 1 || own.Label != "barbera" {
		t.Errorf("%+v %v", own, err)
	}
	_, err = other.Client.Consensus(t.Context(), setosa, api.ConsensusOptions{})
	if p := problem(t, err); p.Status != 400 {
		t.Errorf("%+v", p)
	}
}

func TestRoundsAreToldToTheOthersWithoutFeatures(t *testing.T) {
	nodes := nodetest.Start(t, 2)
	r, err := nodes[0].Client.Consensus(t.Context(), setosa, api.ConsensusOptions{Wait: "all"})
	if err != nil {
		t.Fatal(err)
	}
	own, err := nodes[0].Client.Round(t.Context(), r.Round)
	if err != nil || !slices.Equal(own.Features, setosa) || own.Consensus == nil || own.Consensus.Summary != r.Summary || own.Asked != string(nodes[0].ID()) {
		t.Errorf("%+v %v", own, err)
	}
	var heard *api.RoundReply
	nodes[1].Wait("heard of the round", func() bool {
		heard, err = nodes[1].Client.Round(t.Context(), r.Round)
		return err == nil
	})
	if heard.Label != "setosa" || heard.Status != "ok" || heard.Counted != 2 || heard.Invited != 2 || heard.Asked != string(nodes[0].ID()) ||
		len(heard.Features) != 0 || heard.Consensus != nil || len(heard.Votes) != 2 || heard.Votes[0].Label != "setosa" || heard.Votes[0].Name == "" {
		t.Errorf("%+v", heard)
	}
	list, err := nodes[1].Client.Rounds(t.Context(), 1)
	if err != nil || len(list.Rounds) != 1 || list.Rounds[0].Round != r.Round || time.Since(list.Rounds[0].At) > time.Hour {
		t.Errorf("%+v %v", list, err)
	}
}

func TestTheRequestIDTravelsWithTheVotes(t *testing.T) {
	var logs [2]testlog.Buffer
	nodes := nodetest.Start(t, 2, func(i int, cfg *node.Config) {
		cfg.Log = slog.New(slog.NewJSONHandler(&logs[i], &slog.HandlerOptions{Level: slog.LevelDebug}))
	})
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, nodes[0].URL+"/consensus?features=5.1,3.5,1.4,0.2&wait=all", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("X-Request-Id", "trace-42")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	var r api.ConsensusReply
	if err := json.NewDecoder(res.Body).Decode(&r); err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	http.DefaultClient.CloseIdleConnections()
	if res.Header.Get("X-Request-Id") != "trace-42" || r.RequestID != "trace-42" {
		t.Errorf("%v %+v", res.Header, r)
	}
	for i, want := range []string{`"msg":"request"`, `"msg":"voted"`} {
		found := false
		nodes[0].Wait("the log has the line", func() bool {
			for line := range strings.SplitSeq(logs[i].String(), "\n") {
				found = found || (strings.Contains(line, want) && strings.Contains(line, `"request_id":"trace-42"`))
			}
			return found
		})
		if strings.Contains(logs[i].String(), "5.1") && strings.Contains(logs[i].String(), "3.5,1.4") {
			t.Errorf("features are in the log of node %d", i)
		}
	}
}

func TestShuttingDownFinishesTheRoundUnderWay(t *testing.T) {
	inside := make(chan struct{}, 10)
	release := make(chan struct{})
	slow := nodetest.Hanging("slow", release)
	wait := slow.Before
	slow.Before = func() { inside <- struct{}{}; wait() }
	nodes := nodetest.Start(t, 2, nodetest.ModelOf(1, slow))
	type result struct {
		r   *api.ConsensusReply
		err error
	}
	done := make(chan result, 1)
	go func() {
		r, err := nodes[0].Client.Consensus(t.Context(), setosa, api.ConsensusOptions{})
		done <- result{r, err}
	}()
	<-inside
	stopped := make(chan error, 1)
	go func() { stopped <- nodes[0].Stop() }()
	nodes[1].WaitState("n0-knn", "left")
	// It has said goodbye and still owes an answer, which needs this vote.
	close(release)
	if got := <-done; got.err != nil || got.r.Counted != 2 {
		t.Errorf("%+v %v", got.r, got.err)
	}
	if err := <-stopped; err != nil {
		t.Error(err)
	}
	if _, err := nodes[0].Client.Predict(t.Context(), setosa); err == nil {
		t.Error("it still answers")
	}
}

func TestANodeOnAnOldRosterSaysWhomItWaitsFor(t *testing.T) {
	dir := t.TempDir()
	keep := func(i int, cfg *node.Config) {
		cfg.StateDir = filepath.Join(dir, fmt.Sprint(i))
		if err := os.MkdirAll(cfg.StateDir, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	nodes := nodetest.Start(t, 3, keep)
	id := nodes[0].ID()
	for _, n := range nodes {
		n.Kill()
	}
	again := nodetest.Launch(t, 0, keep)
	if again.ID() != id {
		t.Errorf("the id has changed")
	}
	var p *api.Problem
	again.Wait("it answers from its roster", func() bool {
		_, err := again.Client.Consensus(t.Context(), setosa, api.ConsensusOptions{})
		return errors.As(err, &p) && p.Kind() == api.QuorumNotReached
	})
	todo := strings.Join(p.WhatToDo, "\n")
	if len(p.Missing) != 2 || !strings.Contains(todo, "wait") || !strings.Contains(todo, "caucus forget --failed") || !strings.Contains(todo, "--new-cluster") {
		t.Errorf("%+v", p)
	}
	if err := again.Stop(); err != nil {
		t.Fatal(err)
	}
	fresh := nodetest.StartOne(t, 0, keep, func(_ int, cfg *node.Config) { cfg.NewCluster = true })
	if r, err := fresh.Client.Consensus(t.Context(), setosa, api.ConsensusOptions{}); err != nil || r.Invited != 1 {
		t.Errorf("%+v %v", r, err)
	}
}

func TestAJoinerThatReachesNobodySaysSo(t *testing.T) {
	lonely := nodetest.Launch(t, 0, func(_ int, cfg *node.Config) {
		cfg.Join = []identity.Invite{{Address: "http://127.0.0.1:1"}}
	})
	_, err := lonely.Client.Consensus(t.Context(), setosa, api.ConsensusOptions{})
	if p := problem(t, err); p.Kind() != api.Joining || !strings.Contains(p.Message, "http://127.0.0.1:1") {
		t.Errorf("%+v", p)
	}
	if _, err := lonely.Client.Ready(t.Context()); problem(t, err).Kind() != api.Joining {
		t.Errorf("%v", err)
	}
	if p, err := lonely.Client.Predict(t.Context(), setosa); err != nil || p.Label != "setosa" {
		t.Errorf("its own model answers all the same: %+v %v", p, err)
	}
}

func TestATunnelInTheWayIsSaidInItsWords(t *testing.T) {
	for name, tt := range map[string]struct {
		status            int
		contentType, body string
		code, says        string
	}{
		"its warning page":        {200, "text/html", "<!DOCTYPE html><html><body>You are about to visit ab12.ngrok-free.app</body></html>", "", "ngrok shows its warning page"},
		"its page, offline":       {404, "text/html", "<!DOCTYPE html><html>offline ERR_NGROK_3200</html>", "", "the ngrok tunnel is offline"},
		"its text, offline":       {404, "text/plain", "The endpoint ab12.ngrok-free.app is offline.\r\n\r\nERR_NGROK_3200\r\n", "ERR_NGROK_3200", "the ngrok tunnel is offline"},
		"nothing behind it":       {502, "text/html", "<html>gone</html>", "ERR_NGROK_8012", "nothing listens behind it"},
		"the month is used up":    {429, "text/plain", "", "ERR_NGROK_727", "this month's requests"},
		"a page that we know not": {200, "text/html", "<html><title>It works!</title></html>", "", "web page"},
	} {
		t.Run(name, func(t *testing.T) {
			tunnel := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", tt.contentType)
				if tt.code != "" {
					w.Header().Set("Ngrok-Error-Code", tt.code)
				}
				w.WriteHeader(tt.status)
				fmt.Fprint(w, tt.body)
			}))
			defer tunnel.Close()
			n := nodetest.Launch(t, 0, func(_ int, cfg *node.Config) { cfg.Join = []identity.Invite{{Address: tunnel.URL}} })
			n.Wait("it says what answered", func() bool {
				_, err := n.Client.Ready(t.Context())
				p := problem(t, err)
				return p.Kind() == api.Joining && strings.Contains(p.Message, tt.says) && strings.Contains(p.Message, tunnel.URL)
			})
			// A command that is pointed at it says the same.
			c, err := api.NewClient(tunnel.URL, "")
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			_, err = c.Predict(t.Context(), setosa)
			if err == nil || tt.says != "web page" && !strings.Contains(err.Error(), tt.says) {
				t.Errorf("the client: %v", err)
			}
		})
	}
}

func TestJoinRequiredGivesUp(t *testing.T) {
	cfg := nodetest.Config(0)
	cfg.Join, cfg.JoinRequired, cfg.TimeScale = []identity.Invite{{Address: "http://127.0.0.1:1"}}, true, 0.01
	n, err := node.New(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	if err := n.Run(t.Context()); !errors.Is(err, node.ErrCouldNotJoin) || !strings.Contains(err.Error(), "127.0.0.1:1") {
		t.Errorf("%v", err)
	}
}

func TestMetricsTellOfRoundsAndMembers(t *testing.T) {
	nodes := nodetest.Start(t, 2)
	if _, err := nodes[0].Client.Consensus(t.Context(), setosa, api.ConsensusOptions{Wait: "all"}); err != nil {
		t.Fatal(err)
	}
	b, err := nodes[0].Client.Raw(t.Context(), http.MethodGet, "/metrics", nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{
		`caucus_consensus_total{method="majority",status="ok"} 1`,
		`caucus_cluster_members{state="alive"} `, // how many is gossip's to say, on a loaded machine
		`caucus_peer_requests_total{outcome="ok",peer="` + string(nodes[1].ID()) + `"} 1`,
		`caucus_consensus_margin_count 1`,
		`caucus_build_info{`,
	} {
		if !strings.Contains(string(b), line) {
			t.Errorf("%s is missing in\n%s", line, b)
		}
	}
}

func TestAnOwnDataSetIsFitted(t *testing.T) {
	file := filepath.Join(t.TempDir(), "shapes.csv")
	var csv strings.Builder
	csv.WriteString("width,height,shape\n")
	for i := range 40 {
		fmt.Fprintf(&csv, "%d,%d,%s\n", i%7, 10+i%5, "tall")
		fmt.Fprintf(&csv, "%d,%d,%s\n", 10+i%7, i%5, "flat")
	}
	if err := os.WriteFile(file, []byte(csv.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	n := nodetest.StartOne(t, 0, func(_ int, cfg *node.Config) {
		cfg.Data, cfg.Label, cfg.Holdout = file, "shape", 0
		cfg.Fit = ml.FitOptions{Kind: ml.Forest, Trees: 10}
	})
	c, err := n.Client.Card(t.Context())
	if err != nil || c.Task.Name != "shapes" || !slices.Equal(c.Task.Labels, []string{"flat", "tall"}) || c.Evaluation.Folds != 5 || c.Evaluation.Accuracy < 0.9 || c.Card == "" || c.Version != "test" {
		t.Errorf("%+v %v", c, err)
	}
	if r, err := n.Client.Consensus(t.Context(), []float64{2, 12}, api.ConsensusOptions{}); err != nil || r.Label != "tall" || r.Status != "single" {
		t.Errorf("%+v %v", r, err)
	}
}
