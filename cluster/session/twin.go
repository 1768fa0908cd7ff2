package session

import (
	"bytes"
	"context"
	"time"
)

// Two processes with one key are one peer to everybody, and their sessions take turns. Each process has a
// certificate of its own, so a peer whose links have different ones has restarted, and then the
// older link is dead, or there are two of it, and then both live.

// twinWithin is how long the older link may take to show that it lives.
const twinWithin = 2 * time.Second

// isOwn reports whether a certificate is that of this very process.
func (m *Manager) isOwn(certificate []byte) bool {
	return bytes.Equal(certificate, m.tls.Certificates[0].Certificate[0])
}

// compareWith finds out whether an older link of the same peer belongs to another process that lives still, and
// tells both of them, and the configuration.
func (l *link) compareWith(o *link) {
	o.ping()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(twinWithin); ; {
		o.mu.Lock()
		answered := o.pingSent.IsZero()
		o.mu.Unlock()
		if answered {
			break
		}
		select {
		case <-o.shut:
			return
		case <-l.shut:
			return
		case now := <-tick.C:
			if now.After(end) {
				return
			}
		}
	}
	if l.m.cfg.OnTwins != nil {
		l.m.cfg.OnTwins(l.peer)
	}
	ctx, cancel := context.WithTimeout(l.ctx, twinWithin)
	defer cancel()
	for _, x := range []*link{l, o} {
		if s, err := x.open(ctx, StreamTwin); err == nil { // else it will come again, and be told then
			_ = s.Close()
		}
	}
}
