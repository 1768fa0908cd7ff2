package consensus

import (
	"errors"
	"fmt"
	"testing"
)

// taught returns a basis after so many rows with a crowd, and the crowd to go on with.
func taught(t testing.TB, seed uint64, classes, rows int, skills []float64, copies []int) (*Basis, *crowd) {
	t.Helper()
	c := &crowd{random: newRandom(seed), classes: classes, skills: skills, copies: copies}
	peers := c.peers()
	var records []Record
	for row := range rows {
		truth, said := c.labels()
		records = append(records, record(row, truth, peers, said))
	}
	b, err := Learn(classes, peers, records)
	if err != nil {
		t.Fatal(err)
	}
	return b, c
}

func TestPlans(t *testing.T) {
	good := []float64{.9, .9, .9}
	for _, c := range []struct {
		name   string
		rows   int
		skills []float64
		method Method
		rule   Method
		follow string
		reason string
	}{
		{"majority", 30, good, Majority, Majority, "", "asked for"},
		{"weighted", 30, good, Weighted, Weighted, "", "asked for; weights from 30 labelled rows"},
		{"weighted from one row", 1, good, Weighted, Weighted, "", "asked for; weights from 1 labelled row"},
		{"soft without labels", 0, good, Soft, Soft, "", "asked for; no labels yet, so no member is known to be better than another"},
		{"weighted if nobody is better than chance", 40, []float64{.1, .1, .1}, Weighted, Majority, "", "nobody is better than chance on 40 labelled rows"},
		{"soft if nobody is better than chance", 40, []float64{.1, .1, .1}, Soft, Majority, "", "nobody is better than chance on 40 labelled rows"},
		{"em for one row", 30, good, EM, Majority, "", "em needs a batch of at least 50 rows"},
		{"auto without labels", 0, good, Auto, Majority, "", "no labels yet"},
		{"auto with one label", 1, good, Auto, Majority, "", "only 1 labelled row, auto waits for 10"},
		{"auto with nine", 9, good, Auto, Majority, "", "only 9 labelled rows, auto waits for 10"},
		{"auto with ten", 10, []float64{1, 1, 1}, Auto, Majority, "", "least loss on 10 labelled rows: 0"},
		{"auto with ten, of which one member has none wrong", 10, []float64{.4, 1, .4}, Auto, Weighted, "m01", "least loss on 10 labelled rows: 0"},
		{"auto follows the one good member", 60, []float64{.4, 1, .4}, Auto, Weighted, "m01", "least loss on 60 labelled rows: 0"},
		{"auto stays with the majority of equals", 60, []float64{1, 1, 1}, Auto, Majority, "", "least loss on 60 labelled rows: 0"},
	} {
		t.Run(c.name, func(t *testing.T) {
			b, _ := taught(t, 1, 3, c.rows, c.skills, nil)
			p, err := b.Plan(c.method)
			if err != nil || p.Method != c.method || p.Rule != c.rule || p.Follow != c.follow || p.Reason != c.reason {
				t.Fatalf("%+v, %v", p, err)
			}
			for i, m := range p.Members {
				want := b.Members[i].Weight
				switch {
				case c.follow == m.ID || c.rule == Majority:
					want = One
				case c.follow != "":
					want = 0
				}
				if m.Weight != want || m.Skill != b.Members[i].Score || m.ID != b.Members[i].ID {
					t.Errorf("%+v, want the weight %d", m, want)
				}
			}
		})
	}
	b, _ := taught(t, 1, 3, 0, good, nil)
	if _, err := b.Plan(77); !errors.Is(err, ErrRule) {
		t.Error(err)
	}
}

func TestAutoWithoutVotesOnTheLabelledRowsIsTheMajority(t *testing.T) {
	var records []Record
	for row := range 20 {
		records = append(records, record(row, 0, nil, nil))
	}
	b, err := Learn(3, []Peer{{ID: "a"}}, records)
	if err != nil {
		t.Fatal(err)
	}
	if p, err := b.Plan(Auto); err != nil || p.Rule != Majority || p.Reason != "no votes on 20 labelled rows" {
		t.Errorf("%+v, %v", p, err)
	}
}

// TestTheFollowedMemberFails: then the votes of the others count one each.
func TestTheFollowedMemberFails(t *testing.T) {
	b, _ := taught(t, 1, 3, 60, []float64{.4, 1, .4}, nil)
	p, err := b.Plan(Auto)
	if err != nil {
		t.Fatal(err)
	}
	var c Counter
	if err := c.Reset(Rule{Method: p.Rule, Classes: 3}, p.Members); err != nil {
		t.Fatal(err)
	}
	c.Add(Vote{Voter: "m00", Outcome: OK, Label: 2})
	c.Add(Vote{Voter: "m02", Outcome: OK, Label: 2})
	if c.Certain() {
		t.Error("certain without the one that decides")
	}
	c.Add(Vote{Voter: "m01", Outcome: Timeout})
	var out Result
	if c.Result(&out); out.Label != 2 || out.Method != Majority || out.Status != Degraded || !out.Certain {
		t.Errorf("%+v", out)
	}
}

// TestEarlyDecisionOverAllMethods: whatever is learnt and asked for, a label that was
// certain early is that of all votes.
func TestEarlyDecisionOverAllMethods(t *testing.T) {
	r := newRandom(10)
	var c Counter
	var out Result
	early := map[string]int{}
	total := max(rounds(1_000_000), 150_000)
	for done := 0; done < total; {
		classes, n := 2+r.IntN(3), 1+r.IntN(7)
		skills, copies := make([]float64, n), make([]int, n)
		for j := range skills {
			skills[j], copies[j] = r.Float64(), -1
			if j > 0 && r.IntN(4) == 0 {
				copies[j] = 0
			}
		}
		b, crowd := taught(t, r.Uint64(), classes, r.IntN(40), skills, copies)
		for method := range methods {
			p, err := b.Plan(method)
			if err != nil {
				t.Fatal(err)
			}
			rule := Rule{Method: p.Rule, Classes: classes, Quorum: r.IntN(n + 1), Full: r.IntN(9) == 0}
			if err := c.Reset(rule, p.Members); err != nil {
				t.Fatal(err)
			}
			for range 400 {
				done++
				_, said := crowd.labels()
				c.Clear()
				certain := -1
				for _, j := range r.Perm(n) {
					v := Vote{Outcome: OK, Label: said[j]}
					switch r.IntN(8) {
					case 0:
						v.Outcome = Timeout
					case 1, 2, 3:
						v.Probabilities = r.probabilities(classes)
					}
					c.AddAt(j, &v)
					if certain < 0 && c.Certain() {
						certain = c.Leader()
						if c.Outstanding() > 0 {
							early[fmt.Sprint(method, " by ", p.Rule, p.Follow != "")]++
						}
					}
				}
				if c.Result(&out); certain >= 0 && out.Label != certain {
					t.Fatalf("certain of %d, then %+v\nby %+v", certain, out, p)
				}
				if got := c.Leader(); got != out.Label {
					t.Fatalf("leader %d, result %+v", got, out)
				}
			}
		}
	}
	for _, what := range []string{"majority by majority false", "weighted by weighted false", "soft by soft false", "auto by weighted true", "auto by majority false", "auto by soft false", "em by majority false"} {
		if early[what] == 0 && total == 1_000_000 { // auto is rarely soft
			t.Errorf("%s was never decided early: the test looks at too little; %v", what, early)
		}
	}
}

// TestFourCopiesOfAWeakModelBesideThreeGoodOnes: 200 runs (seeds 1 to 200) of 60 labelled
// rows and 200 others. What the three good ones reach alone, weighted and auto reach with
// the copies beside them, although four votes of seven are one weak model's.
func TestFourCopiesOfAWeakModelBesideThreeGoodOnes(t *testing.T) {
	const runs, labelled, asked = 200, 60, 200
	right := map[string]int{}
	effective := 0.0
	for seed := uint64(1); seed <= runs; seed++ {
		skills := []float64{.5, .5, .5, .5, .9, .9, .9}
		c := crowd{random: newRandom(seed), classes: 3, skills: skills, copies: []int{-1, 0, 0, 0, -1, -1, -1}}
		peers := c.peers()
		var records []Record
		for row := range labelled {
			truth, said := c.labels()
			records = append(records, record(row, truth, peers, said))
		}
		counters := map[string]*Counter{}
		for _, team := range []struct {
			name  string
			peers []Peer
		}{{"seven", peers}, {"three", peers[4:]}} {
			b, err := Learn(3, team.peers, records)
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range []Method{Majority, Weighted, Auto} {
				p, err := b.Plan(m)
				if err != nil {
					t.Fatal(err)
				}
				c := new(Counter)
				if err := c.Reset(Rule{Method: p.Rule, Classes: 3}, p.Members); err != nil {
					t.Fatal(err)
				}
				counters[team.name+" "+m.String()] = c
				if team.name == "seven" && m == Weighted {
					effective = max(effective, effectiveOf(t, p, 3))
				}
			}
		}
		for range asked {
			truth, said := c.labels()
			for name, counter := range counters {
				counter.Clear()
				absent := len(said) - len(counter.Members()) // the copies come first
				for i := range counter.Members() {
					counter.AddAt(i, &Vote{Outcome: OK, Label: said[absent+i]})
				}
				if counter.Leader() == truth {
					right[name]++
				}
			}
		}
	}
	rate := func(name string) float64 { return float64(right[name]) / (runs * asked) }
	t.Logf("the three alone: majority %.4f, weighted %.4f, auto %.4f; with the copies: majority %.4f, weighted %.4f, auto %.4f; effective voters at most %.3f",
		rate("three majority"), rate("three weighted"), rate("three auto"), rate("seven majority"), rate("seven weighted"), rate("seven auto"), effective)
	for _, m := range []string{"weighted", "auto"} {
		if rate("seven "+m) < rate("three "+m) {
			t.Errorf("%s: %.4f with the copies, %.4f without", m, rate("seven "+m), rate("three "+m))
		}
	}
	if rate("seven majority") > rate("three majority")-0.2 {
		t.Error("the copies do not hurt the majority: the test looks at too little")
	}
	if effective >= 4.5 {
		t.Errorf("%g effective voters", effective)
	}
}
