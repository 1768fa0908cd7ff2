// Package memnet is a network in memory for tests: listeners and connections that need
// no socket of the system's, so that whole nodes run inside a bubble of testing/synctest, where
// ten minutes of gossip take seconds and no busy machine changes what happens.
//
// Hosts have names. Links between them can be cut (connections break, new ones are
// refused) and a host can be frozen (its connections stand and carry nothing, as those of
// a laptop that sleeps).
package memnet

import (
	"context"
	"fmt"
	"net"
	"sync"
	"syscall"
)

// Network is a set of hosts. The zero value is not usable; see New.
type Network struct {
	mu        sync.Mutex // guards what follows
	listeners map[string]*listener
	side      map[string]int
	frozen    map[string]bool
	conns     map[*conn]bool // both ends of each
	next      int
}

// New returns a network without hosts.
func New() *Network {
	return &Network{listeners: map[string]*listener{}, side: map[string]int{}, frozen: map[string]bool{}, conns: map[*conn]bool{}}
}

// Listen opens a listener of a host at an address of its own, or at the one given (of an
// earlier listener, now closed).
func (n *Network) Listen(host, address string) (net.Listener, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if address == "" {
		n.next++
		address = fmt.Sprintf("10.99.%d.%d:80", n.next/250, 1+n.next%250)
	}
	if n.listeners[address] != nil {
		return nil, &net.OpError{Op: "listen", Net: "tcp", Err: syscall.EADDRINUSE}
	}
	at, err := net.ResolveTCPAddr("tcp", address)
	if err != nil {
		return nil, err
	}
	l := &listener{n: n, host: host, at: at, queue: make(chan net.Conn), closed: make(chan struct{})}
	n.listeners[address] = l
	return l, nil
}

// Dialer returns the DialContext of a host.
func (n *Network) Dialer(host string) func(ctx context.Context, network, address string) (net.Conn, error) {
	return func(ctx context.Context, _, address string) (net.Conn, error) {
		refused := &net.OpError{Op: "dial", Net: "tcp", Err: syscall.ECONNREFUSED}
		n.mu.Lock()
		l := n.listeners[address]
		if l == nil || n.side[host] != n.side[l.host] {
			n.mu.Unlock()
			return nil, refused
		}
		n.next++
		near := &net.TCPAddr{IP: net.IPv4(10, 98, 0, 1), Port: 1024 + n.next}
		there, back := newHalf(), newHalf()
		dialled := &conn{n: n, host: host, peer: l.host, in: back, out: there, local: near, remote: l.at}
		accepted := &conn{n: n, host: l.host, peer: host, in: there, out: back, local: l.at, remote: near}
		dialled.other, accepted.other = accepted, dialled
		there.frozen = n.frozen[host] || n.frozen[l.host]
		back.frozen = there.frozen
		n.conns[dialled], n.conns[accepted] = true, true
		n.mu.Unlock()
		select {
		case l.queue <- accepted:
			return dialled, nil
		case <-l.closed:
			dialled.Close()
			return nil, refused
		case <-ctx.Done():
			dialled.Close()
			return nil, &net.OpError{Op: "dial", Net: "tcp", Err: ctx.Err()}
		}
	}
}

// Cut puts hosts on sides, those that are not named on the first, and breaks every connection between two
// sides. Without arguments it heals all.
func (n *Network) Cut(sides ...[]string) {
	n.mu.Lock()
	clear(n.side)
	for i, side := range sides {
		for _, host := range side {
			n.side[host] = i
		}
	}
	var broken []*conn
	for c := range n.conns {
		if n.side[c.host] != n.side[c.peer] {
			broken = append(broken, c)
		}
	}
	n.mu.Unlock()
	for _, c := range broken {
		c.Close()
	}
}

// Freeze stops all that goes to and from a host, or lets it go on: what was written meanwhile arrives then.
func (n *Network) Freeze(host string, yes bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.frozen[host] = yes
	for c := range n.conns {
		if c.host == host || c.peer == host {
			c.in.freeze(n.frozen[c.host] || n.frozen[c.peer])
		}
	}
}

// Conns returns how many connections stand.
func (n *Network) Conns() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return len(n.conns) / 2
}

type listener struct {
	n      *Network
	host   string
	at     *net.TCPAddr
	queue  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func (l *listener) Accept() (net.Conn, error) {
	select {
	case c := <-l.queue:
		return c, nil
	case <-l.closed:
		return nil, &net.OpError{Op: "accept", Net: "tcp", Addr: l.at, Err: net.ErrClosed}
	}
}

func (l *listener) Addr() net.Addr { return l.at }

func (l *listener) Close() error {
	l.once.Do(func() {
		l.n.mu.Lock()
		delete(l.n.listeners, l.at.String())
		l.n.mu.Unlock()
		close(l.closed)
	})
	return nil
}
