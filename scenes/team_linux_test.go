package scenes

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"math"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"
)

// The rows of the scene. Their values occur nowhere else, so that they can be searched for.
var rows = [][]float64{{5.843217, 3.418263, 1.462179, 0.241937}, {6.712839, 3.073184, 5.641927, 2.184273}}

func query(row []float64) string {
	parts := make([]string, len(row))
	for i, x := range row {
		parts[i] = fmt.Sprintf("feature%d=%v", i, x)
	}
	return strings.Join(parts, "&")
}

// Scene 3: one of a team has a tunnel, the others paste the line that their node prints.
//
// a is reachable only through the tunnel's proxy; b and c can dial out to the proxy and
// cannot be reached at all; later d comes, reachable through a tunnel of its own.
func TestATeamBehindOneTunnel(t *testing.T) {
	w := newWorld(t)
	const urlA, urlA2, urlA3, urlD = "10.89.0.1:80", "10.89.0.2:80", "10.89.0.3:80", "10.89.0.9:80"
	for _, u := range []string{urlA, urlA2, urlA3, urlD} {
		address, _, _ := strings.Cut(u, ":")
		w.publish(address)
	}
	siteA, siteB, siteC, siteD := w.site("a", true), w.site("b", false), w.site("c", false), w.site("d", true)
	proxy := w.proxy()
	proxy.open(route{Name: "a", Address: urlA, Target: siteA.address + ":5001"})
	proxy.open(route{Name: "d", Address: urlD, Target: siteD.address + ":5001"})
	siteA.tunnelURL("http://10.89.0.1")

	// The world is what it says it is.
	if !w.reaches("b", urlA) || w.reaches("b", siteA.address+":5001") {
		t.Fatal("b must reach the proxy, and a only through it")
	}

	a := siteA.serve("--model", "knn")
	logsOnFailure(t, a)
	line := a.untilSaid(`--join "(http://10\.89\.0\.1#([A-Za-z0-9_-]{43}))"`)
	invite, token := line[1], line[2]
	b := siteB.serve("--model", "svm", "--join", invite)
	// c listens on its network too, where nobody can reach it: it finds that out by itself.
	c := siteC.serve("--model", "randforest", "--listen", ":5001", "--join", invite)
	logsOnFailure(t, b, c)
	three := []*player{a, b, c}
	within(t, limit(5*time.Second), "all three list all three", each(three, func(p *player) error { return p.lists("a", "b", "c") }))
	t.Logf("soak: all three list all three, from the start of the last process | %v", time.Since(c.started).Round(time.Millisecond))
	if w.reaches("b", siteC.address+":5001") || w.reaches("c", siteB.address+":5001") {
		t.Fatal("b and c must not reach each other")
	}
	if err := b.counts(query(rows[0]), "a", "b", "c"); err != nil {
		t.Fatal(err)
	}
	ids := idsOf(t, a)
	for _, p := range three {
		m, err := p.members()
		if err != nil {
			t.Fatal(err)
		}
		if m["a"].Via != "" || m["b"].Via != ids["a"] || m["c"].Via != ids["a"] {
			t.Errorf("%s sees a via %q, b via %q, c via %q; a is %q", p.name, m["a"].Via, m["b"].Via, m["c"].Via, ids["a"])
		}
		if carries := m["a"].Carries; len(carries) != 2 {
			t.Errorf("%s says that a carries %q", p.name, carries)
		}
	}

	// One request a node to join; none to vote, whoever is asked, and none at rest.
	if got := proxy.counts("a"); got.total() != 2 || got["/gossip"] != 2 {
		t.Errorf("b and c joined with the requests %v; want one each", got)
	}
	for i := range 100 {
		for _, p := range three {
			if err := p.counts(query(rows[i%2]), "a", "b", "c"); err != nil {
				t.Fatalf("round %d: %v", i, err)
			}
		}
	}
	before := passed(proxy.captures())
	time.Sleep(atRest()) // the scene is that nothing happens
	if got := proxy.counts("a"); got.total() != 2 {
		t.Errorf("after 300 rounds and %v at rest the requests are %v; want none since joining", atRest(), got)
	}
	after := passed(proxy.captures())
	rate := func(b, a int) float64 { return float64(a-b) / atRest().Seconds() }
	// In the first seconds the news of the last rounds still goes round.
	t.Logf("soak: %v at rest, the hub of three, all that goes through its tunnel | %.0f B/s in, %.0f B/s out, %d requests since joining", atRest(), rate(before[0], after[0]), rate(before[1], after[1]), proxy.counts("a").total()-2)
	searchCaptures(t, proxy.captures(), token, 2)

	// Somebody outside asks a hidden node through the relay, and sees two of its addresses.
	viaC := "http://10.89.0.1/via/" + ids["c"]
	if out := w.fetch("d", viaC+"/predict?"+query(rows[0])); !strings.Contains(out, `"name":"c"`) || !strings.Contains(out, `"label":"setosa"`) {
		t.Errorf("predict through the relay: %s", out)
	}
	if out := w.fetch("d", viaC+"/card"); !strings.Contains(out, ids["c"]) || !strings.Contains(out, viaC) {
		t.Errorf("the card through the relay: %s", out)
	}
	for _, path := range []string{"/members", "/consensus?" + query(rows[0]), "/metrics", "/", "/via/" + ids["b"] + "/predict"} {
		if out := w.fetch("d", viaC+path); !strings.Contains(out, "HTTP 404") {
			t.Errorf("%s through the relay: %s", path, out)
		}
	}

	// The tunnel's address changes. What stands goes on; new calls to the old one are refused.
	proxy.open(route{Name: "a2", Address: urlA2, Target: siteA.address + ":5001"})
	proxy.close(urlA, false)
	siteA.tunnelURL("http://10.89.0.2")
	took := within(t, limit(5*time.Second), "all have the new address", each(three, func(p *player) error { return hasURL(p, "a", "http://10.89.0.2") }))
	t.Logf("soak: a new address of the tunnel is known by all | %v", took.Round(time.Millisecond))
	votesGoOn(t, three, "a", "b", "c")
	within(t, patience, "b and c have their new addresses", each(three, func(p *player) error {
		if err := hasURL(p, "b", "http://10.89.0.2/via/"+ids["b"]); err != nil {
			return err
		}
		return hasURL(p, "c", "http://10.89.0.2/via/"+ids["c"])
	}))

	// d comes in through the relay, by the URL of a hidden node, and is reachable itself.
	siteD.tunnelURL("http://10.89.0.9")
	d := siteD.serve("--model", "tree", "--join", "http://10.89.0.2/via/"+ids["c"]+"#"+token)
	logsOnFailure(t, d)
	four := []*player{a, b, c, d}
	within(t, patience, "all four list all four", each(four, func(p *player) error { return p.lists("a", "b", "c", "d") }))
	if err := b.counts(query(rows[1]), "a", "b", "c", "d"); err != nil {
		t.Error(err)
	}

	// The tunnel is restarted: it has another address again, and every connection through it is cut.
	proxy.open(route{Name: "a3", Address: urlA3, Target: siteA.address + ":5001"})
	proxy.close(urlA2, true)
	siteA.tunnelURL("http://10.89.0.3")
	took = within(t, limit(5*time.Second), "all have the new address", each(four, func(p *player) error { return hasURL(p, "a", "http://10.89.0.3") }))
	t.Logf("soak: the same with all connections cut | %v", took.Round(time.Millisecond))
	within(t, limit(5*time.Second), "all four are in touch", each(four, func(p *player) error { return p.lists("a", "b", "c", "d") }))
	votesGoOn(t, four, "a", "b", "c", "d")
	for _, p := range four {
		if lines := p.changed("failed"); len(lines) > 0 {
			t.Errorf("%s took somebody for dead because an address changed: %q", p.name, lines)
		}
	}

	// a dies. The hidden ones move to d.
	a.kill()
	rest := []*player{b, c, d}
	took = within(t, limit(30*time.Second), "b and c have moved to d", each(rest, func(p *player) error {
		m, err := p.members()
		if err == nil && (m["b"].Via != ids["d"] && m["b"].Via != idsOf(t, d)["d"] || m["c"].Via != m["b"].Via || !m["b"].Connected || !m["c"].Connected) {
			err = fmt.Errorf("%s sees %+v", p.name, m)
		}
		return err
	}))
	t.Logf("soak: the relay dies: the hidden ones are with another | %v", took.Round(time.Millisecond))
	took = within(t, limit(30*time.Second), "they say that a failed", each(rest, func(p *player) error { return p.says("a", "failed") }))
	t.Logf("and said that a had failed %v later", took)
	for _, p := range rest {
		if err := p.counts(query(rows[0]), "b", "c", "d"); err != nil {
			t.Error(err)
		}
	}
	searchCaptures(t, proxy.captures(), token, 5)
}

// The only reachable node dies, and another takes its address over: the hidden ones, who
// cannot be called by anybody, come to it by themselves.
func TestHiddenNodesComeToWhoeverTakesTheAddressOver(t *testing.T) {
	w := newWorld(t)
	const urlA = "10.89.0.1:80"
	w.publish("10.89.0.1")
	siteA, siteB, siteC, siteD := w.site("a", true), w.site("b", false), w.site("c", false), w.site("d", true)
	proxy := w.proxy()
	proxy.open(route{Name: "a", Address: urlA, Target: siteA.address + ":5001"})

	a := siteA.serve("--model", "knn", "--public-url", "http://10.89.0.1")
	logsOnFailure(t, a)
	line := a.untilSaid(`--join "(http://10\.89\.0\.1#([A-Za-z0-9_-]{43}))"`)
	b := siteB.serve("--model", "svm", "--join", line[1])
	c := siteC.serve("--model", "randforest", "--join", line[1])
	logsOnFailure(t, b, c)
	within(t, patience, "all three list all three", each([]*player{a, b, c}, func(p *player) error { return p.lists("a", "b", "c") }))
	if err := c.counts(query(rows[0]), "a", "b", "c"); err != nil {
		t.Fatal(err)
	}

	a.kill()
	hidden := []*player{b, c}
	took := within(t, limit(30*time.Second), "b and c say that a failed", each(hidden, func(p *player) error { return p.says("a", "failed") }))
	t.Logf("b and c said that a had failed after %v", took)
	// Each stands alone now and must not decide.
	if _, _, err := b.asked(query(rows[0])); err == nil || !strings.Contains(err.Error(), "quorum-not-reached") {
		t.Errorf("b, alone of three: %v", err)
	}

	proxy.close(urlA, true)
	proxy.open(route{Name: "d", Address: urlA, Target: siteD.address + ":5001"})
	d := siteD.serve("--model", "tree", "--public-url", "http://10.89.0.1", "--join", "http://10.89.0.1#"+line[2])
	logsOnFailure(t, d)
	took = within(t, limit(30*time.Second), "b and c have moved to d", all(
		each([]*player{b, c, d}, func(p *player) error { return p.counts(query(rows[0]), "b", "c", "d") }),
		each([]*player{b, c, d}, func(p *player) error {
			m, err := p.members()
			if err == nil && (m["b"].Via != m["d"].ID || m["c"].Via != m["d"].ID) {
				err = fmt.Errorf("%s sees %+v", p.name, m)
			}
			return err
		}),
	))
	t.Logf("soak: the only reachable node dies, another takes its address over: all decide together again | %v", took.Round(time.Millisecond))
}

// passed returns how many bytes came in from the public side and went out to it.
func passed(captures []capture) (bytes [2]int) {
	for _, c := range captures {
		bytes[0] += len(c.In)
		bytes[1] += len(c.Out)
	}
	return bytes
}

// atRest is how long nothing is done; CAUCUS_SCENE_REST makes it longer.
func atRest() time.Duration {
	d, err := time.ParseDuration(os.Getenv("CAUCUS_SCENE_REST"))
	if err != nil {
		return 3 * time.Second
	}
	return d
}

func idsOf(t *testing.T, p *player) map[string]string {
	t.Helper()
	m, err := p.members()
	if err != nil {
		t.Fatal(err)
	}
	ids := map[string]string{}
	for name, x := range m {
		ids[name] = x.ID
	}
	return ids
}

func hasURL(p *player, name, url string) error {
	m, err := p.members()
	if err == nil && m[name].URL != url {
		err = fmt.Errorf("%s has %q as the URL of %s, want %q", p.name, m[name].URL, name, url)
	}
	return err
}

func votesGoOn(t *testing.T, players []*player, names ...string) {
	t.Helper()
	for _, p := range players {
		if err := p.counts(query(rows[0]), names...); err != nil {
			t.Error(err)
		}
	}
}

// searchCaptures looks through all that the proxy saw, as it was and with WebSocket
// payloads unmasked, for anything that only members may know.
func searchCaptures(t *testing.T, captures []capture, token string, sessions int) {
	t.Helper()
	raw, err := base64.RawURLEncoding.DecodeString(token)
	if err != nil {
		t.Fatal(err)
	}
	secrets := map[string][]byte{"the token": []byte(token), "the token's bytes": raw}
	for _, label := range []string{"setosa", "versicolor", "virginica", "sepal_length", "petal_width"} {
		secrets["the name "+label] = []byte(label)
	}
	for _, row := range rows {
		for _, x := range row {
			secrets[fmt.Sprintf("the feature %v", x)] = []byte(strconv.FormatFloat(x, 'g', -1, 64))
			secrets[fmt.Sprintf("the feature %v, little-endian", x)] = binary.LittleEndian.AppendUint64(nil, math.Float64bits(x))
			secrets[fmt.Sprintf("the feature %v, big-endian", x)] = binary.BigEndian.AppendUint64(nil, math.Float64bits(x))
		}
	}
	var found, carried int
	for _, c := range captures {
		_, isSession := payloads(c.Out)
		for _, stream := range [][]byte{c.In, c.Out} {
			payload, upgraded := payloads(stream)
			if isSession && upgraded {
				carried += len(payload)
				if !bytes.HasPrefix(payload, []byte{0x16, 0x03}) { // a TLS handshake
					t.Errorf("what goes through the WebSocket from %s does not begin with TLS: % x", c.Remote, payload[:min(8, len(payload))])
				}
			}
			for what, secret := range secrets {
				if !isSession {
					continue // plain HTTP to /via is for outsiders, and as open as their call
				}
				if bytes.Contains(stream, secret) || bytes.Contains(payload, secret) {
					t.Errorf("the proxy saw %s in what came from or went to %s", what, c.Remote)
				}
			}
		}
		if isSession {
			found++
		}
	}
	if found < sessions || carried == 0 {
		t.Errorf("the proxy kept %d sessions with %d bytes, want at least %d", found, carried, sessions)
	}
	t.Logf("the proxy kept %d connections, %d of them sessions with %d bytes inside", len(captures), found, carried)
}
