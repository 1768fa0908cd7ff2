package session

import (
	"bytes"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// tap is a TCP proxy that sees all and can do harm, as a tunnel's operator could.
type tap struct {
	listener net.Listener
	to       string
	flip     atomic.Bool // change one byte of the next piece
	frozen   chan struct{}
	once     sync.Once

	mu    sync.Mutex
	seen  bytes.Buffer
	conns []net.Conn
	wg    sync.WaitGroup
}

func newTap(t testing.TB, url string) *tap {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &tap{listener: l, to: strings.TrimPrefix(url, "http://"), frozen: make(chan struct{})}
	p.wg.Go(p.accept)
	t.Cleanup(func() {
		_ = l.Close()
		p.cut()
		p.wg.Wait()
	})
	return p
}

func (p *tap) url() string { return "http://" + p.listener.Addr().String() }

func (p *tap) accept() {
	for {
		in, err := p.listener.Accept()
		if err != nil {
			return
		}
		out, err := net.Dial("tcp", p.to)
		if err != nil {
			_ = in.Close()
			continue
		}
		p.mu.Lock()
		p.conns = append(p.conns, in, out)
		p.mu.Unlock()
		p.wg.Go(func() { p.pipe(out, in) })
		p.wg.Go(func() { p.pipe(in, out) })
	}
}

func (p *tap) pipe(to, from net.Conn) {
	defer to.Close()
	b := make([]byte, 32<<10)
	for {
		n, err := from.Read(b)
		select {
		case <-p.frozen:
			_, _ = io.Copy(io.Discard, from) // swallow all, until cut
			return
		default:
		}
		if n > 0 {
			p.mu.Lock()
			p.seen.Write(b[:n])
			p.mu.Unlock()
			if p.flip.CompareAndSwap(true, false) {
				b[n-1] ^= 1
			}
			if _, err := to.Write(b[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

// freeze stops passing anything on, with the sockets left open.
func (p *tap) freeze() { p.once.Do(func() { close(p.frozen) }) }

// cut closes every connection.
func (p *tap) cut() {
	p.freeze()
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.conns {
		_ = c.Close()
	}
}

func (p *tap) saw(s string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return bytes.Contains(p.seen.Bytes(), []byte(s))
}
