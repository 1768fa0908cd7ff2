package reach

import (
	"maps"
	"slices"
	"sync"
	"time"

	"caucus/cluster/identity"
)

// Strangers remembers who answered at which URL, so that a card whose URL leads
// elsewhere cannot make a whole cluster call somebody again and again, and so that
// such a card does not keep anyone from the node that really is there.
//
// It knows only URLs that were told. A member's own failures are not its business: a
// URL where a node was met may be dialled for that node at any time, and the pace of
// that is the caller's. Its methods may be called from many goroutines.
type Strangers struct {
	mu  sync.Mutex // guards urls
	url map[string]acquaintance
}

// acquaintance is what is known of one URL.
type acquaintance struct {
	who      identity.ID // who proved itself there last, "" if nobody ever did
	at       time.Time   // of the last dial that told something
	failures int         // dials in a row at which nobody proved itself, while nobody ever did
}

const (
	strangerPause = 10 * time.Minute // between two calls to somebody who is not who was meant
	silentPause   = 10 * time.Second // after the first call that nobody answered; doubles up to strangerPause
	maxStrangers  = 1024             // four URLs a member
)

// NewStrangers returns a memory that knows nobody.
func NewStrangers() *Strangers { return &Strangers{url: map[string]acquaintance{}} }

// Wait says how long a URL is not to be dialled for want; 0 means that it may be now.
func (s *Strangers) Wait(url string, want identity.ID, now time.Time) time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	a, known := s.url[url]
	if !known || a.who == want {
		return 0
	}
	return max(0, a.until().Sub(now))
}

func (a acquaintance) until() time.Time {
	pause := strangerPause
	if a.who == "" {
		pause = min(silentPause<<min(a.failures-1, 10), strangerPause)
	}
	return a.at.Add(pause)
}

// Met records that a node proved in a session that it is who answers at a URL, whether
// or not it was the one meant.
func (s *Strangers) Met(url string, who identity.ID, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.put(url, acquaintance{who: who, at: now})
}

// Failed records that nobody proved itself at a URL: silence, a refused connection, a
// blocked address, or something that is no node.
func (s *Strangers) Failed(url string, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	a := s.url[url]
	if a.who != "" && now.Before(a.at.Add(strangerPause)) {
		return // a node that we know is down or restarting
	}
	s.put(url, acquaintance{at: now, failures: a.failures + 1})
}

// Left says that a node which may have answered at URLs of others is gone: they may be
// dialled again, for whoever is there now.
func (s *Strangers) Left(who identity.ID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	maps.DeleteFunc(s.url, func(_ string, a acquaintance) bool { return a.who == who })
}

// put stores what is known of a URL; mu is held.
func (s *Strangers) put(url string, a acquaintance) {
	if _, known := s.url[url]; !known && len(s.url) >= maxStrangers {
		s.prune(a.at)
	}
	s.url[url] = a
}

// prune makes room: those go whose time is over, and if there are none the quarter
// whose time is over first. So a flood of cards costs a sort only now and then.
func (s *Strangers) prune(now time.Time) {
	maps.DeleteFunc(s.url, func(_ string, a acquaintance) bool { return a.until().Before(now) })
	if len(s.url) < maxStrangers {
		return
	}
	urls := slices.SortedFunc(maps.Keys(s.url), func(a, b string) int {
		return s.url[a].until().Compare(s.url[b].until())
	})
	for _, u := range urls[:maxStrangers/4] {
		delete(s.url, u)
	}
}
