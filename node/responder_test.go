package node

import (
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"caucus/cluster/identity"
	"caucus/cluster/session"
	"caucus/ml"
	"caucus/node/api"
	"caucus/node/consensus"
)

func TestQuestionsThatDoNotFitAreRefusedInWords(t *testing.T) {
	iris := ml.Iris().Task
	own := &constant{task: iris, quick: true, label: 2}
	p := &responder{local: newLocal(own, false, nil, slog.New(slog.DiscardHandler)), votes: newMetrics("test", nil).own, log: slog.New(slog.DiscardHandler)}
	row := []float64{5.1, 3.5, 1.4, 0.2}
	for name, c := range map[string]struct {
		q       session.Question
		raw     []byte
		outcome consensus.Outcome
		says    string
	}{
		"one row":          {session.Question{Task: iris.Digest(), Columns: 4, Rows: row}, nil, consensus.OK, ""},
		"another task":     {session.Question{Task: [32]byte{1}, Columns: 4, Rows: row}, nil, consensus.BadSchema, "iris"},
		"too many columns": {session.Question{Task: iris.Digest(), Columns: 2, Rows: row}, nil, consensus.BadSchema, "2 features"},
		"garbage":          {session.Question{}, []byte("hello"), consensus.BadSchema, "cannot be read"},
	} {
		t.Run(name, func(t *testing.T) {
			raw := c.raw
			if raw == nil {
				raw = c.q.Append(nil)
			}
			if !p.Quick(raw) {
				t.Error("one row of a quick model is not quick")
			}
			prefix := []byte("frame")
			out := p.Answer(t.Context(), idOf(1), raw, prefix)
			var a session.Answer
			if err := a.Decode(out[len(prefix):]); err != nil || string(out[:len(prefix)]) != "frame" {
				t.Fatalf("%q %v", out, err)
			}
			if consensus.Outcome(a.Outcome) != c.outcome || !strings.Contains(a.Reason, c.says) {
				t.Errorf("%v %q", consensus.Outcome(a.Outcome), a.Reason)
			}
			if c.outcome == consensus.OK && (len(a.Labels) != 1 || a.Labels[0] != 2 || a.Classes != 3 || len(a.Probabilities) != 0) {
				t.Errorf("%+v", a)
			}
			if c.outcome != consensus.OK && len(a.Labels) != 0 {
				t.Errorf("labels with a refusal: %+v", a)
			}
		})
	}
	big := session.Question{Task: iris.Digest(), Columns: 4, Rows: make([]float64, 4*1000)}
	if p.Quick(big.Append(nil)) {
		t.Error("a thousand rows would hold up the session")
	}
	var a session.Answer
	if err := a.Decode(p.Answer(t.Context(), idOf(1), big.Append(nil), nil)); err != nil || len(a.Labels) != 1000 {
		t.Errorf("%d labels, %v", len(a.Labels), err)
	}
}

func TestTheResponderSignsTogetherWhatComesTogether(t *testing.T) {
	key, err := identity.Generate()
	if err != nil {
		t.Fatal(err)
	}
	asker := identity.ID(strings.Repeat("a", 32))
	s := newBench(t, 1)
	p := &responder{local: s.local, key: key, votes: s.engine.metrics.own, log: s.engine.log}
	question := func(i int) session.Question {
		return session.Question{Round: [16]byte{byte(i)}, Task: s.local.digest, Columns: 4, Rows: []float64{1, 2, 3, float64(i)}, Sign: true, Jointly: true}
	}
	// Those that cannot be answered are refused each for itself, and the others are signed without them.
	odd := map[int]session.Question{1: question(1), 4: question(4)}
	for i, q := range odd {
		q.Task[0]++
		odd[i] = q
	}
	for _, n := range []int{6, 3, 2} { // the memory is used again
		var asks [][]byte
		for i := range n {
			q, isOdd := odd[i]
			if !isOdd {
				q = question(i)
			}
			asks = append(asks, q.Append(nil))
		}
		var checked session.Checked
		good, heard, signatures := 0, 0, map[string]bool{}
		p.AnswerJointly(t.Context(), asker, asks, func(i int, b []byte) {
			var a session.Answer
			if err := a.Decode(b); err != nil || i != heard {
				t.Fatalf("answer %d: %d %v", heard, i, err)
			}
			heard++
			if _, isOdd := odd[i]; isOdd {
				if consensus.Outcome(a.Outcome) != consensus.BadSchema || len(a.Labels)+len(a.Signature) > 0 || !a.Inclusion.Alone() {
					t.Errorf("answer %d: %+v", i, a)
				}
				return
			}
			q := question(i)
			if err := checked.VerifyAnswer(key.Public(), asker, key.ID(), &q, &a); err != nil || a.Fingerprint != s.local.fingerprint {
				t.Errorf("answer %d: %v", i, err)
			}
			good++
			signatures[string(a.Signature)] = true
		})
		if heard != n || len(signatures) != 1 {
			t.Errorf("%d answers to %d questions, %d signatures on %d votes", heard, n, len(signatures), good)
		}
	}
}

func TestAModelThatHangsTakesABoundedNumberOfGoroutines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, 3, &constant{sleep: time.Hour})
		for range slowCalls {
			b.ask(t)
		}
		time.Sleep(time.Minute) // nobody waits for them any more
		r, _, _ := b.ask(t)
		if r.Votes[0].Outcome != "shed" || r.Label != "setosa" {
			t.Errorf("%+v", r.Votes[0])
		}
		time.Sleep(2 * time.Hour)
		if r, _, _ := b.ask(t); r.Votes[0].Outcome == "shed" {
			t.Errorf("%+v", r.Votes[0])
		}
		time.Sleep(2 * time.Hour)
	})
}

func TestAProbeThatCouldNotBeSentIsTakenBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, 3)
		sick := idOf(2)
		b.courier.set(sick, behaviour{err: session.ErrClosed})
		for range 3 {
			b.ask(t)
		}
		time.Sleep(11 * time.Second)
		for _, c := range []struct {
			err     error
			outcome string
		}{{session.ErrNoSession, "connect_error"}, {session.ErrBusy, "shed"}, {session.ErrTooLarge, "too_large"}} {
			b.courier.set(sick, behaviour{sendErr: c.err})
			if r, _, _ := b.ask(t); r.Votes[2].Outcome != c.outcome || r.Votes[2].Reason == "" {
				t.Errorf("%v: %+v", c.err, r.Votes[2])
			}
		}
		b.courier.set(sick, votesFor(0, 0))
		if r, _, _ := b.ask(t, func(q *api.Question) { q.Wait = api.WaitAll }); r.Votes[2].Outcome != "ok" {
			t.Errorf("%+v", r.Votes[2])
		}
	})
}
