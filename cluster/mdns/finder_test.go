package mdns

import (
	"bytes"
	"context"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"
	"go.uber.org/goleak"

	"caucus/cluster/identity"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const patience = 60 * time.Second

// host is a finder that runs until the test ends.
type host struct {
	id   identity.ID
	mu   sync.Mutex
	seen map[identity.ID]Record
	log  bytes.Buffer
	end  func()
}

// Write takes the log.
func (h *host) Write(b []byte) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.log.Write(b)
}

func (h *host) logged() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.log.String()
}

func (h *host) sees(o *host) (Record, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	r, ok := h.seen[o.id]
	return r, ok
}

func run(t *testing.T, url string, tokens ...identity.Token) *host {
	t.Helper()
	h := &host{id: newID(t), seen: make(map[identity.ID]Record)}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		Run(ctx, Config{
			Self: h.id, Tokens: func() []identity.Token { return tokens },
			URLs: func() []string {
				if url == "" {
					return nil
				}
				return []string{url}
			},
			Found: func(r Record) {
				h.mu.Lock()
				defer h.mu.Unlock()
				h.seen[r.ID] = r
			},
			Looked: func(int) time.Duration { return 10 * time.Millisecond },
			Log:    slog.New(slog.NewTextHandler(h, &slog.HandlerOptions{Level: slog.LevelDebug})),
		})
	}()
	h.end = func() { cancel(); <-ended }
	t.Cleanup(h.end)
	return h
}

// multicast skips a test where there is no network that multicasts.
func multicast(t *testing.T) {
	t.Helper()
	interfaces, err := Interfaces()
	if err != nil {
		t.Skipf("no multicast here: %v", err)
	}
	// A sandbox may have the interface and drop what is sent; then there is nothing to test with.
	group := &net.UDPAddr{IP: net.IPv4(224, 0, 0, 251), Port: 5353}
	in, err := net.ListenMulticastUDP("udp4", &interfaces[0], group)
	if err != nil {
		t.Skipf("no multicast here: %v", err)
	}
	defer in.Close()
	out, err := net.ListenUDP("udp4", nil)
	if err != nil {
		t.Skipf("no multicast here: %v", err)
	}
	defer out.Close()
	b := []byte("are you there?")
	deadline := time.Now().Add(5 * time.Second)
	got := make([]byte, 9000)
	for time.Now().Before(deadline) {
		if _, err := out.WriteToUDP(b, group); err != nil {
			t.Skipf("no multicast here: %v", err)
		}
		_ = in.SetReadDeadline(time.Now().Add(200 * time.Millisecond))
		if n, _, err := in.ReadFromUDP(got); err == nil && bytes.Equal(got[:n], b) {
			return
		}
	}
	t.Skip("no multicast here: what is sent does not arrive")
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !ok(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not so: %s", what)
		}
	}
}

func TestNodesOfOneTokenFindEachOtherByMulticast(t *testing.T) {
	if !ownNetwork(t) {
		return
	}
	multicast(t)
	token, other := newToken(t), newToken(t)
	ana := run(t, "http://192.0.2.7:5001", token)
	bo := run(t, "http://192.0.2.8:5001", token)
	stranger := run(t, "http://192.0.2.9:5001", other)
	quiet := run(t, "", token)
	eventually(t, "each sees the other", func() bool {
		r, ok := ana.sees(bo)
		s, both := bo.sees(ana)
		return ok && both && r.URLs[0] == "http://192.0.2.8:5001" && s.URLs[0] == "http://192.0.2.7:5001"
	})
	eventually(t, "one that tells nothing sees both", func() bool {
		_, a := quiet.sees(ana)
		_, b := quiet.sees(bo)
		return a && b
	})
	eventually(t, "the stranger's record was read and not believed", func() bool {
		return strings.Contains(ana.logged(), string(stranger.id)) && strings.Contains(ana.logged(), ErrOther.Error())
	})
	for _, h := range []*host{ana, bo, quiet} {
		if _, ok := h.sees(stranger); ok {
			t.Error("a node of another token was believed")
		}
		if _, ok := h.sees(h); ok {
			t.Error("a node found itself")
		}
		if _, ok := h.sees(quiet); ok {
			t.Error("one that tells nothing was found")
		}
	}
	if _, ok := stranger.sees(ana); ok {
		t.Error("the stranger believes")
	}
	// Who is gone answers no more, and another takes its place.
	bo.end()
	late := run(t, "http://192.0.2.10:5001", token)
	eventually(t, "the late one sees the first", func() bool { _, ok := late.sees(ana); return ok })
	if _, ok := late.sees(bo); ok {
		t.Error("one that has ended still answers")
	}
}

// What anybody may send to the group harms nobody, and is not shouted about.
func TestRubbishOnTheGroupIsPassedOver(t *testing.T) {
	if !ownNetwork(t) {
		return
	}
	multicast(t)
	token := newToken(t)
	ana := run(t, "http://192.0.2.7:5001", token)
	out, err := net.ListenUDP("udp4", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	answer := new(dns.Msg)
	answer.Response = true
	answer.Answer = []dns.RR{&dns.PTR{Hdr: dns.RR_Header{Name: service + "." + domain, Rrtype: dns.TypePTR, Class: dns.ClassINET}, Ptr: "\x1b[31mred._caucus._tcp.local."}}
	packed, err := answer.Pack()
	if err != nil {
		t.Fatal(err)
	}
	group := &net.UDPAddr{IP: net.IPv4(224, 0, 0, 251), Port: 5353}
	eventually(t, "the library complains of it", func() bool {
		for _, b := range [][]byte{[]byte("rubbish"), {}, bytes.Repeat([]byte{0xff}, 600), packed} {
			_, _ = out.WriteToUDP(b, group)
		}
		return strings.Contains(ana.logged(), "Failed to unpack packet")
	})
	bo := run(t, "http://192.0.2.8:5001", token)
	eventually(t, "both are found all the same", func() bool {
		_, a := ana.sees(bo)
		_, b := bo.sees(ana)
		return a && b
	})
	if s := ana.logged(); strings.Contains(s, "level=ERROR") || strings.Contains(s, "level=WARN") || strings.Contains(s, "level=INFO") || strings.Contains(s, "\x1b") {
		t.Errorf("the log has more than debug lines of it, or raw escapes:\n%.2000s", s)
	}
}

func TestTheRecordsThatAreServed(t *testing.T) {
	token := newToken(t)
	f := &finder{cfg: Config{Self: newID(t), Tokens: func() []identity.Token { return []identity.Token{token} }}}
	s, err := f.serviceOf([]string{"http://192.0.2.7:5001"}, Addresses(loopbackInterface(t)))
	if err == nil || s != nil {
		t.Error("a record without an address was made") // loopback has none of use
	}
	addrs := addresses("192.0.2.7", "2001:db8::7")
	if s, err = f.serviceOf([]string{"http://192.0.2.7:5001"}, addrs); err != nil {
		t.Fatal(err)
	}
	records := s.Records(dns.Question{Name: "_caucus._tcp.local.", Qtype: dns.TypePTR, Qclass: dns.ClassINET})
	var kinds []string
	for _, r := range records {
		kinds = append(kinds, dns.TypeToString[r.Header().Rrtype])
		if txt, ok := r.(*dns.TXT); ok {
			if got, err := Parse(f.cfg.Self, txt.Txt, []identity.Token{token}); err != nil || got.URLs[0] != "http://192.0.2.7:5001" {
				t.Errorf("%+v %v", got, err)
			}
		}
		if srv, ok := r.(*dns.SRV); ok && (srv.Port != 5001 || srv.Hdr.Name != string(f.cfg.Self)+"._caucus._tcp.local.") {
			t.Errorf("%v", srv)
		}
	}
	if got := strings.Join(kinds, " "); got != "PTR SRV A AAAA TXT" {
		t.Errorf("records: %s", got)
	}
	if (zone{f: &finder{cfg: Config{URLs: func() []string { return nil }}}}).Records(dns.Question{}) != nil {
		t.Error("a node with no address to be found at answers")
	}
}

func addresses(texts ...string) []netip.Addr {
	var out []netip.Addr
	for _, s := range texts {
		out = append(out, netip.MustParseAddr(s))
	}
	return out
}

// loopbackInterface returns the loopback interface.
func loopbackInterface(t *testing.T) net.Interface {
	t.Helper()
	all, err := net.Interfaces()
	if err != nil {
		t.Fatal(err)
	}
	for _, i := range all {
		if i.Flags&net.FlagLoopback != 0 {
			return i
		}
	}
	t.Skip("this machine has no loopback interface")
	return net.Interface{}
}
