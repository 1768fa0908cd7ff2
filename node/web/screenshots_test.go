//go:build screenshots

package web_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"

	"caucus/cluster/identity"
	"caucus/ml"
	"caucus/node"
	"caucus/node/api"
	"caucus/node/nodetest"
)

// The pictures in docs/images are of real nodes in a real browser: make screenshots.

const images = "../../docs/images"

// part is what of the page a picture shows: from the top of one element to the bottom of
// another, with some room around. Empty: from the top of the page, or to its end.
type part struct{ from, to string }

// picture saves a part of the page as it is.
func (b *browser) picture(name string, width int64, p part) {
	b.t.Helper()
	b.do(chromedp.EmulateViewport(width, 900))
	eval[any](b, `scrollTo(0, 0); document.activeElement.blur(); getSelection().removeAllRanges(); 1`)
	high := eval[int64](b, `Math.ceil(document.documentElement.scrollHeight)`)
	b.do(chromedp.EmulateViewport(width, high)) // all of it is in view, so that nothing is painted late
	b.wait(`document.getAnimations().length === 0`)
	top, bottom := 0.0, float64(eval[int64](b, `Math.ceil(document.documentElement.scrollHeight)`))
	if p.from != "" {
		top = eval[float64](b, `document.querySelector("`+p.from+`").getBoundingClientRect().top + scrollY`) - 20
	}
	if p.to != "" {
		bottom = eval[float64](b, `document.querySelector("`+p.to+`").getBoundingClientRect().bottom + scrollY`) + 20
	}
	shot, err := chromedp.Run(b.ctx, func(ctx context.Context, t *chromedp.Target) (page.CaptureScreenshotResult, error) {
		return cdp.Call(ctx, t, page.CaptureScreenshot, page.CaptureScreenshotParams{Clip: &page.Viewport{Y: top, Width: float64(width), Height: bottom - top, Scale: 1}})
	})
	if err != nil {
		b.t.Fatal(err)
	}
	path := filepath.Join(images, name+".png")
	if err := os.WriteFile(path, shot.Data, 0o644); err != nil {
		b.t.Fatal(err)
	}
	b.t.Logf("%s: %d x %.0f, %d KiB", path, width, bottom-top, len(shot.Data)>>10)
}

// both saves a picture in light and in dark colours.
func (b *browser) both(name string, width int64, p part) {
	b.t.Helper()
	b.one(name, "light", width, p)
	b.one(name, "dark", width, p)
}

func (b *browser) one(name, theme string, width int64, p part) {
	b.t.Helper()
	b.theme(theme)
	b.picture(name+"-"+theme, width, p)
}

func (b *browser) theme(name string) {
	eval[any](b, `document.documentElement.dataset.theme !== "`+name+`" && document.getElementById("theme").click(); 1`)
}

func (b *browser) ask(row ...float64) {
	b.t.Helper()
	for j, x := range row {
		eval[any](b, fmt.Sprintf(`document.getElementById("feature%d").value = %v; 1`, j, x))
	}
	eval[any](b, `document.getElementById("decided")?.removeAttribute("id"); document.getElementById("trust")?.removeAttribute("id"); 1`)
	b.do(chromedp.Click(chromedp.CSS("#submit")))
	b.wait(`document.getElementById("trust")`)
	b.wait(`!document.getElementById("map-area").hasAttribute("aria-busy")`)
}

// settled waits until the parts that come last are there.
func (b *browser) settled() {
	b.t.Helper()
	b.wait(`document.getElementById("live").textContent === "live" && document.querySelector(".round-list li") && document.querySelector("#weights")`)
	b.wait(drawn)
}

// named gives the nodes short names, and a model each.
func named(names ...string) nodetest.Option {
	kinds := map[string]ml.Kind{"knn": ml.KNN, "randforest": ml.Forest, "svm": ml.SVM, "tree": ml.Tree}
	return func(i int, cfg *node.Config) {
		cfg.Name = names[i]
		cfg.Version = "dev"
		if k, ok := kinds[names[i]]; ok {
			cfg.Fit.Kind = k
		}
	}
}

func TestScreenshotsOfThree(t *testing.T) {
	members := nodetest.Start(t, 3, unhurried, named("knn", "randforest", "svm"))
	rows := nodetest.IrisRows()
	kinds := []string{"setosa", "versicolor", "virginica"}
	// A lesson in which nobody is always right: the rows near the border.
	for _, k := range []int{0, 57, 70, 72, 77, 83, 106, 119, 126, 129, 133, 134, 138, 20, 40, 90, 110} {
		if _, err := members[k%3].Client.Feedback(t.Context(), [][]float64{rows[k]}, []string{kinds[k/50]}); err != nil {
			t.Fatal(err)
		}
	}
	border := [][]float64{{6, 2.8, 4.9, 1.7}, {6.2, 2.8, 5.1, 1.5}, {5.6, 2.8, 4.8, 1.6}}
	if _, err := members[0].Client.Feedback(t.Context(), border[:1], kinds[2:]); err != nil {
		t.Fatal(err)
	}
	for i, row := range [][]float64{rows[0], rows[100], border[1], rows[60], rows[120], border[2], rows[30], rows[68]} {
		if _, err := members[i%3].Client.Consensus(t.Context(), row, api.ConsensusOptions{Wait: "all"}); err != nil {
			t.Fatal(err)
		}
	}
	b := open(t, members[0].URL+"/", 1280)
	b.settled()
	b.ask(6.4, 2.8, 5.3, 1.5)
	b.ask(6, 2.8, 5, 1.7)
	b.wait(`document.querySelectorAll(".round-list > li").length === 10`)
	b.do(chromedp.Click(chromedp.CSS(`#truth .chip:nth-child(3)`)))
	b.wait(`document.querySelector("#truth .moves") && document.querySelectorAll(".review-line").length === 4`)
	b.settled()
	b.both("dashboard", 1280, part{to: ".map"})
	b.both("learning", 1280, part{from: ".learning", to: ".review"})
	b.both("dashboard-phone", 390, part{to: ".members"})
	b.both("learning-phone", 390, part{from: ".learning", to: ".review"})
}

func TestScreenshotsOfTwelve(t *testing.T) {
	names := []string{"ms-okafor", "ana", "ben", "chiara", "the-library-computer", "dmitri", "emeka", "fatima", "a-name-that-is-as-long-as-names-can-be-in-a-cluster-like-this", "hana", "ines", "jun"}
	members := nodetest.Start(t, len(names), unhurried, named(names...))
	nodetest.StartOne(t, 3, func(_ int, cfg *node.Config) {
		cfg.Name, cfg.Model = "wine-class", nodetest.Foreign("knn")
		cfg.Join = []identity.Invite{{Address: members[0].URL}}
	})
	members[0].Wait("the other task is seen", func() bool {
		r, err := members[0].Client.Members(t.Context())
		return err == nil && len(r.Members) == len(names)+1
	})
	members[11].Kill()
	members[0].WaitState("jun", "failed")
	for _, k := range []int{0, 57, 70, 72, 77, 83, 106, 119, 126, 133} {
		if _, err := members[0].Client.Feedback(t.Context(), [][]float64{nodetest.IrisRows()[k]}, []string{[]string{"setosa", "versicolor", "virginica"}[k/50]}); err != nil {
			t.Fatal(err)
		}
	}
	for i, k := range []int{0, 100, 60, 120, 30, 68, 110, 127, 3, 80} {
		if _, err := members[i].Client.Consensus(t.Context(), nodetest.IrisRows()[k], api.ConsensusOptions{Wait: "all"}); err != nil {
			t.Fatal(err)
		}
	}
	b := open(t, members[0].URL+"/", 1280)
	b.wait(drawn)
	b.ask(6.1, 2.9, 4.8, 1.8)
	b.settled()
	b.one("twelve", "light", 1280, part{to: ".map"})
	b.one("twelve-phone", "dark", 390, part{to: ".members"})
}

func TestScreenshotsOfWine(t *testing.T) {
	members := nodetest.Start(t, 3, unhurried, named("knn", "randforest", "svm"), func(_ int, cfg *node.Config) {
		cfg.Data = "../../ml/testdata/wine.csv"
	})
	members[1].Kill()
	members[2].Kill()
	members[0].WaitState("randforest", "failed")
	members[0].WaitState("svm", "failed")
	b := open(t, members[0].URL+"/", 1280)
	b.wait(`document.getElementById("feature0")`)
	b.do(chromedp.Click(chromedp.CSS("#submit")))
	b.settled()
	b.wait(`document.getElementById("trust")`)
	b.one("no-quorum", "light", 1280, part{to: ".members"})
	b.one("no-quorum-phone", "dark", 390, part{to: ".members"})
}

func TestScreenshotsOfTheDoor(t *testing.T) {
	token, err := identity.NewToken()
	if err != nil {
		t.Fatal(err)
	}
	m := nodetest.StartOne(t, 0, func(_ int, cfg *node.Config) { cfg.Token = &token })
	b := open(t, nodetest.Tunnel(t, m.URL)+"/", 1280)
	b.wait(`!document.getElementById("door").hidden`)
	b.one("door", "light", 1280, part{})
	b.one("door-phone", "dark", 390, part{})
}
