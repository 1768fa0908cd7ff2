package api

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

func TestPredictRepliesInTheAgreedForm(t *testing.T) {
	a := newAPI(t, &fakeNode{})
	w := serve(a, "GET", "/predict?features=5.1,3.5,1.4,0.2", "")
	id := w.Header().Get("X-Request-Id")
	want := `{"prediction":0,"label":"setosa","probabilities":{"setosa":1,"versicolor":0,"virginica":0},"model":"knn","node":"k3f","name":"ana","request_id":"` + id + "\"}\n"
	if w.Body.String() != want || w.Header().Get("Content-Type") != "application/json" {
		t.Errorf("%s", w.Body)
	}
	w = serve(a, "POST", "/predict", `{"instances":[[5.1,3.5,1.4,0.2],[6.7,3,5.2,2.3]]}`)
	want = `{"predictions":[0,1],"labels":["setosa","versicolor"],"probabilities":[[1,0,0],[0,1,0]],"classes":["setosa","versicolor","virginica"],"model":"knn","node":"k3f","name":"ana",`
	if !strings.HasPrefix(w.Body.String(), want) {
		t.Errorf("%s", w.Body)
	}
	w = serve(a, "GET", "/predict?features=5.1,3.5,1.4,0.2&pretty=true", "")
	if !strings.Contains(w.Body.String(), "\n  \"label\": \"setosa\",\n") || !json.Valid(w.Body.Bytes()) {
		t.Errorf("%s", w.Body)
	}
}

func TestAModelWithoutProbabilitiesShowsNone(t *testing.T) {
	info := irisInfo()
	info.Probabilistic = false
	a := newAPI(t, &fakeNode{info: info, predict: func(_ context.Context, _ []float64, _ []int, probs []float64) error {
		if probs != nil {
			t.Error("probabilities were asked for")
		}
		return nil
	}})
	for _, w := range []*httptest.ResponseRecorder{
		serve(a, "GET", "/predict?features=5.1,3.5,1.4,0.2", ""),
		serve(a, "POST", "/predict", `{"instances":[[5.1,3.5,1.4,0.2]]}`),
	} {
		if w.Code != 200 || strings.Contains(w.Body.String(), "probabilities") {
			t.Errorf("%s", w.Body)
		}
	}
}

func TestTheRoundIsReleasedAfterItsReply(t *testing.T) {
	round := &fakeRound{one: &ConsensusReply{Label: "setosa"}}
	a := newAPI(t, &fakeNode{consensus: func(context.Context, *Question) (Round, error) { return round, nil }})
	serve(a, "GET", "/consensus?features=5.1,3.5,1.4,0.2", "")
	if round.released != 1 {
		t.Errorf("released %d times", round.released)
	}
}

func TestMetricsCountRequestsWithBoundedLabels(t *testing.T) {
	a := newAPI(t, &fakeNode{})
	serve(a, "GET", "/predict?features=5.1,3.5,1.4,0.2", "")
	serve(a, "GET", "/predict", "")
	serve(a, "GET", "/nowhere/1", "")
	serve(a, "GET", "/nowhere/2", "")
	serve(a, "BREW", "/predict", "")
	text := serve(a, "GET", "/metrics", "").Body.String()
	for _, line := range []string{
		`caucus_http_requests_total{code="200",method="GET",route="/predict"} 1`,
		`caucus_http_requests_total{code="400",method="GET",route="/predict"} 1`,
		`caucus_http_requests_total{code="404",method="GET",route="unmatched"} 2`,
		`caucus_http_requests_total{code="405",method="other",route="unmatched"} 1`,
		`caucus_predictions_total{label="setosa",model="knn"} 1`,
		`caucus_http_request_duration_seconds_count{route="/predict"} 2`,
	} {
		if !strings.Contains(text, line) {
			t.Errorf("%s is missing in\n%s", line, text)
		}
	}
	if strings.Contains(text, "nowhere") || strings.Contains(text, "5.1") {
		t.Error("a path or a feature got into a label")
	}
}

func TestTheClientSpeaksWithTheServer(t *testing.T) {
	label := 0
	node := &fakeNode{
		consensus: func(_ context.Context, q *Question) (Round, error) {
			if q.Quorum == 9 {
				p := Problemf(QuorumNotReached, "no quorum: 1 of 3 voted")
				p.Votes, p.ProvisionalClass, p.ProvisionalLabel = []Vote{{Node: "k3f", Outcome: "ok", Label: "setosa"}}, &label, "setosa"
				p.Missing, p.WhatToDo = []Missing{{Node: "q7a", Name: "bo", Since: time.Unix(1, 0).UTC()}}, []string{"wait"}
				return nil, p
			}
			if q.Batch {
				return &fakeRound{many: &ConsensusBatchReply{Predictions: []int{0, 2}, Results: make([]BatchRow, q.N)}}, nil
			}
			return &fakeRound{one: &ConsensusReply{Label: "setosa", Method: q.Method, Shares: Distribution{[]string{"setosa"}, []Millionths{980_000}}}}, nil
		},
		ready: func() (*ReadyReply, error) { return nil, Problemf(Joining, "not yet") },
	}
	server := httptest.NewServer(newAPI(t, node))
	defer server.Close()
	c, err := NewClient(server.Listener.Addr().String(), "")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	ctx := t.Context()
	if p, err := c.Predict(ctx, flower); err != nil || p.Label != "setosa" || p.Probabilities.Of("setosa") != 1_000_000 {
		t.Errorf("%+v %v", p, err)
	}
	if p, err := c.PredictBatch(ctx, [][]float64{flower, flower}); err != nil || len(p.Labels) != 2 || p.Probabilities[1][1] != 1_000_000 {
		t.Errorf("%+v %v", p, err)
	}
	r, err := c.Consensus(ctx, flower, ConsensusOptions{Method: "soft", Timeout: time.Second, Models: []string{"knn"}, Full: true, Wait: "all", Minority: true, Quorum: 2})
	if err != nil || r.Method != "soft" || r.Shares.Of("setosa") != 980_000 {
		t.Errorf("%+v %v", r, err)
	}
	if b, err := c.ConsensusBatch(ctx, [][]float64{flower, flower}, ConsensusOptions{}); err != nil || len(b.Results) != 2 {
		t.Errorf("%+v %v", b, err)
	}
	_, err = c.Consensus(ctx, flower, ConsensusOptions{Quorum: 9})
	if p, ok := err.(*Problem); !ok || p.Kind() != QuorumNotReached || len(p.Votes) != 1 || p.Missing[0].Name != "bo" || *p.ProvisionalClass != 0 || p.RetryAfter == 0 {
		t.Errorf("%#v", err)
	}
	if _, err := c.Ready(ctx); err == nil || err.Error() != "not yet" {
		t.Errorf("%v", err)
	}
	if err := c.Healthy(ctx); err != nil {
		t.Error(err)
	}
	if _, err := c.Members(ctx); err != nil {
		t.Error(err)
	}
	if _, err := c.Card(ctx); err != nil {
		t.Error(err)
	}
	if _, err := c.Rounds(ctx, 5); err != nil {
		t.Error(err)
	}
	if _, err := c.Round(ctx, "a/b"); err == nil {
		t.Error("an unknown round was found")
	}
	if f, err := c.Forget(ctx, "ana"); err != nil || f.Forgotten[0] != "ana" {
		t.Errorf("%+v %v", f, err)
	}
	if _, err := c.ForgetFailed(ctx); err != nil {
		t.Error(err)
	}
}

func TestTheClientNamesWhatIsWrongWithAnAddress(t *testing.T) {
	for _, bad := range []string{"", "ftp://x", "http://", "://"} {
		if _, err := NewClient(bad, ""); err == nil || !strings.Contains(err.Error(), "http://localhost:5001") {
			t.Errorf("%q: %v", bad, err)
		}
	}
	c, err := NewClient("127.0.0.1:1", "")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Members(t.Context()); err == nil || !strings.Contains(err.Error(), "no node answers at http://127.0.0.1:1") || !strings.Contains(err.Error(), "caucus up") {
		t.Errorf("%v", err)
	}
	for address, why := range map[string]string{"127.0.0.1:1": "nothing listens there", "http://no-such-host.invalid": "no host of that name"} {
		c, err := NewClient(address, "")
		if err != nil {
			t.Fatal(err)
		}
		_, err = c.Members(t.Context())
		var u *UnreachableError
		if c.Close(); !errors.As(err, &u) || !strings.Contains(u.Why, why) || strings.Contains(err.Error(), "dial tcp") {
			t.Errorf("%s: %v", address, err)
		}
	}
	p := parseProblem(502, "text/html", []byte("<html>\x1b[31m Bad\n gateway</html>"))
	if p.Status != 502 || !strings.Contains(p.Error(), "502") || strings.ContainsAny(p.Error(), "\x1b\n") {
		t.Errorf("%q", p.Error())
	}
}

func TestWhoIsSentAwayIsToldForHowLong(t *testing.T) {
	for kind, k := range kinds {
		busy := k.status == http.StatusServiceUnavailable || k.status == http.StatusTooManyRequests
		if p := NewProblem(kind, "it is so"); (p.RetryAfter > 0) != busy {
			t.Errorf("%s has status %d and Retry-After %d", kind, p.Status, p.RetryAfter)
		}
	}
}
