package api

import (
	"net"
	"net/http"
	"strings"

	"github.com/gin-gonic/gin"
)

// local lets in who is on this machine or has the bearer; without a token, all.
func (a *API) local(c *gin.Context) {
	if err := a.enter(c.Request); err != nil {
		a.fail(c, err)
	}
}

// shell is the way to the page and what it is made of, which are the same at every node and
// hold nothing of it. A browser cannot send a key with an address that somebody types, so the page comes
// first and asks for the key; all that it shows goes through local.
func (a *API) shell(c *gin.Context) {
	if a.tokenless() {
		a.local(c)
	}
}

func (a *API) enter(r *http.Request) error {
	if a.tokenless() {
		// Open to all who reach it. But a page in a browser on this machine can reach it too,
		// under a name of its own that resolves to loopback: the name gives it away.
		if isLoopback(r.RemoteAddr) && !a.ownHost(r.Host) {
			return Problemf(HostNotAllowed, "this node is not called %q; use localhost or 127.0.0.1", shown(r.Host))
		}
		return nil
	}
	if onThisMachine(r) {
		return nil
	}
	switch given, ok := bearerOf(r); {
	case !ok:
		return NewProblem(Unauthorized, "this address is open on the node's own machine only; from elsewhere send Authorization: Bearer with the cluster's key (caucus members --node URL --token-file FILE does)")
	case !a.isBearer(given):
		return NewProblem(Unauthorized, "the key in Authorization is not this cluster's; take the token from a current invite (caucus invite)")
	}
	return nil
}

// trusted reports whether the rate limit is not for this caller.
func (a *API) trusted(r *http.Request) bool {
	if onThisMachine(r) {
		return true
	}
	given, ok := bearerOf(r)
	return ok && a.isBearer(given)
}

func bearerOf(r *http.Request) (string, bool) {
	scheme, key, ok := strings.Cut(r.Header.Get("Authorization"), " ")
	if !ok || !strings.EqualFold(scheme, "Bearer") {
		return "", false
	}
	return strings.TrimSpace(key), true
}

// onThisMachine: the peer is loopback, it asked for a loopback host, and no proxy put its
// mark on the request. A tunnel's agent comes from loopback too; it fails the other two.
func onThisMachine(r *http.Request) bool {
	return isLoopback(r.RemoteAddr) && loopbackHost(r.Host) && !forwarded(r.Header)
}

// forwarded reports whether a proxy says that it speaks for somebody else.
func forwarded(h http.Header) bool {
	for key := range h {
		switch {
		case strings.HasPrefix(key, "X-Forwarded-"):
			return true
		case key == "Forwarded", key == "Via", key == "X-Real-Ip", key == "Cf-Connecting-Ip", key == "True-Client-Ip":
			return true
		}
	}
	return false
}

// tunnelled reports whether a request came through a tunnel that leads here. It is asked of every
// request, so it looks for what tunnels and proxies set and not for all that a careful caller may have
// set. A request that a relay passes on was not this node's tunnel's; it comes from an id.
func tunnelled(r *http.Request) bool {
	h := r.Header
	return (len(h["X-Forwarded-For"]) > 0 || len(h["X-Forwarded-Proto"]) > 0 || len(h["X-Forwarded-Host"]) > 0) &&
		strings.Contains(r.RemoteAddr, ":")
}

// ownHost reports whether the name is one of loopback or of this node.
func (a *API) ownHost(hostport string) bool {
	if loopbackHost(hostport) {
		return true
	}
	host := strings.TrimSuffix(hostOnly(hostport), ".")
	for _, own := range a.hosts {
		if strings.EqualFold(own, host) {
			return true
		}
	}
	return false
}

func loopbackHost(hostport string) bool {
	host := hostOnly(hostport)
	if strings.EqualFold(host, "localhost") {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}

func hostOnly(hostport string) string {
	if host, _, err := net.SplitHostPort(hostport); err == nil {
		return host
	}
	return strings.Trim(hostport, "[]")
}
