package web_test

import (
	"context"
	"fmt"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os/exec"
	"slices"
	"sync"
	"testing"
	"time"

	cdplog "github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"

	"caucus/node"
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

// elsewhere is a tunnel in front of a node: for it, who comes this way is not on its machine.
func elsewhere(t *testing.T, address string) string {
	t.Helper()
	target, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	proxy := httptest.NewServer(&httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(target)
			r.SetXForwarded()
			r.Out.Host = "ab12.tunnel.example"
		},
		FlushInterval: -1,
	})
	t.Cleanup(proxy.Close)
	return proxy.URL
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
