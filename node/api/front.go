package api

import (
	"net/http"
	"runtime/debug"
	"strconv"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/oklog/ulid/v2"
)

// Header values that never change are shared, so that a request does not allocate them.
var (
	headerNoSniff = []string{"nosniff"}
	headerCSP     = []string{"default-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'"}
	headerNoRef   = []string{"no-referrer"}
	headerNoStore = []string{"no-store"}
	headerJSON    = []string{"application/json"}
	headerProblem = []string{"application/problem+json"}
	headerClose   = []string{"close"}
)

const requestIDHeader = "X-Request-Id"

// front is around every request: its id, the headers of every reply, cross-origin
// protection, recovery, the count and the log line.
func (a *API) front(c *gin.Context) {
	start := time.Now()
	id := requestID(c.Request.Header)
	h := c.Writer.Header()
	h[requestIDHeader] = []string{id}
	h["X-Content-Type-Options"] = headerNoSniff
	h["Content-Security-Policy"] = headerCSP
	h["Referrer-Policy"] = headerNoRef
	h["Cache-Control"] = headerNoStore
	defer a.finish(c, start, id)
	if tunnelled(c.Request) {
		a.metrics.tunnelled(c.FullPath())
		if a.forwarded != nil {
			a.forwarded(c.Request)
		}
	}
	if c.Request.Method != http.MethodGet {
		if err := a.origin.Check(c.Request); err != nil {
			p := NewProblem(CrossOrigin, "a page of another site asked for this; use this node's own page, or a program")
			p.Cause = err
			a.fail(c, p)
			return
		}
	}
	c.Next()
}

// finish ends a request, also one that panicked.
func (a *API) finish(c *gin.Context, start time.Time, id string) {
	if r := recover(); r != nil {
		if r == http.ErrAbortHandler {
			panic(r)
		}
		a.log.Error("a request panicked", "request_id", id, "path", shown(c.Request.URL.Path),
			"panic", r, "stack", string(debug.Stack()))
		if !c.Writer.Written() {
			a.fail(c, NewProblem(InternalError, "internal error; the node's log has the details under the request id"))
		}
	}
	if route := c.FullPath(); route == gossipRoute || route == viaGossipRoute || route == eventsRoute {
		return
	}
	elapsed := time.Since(start)
	status := c.Writer.Status()
	a.metrics.observe(c.FullPath(), c.Request.Method, status, elapsed)
	a.logRequest(c, id, status, elapsed)
}

// requestID takes the caller's id if it is fit for logs, or makes one.
func requestID(h http.Header) string {
	if v := h[requestIDHeader]; len(v) == 1 && validRequestID(v[0]) {
		return v[0]
	}
	return ulid.Make().String()
}

func validRequestID(s string) bool {
	if s == "" || len(s) > 64 {
		return false
	}
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '-', c == '_', c == '.':
		default:
			return false
		}
	}
	return true
}

// idOf returns the request's id, which front has put into the reply's header.
func idOf(c *gin.Context) string { return c.Writer.Header()[requestIDHeader][0] }

// fails makes a handler of a function that may fail.
func (a *API) fails(h func(*gin.Context) error) gin.HandlerFunc {
	return func(c *gin.Context) {
		if err := h(c); err != nil {
			a.fail(c, err)
		}
	}
}

// fail writes the error as a problem and stops the chain.
func (a *API) fail(c *gin.Context, err error) {
	c.Abort()
	p := *problemOf(err) // a copy: a shared one must not get this request's id
	p.RequestID = idOf(c)
	if p.Cause != nil {
		level := a.log.Debug // anybody on the Internet can cause these, as often as they like
		switch {
		case p.Kind() == InternalError:
			level = a.log.Error
		case p.Status >= 500:
			level = a.log.Warn
		}
		level("a request failed", "request_id", p.RequestID, "problem", p.Kind(), "cause", shownLong(p.Cause.Error()))
	}
	h := c.Writer.Header()
	if p.RetryAfter > 0 {
		h["Retry-After"] = []string{strconv.Itoa(p.RetryAfter)}
	}
	if p.Status == http.StatusUnauthorized {
		h["Www-Authenticate"] = []string{`Bearer realm="caucus"`}
	}
	if p.Kind() == ShuttingDown {
		h["Connection"] = headerClose
	}
	h["Content-Type"] = headerProblem
	var body any = &p
	if isOIP(c.Request.URL.Path) {
		h["Content-Type"], body = headerJSON, oipError(&p)
	}
	b, err := marshal(body, wantsPretty(c.Request.URL.RawQuery))
	if err != nil {
		b = []byte(`{"error":"internal error"}`)
	}
	c.Writer.WriteHeader(p.Status)
	_, _ = c.Writer.Write(b)
}
