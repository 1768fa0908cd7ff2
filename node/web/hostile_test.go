package web_test

import (
	"context"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"caucus/node/api"
)

// hostile is a node whose peers put whatever they like into what they say of themselves.
type hostile struct {
	info api.Info
}

const markup = `<img src=x onerror="window.hit=1;alert(1)"><script>window.hit=1</script>`

func (h *hostile) Info() *api.Info { return &h.info }
func (h *hostile) Predict(context.Context, []float64, []int, []float64) error {
	return api.NewProblem(api.NotReady, markup)
}

func (h *hostile) Consensus(_ context.Context, q *api.Question) (api.Round, error) {
	if q.Batch {
		return nil, api.NewProblem(api.NotReady, markup)
	}
	return hostileRound{&api.ConsensusReply{
		Label: markup, Status: markup, Summary: markup, Rule: markup, Reason: markup, Invited: 2, Counted: 1,
		Shares: api.Distribution{Labels: h.info.Labels, Shares: []api.Millionths{1_000_000, 0}},
		Votes: []api.Vote{
			{Node: "a", Name: markup, Model: markup, Outcome: "ok", Label: markup},
			{Node: "b", Name: markup, Model: markup, Outcome: markup, Reason: markup},
		},
	}}, nil
}

func (h *hostile) Members() *api.MembersReply {
	return &api.MembersReply{Self: "a", Members: []api.Member{
		{ID: "a", Name: markup, Model: markup, URL: "javascript:window.hit=1", State: "alive", Self: true, Voter: true, Reason: markup},
		{ID: "b", Name: markup, Model: markup, URL: " jAvAsCrIpT:window.hit=1//", State: "refused", Reason: markup, Connected: true},
		{ID: "c", Name: "plain", Model: `"><script>window.hit=1</script>`, URL: `data:text/html,<script>window.hit=1</script>`, State: markup},
		{ID: "d", Name: "good", Model: "knn", URL: "http://127.0.0.1:5009/", State: "alive", Voter: true},
	}}
}

func (h *hostile) Card() *api.CardReply {
	return &api.CardReply{ID: "a", Name: markup, Model: markup, Version: markup, Task: api.TaskReply{Name: markup, Features: h.info.Features, Labels: h.info.Labels}}
}

func (h *hostile) Rounds(int) []api.RoundSummary {
	return []api.RoundSummary{{Round: "1", At: time.Unix(1e9, 0), Asked: "a", Rows: 1, Label: markup, Status: markup}}
}

func (h *hostile) Round(string) (*api.RoundReply, bool) {
	return &api.RoundReply{Votes: []api.ShortVote{{Node: "a", Name: markup, Label: markup}}}, true
}

func (h *hostile) Doctor(context.Context) (*api.DoctorReply, error) { return &api.DoctorReply{}, nil }

func (h *hostile) Readiness() (*api.ReadyReply, error)                  { return &api.ReadyReply{}, nil }
func (h *hostile) Remove(context.Context, string, bool) (string, error) { return "", nil }

func (h *hostile) Forget(context.Context, []string, bool) ([]string, error) {
	return nil, nil
}

func (h *hostile) Feedback(context.Context, *api.Labels) (*api.FeedbackReply, error) {
	return &api.FeedbackReply{}, nil
}
func (h *hostile) Weights(bool) (*api.WeightsReply, error) { return &api.WeightsReply{}, nil }
func (h *hostile) Review(int) []api.ReviewRound            { return nil }
func (h *hostile) Receipt(string, bool) ([]byte, error)    { return nil, nil }
func (h *hostile) Watch(ctx context.Context, look func()) {
	look()
	<-ctx.Done()
}

func (h *hostile) WatchRounds(func(string) bool, func(api.LiveEvent)) func() { return func() {} }

type hostileRound struct{ reply *api.ConsensusReply }

func (r hostileRound) Reply() *api.ConsensusReply      { return r.reply }
func (r hostileRound) Batch() *api.ConsensusBatchReply { return nil }
func (r hostileRound) Release()                        {}

func TestInABrowserNamesThatAreMarkupAndURLsThatAreCodeDoNothing(t *testing.T) {
	chromium(t)
	peer := &hostile{info: api.Info{ID: "a", Name: markup, Features: []string{markup, "b"}, Labels: []string{markup, "other"}, Deadline: time.Second}}
	a, err := api.New(api.Config{Node: peer})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(a)
	t.Cleanup(server.Close)
	t.Cleanup(a.Close)
	b := open(t, server.URL+"/", 1280)
	b.wait(`document.getElementById("live").textContent === "live" && document.querySelector(".round-list summary")`)
	eval[any](b, `document.querySelectorAll("details").forEach((d) => d.open = true); 1`)
	b.do(chromedp.Click(chromedp.CSS("#submit")))
	b.wait(`document.getElementById("decided")`)
	b.wait(`document.querySelector(".who")`)
	b.wait(`document.getElementById("map-line").textContent.includes("<img")`)

	if n := eval[int](b, `document.querySelectorAll("[onerror], img:not(.brand img), #main script, iframe").length`); n != 0 {
		t.Errorf("%d elements were made of a peer's words", n)
	}
	if links := eval[[]string](b, `[...document.querySelectorAll("#main a")].map((a) => a.href)`); !slices.Equal(links, []string{"http://127.0.0.1:5009/"}) {
		t.Errorf("links: %q", links)
	}
	if eval[bool](b, `"hit" in window`) {
		t.Error("a peer's code ran")
	}
	for _, place := range []string{"answer", "member-list", "rounds", "fields", "node-line"} {
		if !strings.Contains(eval[string](b, `document.getElementById("`+place+`").textContent`), "<img src=x") {
			t.Errorf("in #%s the markup is not shown as the text that it is", place)
		}
	}
	if dialogs := b.Dialogs(); len(dialogs) > 0 {
		t.Errorf("dialogs: %q", dialogs)
	}
	for _, r := range b.Requests() {
		if !strings.HasPrefix(r, server.URL+"/") {
			t.Errorf("a request left for %s", r)
		}
	}
}
