package reach

import (
	"cmp"
	"hash/fnv"
	"strings"
	"time"

	"caucus/cluster/identity"
)

// RelayURL returns the URL under which a hidden node is reached through a relay at a
// direct URL, or "" where the relay's URL is itself a relayed one: relays do not chain.
func RelayURL(relay string, id identity.ID) string {
	if relay == "" || strings.Contains(relay, "/via/") {
		return ""
	}
	return strings.TrimRight(relay, "/") + "/via/" + string(id)
}

// Candidate is a member that might carry this node.
type Candidate struct {
	ID      identity.ID
	URL     string        // its own URL; a relayed one does not make it a candidate
	Up      bool          // we have a session with it now
	RTT     time.Duration // of that session, 0 if not measured yet
	Carries int           // how many members it carries, ourselves included
}

// RelayRule says when to move from one relay to another. The zero value means the defaults.
type RelayRule struct {
	// Self is this node. It only makes each node wait a time of its own: nodes that saw
	// the same and moved at the same moment would find the other relay as full as the first.
	Self       identity.ID
	MaxCarried int           // members that one relay carries, default 64; those it carries already stay
	PerCarried time.Duration // what each member that it carries adds to a relay's round trip, to spread them; default 2 ms
	Gain       time.Duration // a move must gain at least this, default 20 ms
	Share      float64       // and at least this share of the present cost, default 0.3
	Settle     time.Duration // for this long without a break, up to twice as long by Self; default 30 s
	Unknown    time.Duration // what a round trip not measured yet counts for, default 1 s
}

// RelayState is what PickRelay remembers between two calls. The zero value: no relay yet.
type RelayState struct {
	ID     identity.ID // the relay in use, "" for none
	URL    string      // its URL, to notice when that changes
	better identity.ID // who has been better
	since  time.Time   // and since when
}

// PickRelay is a pure function from the candidates at a moment to the relay to use. It
// takes the cheapest (round trip, and a little for each member carried; ties to who
// carries fewer, then by id). It leaves a relay at once when that has no session or no
// direct URL any more, and for a clearly better one only after that has been better
// all through Settle. So equal relays never swap, and hidden nodes do not chase each
// other: the cost of a relay counts this node on it, whether it is there yet or not.
// Call it every few seconds, and when a session or a URL ends.
func PickRelay(rule RelayRule, was RelayState, now time.Time, candidates []Candidate) RelayState {
	rule = rule.withDefaults()
	var best, current *Candidate
	for i := range candidates {
		c := &candidates[i]
		if !c.Up || RelayURL(c.URL, c.ID) == "" {
			continue
		}
		if c.ID == was.ID {
			current = c
		} else if c.Carries >= rule.MaxCarried {
			continue
		}
		if best == nil || rule.compare(*c, *best, was.ID) < 0 {
			best = c
		}
	}
	if best == nil {
		return RelayState{}
	}
	if current == nil {
		return RelayState{ID: best.ID, URL: best.URL}
	}
	stay := RelayState{ID: current.ID, URL: current.URL}
	cost, gain := rule.cost(*current, was.ID), rule.cost(*current, was.ID)-rule.cost(*best, was.ID)
	if best == current || gain < rule.Gain || float64(gain) < rule.Share*float64(cost) {
		return stay
	}
	// Somebody has been better all the time, though not always the same one.
	stay.better, stay.since = best.ID, was.since
	if was.better == "" {
		stay.since = now
	}
	if now.Sub(stay.since) >= rule.settle() {
		return RelayState{ID: best.ID, URL: best.URL}
	}
	return stay
}

func (r RelayRule) withDefaults() RelayRule {
	r.MaxCarried = cmp.Or(r.MaxCarried, 64)
	r.PerCarried = cmp.Or(r.PerCarried, 2*time.Millisecond)
	r.Gain = cmp.Or(r.Gain, 20*time.Millisecond)
	r.Share = cmp.Or(r.Share, 0.3)
	r.Settle = cmp.Or(r.Settle, 30*time.Second)
	r.Unknown = cmp.Or(r.Unknown, time.Second)
	return r
}

func (r RelayRule) settle() time.Duration {
	if r.Self == "" {
		return r.Settle
	}
	h := fnv.New32a()
	_, _ = h.Write([]byte(r.Self)) // never fails
	return r.Settle + time.Duration(float64(r.Settle)*float64(h.Sum32())/(1<<32))
}

func (r RelayRule) cost(c Candidate, current identity.ID) time.Duration {
	rtt := c.RTT
	if rtt <= 0 {
		rtt = r.Unknown
	}
	carries := c.Carries
	if c.ID != current {
		carries++ // as if we were there
	}
	return rtt + time.Duration(carries)*r.PerCarried
}

func (r RelayRule) compare(a, b Candidate, current identity.ID) int {
	return cmp.Or(
		cmp.Compare(r.cost(a, current), r.cost(b, current)),
		cmp.Compare(a.Carries, b.Carries),
		cmp.Compare(a.ID, b.ID))
}
