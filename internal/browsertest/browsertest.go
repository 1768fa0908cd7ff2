// Package browsertest drives a headless Chromium in tests, and notes what no page of ours
// may do: write to the console, open dialogs, ask other hosts.
package browsertest

import (
	"context"
	"fmt"
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
)

// Tab is a tab of a browser of its own.
type Tab struct {
	T   *testing.T
	Ctx context.Context // of chromedp's calls; ends with the test or its limit

	mu       sync.Mutex // guards the rest
	console  []string
	dialogs  []string
	requests []string
}

// Chromium returns the path of the browser, and skips the test where there is none.
func Chromium(t *testing.T) string {
	t.Helper()
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome", "chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	t.Skip("no Chromium on this machine (Debian: apt-get install chromium); the page is not looked at in a browser")
	return ""
}

// Start starts a browser for the rest of the test, with an empty tab that is of use for limit.
func Start(t *testing.T, limit time.Duration) *Tab {
	t.Helper()
	options := append(slices.Clone(chromedp.DefaultExecAllocatorOptions[:]),
		chromedp.ExecPath(Chromium(t)), chromedp.NoSandbox, chromedp.DisableGPU, chromedp.UserDataDir(t.TempDir()))
	ctx, cancel := chromedp.NewExecAllocator(context.Background(), options...)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewContext(ctx)
	t.Cleanup(cancel)
	if err := chromedp.Do(ctx); err != nil { // starts it; a limit here would be one on its life
		t.Fatal(err)
	}
	ctx, cancel = context.WithTimeout(ctx, limit)
	t.Cleanup(cancel)
	b := &Tab{T: t, Ctx: ctx}
	if err := chromedp.Listen(ctx, b.note); err != nil {
		t.Fatal(err)
	}
	return b
}

func (b *Tab) note(event any) {
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

// Requests returns the URLs that were asked for until now.
func (b *Tab) Requests() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.requests)
}

// Dialogs returns the texts of the dialogs that opened until now.
func (b *Tab) Dialogs() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.dialogs)
}

// Clean checks that nothing of what was noted is amiss: no line on the console, no dialog, at
// least so many requests, and none that is not allowed.
func (b *Tab) Clean(atLeast int, allowed func(*url.URL) bool) {
	b.T.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, line := range b.console {
		b.T.Errorf("on the console: %s", line)
	}
	for _, text := range b.dialogs {
		b.T.Errorf("a dialog opened: %s", text)
	}
	if len(b.requests) < atLeast {
		b.T.Errorf("only these requests were seen: %v", b.requests)
	}
	for _, r := range b.requests {
		if u, err := url.Parse(r); err != nil || !allowed(u) {
			b.T.Errorf("a request left for %s", r)
		}
	}
}

// Do does the steps one after the other.
func (b *Tab) Do(steps ...chromedp.Action[chromedp.Void]) {
	b.T.Helper()
	if err := chromedp.Do(b.Ctx, steps...); err != nil {
		b.T.Fatal(err)
	}
}

// Eval returns the value of a JavaScript expression.
func Eval[V any](b *Tab, expression string) V {
	b.T.Helper()
	v, err := chromedp.Run(b.Ctx, chromedp.Evaluate[V](expression))
	if err != nil {
		b.T.Fatalf("%s: %v", expression, err)
	}
	return v
}
