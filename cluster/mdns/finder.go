package mdns

import (
	"context"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/netip"
	"strings"
	"sync"
	"time"
	"unicode"

	hashicorp "github.com/hashicorp/mdns"
	"github.com/miekg/dns"

	"caucus/cluster/identity"
)

// Config says what a Finder tells and looks for. All its functions are called from goroutines of the
// finder's, and must not hold them up.
type Config struct {
	Self   identity.ID
	Tokens func() []identity.Token // tell who is of the same cluster; none: it is open
	// URLs returns the addresses to be found at. None: this node only looks for others.
	URLs func() []string
	// Found is told of every node of the same cluster that answered, again at each look.
	Found func(Record)
	// Looked is told after each look how many answered; it returns how long to wait before the next.
	Looked func(found int) time.Duration
	// Interfaces are where to tell and look. nil: those that Interfaces returns, read anew at each look.
	Interfaces func() ([]net.Interface, error)
	Log        *slog.Logger
}

// Limits of what a local network can make a node do.
const (
	lookFor       = time.Second // for answers
	maxAnswers    = 256         // of one look, on one interface
	maxInterfaces = 8
)

// ErrNoInterface says that there is no network to look on.
var ErrNoInterface = errors.New("mdns: this machine has no network interface that is up and can multicast")

// Interfaces returns the network interfaces that are up and can multicast and have an address that
// others can reach: no loopback, no cable without an address.
func Interfaces() ([]net.Interface, error) {
	all, err := net.Interfaces()
	if err != nil {
		return nil, fmt.Errorf("mdns: %w", err)
	}
	var out []net.Interface
	for _, i := range all {
		const want = net.FlagUp | net.FlagMulticast | net.FlagRunning
		if i.Flags&want != want || i.Flags&(net.FlagLoopback|net.FlagPointToPoint) != 0 || len(out) == maxInterfaces {
			continue
		}
		if len(Addresses(i)) > 0 {
			out = append(out, i)
		}
	}
	if len(out) == 0 {
		return nil, ErrNoInterface
	}
	return out, nil
}

// Addresses returns an interface's addresses but for link-local and loopback ones, which are of no use
// in a URL.
func Addresses(i net.Interface) []netip.Addr {
	addrs, err := i.Addrs()
	if err != nil {
		return nil
	}
	var out []netip.Addr
	for _, a := range addrs {
		n, ok := a.(*net.IPNet)
		if !ok {
			continue
		}
		if ip, ok := netip.AddrFromSlice(n.IP); ok && !ip.IsLoopback() && !ip.IsLinkLocalUnicast() {
			out = append(out, ip.Unmap())
		}
	}
	return out
}

// Run tells and looks until ctx ends. Networks that come and go are noticed at the next look.
func Run(ctx context.Context, cfg Config) {
	if cfg.Interfaces == nil {
		cfg.Interfaces = Interfaces
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	f := &finder{cfg: cfg, log: cfg.Log.With("component", "mdns"), servers: make(map[string]*hashicorp.Server)}
	f.lines = log.New(lines{f.log}, "", 0)
	defer f.shutdown()
	said := ""
	for {
		found, err := f.look(ctx)
		if ctx.Err() != nil {
			return
		}
		if err != nil && err.Error() != said {
			f.log.Warn("nobody can be found on the local network for now; still trying", "error", err)
		}
		said = ""
		if err != nil {
			said = err.Error()
		}
		wait := cfg.Looked(found)
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait*3/4 + rand.N(wait/2+1)): // not in step with those who started together
		}
	}
}

// finder is the state of Run.
type finder struct {
	cfg     Config
	log     *slog.Logger
	lines   *log.Logger                  // for the library
	servers map[string]*hashicorp.Server // by interface and its addresses
}

// look brings the servers up to date with the interfaces, and asks on each.
func (f *finder) look(ctx context.Context) (found int, err error) {
	interfaces, err := f.cfg.Interfaces()
	if err != nil {
		f.serve(nil)
		return 0, err
	}
	f.serve(interfaces)
	var wg sync.WaitGroup
	var mu sync.Mutex // guards what follows
	seen := make(map[identity.ID]bool)
	var errs []error
	asked := 0
	for _, i := range interfaces {
		for _, v6 := range []bool{false, true} {
			if !hasFamily(i, v6) {
				continue
			}
			asked++
			wg.Go(func() {
				records, err := f.ask(ctx, i, v6)
				mu.Lock()
				defer mu.Unlock()
				if err != nil {
					errs = append(errs, fmt.Errorf("mdns: on %s: %w", i.Name, err))
				}
				for _, r := range records {
					if !seen[r.ID] {
						seen[r.ID] = true
						f.cfg.Found(r)
					}
				}
			})
		}
	}
	wg.Wait()
	if len(errs) < asked { // one network that works is enough
		return len(seen), nil
	}
	return 0, errors.Join(errs...)
}

// hasFamily reports whether an interface speaks IPv4 or IPv6: the library asks both on one error, so they are
// asked apart.
func hasFamily(i net.Interface, v6 bool) bool {
	addrs, err := i.Addrs()
	if err != nil {
		return false
	}
	for _, a := range addrs {
		if n, ok := a.(*net.IPNet); ok && (n.IP.To4() == nil) == v6 {
			return true
		}
	}
	return false
}

// ask asks on one interface, and returns what is believed.
func (f *finder) ask(ctx context.Context, i net.Interface, v6 bool) ([]Record, error) {
	entries := make(chan *hashicorp.ServiceEntry, maxAnswers)
	err := hashicorp.QueryContext(ctx, &hashicorp.QueryParam{
		Service: service, Domain: strings.TrimSuffix(domain, "."), Timeout: lookFor, Interface: &i, Entries: entries,
		WantUnicastResponse: true, DisableIPv4: v6, DisableIPv6: !v6, Logger: f.lines,
	})
	if err != nil {
		return nil, err
	}
	close(entries) // the library has stopped sending
	var out []Record
	for e := range entries {
		id, ok := strings.CutSuffix(e.Name, "."+service+"."+domain)
		if !ok || identity.ID(id) == f.cfg.Self {
			continue
		}
		r, err := Parse(identity.ID(id), e.InfoFields, f.cfg.Tokens())
		if err != nil {
			f.log.Debug("a record on the local network is not ours", "name", printable(e.Name), "error", err)
			continue
		}
		out = append(out, r)
	}
	return out, nil
}

// serve keeps a server on each interface, one for each set of its addresses: a laptop that moves joins
// the new network's group.
func (f *finder) serve(interfaces []net.Interface) {
	wanted := make(map[string]net.Interface)
	for _, i := range interfaces {
		wanted[fmt.Sprint(i.Index, i.Name, Addresses(i))] = i
	}
	for key, s := range f.servers {
		if _, still := wanted[key]; !still {
			_ = s.Shutdown() // its sockets are gone either way
			delete(f.servers, key)
		}
	}
	for key, i := range wanted {
		if f.servers[key] != nil {
			continue
		}
		s, err := hashicorp.NewServer(&hashicorp.Config{Zone: zone{f, i}, Iface: &i, Logger: f.lines})
		if err != nil {
			f.log.Debug("this node cannot be found on an interface", "interface", i.Name, "error", err)
			continue
		}
		f.servers[key] = s
	}
}

func (f *finder) shutdown() { f.serve(nil) }

// zone answers for this node, with the addresses and tokens that it has at that moment.
type zone struct {
	f *finder
	i net.Interface
}

// Records implements the library's Zone.
func (z zone) Records(q dns.Question) []dns.RR {
	urls := z.f.cfg.URLs()
	if len(urls) == 0 {
		return nil
	}
	s, err := z.f.serviceOf(urls, Addresses(z.i))
	if err != nil {
		z.f.log.Debug("this node's record cannot be made", "error", err)
		return nil
	}
	return s.Records(q)
}

// serviceOf makes the records. The host's name and addresses are only there because the form wants them.
func (f *finder) serviceOf(urls []string, addrs []netip.Addr) (*hashicorp.MDNSService, error) {
	r := Record{ID: f.cfg.Self, URLs: urls[:min(len(urls), MaxURLs)]}
	txt, err := r.Text(f.cfg.Tokens())
	if err != nil {
		return nil, err
	}
	var ips []net.IP
	for _, a := range addrs {
		ips = append(ips, net.IP(a.AsSlice()))
	}
	if len(ips) == 0 {
		return nil, ErrNoInterface
	}
	return hashicorp.NewMDNSService(string(r.ID), service, domain, string(r.ID)+"."+domain, portOf(r.URLs[0]), ips, txt)
}

// lines takes the library's log. Anybody on the network can cause a line of it, and it speaks of broken
// packets of others' as errors of its own.
type lines struct{ log *slog.Logger }

// Write implements io.Writer.
func (l lines) Write(b []byte) (int, error) {
	l.log.Debug("multicast DNS", "says", printable(strings.TrimSpace(string(b))))
	return len(b), nil
}

// printable makes text from the network safe to log.
func printable(s string) string {
	const limit = 200
	if len(s) > limit {
		s = strings.ToValidUTF8(s[:limit], "") + "…"
	}
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return unicode.ReplacementChar
	}, s)
}

// portOf returns the port of a base URL.
func portOf(base string) int {
	if a, err := netip.ParseAddrPort(strings.TrimPrefix(base, "http://")); err == nil {
		return int(a.Port())
	}
	return 80
}
