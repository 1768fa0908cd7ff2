package api

import (
	"errors"
	"net/http"
	"net/http/httputil"

	"github.com/gin-gonic/gin"
)

// Relay passes requests on to members that cannot be reached from outside. Its methods
// are called from many goroutines at once.
type Relay interface {
	// Carries returns nil if the member of an id can be reached through this node now.
	Carries(id string) error
	// RelayTransport sends a request to the member whose id is the URL's host.
	RelayTransport() http.RoundTripper
	// ServeVia passes a request for a session on to the member of an id. An error is
	// returned where nothing has been answered yet.
	ServeVia(w http.ResponseWriter, r *http.Request, id string) error
}

// viaGossipRoute is as gossipRoute, for somebody else.
const viaGossipRoute = "/via/:id/gossip"

// mountVia adds what outsiders may ask of a member behind this node: its model, its card,
// and, for newcomers who were given its URL, a session. Nothing else of it is to be had here.
func (a *API) mountVia(relay Relay) {
	for _, path := range []string{"/predict", "/card"} {
		h := []gin.HandlerFunc{a.limited, a.fails(func(c *gin.Context) error { return a.passOn(c, relay, path) })}
		a.engine.GET("/via/:id"+path, h...)
		a.engine.HEAD("/via/:id"+path, h...)
		if path == "/predict" {
			a.engine.POST("/via/:id"+path, h...)
		}
	}
	a.engine.GET(viaGossipRoute, a.limited, a.fails(func(c *gin.Context) error {
		if err := relay.ServeVia(c.Writer, c.Request, c.Param("id")); err != nil {
			return notCarried(c.Param("id"), err)
		}
		return nil
	}))
}

func notCarried(id string, err error) error {
	p := Problemf(NotFound, "this node has no connection to a member with the id %q; its card has its present address", shown(id))
	p.Cause = err
	return p
}

// passOn passes a request on to a path of the member and its answer back.
func (a *API) passOn(c *gin.Context, relay Relay, path string) error {
	id := c.Param("id")
	if err := relay.Carries(id); err != nil {
		return notCarried(id, err)
	}
	if err := a.begin(); err != nil {
		return err
	}
	defer a.end()
	c.Request.Body = http.MaxBytesReader(c.Writer, c.Request.Body, maxBatch)
	var failed error
	proxy := httputil.ReverseProxy{
		Transport: relay.RelayTransport(),
		Rewrite: func(r *httputil.ProxyRequest) {
			r.Out.URL.Scheme, r.Out.URL.Host, r.Out.URL.Path, r.Out.URL.RawPath = "http", id, path, ""
			r.Out.Header.Set(requestIDHeader, idOf(c)) // the two nodes' logs can be put together
			r.Out.Header.Del("Authorization")          // a key for this node is none of the member's business
			r.SetXForwarded()
		},
		ModifyResponse: func(res *http.Response) error {
			for name := range c.Writer.Header() {
				res.Header.Del(name) // this node has set it for its own
			}
			return nil
		},
		ErrorHandler: func(_ http.ResponseWriter, _ *http.Request, err error) { failed = err },
		ErrorLog:     a.quietLog(),
	}
	proxy.ServeHTTP(c.Writer, c.Request)
	var tooLarge *http.MaxBytesError
	switch {
	case failed == nil:
		return nil
	case errors.As(failed, &tooLarge):
		return failed
	}
	p := NewProblem(NotReady, "the member behind this relay does not answer; try again in a moment")
	p.Cause = failed
	return p
}

// Relayed returns a server for what a relay brings to this node from outsiders: they get
// the model and the card, whatever the relay may ask for.
func (a *API) Relayed() *http.Server {
	s := a.Server()
	s.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/predict" && r.URL.Path != "/card" {
			http.NotFound(w, r)
			return
		}
		a.ServeHTTP(w, r)
	})
	return s
}
