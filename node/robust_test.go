package node_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"caucus/cluster"
	"caucus/cluster/identity"
	"caucus/cluster/memnet"
	"caucus/internal/testlog"
	"caucus/ml"
	"caucus/node"
	"caucus/node/api"
	"caucus/node/nodetest"
)

// world is a cluster in simulated time, with what can happen to it.
type world struct {
	t    *testing.T
	net  *memnet.Network
	dir  string
	rand *rand.Rand
	log  *testlog.Buffer
	n    []*inhabitant
	side map[string]int // as the network is cut
	got  map[string]int // answers, by what they were
}

// inhabitant is one node of a world, in one life after another.
type inhabitant struct {
	w      *world
	i      int
	name   string
	addr   string // host:port
	frozen bool

	node   *node.Node // nil: it is dead
	cancel context.CancelFunc
	ended  chan struct{}
}

const (
	robustDeadline = 3 * time.Second
	// robustHeal is how soon after all faults have ended everybody must see everybody.
	robustHeal = 30 * time.Second
)

func (x *inhabitant) start() {
	w := x.w
	l, err := w.net.Listen(x.name, x.addr)
	if err != nil {
		w.t.Fatal(err)
	}
	x.addr = l.Addr().String()
	cfg := nodetest.Config(x.i)
	cfg.Name, cfg.Listener, cfg.Dial, cfg.PublicURL = x.name, l, w.net.Dialer(x.name), "http://"+x.addr
	cfg.Model = nodetest.Constant(ml.Kind(fmt.Sprintf("m%d", x.i)), x.i%2)
	cfg.Profile, cfg.TimeScale, cfg.Deadline, cfg.ForgetAfter = cluster.LAN, 1, robustDeadline, time.Hour
	cfg.StateDir = filepath.Join(w.dir, x.name)
	cfg.Log = slog.New(slog.NewTextHandler(w.log, nil))
	if x.i > 0 {
		cfg.Join = []identity.Invite{{Address: "http://" + w.n[0].addr}}
	}
	if x.node, err = node.New(w.t.Context(), cfg); err != nil {
		w.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	x.cancel, x.ended = cancel, make(chan struct{})
	go func(n *node.Node, ended chan struct{}) {
		defer close(ended)
		_ = n.Run(ctx)
	}(x.node, x.ended)
}

// kill ends it without a goodbye.
func (x *inhabitant) kill() {
	x.node.Cluster().Shutdown()
	x.cancel()
	<-x.ended
	x.node = nil
}

func (x *inhabitant) leave() {
	x.cancel()
	<-x.ended
	x.node = nil
}

// answer is what became of one question.
type answer struct {
	by    *inhabitant
	reply *api.ConsensusReply // nil: it was refused, or there was no answer
	kind  string              // of the refusal
	took  time.Duration
}

// ask puts one question to a node, from its own machine.
func (x *inhabitant) ask(wait string) answer {
	a := answer{by: x}
	transport := &http.Transport{DialContext: x.w.net.Dialer(x.name), DisableKeepAlives: true}
	defer transport.CloseIdleConnections()
	ctx, cancel := context.WithTimeout(context.Background(), 2*robustDeadline)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+x.addr+"/consensus?features=5.1,3.5,1.4,0.2"+wait, nil)
	if err != nil {
		x.w.t.Fatal(err)
	}
	began := time.Now()
	res, err := (&http.Client{Transport: transport}).Do(req)
	a.took = time.Since(began)
	if err != nil {
		a.kind = "no answer"
		return a
	}
	b, err := io.ReadAll(res.Body)
	res.Body.Close()
	if err == nil && res.StatusCode == http.StatusOK {
		a.reply = new(api.ConsensusReply)
		err = json.Unmarshal(b, a.reply)
	} else if err == nil {
		var p api.Problem
		err = json.Unmarshal(b, &p)
		a.kind = string(p.Kind())
	}
	if err != nil {
		x.w.t.Errorf("%s answers %d %s: %v", x.name, res.StatusCode, b, err)
	}
	return a
}

// askAll asks everybody who is awake at one time and looks at what they say.
func (w *world) askAll() {
	var mu sync.Mutex
	var answers []answer
	var wg sync.WaitGroup
	for _, x := range w.n {
		if x.node == nil || x.frozen {
			continue
		}
		wait := []string{"", "&wait=decided", "&wait=all"}[w.rand.IntN(3)]
		wg.Go(func() {
			a := x.ask(wait)
			mu.Lock()
			answers = append(answers, a)
			mu.Unlock()
		})
	}
	wg.Wait()
	decided := map[int][]string{} // by side
	for _, a := range answers {
		// I1: an answer is in time, whatever others do.
		if limit := robustDeadline + 100*time.Millisecond; a.took > limit && a.kind != "no answer" {
			w.t.Errorf("%s took %v to answer, the limit is %v", a.by.name, a.took, limit)
		}
		r := a.reply
		if r == nil {
			w.got[a.kind]++
			continue
		}
		w.got["decided"]++
		decided[w.side[a.by.name]] = append(decided[w.side[a.by.name]], a.by.name)
		// I2: each id counts once. I3: what is decided has its quorum, and a label of the task.
		seen, ok := map[string]bool{}, 0
		for _, v := range r.Votes {
			if seen[v.Node] {
				w.t.Errorf("%s shows two votes of %s", a.by.name, v.Node)
			}
			seen[v.Node] = true
			if v.Outcome == "ok" {
				ok++
			}
		}
		if r.Counted < r.Quorum || 2*r.Counted <= r.Invited || r.Counted > ok || r.Invited > len(w.n) || !slices.Contains(ml.Iris().Task.Labels, r.Label) {
			w.t.Errorf("%s decided %q with %d of %d votes (%d valid), the quorum being %d", a.by.name, r.Label, r.Counted, r.Invited, ok, r.Quorum)
		}
	}
	// I9: of two parts of the network at most one decides.
	if len(decided) > 1 {
		w.t.Errorf("parts that cannot reach one another both decided: %v", decided)
	}
}

// fault lets something happen.
func (w *world) fault() string {
	x := w.n[w.rand.IntN(len(w.n))]
	switch k := w.rand.IntN(6); {
	case k <= 1: // cut in two, somewhere
		clear(w.side)
		var a, b []string
		for _, y := range w.n {
			if w.rand.IntN(2) == 0 {
				a = append(a, y.name)
			} else {
				b = append(b, y.name)
				w.side[y.name] = 1
			}
		}
		w.net.Cut(a, b)
		return fmt.Sprintf("cut %v from %v", a, b)
	case k == 2:
		clear(w.side)
		w.net.Cut()
		return "healed"
	case k == 3 && x.node != nil && !x.frozen:
		x.frozen = true
		w.net.Freeze(x.name, true)
		return x.name + " is frozen"
	case x.frozen:
		x.frozen = false
		w.net.Freeze(x.name, false)
		return x.name + " goes on"
	case x.node == nil:
		x.start()
		return x.name + " starts again"
	case k == 4:
		x.kill()
		return x.name + " is killed"
	}
	return "nothing"
}

// calm ends all faults.
func (w *world) calm() {
	clear(w.side)
	w.net.Cut()
	for _, x := range w.n {
		if x.frozen {
			x.frozen = false
			w.net.Freeze(x.name, false)
		}
		if x.node == nil {
			x.start()
		}
	}
}

// whole is nil if everybody has all, alive, with one roster.
func (w *world) whole() error {
	digest := w.n[0].node.Cluster().View().Digest
	for _, x := range w.n {
		v := x.node.Cluster().View()
		alive := 0
		for _, m := range v.Members {
			if m.State == cluster.Alive {
				alive++
			}
		}
		if alive != len(w.n) || v.Digest != digest {
			return fmt.Errorf("%s has %d alive, and the roster %x (%s has %x)", x.name, alive, v.Digest[:3], w.n[0].name, digest[:3])
		}
	}
	return nil
}

// live runs one world for a minute of faults.
func live(t *testing.T, seed uint64) {
	w := &world{t: t, net: memnet.New(), dir: t.TempDir(), rand: rand.New(rand.NewPCG(seed, 1)), log: &testlog.Buffer{}, side: map[string]int{}, got: map[string]int{}}
	for i := range 3 + w.rand.IntN(3) {
		x := &inhabitant{w: w, i: i, name: fmt.Sprintf("n%d", i)}
		w.n = append(w.n, x)
		x.start()
	}
	until := func(what string, limit time.Duration, holds func() error) {
		t.Helper()
		for end := time.Now().Add(limit); ; time.Sleep(50 * time.Millisecond) {
			err := holds()
			if err == nil {
				return
			}
			if time.Now().After(end) {
				t.Errorf("not %s within %v: %v", what, limit, err)
				return
			}
		}
	}
	until("whole at the start", robustHeal, w.whole)
	var story []string
	for end := time.Now().Add(time.Minute); time.Now().Before(end); {
		story = append(story, w.fault())
		w.askAll()
		time.Sleep(time.Duration(w.rand.IntN(4000)) * time.Millisecond)
		w.askAll()
	}
	w.calm()
	// I6: when the faults are over, all see the same soon.
	began := time.Now()
	until("whole", robustHeal, w.whole)
	t.Logf("%d nodes, %d faults, answers %v; whole %v after the faults", len(w.n), len(story), w.got, time.Since(began).Round(10*time.Millisecond))
	until("all votes count everywhere", robustHeal, func() error {
		for _, x := range w.n {
			if a := x.ask("&wait=all"); a.reply == nil || a.reply.Counted != len(w.n) {
				return fmt.Errorf("%s: %+v", x.name, a)
			}
		}
		return nil
	})
	for _, x := range w.n {
		x.leave()
	}
	time.Sleep(2 * time.Minute) // memberlist's last probe
	if t.Failed() {
		t.Logf("seed %d: %s", seed, strings.Join(story, "; "))
		if os.Getenv("CAUCUS_TEST_LOG") != "" {
			var b bytes.Buffer
			_, _ = b.WriteString(w.log.String())
			t.Log(b.String())
		}
	}
}

// TestInvariantsHoldUnderFaults lets random faults (cuts, frozen and killed nodes) happen to whole nodes for a minute
// of simulated time, asks everybody all the while, and holds what docs/faults.md says must always be so. I7, that
// nothing is left running, is seen to by the bubble, which fails if a goroutine is. CAUCUS_ROBUST_SEEDS says how many
// worlds there are, and CAUCUS_ROBUST_SEED which is the first.
func TestInvariantsHoldUnderFaults(t *testing.T) {
	if !memnet.Alone(t) {
		return
	}
	number := func(name string, otherwise uint64) uint64 {
		if n, err := strconv.ParseUint(os.Getenv(name), 10, 64); err == nil {
			return n
		}
		return otherwise
	}
	first, count := number("CAUCUS_ROBUST_SEED", 1), number("CAUCUS_ROBUST_SEEDS", 4)
	if os.Getenv("CAUCUS_SOAK") != "" {
		defer func() {
			t.Logf("soak: %d worlds of 3 to 5 nodes, a minute of random faults in each | all invariants held: %v", count, !t.Failed())
		}()
	}
	for seed := first; seed < first+count; seed++ {
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			memnet.Bubble(t, func(t *testing.T) { live(t, seed) })
		})
	}
}
