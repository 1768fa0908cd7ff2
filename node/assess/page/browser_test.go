package page_test

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"

	"caucus/internal/browsertest"
	"caucus/node/assess"
	"caucus/node/assess/assesstest"
	"caucus/node/assess/page"
)

// patience is no expectation: a loaded machine is slow.
const patience = 4 * time.Minute

// tab is a tab that shows a report.
type tab struct {
	*browsertest.Tab
	t   *testing.T
	ctx context.Context
}

func chromium(t *testing.T) string { return browsertest.Chromium(t) }

func open(t *testing.T, path string, width int64, scheme string) *tab {
	t.Helper()
	started := browsertest.Start(t, patience)
	b := &tab{started, t, started.Ctx}
	b.show(path, width, scheme)
	return b
}

// show opens the page at a width, for somebody who likes it light or dark.
func (b *tab) show(path string, width int64, scheme string) {
	b.t.Helper()
	_, err := chromedp.Run(b.ctx, func(ctx context.Context, target *chromedp.Target) (cdp.Empty, error) {
		return cdp.Call(ctx, target, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
			Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}},
		})
	})
	if err != nil {
		b.t.Fatal(err)
	}
	b.do(chromedp.EmulateViewport(width, 900), chromedp.Navigate("file://"+path))
}

func (b *tab) do(steps ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	b.Do(steps...)
}

func eval[T any](b *tab, expression string) T {
	b.t.Helper()
	return browsertest.Eval[T](b.Tab, expression)
}

// clean checks that the page did nothing amiss, and that nothing but the file was asked for.
func (b *tab) clean() {
	b.t.Helper()
	b.Clean(1, func(u *url.URL) bool { return u.Scheme == "file" || u.Scheme == "data" })
}

// write makes the page of a made-up cluster and returns its file.
func write(t *testing.T, name string, m assesstest.Made, o assess.Options) string {
	t.Helper()
	r, err := m.Report(o)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "report.html")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	head := page.Head{Data: name, Seconds: 1.2, Made: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), Version: "test"}
	if err := page.Write(f, head, r); err != nil {
		t.Fatal(err)
	}
	return path
}

var digits = assesstest.Made{
	Rows: 600, Labels: strings.Fields("0 1 2 3 4 5 6 7 8 9"), Skills: []float64{.97, .95, .93, .8, .7},
	Names: []string{"ana", "bo", "cy", "dee", "eli"}, Known: true, Silent: 100, Seed: 2,
}

func TestInABrowserEveryPlotIsThereAtEveryWidthAndInEveryLight(t *testing.T) {
	chromium(t)
	path := write(t, "digits.csv", digits, assess.Options{Overlap: assess.Overlap{Known: true, Rows: 12}})
	b := open(t, path, 1280, "light")
	for _, width := range []int64{1280, 390} {
		for _, scheme := range []string{"light", "dark"} {
			b.show(path, width, scheme)
			if over := eval[int](b, `document.documentElement.scrollWidth - innerWidth`); over > 0 {
				t.Errorf("at %d the page is %d pixels too wide", width, over)
			}
			dark := eval[bool](b, `(() => { const [r, g, b] = getComputedStyle(document.body).backgroundColor.match(/\d+/g).map(Number); return r + g + b < 380; })()`)
			if dark != (scheme == "dark") {
				t.Errorf("in the %s the page is dark: %v", scheme, dark)
			}
			for _, text := range eval[[]string](b, faint) {
				t.Errorf("in the %s, too faint: %s", scheme, text)
			}
		}
	}
	for what, want := range map[string]int{
		`document.querySelectorAll(".plot tr.member .whisker").length`:                                                   5,
		`document.querySelectorAll(".plot tr.method .spot").length`:                                                      10, // accuracies and differences
		`document.querySelectorAll(".heat td[style]").length`:                                                            20,
		`[...document.querySelectorAll(".panels figure.member")].length`:                                                 5,
		`[...document.querySelectorAll("svg[role=img]")].filter((s) => !s.querySelector("title")).length`:                0,
		`[...document.querySelectorAll("table")].filter((x) => !x.querySelector("th")).length`:                           0,
		`document.querySelectorAll(".panels details table").length - document.querySelectorAll(".panels figure").length`: 0,
		`document.querySelectorAll("script").length`:                                                                     0,
		`[...document.querySelectorAll(".spot")].filter((c) => c.getBoundingClientRect().width < 4).length`:              0,
	} {
		if got := eval[int](b, what); got != want {
			t.Errorf("%s is %d, want %d", what, got, want)
		}
	}
	// Dots lie where the numbers are: the whiskers' middle rows, from left to right by accuracy.
	if !eval[bool](b, `(() => {
		const rows = [...document.querySelectorAll(".plot")[0].querySelectorAll("tbody tr")].map((r) => ({
			x: Number(r.querySelector(".spot").getAttribute("cx").slice(0, -1)), v: parseFloat(r.querySelector(".value").textContent) }));
		return rows.length === 10 && rows.every((a) => rows.every((b) => a.v <= b.v || a.x > b.x));
	})()`) {
		t.Error("the dots are not in the order of the accuracies")
	}
	if n := eval[int](b, `document.querySelectorAll(".matrix")[0].querySelectorAll("tbody td:not(.recall)").length`); n != 100 {
		t.Errorf("the first confusion matrix has %d cells", n)
	}
	if folder := os.Getenv("CAUCUS_SCREENSHOTS"); folder != "" {
		screenshots(b, path, folder)
	}
	b.clean()
}

// screenshots takes a picture of the whole page at each width and in each light.
func screenshots(b *tab, path, folder string) {
	for _, width := range []int64{1280, 390} {
		for _, scheme := range []string{"light", "dark"} {
			b.show(path, width, scheme)
			picture(b, filepath.Join(folder, fmt.Sprintf("evaluate-%d-%s.png", width, scheme)))
		}
	}
}

func picture(b *tab, path string) {
	b.t.Helper()
	shot, err := chromedp.Run(b.ctx, chromedp.FullScreenshot(100))
	if err == nil {
		err = os.WriteFile(path, shot, 0o644)
	}
	if err != nil {
		b.t.Fatal(err)
	}
}

// faint lists the texts that stand out from what is behind them by less than 4.5 to 1, as WCAG
// 2.1 asks for.
const faint = `(() => {
	const parse = (c) => {
		const n = c.match(/[\d.]+/g).map(Number);
		return c.startsWith("color(") ? { rgb: n.slice(-3 - (c.includes("/") ? 1 : 0)).slice(0, 3), a: c.includes("/") ? n.at(-1) : 1 } : { rgb: n.slice(0, 3).map((x) => x / 255), a: n[3] ?? 1 };
	};
	const light = (rgb) => {
		const [r, g, b] = rgb.map((x) => x <= 0.04045 ? x / 12.92 : ((x + 0.055) / 1.055) ** 2.4);
		return 0.2126 * r + 0.7152 * g + 0.0722 * b;
	};
	const behind = (e) => {
		for (; e; e = e.parentElement) {
			const c = parse(getComputedStyle(e).backgroundColor);
			if (c.a === 1) return c.rgb;
		}
		return [1, 1, 1];
	};
	const found = [], seen = new Set();
	const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
	for (let n = walk.nextNode(); n; n = walk.nextNode()) {
		const e = n.parentElement;
		if (!n.data.trim() || e.closest("svg, .visually-hidden, title")) continue;
		const key = e.className + e.style.cssText + e.tagName + e.parentElement.className + e.parentElement.style.cssText;
		if (seen.has(key)) continue;
		seen.add(key);
		const a = light(parse(getComputedStyle(e).color).rgb), b = light(behind(e));
		const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
		if (ratio < 4.5) found.push(n.data.trim().slice(0, 30) + " in " + e.tagName + "." + e.className + ": " + ratio.toFixed(2));
	}
	return seen.size < 20 ? ["only " + seen.size + " texts were looked at"] : found;
})()`

// TestInABrowserOddClustersFitToo looks at those that are not as one draws them.
func TestInABrowserOddClustersFitToo(t *testing.T) {
	chromium(t)
	var b *tab
	for name, m := range map[string]assesstest.Made{
		"alone":      {Rows: 9, Labels: []string{"no", "yes"}, Skills: []float64{.5}, Seed: 1},
		"all right":  {Rows: 12, Labels: []string{"no", "yes"}, Skills: []float64{1, 1}, Seed: 1},
		"many":       {Rows: 300, Labels: strings.Split("abcdefghijklmnopqrstuvwxyz", ""), Skills: []float64{.9, .9, .9, .9, .9, .9, .9, .8, .8, .8, .8, .8}, Seed: 1},
		"long names": {Rows: 60, Labels: []string{strings.Repeat("a-label-", 6), strings.Repeat("another-", 7)}, Skills: []float64{.9, .8, .7}, Names: []string{strings.Repeat("n", 63), strings.Repeat("m", 60), "x"}, Seed: 1},
	} {
		path := write(t, name+".csv", m, assess.Options{})
		if b == nil {
			b = open(t, path, 390, "light")
		}
		for _, width := range []int64{390, 1280} {
			b.show(path, width, "light")
			if over := eval[int](b, `document.documentElement.scrollWidth - innerWidth`); over > 0 {
				t.Errorf("%s: at %d the page is %d pixels too wide", name, width, over)
			}
			if folder := os.Getenv("CAUCUS_SCREENSHOTS"); folder != "" {
				picture(b, filepath.Join(folder, fmt.Sprintf("odd-%s-%d.png", strings.ReplaceAll(name, " ", "-"), width)))
			}
		}
		if n := eval[int](b, `[...document.querySelectorAll("svg *")].filter((e) => [...e.attributes].some((a) => /NaN|Inf/.test(a.value))).length`); n > 0 {
			t.Errorf("%s: %d marks have no place", name, n)
		}
	}
	b.clean()
}

const markup = `<img src=x onerror="window.hit=1"><script>window.hit=1</script>`

func TestInABrowserNamesThatAreMarkupDoNothing(t *testing.T) {
	chromium(t)
	m := digits
	m.Rows, m.Silent = 120, 0
	m.Names = []string{markup, `" onload="window.hit=1`, `</style><script>window.hit=1</script>`, `javascript:window.hit=1`, "--shade: url(http://example.com)"}
	m.Labels = []string{markup, "b", `</title><script>window.hit=1</script>`}
	b := open(t, write(t, markup+".csv", m, assess.Options{}), 1280, "light")
	if eval[bool](b, `"hit" in window`) {
		t.Error("a member's code ran")
	}
	if n := eval[int](b, `document.querySelectorAll("img, script, iframe, [onload], [onerror], a").length`); n != 0 {
		t.Errorf("%d elements were made of a member's words", n)
	}
	if !eval[bool](b, `document.body.innerText.includes("<img src=x onerror=") && [...document.querySelectorAll(".matrix th")].some((x) => x.textContent.startsWith("<img src=x"))`) {
		t.Error("the markup is not shown as the text that it is")
	}
	b.clean()
}
