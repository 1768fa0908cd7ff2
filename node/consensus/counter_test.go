package consensus

import (
	"errors"
	"fmt"
	"math"
	"testing"
)

func TestToMillionths(t *testing.T) {
	for _, c := range []struct {
		x    float64
		want Millionths
	}{
		{0, 0},
		{1, One},
		{0.1, 100_000},
		{1.0 / 3, 333_333},
		{2.0 / 3, 666_667},
		{0.0000005, 1},
		{-0.0000005, -1},
		{math.NaN(), 0},
		{math.Inf(1), math.MaxInt64},
		{math.Inf(-1), math.MinInt64},
		{1e300, math.MaxInt64},
	} {
		if got := ToMillionths(c.x); got != c.want {
			t.Errorf("%g gives %d, want %d", c.x, got, c.want)
		}
	}
}

func TestRulesThatCannotBeCountedBy(t *testing.T) {
	many := make([]string, MaxMembers+1)
	for i := range many {
		many[i] = fmt.Sprint(i)
	}
	for name, c := range map[string]struct {
		rule    Rule
		invited []string
	}{
		"auto is resolved before": {Rule{Method: Auto, Classes: 3}, nil},
		"em is resolved before":   {Rule{Method: EM, Classes: 3}, nil},
		"no such method":          {Rule{Method: 77, Classes: 3}, nil},
		"no classes":              {Rule{Method: Majority}, nil},
		"negative classes":        {Rule{Method: Majority, Classes: -1}, nil},
		"too many classes":        {Rule{Method: Majority, Classes: MaxClasses + 1}, nil},
		"too many members":        {Rule{Method: Majority, Classes: 2}, many},
	} {
		got, err := Tally(c.rule, c.invited, []Vote{{Voter: "1", Outcome: OK}})
		if !errors.Is(err, ErrRule) || got.Label != -1 {
			t.Errorf("%s: %v, label %d", name, err, got.Label)
		}
	}
	var c Counter
	if err := c.Reset(Rule{Method: Auto, Classes: 3}, []Member{{ID: "a"}}); err == nil {
		t.Error("no error")
	}
	var out Result
	c.Add(Vote{Voter: "a", Outcome: OK})
	if c.Result(&out); out.Status != NoQuorum || c.Certain() {
		t.Errorf("a counter without a rule counts: %+v", out)
	}
}

// TestTheLargestRoundDoesNotOverflow has every member as heavy and as sure as it can be.
func TestTheLargestRoundDoesNotOverflow(t *testing.T) {
	for _, method := range []Method{Majority, Weighted, Soft} {
		var c Counter
		members := make([]Member, MaxMembers)
		for i := range members {
			members[i] = Member{ID: fmt.Sprintf("%04d", i), Weight: math.MaxInt64, Voice: 1}
		}
		if err := c.Reset(Rule{Method: method, Classes: 2}, members); err != nil {
			t.Fatal(err)
		}
		for i := range members {
			c.AddAt(i, &Vote{Outcome: OK, Label: 1, Probabilities: []Millionths{0, One}})
		}
		var out Result
		c.Result(&out)
		want := int64(MaxMembers) * int64(MaxWeight)
		if method == Majority {
			want = MaxMembers * int64(One)
		}
		if out.Label != 1 || out.Sums[1] != want || out.Shares[1] != One || out.Margin != One || !out.Unanimous {
			t.Errorf("%s: %+v", method, out)
		}
		if method != Majority && out.Effective != 1 {
			t.Errorf("%s: %g effective voters of one voice", method, out.Effective)
		}
	}
}

// TestACounterIsReusable counts rounds of different shapes with one counter and one result.
func TestACounterIsReusable(t *testing.T) {
	r := newRandom(5)
	var c Counter
	var out Result
	for range rounds(5_000) {
		rule, members, votes := r.round()
		if err := c.Reset(rule, members); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			for _, v := range votes {
				if got := c.Add(v); got != c.Add(v) {
					t.Fatalf("a second vote has another outcome than %s", got)
				}
			}
			c.Result(&out)
			want, _ := Tally(rule, ids(members), votes)
			if fmt.Sprint(out) != fmt.Sprint(want) {
				t.Fatalf("reused %+v\nfresh  %+v", out, want)
			}
			c.Clear()
		}
	}
}

func TestCountingDoesNotAllocate(t *testing.T) {
	for _, method := range []Method{Majority, Weighted, Soft} {
		count := newBench(method, 5)
		if n := testing.AllocsPerRun(100, count); n != 0 {
			t.Errorf("%s: %g allocations a round", method, n)
		}
	}
}

func FuzzVotesFromOutside(f *testing.F) {
	f.Add(uint8(1), uint8(3), []byte{1, 0, 0, 1, 1, 3, 1, 2, 9})
	f.Fuzz(func(t *testing.T, method, classes uint8, data []byte) {
		var c Counter
		members := []Member{{ID: "a", Weight: One}, {ID: "b", Weight: 2 * One}, {ID: "c"}, {ID: "d", Weight: math.MinInt64}}
		if err := c.Reset(Rule{Method: Method(method), Classes: int(classes)}, members); err != nil {
			return
		}
		var out Result
		for len(data) >= 3 {
			v := Vote{Voter: string('a' + rune(data[0]%6)), Outcome: Outcome(data[1]), Label: int(int8(data[2]))}
			n := min(len(data)-3, int(data[0]>>5))
			for _, b := range data[3 : 3+n] {
				v.Probabilities = append(v.Probabilities, Millionths(int8(b))*One/100)
			}
			data = data[3+n:]
			c.Add(v)
			c.Result(&out)
			var sum Millionths
			for _, s := range out.Shares {
				sum += s
			}
			if sum < 0 || sum > One+Millionths(classes) || out.Label >= int(classes) || (out.Label < 0) != (out.Counted == 0) {
				t.Fatalf("%+v", out)
			}
		}
	})
}

func TestDisagreementOfCountsIsThatOfTheVotes(t *testing.T) {
	for _, votes := range [][]int{{3, 0, 0}, {2, 1, 0}, {1, 1, 1}, {0, 0, 0}, {5, 0, 2}} {
		var members []Member
		for _, n := range votes {
			for range n {
				members = append(members, Member{ID: string(rune('a' + len(members))), Weight: Millionths(len(members) + 1)})
			}
		}
		if len(members) == 0 {
			if got := DisagreementOf(votes); got != 0 {
				t.Errorf("of nobody: %v", got)
			}
			continue
		}
		var c Counter
		if err := c.Reset(Rule{Method: Weighted, Classes: 3}, members); err != nil {
			t.Fatal(err)
		}
		i := 0
		for k, n := range votes {
			for range n {
				c.AddAt(i, &Vote{Outcome: OK, Label: k})
				i++
			}
		}
		var r Result
		c.Result(&r)
		if got := DisagreementOf(votes); got != r.Disagreement {
			t.Errorf("of %v it is %v, the tally says %v", votes, got, r.Disagreement)
		}
	}
}
