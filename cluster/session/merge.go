package session

import (
	"bytes"
	"errors"
	"log/slog"
	"slices"
	"time"

	"caucus/cluster/identity"
)

// drainage is how far the draining of a link has come. link.mu guards it.
type drainage struct {
	sent     bool      // this end begins nothing new on it
	received bool      // nor does the peer
	since    time.Time // when this end knew
	opening  int       // streams that are being opened
}

const (
	drainPoll = 50 * time.Millisecond
	// maxLinks is how many links one peer may have at once, drained ones included.
	maxLinks = 4
)

// decides reports whether this node, and not the peer, picks the survivor of
// several links between them. One end must: seen from two ends "the newest" may
// be two different links.
func (m *Manager) decides(l *link) bool { return m.id < l.peer }

// drainTimeout is how long what was begun may take on a link that is drained.
// Questions take less; a stream that lives long is cut and opened again elsewhere.
func (m *Manager) drainTimeout() time.Duration { return 2 * m.cfg.HandshakeTimeout }

// register adds a link, starts it, and merges it with what there is.
func (m *Manager) register(l *link) error {
	m.mu.Lock()
	if m.closed {
		m.mu.Unlock()
		return ErrClosed
	}
	if err := l.start(); err != nil {
		m.mu.Unlock()
		return err
	}
	others := m.links[l.peer]
	m.links[l.peer] = append(slices.Clone(others), l)
	if t := m.meter(l.peer); !l.outbound && l.path != Relayed {
		t[l.path].Accepted++
	}
	var surplus *link
	if len(others) >= maxLinks {
		surplus = others[0]
	}
	for _, o := range others {
		// The newest is alive for certain, whereas the others may be what is
		// left of a peer that restarted.
		o.mu.Lock()
		if m.decides(l) || o.drain.received {
			o.startDrain()
		}
		o.mu.Unlock()
		if !bytes.Equal(o.process, l.process) {
			m.wg.Go(func() { l.compareWith(o) })
		}
	}
	m.publish(l.peer)
	if len(others) == 0 {
		m.tell(m.cfg.OnUp, l.peer)
	}
	m.mu.Unlock()
	m.cfg.Log.Debug("session up", "peer", l.peer, "outbound", l.outbound, "remote", l.base.RemoteAddr().String())
	if surplus != nil {
		surplus.end(errors.New("the peer made too many sessions"))
	}
	return nil
}

// unregister takes an ended link out.
func (m *Manager) unregister(l *link, cause error) {
	level := slog.LevelInfo
	if errors.Is(cause, errEnded) || errors.Is(cause, ErrClosed) {
		level = slog.LevelDebug // as this node chose
	}
	m.cfg.Log.Log(m.ctx, level, "session down", "peer", l.peer, "outbound", l.outbound, "cause", cause)
	m.mu.Lock()
	links := m.links[l.peer]
	i := slices.Index(links, l)
	if i < 0 {
		m.mu.Unlock()
		return
	}
	m.meter(l.peer).add(l)
	if len(links) == 1 {
		delete(m.links, l.peer)
		m.tell(m.cfg.OnDown, l.peer)
	} else {
		m.links[l.peer] = slices.Delete(slices.Clone(links), i, i+1)
	}
	m.publish(l.peer)
	m.mu.Unlock()
}

// publish makes the newest usable link of a peer the one that is used; m.mu is held.
func (m *Manager) publish(peers ...identity.ID) {
	next := make(map[identity.ID]*link, len(m.links))
	for id, l := range *m.current.Load() {
		next[id] = l
	}
	for _, id := range peers {
		delete(next, id)
		for _, l := range m.links[id] { // oldest first
			l.mu.Lock()
			if l.ended == nil && l.leaving == nil && !l.drain.sent {
				next[id] = l
			}
			l.mu.Unlock()
		}
	}
	m.current.Store(&next)
}

// startDrain says to the peer that this end begins nothing new here; l.mu is held.
func (l *link) startDrain() {
	if l.drain.sent || l.ended != nil || l.leaving != nil {
		return
	}
	l.queueFrame(frameDrain, nil)
	l.drain.sent, l.drain.since = true, time.Now()
	select {
	case l.faster <- struct{}{}:
	default:
	}
}

// drainAsked deals with the peer's word that it begins nothing new on l. This
// end follows as soon as it has another link: the peer may have seen that one
// a little earlier.
func (m *Manager) drainAsked(l *link) {
	m.mu.Lock()
	defer m.mu.Unlock()
	links := m.links[l.peer]
	another := slices.ContainsFunc(links, func(o *link) bool {
		o.mu.Lock()
		defer o.mu.Unlock()
		return o != l && o.ended == nil && o.leaving == nil && !o.drain.sent && !o.drain.received
	})
	l.mu.Lock()
	l.drain.received = true
	if another {
		l.startDrain()
	}
	l.mu.Unlock()
	m.publish(l.peer)
}

// endIfDrained ends a link on which nothing is under way any more, or for too long.
func (l *link) endIfDrained() {
	streams := l.yamux.NumStreams()
	l.mu.Lock()
	d := &l.drain
	empty := len(l.pending) == 0 && len(l.jobs) == 0 && len(l.queue.out) == 0 && len(l.queue.bulk) == 0 &&
		!l.queue.writing && streams == 0 && d.opening == 0
	over := d.sent && (d.received && empty || time.Since(d.since) > l.m.drainTimeout())
	l.mu.Unlock()
	if over {
		l.bye(errEnded, "another session took its place")
	}
}
