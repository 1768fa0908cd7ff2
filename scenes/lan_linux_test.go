package scenes

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"caucus/cluster/identity"
)

// A team on one network: nobody says a URL. Each finds its own out from a peer that can dial
// it back, also the first, whom the others joined by an address.
func TestATeamOnOneNetworkFindsItsURLs(t *testing.T) {
	w := newWorld(t)
	sites := []*site{w.site("a", false), w.site("b", false), w.site("c", false)}
	w.lan()
	token, err := identity.NewToken()
	if err != nil {
		t.Fatal(err)
	}
	a := sites[0].serveWith([]string{"CAUCUS_TOKEN=" + token.String()}, "--model", "knn", "--listen", ":5001")
	logsOnFailure(t, a)
	a.untilSaid("serving")
	within(t, patience, "this is one network", func() error { // the kernel takes its time to answer for others
		if !w.reaches("b", sites[0].address+":5001") {
			return errors.New("b does not reach a")
		}
		return nil
	})
	invite := sites[0].address + ":5001#" + token.String()
	b := sites[1].serve("--model", "svm", "--listen", ":5001", "--join", invite)
	c := sites[2].serve("--model", "randforest", "--listen", ":5001", "--join", invite)
	logsOnFailure(t, b, c)
	all := []*player{a, b, c}
	took := within(t, patience, "all list all, each at its own address", each(all, func(p *player) error {
		if err := p.lists("a", "b", "c"); err != nil {
			return err
		}
		for i, name := range []string{"a", "b", "c"} {
			if err := hasURL(p, name, fmt.Sprintf("http://%s:5001", sites[i].address)); err != nil {
				return err
			}
		}
		return nil
	}))
	t.Logf("after %v", took.Round(time.Millisecond))
	votesGoOn(t, all, "a", "b", "c")

	// The first dies; the two others have each other, without any relay.
	a.kill()
	within(t, limit(30*time.Second), "b and c go on", each([]*player{b, c}, func(p *player) error {
		if err := p.says("a", "failed"); err != nil {
			return err
		}
		m, err := p.members()
		if err == nil && (m["b"].Via != "" || m["c"].Via != "") {
			err = errors.New("a relay between two that reach each other")
		}
		return err
	}))
	votesGoOn(t, []*player{b, c}, "b", "c")
}
