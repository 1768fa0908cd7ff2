package main

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"caucus/cluster/identity"
	"caucus/ml"
	"caucus/node"
	"caucus/node/api"
	"caucus/node/assess"
	"caucus/node/assess/page"
	"caucus/node/consensus"
	"caucus/node/nodetest"
)

// cannedNode is a node that answers as a test wants it to.
type cannedNode struct {
	answer  func(rows int, reply *api.ConsensusBatchReply) // changes the answer
	weights func() *api.WeightsReply
	asked   []int // rows of each question
}

// serve starts it. Three members say setosa of every row, and so does the answer.
func (s *cannedNode) serve(t *testing.T) string {
	t.Helper()
	task := ml.Iris().Task
	mux := http.NewServeMux()
	send := func(w http.ResponseWriter, v any) {
		w.Header().Set("Content-Type", "application/json")
		if err := json.NewEncoder(w).Encode(v); err != nil {
			t.Error(err)
		}
	}
	mux.HandleFunc("GET /card", func(w http.ResponseWriter, _ *http.Request) {
		send(w, api.CardReply{Task: api.TaskReply{Name: task.Name, Features: task.Features, Labels: task.Labels}})
	})
	mux.HandleFunc("GET /weights", func(w http.ResponseWriter, _ *http.Request) { send(w, s.weights()) })
	mux.HandleFunc("POST /consensus", func(w http.ResponseWriter, r *http.Request) {
		var q struct{ Instances [][]float64 }
		if err := json.NewDecoder(r.Body).Decode(&q); err != nil {
			t.Error(err)
		}
		if got := r.URL.Query(); got.Get("wait") != "all" || got.Get("probabilities") != "true" {
			t.Errorf("asked with %v", got)
		}
		n := len(q.Instances)
		s.asked = append(s.asked, n)
		reply := &api.ConsensusBatchReply{Predictions: make([]int, n), Rule: "majority", Roster: "r", Results: make([]api.BatchRow, n)}
		for _, id := range []string{"a", "b", "c"} {
			reply.VotesByNode = append(reply.VotesByNode, api.NodeVotes{Node: id, Name: "node-" + id, Model: "knn", Outcome: "ok", Labels: make([]int, n)})
		}
		for i := range reply.Results {
			reply.Results[i].Shares = []api.Millionths{1_000_000, 0, 0}
		}
		if s.answer != nil {
			s.answer(n, reply)
		}
		send(w, reply)
	})
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	return server.URL
}

func threeMembers(roster string) func() *api.WeightsReply {
	return func() *api.WeightsReply {
		w := &api.WeightsReply{Roster: roster}
		for _, id := range []string{"a", "b", "c"} {
			w.Members = append(w.Members, api.MemberWeight{ID: id})
		}
		return w
	}
}

func evaluated(t *testing.T, node string, args ...string) *evaluation {
	t.Helper()
	code, stdout, stderr := here(t, append([]string{"evaluate", "--json", "--resamples", "500", "--node", node, "--data"}, args...)...)
	if code != 0 {
		t.Fatalf("exit code %d\n%s", code, stderr)
	}
	var e evaluation
	if err := json.Unmarshal([]byte(stdout), &e); err != nil {
		t.Fatal(err)
	}
	return &e
}

// manyIrises writes Iris so many times.
func manyIrises(t *testing.T, times int) string {
	t.Helper()
	b, err := os.ReadFile("../../ml/data/iris.csv")
	if err != nil {
		t.Fatal(err)
	}
	head, rows, _ := strings.Cut(string(b), "\n")
	path := filepath.Join(t.TempDir(), "irises.csv")
	if err := os.WriteFile(path, []byte(head+"\n"+strings.Repeat(rows, times)), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestBatchesAreCutOnceForAMemberThatRunsOutOfTime(t *testing.T) {
	slow := func(rows int, reply *api.ConsensusBatchReply) {
		if v := &reply.VotesByNode[2]; rows > 100 {
			v.Outcome, v.Labels = "timeout", nil
		}
	}
	s := &cannedNode{answer: slow, weights: threeMembers("r")}
	e := evaluated(t, s.serve(t), manyIrises(t, 2))
	if e.Copies != 151 { // Iris has two rows that are equal
		t.Errorf("%d rows are copies", e.Copies)
	}
	if want := []int{250, 60, 60, 60, 60, 60}; !slices.Equal(s.asked, want) {
		t.Errorf("asked about %v rows, want %v", s.asked, want)
	}
	if m := e.Members[2]; e.Rows != 300 || m.Answered != 300 || m.Correct != 100 {
		t.Errorf("%d rows, %+v", e.Rows, m)
	}

	// One that does not answer small batches either is told; nobody waits for it longer.
	s = &cannedNode{weights: threeMembers("r"), answer: func(_ int, reply *api.ConsensusBatchReply) {
		v := &reply.VotesByNode[2]
		v.Outcome, v.Labels = "timeout", nil
	}}
	e = evaluated(t, s.serve(t), manyIrises(t, 1))
	if want := []int{150, 60, 60, 30}; !slices.Equal(s.asked, want) {
		t.Errorf("asked about %v rows, want %v", s.asked, want)
	}
	if m := e.Members[2]; m.Answered != 0 || m.Reason != "timeout" {
		t.Errorf("%+v", m)
	}
}

func TestWeightsAreAskedForAnewWhenTheyChange(t *testing.T) {
	asked := 0
	s := &cannedNode{weights: func() *api.WeightsReply {
		asked++
		if asked == 1 {
			return threeMembers("before")()
		}
		return threeMembers("r")()
	}}
	if e := evaluated(t, s.serve(t), manyIrises(t, 2)); asked != 2 || e.Recount.Differ != 0 || !e.Recount.Done {
		t.Errorf("weights were asked for %d times; %+v", asked, e.Recount)
	}
}

func TestAnAnswerThatTheVotesDoNotGiveIsTold(t *testing.T) {
	s := &cannedNode{weights: threeMembers("r"), answer: func(_ int, reply *api.ConsensusBatchReply) { reply.Predictions[7] = 2 }}
	e := evaluated(t, s.serve(t), manyIrises(t, 1), "--method", "majority")
	if e.Recount.Differ != 1 || e.Recount.Rows[0] != 7 || len(e.Notes) != 1 || !strings.Contains(e.Notes[0], "1 row differs from the answer that the node gave") {
		t.Errorf("%+v %q", e.Recount, e.Notes)
	}
}

func TestAnAnswerThatDoesNotFitTogetherIsAnError(t *testing.T) {
	for name, spoil := range map[string]func(int, *api.ConsensusBatchReply){
		"fewer predictions":   func(_ int, r *api.ConsensusBatchReply) { r.Predictions = r.Predictions[1:] },
		"fewer labels":        func(_ int, r *api.ConsensusBatchReply) { r.VotesByNode[0].Labels = r.VotesByNode[0].Labels[1:] },
		"a label too high":    func(_ int, r *api.ConsensusBatchReply) { r.VotesByNode[0].Labels[3] = 9 },
		"a rule of no method": func(_ int, r *api.ConsensusBatchReply) { r.Rule = "dice" },
		"odd probabilities": func(_ int, r *api.ConsensusBatchReply) {
			r.VotesByNode[0].Probabilities = [][]api.Millionths{{1}}
		},
	} {
		s := &cannedNode{weights: threeMembers("r"), answer: spoil}
		code, _, stderr := here(t, "evaluate", "--node", s.serve(t), "--data", manyIrises(t, 1))
		if code != exitFailure || !strings.Contains(stderr, "same version") {
			t.Errorf("%s: exit code %d\n%s", name, code, stderr)
		}
	}
}

// Off the node's machine and without the token there are no weights to be had.
func TestWithoutTheTokenTheRestIsMeasuredAllTheSame(t *testing.T) {
	token, err := identity.NewToken()
	if err != nil {
		t.Fatal(err)
	}
	members := nodetest.Start(t, 2, func(_ int, cfg *node.Config) { cfg.Token = &token })
	proxy := nodetest.Tunnel(t, members[0].URL)

	e := evaluated(t, proxy, manyIrises(t, 1), "--method", "soft")
	if len(e.Methods) != 2 || e.Methods[0].Method != "majority" || !e.Methods[0].Recounted || e.Methods[1].Method != "soft" || e.Methods[1].Recounted || e.Methods[1].Accuracy < 0.9 {
		t.Errorf("%+v", e.Methods)
	}
	if e.Overlap.Known || len(e.Notes) != 2 || !strings.Contains(e.Notes[0], "did not say what the members weigh") || !strings.Contains(e.Notes[1], "is not known") {
		t.Errorf("%q", e.Notes)
	}
	code, _, stderr := here(t, "evaluate", "--unseen", "--node", proxy, "--data", manyIrises(t, 1))
	if code != exitUsage || !strings.Contains(stderr, "--token-file") {
		t.Errorf("exit code %d\n%s", code, stderr)
	}
	if e = evaluated(t, proxy+"#"+token.String(), manyIrises(t, 1)); len(e.Methods) != 5 || len(e.Notes) != 0 {
		t.Errorf("with the token: %d methods, notes %q", len(e.Methods), e.Notes)
	}
}

// FuzzEvaluatedAnswer: whatever a node answers, and says of weights, is an error or a report.
func FuzzEvaluatedAnswer(f *testing.F) {
	task := ml.Iris().Task
	f.Add([]byte(`{"predictions":[0,1],"rule":"majority","results":[{"shares":[1,0,0]},{"shares":[0,1,0]}],"votes_by_node":[
		{"node":"a","name":"a","outcome":"ok","labels":[0,1],"probabilities":[[1,0,0],[0.2,0.5,0.3]]},
		{"node":"b","name":"b","outcome":"ok","labels":[0,2]},{"node":"c","name":"c","outcome":"timeout","labels":[]}]}`),
		[]byte(`{"labels":12,"members":[{"id":"a","score":0.9,"weight":2.5,"voice":1},{"id":"b","score":0.5,"weight":0,"voice":1}],
		"rules":[{"rule":"majority","rows":12,"loss":3},{"rule":"member","member":"a","rows":12,"loss":1}]}`))
	f.Add([]byte(`{"predictions":[0,0],"rule":"majority","votes_by_node":[{"node":"a","outcome":"ok","probabilities":[[1,0,0],[1,0,0]]}]}`), []byte(`{}`))
	f.Add([]byte(`{"predictions":[-1,-1],"rule":"em","votes_by_node":[{"node":"a","outcome":"ok","labels":[0,9]},{"node":"a"}]}`), []byte(`{}`))
	f.Fuzz(func(t *testing.T, answer, weights []byte) {
		var reply api.ConsensusBatchReply
		var w api.WeightsReply
		if json.Unmarshal(answer, &reply) != nil || json.Unmarshal(weights, &w) != nil {
			return
		}
		for _, method := range []consensus.Method{consensus.Auto, consensus.EM} {
			sheet := assess.NewSheet(task)
			for _, known := range []bool{true, false} {
				b, err := batchOf(&reply, []int{0, 1}, method)
				if err != nil {
					return
				}
				if known {
					b.Basis = w.Learnt(len(task.Labels))
				}
				if sheet.Add(b) != nil {
					return
				}
			}
			r, err := sheet.Report(assess.Options{})
			if err != nil {
				t.Fatal(err)
			}
			(&app{out: io.Discard}).showEvaluation(&evaluation{Report: r})
			if err := page.Write(io.Discard, page.Head{}, r); err != nil {
				t.Fatal(err)
			}
			if _, err := json.Marshal(r); err != nil {
				t.Fatal(err)
			}
		}
	})
}
