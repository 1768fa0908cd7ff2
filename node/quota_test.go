package node

import (
	"testing"
	"time"
)

func TestAMonthIsProjectedFromTheLastDay(t *testing.T) {
	var p pace
	start := time.Now()
	at := func(d time.Duration) time.Time { return start.Add(d) }
	if x := p.project(start, usage{5, 5}); x != (projection{}) {
		t.Errorf("without a sample: %+v", x)
	}
	p.note(start, usage{requests: 40, bytes: 1000}) // what was before is nobody's habit
	if x := p.project(at(quotaLeast-time.Second), usage{50, 2000}); x.requests != 0 || x.bytes != 0 || x.seen != (usage{10, 1000}) {
		t.Errorf("too early to project: %+v", x)
	}
	// 10 requests and 1 MB an hour are 7,200 and 720 MB in 30 days.
	x := p.project(at(time.Hour), usage{50, 1_001_000})
	if x.Over != time.Hour || x.requests != 7200 || x.bytes != 720e6 {
		t.Errorf("after an hour: %+v", x)
	}
	// A busy first day is out of the window at the end of the second.
	last := usage{}
	for d := time.Duration(0); d <= 48*time.Hour; d += quotaEvery {
		n := uint64(d / quotaEvery)
		last = usage{requests: 40 + 100*n, bytes: 1000}
		if d >= 24*time.Hour {
			last.requests = 40 + 100*uint64(24*time.Hour/quotaEvery) + (n - uint64(24*time.Hour/quotaEvery))
		}
		p.note(at(d), last)
	}
	x = p.project(at(48*time.Hour), last)
	if x.Over > quotaWindow || x.Over < quotaWindow-2*quotaEvery || x.requests < 8600 || x.requests > 8700 { // 12 an hour
		t.Errorf("after two days: %+v", x)
	}
	if n := len(p.samples); n > int(quotaWindow/quotaEvery)+1 {
		t.Errorf("%d samples are kept", n)
	}
}

func TestNgroksOwnDomainsHaveItsFreePlansLimits(t *testing.T) {
	for url, want := range map[string]bool{
		"https://ab12.ngrok-free.app": true, "https://x.ngrok-free.dev": true, "http://AB.ngrok.io.:80": true, "https://ab12.ngrok-free.app/via/k3f": true,
		"https://ngrok-free.app.example.org": false, "https://evilngrok-free.app": false, "https://four-words.trycloudflare.com": false, "http://10.0.0.1:5001": false, "": false,
	} {
		if isNgrok(url) != want {
			t.Errorf("%s: %v", url, !want)
		}
	}
}
