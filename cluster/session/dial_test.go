package session

import (
	"context"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"

	"caucus/cluster/identity"
)

// answering runs an HTTP server that is no caucus node.
func answering(t testing.TB, h http.HandlerFunc) string {
	t.Helper()
	s := httptest.NewUnstartedServer(h)
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.Start()
	t.Cleanup(s.Close)
	return s.URL
}

func page(status int, contentType, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", contentType)
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

func TestDialSaysWhatItMet(t *testing.T) {
	a := start(t, nil)
	nobody := "http://127.0.0.1:1" // a port that is not given out, so that no other server of this test gets it
	secure := httptest.NewUnstartedServer(page(200, "text/plain", ""))
	secure.Config.ErrorLog = log.New(io.Discard, "", 0)
	secure.StartTLS()
	t.Cleanup(secure.Close)
	plain := answering(t, page(200, "text/plain", "hello"))
	html := "text/html; charset=utf-8"
	for name, tc := range map[string]struct {
		url  string
		want []string
	}{
		"nobody":                {nobody, []string{"nothing listens", nobody, "is the node running"}},
		"an old Flask app":      {answering(t, page(404, html, "<h1>Not Found</h1>")), []string{"no caucus node", "404"}},
		"a web page":            {answering(t, page(200, html, "<html>")), []string{"no caucus node", "web page"}},
		"some API":              {plain, []string{"no caucus node", "HTTP 200"}},
		"a login":               {answering(t, page(401, "text/plain", "")), []string{"login", "401"}},
		"a redirect":            {answering(t, http.RedirectHandler("https://elsewhere.example/", http.StatusFound).ServeHTTP), []string{"redirects", "elsewhere.example", "302"}},
		"a proxy":               {answering(t, page(502, html, "bad gateway")), []string{"cannot reach the node behind it", "502"}},
		"somebody who hangs up": {answering(t, func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }), []string{"hung up"}},
		"http for https":        {strings.Replace(secure.URL, "https", "http", 1), []string{"HTTP 400"}},
		"https for http":        {strings.Replace(plain, "http", "https", 1), []string{"does not speak https", "http://"}},
		"a strange certificate": {secure.URL, []string{"certificate", "cannot be trusted"}},
		"no such host":          {"http://no-such-host.invalid:1", []string{"no-such-host.invalid"}},
		"no URL at all":         {"ws://x", []string{"http://"}},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := a.Dial(t.Context(), tc.url, "", nil)
			if err == nil {
				t.Fatal("a session")
			}
			for _, w := range tc.want {
				if !strings.Contains(err.Error(), w) {
					t.Errorf("%q does not say %q", err, w)
				}
			}
			if strings.ContainsAny(err.Error(), "\x1b\n<") {
				t.Errorf("raw text of the other end in %q", err)
			}
		})
	}
}

func TestAWebSocketOfSomebodyElseIsNoSession(t *testing.T) {
	a := start(t, nil)
	other := answering(t, func(w http.ResponseWriter, r *http.Request) {
		r.Header.Del("Sec-Websocket-Protocol")
		upgradeAnything(w, r)
	})
	if _, err := a.Dial(t.Context(), other, "", nil); err == nil || !strings.Contains(err.Error(), "none of caucus's") {
		t.Fatalf("got %v", err)
	}
}

func TestRedirectsAreNotFollowed(t *testing.T) {
	var hits atomic.Int32
	target := answering(t, func(http.ResponseWriter, *http.Request) { hits.Add(1) })
	var asked atomic.Int32
	from := answering(t, func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		http.Redirect(w, r, target+"/gossip", http.StatusTemporaryRedirect)
	})
	a := start(t, nil)
	if _, err := a.Dial(t.Context(), from, "", nil); err == nil {
		t.Fatal("a session")
	}
	if hits.Load() != 0 || asked.Load() != 1 {
		t.Fatalf("%d requests, and %d to where it redirects", asked.Load(), hits.Load())
	}
}

func TestTheEnvironmentsProxyIsNotUsed(t *testing.T) {
	var hits atomic.Int32
	proxy := answering(t, func(http.ResponseWriter, *http.Request) { hits.Add(1) })
	t.Setenv("HTTP_PROXY", proxy)
	t.Setenv("http_proxy", proxy)
	a := start(t, func(c *Config) {
		c.DialContext = func(_ context.Context, _, address string) (net.Conn, error) {
			return nil, errors.New("dialled " + address)
		}
	})
	_, err := a.Dial(t.Context(), "http://node.example:5001", "", nil)
	if err == nil || !strings.Contains(err.Error(), "dialled node.example:5001") || hits.Load() != 0 {
		t.Fatalf("got %v, and %d requests at the proxy", err, hits.Load())
	}
}

func TestTheDialersHookIsAsked(t *testing.T) {
	blocked := errors.New("that address is forbidden")
	a := start(t, func(c *Config) {
		c.DialContext = func(context.Context, string, string) (net.Conn, error) { return nil, blocked }
	})
	if _, err := a.Dial(t.Context(), start(t, nil).url(), "", nil); !errors.Is(err, blocked) {
		t.Fatalf("got %v", err)
	}
}

func TestThroughAReverseProxyAsThroughATunnel(t *testing.T) {
	stream := make(chan string, 1)
	serve := func(c *Config) {
		c.OnStream = func(_ identity.ID, _ StreamKind, conn net.Conn) {
			defer conn.Close()
			b, _ := io.ReadAll(conn)
			stream <- string(b)
		}
	}
	a, b := start(t, serve), start(t, serve)
	to, err := url.Parse(b.url())
	if err != nil {
		t.Fatal(err)
	}
	var skip atomic.Bool
	proxy := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		skip.Store(r.In.Header.Get("ngrok-skip-browser-warning") == "1")
		r.SetURL(to)
		r.SetXForwarded()
	}}
	if _, err := a.Dial(t.Context(), answering(t, proxy.ServeHTTP), b.id, nil); err != nil {
		t.Fatal(err)
	}
	if !skip.Load() {
		t.Error("the header against ngrok's warning page is missing")
	}
	eventually(t, "both are connected", func() bool { return b.Connected(a.id) })
	if got := mustAsk(t, a, b.id, "through"); got != "re: through" {
		t.Errorf("got %q", got)
	}
	large := strings.Repeat("row ", 300<<10)
	if got := mustAsk(t, b, a.id, large); got != "re: "+large {
		t.Errorf("got %d bytes", len(got))
	}
	// The acceptor opens a stream to a node that it could not dial.
	conn, err := b.Open(t.Context(), a.id, StreamGossip)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Write([]byte("to whom dialled out only")); err != nil {
		t.Fatal(err)
	}
	_ = conn.Close()
	if got := <-stream; got != "to whom dialled out only" {
		t.Errorf("got %q", got)
	}
}

func TestDialEndsWithItsContext(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0") // accepts and says nothing
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	a := start(t, nil)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := a.Dial(ctx, "http://"+l.Addr().String(), "", nil); !errors.Is(err, context.Canceled) {
		t.Fatalf("got %v", err)
	}
}
