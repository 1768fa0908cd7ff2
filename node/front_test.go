package node_test

import (
	"io"
	"net"
	"sync"
	"testing"
)

// front is a TCP address that leads to one of several nodes in turn, as a tunnel's does, and that breaks as one does.
type front struct {
	l net.Listener

	mu       sync.Mutex // guards what follows
	targets  []string
	accepted int
	conns    map[net.Conn]bool
	held     chan struct{} // what clients say on connections that stood before goes no further until it is closed; nil: all flows
	wg       sync.WaitGroup
}

func newFront(t *testing.T, targets ...string) *front {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f := &front{l: l, targets: targets, conns: map[net.Conn]bool{}}
	f.wg.Go(f.accept)
	t.Cleanup(func() {
		f.close()
		f.cut()
		f.wg.Wait()
	})
	return f
}

func (f *front) url() string { return "http://" + f.l.Addr().String() }

// close refuses whoever comes; what stands goes on.
func (f *front) close() { f.l.Close() }

// cut breaks what stands.
func (f *front) cut() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.held != nil {
		close(f.held)
		f.held = nil
	}
	for c := range f.conns {
		c.Close()
	}
}

func (f *front) lead(targets ...string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.targets = targets
}

// hold lets those who dialled and stand say no more, in the middle of a word, until release. Who comes later may speak.
func (f *front) hold() (release func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	held := make(chan struct{})
	f.held = held
	return func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		if f.held == held {
			close(held)
			f.held = nil
		}
	}
}

func (f *front) count() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.accepted
}

func (f *front) accept() {
	for {
		c, err := f.l.Accept()
		if err != nil {
			return
		}
		f.mu.Lock()
		var target string
		if len(f.targets) > 0 {
			target = f.targets[f.accepted%len(f.targets)]
		}
		f.accepted++
		f.conns[c] = true
		f.mu.Unlock()
		f.wg.Go(func() { f.pass(c, target) })
	}
}

func (f *front) pass(c net.Conn, target string) {
	defer func() {
		c.Close()
		f.mu.Lock()
		delete(f.conns, c)
		f.mu.Unlock()
	}()
	to, err := net.Dial("tcp", target)
	if err != nil {
		return
	}
	defer to.Close()
	f.wg.Go(func() {
		defer c.Close()
		_, _ = io.Copy(c, to)
	})
	f.mu.Lock()
	before := f.held // of a hold that was there first, this one knows nothing
	f.mu.Unlock()
	buf := make([]byte, 4096)
	for {
		n, err := c.Read(buf)
		f.mu.Lock()
		held := f.held
		f.mu.Unlock()
		part := buf[:n]
		if held != nil && held != before && n > 0 {
			// Half of it gets through.
			if _, err := to.Write(part[:n/2]); err != nil {
				return
			}
			<-held
			part = part[n/2:]
		}
		if len(part) > 0 {
			if _, err := to.Write(part); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}
