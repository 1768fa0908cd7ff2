package cluster

import (
	"slices"
	"strings"

	"caucus/cluster/identity"
)

// Who carries whom, by what the cards say: a relayed URL is the relay's URL and /via/{id}.

// relayOf returns the member whose URL a relayed URL of id begins with, "" if none is known.
func (r *roster) relayOf(id identity.ID, url string) identity.ID {
	base, ok := strings.CutSuffix(url, "/via/"+string(id))
	if !ok {
		return ""
	}
	relay := identity.ID("")
	for other, e := range r.entries {
		if e.card.URL == base && other != id && !e.card.Leaving && (relay == "" || r.ratherAt(other, relay)) {
			relay = other
		}
	}
	return relay
}

// ratherAt reports whether a is to be believed to be at a URL that b has on its card too: one took the other's address over, or
// they share a tunnel. Who is alive goes first.
func (r *roster) ratherAt(a, b identity.ID) bool {
	if x, y := r.entries[a].alive, r.entries[b].alive; x != y {
		return x
	}
	return a < b
}

// relayed returns the relay of each member whose card names one that is known, and whom each relay carries.
func (r *roster) relayed() (via map[identity.ID]identity.ID, carries map[identity.ID][]identity.ID) {
	var direct map[string]identity.ID
	for id, e := range r.entries {
		base, ok := strings.CutSuffix(e.card.URL, "/via/"+string(id))
		if !ok || e.card.Leaving {
			continue
		}
		if direct == nil {
			direct = make(map[string]identity.ID, len(r.entries))
			for other, e := range r.entries {
				if at := direct[e.card.URL]; e.card.URL != "" && !e.card.Leaving && (at == "" || r.ratherAt(other, at)) {
					direct[e.card.URL] = other
				}
			}
			via, carries = make(map[identity.ID]identity.ID), make(map[identity.ID][]identity.ID)
		}
		if relay := direct[base]; relay != "" {
			via[id] = relay
			carries[relay] = append(carries[relay], id)
		}
	}
	for _, ids := range carries {
		slices.Sort(ids)
	}
	return via, carries
}
