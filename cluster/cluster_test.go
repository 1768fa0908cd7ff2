package cluster

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"caucus/cluster/identity"
	"caucus/cluster/memnet"
	"caucus/internal/testlog"
)

// memberlist's prober waits out its last probe after Shutdown (up to 8 probe intervals when the machine is busy)
// and then ends by itself; it cannot be waited for.
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreTopFunction("github.com/hashicorp/memberlist.(*Memberlist).probeNode"))
}

// patience bounds every wait: far more than any of them takes.
const patience = 60 * time.Second

// network is the wire between the nodes of a test: it knows who dials whom, and can be cut.
type network struct {
	t  testing.TB
	mu sync.Mutex
	// owner tells which node listens at an address; side on which side of a cut it is.
	owner map[string]string
	side  map[string]int
	conns map[*wire]bool
	// memory, if not nil, is used in place of the machine's own network: for bubbles of synctest.
	memory *memnet.Network
}

// wire is a connection that the cut can find, from the dialling end.
type wire struct {
	net.Conn
	n        *network
	from, to string
}

func newNetwork(t testing.TB) *network {
	return &network{t: t, owner: map[string]string{}, side: map[string]int{}, conns: map[*wire]bool{}}
}

// dialer is the DialContext of the node of that name.
func (n *network) dialer(from string) func(context.Context, string, string) (net.Conn, error) {
	return func(ctx context.Context, netw, address string) (net.Conn, error) {
		n.mu.Lock()
		to := n.owner[address]
		cut := n.side[from] != n.side[to]
		n.mu.Unlock()
		if cut {
			return nil, &net.OpError{Op: "dial", Net: netw, Err: syscall.ECONNREFUSED}
		}
		dial := (&net.Dialer{}).DialContext
		if n.memory != nil {
			dial = n.memory.Dialer(from)
		}
		conn, err := dial(ctx, netw, address)
		if err != nil {
			return nil, err
		}
		w := &wire{Conn: conn, n: n, from: from, to: to}
		n.mu.Lock()
		defer n.mu.Unlock()
		if n.side[from] != n.side[to] { // cut meanwhile
			conn.Close()
			return nil, &net.OpError{Op: "dial", Net: netw, Err: syscall.ECONNREFUSED}
		}
		n.conns[w] = true
		return w, nil
	}
}

func (w *wire) Close() error {
	w.n.mu.Lock()
	delete(w.n.conns, w)
	w.n.mu.Unlock()
	return w.Conn.Close()
}

// cut puts nodes on sides and breaks every connection between two sides. A cut without arguments heals all.
func (n *network) cut(sides ...[]*node) {
	n.mu.Lock()
	n.side = map[string]int{}
	for i, side := range sides {
		for _, x := range side {
			n.side[x.name] = i
		}
	}
	var broken []*wire
	for w := range n.conns {
		if n.side[w.from] != n.side[w.to] {
			broken = append(broken, w)
		}
	}
	n.mu.Unlock()
	for _, w := range broken {
		w.Close()
	}
}

// responder answers a question with itself after "echo ".
type responder struct{}

func (responder) Quick([]byte) bool { return true }
func (responder) Answer(_ context.Context, _ identity.ID, ask, dst []byte) []byte {
	return append(append(dst, "echo "...), ask...)
}

// node is one membership behind one HTTP server.
type node struct {
	t       testing.TB
	name    string
	url     string
	address string
	cfg     Config
	m       *Membership
	srv     *http.Server
	stopped bool
	log     *testlog.Buffer

	mu    sync.Mutex
	heard map[string]int // broadcasts
}

// scale makes a second of gossip last a quarter.
const scale = 0.25

// start runs a node on 127.0.0.1; edit may change its configuration. It does not join.
func (n *network) start(name string, edit ...func(*Config)) *node {
	n.t.Helper()
	key, err := identity.Generate()
	if err != nil {
		n.t.Fatal(err)
	}
	x := &node{t: n.t, name: name, heard: map[string]int{}, log: &testlog.Buffer{}}
	x.cfg = Config{
		Key: key, Name: name, Model: "knn", Task: [32]byte{1}, Fingerprint: [32]byte{2},
		Description: []byte(`{"of":"` + name + `"}`),
		Responder:   responder{},
		DialContext: n.dialer(name),
		TimeScale:   scale, RejoinMin: 300 * time.Millisecond, RejoinMax: 600 * time.Millisecond,
		OnBroadcast: func(from identity.ID, msg []byte) {
			x.mu.Lock()
			x.heard[string(from)+" "+string(msg)]++
			x.mu.Unlock()
		},
		Log: slog.New(slog.NewTextHandler(x.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	}
	for _, f := range edit {
		f(&x.cfg)
	}
	x.open(n, "127.0.0.1:0")
	n.t.Cleanup(func() {
		x.stop()
		if n.t.Failed() && os.Getenv("CAUCUS_TEST_LOG") != "" {
			n.t.Logf("log of %s (%s):\n%s", name, x.id(), x.log)
		}
	})
	return x
}

// open binds the address and makes the membership.
func (x *node) open(n *network, address string) {
	x.t.Helper()
	var l net.Listener
	var err error
	for range 100 { // a port just closed may be taken for a moment
		if n.memory != nil {
			l, err = n.memory.Listen(x.name, strings.TrimPrefix(address, "127.0.0.1:0"))
		} else {
			l, err = net.Listen("tcp", address)
		}
		if err == nil {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	if err != nil {
		x.t.Fatal(err)
	}
	x.address = l.Addr().String()
	x.url = "http://" + x.address
	n.mu.Lock()
	n.owner[x.address] = x.name
	n.mu.Unlock()
	if x.cfg.URL == "" && x.cfg.ListenPort == 0 {
		x.cfg.URL = x.url
	}
	if x.m, err = New(x.cfg); err != nil {
		l.Close()
		x.t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.Handle("GET /gossip", x.m.Handler())
	x.srv = &http.Server{Handler: mux}
	go x.srv.Serve(l)
	x.stopped = false
}

func (x *node) id() identity.ID { return x.cfg.Key.ID() }

// join joins the others' addresses.
func (x *node) join(others ...*node) *node {
	x.t.Helper()
	var invites []identity.Invite
	for _, o := range others {
		inv := identity.Invite{Address: o.url}
		if len(o.cfg.Tokens) > 0 {
			inv.Token = &o.cfg.Tokens[0]
		}
		invites = append(invites, inv)
	}
	if err := x.m.Join(context.Background(), invites); err != nil {
		x.t.Fatal(err)
	}
	return x
}

// stop ends a node without a word.
func (x *node) stop() {
	if x.stopped {
		return
	}
	x.stopped = true
	x.srv.Close()
	if err := x.m.Shutdown(); err != nil {
		x.t.Errorf("%s: shutdown: %v", x.name, err)
	}
}

// restart stops a node and starts it again at the same address.
func (x *node) restart(n *network) {
	x.t.Helper()
	x.stop()
	x.open(n, x.address)
}

func (x *node) state(o *node) string {
	m, ok := x.m.View().Find(o.id())
	if !ok {
		return "absent"
	}
	return m.State.String()
}

// counted is the number of members that count.
func (x *node) counted() int {
	n := 0
	for _, m := range x.m.View().Members {
		if m.State <= Failed {
			n++
		}
	}
	return n
}

// eventually waits for a predicate.
func eventually(t testing.TB, what string, ok func() bool) time.Duration {
	t.Helper()
	return within(t, patience, what, ok)
}

func within(t testing.TB, limit time.Duration, what string, ok func() bool) time.Duration {
	t.Helper()
	start := time.Now()
	for !ok() {
		if time.Since(start) > limit {
			t.Fatalf("after %v: not so: %s", limit, what)
		}
		time.Sleep(2 * time.Millisecond)
	}
	return time.Since(start)
}

// whole reports whether everybody sees exactly everybody, with equal digests, and nobody failed. On a busy machine
// somebody is always suspected of being slow, which is no failure.
func whole(nodes []*node) bool {
	for _, x := range nodes {
		v := x.m.View()
		if v.Digest != nodes[0].m.View().Digest || !v.Joined || x.counted() != len(nodes) {
			return false
		}
		for _, o := range nodes {
			if s := x.state(o); s != "alive" && s != "suspect" {
				return false
			}
		}
	}
	return true
}

// tell describes what everybody sees, for a failed test.
func tell(nodes []*node) string {
	var b strings.Builder
	for _, x := range nodes {
		v := x.m.View()
		fmt.Fprintf(&b, "%s (joined %v, digest %x):", x.name, v.Joined, v.Digest[:3])
		for _, m := range v.Members {
			fmt.Fprintf(&b, " %s=%v/%d", m.Name, m.State, m.Sequence%1000)
			if m.Reason != "" {
				fmt.Fprintf(&b, "(%.30s)", m.Reason)
			}
		}
		x.m.mu.Lock()
		for id, tomb := range x.m.roster.tombs {
			fmt.Fprintf(&b, " tomb %s<=%d", id.Short(), tomb.sequence%1000)
		}
		x.m.mu.Unlock()
		b.WriteByte('\n')
	}
	return b.String()
}

// paired reports whether every pair has a session.
func paired(nodes []*node) bool {
	for _, x := range nodes {
		for _, o := range nodes {
			if x != o && !x.m.sessions.Connected(o.id()) {
				return false
			}
		}
	}
	return true
}

// cluster starts n nodes that join the first, and waits until they are whole.
func (n *network) cluster(count int, edit ...func(*Config)) []*node {
	n.t.Helper()
	var nodes []*node
	for i := range count {
		x := n.start(fmt.Sprintf("n%d", i), edit...)
		if i == 0 {
			x.join()
		} else {
			x.join(nodes[0])
		}
		nodes = append(nodes, x)
	}
	eventually(n.t, fmt.Sprintf("%d nodes are whole", count), func() bool { return whole(nodes) && paired(nodes) })
	return nodes
}

// decides asks everybody who counts, as a round does, and reports whether a majority answers.
func (x *node) decides() bool {
	v := x.m.View()
	if !v.Joined {
		return false
	}
	n, answers := 0, 0
	for _, m := range v.Members {
		if m.State > Failed {
			continue
		}
		n++
		if m.Self {
			answers++
			continue
		}
		ctx, cancel := context.WithTimeout(context.Background(), 200*time.Millisecond)
		if b, err := x.m.Ask(ctx, m.ID, []byte("x"), nil); err == nil && string(b) == "echo x" {
			answers++
		}
		cancel()
	}
	return n > 0 && 2*answers > n
}
