package web_test

import (
	"context"
	"encoding/json"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/accessibility"
	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/chromedp"

	"caucus/node"
	"caucus/node/api"
	"caucus/node/nodetest"
)

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
	b.wait(`/` + members[2].Name() + `[^]*left[^]*said goodbye, since/.test(document.getElementById("member-list").innerText)`)
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
	b.wait(`document.getElementById("trust")?.innerText.includes("one model\u2019s opinion")`)
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
	b.wait(`document.getElementById("trust")?.innerText.includes("one model\u2019s opinion")`)
}

func TestInABrowserEveryControlHasANameAndIsReachedByKeyboard(t *testing.T) {
	chromium(t)
	members := nodetest.Start(t, 2, unhurried)
	b := open(t, members[0].URL+"/", 1280)
	b.wait(drawn)
	b.do(chromedp.Click(chromedp.CSS("#submit")))
	// All of what a round brings is there: labels to give under the answer and in the review queue.
	b.wait(`document.querySelector(".round-list summary") && document.querySelector("#truth .picker button")`)

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
	const controlsOf = `[...document.querySelectorAll("a[href], button, input, select, summary, [tabindex='0']")].filter((c) => c.checkVisibility())`
	var missed []string
	for range 4 { // the page goes on meanwhile: what came late is met on the next way through
		eval[any](b, `document.querySelector(".skip").focus(); 1`)
		for range eval[int](b, controlsOf+`.length`) + 5 {
			b.do(chromedp.KeyEvent("\t"))
		}
		if missed = eval[[]string](b, controlsOf+`.filter((c) => !met.has(c)).map((c) => c.outerHTML.slice(0, 80))`); len(missed) == 0 {
			break
		}
	}
	if len(missed) > 0 {
		t.Errorf("the Tab key does not reach %q", missed)
	}
	// Enter in a field asks.
	eval[any](b, `document.getElementById("answer").replaceChildren(); document.getElementById("feature0").focus(); 1`)
	b.do(chromedp.KeyEvent("\r"))
	b.wait(`document.getElementById("decided")`)
	b.clean(strings.TrimPrefix(members[0].URL, "http://"))
}
