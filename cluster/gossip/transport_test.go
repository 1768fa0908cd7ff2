package gossip

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/memberlist"
	"go.uber.org/goleak"

	"caucus/cluster/identity"
	"caucus/cluster/session"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	ana = identity.ID("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa")
	bo  = identity.ID("bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb")
)

// sessions is a fake: what is nil answers that there is no session.
type sessions struct {
	connected func(identity.ID) bool
	open      func(context.Context, identity.ID, session.StreamKind) (net.Conn, error)
}

func (s sessions) Connected(id identity.ID) bool { return s.connected != nil && s.connected(id) }
func (s sessions) Open(ctx context.Context, id identity.ID, kind session.StreamKind) (net.Conn, error) {
	return s.open(ctx, id, kind)
}

// pair makes two transports whose streams lead to one another.
func pair(t *testing.T) (*Transport, *Transport) {
	t.Helper()
	var a, b *Transport
	var streams sync.WaitGroup
	to := func(from identity.ID, other **Transport) sessions {
		return sessions{
			connected: func(identity.ID) bool { return true },
			open: func(_ context.Context, _ identity.ID, kind session.StreamKind) (net.Conn, error) {
				near, far := net.Pipe()
				streams.Go(func() { (*other).HandleStream(from, kind, far) })
				return near, nil
			},
		}
	}
	none := func(context.Context, identity.ID) error { return session.ErrNoSession }
	a = New(Config{Self: ana, Sessions: to(ana, &b), Connect: none})
	b = New(Config{Self: bo, Sessions: to(bo, &a), Connect: none})
	t.Cleanup(func() {
		a.Shutdown()
		b.Shutdown()
		streams.Wait()
	})
	return a, b
}

func to(id identity.ID) memberlist.Address {
	return memberlist.Address{Addr: Address(id), Name: string(id)}
}

func TestPacketsArriveInOrderFromAnAddressThatCanBeParsed(t *testing.T) {
	a, b := pair(t)
	for i := range 100 {
		if _, err := a.WriteToAddress(bytes.Repeat([]byte{byte(100 + i)}, 1+i*10), to(bo)); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 100 {
		p := <-b.PacketCh()
		if !bytes.Equal(p.Buf, bytes.Repeat([]byte{byte(100 + i)}, 1+i*10)) {
			t.Fatalf("packet %d differs", i)
		}
		host, port, err := net.SplitHostPort(p.From.String())
		if err != nil || port != "7946" || net.ParseIP(host) == nil || p.From.String() != Address(ana) {
			t.Fatalf("from %q", p.From)
		}
		if p.Timestamp.IsZero() {
			t.Fatal("no time")
		}
	}
}

func TestWritingNeverBlocksAndNeverFails(t *testing.T) {
	stuck := make(chan struct{})
	near, far := net.Pipe() // nobody reads from far
	tr := New(Config{
		Self: ana,
		Sessions: sessions{
			connected: func(identity.ID) bool { return true },
			open: func(context.Context, identity.ID, session.StreamKind) (net.Conn, error) {
				close(stuck)
				return near, nil
			},
		},
		Connect: func(context.Context, identity.ID) error { return nil },
	})
	defer far.Close()
	const size, count = 100, 100 * queueLength
	for range count {
		if _, err := tr.WriteToAddress(make([]byte, size), to(bo)); err != nil {
			t.Fatal(err)
		}
	}
	<-stuck
	for _, bad := range []memberlist.Address{{}, {Addr: Address(bo)}, {Addr: "x", Name: "no id"}} {
		if _, err := tr.WriteToAddress([]byte("x"), bad); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := tr.WriteToAddress(make([]byte, MaxPacket+1), to(bo)); err != nil {
		t.Fatal(err)
	}
	// One batch is on its way and one more than the queue holds may wait; the rest must have gone.
	const held = batchBytes/size + 1 + queueLength
	if dropped := tr.Stats().Dropped; dropped < count-held {
		t.Errorf("%d of %d dropped, at most %d can be held", dropped, count, held)
	}
	if err := tr.Shutdown(); err != nil {
		t.Fatal(err)
	}
	if _, err := tr.WriteToAddress([]byte("x"), to(bo)); err != nil {
		t.Fatalf("after Shutdown: %v", err)
	}
}

func TestAMissingSessionIsOpenedInTheBackgroundAndBeforeAStream(t *testing.T) {
	asked := make(chan identity.ID, 16)
	up := false
	var mu sync.Mutex
	tr := New(Config{
		Self: ana,
		Sessions: sessions{
			connected: func(identity.ID) bool { mu.Lock(); defer mu.Unlock(); return up },
			open: func(context.Context, identity.ID, session.StreamKind) (net.Conn, error) {
				near, far := net.Pipe()
				t.Cleanup(func() { far.Close() })
				return near, nil
			},
		},
		Connect: func(_ context.Context, id identity.ID) error {
			asked <- id
			mu.Lock()
			defer mu.Unlock()
			up = true
			return nil
		},
	})
	defer tr.Shutdown()
	tr.WriteToAddress([]byte("lost"), to(bo))
	if id := <-asked; id != bo {
		t.Fatalf("asked for %s", id)
	}
	mu.Lock()
	up = false
	mu.Unlock()
	conn, err := tr.DialAddressTimeout(to(bo), time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	if id := <-asked; id != bo || conn.RemoteAddr().String() != Address(bo) {
		t.Fatalf("asked for %s, remote %s", id, conn.RemoteAddr())
	}
	conn.Close()
	if _, err := tr.DialTimeout(Address(bo), time.Second); err == nil {
		t.Fatal("dialled a placeholder")
	}
}

func TestABrokenStreamIsReplaced(t *testing.T) {
	opened := make(chan net.Conn, 4)
	tr := New(Config{
		Self: ana,
		Sessions: sessions{
			connected: func(identity.ID) bool { return true },
			open: func(context.Context, identity.ID, session.StreamKind) (net.Conn, error) {
				near, far := net.Pipe()
				opened <- far
				return near, nil
			},
		},
		Connect: func(context.Context, identity.ID) error { return nil },
	})
	defer tr.Shutdown()
	tr.WriteToAddress([]byte("one"), to(bo))
	first := <-opened
	if b, err := new(history).read(first); err != nil || string(b) != "one" {
		t.Fatal(b, err)
	}
	first.Close()
	tr.WriteToAddress([]byte("two"), to(bo))
	second := <-opened
	if b, err := new(history).read(second); err != nil || string(b) != "two" {
		t.Fatal(b, err)
	}
	second.Close()
}

func TestAStreamIsCutAtItsLimit(t *testing.T) {
	tr := New(Config{Self: ana, Sessions: sessions{}, Connect: nil})
	defer tr.Shutdown()
	near, far := net.Pipe()
	go tr.HandleStream(bo, session.StreamGossip, near)
	conn := <-tr.StreamCh()
	go func() {
		defer far.Close()
		for range MaxStream/4096 + 1 {
			if _, err := far.Write(make([]byte, 4096)); err != nil {
				return
			}
		}
	}()
	n, err := io.Copy(io.Discard, conn)
	if n != MaxStream || !errors.Is(err, ErrStreamTooLong) {
		t.Fatalf("read %d bytes, %v", n, err)
	}
	conn.Close()
	conn.Close() // twice is fine
}

func TestStreamsOfOtherKindsAndAfterShutdownAreClosed(t *testing.T) {
	tr := New(Config{Self: ana, Sessions: sessions{}, Connect: nil})
	closed := func(kind session.StreamKind) {
		t.Helper()
		near, far := net.Pipe()
		tr.HandleStream(bo, kind, near)
		if _, err := far.Read(make([]byte, 1)); err == nil {
			t.Fatal("open still")
		}
	}
	closed(session.StreamDescribe)
	tr.Shutdown()
	closed(session.StreamPackets)
	closed(session.StreamGossip)
}

func FuzzReadPacket(f *testing.F) {
	var h history
	f.Add(h.append(h.append(h.append(nil, []byte("one")), []byte("two")), []byte("two")))
	f.Add([]byte{0, 0})
	f.Add([]byte{0xff, 0xff, 1})
	f.Add([]byte{0, 3, 'o', 'n', 'e', 0x80, 4, 0, 1, 1, 'w'})
	f.Fuzz(func(t *testing.T, b []byte) {
		r := bytes.NewReader(b)
		var in, out, again history
		var packets [][]byte
		var back []byte
		for {
			p, err := in.read(r)
			if err != nil {
				break
			}
			if len(p) == 0 || len(p) > MaxPacket {
				t.Fatalf("a packet of %d bytes", len(p))
			}
			packets = append(packets, p)
			back = out.append(back, p)
		}
		// Whatever was read is the same after another journey.
		r = bytes.NewReader(back)
		for i, want := range packets {
			if p, err := again.read(r); err != nil || !bytes.Equal(p, want) {
				t.Fatalf("packet %d: %q %v, want %q", i, p, err, want)
			}
		}
	})
}

// At rest memberlist sends the same two packets with another number in them.
func TestWhatIsTheSameIsNotSentAgain(t *testing.T) {
	ping := []byte("\x00\x85\xa4Node\xda\x00 " + string(ana) + "\xa5SeqNo#\xaaSourceAddr\xb00123456789abcdef\xaaSourceNode\xda\x00 " + string(bo) + "\xaaSourcePort\xcd\x1f\x0a")
	ack := []byte("\x02\x82\xa7Payload\xb00123456789abcdef\xa5SeqNo#")
	var out, in history
	first := len(out.append(nil, ping)) + len(out.append(nil, ack))
	out = history{}
	var stream []byte
	var sent [][]byte
	for i := range 100 {
		for _, p := range [][]byte{ping, ack} {
			p = bytes.Clone(p)
			p[bytes.IndexByte(p, '#')] = byte(i)
			sent = append(sent, p)
			stream = out.append(stream, p)
		}
	}
	if per := len(stream) / 100; per > first/8 {
		t.Errorf("a ping and its answer take %d bytes; the first took %d", per, first)
	}
	r := bytes.NewReader(stream)
	for i, want := range sent {
		if p, err := in.read(r); err != nil || !bytes.Equal(p, want) {
			t.Fatalf("packet %d: %q %v", i, p, err)
		}
	}
	for _, bad := range [][]byte{{0x80, 0}, {0x80, 1, 0}, {0, 1, 'x', 0x80, 1, 1}, {0, 1, 'x', 0x80, 2, 0, 0}, {0, 1, 'x', 0x80, 3, 0, 0, 0}, {0, 1, 'x', 0x80, 4, 0, 1, 1, 'y'}, {0, 1, 'x', 0x80, 3, 0, 0, 1}} {
		var h history
		r, err := bytes.NewReader(bad), error(nil)
		for err == nil {
			_, err = h.read(r)
		}
		if !errors.Is(err, errPatch) && !errors.Is(err, errPacketSize) {
			t.Errorf("% x: %v", bad, err)
		}
	}
}

func TestMemberlistsLinesKeepTheirLevelsAndLoseControlCharacters(t *testing.T) {
	var out bytes.Buffer
	var seen []string
	l := NewLogger(slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: slog.LevelDebug})), func(line string) { seen = append(seen, line) })
	for line, want := range map[string]string{
		"[DEBUG] memberlist: Stream connection from=x":        "level=DEBUG",
		"[WARN] memberlist: something odd":                    "level=WARN",
		"[ERR] memberlist: something broke":                   "level=ERROR",
		"[INFO] memberlist: hello":                            "level=INFO",
		"[ERR] memberlist: Push/Pull with x failed: EOF":      "level=DEBUG",
		"[INFO] memberlist: Suspect x has failed, no acks":    "level=DEBUG",
		"[WARN] memberlist: ignoring alive message for 'x'":   "level=DEBUG",
		"Err: Could not set the deadline":                     "level=ERROR",
		"[WARN] memberlist: \x1b[31mred\x1b[0m and \u202eodd": "level=WARN",
	} {
		out.Reset()
		l.Print(line)
		got := out.String()
		if !strings.Contains(got, want) {
			t.Errorf("%q: got %s", line, got)
		}
		if strings.ContainsAny(strings.TrimSuffix(got, "\n"), "\x1b\u202e\n") || strings.Contains(got, `\x1b`) {
			t.Errorf("%q: a control character passed: %q", line, got)
		}
	}
	if len(seen) != 9 {
		t.Errorf("the observer saw %d lines", len(seen))
	}
}
