package assess_test

import (
	"encoding/json"
	"math"
	"slices"
	"strings"
	"testing"

	"caucus/node/assess"
	"caucus/node/assess/assesstest"
	"caucus/node/consensus"
)

func reportOf(t *testing.T, m assesstest.Made, o assess.Options) *assess.Report {
	t.Helper()
	r, err := m.Report(o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func method(t *testing.T, r *assess.Report, name string) *assess.MethodReport {
	t.Helper()
	for i := range r.Methods {
		if r.Methods[i].Method == name {
			return &r.Methods[i]
		}
	}
	t.Fatalf("there is no method %s", name)
	return nil
}

func comparison(t *testing.T, r *assess.Report, name string) assess.Comparison {
	t.Helper()
	for _, c := range r.Comparisons {
		if c.Method == name {
			return c
		}
	}
	t.Fatalf("there is no comparison of %s", name)
	return assess.Comparison{}
}

var three = []string{"a", "b", "c"}

func TestManyEqualMembersTogetherAreBetterThanEachAndTheReportSaysSo(t *testing.T) {
	r := reportOf(t, assesstest.Made{Rows: 1500, Labels: three, Skills: []float64{.75, .75, .75, .75, .75}, Seed: 3}, assess.Options{})
	for _, c := range r.Comparisons {
		if c.Verdict != assess.Better || c.Interval.Low <= 0 || c.PHolm >= 0.05 {
			t.Errorf("%+v", c)
		}
	}
	if !strings.Contains(r.Verdict, "are better than the best single member, ") || !strings.Contains(r.Verdict, "by more than chance") {
		t.Error(r.Verdict)
	}
	m := method(t, r, "majority")
	if got := m.Accuracy; got < 0.80 || !(m.Interval.Low < got && got < m.Interval.High) {
		t.Errorf("majority: %+v", m)
	}
	if m.Recounted != true || r.Recount.Differ != 0 || !r.Recount.Done {
		t.Errorf("the majority counted by other means differs: %+v", r.Recount)
	}
}

func TestFewRowsTellNothingAndTheReportSaysSo(t *testing.T) {
	r := reportOf(t, assesstest.Made{Rows: 30, Labels: three, Skills: []float64{.9, .88, .86}, Seed: 5}, assess.Options{Overlap: assess.Overlap{Known: true}})
	for _, c := range r.Comparisons {
		if c.Verdict == assess.Better || c.Verdict == assess.Worse {
			t.Errorf("%+v", c)
		}
	}
	if !strings.Contains(r.Verdict, "No method can be told from the best single member, ") && !strings.Contains(r.Verdict, "right on the same rows") {
		t.Error(r.Verdict)
	}
	if len(r.Notes) != 0 {
		t.Errorf("notes: %q", r.Notes)
	}
}

func TestCopiesAreToldWhereTheyMatter(t *testing.T) {
	for copies, want := range map[int]string{5: "", 6: "6 of the 100 rows are copies of others, so the intervals are too narrow"} {
		o := assess.Options{Copies: copies, Overlap: assess.Overlap{Known: true}}
		r := reportOf(t, assesstest.Made{Rows: 100, Labels: three, Skills: []float64{.8, .8}}, o)
		if got := strings.Join(r.Notes, "|"); got != want {
			t.Errorf("%d copies: %q", copies, got)
		}
	}
}

func TestWeakMembersInTheMajorityAreWorseThanAGoodOne(t *testing.T) {
	m := assesstest.Made{Rows: 800, Labels: three, Skills: []float64{.97, .5, .5, .5, .5}, Names: []string{"good"}, Known: true, Batch: 250, Seed: 1}
	r := reportOf(t, m, assess.Options{Overlap: assess.Overlap{Known: true, Rows: 40}})
	if c := comparison(t, r, "majority"); c.Verdict != assess.Worse {
		t.Errorf("%+v", c)
	}
	if c := comparison(t, r, "auto"); c.Verdict == assess.Worse {
		t.Errorf("auto counts by weights: %+v", c)
	}
	if !strings.Contains(r.Verdict, "worse than the best single member, good, by more than chance: ") || !strings.Contains(r.Verdict, "cannot be told from it.") {
		t.Error(r.Verdict)
	}
	if len(r.Notes) != 1 || !strings.HasPrefix(r.Notes[0], "40 of the 800 rows are in the evidence: ") {
		t.Errorf("notes: %q", r.Notes)
	}
	em := method(t, r, "em")
	if em.Rule != "em" || !strings.Contains(em.Reason, "from 800 rows") {
		t.Errorf("em is not fitted on all rows, however they were asked: %+v", em)
	}
}

func TestASheetInBatchesIsTheSameAsInOne(t *testing.T) {
	m := assesstest.Made{Rows: 600, Labels: three, Skills: []float64{.9, .8, .7, .6, .6}, Known: true, Seed: 9}
	whole := reportOf(t, m, assess.Options{Seed: 4})
	m.Batch = 70
	parts := reportOf(t, m, assess.Options{Seed: 4})
	a, err := json.Marshal(whole)
	if err != nil {
		t.Fatal(err)
	}
	b, err := json.Marshal(parts)
	if err != nil {
		t.Fatal(err)
	}
	if string(a) != string(b) {
		t.Errorf("in one\n%s\nin batches\n%s", a, b)
	}
}

func TestAMemberIsMeasuredOnTheRowsThatItVotedOn(t *testing.T) {
	r := reportOf(t, assesstest.Made{Rows: 200, Labels: three, Skills: []float64{.9, .8, .95}, Silent: 150, Seed: 2}, assess.Options{})
	last := r.Members[2]
	if last.Answered != 50 || last.Reason != "timeout" || math.Abs(last.Accuracy-float64(last.Correct)/50) > 1e-12 {
		t.Errorf("%+v", last)
	}
	if r.BestMember == last.Node {
		t.Error("who voted on a quarter of the rows is the best single member")
	}
	for _, p := range r.Pairs {
		if want := map[bool]int{true: 50, false: 200}[p.B == last.Node]; p.Rows != want {
			t.Errorf("%s and %s have %d rows in common, want %d", p.A, p.B, p.Rows, want)
		}
	}
}

func TestAnAnswerThatTheVotesDoNotGiveIsFound(t *testing.T) {
	task := assesstest.Made{Labels: three}.Task()
	s := assess.NewSheet(task)
	basis := &consensus.Basis{Classes: 3, Best: -1, Members: []consensus.Learnt{{ID: "a"}, {ID: "b"}, {ID: "c"}}}
	said := func(labels ...int) assess.Said { return assess.Said{Labels: labels} }
	b := assess.Batch{
		Actual: []int{0, 1, 2}, Basis: basis,
		Votes: []assess.Votes{
			{Node: "a", Name: "a", Said: said(0, 1, 2)}, {Node: "b", Name: "b", Said: said(0, 1, 1)}, {Node: "c", Name: "c", Said: said(0, 2, 1)},
		},
		Answer: assess.Answer{Method: consensus.Majority, Rule: "majority", Said: said(0, 2, 1)}, // the second is not the majority's
	}
	if err := s.Add(b); err != nil {
		t.Fatal(err)
	}
	r, err := s.Report(assess.Options{Overlap: assess.Overlap{Known: true}})
	if err != nil {
		t.Fatal(err)
	}
	if r.Recount.Differ != 1 || !slices.Equal(r.Recount.Rows, []int{1}) || len(r.Notes) != 1 || !strings.Contains(r.Notes[0], "1 row differs from the answer") {
		t.Errorf("%+v %q", r.Recount, r.Notes)
	}

	// Where the node does not say what members weigh, its answers are taken as they are.
	b.Basis, b.Answer.Method, b.Answer.Rule = nil, consensus.Soft, "soft"
	s = assess.NewSheet(task)
	if err := s.Add(b); err != nil {
		t.Fatal(err)
	}
	if r, err = s.Report(assess.Options{}); err != nil {
		t.Fatal(err)
	}
	if m := method(t, r, "soft"); len(r.Methods) != 2 || m.Recounted || m.Correct != 1 || r.Recount.Done || len(r.Notes) != 2 {
		t.Errorf("%+v %q", r.Methods, r.Notes)
	}
}

func TestWhatDoesNotFitTogetherIsRefused(t *testing.T) {
	task := assesstest.Made{Labels: three}.Task()
	good := func() assess.Batch {
		return assess.Batch{
			Actual: []int{0}, Votes: []assess.Votes{{Node: "a", Said: assess.Said{Labels: []int{0}}}},
			Answer: assess.Answer{Method: consensus.Majority, Rule: "majority", Said: assess.Said{Labels: []int{0}}},
		}
	}
	for name, spoil := range map[string]func(*assess.Batch){
		"no rows":            func(b *assess.Batch) { b.Actual = nil },
		"a class too high":   func(b *assess.Batch) { b.Actual[0] = 3 },
		"a vote for nothing": func(b *assess.Batch) { b.Votes[0].Labels[0] = 9 },
		"votes too many":     func(b *assess.Batch) { b.Votes[0].Labels = []int{0, 1} },
		"answers too few":    func(b *assess.Batch) { b.Answer.Labels = nil },
		"odd probabilities":  func(b *assess.Batch) { b.Votes[0].Probabilities = [][]consensus.Millionths{{1, 2}} },
		"no labels but shares": func(b *assess.Batch) {
			b.Votes[0].Said = assess.Said{Probabilities: [][]consensus.Millionths{{1_000_000, 0, 0}}}
		},
		"a member twice":      func(b *assess.Batch) { b.Votes = append(b.Votes, b.Votes[0]) },
		"a share above 1":     func(b *assess.Batch) { b.Votes[0].Probabilities = [][]consensus.Millionths{{2_000_000, 0, 0}} },
		"shares too small":    func(b *assess.Batch) { b.Votes[0].Probabilities = [][]consensus.Millionths{{500_000, 0, 0}} },
		"a rule of no method": func(b *assess.Batch) { b.Answer.Method, b.Answer.Rule = consensus.Soft, "x" },
	} {
		s, b := assess.NewSheet(task), good()
		spoil(&b)
		if err := s.Add(b); err == nil || s.Rows() != 0 {
			t.Errorf("%s: %v, %d rows", name, err, s.Rows())
		}
	}
	s := assess.NewSheet(task)
	if _, err := s.Report(assess.Options{}); err == nil {
		t.Error("a report on nothing")
	}
	if err := s.Add(good()); err != nil {
		t.Error(err)
	}
}
