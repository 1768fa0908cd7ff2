package consensus

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
)

// random makes rounds. Numbers are small and few, so that ties, weights of zero and
// gaps equal to the weight outstanding are frequent.
type random struct{ *rand.Rand }

func newRandom(seed uint64) random { return random{rand.New(rand.NewPCG(seed, 1))} }

func (r random) rule() Rule {
	rule := Rule{Method: []Method{Majority, Weighted, Soft}[r.IntN(3)], Classes: 1 + r.IntN(4)}
	switch r.IntN(8) {
	case 0:
		rule.Full = true
	case 1:
		rule.Quorum = r.IntN(6)
	case 2:
		rule.Minority = true
	case 3:
		rule.Alone = true
	}
	return rule
}

func (r random) members(n int) []Member {
	all := make([]Member, n)
	for i := range all {
		all[i] = Member{ID: fmt.Sprintf("m%02d", i), Weight: r.weight(), Skill: Millionths(r.IntN(4)) * One / 4, Voice: r.IntN(3)}
	}
	if r.IntN(10) == 0 {
		for i := range all {
			all[i].Weight = 0
		}
	}
	return all
}

func (r random) weight() Millionths {
	switch r.IntN(10) {
	case 0:
		return 0
	case 1:
		return Millionths(r.Int64N(int64(5 * One)))
	case 2:
		return []Millionths{-One, MaxWeight, MaxWeight + 1, 1, 2, 3}[r.IntN(6)]
	}
	return Millionths(r.IntN(4)) * One / 2
}

// probabilities sum to one, within rounding.
func (r random) probabilities(classes int) []Millionths {
	parts := make([]Millionths, classes)
	left := One
	for k := range classes - 1 {
		parts[k] = min(left, One/4*Millionths(r.IntN(4)))
		if r.IntN(4) == 0 {
			parts[k] = Millionths(r.Int64N(int64(left) + 1))
		}
		left -= parts[k]
	}
	parts[classes-1] = left
	r.Shuffle(classes, func(i, j int) { parts[i], parts[j] = parts[j], parts[i] })
	return parts
}

// good makes a valid vote.
func (r random) good(m Member, classes int) Vote {
	v := Vote{Voter: m.ID, Outcome: OK, Label: r.IntN(classes), Weight: m.Weight, Skill: m.Skill, Voice: m.Voice}
	if r.IntN(2) == 0 {
		v.Probabilities = r.probabilities(classes)
	}
	return v
}

// vote makes any vote: mostly valid, at times failed or malformed.
func (r random) vote(m Member, classes int) Vote {
	v := r.good(m, classes)
	switch r.IntN(12) {
	case 0:
		v.Outcome = Outcome(r.IntN(int(outcomes) + 3))
	case 1:
		v.Label = []int{-1, classes, 1 << 30}[r.IntN(3)]
	case 2:
		v.Probabilities = [][]Millionths{{}, make([]Millionths, classes), {One, One}, {-1, One + 1}}[r.IntN(4)]
	}
	return v
}

// round makes a rule, members and votes of all of them, in any order.
func (r random) round() (Rule, []Member, []Vote) {
	rule := r.rule()
	members := r.members(r.IntN(8))
	votes := make([]Vote, len(members))
	for i, m := range members {
		votes[i] = r.vote(m, rule.Classes)
	}
	r.Shuffle(len(votes), func(i, j int) { votes[i], votes[j] = votes[j], votes[i] })
	return rule, members, votes
}

func ids(members []Member) []string {
	all := make([]string, len(members))
	for i, m := range members {
		all[i] = m.ID
	}
	return all
}

func TestTallyAgreesWithTheOracle(t *testing.T) {
	r := newRandom(1)
	seen := map[string]int{}
	for i := range rounds(100_000) {
		rule, members, votes := r.round()
		invited := ids(members)
		if len(votes) > 0 && i%5 == 0 { // a stranger, a second vote, an id invited twice, a vote not here yet
			votes = append(votes, r.vote(Member{ID: "stranger", Weight: One}, rule.Classes), r.vote(members[0], rule.Classes))
			invited = append(invited, invited[0])
			votes = slices.Delete(votes, 0, r.IntN(2))
		}
		got, err := Tally(rule, invited, votes)
		if (err == ErrNoQuorum) != (got.Status == NoQuorum) {
			t.Fatalf("round %d: status %s with error %v", i, got.Status, err)
		}
		if diff := sameAsOracle(&got, oracle(rule, invited, votes)); diff != "" {
			t.Fatalf("round %d differs in%s\nrule %+v\ninvited %v\nvotes %+v\ngot  %+v\nwant %+v",
				i, diff, rule, invited, votes, got, oracle(rule, invited, votes))
		}
		seen[got.Status.String()]++
		seen[got.TieBreak]++
	}
	for _, what := range []string{"ok", "degraded", "tie", "minority", "single", "no_quorum", "undecided", ByProbabilities, ByHeaviest, ByClassOrder} {
		if seen[what] == 0 {
			t.Errorf("no random round ended with %q: the test looks at too little", what)
		}
	}
}

// TestEarlyDecisionNeverChangesTheLabel lets the votes come in one by one. As soon as the
// counter is certain, every way in which the others may still vote is tried, and then they
// vote as they do. Where it is not certain although quorum holds, some way must exist
// that changes the label or makes a tie: it never waits without need.
func TestEarlyDecisionNeverChangesTheLabel(t *testing.T) {
	r := newRandom(2)
	var c, rest Counter
	var now, then Result
	early, waited := 0, 0
	for i := range rounds(100_000) {
		rule, members, votes := r.round()
		if err := c.Reset(rule, members); err != nil {
			t.Fatal(err)
		}
		certain := -1
		for n := 0; ; n++ {
			c.Result(&now)
			if certain >= 0 && (now.Label != certain || !now.Certain) {
				t.Fatalf("round %d: label %d after %d was certain\nrule %+v\nmembers %+v\nvotes %+v", i, now.Label, certain, rule, members, votes)
			}
			if certain < 0 && c.counted >= c.quorum && c.outstanding > 0 {
				changes := false
				for w := range completions(r, &c) {
					replay(&rest, rule, members, votes[:n], w)
					rest.Result(&then)
					changes = changes || then.Label != now.Label || then.Tie
					if now.Certain && (then.Label != now.Label || then.Tie) {
						t.Fatalf("round %d: certain of %d, but %+v gives %d\nrule %+v\nmembers %+v\nvotes %+v", i, now.Label, w, then.Label, rule, members, votes[:n])
					}
				}
				if !now.Certain && !changes {
					t.Fatalf("round %d waits without need\nrule %+v\nmembers %+v\nvotes %+v\n%+v", i, rule, members, votes[:n], now)
				}
				waited++
			}
			if now.Certain && certain < 0 {
				certain = now.Label
				if c.outstanding > 0 {
					early++
				}
			}
			if n == len(votes) {
				break
			}
			c.Add(votes[n])
		}
	}
	if early == 0 || waited == 0 {
		t.Fatalf("decided early %d times, waited %d times: the test looks at too little", early, waited)
	}
}

// completions yields ways in which the outstanding members may vote: each extreme on its
// own (all for one class), all combinations if they are few, and some at random.
func completions(r random, c *Counter) func(func([]Vote) bool) {
	return func(yield func([]Vote) bool) {
		var outstanding []string
		for i, b := range c.ballots {
			if b.outcome == Pending {
				outstanding = append(outstanding, c.members[i].ID)
			}
		}
		k, n := c.rule.Classes, len(outstanding)
		way := make([]Vote, n)
		one := func(i, choice int) { // 0: fails; 1..k: sure of a class; above: anything
			v := Vote{Voter: outstanding[i], Outcome: OK, Label: choice - 1}
			switch {
			case choice == 0:
				v = Vote{Voter: outstanding[i], Outcome: Timeout}
			case choice > k:
				v = r.good(Member{ID: v.Voter}, k)
			default:
				v.Probabilities = make([]Millionths, k)
				v.Probabilities[choice-1] = One
			}
			way[i] = v
		}
		for choice := range k + 1 {
			for i := range way {
				one(i, choice)
			}
			if !yield(way) {
				return
			}
		}
		all := 1
		for range n {
			all *= k + 1
		}
		for number := range min(all, 64) {
			for i := range way {
				choice := number % (k + 1)
				if all > 64 {
					choice = r.IntN(k + 2)
				}
				one(i, choice)
				number /= k + 1
			}
			if !yield(way) {
				return
			}
		}
	}
}

func replay(c *Counter, rule Rule, members []Member, votes, more []Vote) {
	if err := c.Reset(rule, members); err != nil {
		panic(err)
	}
	for _, v := range votes {
		c.Add(v)
	}
	for _, v := range more {
		c.Add(v)
	}
}

func TestOrderOfArrivalNeverMatters(t *testing.T) {
	r := newRandom(3)
	for i := range rounds(20_000) {
		rule, members, votes := r.round()
		votes = votes[:r.IntN(len(votes)+1)] // the others are pending
		invited := ids(members)
		want, _ := Tally(rule, invited, votes)
		for range 3 {
			r.Shuffle(len(votes), func(i, j int) { votes[i], votes[j] = votes[j], votes[i] })
			r.Shuffle(len(invited), func(i, j int) { invited[i], invited[j] = invited[j], invited[i] })
			got, _ := Tally(rule, invited, votes)
			if fmt.Sprint(got) != fmt.Sprint(want) {
				t.Fatalf("round %d: another order gives another result\n%+v\n%+v", i, got, want)
			}
		}
	}
}

// TestLiarsBelowTheThresholdNeverFlipTheLabel: a vote that is changed moves the gap between
// two classes by at most twice its weight. So if the honest outcome leads by more than twice
// the weight of the liars, nothing that they say gives another label, and if they fall
// silent there is the same label or no quorum.
func TestLiarsBelowTheThresholdNeverFlipTheLabel(t *testing.T) {
	r := newRandom(4)
	tried, above := 0, 0
	for i := range rounds(100_000) {
		rule := r.rule()
		members := r.members(1 + r.IntN(7))
		invited := ids(members)
		votes := make([]Vote, len(members))
		for j, m := range members {
			votes[j] = r.good(m, rule.Classes)
			if r.IntN(3) > 0 {
				votes[j].Label, votes[j].Probabilities = 0, nil
			}
		}
		honest, err := Tally(rule, invited, votes)
		if err != nil || honest.Method != rule.Method {
			continue
		}
		first, second := topTwo(honest.Sums)
		var lying int64
		for _, j := range r.Perm(len(votes)) {
			w := int64(One)
			if rule.Method != Majority {
				w = int64(clamp(members[j].Weight, 0, MaxWeight))
			}
			if 2*(lying+w) >= first-second {
				continue
			}
			lying += w
			votes[j] = r.vote(members[j], rule.Classes)
		}
		got, err := Tally(rule, invited, votes)
		if got.Method != rule.Method {
			continue // all that weighs something fell silent, which takes liars beyond the threshold
		}
		if err == nil && got.Counted >= got.Quorum && got.Label != honest.Label {
			t.Fatalf("round %d: %d became %d\nrule %+v\nvotes %+v", i, honest.Label, got.Label, rule, votes)
		}
		tried++
		if lying > 0 {
			above++
		}
	}
	if tried < rounds(50_000) || above < rounds(10_000) {
		t.Fatalf("only %d rounds, %d with liars: the test looks at too little", tried, above)
	}
}
