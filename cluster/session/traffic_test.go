package session

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"testing"

	"caucus/cluster/identity"
)

// tunnelTo is an agent of a tunnel as the node behind it sees it: requests come from this machine and say
// for whom.
func tunnelTo(t *testing.T, n *node) string {
	t.Helper()
	target, err := url.Parse(n.url())
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewServer(&httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(target)
		r.SetXForwarded()
	}})
	t.Cleanup(s.Close)
	return s.URL
}

func TestTrafficIsCountedByPeerAndPath(t *testing.T) {
	a, b, c := start(t, nil), start(t, nil), start(t, nil)
	join(t, a, b)
	if _, err := c.Dial(t.Context(), tunnelTo(t, b), b.id, nil); err != nil {
		t.Fatal(err)
	}
	eventually(t, "b has both", func() bool { return b.Connected(a.id) && b.Connected(c.id) })
	for range 50 {
		mustAsk(t, a, b.id, "how much is it?")
	}
	near, far := b.Traffic()[a.id], b.Traffic()[c.id]
	// 50 questions with their headers, over the 15 bytes that each has.
	if f := near[Direct]; f.Accepted != 1 || f.Dialled != 0 || f.BytesIn < 50*15 || f.BytesOut < 50*15 || near[Public] != (Flow{}) {
		t.Errorf("b has of a: %+v", near)
	}
	if f := far[Public]; f.Accepted != 1 || f.BytesIn == 0 || f.BytesOut == 0 || far[Direct] != (Flow{}) {
		t.Errorf("b has of c: %+v", far)
	}
	if p, _ := b.Peer(c.id); p.Path != Public {
		t.Errorf("the path of c is %v", p.Path)
	}
	if f := a.Traffic()[b.id][Direct]; f.Dialled != 1 || f.Accepted != 0 || f.BytesOut < 50*15 {
		t.Errorf("a has of b: %+v", f)
	}
	// What an ended session moved is not forgotten, and the next one is counted on top.
	before := a.Traffic()[b.id][Direct]
	a.Drop(b.id, "to see")
	eventually(t, "both have seen the end", func() bool { return !a.Connected(b.id) && !b.Connected(a.id) })
	if after := a.Traffic()[b.id][Direct]; after.BytesIn < before.BytesIn || after.BytesOut < before.BytesOut {
		t.Errorf("it sank from %+v to %+v", before, after)
	}
	if err := a.Meet(t.Context(), b.url(), b.id); err != nil {
		t.Fatal(err)
	}
	if f := a.Traffic()[b.id][Direct]; f.Dialled != 2 {
		t.Errorf("a request that made no session is not counted: %+v", f)
	}
	if _, err := a.Dial(t.Context(), answering(t, http.NotFound), b.id, nil); err == nil {
		t.Fatal("a web server passed for a node")
	}
	if f := a.Traffic()[b.id][Direct]; f.Dialled != 3 {
		t.Errorf("a request in vain is not counted: %+v", f)
	}
}

func TestMetersOfPeersThatAreGoneAreBounded(t *testing.T) {
	a, b := start(t, nil), start(t, nil)
	join(t, a, b)
	for i := range 2 * maxMeters {
		a.countDial(identity.ID(fmt.Sprint("peer ", i)), Direct)
	}
	all := a.Traffic()
	if len(all) > maxMeters {
		t.Errorf("%d meters, the limit is %d", len(all), maxMeters)
	}
	if all[b.id][Direct].Dialled != 1 {
		t.Error("the meter of a peer with a session was dropped")
	}
}
