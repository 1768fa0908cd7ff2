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

// picture saves the page as it is, from its top and as high as it is, or up to a height.
func (b *browser) picture(name string, width, most int64) {
	b.t.Helper()
	b.do(chromedp.EmulateViewport(width, 900))
	eval[any](b, `scrollTo(0, 0); document.activeElement.blur(); getSelection().removeAllRanges(); 1`)
	high := eval[int64](b, `Math.ceil(document.documentElement.scrollHeight)`)
	if most > 0 {
		high = min(high, most)
	}
	b.do(chromedp.EmulateViewport(width, high)) // all of it is in view, so that nothing is painted late
	b.wait(`document.getAnimations().length === 0`)
	shot, err := chromedp.Run(b.ctx, func(ctx context.Context, t *chromedp.Target) (page.CaptureScreenshotResult, error) {
		return cdp.Call(ctx, t, page.CaptureScreenshot, page.CaptureScreenshotParams{})
	})
	if err != nil {
		b.t.Fatal(err)
	}
	path := filepath.Join(images, name+".png")
	if err := os.WriteFile(path, shot.Data, 0o644); err != nil {
		b.t.Fatal(err)
	}
	b.t.Logf("%s: %d x %d, %d KiB", path, width, high, len(shot.Data)>>10)
}

// both saves a picture in light and in dark colours.
func (b *browser) both(name string, width, most int64) {
	b.t.Helper()
	b.theme("light")
	b.picture(name+"-light", width, most)
	b.theme("dark")
	b.picture(name+"-dark", width, most)
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
	for i, k := range []int{0, 100, 60, 120, 30, 68, 110, 127} {
		if _, err := members[i%3].Client.Consensus(t.Context(), rows[k], api.ConsensusOptions{Wait: "all"}); err != nil {
			t.Fatal(err)
		}
	}
	b := open(t, members[0].URL+"/", 1280)
	b.settled()
	b.ask(6.1, 2.9, 4.8, 1.8)
	b.ask(6, 2.8, 4.9, 1.7)
	b.wait(`document.querySelectorAll(".round-list > li").length === 10`)
	b.do(chromedp.Click(chromedp.CSS(`#truth .chip:nth-child(3)`)))
	b.wait(`document.querySelector("#truth .moves") && document.querySelectorAll(".review-line").length === 3`)
	b.settled()
	b.both("dashboard", 1280, 0)
	b.both("dashboard-phone", 390, 0)
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
	b.both("twelve", 1280, 0)
	b.both("twelve-phone", 390, 0)
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
	b.both("no-quorum", 1280, 0)
	b.both("no-quorum-phone", 390, 0)
}

func TestScreenshotsOfTheDoor(t *testing.T) {
	token, err := identity.NewToken()
	if err != nil {
		t.Fatal(err)
	}
	m := nodetest.StartOne(t, 0, func(_ int, cfg *node.Config) { cfg.Token = &token })
	b := open(t, elsewhere(t, m.URL)+"/", 1280)
	b.wait(`!document.getElementById("door").hidden`)
	b.both("door", 1280, 0)
	b.both("door-phone", 390, 0)
}
