package api

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gin-gonic/gin"
)

// eventsRoute carries connections that live as long as somebody looks at a page: no
// duration is kept of it.
const eventsRoute = "/events"

const (
	maxListeners = 32                     // of /events
	queueEvents  = 64                     // that a listener may lag behind before it is let go
	lookEvery    = 250 * time.Millisecond // at most, however much happens
	lookAnyway   = 2 * time.Second        // for what wakes nobody, such as round trip times
	heartbeat    = 15 * time.Second       // below what proxies and tunnels take for idle
	writeWithin  = 10 * time.Second       // for one event
	roundsALook  = 20                     // the newest; who wants all asks /rounds
)

// events tells listeners what happens, as server-sent events:
//
//	event: members   the reply of GET /members, at once and at each change
//	event: weights   the reply of GET /weights, likewise: new labels show in it
//	event: round     one line of GET /rounds, for each new round
//	event: asked, vote, decided
//	                 a round of one row while it is played here; see live.go
//
// One goroutine looks and encodes for all listeners, and another one tells of votes. They
// live while there are listeners.
type events struct {
	node    Node
	looking sync.WaitGroup
	budget  budget
	mine    atomic.Pointer[[]string] // of the listeners; rounds look at it without a lock

	mu        sync.Mutex // guards the rest
	listeners map[*listener]struct{}
	stop      context.CancelFunc // of the goroutines; nil: there are none
	pictures  [2][]byte          // the last events of members and weights
	closed    bool
}

// listener is one who reads /events. Its queue is closed when it is let go.
type listener struct {
	queue chan []byte
	mine  string // with which the request ids begin whose rounds it asks for itself; empty: none
}

func newEvents(node Node) *events {
	e := &events{node: node, listeners: map[*listener]struct{}{}}
	e.mine.Store(new([]string))
	return e
}

// join takes a listener in, and starts the looking with the first one.
func (e *events) join(mine string) (*listener, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	switch {
	case e.closed:
		return nil, NewProblem(ShuttingDown, "this node is shutting down")
	case len(e.listeners) >= maxListeners:
		return nil, Problemf(Overloaded, "%d pages listen to this node already; close one, or ask /members and /rounds now and then", maxListeners)
	}
	l := &listener{queue: make(chan []byte, queueEvents), mine: mine}
	e.listeners[l] = struct{}{}
	e.noteMineLocked()
	if e.stop == nil {
		ctx, cancel := context.WithCancel(context.Background())
		e.stop, e.pictures = cancel, [2][]byte{}
		// Before the listener hears that it is let in: the first round that it asks for is told.
		steps := make(chan LiveEvent, liveQueue)
		unwatch := e.node.WatchRounds(e.wants, func(ev LiveEvent) {
			select {
			case steps <- ev:
			default: // rounds never wait for a page
			}
		})
		e.looking.Go(func() {
			defer unwatch()
			e.tellVotes(ctx, steps)
		})
		e.looking.Go(func() { e.run(ctx) })
		return l, nil
	}
	for _, b := range e.pictures {
		if b != nil {
			l.queue <- b
		}
	}
	return l, nil
}

func (e *events) noteMineLocked() {
	var mine []string
	for l := range e.listeners {
		if l.mine != "" {
			mine = append(mine, l.mine)
		}
	}
	e.mine.Store(&mine)
}

// leave lets a listener go, and ends the looking with the last one.
func (e *events) leave(l *listener) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.dropLocked(l)
}

func (e *events) dropLocked(l *listener) {
	if _, there := e.listeners[l]; !there {
		return
	}
	delete(e.listeners, l)
	close(l.queue)
	e.noteMineLocked()
	if len(e.listeners) == 0 && e.stop != nil {
		e.stop()
		e.stop = nil
	}
}

// close lets all go, for good. After it, the node is not looked at any more.
func (e *events) close() {
	e.mu.Lock()
	e.closed = true
	for l := range e.listeners {
		e.dropLocked(l)
	}
	e.mu.Unlock()
	e.looking.Wait()
}

// run looks at the node when something has happened, but not all the time.
func (e *events) run(ctx context.Context) {
	woken := make(chan struct{}, 1)
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		e.node.Watch(ctx, func() {
			select {
			case woken <- struct{}{}:
			default:
			}
		})
	}()
	defer func() { <-watched }()
	anyway := time.NewTicker(lookAnyway)
	defer anyway.Stop()
	var seen map[string]bool
	for {
		select {
		case <-woken:
		case <-anyway.C:
		case <-ctx.Done():
			return
		}
		seen = e.look(ctx, seen)
		pause := time.NewTimer(lookEvery)
		select {
		case <-pause.C:
		case <-ctx.Done():
			pause.Stop()
			return
		}
	}
}

// look sends what is new since the last look, whose rounds are seen; nil: it is the first.
func (e *events) look(ctx context.Context, seen map[string]bool) map[string]bool {
	rounds := e.node.Rounds(roundsALook)
	now := make(map[string]bool, len(rounds))
	members := e.node.Members()
	for i := range members.Members {
		members.Members[i].Traffic = nil // it changes all the time, and an event is for what is new
	}
	pictures := [2][]byte{event("members", members)}
	if w, err := e.node.Weights(false); err == nil {
		pictures[1] = event("weights", w)
	}
	var news [][]byte
	for i := len(rounds) - 1; i >= 0; i-- { // the oldest first
		now[rounds[i].Round] = true
		if b := event("round", &rounds[i]); b != nil && seen != nil && !seen[rounds[i].Round] {
			news = append(news, b)
		}
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if ctx.Err() != nil {
		return now // the listeners are those of another goroutine by now
	}
	for i, b := range pictures {
		if b != nil && !bytes.Equal(b, e.pictures[i]) {
			e.pictures[i] = b
			e.sendLocked(b)
		}
	}
	for _, b := range news {
		e.sendLocked(b)
	}
	return now
}

func (e *events) sendLocked(b []byte) {
	for l := range e.listeners {
		select {
		case l.queue <- b:
		default:
			e.dropLocked(l) // it comes back and begins with the whole picture
		}
	}
}

// wants reports whether a round that begins is to be told vote by vote. It is on a round's way.
func (e *events) wants(requestID string) bool {
	for _, mine := range *e.mine.Load() {
		if strings.HasPrefix(requestID, mine) {
			return true
		}
	}
	return e.budget.allow(time.Now())
}

// tellVotes passes on what rounds tell while they are played, until ctx ends.
func (e *events) tellVotes(ctx context.Context, steps <-chan LiveEvent) {
	for {
		select {
		case ev := <-steps:
			e.tellVote(ctx, event(ev.Name, ev.Data))
		case <-ctx.Done():
			return
		}
	}
}

// tellVote queues one step of a round, but for listeners that are slow: the half of a queue
// is kept for what they cannot do without.
func (e *events) tellVote(ctx context.Context, b []byte) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if ctx.Err() != nil {
		return
	}
	for l := range e.listeners {
		if len(l.queue) < queueEvents/2 {
			l.queue <- b // only here and in look, both with mu: there is room
		}
	}
}

// event encodes one; JSON has no line breaks of its own.
func event(name string, data any) []byte {
	b, err := json.Marshal(data)
	if err != nil {
		return nil
	}
	return []byte("event: " + name + "\ndata: " + string(b) + "\n\n")
}

// stream answers GET /events until the client goes or the node stops.
func (a *API) stream(c *gin.Context) {
	a.fails(func(c *gin.Context) error {
		q, err := onlyKnown(c.Request.URL.RawQuery, "mine")
		if err != nil {
			return err
		}
		mine := q.Get("mine")
		if mine != "" && !validRequestID(mine) {
			return Problemf(BadInput, "mine is %q; it takes what your request ids begin with: up to 64 letters, digits, '.', '_' and '-'", shown(mine))
		}
		l, err := a.events.join(mine)
		if err != nil {
			return err
		}
		defer a.events.leave(l)
		h := c.Writer.Header()
		h["Content-Type"] = []string{"text/event-stream"}
		// nginx and its like would collect events until a buffer is full.
		h["X-Accel-Buffering"] = []string{"no"}
		c.Writer.WriteHeader(http.StatusOK)
		w := http.NewResponseController(c.Writer)
		// The server's limits are for requests that end.
		_ = w.SetReadDeadline(time.Time{})
		send := func(b []byte) bool {
			_ = w.SetWriteDeadline(time.Now().Add(writeWithin))
			_, err := c.Writer.Write(b)
			return err == nil && w.Flush() == nil
		}
		beat := time.NewTicker(heartbeat)
		defer beat.Stop()
		ok := send([]byte("retry: 2000\n\n"))
		for ok {
			select {
			case b, open := <-l.queue:
				ok = open && send(b)
			case <-beat.C:
				ok = send([]byte(": still here\n\n"))
			case <-c.Request.Context().Done():
				return nil
			}
		}
		return nil
	})(c)
}
