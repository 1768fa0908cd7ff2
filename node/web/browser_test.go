package web_test

import (
	"context"
	"net/url"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"caucus/internal/browsertest"
	"caucus/node"
	"caucus/node/nodetest"
)

// browser is a tab that shows a node's page.
type browser struct {
	*browsertest.Tab
	t   *testing.T
	ctx context.Context
}

// unhurried keeps a slow machine from looking like a broken cluster.
func unhurried(_ int, cfg *node.Config) {
	cfg.TimeScale = 1
	cfg.PeerTimeout, cfg.Deadline = nodetest.Patience/2, nodetest.Patience
}

func chromium(t *testing.T) string { return browsertest.Chromium(t) }

func open(t *testing.T, address string, width int64) *browser {
	t.Helper()
	tab := browsertest.Start(t, 2*nodetest.Patience)
	b := &browser{tab, t, tab.Ctx}
	b.do(chromedp.EmulateViewport(width, 900), chromedp.Navigate(address))
	return b
}

// clean checks that the page did nothing amiss, and asked its own host alone.
func (b *browser) clean(host string) {
	b.t.Helper()
	b.Clean(5, func(u *url.URL) bool { return u.Host == host })
}

func (b *browser) do(steps ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	b.Do(steps...)
}

// wait waits until a JavaScript expression is truthy.
func (b *browser) wait(expression string) {
	b.t.Helper()
	end := time.Now().Add(nodetest.Patience)
	for {
		_, err := chromedp.Run(b.ctx, chromedp.Poll[any]("Boolean("+expression+")", chromedp.WithPollingTimeout(time.Until(end))))
		if err == nil {
			return
		}
		// A page that loads anew takes the question with it.
		if time.Until(end) < time.Second || b.ctx.Err() != nil {
			b.t.Fatalf("%s: %v; the page says: %.2000s", expression, err, eval[string](b, "document.body?.innerText"))
		}
		time.Sleep(50 * time.Millisecond)
	}
}

func eval[T any](b *browser, expression string) T {
	b.t.Helper()
	return browsertest.Eval[T](b.Tab, expression)
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
