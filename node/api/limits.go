package api

import (
	"net/netip"

	"github.com/gin-gonic/gin"
	lru "github.com/hashicorp/golang-lru/v2"
	"golang.org/x/time/rate"
)

// maxClients is how many clients' buckets are kept; the one that was quiet longest goes first.
const maxClients = 10_000

// limits holds a token bucket for each client.
type limits struct {
	rate    rate.Limit
	burst   int
	clients *lru.Cache[string, *rate.Limiter]
}

func newLimits(perSecond float64, burst int) (*limits, error) {
	c, err := lru.New[string, *rate.Limiter](maxClients)
	return &limits{rate: rate.Limit(perSecond), burst: max(burst, 1), clients: c}, err
}

// allow takes one token of the client's bucket.
func (l *limits) allow(client string) bool {
	limiter, ok := l.clients.Get(client)
	if !ok {
		limiter = rate.NewLimiter(l.rate, l.burst)
		if previous, found, _ := l.clients.PeekOrAdd(client, limiter); found {
			limiter = previous
		}
	}
	return limiter.Allow()
}

// limited turns away a client off this machine that asks too often.
func (a *API) limited(c *gin.Context) {
	if a.trusted(c.Request) || a.limits.allow(clientKey(c.ClientIP())) {
		return
	}
	a.fail(c, Problemf(RateLimited, "more than %.0f questions a second came from your address; wait a moment, or send many rows as one batch", float64(a.limits.rate)))
}

// clientKey is the address, or the /64 of an IPv6 one, of which a single client has the whole.
func clientKey(ip string) string {
	addr, err := netip.ParseAddr(ip)
	if err != nil || !addr.Is6() || addr.Is4In6() {
		return ip
	}
	if p, err := addr.Prefix(64); err == nil {
		return p.String()
	}
	return ip
}

// open refuses questions while the node shuts down.
func (a *API) open() error {
	if a.closing.Load() {
		return NewProblem(ShuttingDown, "this node is shutting down; ask another member of its cluster")
	}
	return nil
}

// begin counts a question in, or says why it is not taken.
func (a *API) begin() error {
	if err := a.open(); err != nil {
		return err
	}
	if a.inFlight.Add(1) > a.maxInFlight {
		a.inFlight.Add(-1)
		return Problemf(Overloaded, "%d questions are being answered already; try again in a second", a.maxInFlight)
	}
	return nil
}

func (a *API) end() { a.inFlight.Add(-1) }
