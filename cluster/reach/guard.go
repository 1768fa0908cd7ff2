package reach

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"syscall"
	"time"
)

// ErrBlocked is wrapped by every refusal to dial an address.
var ErrBlocked = errors.New("address must not be called")

// Trust says where an address comes from.
type Trust uint8

// The origins of an address. The zero value is the stricter one.
const (
	Told  Trust = iota // from another node: gossip, a card, a reply
	Typed              // from a person: a flag, a file, the environment
)

func (t Trust) String() string {
	if t == Typed {
		return "typed"
	}
	return "told"
}

type trustKey struct{}

// WithTrust marks the dials made under ctx, for Policy.Dial.
func WithTrust(ctx context.Context, t Trust) context.Context {
	return context.WithValue(ctx, trustKey{}, t)
}

// Policy says which addresses this node's outbound connections may lead to. The zero
// value is the rule of the house: what a person typed may be anything but a cloud's
// metadata service; what gossip says must be public or on the subnet of an interface
// of ours, and never link-local, this machine, or an ngrok agent's local API.
type Policy struct {
	// AllowPrivate lets told addresses be private ones of networks that this machine
	// is not on (--allow-private): routed offices, VPNs. Nothing else is opened by it.
	AllowPrivate bool
	// OnLoopback reports whether this node itself is reached on loopback, so that its
	// peers are too, all on one machine. nil: it is not. A node that listens on loopback
	// behind a tunnel is not on loopback: its peers are elsewhere.
	OnLoopback func() bool
	// AgentPorts are the ports of ngrok agents' local APIs, which answer anyone on this
	// machine; told addresses may not lead to them. nil: 4040 alone.
	AgentPorts []uint16
	// Subnets returns this machine's addresses with their networks. nil: those of the
	// interfaces, read anew at each call, because laptops move.
	Subnets  func() ([]netip.Prefix, error)
	Resolver *net.Resolver // nil: the system's
	Timeout  time.Duration // of a dial, name resolution included; default 5 s
}

// AgentPort is where an ngrok agent serves its local API unless told otherwise.
const AgentPort = 4040

// Check says whether an address may be dialled: nil, or an error that wraps ErrBlocked
// and says in one sentence which address it was and why not.
func (p Policy) Check(t Trust, address netip.AddrPort) error {
	given := address.Addr()
	if !given.IsValid() {
		return fmt.Errorf("%w: it is no IP address", ErrBlocked)
	}
	a := plain(given)
	refuse := func(format string, args ...any) error {
		shown := address.String()
		if a != given.WithZone("") {
			shown += " (that is " + a.String() + ")"
		}
		return fmt.Errorf("%w: %s %s", ErrBlocked, shown, fmt.Sprintf(format, args...))
	}
	if metadata[a] || metadata[localNAT64(given)] {
		return refuse("gives out this machine's cloud credentials")
	}
	if t == Typed {
		return nil
	}

	b := look(a)
	if b.kind == never || b.kind != public && a != given.WithZone("").Unmap() {
		return refuse("is %s, where no node can be", b.what) // nor can one be behind a translation to our own networks
	}
	var ours []netip.Prefix
	if b.kind != public || p.agentPort(address.Port()) {
		var err error
		if ours, err = p.subnets(); err != nil {
			return refuse("is %s, and this machine's networks cannot be read: %v", b.what, err)
		}
	}
	// Before the rule for loopback: four nodes on one machine may call one another, never the agent.
	if p.agentPort(address.Port()) && (b.kind != public || owns(ours, a)) {
		return refuse("is where an ngrok agent lets anyone on this machine control it")
	}
	switch b.kind {
	case loopback:
		if p.OnLoopback == nil || !p.OnLoopback() {
			return refuse("is %s, and another node said to call it", b.what)
		}
	case private:
		if !p.AllowPrivate && !onSubnet(ours, a) {
			return refuse("is %s of a network that this machine is not on; allow it with --allow-private", b.what)
		}
	}
	return nil
}

func (p Policy) agentPort(port uint16) bool {
	if p.AgentPorts == nil {
		return port == AgentPort
	}
	return slices.Contains(p.AgentPorts, port)
}

func (p Policy) subnets() ([]netip.Prefix, error) {
	if p.Subnets != nil {
		return p.Subnets()
	}
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		return nil, err
	}
	all := make([]netip.Prefix, 0, len(addrs))
	for _, a := range addrs {
		if n, ok := a.(*net.IPNet); ok {
			if ip, ok := netip.AddrFromSlice(n.IP); ok {
				ones, _ := n.Mask.Size()
				all = append(all, netip.PrefixFrom(ip.Unmap(), ones))
			}
		}
	}
	return all, nil
}

// onSubnet reports whether a is on one of the networks.
func onSubnet(ours []netip.Prefix, a netip.Addr) bool {
	return slices.ContainsFunc(ours, func(p netip.Prefix) bool { return p.Contains(a) })
}

// owns reports whether a is one of this machine's own addresses.
func owns(ours []netip.Prefix, a netip.Addr) bool {
	return slices.ContainsFunc(ours, func(p netip.Prefix) bool { return p.Addr() == a })
}

// localNAT64 returns the IPv4 address at the end of a local translation's (RFC 8215),
// where most have it. Told ones are refused without looking.
func localNAT64(a netip.Addr) netip.Addr {
	b := a.As16()
	if a.Is6() && netip.MustParsePrefix("64:ff9b:1::/48").Contains(a.WithZone("")) {
		return netip.AddrFrom4([4]byte(b[12:]))
	}
	return netip.Addr{}
}

// DialContext returns a dial function for http.Transport, a WebSocket or the like. The
// address is judged after name resolution, right before the connection is made, for
// each address of a name that is tried. Only TCP is dialled. Its errors say "dial"
// only once: a refusal is returned without net's wrapping.
func (p Policy) DialContext(t Trust) func(ctx context.Context, network, address string) (net.Conn, error) {
	timeout := p.Timeout
	if timeout <= 0 {
		timeout = 5 * time.Second
	}
	d := net.Dialer{
		Timeout:  timeout,
		Resolver: p.Resolver,
		Control: func(_, address string, _ syscall.RawConn) error {
			ap, err := netip.ParseAddrPort(address)
			if err != nil {
				return fmt.Errorf("%w: %q is not an IP address and port", ErrBlocked, address)
			}
			return p.Check(t, ap)
		},
	}
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		if network != "tcp" && network != "tcp4" && network != "tcp6" {
			return nil, fmt.Errorf("%w: %q is not TCP", ErrBlocked, network)
		}
		if t == Told {
			if err := plainForm(address); err != nil {
				return nil, err
			}
		}
		c, err := d.DialContext(ctx, network, address)
		if errors.Is(err, ErrBlocked) {
			var op *net.OpError
			for errors.As(err, &op) {
				err = op.Err
			}
			if host, _, _ := net.SplitHostPort(address); !isAddress(host) {
				return nil, fmt.Errorf("%q: %w", cut(host, 80), err)
			}
			return nil, err
		}
		return c, err
	}
}

// Dial is DialContext for the trust that WithTrust put into ctx, Told without one.
func (p Policy) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	t, _ := ctx.Value(trustKey{}).(Trust)
	return p.DialContext(t)(ctx, network, address)
}

// Transport returns an HTTP transport that dials under the policy and takes no proxy
// from the environment. The caller closes its idle connections.
func (p Policy) Transport(t Trust) *http.Transport {
	return &http.Transport{
		DialContext:            p.DialContext(t),
		TLSHandshakeTimeout:    5 * time.Second,
		ResponseHeaderTimeout:  5 * time.Second,
		IdleConnTimeout:        30 * time.Second,
		MaxIdleConns:           4,
		DisableCompression:     true, // so that a small answer cannot become a large one
		MaxResponseHeaderBytes: 16 << 10,
	}
}

// NoRedirects is http.Client.CheckRedirect for all that this node calls: a redirect is
// the answer, because following it would let a server choose whom we call.
func NoRedirects(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

// plainForm refuses hosts that are numbers in another notation (127.1, 0x7f000001,
// 2130706433, 0177.0.0.1): some resolvers read them as addresses and some as names,
// and no honest node has one.
func plainForm(address string) error {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return fmt.Errorf("%w: %q is not host:port", ErrBlocked, cut(address, 80))
	}
	if isAddress(host) {
		return nil
	}
	last := strings.TrimSuffix(host, ".")
	last = strings.ToLower(last[strings.LastIndexByte(last, '.')+1:])
	hex, isHex := strings.CutPrefix(last, "0x")
	if isHex && strings.Trim(hex, "0123456789abcdef") == "" || strings.Trim(last, "0123456789") == "" {
		return fmt.Errorf("%w: %q is a number in a notation of its own; an IPv4 address is four decimal numbers", ErrBlocked, cut(host, 80))
	}
	return nil
}

func isAddress(host string) bool {
	_, err := netip.ParseAddr(host)
	return err == nil
}

func cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return strings.ToValidUTF8(s[:n], "") + "…"
}
