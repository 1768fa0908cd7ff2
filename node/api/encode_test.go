package api

import (
	"encoding/json"
	"math/rand/v2"
	"testing"
)

// The replies written by hand must be what encoding/json makes of the same structs.

type appender interface{ AppendJSON([]byte) []byte }

func checkSame(t *testing.T, v appender) {
	t.Helper()
	want, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	if got := v.AppendJSON(nil); string(got) != string(want) {
		t.Errorf("by hand     %s\nby reflection %s", got, want)
	}
}

func TestRepliesByHandEqualThoseByReflection(t *testing.T) {
	awkward := []string{"", "setosa", `quo"te`, "<b>&amp;", "tab\tnew\n", "grün", "bad\xff", "\u2028", "\x7f"}
	r := rand.New(rand.NewPCG(1, 2))
	text := func() string { return awkward[r.IntN(len(awkward))] }
	share := func() Millionths { return Millionths(r.Int64N(2_000_001) - 1_000_000) }
	ms := func() Millis { return Millis(r.Int64N(4_000_000)) }
	dist := func() Distribution {
		var d Distribution
		for range r.IntN(4) {
			d.Labels = append(d.Labels, text())
			d.Shares = append(d.Shares, share())
		}
		return d
	}
	list := func() []string {
		var out []string
		for range r.IntN(3) {
			out = append(out, text())
		}
		return out
	}
	ints := func() []int {
		if r.IntN(3) == 0 {
			return nil
		}
		out := []int{}
		for range r.IntN(4) {
			out = append(out, r.IntN(9)-1)
		}
		return out
	}
	for range 500 {
		checkSame(t, &PredictReply{r.IntN(5), text(), dist(), text(), text(), text(), text()})
		batch := &PredictBatchReply{Predictions: ints(), Labels: list(), Classes: list(), Model: text(), Node: text(), Name: text(), RequestID: text()}
		for range r.IntN(3) {
			batch.Probabilities = append(batch.Probabilities, dist().Shares)
		}
		checkSame(t, batch)
		c := &ConsensusReply{
			Prediction: r.IntN(4) - 1, Label: text(), Status: text(), Summary: text(), Method: text(), Rule: text(), Reason: text(),
			Invited: r.IntN(9), Counted: r.IntN(9), Quorum: r.IntN(9), DecidedEarly: r.IntN(2) == 0, Tie: r.IntN(2) == 0, TieBreak: text(),
			Shares: dist(), Margin: share(), Entropy: share(), Unanimous: r.IntN(2) == 0, Dissenters: list(), EffectiveVoters: share(),
			Round: text(), Asked: text(), Roster: text(), Evidence: text(), ElapsedMs: ms(), RequestID: text(),
		}
		for range r.IntN(4) {
			c.Votes = append(c.Votes, Vote{text(), text(), text(), text(), text(), dist(), share(), ms(), text()})
		}
		checkSame(t, c)
		b := &ConsensusBatchReply{
			Predictions: ints(), Labels: list(), Classes: list(), Status: text(), Summary: text(), Method: text(), Rule: text(), Reason: text(),
			Invited: r.IntN(9), Counted: r.IntN(9), Quorum: r.IntN(9), DecidedEarly: r.IntN(2) == 0,
			Round: text(), Asked: text(), Roster: text(), Evidence: text(), ElapsedMs: ms(), RequestID: text(),
		}
		for range r.IntN(3) {
			b.Results = append(b.Results, BatchRow{r.IntN(3), text(), text(), r.IntN(2) == 0, dist().Shares, share(), share(), r.IntN(2) == 0, ints()})
			v := NodeVotes{Node: text(), Name: text(), Model: text(), Outcome: text(), Labels: ints(), Weight: share(), Ms: ms(), Reason: text()}
			for range r.IntN(3) {
				v.Probabilities = append(v.Probabilities, dist().Shares)
			}
			b.VotesByNode = append(b.VotesByNode, v)
		}
		checkSame(t, b)
	}
}

func TestNumbersAreShortDecimalsThatComeBack(t *testing.T) {
	for m, want := range map[Millionths]string{
		0: "0", 1_000_000: "1", 980_000: "0.98", 1: "0.000001", 333_333: "0.333333", 2_500_000: "2.5", -500_000: "-0.5", 120_000_000: "120",
	} {
		got, err := json.Marshal(m)
		if err != nil || string(got) != want {
			t.Errorf("%d: %s, %v, want %s", int64(m), got, err, want)
		}
		var back Millionths
		if err := json.Unmarshal(got, &back); err != nil || back != m {
			t.Errorf("%s came back as %d, %v", got, int64(back), err)
		}
	}
	if got := string(Millis(1_500_250).AppendJSON(nil)); got != "1500.25" {
		t.Error(got)
	}
}

func TestADistributionKeepsItsOrder(t *testing.T) {
	in := Distribution{Labels: []string{"9", "10", "a<b"}, Shares: []Millionths{100_000, 200_000, 700_000}}
	b, err := json.Marshal(in)
	if err != nil {
		t.Fatal(err)
	}
	if string(b) != `{"9":0.1,"10":0.2,"a\u003cb":0.7}` {
		t.Errorf("%s", b)
	}
	var out Distribution
	if err := json.Unmarshal(b, &out); err != nil {
		t.Fatal(err)
	}
	for i := range in.Labels {
		if out.Labels[i] != in.Labels[i] || out.Shares[i] != in.Shares[i] {
			t.Errorf("came back as %+v", out)
		}
	}
	if out.Of("10") != 200_000 || out.Of("none") != 0 {
		t.Error("Of")
	}
	for _, bad := range []string{`[1]`, `{"a":"x"}`, `{"a":1`, `7`} {
		if err := json.Unmarshal([]byte(bad), &out); err == nil {
			t.Errorf("%s was taken", bad)
		}
	}
}
