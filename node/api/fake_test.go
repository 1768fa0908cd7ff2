package api

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// fakeNode is a node of functions; what is nil does what a healthy node does.
type fakeNode struct {
	info      *Info
	predict   func(ctx context.Context, rows []float64, labels []int, probs []float64) error
	consensus func(ctx context.Context, q *Question) (Round, error)
	forget    func(names []string, failed bool) ([]string, error)
	remove    func(name string, undo bool) (string, error)
	feedback  func(q *Labels) (*FeedbackReply, error)
	ready     func() (*ReadyReply, error)
	asked     int // questions that reached the node
}

type fakeRound struct {
	one      *ConsensusReply
	many     *ConsensusBatchReply
	released int
}

func (r *fakeRound) Reply() *ConsensusReply      { return r.one }
func (r *fakeRound) Batch() *ConsensusBatchReply { return r.many }
func (r *fakeRound) Release()                    { r.released++ }

func irisInfo() *Info {
	return &Info{
		ID: "k3f", Name: "ana", Model: "knn", Version: "test", Probabilistic: true, Deadline: 3 * time.Second,
		Features: []string{"sepal_length", "sepal_width", "petal_length", "petal_width"},
		Labels:   []string{"setosa", "versicolor", "virginica"},
	}
}

func (f *fakeNode) Info() *Info {
	if f.info == nil {
		f.info = irisInfo()
	}
	return f.info
}

func (f *fakeNode) Predict(ctx context.Context, rows []float64, labels []int, probs []float64) error {
	f.asked++
	if f.predict != nil {
		return f.predict(ctx, rows, labels, probs)
	}
	for i := range labels {
		labels[i] = i % 3
		if probs != nil {
			probs[i*3+i%3] = 1
		}
	}
	return nil
}

func (f *fakeNode) Consensus(ctx context.Context, q *Question) (Round, error) {
	f.asked++
	if f.consensus != nil {
		return f.consensus(ctx, q)
	}
	if q.Batch {
		return &fakeRound{many: &ConsensusBatchReply{Status: "ok"}}, nil
	}
	return &fakeRound{one: &ConsensusReply{Status: "ok", Label: "setosa"}}, nil
}

func (f *fakeNode) Members() *MembersReply          { return &MembersReply{Self: "k3f", Members: []Member{}} }
func (f *fakeNode) Card() *CardReply                { return &CardReply{ID: "k3f"} }
func (f *fakeNode) Rounds(limit int) []RoundSummary { return nil }
func (f *fakeNode) Round(id string) (*RoundReply, bool) {
	return &RoundReply{}, id == "known"
}

func (f *fakeNode) Feedback(_ context.Context, q *Labels) (*FeedbackReply, error) {
	f.asked++
	if f.feedback != nil {
		return f.feedback(q)
	}
	return &FeedbackReply{Recorded: len(q.Labels), Rows: []FeedbackRow{}, RequestID: q.RequestID}, nil
}

func (f *fakeNode) Weights(bool) (*WeightsReply, error) { return &WeightsReply{Asked: "k3f"}, nil }

func (f *fakeNode) Receipt(id string, evidence bool) ([]byte, error) {
	if id != "known" {
		return nil, NewProblem(NotFound, "not known")
	}
	return fmt.Appendf(nil, "{\"evidence\":%v}\n", evidence), nil
}

func (f *fakeNode) Review(limit int) []ReviewRound {
	return []ReviewRound{{Round: "r1"}, {Round: "r2"}}[:min(limit, 2)]
}

func (f *fakeNode) Doctor(context.Context) (*DoctorReply, error) {
	return &DoctorReply{Node: "k3f", Status: SeverityOK, Findings: []Finding{}}, nil
}

func (f *fakeNode) Readiness() (*ReadyReply, error) {
	if f.ready != nil {
		return f.ready()
	}
	return &ReadyReply{Status: "ready", Members: 3}, nil
}

func (f *fakeNode) Forget(_ context.Context, names []string, failed bool) ([]string, error) {
	if f.forget != nil {
		return f.forget(names, failed)
	}
	return names, nil
}

func (f *fakeNode) Remove(_ context.Context, name string, undo bool) (string, error) {
	if f.remove != nil {
		return f.remove(name, undo)
	}
	return name + " (k3f)", nil
}

func newAPI(t testing.TB, node *fakeNode, change ...func(*Config)) *API {
	t.Helper()
	cfg := Config{Node: node}
	for _, c := range change {
		c(&cfg)
	}
	a, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// serve sends a request from this machine, unless change says otherwise.
func serve(a *API, method, target, body string, change ...func(*http.Request)) *httptest.ResponseRecorder {
	var r io.Reader
	if body != "" {
		r = strings.NewReader(body)
	}
	req := httptest.NewRequest(method, target, r)
	req.Host = "localhost:5001"
	req.RemoteAddr = "127.0.0.1:40000"
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	for _, c := range change {
		c(req)
	}
	w := httptest.NewRecorder()
	a.ServeHTTP(w, req)
	return w
}

// problemIn checks that a reply is a proper problem and returns it.
func problemIn(t testing.TB, w *httptest.ResponseRecorder) *Problem {
	t.Helper()
	if ct := w.Header().Get("Content-Type"); ct != "application/problem+json" {
		t.Fatalf("content type is %q, body %s", ct, w.Body)
	}
	var p Problem
	if err := json.Unmarshal(w.Body.Bytes(), &p); err != nil {
		t.Fatalf("%v in %s", err, w.Body)
	}
	if p.Status != w.Code || p.Message == "" || p.Detail != p.Message || p.Title == "" || p.RequestID == "" || !strings.HasPrefix(p.Type, typePrefix) {
		t.Fatalf("incomplete problem %s with status %d", w.Body, w.Code)
	}
	return &p
}
