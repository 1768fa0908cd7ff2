package assess

import "testing"

// verdicts are whole sentences, since people read them and scripts quote them.
func TestVerdictsInWords(t *testing.T) {
	two := []MemberReport{{Node: "1", Name: "ana"}, {Node: "2", Name: "bo"}}
	c := func(method, verdict string, difference float64, only, other int) Comparison {
		return Comparison{
			Method: method, Member: "1", Rows: 100, Difference: difference, OnlyMethod: only, OnlyMember: other, PHolm: 0.03,
			Interval: &Interval{Low: difference - 0.01, High: difference + 0.02}, Verdict: verdict,
		}
	}
	for _, tt := range []struct {
		name        string
		members     []MemberReport
		comparisons []Comparison
		want        string
	}{
		{"nobody", nil, nil, "Nobody voted, so there is nothing to compare."},
		{"one", two[:1], nil, "ana is the only member, so there is nothing to compare."},
		{
			"all the same", two,
			[]Comparison{c("majority", Same, 0, 0, 0), c("soft", Same, 0, 0, 0)},
			"No method is better than the best single member, ana: all are right on the same rows as it is.",
		},
		{
			"none to be told", two,
			[]Comparison{c("majority", Same, 0, 0, 0), c("weighted", Indistinguishable, 0.02, 3, 1), c("soft", Indistinguishable, -0.04, 0, 4)},
			"No method can be told from the best single member, ana, on these 100 rows: majority is right on the same rows as it is; " +
				"weighted is right on 3 rows that ana has wrong, and wrong on 1 that it has right (+2.0 points, 95 % interval +1.0 to +4.0, p = 0.03), which may be chance.",
		},
		{
			"one better", two,
			[]Comparison{c("majority", Better, 0.1, 10, 0), c("soft", Indistinguishable, -0.04, 0, 4)},
			"majority is better than the best single member, ana, by more than chance: right on 10 rows that ana has wrong, and wrong on none that it has right " +
				"(+10.0 points, 95 % interval +9.0 to +12.0, p = 0.03). soft cannot be told from it.",
		},
		{
			"worse and better", two,
			[]Comparison{c("majority", Worse, -0.2, 1, 21), c("em", Worse, -0.1, 1, 11), c("soft", Better, 0.05, 5, 0)},
			"soft is better than the best single member, ana, by more than chance: right on 5 rows that ana has wrong, and wrong on none that it has right " +
				"(+5.0 points, 95 % interval +4.0 to +7.0, p = 0.03). majority and em are worse than the best single member, ana, by more than chance: " +
				"majority is right on 1 row that ana has wrong, and wrong on 21 that it has right (-20.0 points, 95 % interval -21.0 to -18.0, p = 0.03).",
		},
	} {
		r := &Report{Rows: 100, Members: tt.members, Comparisons: tt.comparisons}
		best := min(0, len(tt.members)-1)
		if got := r.verdict(best); got != tt.want {
			t.Errorf("%s:\n got %s\nwant %s", tt.name, got, tt.want)
		}
	}
}
