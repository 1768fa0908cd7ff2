package web_test

import (
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"caucus/node/api"
)

// gathering is a node among members of which some are behind relays. On one machine all
// can dial all, so these are made up; scenes has real ones.
type gathering struct {
	hostile
	members []api.Member
}

func (g *gathering) Members() *api.MembersReply {
	return &api.MembersReply{Self: "self", Members: append([]api.Member{}, g.members...)}
}

func TestInABrowserRelaysAndWhoIsRefusedAreShown(t *testing.T) {
	chromium(t)
	member := func(id, state string, change func(*api.Member)) api.Member {
		m := api.Member{ID: id, Name: id, Model: "knn", State: state, Since: time.Unix(1e9, 0), Voter: state != "refused", Connected: state == "alive", RTT: 12_300}
		change(&m)
		return m
	}
	g := &gathering{members: []api.Member{
		member("self", "alive", func(m *api.Member) { m.Self = true }),
		member("hub", "alive", func(m *api.Member) { m.Carries = []string{"cellar", "attic"} }),
		member("cellar", "alive", func(m *api.Member) { m.Via, m.Through = "hub", "hub" }),
		member("attic", "alive", func(m *api.Member) { m.Via = "hub" }),
		member("uninvited", "refused", func(m *api.Member) { m.Reason = "its token is another cluster\u2019s" }),
		member("mine", "alive", func(m *api.Member) { m.Via = "self" }),
	}}
	g.info = api.Info{ID: "self", Name: "self", Features: []string{"a", "b"}, Labels: []string{"x", "y"}, Deadline: time.Second}
	a, err := api.New(api.Config{Node: g})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(a)
	t.Cleanup(server.Close)
	t.Cleanup(a.Close)
	b := open(t, server.URL+"/", 1280)
	b.wait(`document.querySelectorAll("#member-list tbody tr:not(.more)").length === 6`)

	// The line to the one behind the relay begins at the relay, and a dotted one shows whom it carries for others.
	place := `(name) => [...document.querySelectorAll("#picture .member")].find((g) => g.querySelector("title").textContent.startsWith(name + ",")).getAttribute("transform").match(/[\d.]+/g).map(Number)`
	lines := `(kind) => [...document.querySelectorAll("#picture ." + kind)].map((l) => ["x1", "y1", "x2", "y2"].map((k) => Number(l.getAttribute(k))).join())`
	for _, c := range []struct{ kind, from, to string }{{"relayed", "hub", "cellar"}, {"carried", "hub", "attic"}, {"down", "self", "uninvited"}} {
		if !eval[bool](b, `(`+lines+`)("`+c.kind+`").includes([...(`+place+`)("`+c.from+`"), ...(`+place+`)("`+c.to+`")].join())`) {
			t.Errorf("no line %s from %s to %s", c.kind, c.from, c.to)
		}
	}
	if n := eval[int](b, `document.querySelectorAll("#picture .arrow").length`); n != 2 {
		t.Errorf("%d arrows; cellar and mine are carried", n)
	}
	text := eval[string](b, `document.getElementById("relays-line").innerText + " " + document.getElementById("member-list").innerText`)
	for _, want := range []string{"hub carries attic and cellar", "This node carries mine", "through hub", "carried by hub", "carried by this node", "its token is another cluster\u2019s", "12 ms"} {
		if !strings.Contains(text, want) {
			t.Errorf("it does not say %q: %s", want, text)
		}
	}
}
