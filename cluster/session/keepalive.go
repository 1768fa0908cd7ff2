package session

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"
)

// maxMissed is how many pings may go unanswered.
const maxMissed = 2

// keepAlive pings when nothing was heard for a while, ends the link when nothing
// comes back, ends it when it is of no use, and watches over its being drained.
func (l *link) keepAlive() {
	patience := l.m.cfg.KeepAlive
	if !l.outbound {
		patience += patience / 3 // the dialler's ping comes first, and one will do
	}
	every := max(l.m.cfg.KeepAlive/3, time.Millisecond) // looks are cheap, and late by one at most
	if idle := l.m.cfg.IdleTimeout; idle > 0 {
		every = min(every, max(idle/2, time.Millisecond))
	}
	tick := time.NewTicker(every)
	defer tick.Stop()
	var drained <-chan time.Time
	missed, lastHeard, lastUsed := 0, time.Now(), time.Now()
	for {
		select {
		case <-l.shut:
			return
		case <-l.faster:
			t := time.NewTicker(drainPoll)
			defer t.Stop()
			drained = t.C
		case <-drained:
			l.endIfDrained()
		case now := <-tick.C:
			if l.heard.Swap(false) {
				missed, lastHeard = 0, now
			}
			if l.used.Swap(false) {
				lastUsed = now
			}
			if idle := l.m.cfg.IdleTimeout; idle > 0 && now.Sub(lastUsed) >= idle && l.unoccupied() {
				l.m.dismiss(l, errEnded, fmt.Sprintf("it was not used for %v", idle))
				continue
			}
			if now.Sub(lastHeard) < patience*time.Duration(missed+1) {
				continue
			}
			if missed++; missed > maxMissed {
				l.end(errors.New("the peer fell silent: no answer to two pings"))
				return
			}
			l.ping()
		}
	}
}

func (l *link) ping() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.pingID++
	l.pingSent = time.Now()
	var payload [8]byte
	binary.BigEndian.PutUint64(payload[:], l.pingID)
	l.queueFrame(framePing, payload[:])
}

// probe pings and ends the link unless something is heard within the time.
func (l *link) probe(within time.Duration) {
	before := l.read.Load()
	l.ping()
	time.AfterFunc(within, func() {
		if l.read.Load() == before {
			l.end(errors.New("the peer did not answer a probe"))
		}
	})
}

// unoccupied reports whether no question is under way in either direction.
func (l *link) unoccupied() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.pending) == 0 && len(l.jobs) == 0 && len(l.queue.out) == 0 && len(l.queue.bulk) == 0
}
