package main

import (
	"io"
	"sync"
	"time"

	"github.com/schollz/progressbar/v3"
)

// newBar makes a progress bar on standard error, or one that says nothing where
// nobody watches.
func (a *app) newBar(total int, what string) *progressbar.ProgressBar {
	w := io.Discard
	if a.errTTY {
		w = a.err
	}
	return progressbar.NewOptions(total,
		progressbar.OptionSetWriter(w),
		progressbar.OptionSetDescription(what),
		progressbar.OptionShowCount(),
		progressbar.OptionSetWidth(30),
		progressbar.OptionThrottle(50*time.Millisecond),
		progressbar.OptionClearOnFinish(),
		progressbar.OptionSetVisibility(a.errTTY),
	)
}

// slowBar is a progress bar that appears only when the work takes over a second.
// Its method may be called from many goroutines.
type slowBar struct {
	app   *app
	what  string
	start time.Time

	mu   sync.Mutex // guards bar and done
	bar  *progressbar.ProgressBar
	done int
}

func (a *app) newSlowBar(what string) *slowBar {
	return &slowBar{app: a, what: what, start: time.Now()}
}

func (b *slowBar) progress(done, total int) {
	if !b.app.errTTY || time.Since(b.start) < time.Second {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if done < b.done { // reports of several goroutines overtake one another
		return
	}
	b.done = done
	if b.bar == nil {
		b.bar = b.app.newBar(total, b.what)
	}
	_ = b.bar.Set(done) // a terminal that went away is no reason to stop fitting
}

// finish clears the bar.
func (b *slowBar) finish() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.bar != nil {
		_ = b.bar.Finish()
		b.bar = nil
	}
}
