package session

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"caucus/cluster/identity"
)

func TestALargeBatchDoesNotHoldUpSmallQuestions(t *testing.T) {
	a, b := start(t, nil), start(t, nil)
	join(t, a, b)
	large := make([]byte, 5<<20)
	if _, err := rand.Read(large); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	var finished atomic.Int32
	for range 2 { // two at once, to see them kept apart
		wg.Add(1)
		_, err := a.AskAsync(b.id, large, askerFunc(func(answer []byte, err error) {
			defer wg.Done()
			finished.Add(1)
			if err != nil || !bytes.Equal(answer, append([]byte("re: "), large...)) {
				t.Errorf("the batch came back as %d bytes, %v", len(answer), err)
			}
		}))
		if err != nil {
			t.Fatal(err)
		}
	}
	// Were the batches sent in one piece, each, these would come after them.
	for _, way := range []struct{ from, to *node }{{a, b}, {b, a}} {
		if got := mustAsk(t, way.from, way.to.id, "small"); got != "re: small" {
			t.Errorf("got %q", got)
		}
	}
	if n := finished.Load(); n != 0 {
		t.Errorf("%d batches were answered before a small question", n)
	}
	wg.Wait()
}

func TestMessagesOfEverySizeArriveWhole(t *testing.T) {
	a, b := start(t, nil), start(t, nil)
	join(t, a, b)
	for _, n := range []int{0, 1, 1023, 1024, maxChunk - 4, maxChunk - 3, maxChunk - 1, maxChunk, maxChunk + 1, 2 * maxChunk, 2*maxChunk + 1, 1 << 20} {
		ask := bytes.Repeat([]byte{byte(n)}, n)
		out, err := a.Ask(t.Context(), b.id, ask, nil)
		if err != nil || !bytes.Equal(out, append([]byte("re: "), ask...)) {
			t.Errorf("%d bytes came back as %d, %v", n, len(out), err)
		}
		got := make(chan error, 1)
		_, err = a.AskAsync(b.id, ask, askerFunc(func(answer []byte, err error) {
			if want := bytes.Repeat([]byte{byte(n)}, n); err == nil && !bytes.Equal(answer, append([]byte("re: "), want...)) {
				err = fmt.Errorf("came back as %d bytes, or others", len(answer))
			}
			got <- err
		}))
		if n > 0 {
			ask[n-1]++ // AskAsync has its own copy of what it still needs
		}
		if err == nil {
			err = <-got
		}
		if err != nil {
			t.Errorf("%d bytes, asynchronously: %v", n, err)
		}
	}
}

func TestTooLargeMessagesAreRefused(t *testing.T) {
	b := start(t, func(c *Config) {
		c.Responder = responder{answer: func(_ context.Context, _ identity.ID, _, dst []byte) []byte {
			return append(dst, make([]byte, MaxMessage+1)...)
		}}
	})
	a := start(t, nil)
	join(t, a, b)
	if _, err := a.Ask(t.Context(), b.id, make([]byte, MaxMessage+1), nil); !errors.Is(err, ErrTooLarge) {
		t.Errorf("question: %v", err)
	}
	if _, err := a.AskAsync(b.id, make([]byte, MaxMessage+1), nil); !errors.Is(err, ErrTooLarge) {
		t.Errorf("question: %v", err)
	}
	var remote *RemoteError
	if _, err := a.Ask(t.Context(), b.id, []byte("x"), nil); !errors.As(err, &remote) || !strings.Contains(remote.Reason, fmt.Sprint(MaxMessage)) {
		t.Errorf("answer: %v", err)
	}
	if !a.Connected(b.id) {
		t.Error("the session is gone")
	}
}

func TestAPanicInTheResponderIsAFailureAndNoMore(t *testing.T) {
	for name, r := range map[string]responder{
		"on the reader": {func([]byte) bool { return true }, func(context.Context, identity.ID, []byte, []byte) []byte { panic("model") }},
		"on a worker":   {nil, func(context.Context, identity.ID, []byte, []byte) []byte { panic("model") }},
		"when asked whether it is quick": {
			func([]byte) bool { panic("quick") },
			func(context.Context, identity.ID, []byte, []byte) []byte { panic("model") },
		},
		"a result that is too short, on the reader": {
			func([]byte) bool { return true },
			func(context.Context, identity.ID, []byte, []byte) []byte { return nil },
		},
	} {
		t.Run(name, func(t *testing.T) {
			a, b := start(t, nil), start(t, func(c *Config) { c.Responder = r })
			join(t, a, b)
			for range 3 {
				var remote *RemoteError
				_, err := a.Ask(t.Context(), b.id, []byte("x"), []byte("dst"))
				if !errors.As(err, &remote) || remote.Busy || strings.Contains(remote.Reason, "panic") {
					t.Fatalf("got %v", err)
				}
			}
			mustAsk(t, b, a.id, "the session lives")
		})
	}
}

func TestANodeWithoutAResponderSaysSo(t *testing.T) {
	a, b := start(t, nil), start(t, func(c *Config) { c.Responder = nil })
	join(t, a, b)
	for _, n := range []int{1, 100 << 10, MaxMessage} {
		var remote *RemoteError
		ask := make([]byte, n)
		if _, err := a.Ask(t.Context(), b.id, ask, nil); !errors.As(err, &remote) {
			t.Errorf("got %v", err)
		}
		ask[n-1]++ // it is the caller's again, though not all of it was sent; the race detector watches
	}
	eventually(t, "nothing is left at either end", func() bool { return oldest(a).unoccupied() && oldest(b).unoccupied() })
}

// gated is a responder whose slow questions wait for the gate.
func gated() (r responder, asked chan string, gate chan struct{}) {
	asked, gate = make(chan string, 1024), make(chan struct{})
	return responder{
		quick: func(ask []byte) bool { return bytes.HasPrefix(ask, []byte("quick")) },
		answer: func(ctx context.Context, _ identity.ID, ask, dst []byte) []byte {
			if bytes.HasPrefix(ask, []byte("slow")) {
				asked <- string(ask)
				select {
				case <-gate:
				case <-ctx.Done():
					asked <- "cancelled"
				}
			}
			return append(dst, ask...)
		},
	}, asked, gate
}

func TestASlowQuestionDoesNotHoldUpQuickOnes(t *testing.T) {
	r, asked, gate := gated()
	a, b := start(t, nil), start(t, func(c *Config) { c.Responder = r })
	join(t, a, b)
	slow := make(chan string, 1)
	go func() { slow <- mustAskQuietly(a, b.id, "slow") }()
	<-asked
	for range 100 {
		if got := mustAsk(t, a, b.id, "quick"); got != "quick" {
			t.Fatalf("got %q", got)
		}
	}
	close(gate)
	if got := <-slow; got != "slow" {
		t.Errorf("got %q", got)
	}
}

func mustAskQuietly(from *node, to identity.ID, ask string) string {
	out, err := from.Ask(context.Background(), to, []byte(ask), nil)
	if err != nil {
		return err.Error()
	}
	return string(out)
}

func TestTooManySlowQuestionsAreShed(t *testing.T) {
	r, _, gate := gated()
	a, b := start(t, nil), start(t, func(c *Config) { c.Responder = r })
	join(t, a, b)
	const extra = 10
	results := make(chan error, maxJobs+extra)
	for range maxJobs + extra {
		if _, err := a.AskAsync(b.id, []byte("slow"), askerFunc(func(_ []byte, err error) { results <- err })); err != nil {
			t.Fatal(err)
		}
	}
	for range extra { // while all others wait at the gate
		var remote *RemoteError
		if err := <-results; !errors.As(err, &remote) || !remote.Busy {
			t.Fatalf("got %v, want a busy peer", err)
		}
	}
	close(gate)
	for range maxJobs {
		if err := <-results; err != nil {
			t.Fatalf("one that was taken: %v", err)
		}
	}
}

func TestACancelledQuestionIsForgottenAtBothEnds(t *testing.T) {
	r, asked, gate := gated()
	defer close(gate)
	a, b := start(t, nil), start(t, func(c *Config) { c.Responder = r })
	join(t, a, b)
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-asked; cancel() }()
	dst := []byte("dst")
	out, err := a.Ask(ctx, b.id, []byte("slow"), dst)
	if !errors.Is(err, context.Canceled) || string(out) != "dst" {
		t.Fatalf("%q, %v", out, err)
	}
	if s := <-asked; s != "cancelled" {
		t.Fatalf("the responder heard %q", s)
	}
	if got := mustAsk(t, a, b.id, "quick"); got != "quick" {
		t.Fatalf("got %q", got)
	}
	if _, err := a.Ask(ctx, b.id, []byte("quick"), nil); !errors.Is(err, context.Canceled) {
		t.Errorf("with a context that has ended: %v", err)
	}
	l := oldest(a)
	eventually(t, "nothing is pending", func() bool { return l.unoccupied() && oldest(b).unoccupied() })
}

func TestTicketsCancelOnceAndOnlyBeforeTheAnswer(t *testing.T) {
	r, asked, gate := gated()
	defer close(gate)
	a, b := start(t, nil), start(t, func(c *Config) { c.Responder = r })
	join(t, a, b)
	ticket, err := a.AskAsync(b.id, []byte("slow"), askerFunc(func([]byte, error) { t.Error("answered after Cancel") }))
	if err != nil {
		t.Fatal(err)
	}
	<-asked
	if !ticket.Cancel() || ticket.Cancel() {
		t.Error("Cancel before the answer must say true, once")
	}
	done := make(chan struct{})
	ticket, err = a.AskAsync(b.id, []byte("quick"), askerFunc(func([]byte, error) { close(done) }))
	if err != nil {
		t.Fatal(err)
	}
	<-done
	if ticket.Cancel() || (Ticket{}).Cancel() {
		t.Error("Cancel after the answer must say false")
	}
}

func TestALongQuestionCanBeCancelledInItsMiddle(t *testing.T) {
	a, b := start(t, nil), start(t, nil)
	p := newTap(t, b.url())
	if _, err := a.Dial(t.Context(), p.url(), "", nil); err != nil {
		t.Fatal(err)
	}
	large := make([]byte, MaxMessage)
	for i := range 5 {
		ctx, cancel := context.WithCancel(t.Context())
		sent := oldest(a).base.out.Load()
		result := make(chan error, 1)
		go func() {
			_, err := a.Ask(ctx, b.id, large, nil)
			result <- err
		}()
		eventually(t, "some of it is sent", func() bool { return oldest(a).base.out.Load() > sent+uint64(i*maxChunk) })
		cancel()
		if err := <-result; err != nil && !errors.Is(err, context.Canceled) {
			t.Fatalf("got %v", err)
		}
		for i := 0; i < MaxMessage; i += maxChunk { // the buffer is the caller's again; the race detector watches
			large[i]++
			runtime.Gosched()
		}
	}
	if got := mustAsk(t, a, b.id, "still fine"); got != "re: still fine" {
		t.Fatalf("got %q", got)
	}
	l := oldest(b)
	eventually(t, "the peer has let go of the halves", func() bool {
		l.mu.Lock()
		defer l.mu.Unlock()
		return l.claimed == 0 && len(l.jobs) == 0
	})
}

func TestAskingAPeerThatDoesNotReadIsBusyAndDoesNotBlock(t *testing.T) {
	a, b := start(t, nil), start(t, nil)
	p := newTap(t, b.url())
	if _, err := a.Dial(t.Context(), p.url(), "", nil); err != nil {
		t.Fatal(err)
	}
	p.freeze() // swallows what it gets; no answer comes
	var err error
	asks := 0
	for ; err == nil && asks < 2*maxPending; asks++ {
		_, err = a.AskAsync(b.id, make([]byte, 1000), askerFunc(func([]byte, error) {}))
	}
	if !errors.Is(err, ErrBusy) {
		t.Fatalf("after %d questions: %v", asks, err)
	}
}

// TestAskingOneByOneAPeerThatDoesNotReadDoesNotBlock is of the questions that the asker writes
// itself: each is given up before the next one, so that it is the only one every time.
func TestAskingOneByOneAPeerThatDoesNotReadDoesNotBlock(t *testing.T) {
	b := start(t, nil)
	evil(t, b) // its end is never read again
	peer := <-b.up
	ask := make([]byte, 8<<10)
	var err error
	for range 4096 { // 32 MiB, more than sockets hold
		var ticket Ticket
		if ticket, err = b.AskAsync(peer, ask, askerFunc(func([]byte, error) {})); err != nil {
			break
		}
		ticket.Cancel()
	}
	if !errors.Is(err, ErrBusy) {
		t.Errorf("asked on and on: %v", err)
	}
}

func TestFloodsFromBothEndsDoNotDeadlock(t *testing.T) {
	// Answers are computed and written by the readers, in both directions at once,
	// and those under way are more than the sockets hold. Without the guard
	// (mayInline) both readers end up in a write that only the other could take.
	grow := func(c *Config) {
		c.Responder = responder{
			quick: func([]byte) bool { return true },
			answer: func(_ context.Context, _ identity.ID, _, dst []byte) []byte {
				return append(dst, make([]byte, maxChunk)...)
			},
		}
	}
	a, b := start(t, grow), start(t, grow)
	client, server := pipe(t)
	for _, c := range []net.Conn{client, server} {
		c := c.(*net.TCPConn)
		if err := errors.Join(c.SetReadBuffer(64<<10), c.SetWriteBuffer(64<<10)); err != nil {
			t.Fatal(err)
		}
	}
	accepted := make(chan error, 1)
	go func() { accepted <- b.Accept(t.Context(), server) }()
	if _, err := a.DialOver(t.Context(), client, "", nil); err != nil {
		t.Fatal(err)
	}
	if err := <-accepted; err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for _, way := range []struct{ from, to *node }{{a, b}, {b, a}} {
		for range 100 { // 1.6 MB of answers under way each way
			wg.Go(func() {
				ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
				defer cancel()
				for range 10 {
					if out, err := way.from.Ask(ctx, way.to.id, make([]byte, 100), nil); err != nil || len(out) != maxChunk {
						t.Errorf("%d bytes, %v", len(out), err)
						return
					}
				}
			})
		}
	}
	wg.Wait()
}

// evil is the dialling end of a real handshake, to misbehave afterwards.
func evil(t testing.TB, b *node) (conn io.ReadWriteCloser, id identity.ID) {
	t.Helper()
	m, err := New(Config{Key: newKey(t)})
	if err != nil {
		t.Fatal(err)
	}
	client, server := pipe(t)
	accepted := make(chan error, 1)
	go func() { accepted <- b.Accept(t.Context(), server) }()
	g, err := m.handshake(t.Context(), client, dialer, "", nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := <-accepted; err != nil {
		t.Fatal(err)
	}
	return g.conn, m.id
}

// askUntilCutOff has b asked without end by a peer that reads no answer, until b ends the link.
func askUntilCutOff(t *testing.T, b *node) {
	t.Helper()
	conn, id := evil(t, b)
	var err error
	for n := uint64(1); err == nil; n++ {
		ask := binary.BigEndian.AppendUint64(beginFrame(nil, frameAsk), n)
		ask = append(ask, 0, 0, 0, 0)
		endFrame(ask, 0)
		_, err = conn.Write(ask)
	}
	if got := <-b.down; got != id {
		t.Errorf("down: %s", got)
	}
}

func TestAPeerThatAsksAndDoesNotReadIsCutOff(t *testing.T) {
	b := start(t, func(c *Config) {
		c.Responder = responder{
			quick: func([]byte) bool { return true },
			answer: func(_ context.Context, _ identity.ID, _, dst []byte) []byte {
				return append(dst, make([]byte, maxChunk)...)
			},
		}
	})
	askUntilCutOff(t, b)
	if !strings.Contains(b.log.String(), "asks and does not read") {
		t.Errorf("log:\n%s", b.log.String())
	}
}

// What workers answer waits in memory as well, and is bounded as well.
func TestAPeerThatAsksSlowlyAndDoesNotReadIsCutOff(t *testing.T) {
	var answered atomic.Int64
	b := start(t, func(c *Config) {
		c.Responder = responder{answer: func(_ context.Context, _ identity.ID, _, dst []byte) []byte {
			answered.Add(1)
			return append(dst, make([]byte, maxChunk)...)
		}}
	})
	askUntilCutOff(t, b)
	const sockets = 16 << 20 // more than they hold
	if got := answered.Load() * maxChunk; got > maxStuck+maxJobs*maxChunk+sockets {
		t.Errorf("%d bytes were computed for a peer that does not read", got)
	}
}

func TestMalformedFramesEndTheSession(t *testing.T) {
	id := func(n uint64) []byte { return binary.BigEndian.AppendUint64(nil, n) }
	frame := func(t frameType, parts ...[]byte) []byte {
		b := beginFrame(nil, t)
		for _, p := range parts {
			b = append(b, p...)
		}
		endFrame(b, 0)
		return b
	}
	for name, bad := range map[string][]byte{
		"a frame over the limit":            {0, 1, 0, 0, byte(frameAsk)},
		"an unknown type":                   frame(99),
		"type zero":                         frame(0),
		"a question without an id":          frame(frameAsk, []byte{1, 2, 3}),
		"an answer without an id":           frame(frameAnswer, []byte{1}),
		"a long question over the limit":    frame(frameAskStart, id(1), []byte{0xff, 0xff, 0xff, 0xff}),
		"a long question longer than told":  append(frame(frameAskStart, id(1), []byte{0, 0, 0, 9}, []byte("1234")), frame(frameAskMore, id(1), []byte("567890"))...),
		"a long question begun twice":       append(frame(frameAskStart, id(1), []byte{0, 0, 0, 9}), frame(frameAskStart, id(1), []byte{0, 0, 0, 9})...),
		"a long question that is too short": frame(frameAskStart, id(1), []byte{0, 0, 0, 1}, []byte("1234")),
		"a cancellation without an id":      frame(frameCancel),
		"a ping of nine bytes":              frame(framePing, make([]byte, 9)),
		"a pong of no bytes":                frame(framePong),
		"garbage for yamux":                 frame(frameMux, []byte("this is no yamux at all.....")),
	} {
		t.Run(name, func(t *testing.T) {
			b := start(t, nil)
			conn, peer := evil(t, b)
			if _, err := conn.Write(bad); err != nil {
				t.Fatal(err)
			}
			if got := <-b.down; got != peer {
				t.Errorf("down: %s", got)
			}
		})
	}
}

func TestFramesThatMeanNothingAreIgnored(t *testing.T) {
	b := start(t, nil)
	conn, _ := evil(t, b)
	var send []byte
	for _, t := range []frameType{frameAnswer, frameAnswerStart, frameAnswerMore, frameFailure, frameAskMore, frameCancel} {
		send = appendFrame(send, t, 12345, nil) // of no question that is known
	}
	send = append(send, 0, 0, 0, 8, byte(framePing), 1, 2, 3, 4, 5, 6, 7, 8)
	if _, err := conn.Write(send); err != nil {
		t.Fatal(err)
	}
	pong := make([]byte, frameHeader+8)
	if _, err := io.ReadFull(conn, pong); err != nil || !bytes.Equal(pong, []byte{0, 0, 0, 8, byte(framePong), 1, 2, 3, 4, 5, 6, 7, 8}) {
		t.Fatalf("%x, %v", pong, err)
	}
}

func TestClaimedBytesAreBounded(t *testing.T) {
	b := start(t, nil)
	conn, _ := evil(t, b)
	var send []byte
	const questions = 4
	for n := range uint64(questions) { // each says that 24 MiB will follow
		send = appendFrame(send, frameAskStart, n, binary.BigEndian.AppendUint32(nil, MaxMessage))
	}
	if _, err := conn.Write(send); err != nil {
		t.Fatal(err)
	}
	var s frameScanner
	for shed := 0; shed < questions-maxClaimed/MaxMessage; {
		n, err := conn.Read(s.space())
		if err != nil {
			t.Fatal(err)
		}
		s.filled(n)
		for {
			kind, payload, ok, err := s.next()
			if err != nil {
				t.Fatal(err)
			}
			if !ok {
				break
			}
			if kind != frameFailure || payload[8] != 1 {
				t.Fatalf("frame %d, %q", kind, payload)
			}
			shed++
		}
	}
}

func TestManyAskersAtOnce(t *testing.T) {
	a, b := start(t, nil), start(t, nil)
	join(t, a, b)
	var wg sync.WaitGroup
	var wrong atomic.Int32
	for g := range 64 {
		wg.Go(func() {
			var dst []byte
			for i := range 50 {
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				if g%8 == 0 && i%5 == 0 {
					ctx, cancel = context.WithTimeout(t.Context(), time.Microsecond*time.Duration(i*10)) // some give up
				}
				want := fmt.Sprintf("re: %d/%d", g, i)
				var err error
				dst, err = a.Ask(ctx, b.id, []byte(want[4:]), dst[:0])
				cancel()
				if err == nil && string(dst) != want || err != nil && !errors.Is(err, context.DeadlineExceeded) {
					wrong.Add(1)
				}
			}
		})
	}
	wg.Wait()
	if n := wrong.Load(); n > 0 {
		t.Errorf("%d wrong answers", n)
	}
}

func TestAnAskAllocatesLittle(t *testing.T) {
	a, b := start(t, func(c *Config) { c.Log = nil }), start(t, func(c *Config) { c.Log = nil })
	join(t, a, b)
	ask, dst := []byte("row"), make([]byte, 0, 64)
	// Both ends are in this process, and so is the garbage collector, which empties pools.
	n := testing.AllocsPerRun(200, func() {
		var err error
		if dst, err = a.Ask(context.Background(), b.id, ask, dst[:0]); err != nil {
			t.Fatal(err)
		}
	})
	if n > 6 { // two; the race detector makes pools forget
		t.Errorf("%v allocations", n)
	}
}
