package api

import (
	"bufio"
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// Watch implements Node: nothing ever happens.
func (f *fakeNode) Watch(ctx context.Context, look func()) {
	look()
	<-ctx.Done()
}

// busyNode has rounds that tests add.
type busyNode struct {
	*fakeNode
	mu     sync.Mutex // guards rounds
	rounds []RoundSummary
	happen chan struct{}
	ended  chan struct{} // a token for each Watch that has returned
}

func newBusyNode() *busyNode {
	return &busyNode{fakeNode: &fakeNode{}, happen: make(chan struct{}, 8), ended: make(chan struct{}, 8)}
}

func (b *busyNode) Watch(ctx context.Context, look func()) {
	defer func() { b.ended <- struct{}{} }()
	for {
		look()
		select {
		case <-b.happen:
		case <-ctx.Done():
			return
		}
	}
}

func (b *busyNode) Rounds(limit int) []RoundSummary {
	b.mu.Lock()
	defer b.mu.Unlock()
	return append([]RoundSummary(nil), b.rounds[:min(limit, len(b.rounds))]...)
}

func (b *busyNode) play(id string) {
	b.mu.Lock()
	b.rounds = append([]RoundSummary{{Round: id, Label: "setosa", Status: "ok"}}, b.rounds...)
	b.mu.Unlock()
	b.happen <- struct{}{}
}

// reading is a client of /events.
type reading struct {
	t    *testing.T
	res  *http.Response
	scan *bufio.Scanner
}

func listen(t *testing.T, url string) *reading {
	t.Helper()
	res, err := http.Get(url + "/events")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { res.Body.Close() })
	r := &reading{t: t, res: res, scan: bufio.NewScanner(res.Body)}
	r.scan.Buffer(nil, 1<<20)
	return r
}

// next returns the next event's name and data, or false at the end of the stream.
func (r *reading) next() (name, data string, ok bool) {
	for r.scan.Scan() {
		line := r.scan.Text()
		switch {
		case strings.HasPrefix(line, "event: "):
			name = line[7:]
		case strings.HasPrefix(line, "data: "):
			data = line[6:]
		case line == "" && name != "":
			return name, data, true
		}
	}
	return "", "", false
}

func (r *reading) want(name, part string) {
	r.t.Helper()
	got, data, ok := r.next()
	if !ok || got != name || !strings.Contains(data, part) || !json.Valid([]byte(data)) {
		r.t.Fatalf("event %q with %s (open: %v); want %q with %s", got, data, ok, name, part)
	}
}

func serveBusy(t *testing.T) (*busyNode, *API, string) {
	t.Helper()
	node := newBusyNode()
	a := newAPI(t, node.fakeNode, func(c *Config) { c.Node = node })
	server := httptest.NewUnstartedServer(a)
	server.Config = a.Server()
	server.Start()
	t.Cleanup(server.Close)
	t.Cleanup(a.Close)
	t.Cleanup(http.DefaultClient.CloseIdleConnections)
	return node, a, server.URL
}

func TestEventsTellOfMembersAtOnceAndOfRoundsAsTheyCome(t *testing.T) {
	node, _, url := serveBusy(t)
	node.play("before")
	r := listen(t, url)
	if ct := r.res.Header.Get("Content-Type"); ct != "text/event-stream" {
		t.Fatalf("content type %q", ct)
	}
	r.want("members", `"self":"k3f"`)
	r.want("weights", "{")
	node.play("first")
	node.play("second")
	r.want("round", `"round":"first"`)
	r.want("round", `"round":"second"`)
	late := listen(t, url)
	late.want("members", `"self":"k3f"`)
	late.want("weights", "{")
	node.play("third")
	r.want("round", `"round":"third"`)
	late.want("round", `"round":"third"`)
}

func TestClosingEndsTheStreamsAndRefusesNewOnes(t *testing.T) {
	node, a, url := serveBusy(t)
	r := listen(t, url)
	r.want("members", "")
	r.want("weights", "")
	a.Close()
	if name, _, ok := r.next(); ok {
		t.Errorf("event %q after the end", name)
	}
	<-node.ended
	if p := problemIn(t, serve(a, "GET", "/events", "")); p.Kind() != ShuttingDown || p.Status != 503 {
		t.Errorf("%+v", p)
	}
}

func TestTheNodeIsNotWatchedWhileNobodyListens(t *testing.T) {
	node, _, url := serveBusy(t)
	for range 2 {
		r := listen(t, url)
		r.want("members", "")
		r.res.Body.Close()
		<-node.ended
	}
}

func TestMoreListenersThanThereIsRoomForAreRefused(t *testing.T) {
	a := newAPI(t, &fakeNode{})
	t.Cleanup(a.Close)
	var first *listener
	for range maxListeners {
		l, err := a.events.join("")
		if err != nil {
			t.Fatal(err)
		}
		first = l
	}
	if p := problemIn(t, serve(a, "GET", "/events", "")); p.Kind() != Overloaded || p.Status != 503 {
		t.Errorf("%+v", p)
	}
	a.events.leave(first)
	l, err := a.events.join("")
	if err != nil {
		t.Fatal(err)
	}
	a.events.leave(l)
	a.events.leave(l) // twice does no harm
}

func TestAListenerThatDoesNotReadIsLetGo(t *testing.T) {
	node := newBusyNode()
	e := newEvents(node)
	l := &listener{queue: make(chan []byte, queueEvents)}
	e.listeners[l] = struct{}{}
	seen := e.look(t.Context(), nil)
	for i := range queueEvents - 1 { // besides members and weights, which are there already
		node.mu.Lock()
		node.rounds = []RoundSummary{{Round: strconv.Itoa(i)}}
		node.mu.Unlock()
		seen = e.look(t.Context(), seen)
	}
	if len(e.listeners) != 0 {
		t.Fatalf("it is still there, with %d events queued", len(l.queue))
	}
	n := 0
	for range l.queue { // ends, since it was closed
		n++
	}
	if n != queueEvents {
		t.Errorf("%d events were kept for it", n)
	}
}

func TestEventsAreForThisMachineOrABearer(t *testing.T) {
	a := newAPI(t, &fakeNode{}, func(c *Config) { c.Bearer = "key" })
	t.Cleanup(a.Close)
	for _, route := range []string{"/events"} {
		w := serve(a, "GET", route, "", func(r *http.Request) { r.RemoteAddr = "203.0.113.9:1000" })
		if p := problemIn(t, w); p.Kind() != Unauthorized {
			t.Errorf("%s: %+v", route, p)
		}
	}
	if p := problemIn(t, serve(a, "GET", "/events?x=1", "")); p.Kind() != BadInput {
		t.Errorf("%+v", p)
	}
}
