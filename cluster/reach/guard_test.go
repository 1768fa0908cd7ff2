package reach

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
)

// office is a machine on 192.168.7.0/24 and a VPN, as most of the cases need one.
func office() ([]netip.Prefix, error) {
	return []netip.Prefix{
		netip.MustParsePrefix("127.0.0.1/8"), netip.MustParsePrefix("::1/128"),
		netip.MustParsePrefix("192.168.7.20/24"), netip.MustParsePrefix("fd12:3456:789a::20/64"),
		netip.MustParsePrefix("169.254.7.7/16"), netip.MustParsePrefix("fe80::20/64"),
		netip.MustParsePrefix("198.51.100.4/32"), netip.MustParsePrefix("52.1.2.3/24"),
	}, nil
}

func TestCheckJudgesEachAddressByWhereItComesFrom(t *testing.T) {
	lan := Policy{Subnets: office}
	local := Policy{Subnets: office, OnLoopback: func() bool { return true }}
	open := Policy{Subnets: office, AllowPrivate: true}
	tests := []struct {
		name    string
		policy  Policy
		address string
		typed   string // why a typed address is refused, "" if it is not
		told    string // why a told one is
	}{
		{"a public address", lan, "8.8.8.8:443", "", ""},
		{"a public IPv6 address", lan, "[2606:4700::1111]:443", "", ""},
		{"a public address on the agent's port", lan, "8.8.8.8:4040", "", ""},
		{"a public address mapped into IPv6", lan, "[::ffff:8.8.8.8]:443", "", ""},

		{"the clouds' metadata service", lan, "169.254.169.254:80", "credentials", "credentials"},
		{"metadata mapped into IPv6", lan, "[::ffff:169.254.169.254]:80", "credentials", "credentials"},
		{"metadata in NAT64", lan, "[64:ff9b::a9fe:a9fe]:80", "credentials", "credentials"},
		{"metadata in a local NAT64", lan, "[64:ff9b:1::a9fe:a9fe]:80", "credentials", "credentials"},
		{"metadata in 6to4", lan, "[2002:a9fe:a9fe::1]:80", "credentials", "credentials"},
		{"metadata in the old compatible form", lan, "[::169.254.169.254]:80", "credentials", "credentials"},
		{"Amazon's metadata in IPv6", lan, "[fd00:ec2::254]:80", "credentials", "credentials"},
		{"Google's metadata in IPv6", lan, "[fd20:ce::254]:80", "credentials", "credentials"},
		{"credentials of a container", lan, "169.254.170.2:80", "credentials", "credentials"},
		{"Alibaba's metadata", lan, "100.100.100.200:80", "credentials", "credentials"},
		{"Azure's host", lan, "168.63.129.16:80", "credentials", "credentials"},
		{"metadata with all opened", open, "[fd00:ec2::254]:80", "credentials", "credentials"},

		{"loopback", lan, "127.0.0.1:5001", "", "this machine itself"},
		{"another address of loopback", lan, "127.9.9.9:5001", "", "this machine itself"},
		{"loopback in IPv6", lan, "[::1]:5001", "", "this machine itself"},
		{"loopback mapped into IPv6", lan, "[::ffff:127.0.0.1]:5001", "", "this machine itself"},
		{"loopback in NAT64", lan, "[64:ff9b::7f00:1]:5001", "", "this machine itself"},
		{"loopback in 6to4", lan, "[2002:7f00:1::]:5001", "", "this machine itself"},
		{"loopback in the old compatible form", lan, "[::127.0.0.1]:5001", "", "this machine itself"},
		{"loopback with private ones allowed", open, "127.0.0.1:5001", "", "this machine itself"},
		{"loopback between nodes on loopback", local, "127.0.0.1:5001", "", ""},
		{"loopback in IPv6 between nodes on loopback", local, "[::1]:5001", "", ""},
		{"wrapped loopback between nodes on loopback", local, "[2002:7f00:1::]:5001", "", "no node can be"},

		{"the ngrok agent", lan, "127.0.0.1:4040", "", "ngrok agent"},
		{"the ngrok agent between nodes on loopback", local, "127.0.0.1:4040", "", "ngrok agent"},
		{"the ngrok agent mapped into IPv6", local, "[::ffff:127.0.0.1]:4040", "", "ngrok agent"},
		{"the ngrok agent at our own LAN address", lan, "192.168.7.20:4040", "", "ngrok agent"},
		{"the ngrok agent of a neighbour", lan, "192.168.7.21:4040", "", "ngrok agent"},
		{"the ngrok agent at our own public address", lan, "52.1.2.3:4040", "", "ngrok agent"},
		{"an agent elsewhere", Policy{Subnets: office, AgentPorts: []uint16{4141}, OnLoopback: local.OnLoopback}, "127.0.0.1:4141", "", "ngrok agent"},

		{"our own network", lan, "192.168.7.21:5001", "", ""},
		{"our own network in IPv6", lan, "[fd12:3456:789a::21]:5001", "", ""},
		{"our own network mapped into IPv6", lan, "[::ffff:192.168.7.21]:5001", "", ""},
		{"our own network in 6to4", lan, "[2002:c0a8:715::]:5001", "", "no node can be"},
		{"our own odd network", lan, "198.51.100.4:5001", "", ""},
		{"a router elsewhere", lan, "192.168.0.1:80", "", "--allow-private"},
		{"a ten net", lan, "10.0.0.5:5001", "", "--allow-private"},
		{"a 172.16 net", lan, "172.31.255.1:5001", "", "--allow-private"},
		{"next to the 172.16 net", lan, "172.32.0.1:5001", "", ""},
		{"a private IPv6 net", lan, "[fd99::1]:5001", "", "--allow-private"},
		{"a carrier's net", lan, "100.64.0.1:5001", "", "--allow-private"},
		{"next to the carrier's net", lan, "100.128.0.1:5001", "", ""},
		{"a ten net with private ones allowed", open, "10.0.0.5:5001", "", ""},
		{"a private IPv6 net, allowed", open, "[fd99::1]:5001", "", ""},
		{"a carrier's net, allowed", open, "100.64.0.1:5001", "", ""},
		{"an agent in a private net, allowed", open, "10.0.0.5:4040", "", "ngrok agent"},

		{"link-local", lan, "169.254.7.8:80", "", "link-local"},
		{"link-local in IPv6", lan, "[fe80::21]:80", "", "link-local"},
		{"link-local with a zone", lan, "[fe80::21%eth0]:80", "", "link-local"},
		{"link-local, private ones allowed", open, "169.254.7.8:80", "", "link-local"},
		{"unspecified", local, "0.0.0.0:5001", "", "unspecified"},
		{"unspecified in IPv6", local, "[::]:5001", "", "unspecified"},
		{"unspecified mapped into IPv6", local, "[::ffff:0.0.0.0]:5001", "", "unspecified"},
		{"this network", lan, "0.1.2.3:80", "", "this network"},
		{"multicast", lan, "224.0.0.1:80", "", "multicast"},
		{"multicast in IPv6", lan, "[ff02::1]:80", "", "multicast"},
		{"broadcast", lan, "255.255.255.255:80", "", "broadcast"},
		{"reserved", lan, "240.0.0.1:80", "", "reserved"},
		{"protocol assignments", lan, "192.0.0.8:80", "", "protocol"},
		{"documentation", lan, "203.0.113.5:80", "", "documentation"},
		{"documentation in IPv6", lan, "[2001:db8::1]:80", "", "documentation"},
		{"benchmarks", lan, "198.18.0.1:80", "", "benchmarks"},
		{"a 6to4 relay", lan, "192.88.99.1:80", "", "6to4"},
		{"Teredo", lan, "[2001::1]:80", "", "Teredo"},
		{"a local NAT64", lan, "[64:ff9b:1::808:808]:80", "", "translation"},
		{"site-local, long given up", lan, "[fec0::1]:80", "", "reserved"},
		{"outside of what IPv6 has given out", lan, "[4000::1]:80", "", "reserved"},
		{"discard", lan, "[100::1]:80", "", "discard"},
		{"a public address in NAT64", lan, "[64:ff9b::808:808]:443", "", ""},
		{"a public address in 6to4", lan, "[2002:808:808::1]:443", "", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for trust, want := range map[Trust]string{Typed: tt.typed, Told: tt.told} {
				err := tt.policy.Check(trust, netip.MustParseAddrPort(tt.address))
				if want == "" {
					if err != nil {
						t.Errorf("%v: %v, want it allowed", trust, err)
					}
					continue
				}
				if !errors.Is(err, ErrBlocked) {
					t.Errorf("%v: %v, want it blocked", trust, err)
					continue
				}
				address := strings.ReplaceAll(tt.address, "::169.254.169.254", "::a9fe:a9fe")
				address = strings.ReplaceAll(address, "::127.0.0.1", "::7f00:1")
				if !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), netip.MustParseAddrPort(tt.address).String()) && !strings.Contains(err.Error(), address) {
					t.Errorf("%v: %q, want it to name %s and say %q", trust, err, tt.address, want)
				}
			}
		})
	}
}

func TestNetworksThatCannotBeReadOpenNothing(t *testing.T) {
	p := Policy{Subnets: func() ([]netip.Prefix, error) { return nil, errors.New("no netlink") }}
	if err := p.Check(Told, netip.MustParseAddrPort("192.168.7.21:5001")); !errors.Is(err, ErrBlocked) || !strings.Contains(err.Error(), "no netlink") {
		t.Errorf("a private address: %v", err)
	}
	if err := p.Check(Told, netip.MustParseAddrPort("8.8.8.8:443")); err != nil {
		t.Errorf("a public address: %v", err)
	}
	if err := (Policy{}).Check(Told, netip.AddrPort{}); !errors.Is(err, ErrBlocked) {
		t.Errorf("no address: %v", err)
	}
}

// names is a DNS server in memory: it answers each lookup of a name with the next list of addresses.
type names struct {
	mu      sync.Mutex
	answers map[string][][]string
	asked   map[string]int
}

func (n *names) resolver() *net.Resolver {
	return &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) {
		ours, theirs := net.Pipe()
		go n.serve(theirs)
		return ours, nil
	}}
}

func (n *names) serve(c net.Conn) {
	defer c.Close()
	for {
		var size [2]byte
		if _, err := io.ReadFull(c, size[:]); err != nil {
			return
		}
		q := make([]byte, binary.BigEndian.Uint16(size[:]))
		if _, err := io.ReadFull(c, q); err != nil {
			return
		}
		var labels []string
		i := 12
		for q[i] != 0 {
			labels = append(labels, string(q[i+1:i+1+int(q[i])]))
			i += 1 + int(q[i])
		}
		question := q[12 : i+5]
		qtype := binary.BigEndian.Uint16(q[i+1:])
		var records []byte
		count := 0
		for _, a := range n.next(strings.Join(labels, "."), qtype == 1) {
			addr := netip.MustParseAddr(a)
			if addr.Is4() != (qtype == 1) || qtype != 1 && qtype != 28 {
				continue
			}
			raw := addr.AsSlice()
			records = append(records, 0xc0, 12, 0, byte(qtype), 0, 1, 0, 0, 0, 0, 0, byte(len(raw)))
			records = append(records, raw...)
			count++
		}
		reply := append([]byte{q[0], q[1], 0x81, 0x80, 0, 1, 0, byte(count), 0, 0, 0, 0}, question...)
		reply = append(reply, records...)
		if _, err := c.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(reply))), reply...)); err != nil {
			return
		}
	}
}

// next returns the answer to a lookup. The question for IPv6 addresses gets the first
// answer again and again, so that only those for IPv4 count.
func (n *names) next(name string, v4 bool) []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	all := n.answers[name]
	if len(all) == 0 {
		return nil
	}
	if !v4 {
		return all[0]
	}
	i := n.asked[name]
	if n.asked == nil {
		n.asked = map[string]int{}
	}
	n.asked[name]++
	return all[min(i, len(all)-1)]
}

// ourAddress returns an address of this machine that is not loopback.
func ourAddress(t *testing.T) netip.Addr {
	t.Helper()
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range addrs {
		if n, ok := a.(*net.IPNet); ok {
			if ip, ok := netip.AddrFromSlice(n.IP); ok && ip.Unmap().Is4() && look(ip.Unmap()).kind == private {
				return ip.Unmap()
			}
		}
	}
	t.Skip("this machine has no private IPv4 address but loopback")
	return netip.Addr{}
}

// listen counts the connections that arrive on any of this machine's addresses.
func listen(t *testing.T) (port string, arrived func() int) {
	t.Helper()
	l, err := net.Listen("tcp4", ":0")
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	count := 0
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			count++
			mu.Unlock()
			c.Close()
		}
	}()
	t.Cleanup(func() {
		l.Close()
		<-done
	})
	_, port, _ = net.SplitHostPort(l.Addr().String())
	return port, func() int {
		mu.Lock()
		defer mu.Unlock()
		return count
	}
}

func TestTheAddressDialledIsJudgedNotTheName(t *testing.T) {
	us := ourAddress(t).String()
	dns := &names{answers: map[string][][]string{
		"rebind.test":   {{us}, {"127.0.0.1"}},
		"home.test":     {{"127.0.0.1"}},
		"mixed.test":    {{"127.0.0.1", us}},
		"metadata.test": {{"169.254.169.254"}},
		"wrapped.test":  {{"::ffff:127.0.0.1", "2002:7f00:1::1"}},
		"0x7f000001":    {{us}}, // a resolver that reads it as a name
	}}
	port, arrived := listen(t)
	dial := func(trust Trust, host string) error {
		c, err := Policy{Resolver: dns.resolver()}.DialContext(trust)(t.Context(), "tcp", net.JoinHostPort(host, port))
		if err == nil {
			_, _ = io.Copy(io.Discard, c) // the end comes after it was counted
			c.Close()
		}
		return err
	}
	blocked := func(trust Trust, host, say string) {
		t.Helper()
		before := arrived()
		err := dial(trust, host)
		if !errors.Is(err, ErrBlocked) || !strings.Contains(err.Error(), say) {
			t.Errorf("%v %s: %v, want a refusal that says %q", trust, host, err, say)
		}
		if strings.Contains(err.Error(), "dial tcp") {
			t.Errorf("%v %s: %q is not a sentence", trust, host, err)
		}
		if n := arrived(); n != before {
			t.Errorf("%v %s: a connection was made all the same", trust, host)
		}
	}

	if err := dial(Told, "rebind.test"); err != nil {
		t.Errorf("a name with an address of our network: %v", err)
	}
	blocked(Told, "rebind.test", "127.0.0.1")
	blocked(Told, "home.test", "home.test")
	blocked(Typed, "metadata.test", "credentials")
	blocked(Told, "metadata.test", "credentials")
	blocked(Told, "wrapped.test", "this machine")
	for _, host := range []string{"127.1", "0x7f000001", "0x7F.0.0.1", "2130706433", "0177.0.0.1", "127.0.0.01", "1."} {
		blocked(Told, host, "notation")
	}
	if err := dial(Typed, "home.test"); err != nil {
		t.Errorf("a typed name of this machine: %v", err)
	}
	if err := dial(Told, "mixed.test"); err != nil {
		t.Errorf("a name with a good address beside a bad one: %v", err)
	}
	if err := dial(Told, "nobody.test"); err == nil || errors.Is(err, ErrBlocked) {
		t.Errorf("a name that does not exist: %v", err)
	}
}

func TestOnlyTCPIsDialled(t *testing.T) {
	for _, network := range []string{"udp", "unix", "ip4:icmp"} {
		_, err := Policy{}.DialContext(Typed)(t.Context(), network, "127.0.0.1:1")
		if !errors.Is(err, ErrBlocked) {
			t.Errorf("%s: %v", network, err)
		}
	}
}

func TestTrustTravelsInTheContext(t *testing.T) {
	port, _ := listen(t)
	p := Policy{}
	if _, err := p.Dial(t.Context(), "tcp", "127.0.0.1:"+port); !errors.Is(err, ErrBlocked) {
		t.Errorf("without trust: %v", err)
	}
	c, err := p.Dial(WithTrust(t.Context(), Typed), "tcp", "127.0.0.1:"+port)
	if err != nil {
		t.Fatalf("typed: %v", err)
	}
	c.Close()

	srv := httptest.NewServer(http.NotFoundHandler())
	defer srv.Close()
	for trust, want := range map[Trust]bool{Typed: true, Told: false} { // as a session dials: one transport for both
		transport := &http.Transport{DialContext: p.Dial, DisableKeepAlives: true}
		req, err := http.NewRequestWithContext(WithTrust(t.Context(), trust), http.MethodGet, srv.URL, nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := (&http.Client{Transport: transport}).Do(req)
		if err == nil {
			resp.Body.Close()
		}
		if (err == nil) != want || !want && !errors.Is(err, ErrBlocked) {
			t.Errorf("%v through HTTP: %v", trust, err)
		}
	}
}

func TestTransportTakesNeitherProxyNorRedirect(t *testing.T) {
	inner := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("the redirect was followed") }))
	defer inner.Close()
	srv := httptest.NewServer(http.RedirectHandler(inner.URL, http.StatusFound))
	defer srv.Close()
	t.Setenv("HTTP_PROXY", inner.URL)
	t.Setenv("http_proxy", inner.URL)
	transport := Policy{}.Transport(Typed)
	defer transport.CloseIdleConnections()
	resp, err := (&http.Client{Transport: transport, CheckRedirect: NoRedirects}).Get(srv.URL)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusFound {
		t.Errorf("status %d", resp.StatusCode)
	}
	if transport.Proxy != nil {
		t.Error("the transport has a proxy")
	}
}

func TestBlocksStandBeforeThoseAroundThem(t *testing.T) {
	for i, narrow := range blocks {
		for _, wide := range blocks[:i] {
			if wide.prefix.Contains(narrow.prefix.Addr()) && wide.prefix.Bits() <= narrow.prefix.Bits() {
				t.Errorf("%v is never reached: %v comes first", narrow.prefix, wide.prefix)
			}
		}
	}
	if !slices.ContainsFunc(blocks, func(b block) bool { return b.prefix == netip.MustParsePrefix("::/0") }) {
		t.Error("IPv6 has no last rule")
	}
}

func FuzzCheckNeverLetsAToldAddressIn(f *testing.F) {
	for _, s := range []string{"127.0.0.1", "::1", "::ffff:127.0.0.1", "64:ff9b::7f00:1", "2002:7f00:1::", "169.254.169.254", "fe80::1", "8.8.8.8", "::7f00:1"} {
		a := netip.MustParseAddr(s).As16()
		f.Add(a[:], uint16(80))
	}
	nowhere := Policy{Subnets: func() ([]netip.Prefix, error) { return nil, nil }}
	f.Fuzz(func(t *testing.T, raw []byte, port uint16) {
		a, ok := netip.AddrFromSlice(raw)
		if !ok || nowhere.Check(Told, netip.AddrPortFrom(a, port)) != nil {
			return
		}
		// The standard library's opinion, as an oracle with other origins.
		p := plain(a)
		if p.IsLoopback() || p.IsPrivate() || p.IsLinkLocalUnicast() || p.IsMulticast() || p.IsUnspecified() || !p.IsGlobalUnicast() {
			t.Errorf("%v (%v) was let through", a, p)
		}
	})
}
