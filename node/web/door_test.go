package web_test

import (
	"context"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"

	"caucus/cluster/identity"
	"caucus/node"
	"caucus/node/nodetest"
)

func newToken(t *testing.T) identity.Token {
	t.Helper()
	token, err := identity.NewToken()
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func TestInABrowserFromElsewhereTheJoinLineOpensThePageAndAnythingElseDoesNot(t *testing.T) {
	chromium(t)
	token, other := newToken(t), newToken(t)
	m := nodetest.StartOne(t, 0, unhurried, func(_ int, cfg *node.Config) { cfg.Token = &token })
	tunnel := nodetest.Tunnel(t, m.URL)
	b := open(t, tunnel+"/", 1280)
	shut := `!document.getElementById("door").hidden && document.getElementById("main").hidden`
	b.wait(shut)
	if text := eval[string](b, `document.body.textContent`); strings.Contains(text, m.Name()) || strings.Contains(text, string(m.ID())) {
		t.Error("a stranger sees something of the node")
	}
	enter := func(line string) {
		b.t.Helper()
		eval[any](b, `document.getElementById("door-line").value = ""; document.getElementById("door-line").focus(); 1`)
		b.do(chromedp.SendKeys(chromedp.CSS("#door-line"), line), chromedp.Click(chromedp.CSS(`#door-form button`)))
	}
	// The address of the line works in this very tab too.
	eval[any](b, `location.href = "/#`+token.String()+`"; 1`)
	b.wait(`document.getElementById("live").textContent === "live" && document.getElementById("door").hidden`)
	eval[any](b, `sessionStorage.clear(); location.reload(); 1`)
	b.wait(shut)
	enter("let me in")
	b.wait(`/There is no token in that/.test(document.getElementById("door-why").textContent)`)
	enter(`caucus serve --model svm --join "` + tunnel + `#` + other.String() + `"`)
	b.wait(`/does not open this cluster/.test(document.getElementById("door-why").textContent)`)
	if !eval[bool](b, shut) {
		t.Error("another cluster's token opened it")
	}
	enter(`caucus serve --model svm --join "` + tunnel + `#` + token.String() + `"`)
	b.wait(`document.getElementById("live").textContent === "live" && document.getElementById("door").hidden`)
	b.do(chromedp.Click(chromedp.CSS("#submit")))
	b.wait(`document.getElementById("decided")`)
	b.do(chromedp.Click(chromedp.CSS("#truth .picker button")))
	b.wait(`document.querySelector("#truth .moves")`)

	// The line to pass on is there, but not for whoever looks at the screen.
	eval[any](b, `document.querySelector("details.invite").open = true; 1`)
	b.wait(`/--join "http/.test(document.getElementById("invite").textContent)`)
	if strings.Contains(eval[string](b, `document.documentElement.outerHTML`), token.String()) {
		t.Error("the token is in the page before anybody asked for it")
	}
	b.do(chromedp.Click(chromedp.CSS("#invite-show")))
	b.wait(`document.getElementById("invite").textContent.includes("#` + token.String() + `\"")`)

	// It stays open when the tab is loaded again, and the address alone opens another tab.
	b.do(chromedp.Reload())
	b.wait(`document.getElementById("live").textContent === "live"`)
	c := open(t, tunnel+"/#"+token.String(), 390)
	c.wait(`document.getElementById("live").textContent === "live"`)
	if at := eval[string](c, `location.href`); at != tunnel+"/" {
		t.Errorf("the address is %s", strings.ReplaceAll(at, token.String(), "TOKEN"))
	}
	for _, x := range []*browser{b, c} {
		for i, r := range x.Requests() {
			if !strings.HasPrefix(r, tunnel+"/") || strings.Contains(strings.SplitN(r, "#", 2)[0], token.String()) {
				t.Errorf("request %d went to %s", i, strings.ReplaceAll(r, token.String(), "TOKEN"))
			}
		}
	}

	// What the browser makes of a token is what the node expects.
	eval[any](b, `import("/assets/key.js").then((m) => { window.keyOf = m.keyOf; }); 1`)
	b.wait(`window.keyOf`)
	for range 20 {
		tok := newToken(t)
		if got := eval[string](b, `keyOf("`+tok.String()+`")`); got != tok.Bearer() {
			t.Fatalf("the key is %s, want %s", got, tok.Bearer())
		}
	}
}

func TestInABrowserWhoWantsNoMotionGetsNone(t *testing.T) {
	chromium(t)
	m := nodetest.StartOne(t, 0, unhurried)
	b := open(t, m.URL+"/", 1280)
	moving := `["transitionDuration", "animationName"].map((p) => getComputedStyle(document.querySelector(p === "animationName" ? ".heard" : ".tally .fill"))[p]).join()`
	b.do(chromedp.Click(chromedp.CSS("#submit")))
	b.wait(`document.getElementById("decided")`)
	if got := eval[string](b, moving); strings.HasPrefix(got, "0s") || strings.HasSuffix(got, "none") {
		t.Errorf("motion by default: %s", got)
	}
	_, err := chromedp.Run(b.ctx, func(ctx context.Context, t *chromedp.Target) (cdp.Empty, error) {
		return cdp.Call(ctx, t, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-reduced-motion", Value: "reduce"}}})
	})
	if err != nil {
		t.Fatal(err)
	}
	if got := eval[string](b, moving); got != "0s,none" {
		t.Errorf("with less motion wanted: %s", got)
	}
}
