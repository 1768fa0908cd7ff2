package web_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"net/url"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/accessibility"
	"github.com/chromedp/cdproto/cdp"
	cdplog "github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"

	"caucus/node"
	"caucus/node/api"
	"caucus/node/nodetest"
)

// browser is a tab of a headless Chromium that notes what should not happen.
type browser struct {
	t   *testing.T
	ctx context.Context

	mu       sync.Mutex // guards the rest
	console  []string   // errors and warnings
	dialogs  []string
	requests []string
}

// unhurried keeps a slow machine from looking like a broken cluster.
func unhurried(_ int, cfg *node.Config) {
	cfg.TimeScale = 1
	cfg.PeerTimeout, cfg.Deadline = nodetest.Patience/2, nodetest.Patience
}

func chromium(t *testing.T) string {
	t.Helper()
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome", "chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	t.Skip("no Chromium on this machine (Debian: apt-get install chromium); the page is not looked at in a browser")
	return ""
}

func open(t *testing.T, address string, width int64) *browser {
	t.Helper()
	options := append(slices.Clone(chromedp.DefaultExecAllocatorOptions[:]),
		chromedp.ExecPath(chromium(t)), chromedp.NoSandbox, chromedp.DisableGPU, chromedp.UserDataDir(t.TempDir()))
	ctx, cancel := chromedp.NewExecAllocator(context.Background(), options...)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewContext(ctx)
	t.Cleanup(cancel)
	if err := chromedp.Do(ctx); err != nil { // starts it; a limit here would be one on its life
		t.Fatal(err)
	}
	ctx, cancel = context.WithTimeout(ctx, 2*nodetest.Patience)
	t.Cleanup(cancel)
	b := &browser{t: t, ctx: ctx}
	if err := chromedp.Listen(ctx, b.note); err != nil {
		t.Fatal(err)
	}
	b.do(chromedp.EmulateViewport(width, 900), chromedp.Navigate(address))
	return b
}

func (b *browser) note(event any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch e := event.(type) {
	case *runtime.EventConsoleAPICalled:
		b.console = append(b.console, fmt.Sprint(e.Type))
	case *runtime.EventExceptionThrown:
		text := e.ExceptionDetails.Text
		if x := e.ExceptionDetails.Exception; x != nil {
			text += " " + x.Description
		}
		b.console = append(b.console, text)
	case *cdplog.EventEntryAdded:
		b.console = append(b.console, fmt.Sprint(e.Entry.Level, " ", e.Entry.Text, " ", e.Entry.URL))
	case *page.EventJavascriptDialogOpening:
		b.dialogs = append(b.dialogs, e.Message)
	case *network.EventRequestWillBeSent:
		b.requests = append(b.requests, e.Request.URL)
	}
}

// clean checks that nothing of what was noted is amiss.
func (b *browser) clean(host string) {
	b.t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, line := range b.console {
		b.t.Errorf("on the console: %s", line)
	}
	for _, text := range b.dialogs {
		b.t.Errorf("a dialog opened: %s", text)
	}
	if len(b.requests) < 5 {
		b.t.Errorf("only these requests were seen: %v", b.requests)
	}
	for _, r := range b.requests {
		if u, err := url.Parse(r); err != nil || u.Host != host {
			b.t.Errorf("a request left for %s", r)
		}
	}
}

func (b *browser) do(steps ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	if err := chromedp.Do(b.ctx, steps...); err != nil {
		b.t.Fatal(err)
	}
}

// wait waits until a JavaScript expression is truthy.
func (b *browser) wait(expression string) {
	b.t.Helper()
	_, err := chromedp.Run(b.ctx, chromedp.Poll[any]("Boolean("+expression+")", chromedp.WithPollingTimeout(nodetest.Patience)))
	if err != nil {
		b.t.Fatalf("%s: %v; the page says: %.2000s", expression, err, eval[string](b, "document.body.innerText"))
	}
}

func eval[T any](b *browser, expression string) T {
	b.t.Helper()
	v, err := chromedp.Run(b.ctx, chromedp.Evaluate[T](expression))
	if err != nil {
		b.t.Fatalf("%s: %v", expression, err)
	}
	return v
}

// drawn is true once the map is on its canvas, in several colours.
const drawn = `(() => {
	const c = document.querySelector("figure.big canvas");
	if (!c || !c.width) return false;
	const g = new OffscreenCanvas(c.width, c.height).getContext("2d"), seen = new Set(); // a copy: reading back slows a canvas
	g.drawImage(c, 0, 0);
	const p = g.getImageData(0, 0, c.width, c.height).data;
	for (let i = 0; i < p.length; i += 4 * 97) seen.add(p[i] << 16 | p[i + 1] << 8 | p[i + 2]);
	return seen.size > 3 && /question/.test(document.getElementById("map-line").textContent);
})()`

func TestInABrowserTheClusterIsAskedAndWatched(t *testing.T) {
	chromium(t)
	members := nodetest.Start(t, 3, unhurried)
	b := open(t, members[0].URL+"/", 1280)

	b.wait(`document.querySelectorAll("#member-list tbody tr").length === 3`)
	b.wait(drawn)
	b.wait(`document.querySelectorAll("figure.small canvas").length === 3`)
	b.wait(`document.getElementById("live").textContent === "live"`)

	b.do(chromedp.Click(chromedp.CSS("#submit")))
	b.wait(`document.getElementById("decided")?.textContent === "setosa"`)
	votes := eval[[]string](b, `[...document.querySelectorAll(".votes tbody tr")].map((r) => r.innerText)`)
	if len(votes) != 3 {
		t.Errorf("votes: %q", votes)
	}
	for _, v := range votes {
		if !strings.Contains(v, "setosa") {
			t.Errorf("a vote: %q", v)
		}
	}
	if said := eval[string](b, `document.getElementById("trust").innerText`); !strings.Contains(said, "All 3 members agree") {
		t.Errorf("of trust it says %q", said)
	}

	// A round asked for at another node comes by gossip.
	if _, err := members[1].Client.Consensus(b.ctx, []float64{6.5, 3, 5.8, 2.2}, api.ConsensusOptions{}); err != nil {
		t.Fatal(err)
	}
	b.wait(`document.getElementById("rounds").innerText.includes("asked at ` + members[1].Name() + `")`)

	// A value that no row of the data comes near is said to be one.
	eval[any](b, `document.getElementById("feature0").value = 99; 1`)
	b.do(chromedp.Click(chromedp.CSS("#submit")))
	b.wait(`document.getElementById("trust")?.innerText.includes("sepal length is 99")`)

	// A click on the map asks there.
	b.wait(`!document.getElementById("map-area").hasAttribute("aria-busy")`) // it is drawn anew for the 99
	b.do(chromedp.Click(chromedp.CSS("figure.big canvas")))
	b.wait(`document.getElementById("feature2").value !== "1.4" && document.getElementById("decided")`)

	if err := members[2].Stop(); err != nil {
		t.Fatal(err)
	}
	b.wait(`/` + members[2].Name() + `[^]*(left|failed)/.test(document.getElementById("member-list").innerText)`)
	b.wait(drawn)
	host := strings.TrimPrefix(members[0].URL, "http://")
	b.clean(host)
}

func TestInABrowserAPageSaysThatItsNodeIsGoneAndFindsItAgain(t *testing.T) {
	chromium(t)
	member := nodetest.StartOne(t, 0, unhurried)
	b := open(t, member.URL+"/", 390)
	b.wait(`document.getElementById("live").textContent === "live"`)
	b.do(chromedp.Click(chromedp.CSS("#submit")))
	b.wait(`document.getElementById("trust")?.innerText.includes("one model's opinion")`)
	if over := eval[int](b, `document.documentElement.scrollWidth - innerWidth`); over > 0 {
		t.Errorf("on a phone the page is %d pixels too wide", over)
	}
	if err := member.Stop(); err != nil {
		t.Fatal(err)
	}
	b.wait(`!document.getElementById("trouble").hidden && document.getElementById("live").textContent === "not connected"`)
	b.do(chromedp.Click(chromedp.CSS("#submit")))
	b.wait(`document.getElementById("trust")?.innerText.includes("There is no answer")`)

	nodetest.StartOne(t, 0, unhurried, func(_ int, cfg *node.Config) { cfg.Listen = member.Addr() })
	b.wait(`document.getElementById("trouble").hidden && document.getElementById("live").textContent === "live"`)
	b.do(chromedp.Click(chromedp.CSS("#submit")))
	b.wait(`document.getElementById("trust")?.innerText.includes("one model's opinion")`)
}

func TestInABrowserEveryControlHasANameAndIsReachedByKeyboard(t *testing.T) {
	chromium(t)
	members := nodetest.Start(t, 2, unhurried)
	b := open(t, members[0].URL+"/", 1280)
	b.wait(drawn)
	b.do(chromedp.Click(chromedp.CSS("#submit")))
	b.wait(`document.querySelector(".round-list summary")`)

	tree, err := chromedp.Run(b.ctx, func(ctx context.Context, t *chromedp.Target) (accessibility.GetFullAXTreeResult, error) {
		return cdp.Call(ctx, t, accessibility.GetFullAXTree, accessibility.GetFullAXTreeParams{})
	})
	if err != nil {
		t.Fatal(err)
	}
	value := func(v *accessibility.Value) string {
		var s string
		if v != nil {
			_ = json.Unmarshal(v.Value, &s)
		}
		return s
	}
	controls := 0
	for _, n := range tree.Nodes {
		switch role := value(n.Role); role {
		case "button", "link", "checkbox", "combobox", "spinbutton", "textbox", "DisclosureTriangle", "image", "img", "figure":
			controls++
			if !n.Ignored && strings.TrimSpace(value(n.Name)) == "" && role != "figure" {
				t.Errorf("a %s without a name", role)
			}
		}
	}
	if controls < 20 {
		t.Errorf("only %d controls and pictures were seen", controls)
	}

	eval[any](b, `document.querySelectorAll("details").forEach((d) => d.open = true); document.activeElement.blur(); getSelection().removeAllRanges(); scrollTo(0, 0); 1`)
	eval[any](b, `window.met = new Set(); document.addEventListener("focusin", (e) => met.add(e.target)); 1`)
	eval[any](b, `document.querySelector(".skip").focus(); 1`)
	const controlsOf = `[...document.querySelectorAll("a[href], button, input, select, summary")]`
	for range eval[int](b, controlsOf+`.length`) + 5 {
		b.do(chromedp.KeyEvent("\t"))
	}
	if missed := eval[[]string](b, controlsOf+`.filter((c) => !met.has(c)).map((c) => c.outerHTML.slice(0, 80))`); len(missed) > 0 {
		t.Errorf("the Tab key does not reach %q", missed)
	}
	// Enter in a field asks.
	eval[any](b, `document.getElementById("answer").replaceChildren(); document.getElementById("feature0").focus(); 1`)
	b.do(chromedp.KeyEvent("\r"))
	b.wait(`document.getElementById("decided")`)
	b.clean(strings.TrimPrefix(members[0].URL, "http://"))
}

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
func (h *hostile) Doctor(context.Context) (*api.DoctorReply, error)     { return &api.DoctorReply{}, nil }
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
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.dialogs) > 0 {
		t.Errorf("dialogs: %q", b.dialogs)
	}
	for _, r := range b.requests {
		if !strings.HasPrefix(r, server.URL+"/") {
			t.Errorf("a request left for %s", r)
		}
	}
}
