//go:build bench

package web_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/chromedp/chromedp"

	"caucus/node/nodetest"
)

// TestHowFastTheMapIs prints how long a decision map takes, from the click to the painted
// canvases: 3,600 rows asked of all members in one batch.
func TestHowFastTheMapIs(t *testing.T) {
	for _, n := range []int{3, 12} {
		members := nodetest.Start(t, n, unhurried)
		b := open(t, members[0].URL+"/", 1280)
		b.wait(drawn)
		eval[any](b, `
			window.took = [];
			new MutationObserver(() => {
				if (/drawn in/.test(document.getElementById("map-line").textContent)) requestAnimationFrame(() => took.push(performance.now() - begun));
			}).observe(document.getElementById("map-line"), { childList: true });
			document.getElementById("map-draw").addEventListener("click", () => { window.begun = performance.now(); }, { capture: true }); 1`)
		for i := range 10 {
			b.do(chromedp.Click(chromedp.CSS("#map-draw")))
			b.wait(fmt.Sprintf("took.length > %d", i))
		}
		took := eval[[]float64](b, `took`)
		slices.Sort(took)
		t.Logf("%d members: %.0f ms (%.0f to %.0f)", n, (took[4]+took[5])/2, took[0], took[len(took)-1])
	}
}
