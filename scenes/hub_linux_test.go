package scenes

import (
	"net"
	"strings"
	"testing"
	"time"
)

// Five of a team: one has a tunnel, and the four others can only dial out. All that any two of them say to one another
// goes through that one tunnel, in and out again where it is passed on.
func TestFiveBehindOneTunnel(t *testing.T) {
	w := newWorld(t)
	w.publish("10.89.0.1")
	names := []string{"a", "b", "c", "d", "e"}
	sites := []*site{w.site("a", true)}
	for _, name := range names[1:] {
		sites = append(sites, w.site(name, false))
	}
	proxy := w.proxy()
	proxy.open(route{Name: "a", Address: "10.89.0.1:80", Target: sites[0].address + ":5001"})
	players := []*player{sites[0].serve("--model", "knn", "--public-url", "http://10.89.0.1")}
	line := players[0].untilSaid(`--join "(http://10\.89\.0\.1#[A-Za-z0-9_-]{43})"`)
	for i, s := range sites[1:] {
		players = append(players, s.serve("--model", []string{"svm", "randforest", "tree", "knn"}[i], "--join", line[1]))
	}
	logsOnFailure(t, players...)
	took := within(t, limit(10*time.Second), "all five list all five", each(players, func(p *player) error { return p.lists(names...) }))
	t.Logf("all five listed all five after %v", took.Round(time.Millisecond))
	for _, p := range players {
		if err := p.counts(query(rows[0]), names...); err != nil {
			t.Fatal(err)
		}
	}
	if got := proxy.counts("a"); got.total() != 4 || got["/gossip"] != 4 {
		t.Errorf("four joined with the requests %v; want one each", got)
	}
	settle := min(atRest()/4, 30*time.Second) // the news of the last round still goes round
	time.Sleep(settle)
	before := perSite(proxy.captures())
	began := time.Now()
	time.Sleep(atRest() - settle) // the scene is that nothing happens
	after, over := perSite(proxy.captures()), time.Since(began).Seconds()
	if got := proxy.counts("a"); got.total() != 4 {
		t.Errorf("at rest the requests are %v; want none since joining", got)
	}
	var hub [2]float64
	for _, s := range sites[1:] {
		in, out := float64(after[s.address][0]-before[s.address][0])/over, float64(after[s.address][1]-before[s.address][1])/over
		hub[0], hub[1] = hub[0]+in, hub[1]+out
		t.Logf("soak: %.0f s at rest, a hidden node of five, through the tunnel | %.0f B/s out, %.0f B/s in", over, in, out)
	}
	t.Logf("soak: %.0f s at rest, the hub of five, all that goes through its tunnel | %.0f B/s in, %.0f B/s out, %d requests since joining", over, hub[0], hub[1], proxy.counts("a").total()-4)
	for _, p := range players {
		if lines := append(p.changed("failed"), p.changed("suspect")...); len(lines) > 0 {
			t.Logf("%s: %q", p.name, lines)
		}
	}
	if err := players[4].counts(query(rows[1]), names...); err != nil {
		t.Error(err)
	}
}

// perSite sums the bytes that came from each address, and went to it.
func perSite(captures []capture) map[string][2]int {
	sums := map[string][2]int{}
	for _, c := range captures {
		host, _, err := net.SplitHostPort(c.Remote)
		if err != nil {
			continue
		}
		sum := sums[host]
		sums[host] = [2]int{sum[0] + len(c.In), sum[1] + len(c.Out)}
	}
	return sums
}

// The tunnel's agent is started after the node, which had no token until then: it makes one, prints the line, and
// whoever pastes it is in.
func TestATunnelThatComesLate(t *testing.T) {
	w := newWorld(t)
	w.publish("10.89.0.1")
	siteA, siteB := w.site("a", true), w.site("b", false)
	proxy := w.proxy()
	proxy.open(route{Name: "a", Address: "10.89.0.1:80", Target: siteA.address + ":5001"})
	a := siteA.serve("--model", "knn")
	logsOnFailure(t, a)
	a.untilSaid("predicts iris")
	if text := a.printed(); strings.Contains(text, "--join") {
		t.Errorf("without a tunnel it prints a line for others:\n%s", text)
	}
	// Somebody who knows the address of the tunnel is not let in while there is no token.
	early := siteB.serve("--model", "svm", "--join", "http://10.89.0.1")
	early.untilSaid("refused by the node at the invite's address")
	if m, err := a.members(); err != nil || len(m) != 1 {
		t.Errorf("a stranger came in: %+v %v", m, err)
	}
	early.kill()
	siteA.tunnelURL("http://10.89.0.1")
	line := a.untilSaid(`(?s)A tunnel leads to this node now.*--join "(http://10\.89\.0\.1#[A-Za-z0-9_-]{43})"`)
	b := siteB.serve("--model", "svm", "--join", line[1])
	logsOnFailure(t, b)
	within(t, patience, "both list both", each([]*player{a, b}, func(p *player) error { return p.lists("a", "b") }))
	if err := b.counts(query(rows[0]), "a", "b"); err != nil {
		t.Error(err)
	}
	if strings.Contains(a.printed(), "level=ERROR") {
		t.Errorf("the log has an error:\n%s", a.printed())
	}
}
