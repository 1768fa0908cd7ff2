package nodetest

import (
	"context"
	"errors"
	"net"
	"sync"
	"testing"

	"caucus/node"
)

// Links opens the sockets of all nodes of a test and can cut them, as a network that
// falls apart does.
type Links struct {
	mu    sync.Mutex
	addrs map[string]int // who listens where
	cut   map[[2]int]bool
	conns map[net.Conn][2]int
}

// NewLinks returns links that are all whole.
func NewLinks() *Links {
	return &Links{addrs: map[string]int{}, cut: map[[2]int]bool{}, conns: map[net.Conn][2]int{}}
}

// option makes a node dial through the links.
func (l *Links) option(i int, cfg *node.Config) {
	cfg.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
		l.mu.Lock()
		j, known := l.addrs[address]
		pair := [2]int{min(i, j), max(i, j)}
		cut := known && l.cut[pair]
		l.mu.Unlock()
		if cut {
			return nil, errors.New("the link is cut")
		}
		conn, err := (&net.Dialer{}).DialContext(ctx, network, address)
		if err != nil {
			return nil, err
		}
		l.mu.Lock()
		defer l.mu.Unlock()
		if known && l.cut[pair] {
			conn.Close()
			return nil, errors.New("the link is cut")
		}
		if known {
			l.conns[conn] = pair
		}
		return conn, nil
	}
}

// Start starts node i on the links and waits until it answers.
func (l *Links) Start(t testing.TB, i int, options ...Option) *Member {
	t.Helper()
	m := launch(t, i, append([]Option{l.option}, options...), func(m *Member) {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.addrs[m.Addr()] = i
	})
	m.WaitReady()
	return m
}

// Cut parts the nodes of a from those of b.
func (l *Links) Cut(a, b []int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, i := range a {
		for _, j := range b {
			l.cut[[2]int{min(i, j), max(i, j)}] = true
		}
	}
	for conn, pair := range l.conns {
		if l.cut[pair] {
			conn.Close()
			delete(l.conns, conn)
		}
	}
}

// Heal makes all links whole.
func (l *Links) Heal() {
	l.mu.Lock()
	defer l.mu.Unlock()
	clear(l.cut)
}
