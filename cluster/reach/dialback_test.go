package reach

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"caucus/cluster/identity"
)

const (
	asker identity.ID = "abcdefghijklmnopqrstuvwxyz234567"
	other identity.ID = "bcdefghijklmnopqrstuvwxyz234567a"
)

// meetings is the dialling half of a node: who answers at which URL.
type meetings struct {
	mu   sync.Mutex
	at   map[string]identity.ID
	went []string
}

func (m *meetings) meet(_ context.Context, url string, want identity.ID) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.went = append(m.went, url)
	switch got, ok := m.at[url]; {
	case !ok:
		return errors.New("dial tcp: connection refused on a port of ours")
	case got != want:
		return errors.New("another node answered")
	}
	return nil
}

// ask plays both ends of a dial-back over a pipe.
func ask(t *testing.T, d *Dialer, peer identity.ID, remote string, direct bool, port uint16) (string, error) {
	t.Helper()
	ours, theirs := net.Pipe()
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = d.Serve(t.Context(), peer, remote, direct, theirs)
	}()
	url, err := AskDialBack(t.Context(), ours, port)
	<-served
	return url, err
}

func TestDialBackDialsOnlyWhatItObserves(t *testing.T) {
	m := &meetings{at: map[string]identity.ID{
		"http://8.8.8.8:5001":                asker,
		"http://8.8.4.4:5001":                other,
		"http://[2606:4700::1111]:5001":      asker,
		"http://192.168.7.21:5001":           asker,
		"http://127.0.0.1:5001":              asker,
		"http://169.254.169.254:5001":        asker,
		"http://10.0.0.5:5001":               asker,
		"http://[::ffff:192.168.7.21]:50011": asker,
	}}
	local := func() bool { return true }
	tests := []struct {
		name   string
		policy Policy
		remote string
		direct bool
		port   uint16
		want   string // the URL, or
		say    string // why not
		dials  int
	}{
		{"a node at a public address", Policy{}, "8.8.8.8:61234", true, 5001, "http://8.8.8.8:5001", "", 1},
		{"a node at a public IPv6 address", Policy{}, "[2606:4700::1111]:61234", true, 5001, "http://[2606:4700::1111]:5001", "", 1},
		{"a node on our network", Policy{Subnets: office}, "192.168.7.21:61234", true, 5001, "http://192.168.7.21:5001", "", 1},
		{"an address mapped into IPv6", Policy{Subnets: office}, "[::ffff:192.168.7.21]:61234", true, 5001, "http://192.168.7.21:5001", "", 1},
		{"a node beside us", Policy{Subnets: office, OnLoopback: local}, "127.0.0.1:61234", true, 5001, "http://127.0.0.1:5001", "", 1},
		{"a firewall", Policy{}, "8.8.8.8:61234", true, 5002, "", "nobody with your id", 1},
		{"another node at that address", Policy{}, "8.8.4.4:61234", true, 5001, "", "nobody with your id", 1},
		{"through the tunnel's agent", Policy{Subnets: office}, "127.0.0.1:61234", true, 5001, "", "not yours alone", 0},
		{"the agent's own port", Policy{Subnets: office, OnLoopback: local}, "127.0.0.1:61234", true, 4040, "", "not yours alone", 0},
		{"a private address elsewhere", Policy{Subnets: office}, "10.0.0.5:61234", true, 5001, "", "not yours alone", 0},
		{"metadata", Policy{Subnets: office}, "169.254.169.254:61234", true, 5001, "", "not yours alone", 0},
		{"a name that we dialled", Policy{}, "8.8.8.8:443", false, 5001, "", "not yours alone", 0},
		{"no address", Policy{}, "pipe", true, 5001, "", "not yours alone", 0},
		{"no port", Policy{}, "8.8.8.8:61234", true, 0, "", "not yours alone", 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m.went = nil
			url, err := ask(t, NewDialer(DialerConfig{Policy: tt.policy, Meet: m.meet}), asker, tt.remote, tt.direct, tt.port)
			if url != tt.want || (err == nil) != (tt.want != "") {
				t.Errorf("%q, %v; want %q", url, err, tt.want)
			}
			if tt.say != "" && (!errors.Is(err, ErrNotReached) || !strings.Contains(err.Error(), tt.say)) {
				t.Errorf("%v, want it to say %q", err, tt.say)
			}
			if err != nil && strings.Contains(err.Error(), "refused") {
				t.Errorf("%v tells how the dial failed", err)
			}
			if len(m.went) != tt.dials {
				t.Errorf("dialled %q, want %d dials", m.went, tt.dials)
			}
			host := strings.Trim(strings.TrimPrefix(tt.remote[:max(0, strings.LastIndex(tt.remote, ":"))], "[::ffff:"), "[]")
			for _, u := range m.went {
				if !strings.Contains(u, host) {
					t.Errorf("dialled %q for a peer at %q", u, tt.remote)
				}
			}
		})
	}
}

func TestDialBackIsRareForEachPeerAndFewAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &meetings{at: map[string]identity.ID{"http://8.8.8.8:5001": asker}}
		d := NewDialer(DialerConfig{Meet: m.meet})
		must := func(peer identity.ID, want error) {
			t.Helper()
			if _, err := ask(t, d, peer, "8.8.8.8:61234", true, 5001); !errors.Is(err, want) || (err == nil) != (want == nil) {
				t.Fatalf("%v, want %v", err, want)
			}
		}
		must(asker, nil)
		must(asker, ErrAskLater)
		must(other, ErrNotReached) // another peer has a turn of its own
		time.Sleep(10*time.Second - time.Nanosecond)
		must(asker, ErrAskLater)
		time.Sleep(time.Nanosecond)
		must(asker, nil)
		if len(m.went) != 3 {
			t.Errorf("dialled %q", m.went)
		}
	})
}

func TestDialBackRunsFewAtOnceAndEndsInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := NewDialer(DialerConfig{AtOnce: 2, Meet: func(ctx context.Context, _ string, _ identity.ID) error {
			<-ctx.Done() // an address that swallows packets
			return ctx.Err()
		}})
		start := time.Now()
		var wg sync.WaitGroup
		var mu sync.Mutex
		outcomes := map[string]int{}
		for i := range 5 {
			wg.Go(func() {
				_, err := ask(t, d, identity.ID(strings.Repeat(string(rune('a'+i)), 32)), "8.8.8.8:61234", true, 5001)
				mu.Lock()
				defer mu.Unlock()
				switch {
				case errors.Is(err, ErrNotReached):
					outcomes["not reached"]++
				case errors.Is(err, ErrAskLater):
					outcomes["later"]++
				}
			})
		}
		wg.Wait()
		if outcomes["not reached"] != 2 || outcomes["later"] != 3 || time.Since(start) != 3*time.Second {
			t.Errorf("%v after %v", outcomes, time.Since(start))
		}
	})
}

func TestDialBackRemembersABoundedNumberOfPeers(t *testing.T) {
	d := NewDialer(DialerConfig{Meet: func(context.Context, string, identity.ID) error { return nil }})
	now := time.Unix(0, 0)
	for i := range 10_000 {
		id := identity.ID(strings.Repeat("a", 20) + string(rune('a'+i%26)) + string(rune('a'+i/26%26)) + string(rune('a'+i/676%26)))
		if d.begin(id, now) {
			d.end()
		}
	}
	if n := len(d.last); n > maxAskers {
		t.Errorf("%d remembered", n)
	}
	if !d.begin(asker, now.Add(time.Minute)) || len(d.last) != 1 {
		t.Errorf("%d remembered after a minute", len(d.last))
	}
}

func TestASilentAskerOrAnswererIsNotWaitedForForEver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ours, theirs := net.Pipe()
		d := NewDialer(DialerConfig{Meet: (&meetings{}).meet})
		if err := d.Serve(t.Context(), asker, "8.8.8.8:61234", true, theirs); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("serving a silent asker: %v", err)
		}
		ours.Close()

		ours, theirs = net.Pipe()
		go func() { _, _ = io.Copy(io.Discard, theirs) }()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := AskDialBack(ctx, ours, 5001); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("asking a silent peer: %v", err)
		}
		theirs.Close()
	})
}

func TestAnswersThatNoHonestPeerGives(t *testing.T) {
	said := func(verdict byte, text string) []byte {
		return append([]byte{dialBackVersion, verdict, byte(len(text))}, text...)
	}
	for name, answer := range map[string][]byte{
		"nothing":            {},
		"half":               {1, 0, 30, 'h'},
		"another version":    {2, 0, 0},
		"another verdict":    said(9, ""),
		"a host name":        said(verdictReached, "http://evil.example:5001"),
		"another port":       said(verdictReached, "http://8.8.8.8:22"),
		"a path":             said(verdictReached, "http://8.8.8.8:5001/via/"+string(asker)),
		"https":              said(verdictReached, "https://8.8.8.8:5001"),
		"no port":            said(verdictReached, "http://8.8.8.8"),
		"another notation":   said(verdictReached, "http://[::ffff:8.8.8.8]:5001"),
		"what is no URL":     said(verdictReached, "\x1b[31m"),
		"an empty one":       said(verdictReached, ""),
		"control characters": said(verdictNot, "\x1b[2J\n"),
	} {
		t.Run(name, func(t *testing.T) {
			ours, theirs := net.Pipe()
			go func() {
				defer theirs.Close()
				_, _ = io.ReadFull(theirs, make([]byte, 3))
				_, _ = theirs.Write(answer)
			}()
			url, err := AskDialBack(t.Context(), ours, 5001)
			if err == nil {
				t.Fatalf("took %q", url)
			}
			if strings.ContainsAny(err.Error(), "\x1b\n") {
				t.Errorf("%q could repaint a terminal", err)
			}
		})
	}
}

func FuzzDialBackServesAnything(f *testing.F) {
	f.Add([]byte{1, 0x13, 0x89})
	f.Add([]byte{0, 0, 0})
	f.Fuzz(func(t *testing.T, in []byte) {
		d := NewDialer(DialerConfig{Meet: func(_ context.Context, url string, _ identity.ID) error {
			if ap, err := netip.ParseAddrPort(strings.TrimPrefix(url, "http://")); err != nil || ap.Addr() != netip.MustParseAddr("8.8.8.8") {
				t.Errorf("dialled %q", url)
			}
			return nil
		}})
		ours, theirs := net.Pipe()
		served := make(chan struct{})
		go func() {
			defer close(served)
			_ = d.Serve(context.Background(), asker, "8.8.8.8:61234", true, theirs)
		}()
		go func() {
			_, _ = ours.Write(in)
			if len(in) < 3 {
				ours.Close()
			}
		}()
		_, _ = io.Copy(io.Discard, ours)
		ours.Close()
		<-served
	})
}
