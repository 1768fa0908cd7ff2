package reach

import (
	"fmt"
	"testing"
	"time"

	"caucus/cluster/identity"
)

func relayAt(id string, rtt time.Duration, carries int) Candidate {
	return Candidate{ID: identity.ID(id), URL: "https://" + id + ".example", Up: true, RTT: rtt, Carries: carries}
}

const ms = time.Millisecond

func TestPickRelayTakesTheCheapestThatCanCarry(t *testing.T) {
	hidden := relayAt("hidden", ms, 0)
	hidden.URL = "https://hub.example/via/hidden"
	none := relayAt("none", ms, 0)
	none.URL = ""
	down := relayAt("down", ms, 0)
	down.Up = false
	tests := []struct {
		name       string
		candidates []Candidate
		want       string
	}{
		{"nobody", nil, ""},
		{"one", []Candidate{relayAt("a", 80*ms, 0)}, "a"},
		{"the nearest", []Candidate{relayAt("a", 80*ms, 0), relayAt("b", 20*ms, 0)}, "b"},
		{"one that carries fewer", []Candidate{relayAt("a", 20*ms, 9), relayAt("b", 22*ms, 0)}, "b"},
		{"far nearer though it carries more", []Candidate{relayAt("a", 20*ms, 9), relayAt("b", 220*ms, 0)}, "a"},
		{"equals: the smaller id", []Candidate{relayAt("b", 20*ms, 1), relayAt("a", 20*ms, 1)}, "a"},
		{"a measured one before one that is not", []Candidate{relayAt("a", 0, 0), relayAt("b", 300*ms, 0)}, "b"},
		{"one not measured before none", []Candidate{relayAt("a", 0, 0)}, "a"},
		{"none that is hidden itself", []Candidate{hidden, none, relayAt("a", 80*ms, 0)}, "a"},
		{"none without a session", []Candidate{down, relayAt("a", 80*ms, 0)}, "a"},
		{"none that is full", []Candidate{relayAt("a", ms, 64), relayAt("b", 80*ms, 63)}, "b"},
		{"nobody when none can", []Candidate{hidden, none, down, relayAt("a", ms, 64)}, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := PickRelay(RelayRule{}, RelayState{}, time.Unix(0, 0), tt.candidates)
			if string(got.ID) != tt.want || (got.URL == "") != (tt.want == "") {
				t.Errorf("picked %q at %q, want %q", got.ID, got.URL, tt.want)
			}
		})
	}
}

func TestPickRelayStaysUntilAnotherIsClearlyBetterForAWhile(t *testing.T) {
	start := time.Unix(1000, 0)
	on := PickRelay(RelayRule{}, RelayState{}, start, []Candidate{relayAt("a", 100*ms, 0)})
	steps := []struct {
		name  string
		after time.Duration
		b     time.Duration // b's round trip; a's is 100 ms
		want  string
	}{
		{"a little better", 0, 90 * ms, "a"},
		{"a little better, for an hour", time.Hour, 90 * ms, "a"},
		{"much better", time.Hour, 20 * ms, "a"},
		{"much better for a while", time.Hour + 29*time.Second, 20 * ms, "a"},
		{"not better for a moment", time.Hour + 29*time.Second, 95 * ms, "a"},
		{"better again", time.Hour + 31*time.Second, 20 * ms, "a"},
		{"better for half the time", time.Hour + 46*time.Second, 20 * ms, "a"},
		{"better all the time", time.Hour + 61*time.Second, 20 * ms, "b"},
		{"no way back for a little", 2 * time.Hour, 110 * ms, "b"},
	}
	for _, s := range steps {
		on = PickRelay(RelayRule{}, on, start.Add(s.after), []Candidate{relayAt("a", 100*ms, 1), relayAt("b", s.b, 0)})
		if string(on.ID) != s.want {
			t.Fatalf("%s: on %q, want %q", s.name, on.ID, s.want)
		}
	}
}

func TestPickRelayLeavesADeadOneAtOnce(t *testing.T) {
	now := time.Unix(1000, 0)
	b := relayAt("b", 500*ms, 40)
	on := RelayState{ID: "a", URL: "https://a.example"}
	dead := relayAt("a", ms, 1)
	dead.Up = false
	hidden := relayAt("a", ms, 1)
	hidden.URL = "https://b.example/via/a"
	for name, candidates := range map[string][]Candidate{"its session ended": {dead, b}, "it is gone": {b}, "it has lost its URL": {hidden, b}} {
		if got := PickRelay(RelayRule{}, on, now, candidates); got.ID != "b" {
			t.Errorf("%s: on %q", name, got.ID)
		}
	}
	if got := PickRelay(RelayRule{}, on, now, []Candidate{dead}); got != (RelayState{}) {
		t.Errorf("nobody left: %+v", got)
	}
}

func TestPickRelayFollowsTheURLOfItsRelayAndStaysOnAFullOne(t *testing.T) {
	a := relayAt("a", 20*ms, 64)
	a.URL = "https://new.example"
	got := PickRelay(RelayRule{}, RelayState{ID: "a", URL: "https://old.example"}, time.Unix(0, 0), []Candidate{a, relayAt("b", 19*ms, 0)})
	if got.ID != "a" || got.URL != "https://new.example" {
		t.Errorf("on %q at %q", got.ID, got.URL)
	}
}

// Many hidden nodes see the same two relays at the same time: they must spread and then rest.
func TestPickRelayOfManyNodesComesToRest(t *testing.T) {
	const nodes = 20
	on := make([]RelayState, nodes)
	moves := 0
	for second := range 600 {
		carried := map[identity.ID]int{}
		for _, s := range on {
			carried[s.ID]++
		}
		next := make([]RelayState, nodes)
		for i, s := range on { // all decide on the same view, the worst case
			next[i] = PickRelay(RelayRule{Self: identity.ID(fmt.Sprintf("node%d", i))}, s, time.Unix(int64(second), 0),
				[]Candidate{relayAt("a", 30*ms, carried["a"]), relayAt("b", 32*ms, carried["b"])})
			if second > 120 && next[i].ID != s.ID {
				moves++
			}
		}
		on = next
	}
	carried := map[identity.ID]int{}
	for _, s := range on {
		carried[s.ID]++
	}
	if moves > 0 || carried["a"] < 5 || carried["b"] < 5 {
		t.Errorf("%d moves among %d nodes after two minutes; they are on %v", moves, nodes, carried)
	}
}

func TestRelayURL(t *testing.T) {
	id := identity.ID("abcdefghijklmnopqrstuvwxyz234567")
	for relay, want := range map[string]string{
		"https://hub.example":  "https://hub.example/via/abcdefghijklmnopqrstuvwxyz234567",
		"https://hub.example/": "https://hub.example/via/abcdefghijklmnopqrstuvwxyz234567",
		"":                     "",
		"https://hub.example/via/abcdefghijklmnopqrstuvwxyz234567": "",
	} {
		got := RelayURL(relay, id)
		if got != want {
			t.Errorf("%q: %q, want %q", relay, got, want)
		}
		if got != "" {
			if _, err := identity.ParseURL(got); err != nil {
				t.Error(err)
			}
		}
	}
}
