package cluster

import (
	"context"
	"net/netip"
	"time"

	"caucus/cluster/identity"
	"caucus/cluster/mdns"
)

// Nodes of the same token on the local network, found by multicast DNS (Config.MDNS). What is found is dialled like
// what other nodes tell, and joined like an invite; from then on gossip tells of the rest.

const (
	// lookAlone is how often a node that is alone looks at first; it grows to lookLast, and that is also the pace
	// of a node which has found somebody: another may come whom nobody else sees.
	lookAlone = time.Second
	lookLast  = time.Minute
	lookGrows = 1.4

	// aloneAfter is after how many looks in vain a node without other invites begins a cluster of its own. It joins
	// those whom it finds later.
	aloneAfter = 3
)

// nearby looks for others and answers those who look, until Shutdown.
func (m *Membership) nearby() {
	if m.cfg.ListenLocal {
		m.log.Info("this node listens on this machine alone, so others on the local network cannot find it; it looks for them", "remedy", "--listen :5001")
	}
	n := &neighbours{m: m, wait: lookAlone, busy: make(map[identity.ID]bool)}
	mdns.Run(m.ctx, mdns.Config{
		Self: m.self, Tokens: m.goodTokens, URLs: m.lanURLs, Found: n.found, Looked: n.looked, Log: m.cfg.Log,
	})
}

// goodTokens are all that this node takes from a member, for one that comes back may have an old one.
func (m *Membership) goodTokens() []identity.Token {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.tokensLocked(time.Now(), true)
}

// lanURLs are the addresses at which others on this network can dial this node; none if they cannot.
func (m *Membership) lanURLs() []string {
	m.mu.Lock()
	leaving := m.leaving || m.roster.isRemoved(m.self)
	m.mu.Unlock()
	port := uint16(m.cfg.ListenPort)
	if leaving || port == 0 || m.cfg.ListenLocal {
		return nil
	}
	var urls []string
	if m.cfg.URL != "" {
		urls = append(urls, m.cfg.URL) // a person knows better, as behind a forwarded port
	}
	var addrs []netip.Addr
	if ip := m.cfg.ListenIP; ip.IsValid() && !ip.IsUnspecified() {
		addrs = append(addrs, ip.Unmap())
	} else if interfaces, err := mdns.Interfaces(); err == nil {
		for _, i := range interfaces {
			addrs = append(addrs, mdns.Addresses(i)...)
		}
	}
	for _, v6 := range []bool{false, true} {
		for _, a := range addrs {
			if a.Is6() != v6 {
				continue
			}
			if u, err := identity.ParseURL("http://" + netip.AddrPortFrom(a.WithZone(""), port).String()); err == nil {
				urls = append(urls, u)
			}
		}
	}
	return urls[:min(len(urls), mdns.MaxURLs)]
}

// neighbours is the state of the search.
type neighbours struct {
	m    *Membership
	wait time.Duration // touched by looked alone
	vain int           // likewise

	// busy and joined are guarded by Membership.mu.
	busy   map[identity.ID]bool // being dialled
	joined bool                 // the invite that the search stands for is done with
}

// looked is told how many answered a look, and says when to look again.
func (n *neighbours) looked(found int) time.Duration {
	m := n.m
	if found == 0 {
		n.vain++
	}
	m.mu.Lock()
	if n.vain >= aloneAfter && !m.cfg.NeverAlone && n.doneLocked() {
		m.log.Info("nobody with this token answers on the local network; this node begins by itself, and goes on looking")
	}
	m.mu.Unlock()
	if len(m.sessions.Peers()) > 0 {
		n.wait = lookAlone
		return lookLast
	}
	wait := n.wait
	n.wait = min(time.Duration(float64(wait)*lookGrows), lookLast)
	return m.patience(wait)
}

// doneLocked takes the search off the invites that this node waits for. It reports whether it was one.
func (n *neighbours) doneLocked() bool {
	if n.joined {
		return false
	}
	n.joined = true
	n.m.seeds--
	n.m.aloneLocked()
	n.m.publishLocked()
	n.m.wakeLocked()
	return true
}

// found dials a node that answered, unless it is known well enough.
func (n *neighbours) found(r mdns.Record) {
	m := n.m
	m.mu.Lock()
	skip := n.busy[r.ID] || m.leaving || m.stopped || m.roster.isRemoved(r.ID) || m.sessions.Connected(r.ID)
	if !skip {
		n.busy[r.ID] = true
	}
	m.mu.Unlock()
	if skip {
		return
	}
	began := m.run(func() {
		n.join(r)
		m.mu.Lock()
		delete(n.busy, r.ID)
		m.mu.Unlock()
	})
	if !began {
		m.mu.Lock()
		delete(n.busy, r.ID)
		m.mu.Unlock()
	}
}

// dial joins a node at one of its addresses. What the network says is what others tell: it is dialled under their rules,
// and only that node is met there. An address that leads nowhere from here leaves time for the next.
func (n *neighbours) dial(id identity.ID, url string) error {
	ctx, cancel := context.WithTimeout(n.m.ctx, dialWithin)
	defer cancel()
	if err := n.m.dialDirect(ctx, id, url); err != nil {
		return err
	}
	return n.m.joinDialled(id)
}

func (n *neighbours) join(r mdns.Record) {
	m := n.m
	for _, url := range r.URLs {
		err := n.dial(r.ID, url)
		if err == nil {
			m.log.Info("found a node on the local network", "node", r.ID, "url", url)
			m.mu.Lock()
			n.doneLocked()
			m.mu.Unlock()
			return
		}
		if m.ctx.Err() != nil {
			return
		}
		m.log.Debug("a node on the local network could not be joined", "node", r.ID, "url", url, "error", err)
	}
}
