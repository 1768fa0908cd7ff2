package session

import (
	"maps"
	"net"
	"net/http"
	"net/netip"
	"strings"

	"caucus/cluster/identity"
)

// Path is the way that a session takes between its ends, as this end sees it.
type Path uint8

// The paths.
const (
	Direct  Path = iota // from socket to socket, on this machine or on a private network
	Public              // through a tunnel, a proxy, or an address of the Internet
	Relayed             // on a stream of the session with a relay, whose bytes have these in them
	Paths               // how many there are
)

var pathNames = [Paths]string{Direct: "direct", Public: "public", Relayed: "relayed"}

// String names the path for labels and replies.
func (p Path) String() string {
	if p < Paths {
		return pathNames[p]
	}
	return "unknown"
}

// Flow is what passed on one path between this node and a peer.
type Flow struct {
	BytesIn, BytesOut uint64 // of sessions, under TLS and its handshake, without WebSocket's framing
	// HTTP requests for a session: made by this node, also in vain, and taken from the peer.
	Dialled, Accepted uint64
}

// Traffic is what passed between this node and a peer since the start, by path.
type Traffic [Paths]Flow

// maxMeters is how many peers are remembered: more than a cluster has members, since those who are
// gone are remembered too.
const maxMeters = 512

// Traffic returns what passed between this node and each peer that it had a session with or has
// dialled by id. What a link that has ended moved is in it, so that no number ever sinks, as long
// as the peer is remembered.
func (m *Manager) Traffic() map[identity.ID]Traffic {
	m.mu.Lock()
	defer m.mu.Unlock()
	all := make(map[identity.ID]Traffic, len(m.meters))
	for id, t := range m.meters {
		now := *t
		for _, l := range m.links[id] {
			now.add(l)
		}
		all[id] = now
	}
	return all
}

// add adds the bytes that a link has moved.
func (t *Traffic) add(l *link) {
	t[l.path].BytesIn += l.base.in.Load()
	t[l.path].BytesOut += l.base.out.Load()
}

// meter returns the meter of a peer; m.mu is held. Links count for themselves while they live, so
// that counting costs the votes nothing.
func (m *Manager) meter(id identity.ID) *Traffic {
	t := m.meters[id]
	if t != nil {
		return t
	}
	if len(m.meters) >= maxMeters {
		maps.DeleteFunc(m.meters, func(id identity.ID, _ *Traffic) bool {
			return len(m.meters) >= maxMeters && len(m.links[id]) == 0
		})
	}
	t = new(Traffic)
	m.meters[id] = t
	return t
}

// countDial counts an HTTP request that this node made for a session with a peer.
func (m *Manager) countDial(id identity.ID, p Path) {
	if id == "" {
		return // nobody answered, and nobody certain was meant
	}
	m.mu.Lock()
	m.meter(id)[p].Dialled++
	m.mu.Unlock()
}

// Forwarded reports whether a request says that it came through a proxy, such as a tunnel's agent,
// whose address is then that of the socket's other end.
func Forwarded(h http.Header) bool {
	for name := range h {
		if name == "Forwarded" || strings.HasPrefix(name, "X-Forwarded-") {
			return true
		}
	}
	return false
}

// pathOfRequest is the path of a session that somebody opened with r.
func pathOfRequest(r *http.Request) Path {
	if Forwarded(r.Header) || onInternet(r.RemoteAddr) {
		return Public
	}
	return Direct
}

// pathOfDial is the path of a session that this node opens to base on a socket.
func pathOfDial(base string, socket net.Conn) Path {
	if strings.HasPrefix(base, "https:") || onInternet(socket.RemoteAddr().String()) {
		return Public
	}
	return Direct
}

// sharedSpace is what providers put many customers behind (RFC 6598), and some VPNs their members.
var sharedSpace = netip.MustParsePrefix("100.64.0.0/10")

// onInternet reports whether an address and port are of no private network.
func onInternet(hostport string) bool {
	ap, err := netip.ParseAddrPort(hostport)
	if err != nil {
		return false
	}
	a := ap.Addr().Unmap()
	return a.IsGlobalUnicast() && !a.IsPrivate() && !sharedSpace.Contains(a)
}
