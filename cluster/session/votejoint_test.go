package session

import (
	"bytes"
	"crypto/ed25519"
	"encoding/binary"
	"errors"
	"reflect"
	"strings"
	"sync"
	"testing"

	"caucus/cluster/identity"
)

// jointVotes are n votes of voter on different rows, signed together.
func jointVotes(t testing.TB, voter *identity.Key, requester identity.ID, n int) ([]*Question, []*Answer) {
	t.Helper()
	var questions []*Question
	var answers []*Answer
	for i := range n {
		questions = append(questions, &Question{Round: [16]byte{byte(i)}, Task: [32]byte{2}, Columns: 2, Rows: []float64{1, float64(i)}, Sign: true, Jointly: true})
		answers = append(answers, &Answer{Outcome: 1, Classes: 2, Labels: []uint16{uint16(i % 2)}, Probabilities: []uint32{900_000, 100_000}, Fingerprint: [32]byte{3}})
	}
	var s JointSigner
	if err := s.Sign(voter, requester, questions, answers); err != nil {
		t.Fatal(err)
	}
	return questions, answers
}

func TestEachOfManyVotesIsCheckedByItself(t *testing.T) {
	voter, requester := newKey(t), newKey(t).ID()
	for _, n := range []int{1, 2, 3, 7, 64} {
		questions, answers := jointVotes(t, voter, requester, n)
		for i := range n {
			var got Answer // as it comes over the wire
			if err := got.Decode(answers[i].Append(nil)); err != nil || !bytes.Equal(got.Append(nil), answers[i].Append(nil)) {
				t.Fatalf("%d of %d: %v", i, n, err)
			}
			var fresh Checked
			if err := fresh.VerifyAnswer(voter.Public(), requester, voter.ID(), questions[i], &got); err != nil {
				t.Fatalf("%d of %d: %v", i, n, err)
			}
			s := statement(requester, voter.ID(), questions[i], &got, 0)
			if !s.VerifyIncluded(voter.Public(), got.Signature, &got.Inclusion) {
				t.Fatalf("%d of %d: the statement does not hold", i, n)
			}
			// Without its place, the signature is over something else.
			if alone := s.Verify(voter.Public(), got.Signature); alone != (n == 1) || got.Inclusion.Alone() != (n == 1) {
				t.Fatalf("%d of %d: holds alone: %v", i, n, alone)
			}
			if err := VerifyAnswer(voter.Public(), requester, voter.ID(), questions[i], &got); (err == nil) != (n == 1) {
				t.Fatalf("%d of %d, as if signed alone: %v", i, n, err)
			}
		}
	}
}

func TestAJointSignatureHoldsForEachVoteInItsPlaceAlone(t *testing.T) {
	voter, other := newKey(t), newKey(t)
	requester := newKey(t).ID()
	const i, n = 4, 7
	// warm has found the signature good before: that must not help a vote that it is not over.
	var warm Checked
	questions, answers := jointVotes(t, voter, requester, n)
	for k := range n {
		if err := warm.VerifyAnswer(voter.Public(), requester, voter.ID(), questions[k], answers[k]); err != nil {
			t.Fatal(err)
		}
	}
	check := func(name string, pub ed25519.PublicKey, requester, voterID identity.ID, change func(*Question, *Answer)) {
		t.Run(name, func(t *testing.T) {
			questions, answers := jointVotes(t, voter, requester, n)
			q, a := questions[i], answers[i]
			change(q, a)
			for what, c := range map[string]*Checked{"cold": {}, "warm": &warm} {
				if err := c.VerifyAnswer(pub, requester, voterID, q, a); !errors.Is(err, ErrSignature) && !errors.Is(err, ErrFrame) {
					t.Errorf("%s: it still holds: %v", what, err)
				}
			}
		})
	}
	for name, change := range map[string]func(*Question, *Answer){
		"another round":                   func(q *Question, _ *Answer) { q.Round[15]++ },
		"another task":                    func(q *Question, _ *Answer) { q.Task[0]++ },
		"other features":                  func(q *Question, _ *Answer) { q.Rows[1]++ },
		"another label":                   func(_ *Question, a *Answer) { a.Labels[0] ^= 1 },
		"other probabilities":             func(_ *Question, a *Answer) { a.Probabilities[0]-- },
		"another fingerprint":             func(_ *Question, a *Answer) { a.Fingerprint[31]++ },
		"a byte of the signature changed": func(_ *Question, a *Answer) { a.Signature[63] ^= 1 },
		"no signature":                    func(_ *Question, a *Answer) { a.Signature = nil },
		"a byte of the path changed":      func(_ *Question, a *Answer) { a.Inclusion.Path[0] ^= 1 },
		"a longer path":                   func(_ *Question, a *Answer) { a.Inclusion.Path = append(a.Inclusion.Path, make([]byte, 32)...) },
		"a shorter path":                  func(_ *Question, a *Answer) { a.Inclusion.Path = a.Inclusion.Path[32:] },
		"another place":                   func(_ *Question, a *Answer) { a.Inclusion.Index++ },
		"of another number":               func(_ *Question, a *Answer) { a.Inclusion.Size++ },
		"of one":                          func(_ *Question, a *Answer) { a.Inclusion = Inclusion{Size: 1} },
		"as if alone":                     func(_ *Question, a *Answer) { a.Inclusion = Inclusion{} },
	} {
		check(name, voter.Public(), requester, voter.ID(), change)
	}
	same := func(*Question, *Answer) {}
	check("another voter", voter.Public(), requester, other.ID(), same)
	check("another key", other.Public(), requester, voter.ID(), same)
	check("no key", nil, requester, voter.ID(), same)
	t.Run("another requester", func(t *testing.T) {
		if err := warm.VerifyAnswer(voter.Public(), other.ID(), voter.ID(), questions[i], answers[i]); !errors.Is(err, ErrSignature) {
			t.Error(err)
		}
	})
}

func TestACheckedSignatureIsOneVotersAndIsForgottenInTime(t *testing.T) {
	requester := newKey(t).ID()
	a, b := newKey(t), newKey(t)
	var c Checked
	questions, answers := jointVotes(t, a, requester, 2)
	if err := c.VerifyAnswer(a.Public(), requester, a.ID(), questions[0], answers[0]); err != nil {
		t.Fatal(err)
	}
	if err := c.VerifyAnswer(b.Public(), requester, b.ID(), questions[0], answers[0]); !errors.Is(err, ErrSignature) {
		t.Errorf("another voter's: %v", err)
	}
	var wg sync.WaitGroup // several sessions with one voter may be read at once
	for range 2 * checkedKept {
		wg.Go(func() {
			questions, answers := jointVotes(t, a, requester, 3)
			for i := range answers {
				if err := c.VerifyAnswer(a.Public(), requester, a.ID(), questions[i], answers[i]); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if err := c.VerifyAnswer(a.Public(), requester, a.ID(), questions[1], answers[1]); err != nil {
		t.Errorf("forgotten, and not checked again: %v", err)
	}
}

func TestSigningJointlyWhatIsNoAnswerFails(t *testing.T) {
	q, one := sampleQuestion(), Question{Columns: 1, Rows: []float64{1}}
	rows := sampleAnswer()
	for name, c := range map[string]struct {
		questions []*Question
		answers   []*Answer
	}{
		"several rows": {[]*Question{&one, &q}, []*Answer{{Labels: []uint16{1}}, &rows}},
		"no label":     {[]*Question{&one, &one}, []*Answer{{Labels: []uint16{1}}, {}}},
	} {
		if err := new(JointSigner).Sign(newKey(t), "x", c.questions, c.answers); !errors.Is(err, ErrFrame) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := new(JointSigner).Sign(newKey(t), "x", nil, nil); err != nil {
		t.Errorf("nothing to sign: %v", err)
	}
}

func TestBadJointAnswersAreRefused(t *testing.T) {
	_, answers := jointVotes(t, newKey(t), "asker", 5)
	good := answers[1].Append(nil)
	const place = 14 // after the number of rows
	put := func(index, size uint16) func([]byte) []byte {
		return func(b []byte) []byte {
			binary.BigEndian.PutUint16(b[place:], index)
			binary.BigEndian.PutUint16(b[place+2:], size)
			return b
		}
	}
	for name, change := range map[string]func([]byte) []byte{
		"no signature":         func(b []byte) []byte { b[1] &^= flagSigned; return b },
		"the only one":         func(b []byte) []byte { return put(0, 1)(b[:len(b)-3*32]) },
		"of none":              put(0, 0),
		"out of its number":    put(5, 5),
		"a longer path's":      put(1, 9),
		"a byte of path more":  func(b []byte) []byte { return append(b, 0) },
		"a digest of path too": func(b []byte) []byte { return append(b, make([]byte, 32)...) },
	} {
		var got Answer
		if err := got.Decode(change(bytes.Clone(good))); !errors.Is(err, ErrFrame) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for n := range good {
		var got Answer
		if err := got.Decode(good[:n]); !errors.Is(err, ErrFrame) {
			t.Fatalf("cut to %d bytes: %v", n, err)
		}
	}
	// A reader uses one Answer again and again: nothing of a joint one may stay.
	var got Answer
	plain := sampleAnswer()
	for _, b := range [][]byte{good, plain.Append(nil)} {
		if err := got.Decode(b); err != nil {
			t.Fatal(err)
		}
	}
	got.Inclusion.Path = nil
	if !reflect.DeepEqual(got, plain) {
		t.Errorf("%+v", got)
	}
	if q := (&Question{Columns: 1, Rows: []float64{1}, Jointly: true}); !strings.Contains(q.Decode(q.Append(nil)).Error(), "to be signed") {
		t.Error("a question for a joint signature that wants none was taken")
	}
}

func BenchmarkSignJointly(b *testing.B) {
	k := newKey(b)
	questions, answers := jointVotes(b, k, k.ID(), 16)
	var s JointSigner
	b.ReportAllocs()
	for b.Loop() {
		if err := s.Sign(k, k.ID(), questions, answers); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkVerifyJointly(b *testing.B) {
	k := newKey(b)
	questions, answers := jointVotes(b, k, k.ID(), 16)
	b.ReportAllocs()
	for b.Loop() {
		var c Checked
		for i := range answers {
			if err := c.VerifyAnswer(k.Public(), k.ID(), k.ID(), questions[i], answers[i]); err != nil {
				b.Fatal(err)
			}
		}
	}
}
