package scenes

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"sync"
	"testing"
)

// The proxy stands for a tunnel's service: a public address that leads to one node, and
// that passes HTTP and WebSocket and nothing else. It counts requests and keeps every
// byte that passes on its public side, for the test to search.

// route is one public address of the proxy.
type route struct {
	Name    string // what its requests are counted under
	Address string // where it listens
	Target  string // host:port of what is behind it
}

// counts are the requests that came to a route, by path.
type counts map[string]int

func (c counts) total() int {
	n := 0
	for _, k := range c {
		n += k
	}
	return n
}

// capture is one connection's bytes on the proxy's public side.
type capture struct {
	Route  string
	Remote string
	In     []byte // from the client
	Out    []byte // to it
}

// tunnels is the proxy's state.
type tunnels struct {
	mu       sync.Mutex // guards all below
	counts   map[string]counts
	open     map[string]*http.Server // by address
	captures []*tapped
}

// playProxy is the part of the proxy. It is controlled over its socket.
func playProxy() error {
	p := &tunnels{counts: map[string]counts{}, open: map[string]*http.Server{}}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /open", func(w http.ResponseWriter, r *http.Request) {
		var to route
		err := json.NewDecoder(r.Body).Decode(&to)
		if err == nil {
			err = p.listen(to)
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
		}
	})
	mux.HandleFunc("POST /close", func(w http.ResponseWriter, r *http.Request) {
		p.close(r.FormValue("address"), r.FormValue("cut") == "true")
	})
	mux.HandleFunc("GET /counts", func(w http.ResponseWriter, _ *http.Request) {
		p.mu.Lock()
		defer p.mu.Unlock()
		_ = json.NewEncoder(w).Encode(p.counts)
	})
	mux.HandleFunc("GET /captures", func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(p.captured())
	})
	l, err := net.Listen("unix", os.Getenv("SOCKET"))
	if err != nil {
		return err
	}
	return http.Serve(l, mux)
}

// listen opens a route.
func (p *tunnels) listen(to route) error {
	l, err := net.Listen("tcp", to.Address)
	if err != nil {
		return err
	}
	target := &url.URL{Scheme: "http", Host: to.Target}
	forward := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(target)
		r.SetXForwarded()
		r.Out.Host = r.In.Host // as ngrok and cloudflared do
	}}
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p.mu.Lock()
		if p.counts[to.Name] == nil {
			p.counts[to.Name] = counts{}
		}
		p.counts[to.Name][r.URL.Path]++
		p.mu.Unlock()
		forward.ServeHTTP(w, r)
	})}
	p.mu.Lock()
	p.open[to.Address] = server
	p.mu.Unlock()
	go func() { _ = server.Serve(&tap{Listener: l, p: p, route: to}) }()
	return nil
}

// close ends a route. New connections are refused at once; those that stand are cut only if told so.
func (p *tunnels) close(address string, cut bool) {
	p.mu.Lock()
	server := p.open[address]
	delete(p.open, address)
	captures := p.captures
	p.mu.Unlock()
	if server != nil {
		_ = server.Close() // it does not know of connections that became WebSockets
	}
	for _, c := range captures {
		if cut && c.address == address {
			_ = c.Close()
		}
	}
}

func (p *tunnels) captured() []capture {
	p.mu.Lock()
	captures := p.captures
	p.mu.Unlock()
	all := make([]capture, 0, len(captures))
	for _, c := range captures {
		c.mu.Lock()
		all = append(all, capture{Route: c.name, Remote: c.RemoteAddr().String(), In: c.in, Out: c.out})
		c.mu.Unlock()
	}
	return all
}

// tap is a listener that keeps what passes on its connections.
type tap struct {
	net.Listener
	p     *tunnels
	route route
}

func (l *tap) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	kept := &tapped{Conn: c, name: l.route.Name, address: l.route.Address}
	l.p.mu.Lock()
	l.p.captures = append(l.p.captures, kept)
	l.p.mu.Unlock()
	return kept, nil
}

type tapped struct {
	net.Conn
	name, address string

	mu      sync.Mutex // guards what follows
	in, out []byte
}

func (c *tapped) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.mu.Lock()
	c.in = append(c.in, b[:n]...)
	c.mu.Unlock()
	return n, err
}

func (c *tapped) Write(b []byte) (int, error) {
	n, err := c.Conn.Write(b)
	c.mu.Lock()
	c.out = append(c.out, b[:n]...)
	c.mu.Unlock()
	return n, err
}

// proxy is the test's hold on the proxy.
type proxy struct {
	t      *testing.T
	client *http.Client
}

func (w *world) proxy() *proxy {
	w.t.Helper()
	return &proxy{t: w.t, client: w.role(internet, "proxy", "proxy.sock")}
}

// open opens a route at a public address, which the world must have.
func (p *proxy) open(r route) {
	p.t.Helper()
	b, err := json.Marshal(r)
	if err != nil {
		p.t.Fatal(err)
	}
	request(p.t, p.client, http.MethodPost, "http://proxy/open", string(b), nil)
}

func (p *proxy) close(address string, cut bool) {
	p.t.Helper()
	request(p.t, p.client, http.MethodPost, fmt.Sprintf("http://proxy/close?address=%s&cut=%t", address, cut), "", nil)
}

// counts returns the requests to a route until now.
func (p *proxy) counts(name string) counts {
	p.t.Helper()
	var all map[string]counts
	request(p.t, p.client, http.MethodGet, "http://proxy/counts", "", &all)
	return all[name]
}

func (p *proxy) captures() []capture {
	p.t.Helper()
	var all []capture
	request(p.t, p.client, http.MethodGet, "http://proxy/captures", "", &all)
	return all
}
