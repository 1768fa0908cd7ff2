package api

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestWhoMayEnterTheLocalRoutes(t *testing.T) {
	const key = "the-bearer"
	remote := func(r *http.Request) { r.RemoteAddr = "203.0.113.9:5000"; r.Host = "ab12.ngrok-free.app" }
	bearer := func(k string) func(*http.Request) {
		return func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+k) }
	}
	header := func(k, v string) func(*http.Request) { return func(r *http.Request) { r.Header.Set(k, v) } }
	host := func(h string) func(*http.Request) { return func(r *http.Request) { r.Host = h } }
	peer := func(p string) func(*http.Request) { return func(r *http.Request) { r.RemoteAddr = p } }
	for _, c := range []struct {
		name   string
		token  bool
		change []func(*http.Request)
		status int
	}{
		{"no token, this machine", false, nil, 200},
		{"no token, from elsewhere", false, []func(*http.Request){remote}, 200},
		{"no token, a hostile page by DNS rebinding", false, []func(*http.Request){host("evil.example:5001")}, 403},
		{"no token, the node's own public name", false, []func(*http.Request){host("mine.example")}, 200},
		{"no token, IPv6 loopback", false, []func(*http.Request){host("[::1]:5001"), peer("[::1]:9999")}, 200},
		{"no token, 127.0.0.1", false, []func(*http.Request){host("127.0.0.1:5001")}, 200},
		{"no token, a name that begins with localhost", false, []func(*http.Request){host("localhost.evil.example")}, 403},
		{"token, this machine", true, nil, 200},
		{"token, this machine under another name", true, []func(*http.Request){host("evil.example")}, 401},
		{"token, from elsewhere", true, []func(*http.Request){remote}, 401},
		{"token, from elsewhere with the bearer", true, []func(*http.Request){remote, bearer(key)}, 200},
		{"token, with bearer in lower case", true, []func(*http.Request){remote, header("Authorization", "bearer "+key)}, 200},
		{"token, with another bearer", true, []func(*http.Request){remote, bearer("guess")}, 401},
		{"token, with basic", true, []func(*http.Request){remote, header("Authorization", "Basic "+key)}, 401},
		{"token, elsewhere but with a loopback Host", true, []func(*http.Request){remote, host("localhost")}, 401},
		{"token, a tunnel's agent on this machine", true, []func(*http.Request){header("X-Forwarded-For", "203.0.113.9")}, 401},
		{"token, a proxy on this machine", true, []func(*http.Request){header("Forwarded", "for=203.0.113.9")}, 401},
		{"token, any X-Forwarded header", true, []func(*http.Request){header("X-Forwarded-Proto", "https")}, 401},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := newAPI(t, &fakeNode{}, func(cfg *Config) {
				cfg.Hosts = []string{"mine.example"}
				if c.token {
					cfg.Bearer = key
				}
			})
			for _, route := range []string{"/members", "/rounds", "/rounds/known", "/metrics", "/invite"} {
				w := serve(a, "GET", route, "", c.change...)
				if w.Code != c.status {
					t.Errorf("%s: %d, want %d", route, w.Code, c.status)
				}
				if c.status == 401 && w.Header().Get("WWW-Authenticate") == "" {
					t.Errorf("%s: no WWW-Authenticate", route)
				}
				if c.status >= 400 {
					problemIn(t, w)
				}
			}
			if w := serve(a, "POST", "/members/forget", `{"failed":true}`, c.change...); w.Code != c.status {
				t.Errorf("forget: %d, want %d", w.Code, c.status)
			}
			for _, route := range []string{"/healthz", "/readyz", "/card", "/predict?features=5.1,3.5,1.4,0.2", "/consensus?features=5.1,3.5,1.4,0.2"} {
				if w := serve(a, "GET", route, "", c.change...); w.Code != 200 {
					t.Errorf("public %s: %d", route, w.Code)
				}
			}
		})
	}
}

func TestThePageComesToEverybodyAndHasNothingOfTheNode(t *testing.T) {
	remote := func(r *http.Request) { r.RemoteAddr = "203.0.113.9:5000"; r.Host = "ab12.ngrok-free.app" }
	page := func(a *API, change ...func(*http.Request)) string {
		w := serve(a, "GET", "/", "", change...)
		if w.Code != 200 {
			t.Fatalf("%d %s", w.Code, w.Body)
		}
		return w.Body.String()
	}
	a := newAPI(t, &fakeNode{}, func(cfg *Config) { cfg.Bearer = "the-bearer" })
	b := newAPI(t, &fakeNode{info: &Info{ID: "other", Name: "bo", Features: []string{"x"}, Labels: []string{"y", "z"}}})
	if page(a, remote) != page(b) {
		t.Error("it differs from one node to another")
	}
	if w := serve(a, "GET", "/assets/app.js", "", remote); w.Code != 200 {
		t.Errorf("its scripts: %d", w.Code)
	}
	// A node without a token opens everything; there the name must be right.
	for _, route := range []string{"/", "/assets/app.js"} {
		if w := serve(b, "GET", route, "", func(r *http.Request) { r.Host = "evil.example" }); w.Code != 403 {
			t.Errorf("%s under another name: %d", route, w.Code)
		}
	}
}

func TestAnInviteShowsNoSecret(t *testing.T) {
	for _, bearer := range []string{"", "the-bearer"} {
		a := newAPI(t, &fakeNode{}, func(cfg *Config) { cfg.Bearer = bearer })
		w := serve(a, "GET", "/invite", "")
		var got InviteReply
		if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil || w.Code != 200 {
			t.Fatal(w.Code, err)
		}
		if got.Open != (bearer == "") || got.Model != "svm" || strings.Contains(w.Body.String(), "the-bearer") {
			t.Errorf("%s", w.Body)
		}
	}
}

func TestAnotherSitesPageMayNotPost(t *testing.T) {
	a := newAPI(t, &fakeNode{forget: func([]string, bool) ([]string, error) {
		t.Error("the node was reached")
		return nil, nil
	}})
	for _, h := range [][2]string{{"Sec-Fetch-Site", "cross-site"}, {"Sec-Fetch-Site", "same-site"}, {"Origin", "https://evil.example"}} {
		w := serve(a, "POST", "/members/forget", `{"failed":true}`, func(r *http.Request) { r.Header.Set(h[0], h[1]) })
		if w.Code != 403 || problemIn(t, w).Kind() != CrossOrigin {
			t.Errorf("%v: %d %s", h, w.Code, w.Body)
		}
	}
	b := newAPI(t, &fakeNode{})
	if w := serve(b, "POST", "/members/forget", `{"names":["ana"]}`, func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "same-origin") }); w.Code != 200 {
		t.Errorf("the own page was refused: %d %s", w.Code, w.Body)
	}
}

func TestForgetWantsAClearWord(t *testing.T) {
	a := newAPI(t, &fakeNode{})
	for body, want := range map[string]int{
		`{"names":["ana"]}`: 200, `{"failed":true}`: 200,
		`{}`: 400, `{"names":[]}`: 400, `{"names":["ana"],"failed":true}`: 400, `{"name":"ana"}`: 400, `{"failed":true} x`: 400, `[]`: 400,
	} {
		if w := serve(a, "POST", "/members/forget", body); w.Code != want {
			t.Errorf("%s: %d, want %d: %s", body, w.Code, want, w.Body)
		}
	}
}

func TestRemoveWantsAClearWord(t *testing.T) {
	var undone bool
	a := newAPI(t, &fakeNode{remove: func(name string, undo bool) (string, error) {
		undone = undo
		return name, nil
	}})
	for body, want := range map[string]int{
		`{"name":"bo"}`: 200, `{"name":"bo","undo":true}`: 200, `{"name":"bo","undo":false}`: 200,
		`{}`: 400, `{"name":""}`: 400, `{"names":["bo"]}`: 400, `{"name":"bo"} x`: 400, `[]`: 400, `{"undo":true}`: 400,
		`{"name":"` + strings.Repeat("b", 70<<10) + `"}`: 413,
	} {
		undone = false
		w := serve(a, "POST", "/members/remove", body)
		if w.Code != want {
			t.Errorf("%.60s: %d, want %d: %s", body, w.Code, want, w.Body)
		}
		if yes := strings.Contains(body, "true"); want == 200 && (undone != yes || strings.Contains(w.Body.String(), "taken_back") != yes) {
			t.Errorf("%s: %s", body, w.Body)
		}
	}
}

func TestAClientThatAsksTooOftenIsSlowedDown(t *testing.T) {
	const target = "/consensus?features=5.1,3.5,1.4,0.2"
	a := newAPI(t, &fakeNode{}, func(cfg *Config) { cfg.Rate, cfg.Burst, cfg.Bearer = 0.001, 3, "key" })
	from := func(ip string) func(*http.Request) {
		return func(r *http.Request) { r.RemoteAddr = ip + ":1"; r.Host = "n" }
	}
	for i := range 5 {
		w := serve(a, "GET", target, "", from("203.0.113.9"))
		if want := map[bool]int{true: 200, false: 429}[i < 3]; w.Code != want {
			t.Errorf("request %d: %d, want %d", i, w.Code, want)
		} else if want == 429 && (w.Header().Get("Retry-After") == "" || problemIn(t, w).Kind() != RateLimited) {
			t.Errorf("%v %s", w.Header(), w.Body)
		}
	}
	others := map[string]func(*http.Request){
		"another client": from("203.0.113.10"),
		"this machine":   func(*http.Request) {},
		"the same client with the bearer": func(r *http.Request) {
			from("203.0.113.9")(r)
			r.Header.Set("Authorization", "Bearer key")
		},
	}
	for name, change := range others {
		if w := serve(a, "GET", target, "", change); w.Code != 200 {
			t.Errorf("%s: %d", name, w.Code)
		}
	}
	// An agent on this machine speaks for its clients; one elsewhere does not.
	spoofed := 0
	for i := range 5 {
		w := serve(a, "GET", target, "", from("203.0.113.11"), func(r *http.Request) {
			r.Header.Set("X-Forwarded-For", "198.51.100."+string(rune('1'+i)))
		})
		if w.Code == 429 {
			spoofed++
		}
	}
	if spoofed != 2 {
		t.Errorf("a forged X-Forwarded-For dodged the limit: %d of 5 refused, want 2", spoofed)
	}
	for i := range 5 {
		w := serve(a, "GET", target, "", func(r *http.Request) {
			r.Header.Set("X-Forwarded-For", "198.51.100."+string(rune('1'+i)))
		})
		if w.Code != 200 {
			t.Errorf("client %d behind the agent: %d", i, w.Code)
		}
	}
	if w := serve(a, "GET", "/predict?features=5.1,3.5,1.4,0.2", "", from("203.0.113.9")); w.Code != 200 {
		t.Errorf("/predict is not limited: %d", w.Code)
	}
}

func TestTooManyQuestionsAtOnceAreTurnedAway(t *testing.T) {
	inside, release := make(chan struct{}), make(chan struct{})
	a := newAPI(t, &fakeNode{consensus: func(context.Context, *Question) (Round, error) {
		inside <- struct{}{}
		<-release
		return &fakeRound{one: &ConsensusReply{}}, nil
	}}, func(cfg *Config) { cfg.MaxInFlight = 1 })
	var wg sync.WaitGroup
	wg.Go(func() { serve(a, "GET", "/consensus?features=5.1,3.5,1.4,0.2", "") })
	<-inside
	w := serve(a, "GET", "/predict?features=5.1,3.5,1.4,0.2", "")
	if w.Code != 503 || w.Header().Get("Retry-After") == "" || problemIn(t, w).Kind() != Overloaded {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	close(release)
	wg.Wait()
	if w := serve(a, "GET", "/predict?features=5.1,3.5,1.4,0.2", ""); w.Code != 200 {
		t.Errorf("after it: %d", w.Code)
	}
}

func TestSlowSendersDoNotKeepOthersOut(t *testing.T) {
	a := newAPI(t, &fakeNode{}, func(cfg *Config) { cfg.MaxInFlight = 1 })
	reading, finish := make(chan struct{}), make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		w := serve(a, "POST", "/predict", "x", func(r *http.Request) {
			r.Body = &slowBody{reading: reading, finish: finish, text: `{"features":[5.1,3.5,1.4,0.2]}`}
		})
		if w.Code != 200 {
			t.Errorf("the slow one: %d %s", w.Code, w.Body)
		}
	})
	<-reading
	if w := serve(a, "GET", "/predict?features=5.1,3.5,1.4,0.2", ""); w.Code != 200 {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	close(finish)
	wg.Wait()
}

// slowBody says that it is read, and gives nothing before it may finish.
type slowBody struct {
	once            sync.Once
	reading, finish chan struct{}
	text            string
}

func (b *slowBody) Read(p []byte) (int, error) {
	if b.text == "" {
		return 0, io.EOF
	}
	b.once.Do(func() { close(b.reading) })
	<-b.finish
	n := copy(p, b.text)
	b.text = b.text[n:]
	return n, nil
}

func (b *slowBody) Close() error { return nil }

func TestHeadersAndBodiesAreLimitedOnTheWire(t *testing.T) {
	server := httptest.NewUnstartedServer(newAPI(t, &fakeNode{}))
	limits := newAPI(t, &fakeNode{}).Server()
	server.Config.MaxHeaderBytes, server.Config.ReadHeaderTimeout = limits.MaxHeaderBytes, limits.ReadHeaderTimeout
	server.Start()
	defer server.Close()
	client := server.Client()
	res, err := client.Get(server.URL + "/predict?features=" + strings.Repeat("1,", 10_000))
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if res.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
		t.Errorf("20 KB of query: %d", res.StatusCode)
	}
	// Without a length, so that only reading shows how much there is.
	res, err = client.Post(server.URL+"/predict", "application/json", io.MultiReader(strings.NewReader(strings.Repeat(" ", 5<<20))))
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusRequestEntityTooLarge {
		t.Errorf("5 MB of body: %d", res.StatusCode)
	}
}

func TestANodeThatShutsDownSaysSoAndClosesConnections(t *testing.T) {
	a := newAPI(t, &fakeNode{})
	a.Close()
	for _, route := range []string{"/consensus?features=5.1,3.5,1.4,0.2", "/predict?features=5.1,3.5,1.4,0.2", "/readyz"} {
		w := serve(a, "GET", route, "")
		if w.Code != 503 || w.Header().Get("Connection") != "close" || w.Header().Get("Retry-After") == "" || problemIn(t, w).Kind() != ShuttingDown {
			t.Errorf("%s: %d %v %s", route, w.Code, w.Header(), w.Body)
		}
	}
	if w := serve(a, "GET", "/healthz", ""); w.Code != 200 {
		t.Errorf("it is still alive: %d", w.Code)
	}
}

func TestAPanicIsA500AndTheNodeLives(t *testing.T) {
	var log strings.Builder
	a := newAPI(t, &fakeNode{predict: func(context.Context, []float64, []int, []float64) error { panic("boom") }},
		func(cfg *Config) { cfg.Log = slog.New(slog.NewTextHandler(&log, nil)) })
	w := serve(a, "GET", "/predict?features=5.1,3.5,1.4,0.2", "")
	if p := problemIn(t, w); w.Code != 500 || strings.Contains(w.Body.String(), "boom") || !strings.Contains(log.String(), p.RequestID) || !strings.Contains(log.String(), "boom") {
		t.Errorf("%d %s\nlog %s", w.Code, w.Body, log.String())
	}
	if w := serve(a, "GET", "/healthz", ""); w.Code != 200 {
		t.Error(w.Code)
	}
	if a.inFlight.Load() != 0 {
		t.Error("the panicked request is still counted")
	}
}

func TestAnUnknownErrorShowsNothingToStrangers(t *testing.T) {
	a := newAPI(t, &fakeNode{consensus: func(context.Context, *Question) (Round, error) {
		return nil, errors.New("open /home/ana/secret: permission denied")
	}})
	w := serve(a, "GET", "/consensus?features=5.1,3.5,1.4,0.2", "")
	if problemIn(t, w); w.Code != 500 || strings.Contains(w.Body.String(), "ana") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

func TestARequestIDIsTakenIfItIsFitForLogs(t *testing.T) {
	a := newAPI(t, &fakeNode{})
	id := func(given string) string {
		return serve(a, "GET", "/healthz", "", func(r *http.Request) { r.Header.Set("X-Request-Id", given) }).Header().Get("X-Request-Id")
	}
	if got := id("abc-1.2_Z"); got != "abc-1.2_Z" {
		t.Error(got)
	}
	for _, bad := range []string{"", "a b", "a\tb", "<b>", strings.Repeat("x", 65), "ü"} {
		if got := id(bad); got == bad || len(got) != 26 {
			t.Errorf("%q became %q", bad, got)
		}
	}
}

func TestEveryReplyHasItsGuardHeaders(t *testing.T) {
	a := newAPI(t, &fakeNode{})
	for _, route := range []string{"/", "/healthz", "/nowhere", "/predict"} {
		h := serve(a, "GET", route, "").Header()
		if h.Get("X-Content-Type-Options") != "nosniff" || !strings.Contains(h.Get("Content-Security-Policy"), "default-src 'self'") || h.Get("X-Request-Id") == "" {
			t.Errorf("%s: %v", route, h)
		}
	}
	s := a.Server()
	if s.ReadHeaderTimeout != 5*time.Second || s.ReadTimeout == 0 || s.WriteTimeout == 0 || s.IdleTimeout == 0 || s.MaxHeaderBytes+4096 != 16<<10 {
		t.Errorf("%+v", s)
	}
}
