package cluster

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"time"

	"caucus/cluster/identity"
	"caucus/cluster/reach"
	"caucus/cluster/session"
)

// This node's URL. reach.Chooser says which of the sources applies; here those of them are
// kept up that the sessions know about (a loopback address, dial-back, a relay), and what
// the chooser says gets onto the card.

const (
	dialBackFirst  = 2 * time.Second // between two asks, doubling
	dialBackLast   = 5 * time.Minute
	dialBackAgain  = 5 * time.Minute // a URL found by dial-back is made sure of so often
	dialBackVerify = 2               // peers asked before their word against a URL counts

	// relayGrace is how long dial-back may take before a relay is taken: a card that changes
	// twice in a moment is noise to everybody.
	relayGrace = time.Second

	// probeWithin is how long a session may take to show that it lives when one of its ends
	// has a new URL, and it may hang half open on the old one.
	probeWithin = 3 * time.Second
)

// locator finds this node's URL.
type locator struct {
	m       *Membership
	chooser *reach.Chooser
	policy  reach.Policy
	back    *reach.Dialer

	applying sync.Mutex // held while a choice is put onto the card
	turn     uint64     // of the choice on the card; guarded by applying

	mu        sync.Mutex // guards all below
	loop      string     // the URL that fits nodes on this machine, once a socket showed one
	backURL   string     // what dial-back found
	backAt    time.Time  // when it was last confirmed
	denied    int        // peers in a row that could not reach this node
	asking    bool
	asked     bool      // a dial-back has ended, or there will be none
	nextAsk   time.Time // no ask before
	askWait   time.Duration
	askedPeer map[identity.ID]time.Time
	since     time.Time // when the first session came up
	relay     reach.RelayState
}

func newLocator(m *Membership) *locator {
	l := &locator{m: m, chooser: reach.NewChooser(0), askedPeer: map[identity.ID]time.Time{}}
	l.policy = reach.Policy{AllowPrivate: m.cfg.AllowPrivate, OnLoopback: l.onLoopback, AgentPorts: m.cfg.AgentPorts}
	l.back = reach.NewDialer(reach.DialerConfig{Policy: l.policy, Log: m.cfg.Log, Meet: func(ctx context.Context, url string, want identity.ID) error {
		return m.sessions.Meet(reach.WithTrust(ctx, reach.Told), url, want)
	}})
	l.asked = m.cfg.ListenPort == 0 || m.cfg.ListenLocal
	return l
}

// Chooser takes the URLs that others find for this node: an ngrok agent's, a tunnel's.
func (m *Membership) Chooser() *reach.Chooser { return m.locator.chooser }

// onLoopback reports whether this node is reached on this machine, so that its peers are.
func (l *locator) onLoopback() bool {
	c := l.m.card.Load()
	return c != nil && isLoopbackURL(c.URL)
}

// isLoopbackURL reports whether a URL leads to the machine of whoever follows it.
func isLoopbackURL(s string) bool {
	u, err := url.Parse(s)
	if err != nil {
		return false
	}
	if host := u.Hostname(); host != "localhost" {
		a, err := netip.ParseAddr(host)
		return err == nil && a.Unmap().IsLoopback()
	}
	return true
}

// observe looks at the address that a socket of this node has towards another. One on loopback
// makes a URL for nodes on one machine; any other may be that of a network which nobody
// else is on, so there it takes a dial-back.
func (l *locator) observe(a net.Addr) {
	if l.m.cfg.ListenPort == 0 {
		return
	}
	ap, err := netip.ParseAddrPort(a.String())
	if err != nil {
		return
	}
	ip := ap.Addr().Unmap().WithZone("")
	if !ip.IsLoopback() {
		return
	}
	l.mu.Lock()
	news := l.loop == ""
	if news {
		l.loop = "http://" + netip.AddrPortFrom(ip, uint16(l.m.cfg.ListenPort)).String()
	}
	l.mu.Unlock()
	if news {
		l.m.kick(l.m.kickMaintain)
	}
}

// follow puts what the chooser says onto the card until the membership ends.
func (l *locator) follow() {
	for {
		_, changed := l.chooser.Current()
		l.apply()
		select {
		case <-changed:
		case <-l.m.ctx.Done():
			return
		}
	}
}

// apply puts the chooser's present choice onto the card, if it is not there. It returns once
// the card is signed.
func (l *locator) apply() error {
	l.applying.Lock()
	defer l.applying.Unlock()
	choice, _ := l.chooser.Current()
	if choice.Turn == l.turn {
		return nil
	}
	m := l.m
	m.mu.Lock()
	if m.stopped || m.leaving {
		m.mu.Unlock()
		return ErrStopped
	}
	old := m.url
	m.url = choice.URL
	err := m.signLocked(false)
	if err != nil {
		m.url = old
	} else {
		m.publishLocked()
	}
	m.mu.Unlock()
	l.turn = choice.Turn
	if err != nil {
		m.log.Error("the URL found for this node does not fit its card", "url", choice.URL, "error", err)
		return err
	}
	m.log.Info("this node's URL", "url", choice.URL, "from", choice.Source.String(), "was", old)
	m.kick(m.kickAnnounce)
	m.kick(m.kickMaintain)
	if old != "" && !strings.Contains(old, "/via/") {
		// What others opened to the old URL may hang half open there, and would keep them from dialling the new
		// one; what lives is left alone, for opening it anew would cost everybody a request.
		m.sessions.Probe(probeWithin, func(p session.Peer) bool { return !p.Outbound && !relayed(p) })
	}
	return nil
}

// pass looks at sessions and members and tells the chooser what follows for this node.
func (l *locator) pass(now time.Time) {
	m := l.m
	peers := m.sessions.Peers()
	view := l.candidates(peers)
	l.mu.Lock()
	if l.since.IsZero() && len(peers) > 0 {
		l.since = now
	}
	if len(peers) == 0 {
		// Perhaps this machine is on another network by now: what was found is made sure of with the next peer.
		l.backAt, l.nextAsk, l.askWait = time.Time{}, time.Time{}, 0
	}
	found := l.backURL
	if found == "" && l.loop != "" && !view.elsewhere {
		found = l.loop
	}
	l.mu.Unlock()
	l.tell(reach.FromDialBack, found)

	choice, _ := l.chooser.Current()
	relay := ""
	l.mu.Lock()
	if choice.Direct() || len(peers) == 0 && l.relay.ID == "" {
		l.relay = reach.RelayState{}
	} else if l.asked || now.Sub(l.since) >= relayGrace || l.relay.ID != "" {
		l.relay = reach.PickRelay(reach.RelayRule{Self: m.self}, l.relay, now, view.relays)
		relay = reach.RelayURL(l.relay.URL, m.self)
	}
	ask := l.mayAsk(now, choice, peers)
	l.mu.Unlock()
	l.tell(reach.FromRelay, relay)
	if ask != "" {
		m.run(func() { l.ask(ask) })
	}
}

func (l *locator) tell(s reach.Source, url string) {
	if err := l.chooser.Set(s, url); err != nil {
		l.m.log.Debug("a URL of this node is not usable", "source", s.String(), "error", err)
	}
}

// seen is what the members' cards say.
type seen struct {
	relays    []reach.Candidate
	elsewhere bool // some live member is reached on another machine
}

func (l *locator) candidates(peers []session.Peer) seen {
	m := l.m
	up := make(map[identity.ID]session.Peer, len(peers))
	for _, p := range peers {
		up[p.ID] = p
	}
	var s seen
	m.mu.Lock()
	defer m.mu.Unlock()
	carried := map[string]int{} // by the relay's URL
	for id, e := range m.roster.entries {
		if base, ok := strings.CutSuffix(e.card.URL, "/via/"+string(id)); ok && e.alive {
			carried[base]++
		}
	}
	for id, e := range m.roster.entries {
		if id == m.self || e.card.Leaving || e.card.URL == "" || strings.Contains(e.card.URL, "/via/") {
			continue
		}
		p, isUp := up[id]
		if (e.alive || isUp) && !isLoopbackURL(e.card.URL) {
			s.elsewhere = true
		}
		s.relays = append(s.relays, reach.Candidate{
			ID: id, URL: e.card.URL, Up: isUp && !relayed(p), RTT: p.RTT, Carries: carried[e.card.URL],
		})
	}
	return s
}

// mayAsk returns the peer to ask for a dial-back now, or "". l.mu is held.
func (l *locator) mayAsk(now time.Time, choice reach.Choice, peers []session.Peer) identity.ID {
	if l.m.cfg.ListenPort == 0 || l.m.cfg.ListenLocal || l.asking || now.Before(l.nextAsk) {
		return ""
	}
	switch choice.Source {
	case reach.FromFlag, reach.FromAgent, reach.FromTunnel:
		return ""
	case reach.FromDialBack:
		if l.backURL != "" && now.Sub(l.backAt) < dialBackAgain {
			return ""
		}
	}
	var next identity.ID
	for _, p := range peers {
		if !relayed(p) && (next == "" || l.askedPeer[p.ID].Before(l.askedPeer[next])) {
			next = p.ID
		}
	}
	if next != "" {
		l.asking = true
		l.askedPeer[next] = now
	}
	return next
}

// ask asks one peer for a dial-back.
func (l *locator) ask(peer identity.ID) {
	m := l.m
	ctx, cancel := context.WithTimeout(m.ctx, reach.DialBackTimeout)
	defer cancel()
	url := ""
	stream, err := m.sessions.Open(ctx, peer, session.StreamDialBack)
	if err == nil {
		url, err = reach.AskDialBack(ctx, stream, uint16(m.cfg.ListenPort))
	}
	m.log.Debug("asked for a dial-back", "peer", peer, "url", url, "error", err)
	now := m.now()
	l.mu.Lock()
	l.asking, l.asked = false, true
	switch {
	case err == nil:
		l.backURL, l.backAt, l.denied, l.askWait = url, now, 0, 0
		l.nextAsk = now
	case errors.Is(err, reach.ErrNotReached):
		// One peer's word takes no URL away that another has confirmed.
		if l.denied++; l.denied >= dialBackVerify {
			l.backURL = ""
		}
		fallthrough
	default:
		l.askWait = min(max(2*l.askWait, dialBackFirst), dialBackLast)
		l.nextAsk = now.Add(jitter(l.askWait))
	}
	for id, at := range l.askedPeer {
		if now.Sub(at) > time.Hour {
			delete(l.askedPeer, id)
		}
	}
	l.mu.Unlock()
	m.kick(m.kickMaintain)
}

// serve answers a peer that asks for a dial-back.
func (l *locator) serve(peer identity.ID, stream net.Conn) {
	p, ok := l.m.sessions.Peer(peer)
	if !ok {
		stream.Close()
		return
	}
	if err := l.back.Serve(l.m.ctx, peer, p.Remote, ownAddress(p), stream); err != nil {
		l.m.log.Debug("a dial-back was not answered", "peer", peer, "error", err)
	}
}

// ownAddress reports whether the other end of a session's socket is the peer itself: it is
// where the peer dialled, where this node dialled an IP address, and on a network of our
// own. Behind a public name that this node dialled may be a tunnel's service or a proxy.
func ownAddress(p session.Peer) bool {
	if relayed(p) {
		return false
	}
	if !p.Outbound {
		return true
	}
	if u, err := url.Parse(p.URL); err == nil {
		if _, err := netip.ParseAddr(u.Hostname()); err == nil {
			return true
		}
	}
	ap, err := netip.ParseAddrPort(p.Remote)
	return err == nil && ap.Addr().Unmap().IsPrivate()
}

// explainPage is what a tunnel says in place of a node, in words.
func explainPage(status int, header http.Header, body []byte) (string, bool) {
	t, ok := reach.ExplainPage(status, header, body)
	if !ok || t.Kind == reach.OtherPage && t.Code == "" {
		return "", false // the session knows its ways to say that something else is there
	}
	return t.Say, true
}
