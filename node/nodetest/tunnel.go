package nodetest

import (
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"testing"
)

// Tunnel starts a tunnel in front of a node and returns its URL: for the node, who comes this
// way is not on its machine.
func Tunnel(t testing.TB, address string) string {
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
		FlushInterval: -1, // events come one by one
	})
	t.Cleanup(proxy.Close)
	return proxy.URL
}
