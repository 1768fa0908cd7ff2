package consensus

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
)

// evidence reads records written as "row labeller label | member label, member label".
func evidence(t *testing.T, lines ...string) []Record {
	t.Helper()
	var all []Record
	for _, line := range lines {
		var r Record
		head, votes, _ := strings.Cut(line, "|")
		var row byte
		if _, err := fmt.Sscan(head, &row, &r.Labeller, &r.Label); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		r.Row[0] = row
		for _, v := range strings.Split(votes, ",") {
			var who string
			var label int
			if _, err := fmt.Sscan(v, &who, &label); err == nil {
				r.Votes = append(r.Votes, Vote{Voter: who, Outcome: OK, Label: label})
			}
		}
		all = append(all, r)
	}
	return all
}

func TestWhatEvidenceCounts(t *testing.T) {
	peers := []Peer{{ID: "a"}, {ID: "b"}}
	for _, c := range []struct {
		name     string
		records  []string
		rows     int
		disputed int
		ignored  int
		a, b     string // correct/total
		twofaced string
	}{
		{"nothing", nil, 0, 0, 0, "0/0", "0/0", ""},
		{"two rows", []string{"1 ana 0 | a 0, b 1", "2 ana 1 | a 1, b 1"}, 2, 0, 0, "2/2", "1/2", ""},
		{"a silent member is not judged", []string{"1 ana 0 | a 0", "2 ana 1 | a 0, b 1"}, 2, 0, 0, "1/2", "1/1", ""},
		{"a row labelled twice counts once", []string{"1 ana 0 | a 0, b 1", "1 ana 0 | a 0, b 1", "1 bo 0 | a 0, b 1"}, 1, 0, 0, "1/1", "0/1", ""},
		{"votes on one row come together from all records on it", []string{"1 ana 0 | a 0", "1 bo 0 | b 1"}, 1, 0, 0, "1/1", "0/1", ""},
		{"a labeller may change its mind", []string{"1 ana 0 | a 0, b 1", "1 ana 1 | a 0, b 1"}, 1, 0, 0, "0/1", "1/1", ""},
		{"most labellers decide", []string{"1 ana 0 | a 0, b 1", "1 bo 1", "1 cy 1"}, 1, 0, 0, "0/1", "1/1", ""},
		{"labellers evenly divided: the row is left out", []string{"1 ana 0 | a 0, b 1", "1 bo 1", "2 ana 0 | a 0"}, 1, 1, 0, "1/1", "0/0", ""},
		{"a label that is not of the task is ignored", []string{"1 ana 7 | a 0", "2 ana -1 | a 0"}, 0, 0, 2, "0/0", "0/0", ""},
		{"a vote for a label that is not of the task is none", []string{"1 ana 0 | a 7, b 0"}, 1, 0, 0, "0/0", "1/1", ""},
		{"votes of strangers are ignored", []string{"1 ana 0 | x 0, a 0"}, 1, 0, 0, "1/1", "0/0", ""},
		{"two faces: the row does not count for that member", []string{"1 ana 0 | a 0, b 1", "1 bo 0 | a 1, b 1", "2 ana 0 | a 0"}, 2, 0, 0, "1/1", "0/1", "a"},
		{"two faces in one record", []string{"1 ana 0 | a 0, a 1, a 0"}, 1, 0, 0, "0/0", "0/0", "a"},
	} {
		t.Run(c.name, func(t *testing.T) {
			b, err := Learn(2, peers, evidence(t, c.records...))
			if err != nil {
				t.Fatal(err)
			}
			if b.Rows != c.rows || b.Disputed != c.disputed || b.Ignored != c.ignored {
				t.Errorf("%d rows, %d disputed, %d ignored", b.Rows, b.Disputed, b.Ignored)
			}
			twofaced := ""
			for i, want := range []string{c.a, c.b} {
				m := b.Members[i]
				if got := fmt.Sprintf("%d/%d", m.Correct, m.Total); got != want {
					t.Errorf("%s has %s, want %s", m.ID, got, want)
				}
				if m.Score != SkillOf(m.Correct, m.Total) || m.Weight != WeightOf(m.Correct, m.Total, 2) {
					t.Errorf("%s: score %d, weight %d", m.ID, m.Score, m.Weight)
				}
				if m.TwoFaced {
					twofaced += m.ID
				}
			}
			if twofaced != c.twofaced {
				t.Errorf("two-faced: %q", twofaced)
			}
		})
	}
}

func TestRecallByClass(t *testing.T) {
	b, err := Learn(3, []Peer{{ID: "a"}}, evidence(t, "1 ana 0 | a 0", "2 ana 0 | a 1", "3 ana 2 | a 2", "4 ana 1"))
	if err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(b.Members[0].Recall); got != "[{1 2} {0 0} {1 1}]" {
		t.Error(got)
	}
}

func TestTheOrderOfMembersDoesNotMatterToABasis(t *testing.T) {
	c := crowd{random: newRandom(8), classes: 3, skills: []float64{.9, .7, .5, .8}, copies: []int{-1, -1, 1, -1}}
	peers := c.peers()
	var records []Record
	for row := range 60 {
		truth, said := c.labels()
		records = append(records, record(row, truth, peers, said))
	}
	want, err := Learn(3, peers, records)
	if err != nil {
		t.Fatal(err)
	}
	for range 10 {
		c.Shuffle(len(peers), func(i, j int) { peers[i], peers[j] = peers[j], peers[i] })
		for _, r := range records {
			c.Shuffle(len(r.Votes), func(i, j int) { r.Votes[i], r.Votes[j] = r.Votes[j], r.Votes[i] })
		}
		got, err := Learn(3, append(peers, peers[0]), records)
		if err != nil || fmt.Sprint(*got) != fmt.Sprint(*want) {
			t.Fatalf("%v\n%+v\n%+v", err, *got, *want)
		}
	}
}

func TestCopiesOfAModelShareOneWeight(t *testing.T) {
	peers := []Peer{{"a", "m"}, {"b", "other"}, {"c", "m"}, {"d", ""}, {"e", ""}, {"f", "m"}}
	b, err := Learn(3, peers, evidence(t, "1 ana 0 | a 0, b 0, c 0, d 0, e 0, f 0"))
	if err != nil {
		t.Fatal(err)
	}
	alone := WeightOf(1, 1, 3)
	for i, voice := range []int{1, 0, 1, 0, 0, 1} {
		want := alone
		if voice == 1 {
			want = alone / 3
		}
		if m := b.Members[i]; m.Voice != voice || m.Weight != want {
			t.Errorf("%s: voice %d, weight %d, want %d, %d", m.ID, m.Voice, m.Weight, voice, want)
		}
	}
	for method, want := range map[Method]float64{Majority: 6, Weighted: 4, Soft: 4} {
		p, err := b.Plan(method)
		if err != nil {
			t.Fatal(err)
		}
		if got := effectiveOf(t, p, 3); got < want-1e-5 || got > want {
			t.Errorf("%s: %g effective voters, want %g", method, got, want)
		}
	}
}

// effectiveOf returns the effective voters of a plan if all vote alike.
func effectiveOf(t *testing.T, p Plan, classes int) float64 {
	t.Helper()
	var c Counter
	if err := c.Reset(Rule{Method: p.Rule, Classes: classes}, p.Members); err != nil {
		t.Fatal(err)
	}
	for i := range p.Members {
		c.AddAt(i, &Vote{Outcome: OK})
	}
	var out Result
	c.Result(&out)
	return out.Effective
}

func TestLearnRefusesWhatCannotBeCounted(t *testing.T) {
	if _, err := Learn(0, nil, nil); !errors.Is(err, ErrRule) {
		t.Error(err)
	}
	if _, err := Learn(3, make([]Peer, MaxMembers+1), nil); !errors.Is(err, ErrRule) {
		t.Error(err)
	}
	if b, err := Learn(3, nil, evidence(t, "1 ana 0")); err != nil || b.Rows != 1 || len(b.Experts) != 3 || b.Best != -1 {
		t.Errorf("%+v, %v", b, err)
	}
}

// TestMembersThatErrTogetherAreTold: two members with different fingerprints, one of which
// repeats the other, beside three that are independent.
func TestMembersThatErrTogetherAreTold(t *testing.T) {
	c := crowd{random: newRandom(9), classes: 3, skills: []float64{.7, .7, .7, .7, .7}, copies: []int{-1, -1, -1, -1, 1}}
	peers := c.peers()
	peers[4].Fingerprint = "claims to be its own"
	var records []Record
	for row := range 150 {
		truth, said := c.labels()
		records = append(records, record(row, truth, peers, said))
	}
	b, err := Learn(3, peers, records)
	if err != nil {
		t.Fatal(err)
	}
	if len(b.Together) != 1 || b.Together[0].A != "m01" || b.Together[0].B != "m04" {
		t.Fatalf("%+v", b.Together)
	}
	if p := b.Together[0]; p.Rows != 150 || p.Z < 3 || float64(p.Together) < 2*p.Expected {
		t.Errorf("%+v", p)
	}
	if slices.ContainsFunc(b.Members, func(m Learnt) bool { return m.Voice != 0 }) {
		t.Error("they were merged")
	}
	peers[4].Fingerprint = peers[1].Fingerprint
	if b, err = Learn(3, peers, records); err != nil || len(b.Together) != 0 {
		t.Errorf("copies of one model are told as a surprise: %+v, %v", b.Together, err)
	}
}
