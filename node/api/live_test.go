package api

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// WatchRounds implements Node: no round is ever played.
func (f *fakeNode) WatchRounds(func(string) bool, func(LiveEvent)) func() { return func() {} }

// watchedNode has rounds that tests tell of.
type watchedNode struct {
	*fakeNode
	want chan func(string) bool
	tell chan func(LiveEvent)
	gone chan struct{}
}

func (w *watchedNode) WatchRounds(want func(string) bool, tell func(LiveEvent)) func() {
	w.want <- want
	w.tell <- tell
	return func() { close(w.gone) }
}

func watched(t *testing.T, mine string) (*watchedNode, *events, *listener) {
	node := &watchedNode{&fakeNode{}, make(chan func(string) bool, 1), make(chan func(LiveEvent), 1), make(chan struct{})}
	e := newEvents(node)
	t.Cleanup(e.close)
	l, err := e.join(mine)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 { // members and weights
		<-l.queue
	}
	return node, e, l
}

func TestVotesAreSentAsTheyAreTold(t *testing.T) {
	node, e, l := watched(t, "")
	tell := <-node.tell
	tell(LiveEvent{EventVote, &RoundVote{Round: "r", Vote: Vote{Node: "k3f", Outcome: "ok", Label: "setosa"}, Counted: 1, Out: 2}})
	tell(LiveEvent{EventDecided, &RoundDecided{Round: "r", Label: "setosa"}})
	for _, want := range []string{"event: vote\ndata: {\"round\":\"r\"", "event: decided\ndata: {\"round\":\"r\""} {
		if got := string(<-l.queue); !strings.HasPrefix(got, want) {
			t.Errorf("%q, want %q", got, want)
		}
	}
	e.close()
	<-node.gone
}

func TestOwnRoundsAreAlwaysToldAndOthersWithinABudget(t *testing.T) {
	node, e, l := watched(t, "page-7-")
	want := <-node.want
	var b budget
	granted := 0
	for range 3 * liveEachSecond {
		if b.allow(time.Unix(1_700_000_000, 0)) {
			granted++
		}
	}
	if granted != liveEachSecond {
		t.Errorf("%d rounds a second", granted)
	}
	for i := range 3 * liveEachSecond {
		if !want(fmt.Sprintf("page-7-%d", i)) {
			t.Fatalf("round %d of the page's own is not told", i)
		}
	}
	e.leave(l)
	if mine := *e.mine.Load(); len(mine) != 0 {
		t.Errorf("still announced: %q", mine)
	}
}

func TestWhoIsLetInIsToldOfTheNextRound(t *testing.T) {
	node := &watchedNode{&fakeNode{}, make(chan func(string) bool, 1), make(chan func(LiveEvent), 1), make(chan struct{})}
	e := newEvents(node)
	defer e.close()
	if _, err := e.join("mine-"); err != nil {
		t.Fatal(err)
	}
	select {
	case <-node.tell:
	default:
		t.Error("rounds are not watched yet, so votes of the first one would be missed")
	}
}

func TestASlowPageLosesVotesAndNotItself(t *testing.T) {
	node := newBusyNode()
	e := newEvents(node)
	l := &listener{queue: make(chan []byte, queueEvents)}
	e.listeners[l] = struct{}{}
	for range 10 * queueEvents {
		e.tellVote(t.Context(), []byte("event: vote\ndata: {}\n\n"))
	}
	if len(l.queue) != queueEvents/2 {
		t.Errorf("%d events are queued", len(l.queue))
	}
	e.look(t.Context(), nil)
	if _, there := e.listeners[l]; !there {
		t.Error("it was let go because of votes")
	}
}

func TestMoreVotesThanCanBeEncodedAreLost(t *testing.T) {
	node, e, l := watched(t, "")
	tell := <-node.tell
	e.mu.Lock() // nothing can be sent meanwhile
	for range 4 * liveQueue {
		tell(LiveEvent{EventVote, &RoundVote{}}) // never blocks
	}
	e.mu.Unlock()
	<-l.queue
}

func TestMineMustBeARequestIDsBeginning(t *testing.T) {
	a := newAPI(t, &fakeNode{})
	t.Cleanup(a.Close)
	for _, bad := range []string{"a%20b", strings.Repeat("x", 65), "a/b"} {
		if p := problemIn(t, serve(a, "GET", "/events?mine="+bad, "")); p.Kind() != BadInput {
			t.Errorf("%s: %+v", bad, p)
		}
	}
}
