package reach

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"caucus/internal/testlog"
)

// fakeAgent answers as an ngrok agent does, in the newer form, the older or both.
type fakeAgent struct {
	mu       sync.Mutex
	tunnels  []AgentTunnel
	old, new bool
	raw      string // answered to anything when not empty
	requests atomic.Int64
	srv      *httptest.Server
}

func startAgent(t *testing.T, old, new bool, tunnels ...AgentTunnel) *fakeAgent {
	t.Helper()
	a := &fakeAgent{tunnels: tunnels, old: old, new: new}
	a.srv = httptest.NewServer(a)
	t.Cleanup(func() { a.srv.Close() })
	return a
}

func (a *fakeAgent) set(tunnels ...AgentTunnel) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.tunnels = tunnels
}

func (a *fakeAgent) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a.requests.Add(1)
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.raw != "" {
		fmt.Fprint(w, a.raw)
		return
	}
	answer := map[string]any{"uri": r.URL.Path}
	switch {
	case r.Method == http.MethodGet && r.URL.Path == "/api/endpoints" && a.new:
		list := []any{}
		for _, tun := range a.tunnels {
			list = append(list, map[string]any{
				"name": "command_line", "url": tun.URL, "pooling_enabled": false,
				"upstream": map[string]any{"url": tun.Upstream, "protocol": "http1"},
			})
		}
		answer["endpoints"] = list
	case r.Method == http.MethodGet && r.URL.Path == "/api/tunnels" && a.old:
		list := []any{}
		for _, tun := range a.tunnels {
			proto, _, _ := strings.Cut(tun.URL, ":")
			list = append(list, map[string]any{
				"name": "command_line", "public_url": tun.URL, "proto": proto,
				"config": map[string]any{"addr": tun.Upstream, "inspect": true},
			})
		}
		answer["tunnels"] = list
	default:
		w.WriteHeader(http.StatusNotFound)
		answer = map[string]any{"status_code": 404, "msg": "not found"}
	}
	_ = json.NewEncoder(w).Encode(answer)
}

func find(t *testing.T, api string, port int) (Found, error) {
	t.Helper()
	a, err := NewAgent(AgentConfig{API: api, Port: port, Timeout: 5 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	defer a.client.CloseIdleConnections()
	return a.Find(t.Context())
}

func TestAgentFindsTheTunnelToOurPort(t *testing.T) {
	const other, ours, plain = "https://other.ngrok-free.app", "https://ours.ngrok-free.app", "http://ours.ngrok-free.app"
	tests := []struct {
		name    string
		tunnels []AgentTunnel
		want    string
	}{
		{"ours after another", []AgentTunnel{{other, "http://localhost:8080"}, {ours, "http://localhost:5001"}}, ours},
		{"https before http", []AgentTunnel{{plain, "http://localhost:5001"}, {ours, "http://localhost:5001"}}, ours},
		{"http alone", []AgentTunnel{{plain, "http://localhost:5001"}}, plain},
		{"the first of two", []AgentTunnel{{ours, "localhost:5001"}, {other, "localhost:5001"}}, ours},
		{"host and port", []AgentTunnel{{ours, "localhost:5001"}}, ours},
		{"a port alone", []AgentTunnel{{ours, "5001"}}, ours},
		{"a colon and a port", []AgentTunnel{{ours, ":5001"}}, ours},
		{"loopback", []AgentTunnel{{ours, "http://127.0.0.1:5001"}}, ours},
		{"loopback in IPv6", []AgentTunnel{{ours, "http://[::1]:5001"}}, ours},
		{"all addresses", []AgentTunnel{{ours, "http://0.0.0.0:5001"}}, ours},
		{"a slash at the end", []AgentTunnel{{ours + "/", "http://localhost:5001/"}}, ours},
		{"a port that begins like ours", []AgentTunnel{{other, "http://localhost:50010"}}, ""},
		{"a port that ends like ours", []AgentTunnel{{other, "http://localhost:15001"}}, ""},
		{"our port on another machine", []AgentTunnel{{other, "http://192.0.2.7:5001"}}, ""},
		{"our port in a path", []AgentTunnel{{other, "http://localhost:80/:5001"}}, ""},
		{"a TCP tunnel", []AgentTunnel{{"tcp://0.tcp.ngrok.io:12345", "localhost:5001"}}, ""},
		{"a TLS tunnel", []AgentTunnel{{"tls://ours.ngrok.app", "localhost:5001"}}, ""},
		{"an internal endpoint", []AgentTunnel{{"https://ours.internal", "localhost:5001"}}, ""},
		{"no tunnel", nil, ""},
		{"nonsense", []AgentTunnel{{"", ""}, {"\x00", "http://[::1"}, {"https://a b", ":x"}}, ""},
	}
	forms := []struct {
		name     string
		old, new bool
	}{{"the older API", true, false}, {"the newer API", false, true}, {"both", true, true}}
	for _, form := range forms {
		for _, tt := range tests {
			t.Run(form.name+"/"+tt.name, func(t *testing.T) {
				agent := startAgent(t, form.old, form.new, tt.tunnels...)
				found, err := find(t, agent.srv.URL, 5001)
				if err != nil || found.URL != tt.want {
					t.Errorf("%q, %v; want %q", found.URL, err, tt.want)
				}
				if tt.want == "" && len(found.Others) != len(tt.tunnels) {
					t.Errorf("others %v", found.Others)
				}
			})
		}
	}
}

func TestAgentInAnotherContainerMayNameUsByHost(t *testing.T) {
	list := []AgentTunnel{{"https://ours.ngrok-free.app", "http://knn:5001"}}
	if f := choose(list, 5001, false, ""); f.URL == "" {
		t.Error("an agent elsewhere: the tunnel was not taken")
	}
	if f := choose(list, 5001, true, ""); f.URL != "" {
		t.Error("an agent on this machine: it leads to another machine, and was taken")
	}
}

func TestAgentKeepsTheTunnelThatItHas(t *testing.T) {
	list := []AgentTunnel{{"https://a.ngrok.app", "5001"}, {"https://b.ngrok.app", "5001"}, {"http://c.ngrok.app", "5001"}}
	for keep, want := range map[string]string{"": "https://a.ngrok.app", "https://b.ngrok.app": "https://b.ngrok.app", "http://c.ngrok.app": "https://a.ngrok.app", "https://gone.ngrok.app": "https://a.ngrok.app"} {
		if f := choose(list, 5001, true, keep); f.URL != want {
			t.Errorf("having %q: %q, want %q", keep, f.URL, want)
		}
	}
}

func TestAgentAnswersThatAreNone(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	nobody := "http://" + l.Addr().String()
	l.Close()
	if _, err := find(t, nobody, 5001); !errors.Is(err, ErrNoAgent) {
		t.Errorf("nobody listens: %v", err)
	}
	for name, raw := range map[string]string{
		"a web page":      "<html>hello</html>",
		"other JSON":      `{"status":"ok"}`,
		"a list of texts": `{"endpoints":["a"],"tunnels":["a"]}`,
		"too much":        `{"endpoints":[],"tunnels":[],"x":"` + strings.Repeat("a", maxAgentAnswer) + `"}`,
	} {
		a := startAgent(t, true, true)
		a.raw = raw
		if f, err := find(t, a.srv.URL, 5001); err == nil || errors.Is(err, ErrNoAgent) || f.URL != "" {
			t.Errorf("%s: %v, %v", name, f, err)
		}
	}
	for name, h := range map[string]http.Handler{
		"an error":   http.NotFoundHandler(),
		"a redirect": http.RedirectHandler(startAgent(t, true, true, AgentTunnel{"https://evil.test", "5001"}).srv.URL, http.StatusFound),
	} {
		srv := httptest.NewServer(h)
		if f, err := find(t, srv.URL, 5001); err == nil || f.URL != "" {
			t.Errorf("%s: %v, %v", name, f, err)
		}
		srv.Close()
	}
	for _, bad := range []AgentConfig{{Port: 0}, {Port: 70000}, {Port: 1, API: "4040"}, {Port: 1, API: "ftp://x"}} {
		if _, err := NewAgent(bad); err == nil {
			t.Errorf("%+v was taken", bad)
		}
	}
}

// watch runs an agent's watcher until the test ends and returns what it tells.
func watch(t *testing.T, cfg AgentConfig) (urls <-chan string) {
	t.Helper()
	told := make(chan string, 16)
	cfg.OnURL = func(u string) { told <- u }
	a, err := NewAgent(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		a.Run(ctx)
	}()
	t.Cleanup(func() {
		cancel()
		<-done
	})
	return told
}

func expect(t *testing.T, urls <-chan string, want string) {
	t.Helper()
	select {
	case got := <-urls:
		if got != want {
			t.Fatalf("told %q, want %q", got, want)
		}
	case <-time.After(20 * time.Second):
		t.Fatalf("not told of %q", want)
	}
}

func TestAgentFollowsTheURLThroughRestarts(t *testing.T) {
	for _, form := range []struct{ old, new bool }{{true, false}, {false, true}} {
		var log testlog.Buffer
		elsewhere := AgentTunnel{"https://other.ngrok-free.app", "http://localhost:8080"}
		agent := startAgent(t, form.old, form.new, elsewhere, AgentTunnel{"https://first.ngrok-free.app", "http://localhost:5001"})
		address := agent.srv.Listener.Addr().String()
		urls := watch(t, AgentConfig{API: agent.srv.URL, Port: 5001, Interval: 5 * time.Millisecond, Timeout: 5 * time.Second, Log: log.Logger(slog.LevelDebug)})
		expect(t, urls, "https://first.ngrok-free.app")

		agent.set(elsewhere, AgentTunnel{"https://second.ngrok-free.app", "http://localhost:5001"})
		expect(t, urls, "https://second.ngrok-free.app")

		agent.srv.Close() // the agent dies
		expect(t, urls, "")

		again := &fakeAgent{old: form.old, new: form.new, tunnels: []AgentTunnel{elsewhere, {"https://third.ngrok-free.app", "http://localhost:5001"}}}
		l, err := net.Listen("tcp", address)
		if err != nil {
			t.Skipf("the port was taken in between: %v", err)
		}
		again.srv = httptest.NewUnstartedServer(again)
		again.srv.Listener.Close()
		again.srv.Listener = l
		again.srv.Start()
		t.Cleanup(again.srv.Close)
		expect(t, urls, "https://third.ngrok-free.app")

		again.set(elsewhere) // our tunnel alone ends
		expect(t, urls, "")
		if strings.Contains(log.String(), "level=WARN") || strings.Contains(log.String(), "level=ERROR") {
			t.Errorf("restarts of an agent are no trouble of ours:\n%s", &log)
		}
	}
}

func TestOneMissedReadingIsForgiven(t *testing.T) {
	var told []string
	a, err := NewAgent(AgentConfig{API: startAgent(t, true, true).srv.URL, Port: 5001, OnURL: func(u string) { told = append(told, u) }})
	if err != nil {
		t.Fatal(err)
	}
	defer a.client.CloseIdleConnections()
	agent := startAgent(t, true, true, AgentTunnel{"https://ours.ngrok.app", "5001"})
	here, err := NewAgent(AgentConfig{API: agent.srv.URL, Port: 5001})
	if err != nil {
		t.Fatal(err)
	}
	defer here.client.CloseIdleConnections()
	empty, full := a.api, here.api
	for _, reading := range []string{"full", "empty", "full", "empty", "empty", "empty", "full"} {
		a.api = full
		if reading == "empty" {
			a.api = empty
		}
		a.look(t.Context())
	}
	if want := []string{"https://ours.ngrok.app", "", "https://ours.ngrok.app"}; !slices.Equal(told, want) {
		t.Errorf("told %q, want %q", told, want)
	}
}

func TestAnAbsentAgentIsQuiet(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	api := "http://" + l.Addr().String()
	l.Close()
	var log testlog.Buffer
	a, err := NewAgent(AgentConfig{API: api, Port: 5001, Log: log.Logger(slog.LevelDebug), OnURL: func(u string) { t.Errorf("told %q", u) }})
	if err != nil {
		t.Fatal(err)
	}
	for range 5 {
		a.look(t.Context())
	}
	if n := strings.Count(log.String(), "\n"); n != 1 || !strings.Contains(log.String(), "level=DEBUG") {
		t.Errorf("it is to say so once, at debug level:\n%s", &log)
	}
}

func TestAnAgentWithoutOurTunnelIsSaidOnce(t *testing.T) {
	agent := startAgent(t, true, true, AgentTunnel{"https://other.ngrok.app", "http://localhost:8080"})
	var log testlog.Buffer
	a, err := NewAgent(AgentConfig{API: agent.srv.URL, Port: 5001, Log: log.Logger(slog.LevelInfo)})
	if err != nil {
		t.Fatal(err)
	}
	defer a.client.CloseIdleConnections()
	for range 5 {
		a.look(t.Context())
	}
	text := log.String()
	if strings.Count(text, "\n") != 1 || !strings.Contains(text, "ngrok http 5001") || !strings.Contains(text, "https://other.ngrok.app -> http://localhost:8080") {
		t.Errorf("log:\n%s", text)
	}
}
