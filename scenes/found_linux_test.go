package scenes

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"caucus/cluster/identity"
)

func newToken(t *testing.T) []string {
	t.Helper()
	token, err := identity.NewToken()
	if err != nil {
		t.Fatal(err)
	}
	return []string{"CAUCUS_TOKEN=" + token.String()}
}

// A team on one network names no address at all: the nodes of one token find one another by multicast, and nobody
// else. Each also has an address that leads nowhere from the others.
func TestATeamFindsItselfByMulticast(t *testing.T) {
	w := newWorld(t)
	sites := []*site{w.site("a", false), w.site("b", false), w.site("c", false), w.site("x", false)}
	addresses := w.segment("a", "b", "c", "x")
	token := newToken(t)
	a := sites[0].serveWith(token, "--model", "knn", "--listen", ":5001", "--mdns")
	logsOnFailure(t, a)
	// The first begins by itself after some looks in vain.
	a.untilSaid("nobody with this token answers on the local network; this node begins by itself")
	within(t, patience, "a answers alone", func() error { return a.counts(query(rows[0]), "a") })
	b := sites[1].serveWith(token, "--model", "svm", "--listen", ":5001", "--mdns")
	// c cannot be dialled, and finds the others all the same.
	c := sites[2].serveWith(token, "--model", "randforest", "--mdns")
	x := sites[3].serveWith(newToken(t), "--model", "tree", "--listen", ":5001", "--mdns", "--log-level", "debug")
	logsOnFailure(t, b, c, x)
	three := []*player{a, b, c}
	took := within(t, patience, "all three list all three", each(three, func(p *player) error { return p.lists("a", "b", "c") }))
	t.Logf("all three listed all three after %v", took.Round(time.Millisecond))
	votesGoOn(t, three, "a", "b", "c")
	within(t, patience, "b's address is the one on the segment", each(three, func(p *player) error { return hasURL(p, "b", "http://"+addresses[1]+":5001") }))
	// The one with another token has read their records and stays by itself.
	x.untilSaid("a record on the local network is not ours.*a node of another cluster")
	x.untilSaid("begins by itself")
	if err := x.lists("x"); err != nil {
		t.Error(err)
	}
}

// A name with several addresses, such as a headless service of Kubernetes has: every node says the same name, which
// also stands for itself, and whoever is behind it is joined in whatever order they start.
func TestEveryAddressBehindANameIsJoined(t *testing.T) {
	w := newWorld(t)
	sites := []*site{w.site("a", false), w.site("b", false), w.site("c", false)}
	addresses := w.segment("a", "b", "c")
	for _, s := range sites {
		w.hosts(s.name, "team", append(addresses, "10.90.0.99")...) // the last is nobody's
	}
	token := newToken(t)
	start := func(s *site) *player {
		p := s.serveWith(token, "--listen", ":5001", "--join", "dns+team:5001")
		logsOnFailure(t, p)
		return p
	}
	c := start(sites[2])
	// Alone behind its name it waits for the others, as any node that has somebody to join.
	within(t, patience, "c waits", func() error {
		_, _, err := c.asked(query(rows[0]))
		if err == nil || !strings.Contains(err.Error(), "joining") {
			return fmt.Errorf("it answers %v", err)
		}
		return nil
	})
	a, b := start(sites[0]), start(sites[1])
	three := []*player{a, b, c}
	took := within(t, patience, "all three list all three", each(three, func(p *player) error { return p.lists("a", "b", "c") }))
	t.Logf("all three listed all three after %v", took.Round(time.Millisecond))
	votesGoOn(t, three, "a", "b", "c")
	for i, p := range three {
		within(t, patience, "its address is the one on the segment", func() error {
			return hasURL(a, p.name, "http://"+addresses[i]+":5001")
		})
	}
	if w.reaches("a", sites[1].address+":5001") {
		t.Error(errors.New("a reaches b by another way than the segment"))
	}
}
