package receipt

import (
	"bytes"
	"encoding/json"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"caucus/node/consensus"
)

// TestTheFormIsThatOfEncodingJSON holds what is written by hand against the library, on
// receipts that hold anything their types can, sensible or not.
func TestTheFormIsThatOfEncodingJSON(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	texts := []string{"", "iris", "a b", `quo"te`, `back\slash`, "<&>", "\x00\n\t\x1f\x7f", "gr\u00fcn \u2028\u2029", "\xff\xfe", "\U0001f337", strings.Repeat("x", 2000)}
	text := func() string { return texts[random.IntN(len(texts))] }
	number := func() float64 {
		return []float64{0, math.Copysign(0, -1), 5.1, -3, 1e-6, 9.9e-7, 1e20, 1e21, 1e-300, math.MaxFloat64, math.SmallestNonzeroFloat64, random.NormFloat64()}[random.IntN(12)]
	}
	raw := func() Bytes {
		b := make(Bytes, random.IntN(5))
		for i := range b {
			b[i] = byte(random.Uint32())
		}
		return [][]byte{b, nil}[random.IntN(2)]
	}
	some := func() int { return random.IntN(4) - 1 } // -1: not even an empty list
	for range 2000 {
		r := Receipt{
			Version: random.IntN(3), Round: text(), Asked: text(), Signature: raw(),
			Task: Task{Name: text(), Features: list(some(), text), Labels: list(some(), text), Digest: Digest{byte(random.Uint32())}},
			Row:  list(some(), number), Rule: Rule{Method: text(), Quorum: random.IntN(9), Full: random.IntN(2) == 0, Minority: random.IntN(2) == 0, Alone: random.IntN(2) == 0},
			Roster: list(some(), raw), Evidence: Evidence{Digest: Digest{31: byte(random.Uint32())}, Records: list(some(), raw)},
			Votes: list(some(), func() Vote {
				v := Vote{Voter: text(), Outcome: text(), Label: random.IntN(5) - 1, Signature: raw(), Probabilities: list(some(), random.Uint32)}
				if random.IntN(2) == 0 {
					v.Inclusion = &Inclusion{Index: uint16(random.Uint32()), Size: uint16(random.Uint32()), Path: raw()}
				}
				return v
			}),
			Weights: Weights{Rule: text(), Follows: text(), Reason: text(), Members: list(some(), func() Member {
				return Member{ID: text(), Weight: random.Int64() - random.Int64(), Skill: random.Int64(), Voice: random.IntN(3)}
			})},
			Outcome: Outcome{
				Status: text(), Method: text(), Label: random.IntN(3), Sums: list(some(), random.Int64), Shares: list(some(), random.Int64),
				Margin: random.Int64(), Counted: random.IntN(4), Quorum: random.IntN(4), Tie: random.IntN(2) == 0, TieBreak: text(),
			},
		}
		var want bytes.Buffer
		e := json.NewEncoder(&want) // ends with a line feed
		e.SetEscapeHTML(false)
		if err := e.Encode(&r); err != nil {
			t.Fatal(err)
		}
		got, err := r.append(nil)
		if err != nil || !bytes.Equal(got, want.Bytes()) {
			t.Fatalf("%v\n%s\n%s", err, got, want.Bytes())
		}
	}
	for _, x := range []float64{math.NaN(), math.Inf(1), math.Inf(-1)} {
		if _, err := (&Receipt{Row: []float64{x}}).append(nil); err == nil {
			t.Errorf("%v is encoded", x)
		}
	}
}

// list makes n things, or nil for fewer than none.
func list[T any](n int, one func() T) []T {
	if n < 0 {
		return nil
	}
	out := make([]T, n)
	for i := range out {
		out[i] = one()
	}
	return out
}

func BenchmarkEncode(b *testing.B) {
	s := newStage(b)
	x := s.document(b, consensus.Majority, nil, true)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := x.Encode(s.keys[0]); err != nil {
			b.Fatal(err)
		}
	}
}
