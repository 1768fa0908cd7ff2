package consensus

import (
	"strings"
	"testing"
)

// TestSummaryHasAPhraseForEveryOutcome: of one member and of several. The rounds of
// testdata show whole sentences.
func TestSummaryHasAPhraseForEveryOutcome(t *testing.T) {
	seen := map[string]Outcome{}
	for o := range outcomes {
		if o == OK {
			continue
		}
		for _, n := range []int{1, 2} {
			got := phrase(o, n, true)
			if got == "" || got == "failed" || strings.HasSuffix(got, ".") {
				t.Errorf("%s: %q", o, got)
			}
			if other, ok := seen[got]; ok && other != o {
				t.Errorf("%s and %s are told alike: %q", o, other, got)
			}
			seen[got] = o
		}
	}
}

func TestSummaryNamesAreJoinedAndShortened(t *testing.T) {
	for want, names := range map[string]string{
		"":                   "",
		"a":                  "a",
		"a and b":            "a b",
		"a, b and c":         "a b c",
		"a, b, c and d":      "a b c d",
		"a, b, c and 2 more": "a b c d e",
	} {
		if got := list(strings.Fields(names)); got != want {
			t.Errorf("%q is told as %q, want %q", names, got, want)
		}
	}
}

func TestSummaryOfTwoHundredMembersIsShort(t *testing.T) {
	labels := []string{"a", "b", "c", "d", "e", "f"}
	invited := make([]string, 200)
	votes := make([]Vote, 200)
	lines := make([]Line, 200)
	for i := range votes {
		name := "member-" + strings.Repeat("x", i%50)
		invited[i] = name + string(rune('a'+i/50))
		votes[i] = Vote{Voter: invited[i], Outcome: OK, Label: max(0, i%12-6)}
		if i%7 == 0 {
			votes[i].Outcome = Outcome(i/7) % outcomes
		}
		lines[i] = Line{Name: name, Outcome: votes[i].Outcome, Label: votes[i].Label}
	}
	r, err := Tally(Rule{Method: Majority, Classes: 6}, invited, votes)
	if err != nil {
		t.Fatal(err)
	}
	got := Summary(&r, labels, lines)
	if len(got) > 700 || !strings.HasSuffix(got, "more did not vote") || !strings.Contains(got, "more say otherwise") {
		t.Errorf("%d bytes: %s", len(got), got)
	}
}

func TestSummaryWithoutLabelNamesUsesNumbers(t *testing.T) {
	r, err := Tally(Rule{Method: Majority, Classes: 3}, []string{"a"}, []Vote{{Voter: "a", Outcome: OK, Label: 2}})
	if err != nil {
		t.Fatal(err)
	}
	if got := Summary(&r, nil, []Line{{Name: "knn", Outcome: OK, Label: 2}}); got != "knn says class 2" {
		t.Error(got)
	}
}
