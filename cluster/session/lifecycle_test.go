package session

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"caucus/cluster/identity"
)

// hanging is a responder that tells of each question and answers none before its context ends.
func hanging() (responder, chan string) {
	asked := make(chan string, 16)
	return responder{answer: func(ctx context.Context, _ identity.ID, ask, dst []byte) []byte {
		asked <- string(ask)
		<-ctx.Done()
		return dst
	}}, asked
}

func TestAQuestionToAPeerThatDiesFailsAtOnce(t *testing.T) {
	r, asked := hanging()
	for name, kill := range map[string]func(*node, *tap){
		"its connections are cut": func(_ *node, p *tap) { p.cut() },
		"it closes":               func(b *node, _ *tap) { _ = b.Close() },
	} {
		t.Run(name, func(t *testing.T) {
			a, b := start(t, nil), start(t, func(c *Config) { c.Responder = r })
			p := newTap(t, b.url())
			if _, err := a.Dial(t.Context(), p.url(), "", nil); err != nil {
				t.Fatal(err)
			}
			failed := make(chan error, 2)
			go func() {
				_, err := a.Ask(context.Background(), b.id, []byte("one"), nil) // no deadline: the end of the session must do
				failed <- err
			}()
			if _, err := a.AskAsync(b.id, []byte("two"), askerFunc(func(_ []byte, err error) { failed <- err })); err != nil {
				t.Fatal(err)
			}
			<-asked
			<-asked
			kill(b, p)
			for range 2 {
				if err := <-failed; !errors.Is(err, ErrNoSession) {
					t.Errorf("got %v", err)
				}
			}
			if id := <-a.down; id != b.id {
				t.Errorf("down: %s", id)
			}
			if a.Connected(b.id) || len(a.Peers()) != 0 {
				t.Error("still connected")
			}
			if _, err := a.Open(t.Context(), b.id, StreamGossip); !errors.Is(err, ErrNoSession) {
				t.Errorf("open: %v", err)
			}
		})
	}
}

// askerFunc is an Asker of a function.
type askerFunc func(answer []byte, err error)

func (f askerFunc) Answered(answer []byte, err error) { f(answer, err) }

func TestDialsFromBothEndsMergeToOneSession(t *testing.T) {
	for range 5 {
		a, b := start(t, nil), start(t, nil)
		var wg sync.WaitGroup
		for range 3 {
			wg.Go(func() {
				if _, err := a.Dial(t.Context(), b.url(), b.id, nil); err != nil {
					t.Error(err)
				}
			})
			wg.Go(func() {
				if _, err := b.Dial(t.Context(), a.url(), a.id, nil); err != nil {
					t.Error(err)
				}
			})
			wg.Wait() // at most two at once, besides those being drained
		}
		eventually(t, "one is left", func() bool { return len(a.all()) == 1 && len(b.all()) == 1 })
		mustAsk(t, a, b.id, "x")
		mustAsk(t, b, a.id, "y")
		if a.Peers()[0].Outbound == b.Peers()[0].Outbound {
			t.Fatal("the two ends kept different sessions")
		}
		if len(a.up) != 1 || len(a.down) != 0 {
			t.Fatalf("%d up, %d down", len(a.up), len(a.down))
		}
	}
}

func TestMergingLosesNoQuestion(t *testing.T) {
	slow := func(c *Config) {
		c.Responder = responder{answer: func(_ context.Context, _ identity.ID, ask, dst []byte) []byte {
			time.Sleep(time.Millisecond) // a slow model
			return append(dst, ask...)
		}}
	}
	a, b := start(t, slow), start(t, slow)
	join(t, a, b)
	var stop atomic.Bool
	var wg sync.WaitGroup
	var answered atomic.Int64
	for _, way := range []struct{ from, to *node }{{a, b}, {b, a}} {
		for range 4 {
			wg.Go(func() {
				for !stop.Load() {
					if out, err := way.from.Ask(t.Context(), way.to.id, []byte("q"), nil); err != nil || string(out) != "q" {
						t.Errorf("%q, %v", out, err)
						return
					}
					answered.Add(1)
				}
			})
		}
	}
	for i := range 6 {
		from, to := a, b
		if i%2 == 1 {
			from, to = b, a
		}
		if _, err := from.Dial(t.Context(), to.url(), to.id, nil); err != nil {
			t.Fatal(err)
		}
		eventually(t, "merged", func() bool { return len(a.all()) == 1 && len(b.all()) == 1 })
	}
	stop.Store(true)
	wg.Wait()
	if answered.Load() == 0 {
		t.Fatal("nothing was asked")
	}
}

func TestAStreamOutlivesMergingForAWhile(t *testing.T) {
	hold := func(c *Config) {
		c.OnStream = func(_ identity.ID, _ StreamKind, conn net.Conn) {
			defer conn.Close()
			_, _ = io.Copy(conn, conn)
		}
	}
	a, b := start(t, hold), start(t, hold)
	join(t, a, b)
	conn, err := a.Open(t.Context(), b.id, StreamGossip)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := a.Dial(t.Context(), b.url(), b.id, nil); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the old session is drained at both ends", func() bool {
		l := oldest(a)
		l.mu.Lock()
		defer l.mu.Unlock()
		return l.drain.sent && l.drain.received
	})
	if _, err := conn.Write([]byte("still")); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, 5)
	if _, err := io.ReadFull(conn, got); err != nil || string(got) != "still" {
		t.Fatalf("%q, %v", got, err)
	}
	_ = conn.Close()
	eventually(t, "merged when the stream has ended", func() bool { return len(a.all()) == 1 && len(b.all()) == 1 })
}

func TestAStreamThatOutlivesMergingTooLongIsCut(t *testing.T) {
	short := func(c *Config) {
		c.HandshakeTimeout = time.Second
		c.OnStream = func(_ identity.ID, _ StreamKind, conn net.Conn) {
			defer conn.Close()
			_, _ = io.Copy(conn, conn)
		}
	}
	a, b := start(t, short), start(t, short)
	join(t, a, b)
	conn, err := a.Open(t.Context(), b.id, StreamPackets)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := a.Dial(t.Context(), b.url(), b.id, nil); err != nil {
		t.Fatal(err)
	}
	eventually(t, "one is left", func() bool { return len(a.all()) == 1 && len(b.all()) == 1 })
	if _, err := conn.Write([]byte("x")); err == nil {
		t.Error("the stream lives on")
	}
	if len(a.down)+len(b.down) != 0 {
		t.Error("it was said to be down")
	}
}

func oldest(n *node) *link {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, links := range n.links {
		return links[0]
	}
	return nil
}

func TestAPeerThatRestartsIsHeardAtOnceThoughItsOldSocketHangs(t *testing.T) {
	for _, itDecides := range []bool{true, false} {
		key := newKey(t)
		a := start(t, func(c *Config) {
			for (key.ID() < c.Key.ID()) != itDecides {
				c.Key = newKey(t)
			}
		})
		p := newTap(t, a.url())
		before := start(t, func(c *Config) { c.Key = key })
		if _, err := before.Dial(t.Context(), p.url(), "", nil); err != nil {
			t.Fatal(err)
		}
		eventually(t, "up", func() bool { return a.Connected(key.ID()) })
		p.freeze()
		after := start(t, func(c *Config) { c.Key = key })
		join(t, after, a)
		eventually(t, "questions go to the new one", func() bool {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			_, err := a.Ask(ctx, key.ID(), []byte("x"), nil)
			return err == nil
		})
		if len(a.down) != 0 {
			t.Error("it was said to be down")
		}
	}
}

func TestCloseInboundLeavesOutboundSessions(t *testing.T) {
	a, b, c := start(t, nil), start(t, nil), start(t, nil)
	join(t, b, a)
	join(t, a, c)
	a.CloseInbound("its URL has changed")
	if a.Connected(b.id) {
		t.Error("an inbound session is still in use")
	}
	if id := <-b.down; id != a.id {
		t.Errorf("down: %s", id)
	}
	if !strings.Contains(b.log.String(), "its URL has changed") {
		t.Error("the peer was not told why")
	}
	mustAsk(t, a, c.id, "still")
}

func TestDropTellsThePeerWhy(t *testing.T) {
	a, b := start(t, nil), start(t, nil)
	join(t, a, b)
	a.Drop(b.id, "it was removed\x1b")
	if _, err := a.Ask(t.Context(), b.id, nil, nil); !errors.Is(err, ErrNoSession) {
		t.Errorf("asked after the drop: %v", err)
	}
	<-b.down
	if !strings.Contains(b.log.String(), "the peer ended it: it was removed?") {
		t.Errorf("the peer's log:\n%s", b.log.String())
	}
}

func TestAfterCloseEverythingIsErrClosed(t *testing.T) {
	a, b := start(t, nil), start(t, nil)
	join(t, a, b)
	r, asked := hanging()
	c := start(t, func(cfg *Config) { cfg.Responder = r })
	join(t, a, c)
	failed := make(chan error, 1)
	go func() {
		_, err := a.Ask(context.Background(), c.id, []byte("x"), nil)
		failed <- err
	}()
	<-asked
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-failed; !errors.Is(err, ErrClosed) {
		t.Errorf("the question under way: %v", err)
	}
	if _, err := a.Ask(t.Context(), b.id, nil, nil); !errors.Is(err, ErrClosed) {
		t.Errorf("ask: %v", err)
	}
	if _, err := a.AskAsync(b.id, nil, nil); !errors.Is(err, ErrClosed) {
		t.Errorf("ask: %v", err)
	}
	if _, err := a.Open(t.Context(), b.id, StreamGossip); !errors.Is(err, ErrClosed) {
		t.Errorf("open: %v", err)
	}
	if _, err := a.Dial(t.Context(), b.url(), "", nil); !errors.Is(err, ErrClosed) {
		t.Errorf("dial: %v", err)
	}
	if _, err := b.Dial(t.Context(), a.url(), "", nil); err == nil || !strings.Contains(err.Error(), "shutting down") {
		t.Errorf("dialled a closed one: %v", err)
	}
	if len(a.down) != 2 || len(a.Peers()) != 0 {
		t.Errorf("%d down, peers %v", len(a.down), a.Peers())
	}
	if err := a.Close(); err != nil {
		t.Error(err)
	}
}

func TestCloseIsNotHeldUpByAPeerThatIsFrozenOrAHandshakeThatHangs(t *testing.T) {
	a, b := start(t, nil), start(t, nil)
	p := newTap(t, b.url())
	if _, err := a.Dial(t.Context(), p.url(), "", nil); err != nil {
		t.Fatal(err)
	}
	p.freeze()
	silent, server := pipe(t)
	_ = silent
	accepted := make(chan error, 1)
	go func() { accepted <- a.Accept(context.Background(), server) }()
	eventually(t, "the handshake hangs", func() bool { return a.unproven.Load() == 1 })
	if err := a.Close(); err != nil {
		t.Error(err)
	}
	if err := <-accepted; err == nil {
		t.Error("accepted")
	}
}

func TestCallbacksAreNotUnderALock(t *testing.T) {
	var n *node
	ready := make(chan struct{})
	got := make(chan string, 2)
	n = start(t, func(c *Config) {
		c.OnUp = func(id identity.ID) {
			<-ready
			out, err := n.Ask(context.Background(), id, []byte("from the callback"), nil)
			if err != nil {
				t.Error(err)
			}
			n.Peers()
			got <- string(out)
			n.Drop(id, "seen enough")
		}
		c.OnDown = func(identity.ID) { got <- "down" }
	})
	b := start(t, nil)
	if _, err := n.Dial(t.Context(), b.url(), "", nil); err != nil {
		t.Fatal(err)
	}
	close(ready)
	if s := <-got; s != "re: from the callback" {
		t.Errorf("got %q", s)
	}
	if s := <-got; s != "down" {
		t.Errorf("got %q", s)
	}
}

func TestAPeerCannotHoardSessions(t *testing.T) {
	a, b := start(t, nil), start(t, nil)
	for range 3 * maxLinks {
		if _, err := a.Dial(t.Context(), b.url(), "", nil); err != nil {
			t.Fatal(err)
		}
		if n := len(b.all()); n > maxLinks+1 {
			t.Fatalf("%d sessions", n)
		}
	}
	eventually(t, "one is left", func() bool { return len(a.all()) == 1 && len(b.all()) == 1 })
	mustAsk(t, a, b.id, "x")
}
