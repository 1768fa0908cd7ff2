package node

import (
	"net/url"
	"strings"
	"sync"
	"time"
)

// What ngrok's free plan has for a month, as of November 2026
// (https://ngrok.com/docs/pricing-limits/free-plan-limits/: "Data Transfer Out 1 GB",
// "Requests 20,000"). The page does not say what a GB is nor which way out is; here it is
// 10^9 bytes, and what this node sends through its tunnel.
const (
	ngrokRequests = 20_000
	ngrokBytes    = 1_000_000_000
)

const (
	month = 30 * 24 * time.Hour
	// quotaWindow is how far back the pace of a month is taken from: a day, for people's
	// evenings are not like their mornings.
	quotaWindow = 24 * time.Hour
	quotaEvery  = 5 * time.Minute // between two samples
	// quotaLeast is the shortest time that says anything: opening sessions and the first
	// exchange of rosters would be taken for a habit.
	quotaLeast = 10 * time.Minute
)

// usage is what went through this node's tunnel since the start.
type usage struct{ requests, bytes uint64 }

// pace keeps samples of the usage and projects a month from them.
type pace struct {
	mu      sync.Mutex // guards samples
	samples []paced    // oldest first, at most quotaWindow old
}

type paced struct {
	at time.Time // with a monotonic reading, so that setting the clock changes nothing
	usage
}

// note takes a sample, and drops those that are too old.
func (p *pace) note(now time.Time, u usage) {
	p.mu.Lock()
	defer p.mu.Unlock()
	old := 0
	for old < len(p.samples) && now.Sub(p.samples[old].at) > quotaWindow {
		old++
	}
	p.samples = append(p.samples[:copy(p.samples, p.samples[old:])], paced{now, u})
}

// projection is a month at the pace of a while.
type projection struct {
	Over            time.Duration // that the pace was measured over
	requests, bytes float64       // a month; 0 while Over is below quotaLeast
	seen            usage         // in that time
}

// project says what a month comes to if it goes on as since the oldest sample.
func (p *pace) project(now time.Time, u usage) projection {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.samples) == 0 {
		return projection{}
	}
	first := p.samples[0]
	out := projection{
		Over: now.Sub(first.at),
		seen: usage{u.requests - first.requests, u.bytes - first.bytes},
	}
	if out.Over >= quotaLeast {
		times := float64(month) / float64(out.Over)
		out.requests, out.bytes = float64(out.seen.requests)*times, float64(out.seen.bytes)*times
	}
	return out
}

// isNgrok reports whether a URL is one of ngrok's own domains, whose plan has limits. (A domain of
// one's own needs a paid plan.)
func isNgrok(s string) bool {
	u, err := url.Parse(s)
	if err != nil {
		return false
	}
	host := strings.TrimSuffix(strings.ToLower(u.Hostname()), ".")
	for _, d := range []string{"ngrok-free.app", "ngrok-free.dev", "ngrok.app", "ngrok.dev", "ngrok.io", "ngrok.pizza", "ngrok.pro"} {
		if strings.HasSuffix(host, "."+d) {
			return true
		}
	}
	return false
}
