package node

import (
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"caucus/cluster"
	"caucus/cluster/identity"
	"caucus/cluster/session"
	"caucus/ml"
	"caucus/node/api"
	"caucus/node/consensus"
)

// fakeCluster is a view that tests set, and the broadcasts that it was given.
type fakeCluster struct {
	mu      sync.Mutex
	view    *cluster.View
	sent    [][]byte
	trouble string
}

func (c *fakeCluster) View() *cluster.View {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.view
}

func (c *fakeCluster) Broadcast(b []byte) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.sent = append(c.sent, b)
	return nil
}

func (c *fakeCluster) Trouble() string { return c.trouble }

// change replaces the view by an altered copy.
func (c *fakeCluster) change(f func(*cluster.View)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	v := *c.view
	v.Members = append([]cluster.Member{}, v.Members...)
	f(&v)
	c.view = &v
}

// fakeCourier answers by a function for each peer. It keeps the promises of courier: an
// answer comes at most once, and not after a recall.
type fakeCourier struct {
	mu     sync.Mutex
	peers  map[identity.ID]behaviour
	timers map[*ask]*time.Timer
	asked  map[identity.ID]int
}

// behaviour says how a peer answers: after a while, with an answer or an error; a
// negative while is never. sendErr is what sending fails with.
type behaviour struct {
	after   time.Duration
	answer  session.Answer
	raw     []byte
	err     error
	sendErr error
}

func (c *fakeCourier) Send(id identity.ID, _ []byte, a *ask) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	b := c.peers[id]
	if b.sendErr != nil {
		return b.sendErr
	}
	c.asked[id]++
	if b.after < 0 {
		c.timers[a] = nil
		return nil
	}
	raw := b.raw
	if raw == nil {
		if n := a.r.n; n > 1 && len(b.answer.Labels) == 1 { // the same label for each row
			b.answer.Labels = slices.Repeat(b.answer.Labels, n)
		}
		raw = b.answer.Append(nil)
	}
	c.timers[a] = time.AfterFunc(b.after, func() {
		c.mu.Lock()
		_, there := c.timers[a]
		delete(c.timers, a)
		c.mu.Unlock()
		if there {
			a.Answered(raw, b.err)
		}
	})
	return nil
}

func (c *fakeCourier) Recall(a *ask) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	t, there := c.timers[a]
	delete(c.timers, a)
	if t != nil {
		t.Stop()
	}
	return there
}

func (c *fakeCourier) set(id identity.ID, b behaviour) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.peers[id] = b
}

func (c *fakeCourier) count(id identity.ID) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.asked[id]
}

// votes answers with a label at once, or after a while.
func votesFor(label int, after time.Duration) behaviour {
	return behaviour{after: after, answer: session.Answer{Outcome: byte(consensus.OK), Classes: 3, Labels: []uint16{uint16(label)}}}
}

var never = behaviour{after: -1}

// ids are those of the test's members, this node's first.
func idOf(i int) identity.ID {
	return identity.ID(strings.Repeat(string(rune('a'+i)), 32))
}

type constant struct {
	task  ml.Task
	label int
	quick bool
	sleep time.Duration
	boom  bool
}

func (m *constant) Kind() ml.Kind          { return "own" }
func (m *constant) Task() ml.Task          { return m.task }
func (m *constant) Params() map[string]any { return nil }
func (m *constant) Fingerprint() [32]byte  { return [32]byte{1} }
func (m *constant) Probabilistic() bool    { return false }
func (m *constant) Quick() bool            { return m.quick }
func (m *constant) Predict(_, _ []float64) (int, error) {
	if m.boom {
		panic("boom")
	}
	time.Sleep(m.sleep)
	return m.label, nil
}

type bench struct {
	*engine
	cluster *fakeCluster
	courier *fakeCourier
}

// newBench is an engine whose own model says setosa at once, with n members in all.
func newBench(t testing.TB, n int, model ...*constant) *bench {
	t.Helper()
	task := ml.Iris().Task
	own := &constant{task: task, quick: true}
	if len(model) > 0 {
		own = model[0]
		own.task = task
	}
	log := slog.New(slog.DiscardHandler)
	view := &cluster.View{Joined: true, EverPeer: n > 1}
	c := &fakeCluster{view: view}
	for i := range n {
		view.Members = append(view.Members, cluster.Member{
			Card: identity.Card{ID: idOf(i), Name: fmt.Sprintf("m%d", i), Model: "own", Task: task.Digest(), Sequence: 1},
			Self: i == 0, Since: time.Unix(1_700_000_000, 0),
		})
		if i > 0 {
			view.Members[i].Model = []string{"knn", "svm"}[i%2]
		}
	}
	courier := &fakeCourier{peers: map[identity.ID]behaviour{}, timers: map[*ask]*time.Timer{}, asked: map[identity.ID]int{}}
	for i := 1; i < n; i++ {
		courier.peers[idOf(i)] = votesFor(0, time.Millisecond)
	}
	e := &engine{
		cluster: c, courier: courier, self: idOf(0), local: newLocal(own, false, nil, log),
		times:   times{peer: 1500 * time.Millisecond, deadline: 3 * time.Second, linger: 50 * time.Millisecond},
		metrics: newMetrics("test", c.View), history: newHistory(), recall: newRecall(4), learner: learner{classes: 3}, log: log, now: time.Now, wall: time.Now,
	}
	return &bench{e, c, courier}
}

// ask plays a round and returns a copy of its reply, how long it took, and its problem.
func (b *bench) ask(t testing.TB, change ...func(*api.Question)) (*api.ConsensusReply, time.Duration, *api.Problem) {
	t.Helper()
	q := &api.Question{RequestID: "req", Start: time.Now(), Rows: []float64{5.1, 3.5, 1.4, 0.2}, N: 1, Method: "auto"}
	for _, c := range change {
		c(q)
	}
	r, err := b.Consensus(t.Context(), q)
	took := time.Since(q.Start)
	if err != nil {
		p, ok := err.(*api.Problem)
		if !ok {
			t.Fatalf("not a problem: %v", err)
		}
		return nil, took, p
	}
	defer r.Release()
	return cloneReply(r.Reply()), took, nil
}

// outcomes lists what became of the members, in order.
func outcomes(votes []api.Vote) string {
	out := make([]string, len(votes))
	for i, v := range votes {
		out[i] = v.Outcome
		if v.Label != "" {
			out[i] = v.Label
		}
	}
	return strings.Join(out, " ")
}
