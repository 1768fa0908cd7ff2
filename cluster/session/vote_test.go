package session

import (
	"bytes"
	"crypto/ed25519"
	"encoding/binary"
	"errors"
	"math"
	"reflect"
	"strings"
	"testing"

	"caucus/cluster/identity"
)

func sampleQuestion() Question {
	return Question{
		Round: [16]byte{1, 2}, RequestID: "01J9ZK3XA", Task: [32]byte{3}, Columns: 2,
		Rows: []float64{5.1, -3.5, 0, math.MaxFloat64, math.Copysign(0, -1), math.SmallestNonzeroFloat64}, Sign: true,
	}
}

func sampleAnswer() Answer {
	return Answer{
		Outcome: 1, Micros: 1234, Classes: 3, Labels: []uint16{0, 2, 999},
		Probabilities: []uint32{million, 0, 0, 1, 2, 3, 333333, 333333, 333334},
		Fingerprint:   [32]byte{7}, Signature: bytes.Repeat([]byte{9}, 3*64),
	}
}

func TestQuestionsSurviveTheRoundTrip(t *testing.T) {
	var got Question // used again and again, as a responder does
	wide := Question{Columns: MaxColumns, Rows: make([]float64, MaxColumns)}
	long := Question{RequestID: strings.Repeat("x", 64), Columns: 1, Rows: make([]float64, 10_000)}
	joint := Question{Columns: 4, Rows: []float64{1, 2, 3, 4}, Sign: true, Jointly: true}
	for _, q := range []Question{wide, sampleQuestion(), long, joint, {Columns: 4, Rows: []float64{1, 2, 3, 4}}, sampleQuestion()} {
		if err := got.Decode(q.Append(nil)); err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(got, q) {
			t.Fatalf("got %+v\nwant %+v", got, q)
		}
		if !bytes.Equal(got.Append([]byte("x")), append([]byte("x"), q.Append(nil)...)) {
			t.Fatal("the encoding differs")
		}
	}
}

func TestARequestIDIsMadeFit(t *testing.T) {
	q := sampleQuestion()
	q.RequestID = "a b\x1b[31mü" + strings.Repeat("y", 100)
	var got Question
	if err := got.Decode(q.Append(nil)); err != nil {
		t.Fatal(err)
	}
	if want := "a?b?[31m??" + strings.Repeat("y", 54); got.RequestID != want {
		t.Fatalf("got %q, want %q", got.RequestID, want)
	}
}

func TestAnswersSurviveTheRoundTrip(t *testing.T) {
	var got Answer
	for _, a := range []Answer{
		sampleAnswer(),
		{Outcome: 1, Classes: 3, Labels: []uint16{1}},
		{Outcome: 5, Reason: "another task"},
		{Outcome: 1, Classes: 2, Labels: []uint16{1}, Signature: make([]byte, 64)},
		sampleAnswer(),
	} {
		if err := got.Decode(a.Append(nil)); err != nil {
			t.Fatal(err)
		}
		if got.Outcome != a.Outcome || got.Reason != a.Reason || got.Micros != a.Micros || got.Classes != a.Classes ||
			!equal(got.Labels, a.Labels) || !equal(got.Probabilities, a.Probabilities) || !equal(got.Signature, a.Signature) || got.Fingerprint != a.Fingerprint {
			t.Fatalf("got %+v\nwant %+v", got, a)
		}
	}
}

func equal[T comparable](a, b []T) bool {
	return len(a) == len(b) && (len(a) == 0 || reflect.DeepEqual(a, b))
}

func TestAReasonComesOutPrintableAndShort(t *testing.T) {
	a := Answer{Outcome: 5, Reason: "no\x1b[2J\n\u202e" + strings.Repeat("!", 300)}
	var got Answer
	if err := got.Decode(a.Append(nil)); err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(got.Reason, "no?[2J??") || len(got.Reason) > maxReason {
		t.Fatalf("got %q", got.Reason)
	}
}

func TestBadQuestionsAreRefused(t *testing.T) {
	q := sampleQuestion()
	good := q.Append(nil)
	values := len(good) - 8*len(q.Rows)
	for name, change := range map[string]func([]byte) []byte{
		"another version":         func(b []byte) []byte { b[0] = 2; return b },
		"unknown flags":           func(b []byte) []byte { b[1] |= 0x80; return b },
		"a joint one of rows":     func(b []byte) []byte { b[1] |= flagJointly; return b },
		"a byte too many":         func(b []byte) []byte { return append(b, 0) },
		"a request id too long":   func(b []byte) []byte { b[50] = 65; return b },
		"a request id unprinting": func(b []byte) []byte { b[51] = '\n'; return b },
		"no columns":              func(b []byte) []byte { binary.BigEndian.PutUint16(b[values-6:], 0); return b },
		"too many columns":        func(b []byte) []byte { binary.BigEndian.PutUint16(b[values-6:], MaxColumns+1); return b },
		"no rows":                 func(b []byte) []byte { binary.BigEndian.PutUint32(b[values-4:], 0); return b[:values] },
		"rows that are not there": func(b []byte) []byte { binary.BigEndian.PutUint32(b[values-4:], 1<<31); return b },
		"NaN":                     func(b []byte) []byte { putFloat(b[values:], math.NaN()); return b },
		"Inf":                     func(b []byte) []byte { putFloat(b[values+8:], math.Inf(1)); return b },
		"-Inf":                    func(b []byte) []byte { putFloat(b[len(b)-8:], math.Inf(-1)); return b },
	} {
		t.Run(name, func(t *testing.T) {
			var got Question
			if err := got.Decode(change(bytes.Clone(good))); !errors.Is(err, ErrFrame) {
				t.Fatalf("got %v", err)
			}
		})
	}
	for n := range good {
		var got Question
		if err := got.Decode(good[:n]); !errors.Is(err, ErrFrame) {
			t.Fatalf("cut to %d bytes: %v", n, err)
		}
	}
}

func putFloat(b []byte, v float64) { binary.BigEndian.PutUint64(b, math.Float64bits(v)) }

func TestBadAnswersAreRefused(t *testing.T) {
	a := sampleAnswer()
	good := a.Append(nil)
	const classes, rows, labels = 8, 10, 14
	for name, change := range map[string]func([]byte) []byte{
		"another version":        func(b []byte) []byte { b[0] = 0; return b },
		"unknown flags":          func(b []byte) []byte { b[1] |= 8; return b },
		"a joint one of rows":    func(b []byte) []byte { b[1] |= flagJoint; return b },
		"a byte too many":        func(b []byte) []byte { return append(b, 0) },
		"a reason too long":      func(b []byte) []byte { b[3] = 255; return append(b, make([]byte, 255)...) },
		"too many classes":       func(b []byte) []byte { binary.BigEndian.PutUint16(b[classes:], MaxClasses+1); return b },
		"no classes":             func(b []byte) []byte { binary.BigEndian.PutUint16(b[classes:], 0); return b },
		"too many rows":          func(b []byte) []byte { binary.BigEndian.PutUint32(b[rows:], math.MaxUint32); return b },
		"no rows":                func(b []byte) []byte { binary.BigEndian.PutUint32(b[rows:], 0); return b },
		"more than a whole":      func(b []byte) []byte { binary.BigEndian.PutUint32(b[labels+2*3:], million+1); return b },
		"signatures not flagged": func(b []byte) []byte { b[1] &^= flagSigned; return b },
	} {
		t.Run(name, func(t *testing.T) {
			var got Answer
			if err := got.Decode(change(bytes.Clone(good))); !errors.Is(err, ErrFrame) {
				t.Fatalf("got %v", err)
			}
		})
	}
	for n := range good {
		var got Answer
		if err := got.Decode(good[:n]); !errors.Is(err, ErrFrame) {
			t.Fatalf("cut to %d bytes: %v", n, err)
		}
	}
}

func TestASignatureHoldsForThisVoteAlone(t *testing.T) {
	voter, other := newKey(t), newKey(t)
	requester := newKey(t).ID()
	fresh := func() (*Question, *Answer) {
		q := &Question{Round: [16]byte{1}, Task: [32]byte{2}, Columns: 2, Rows: []float64{1, 2, 3, 4}}
		a := &Answer{Outcome: 1, Classes: 2, Labels: []uint16{0, 1}, Probabilities: []uint32{900_000, 100_000, 0, million}, Fingerprint: [32]byte{3}}
		if err := SignAnswer(voter, requester, q, a); err != nil {
			t.Fatal(err)
		}
		return q, a
	}
	q, a := fresh()
	if err := VerifyAnswer(voter.Public(), requester, voter.ID(), q, a); err != nil {
		t.Fatal(err)
	}
	check := func(name string, pub ed25519.PublicKey, requester, voter identity.ID, change func(*Question, *Answer)) {
		t.Run(name, func(t *testing.T) {
			q, a := fresh()
			change(q, a)
			if err := VerifyAnswer(pub, requester, voter, q, a); !errors.Is(err, ErrSignature) && !errors.Is(err, ErrFrame) {
				t.Fatalf("it still holds: %v", err)
			}
		})
	}
	same := func(*Question, *Answer) {}
	check("another requester", voter.Public(), other.ID(), voter.ID(), same)
	check("another voter", voter.Public(), requester, other.ID(), same)
	check("another key", other.Public(), requester, voter.ID(), same)
	check("another voter with its key", other.Public(), requester, other.ID(), same)
	check("no key", nil, requester, voter.ID(), same)
	for name, change := range map[string]func(*Question, *Answer){
		"another round":        func(q *Question, _ *Answer) { q.Round[15]++ },
		"another task":         func(q *Question, _ *Answer) { q.Task[0]++ },
		"other features":       func(q *Question, _ *Answer) { q.Rows[3] = math.Nextafter(4, 5) },
		"rows exchanged":       func(q *Question, _ *Answer) { q.Rows = []float64{3, 4, 1, 2} },
		"another shape":        func(q *Question, _ *Answer) { q.Columns = 4 },
		"another label":        func(_ *Question, a *Answer) { a.Labels[1] = 0 },
		"other probabilities":  func(_ *Question, a *Answer) { a.Probabilities[0]-- },
		"no probabilities":     func(_ *Question, a *Answer) { a.Probabilities = nil },
		"other classes":        func(_ *Question, a *Answer) { a.Classes, a.Probabilities = 3, nil },
		"another fingerprint":  func(_ *Question, a *Answer) { a.Fingerprint[31]++ },
		"a byte of it changed": func(_ *Question, a *Answer) { a.Signature[64] ^= 1 },
		"signatures exchanged": func(_ *Question, a *Answer) { a.Signature = append(a.Signature[64:], a.Signature[:64]...) },
		"one too few":          func(_ *Question, a *Answer) { a.Signature = a.Signature[:64] },
		"none":                 func(_ *Question, a *Answer) { a.Signature = nil },
		"a row too few":        func(_ *Question, a *Answer) { a.Labels = a.Labels[:1] },
	} {
		check(name, voter.Public(), requester, voter.ID(), change)
	}
}

func TestAStatementIsCheckedWithoutTheFeatures(t *testing.T) {
	voter := newKey(t)
	q := &Question{Columns: 2, Rows: []float64{0, 2}}
	a := &Answer{Outcome: 1, Classes: 3, Labels: []uint16{2}}
	if err := SignAnswer(voter, "asker", q, a); err != nil {
		t.Fatal(err)
	}
	s := Statement{
		Requester: "asker", Voter: voter.ID(), Features: FeaturesDigest([]float64{math.Copysign(0, -1), 2}),
		Label: 2, Classes: 3,
	}
	if !s.Verify(voter.Public(), a.Signature) {
		t.Error("the statement of the same vote does not hold")
	}
	if FeaturesDigest([]float64{1, 2}) == FeaturesDigest([]float64{2, 1}) || FeaturesDigest(nil) == FeaturesDigest([]float64{0}) {
		t.Error("different rows have one digest")
	}
	// What follows one another must not run into one another.
	x := Statement{Requester: "ab", Voter: "c", Probabilities: []uint32{1}}
	y := Statement{Requester: "a", Voter: "bc", Probabilities: []uint32{1}}
	if bytes.Equal(x.append(nil), y.append(nil)) {
		t.Error("two statements have one encoding")
	}
}

func TestSigningWhatIsNoAnswerFails(t *testing.T) {
	q := sampleQuestion()
	for _, a := range []Answer{{Outcome: 5}, {Labels: []uint16{1}}, {Labels: []uint16{1, 1, 1}, Classes: 2, Probabilities: []uint32{1}}} {
		if err := SignAnswer(newKey(t), "x", &q, &a); !errors.Is(err, ErrFrame) {
			t.Errorf("%+v: %v", a, err)
		}
	}
}

func BenchmarkDecodeQuestion(b *testing.B) {
	q := Question{RequestID: "01J0000000000000000000000", Columns: 4, Rows: []float64{5.1, 3.5, 1.4, 0.2}}
	wire := q.Append(nil)
	b.ReportAllocs()
	for b.Loop() {
		if err := q.Decode(wire); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkSignAnswer(b *testing.B) {
	k := newKey(b)
	q := Question{Columns: 4, Rows: []float64{5.1, 3.5, 1.4, 0.2}}
	a := Answer{Outcome: 1, Classes: 3, Labels: []uint16{0}, Probabilities: []uint32{million, 0, 0}}
	b.ReportAllocs()
	for b.Loop() {
		if err := SignAnswer(k, k.ID(), &q, &a); err != nil {
			b.Fatal(err)
		}
	}
}
