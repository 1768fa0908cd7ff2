package node

import (
	"math/rand/v2"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"caucus/cluster"
	"caucus/cluster/session"
	"caucus/node/api"
	"caucus/node/consensus"
)

// Deadlines are tested in virtual time: they are exact.

func TestWhenARoundEnds(t *testing.T) {
	ms := time.Millisecond
	for _, c := range []struct {
		name     string
		members  int
		peers    []behaviour // of members 1, 2, ...
		change   func(*api.Question)
		took     time.Duration
		outcomes string
		status   string
		early    bool
		summary  string
	}{
		{"all answer", 3, nil, nil, ms, "setosa setosa setosa", "ok", false, "all 3 say setosa"},
		{"one is slow: the others decide, and linger", 3, []behaviour{votesFor(0, ms), votesFor(0, 2000*ms)}, nil, 51 * ms, "setosa setosa pending", "ok", true, "2 of 3 say setosa; m2 was not waited for"},
		{"one answers within the linger", 3, []behaviour{votesFor(0, ms), votesFor(1, 40*ms)}, nil, 40 * ms, "setosa setosa versicolor", "ok", false, "2 of 3 say setosa; m2 says versicolor"},
		{"wait=decided does not linger", 3, []behaviour{votesFor(0, ms), votesFor(0, 2*ms)}, func(q *api.Question) { q.Wait = api.WaitDecided }, ms, "setosa setosa pending", "ok", true, ""},
		{"wait=all waits", 3, []behaviour{votesFor(0, ms), votesFor(1, 2000*ms)}, func(q *api.Question) { q.Wait = api.WaitAll }, 2000 * ms, "setosa setosa versicolor", "ok", false, ""},
		{"wait=all waits to the deadline", 3, []behaviour{votesFor(0, ms), never}, func(q *api.Question) { q.Wait = api.WaitAll }, 3000 * ms, "setosa setosa timeout", "degraded", false, "2 of 3 say setosa; m2 did not answer in time"},
		{"a third vote is needed", 3, []behaviour{votesFor(1, ms), votesFor(1, 900*ms)}, nil, 900 * ms, "setosa versicolor versicolor", "ok", false, ""},
		{"a third vote is needed and does not come", 3, []behaviour{votesFor(1, ms), never}, nil, 1500 * ms, "setosa versicolor timeout", "tie", false, ""},
		{"timeout= caps", 3, []behaviour{votesFor(1, ms), never}, func(q *api.Question) { q.Timeout = 200 * ms }, 200 * ms, "setosa versicolor timeout", "tie", false, ""},
		{"a tie", 4, []behaviour{votesFor(0, ms), votesFor(1, ms), votesFor(1, ms)}, nil, ms, "setosa setosa versicolor versicolor", "tie", false, ""},
		{"a broken connection ends the wait", 3, []behaviour{votesFor(0, ms), {after: 5 * ms, err: session.ErrClosed}}, nil, 5 * ms, "setosa setosa connect_error", "degraded", false, "2 of 3 say setosa; m2 could not be reached"},
		{"require=full waits for all", 3, []behaviour{votesFor(0, ms), votesFor(0, 900*ms)}, func(q *api.Question) { q.Full = true }, 900 * ms, "setosa setosa setosa", "ok", false, ""},
		{"alone in a cluster of its own", 1, nil, nil, 0, "setosa", "single", false, "m0 says setosa; it has no peers yet"},
		{"only some models", 5, []behaviour{votesFor(1, ms), votesFor(0, ms), votesFor(1, ms), votesFor(0, ms)}, func(q *api.Question) { q.Models = []string{"svm"} }, ms, "versicolor versicolor", "ok", false, "both say versicolor"},
		{"minority", 3, []behaviour{never, never}, func(q *api.Question) { q.Minority = true }, 1500 * ms, "setosa timeout timeout", "minority", false, "only 1 of 3 voted and 2 are needed; it says setosa; m1 and m2 did not answer in time"},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t, c.members)
				for i, p := range c.peers {
					b.courier.set(idOf(i+1), p)
				}
				if c.change == nil {
					c.change = func(*api.Question) {}
				}
				r, took, p := b.ask(t, c.change)
				if p != nil {
					t.Fatal(p)
				}
				if took != c.took || outcomes(r.Votes) != c.outcomes || r.Status != c.status || r.DecidedEarly != c.early {
					t.Errorf("after %v: %s, %s, early %v; want %v: %s, %s, %v", took, outcomes(r.Votes), r.Status, r.DecidedEarly, c.took, c.outcomes, c.status, c.early)
				}
				if c.summary != "" && r.Summary != c.summary {
					t.Errorf("summary is %q", r.Summary)
				}
				if r.ElapsedMs != api.Millis(c.took.Microseconds()) {
					t.Errorf("elapsed_ms %v", r.ElapsedMs.Float())
				}
				time.Sleep(10 * time.Second) // stragglers end; the bubble checks for goroutines
			})
		})
	}
}

func TestBelowQuorumIsAProblemThatSaysWhoIsMissingAndWhatToDo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, 3)
		b.courier.set(idOf(1), behaviour{sendErr: session.ErrNoSession})
		b.courier.set(idOf(2), never)
		b.cluster.change(func(v *cluster.View) { v.Members[1].State = cluster.Failed })
		_, took, p := b.ask(t)
		if p == nil || p.Kind() != api.QuorumNotReached || took != 1500*time.Millisecond {
			t.Fatalf("%v after %v", p, took)
		}
		if p.Status != 503 || p.Invited != 3 || p.Counted != 1 || p.Quorum != 2 || p.ProvisionalLabel != "setosa" || *p.ProvisionalClass != 0 || len(p.Votes) != 3 {
			t.Errorf("%+v", p)
		}
		if len(p.Missing) != 2 || p.Missing[0].Name != "m1" || p.Missing[0].State != "failed" || p.Missing[0].Outcome != "connect_error" ||
			!strings.Contains(p.Missing[0].Reason, "failed since 2023-11-14") || p.Missing[1].Outcome != "timeout" {
			t.Errorf("%+v", p.Missing)
		}
		if todo := strings.Join(p.WhatToDo, "\n"); !strings.Contains(todo, "start m1 again") || !strings.Contains(todo, "caucus forget m1") || !strings.Contains(todo, "minority=true") {
			t.Errorf("%s", todo)
		}
		b.cluster.change(func(v *cluster.View) { v.Restored = true })
		_, _, p = b.ask(t)
		if todo := strings.Join(p.WhatToDo, "\n"); !strings.Contains(todo, "wait") || !strings.Contains(todo, "forget --failed") || !strings.Contains(todo, "--new-cluster") {
			t.Errorf("restored: %s", todo)
		}
		_, _, p = b.ask(t, func(q *api.Question) { q.Quorum = 7 })
		if todo := strings.Join(p.WhatToDo, "\n"); p.Quorum != 7 || !strings.Contains(todo, "at most 3") {
			t.Errorf("quorum=7: %+v", p)
		}
		time.Sleep(10 * time.Second)
	})
}

func TestNobodyIsInvitedButMembersOfTheTask(t *testing.T) {
	b := newBench(t, 6)
	b.cluster.change(func(v *cluster.View) {
		v.Members[1].State = cluster.Left
		v.Members[2].State = cluster.Refused
		v.Members[3].Task = [32]byte{9}
		v.Members[4].State = cluster.Suspect
	})
	r, _, p := b.ask(t, func(q *api.Question) { q.Wait = api.WaitAll })
	if p != nil || r.Invited != 3 || r.Counted != 3 {
		t.Fatalf("%+v %v", r, p)
	}
	for i, want := range []int{0, 0, 0, 0, 1, 1} {
		if got := b.courier.count(idOf(i)); got != want {
			t.Errorf("member %d was asked %d times, want %d", i, got, want)
		}
	}
}

func TestAFailedMemberThatHasASessionStillVotes(t *testing.T) {
	b := newBench(t, 3)
	b.cluster.change(func(v *cluster.View) { v.Members[1].State = cluster.Failed })
	if r, _, p := b.ask(t); p != nil || r.Counted != 3 || r.Status != "ok" {
		t.Fatalf("%+v %v", r, p)
	}
}

func TestANodeThatHasNotJoinedSaysWhomItWaitsFor(t *testing.T) {
	b := newBench(t, 1)
	b.invites = "http://10.0.0.5:5001"
	b.cluster.change(func(v *cluster.View) { v.Joined = false })
	if _, _, p := b.ask(t); p == nil || p.Kind() != api.Joining || !strings.Contains(p.Message, "http://10.0.0.5:5001") {
		t.Errorf("%v", p)
	}
	b.cluster.trouble = "nothing listens there"
	if _, _, p := b.ask(t); p == nil || !strings.Contains(p.Message, "nothing listens there") || !strings.Contains(p.Message, "http://10.0.0.5:5001") {
		t.Errorf("%v", p)
	}
	b.cluster.change(func(v *cluster.View) {
		v.Joined = true
		v.Members[0].State, v.Members[0].Reason = cluster.Refused, "it came late"
	})
	if _, _, p := b.ask(t); p == nil || p.Kind() != api.Joining || !strings.Contains(p.Message, "it came late") {
		t.Errorf("%v", p)
	}
}

func TestModelsThatNobodyHasAreRefusedWithThoseThatThereAre(t *testing.T) {
	b := newBench(t, 3)
	_, _, p := b.ask(t, func(q *api.Question) { q.Models = []string{"knn", "oracle"} })
	if p == nil || p.Status != 400 || !strings.Contains(p.Message, "oracle") || !strings.Contains(p.Message, "knn, own, svm") {
		t.Errorf("%v", p)
	}
}

func TestWhatIsNoVoteIsNotCounted(t *testing.T) {
	ok := byte(consensus.OK)
	for name, c := range map[string]struct {
		b       behaviour
		outcome string
		reason  string
	}{
		"garbage":                     {behaviour{raw: []byte("\xff\xfe garbage")}, "bad_schema", "cannot be read"},
		"nothing":                     {behaviour{raw: []byte{}}, "bad_schema", "cannot be read"},
		"a label that is not there":   {votesFor(99, 0), "bad_label", "class 99"},
		"two labels for one row":      {behaviour{answer: session.Answer{Outcome: ok, Classes: 3, Labels: []uint16{0, 0}}}, "bad_schema", "number of rows"},
		"no label":                    {behaviour{answer: session.Answer{Outcome: ok, Classes: 3}}, "bad_schema", ""},
		"another number of classes":   {behaviour{answer: session.Answer{Outcome: ok, Classes: 4, Labels: []uint16{0}}}, "bad_schema", "labels"},
		"probabilities above one":     {behaviour{answer: session.Answer{Outcome: ok, Classes: 3, Labels: []uint16{0}, Probabilities: []uint32{900_000, 900_000, 0}}}, "bad_schema", "sum"},
		"its model failed":            {behaviour{answer: session.Answer{Outcome: byte(consensus.Internal), Classes: 3, Reason: "its model panicked"}}, "internal", "panicked"},
		"it abstains":                 {behaviour{answer: session.Answer{Outcome: byte(consensus.Abstain), Classes: 3, Reason: "not my thing"}}, "abstain", "not my thing"},
		"it claims to be ejected":     {behaviour{answer: session.Answer{Outcome: byte(consensus.Ejected), Classes: 3}}, "bad_schema", "no sense"},
		"it claims to be pending":     {behaviour{answer: session.Answer{Outcome: 0, Classes: 3}}, "bad_schema", ""},
		"an outcome that is none":     {behaviour{answer: session.Answer{Outcome: 200, Classes: 3}}, "bad_schema", ""},
		"it is too busy":              {behaviour{err: &session.RemoteError{Busy: true, Reason: "busy"}}, "shed", ""},
		"it could not answer":         {behaviour{err: &session.RemoteError{Reason: "its model failed"}}, "internal", "its model failed"},
		"escape sequences in reasons": {behaviour{answer: session.Answer{Outcome: byte(consensus.Internal), Classes: 3, Reason: "\x1b[31mred\n"}}, "internal", "[31mred"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t, 3)
				b.courier.set(idOf(1), c.b)
				r, _, p := b.ask(t, func(q *api.Question) { q.Wait = api.WaitAll })
				if p != nil {
					t.Fatal(p)
				}
				v := r.Votes[1]
				if v.Outcome != c.outcome || v.Label != "" || v.Weight != 0 || r.Counted != 2 || r.Label != "setosa" {
					t.Errorf("%+v in %+v", v, r)
				}
				if !strings.Contains(v.Reason, c.reason) || strings.ContainsAny(v.Reason, "\x1b\n") {
					t.Errorf("reason %q", v.Reason)
				}
			})
		})
	}
}

func TestAPeerThatFailsThreeTimesIsLeftAloneAndProbed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, 3)
		sick := idOf(2)
		b.courier.set(sick, never)
		play := func() string {
			t.Helper()
			r, _, p := b.ask(t)
			if p != nil {
				t.Fatal(p)
			}
			if r.Invited != 3 {
				t.Errorf("n is %d", r.Invited)
			}
			time.Sleep(2 * time.Second) // its time runs out
			return r.Votes[2].Outcome
		}
		for range 3 {
			if o := play(); o != "pending" {
				t.Fatal(o)
			}
		}
		if o := play(); o != "ejected" {
			t.Fatalf("fourth: %s", o)
		}
		if n := b.courier.count(sick); n != 3 {
			t.Fatalf("asked %d times", n)
		}
		time.Sleep(10 * time.Second)
		if o := play(); o != "pending" || b.courier.count(sick) != 4 {
			t.Fatalf("probe: %s", o)
		}
		time.Sleep(12 * time.Second) // the ejection has doubled
		if o := play(); o != "ejected" {
			t.Fatalf("after a probe that failed: %s", o)
		}
		time.Sleep(20 * time.Second)
		b.courier.set(sick, votesFor(0, time.Millisecond))
		if o := play(); o != "ok" {
			t.Fatalf("probe of the healed: %s", o)
		}
		if o := play(); o != "ok" {
			t.Fatalf("healed: %s", o)
		}
	})
}

func TestANewCardEndsTheEjection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, 3)
		b.courier.set(idOf(2), behaviour{err: session.ErrClosed})
		for range 4 {
			b.ask(t)
		}
		b.courier.set(idOf(2), votesFor(0, 0))
		if r, _, _ := b.ask(t); r.Votes[2].Outcome != "ejected" || r.Status != "degraded" {
			t.Fatalf("%+v", r)
		}
		b.cluster.change(func(v *cluster.View) { v.Members[2].Sequence = 2 })
		if r, _, _ := b.ask(t); r.Votes[2].Outcome != "ok" {
			t.Errorf("%+v", r)
		}
	})
}

func TestAnImpatientClientDoesNotEjectAPeer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, 3)
		b.courier.set(idOf(1), votesFor(0, 300*time.Millisecond))
		b.courier.set(idOf(2), votesFor(0, 300*time.Millisecond))
		for range 5 {
			b.ask(t, func(q *api.Question) { q.Timeout = 20 * time.Millisecond })
			time.Sleep(time.Second)
		}
		if r, _, p := b.ask(t); p != nil || r.Counted != 3 {
			t.Errorf("%+v %v", r, p)
		}
	})
}

func TestALateVoteClearsThePeersName(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, 3)
		b.courier.set(idOf(2), votesFor(0, 1400*time.Millisecond))
		for range 6 {
			if r, _, _ := b.ask(t); r.Votes[2].Outcome != "pending" {
				t.Fatalf("%+v", r.Votes[2])
			}
			time.Sleep(2 * time.Second)
		}
		if n := b.courier.count(idOf(2)); n != 6 {
			t.Errorf("asked %d times: slow is not broken", n)
		}
	})
}

func TestTheOwnModelMayBeSlowOrBroken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, 3, &constant{sleep: 10 * time.Second})
		r, took, p := b.ask(t)
		if p != nil || took != 51*time.Millisecond || outcomes(r.Votes) != "pending setosa setosa" {
			t.Errorf("slow: %+v %v %v", r, took, p)
		}
		r, took, _ = b.ask(t, func(q *api.Question) { q.Wait = api.WaitAll })
		if took != 3*time.Second || outcomes(r.Votes) != "timeout setosa setosa" || r.Status != "degraded" {
			t.Errorf("slow, wait=all: %+v %v", r, took)
		}
		time.Sleep(time.Minute)
		b = newBench(t, 3, &constant{quick: true, boom: true})
		if r, _, p = b.ask(t); p != nil || outcomes(r.Votes) != "internal setosa setosa" || r.Status != "degraded" {
			t.Errorf("broken: %+v %v", r, p)
		}
		b = newBench(t, 3, &constant{quick: true, label: 7})
		if r, _, p = b.ask(t); p != nil || outcomes(r.Votes) != "bad_label setosa setosa" {
			t.Errorf("lying: %+v %v", r, p)
		}
	})
}

// TestEarlyDecisionNeverChangesTheLabel plays random rounds and compares the label with
// the one that waiting for everybody would have given.
func TestEarlyDecisionNeverChangesTheLabel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := rand.New(rand.NewPCG(3, 4))
		early := 0
		for range 2000 {
			n := 2 + r.IntN(6)
			b := newBench(t, n)
			for i := 1; i < n; i++ {
				b.courier.set(idOf(i), votesFor(r.IntN(3), time.Duration(r.IntN(200))*time.Millisecond))
			}
			got, took, p := b.ask(t, func(q *api.Question) { q.Wait = api.Wait(r.IntN(2)) })
			if p != nil {
				t.Fatal(p)
			}
			time.Sleep(3 * time.Second)
			want, _, p := b.ask(t, func(q *api.Question) { q.Wait = api.WaitAll })
			if p != nil {
				t.Fatal(p)
			}
			if got.DecidedEarly {
				early++
			}
			if got.Label != want.Label || got.Counted < got.Quorum || took > 1600*time.Millisecond {
				t.Fatalf("early %s (%s) after %v, all %s (%s)", got.Label, outcomes(got.Votes), took, want.Label, outcomes(want.Votes))
			}
			for i, v := range got.Votes {
				if v.Label != "" && v.Label != want.Votes[i].Label {
					t.Fatalf("vote %d changed", i)
				}
			}
			time.Sleep(3 * time.Second)
		}
		if early < 100 {
			t.Errorf("only %d rounds were decided early; the test shows little", early)
		}
	})
}

func TestRoundsAreUsedAgainAndKeepNothingOfTheLast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, 3)
		first, _, _ := b.ask(t)
		b.courier.set(idOf(1), votesFor(2, 0))
		b.courier.set(idOf(2), behaviour{err: session.ErrClosed})
		for range 2 * historySize { // beyond what the history holds on to
			b.ask(t)
			time.Sleep(11 * time.Second)
		}
		last, _, _ := b.ask(t)
		if outcomes(first.Votes) != "setosa setosa setosa" || !strings.HasPrefix(outcomes(last.Votes), "setosa virginica ") {
			t.Errorf("first %s, last %s", outcomes(first.Votes), outcomes(last.Votes))
		}
	})
}
