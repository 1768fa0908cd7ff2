package consensus

import (
	"math/big"
	"slices"
	"strings"
)

// The oracle counts a round a second time, slowly and straight from the definitions, with
// rational numbers, sorted lists and nothing kept from vote to vote.

// oracleResult is what the oracle says of a round in which every vote is here.
type oracleResult struct {
	label    int
	status   Status
	method   Method
	tieBreak string
	sums     []*big.Rat // in units, not millionths
	counted  int
}

// oracleVotes returns the first vote of each invited member that is not pending, by id.
func oracleVotes(invited []string, votes []Vote) map[string]Vote {
	got := map[string]Vote{}
	for _, v := range votes {
		if _, dup := got[v.Voter]; !dup && v.Outcome != Pending && slices.Contains(invited, v.Voter) {
			got[v.Voter] = v
		}
	}
	return got
}

// oracleBad says what is wrong with a vote, in the words of the definition.
func oracleBad(v Vote, classes int) Outcome {
	if v.Outcome.String() == "outcome("+big.NewInt(int64(v.Outcome)).String()+")" {
		return BadSchema
	}
	if v.Outcome != OK {
		return v.Outcome
	}
	if v.Label < 0 || v.Label > classes-1 {
		return BadLabel
	}
	if v.Probabilities != nil {
		if len(v.Probabilities) != classes {
			return BadSchema
		}
		sum := new(big.Rat)
		for _, p := range v.Probabilities {
			r := big.NewRat(int64(p), int64(One))
			if r.Sign() < 0 || r.Cmp(big.NewRat(1, 1)) > 0 {
				return BadSchema
			}
			sum.Add(sum, r)
		}
		if sum.Cmp(big.NewRat(98, 100)) < 0 || sum.Cmp(big.NewRat(102, 100)) > 0 {
			return BadSchema
		}
	}
	return OK
}

// roundRat rounds a rational that is not negative to millionths, half up.
func roundRat(x *big.Rat) *big.Rat {
	n := new(big.Int).Mul(x.Num(), big.NewInt(2_000_000))
	n.Add(n, x.Denom())
	n.Quo(n, new(big.Int).Mul(x.Denom(), big.NewInt(2)))
	return new(big.Rat).SetFrac(n, big.NewInt(1_000_000))
}

func oracle(r Rule, invited []string, votes []Vote) oracleResult {
	ids := slices.Compact(slices.Sorted(slices.Values(invited)))
	here := oracleVotes(ids, votes)
	weigh := func(v Vote) *big.Rat {
		return big.NewRat(int64(max(0, min(v.Weight, 1000*One))), int64(One))
	}
	var good []Vote
	failed, heavy := false, false
	for _, id := range ids {
		v := here[id]
		switch o := oracleBad(v, r.Classes); {
		case o == OK:
			good = append(good, v)
			heavy = heavy || weigh(v).Sign() > 0
		case o == Pending || o == Abstain:
		default:
			failed = true
		}
	}
	out := oracleResult{label: -1, method: r.Method, counted: len(good)}
	if !heavy {
		out.method = Majority
	}
	weight := func(v Vote) *big.Rat {
		if out.method == Majority {
			return big.NewRat(1, 1)
		}
		return weigh(v)
	}
	for k := range r.Classes {
		sum := new(big.Rat)
		for _, v := range good {
			share := new(big.Rat)
			if v.Label == k {
				share.SetInt64(1)
			}
			if out.method == Soft {
				share = oracleShare(v, k, r.Classes)
			}
			sum.Add(sum, roundRat(share.Mul(share, weight(v))))
		}
		out.sums = append(out.sums, sum)
	}
	if len(good) > 0 {
		out.label, out.tieBreak = oracleLabel(out, good, weight)
	}
	need := len(ids)/2 + 1
	if r.Quorum > need {
		need = r.Quorum
	}
	if r.Full && len(ids) > need {
		need = len(ids)
	}
	switch {
	case len(good) < need && len(good)+len(ids)-len(here) >= need:
		out.status = Undecided
	case len(good) < need && r.Minority && len(good) > 0:
		out.status = Minority
	case len(good) < need:
		out.status = NoQuorum
	case r.Alone && len(ids) == 1:
		out.status = Single
	case out.tieBreak != "":
		out.status = StatusTie
	case failed:
		out.status = Degraded
	default:
		out.status = StatusOK
	}
	return out
}

// oracleShare is the probability that a vote gives to class k.
func oracleShare(v Vote, k, classes int) *big.Rat {
	if v.Probabilities != nil {
		return big.NewRat(int64(v.Probabilities[k]), int64(One))
	}
	s := big.NewRat(2, 3)
	if v.Skill > 0 {
		s = big.NewRat(int64(min(v.Skill, One)), int64(One))
	}
	s = roundRat(s)
	if v.Label == k {
		return s
	}
	rest := new(big.Rat).Sub(big.NewRat(1, 1), s)
	return roundRat(rest.Quo(rest, big.NewRat(int64(classes-1), 1)))
}

// oracleLabel orders the classes by sum, then probabilities, then heaviest voter, then
// place, and takes the first.
func oracleLabel(out oracleResult, good []Vote, weight func(Vote) *big.Rat) (int, string) {
	type class struct {
		k                    int
		sum, given, heaviest *big.Rat
	}
	var all []class
	for k, sum := range out.sums {
		c := class{k, sum, new(big.Rat), big.NewRat(-1, 1)}
		for _, v := range good {
			if v.Probabilities != nil {
				c.given.Add(c.given, big.NewRat(int64(v.Probabilities[k]), int64(One)))
			}
			if v.Label == k && weight(v).Cmp(c.heaviest) > 0 {
				c.heaviest = weight(v)
			}
		}
		if out.method == Majority {
			c.heaviest = new(big.Rat) // all weigh the same
		}
		all = append(all, c)
	}
	slices.SortStableFunc(all, func(a, b class) int {
		for _, order := range []int{b.sum.Cmp(a.sum), b.given.Cmp(a.given), b.heaviest.Cmp(a.heaviest)} {
			if order != 0 {
				return order
			}
		}
		return a.k - b.k
	})
	first := all[0]
	if len(all) == 1 || first.sum.Cmp(all[1].sum) != 0 {
		return first.k, ""
	}
	switch {
	case first.given.Cmp(all[1].given) != 0:
		return first.k, "probabilities"
	case first.heaviest.Cmp(all[1].heaviest) != 0:
		return first.k, "heaviest voter"
	}
	return first.k, "class order"
}

// sameAsOracle returns how a result differs from the oracle's, or "".
func sameAsOracle(got *Result, want oracleResult) string {
	var b strings.Builder
	say := func(what string, same bool) {
		if !same {
			b.WriteString(" " + what)
		}
	}
	say("label", got.Label == want.label)
	say("status", got.Status == want.status)
	say("counted", got.Counted == want.counted)
	say("method", got.Method == want.method)
	say("tie-break", got.TieBreak == want.tieBreak && got.Tie == (want.tieBreak != ""))
	total := new(big.Rat)
	for _, s := range want.sums {
		total.Add(total, s)
	}
	for k, s := range want.sums {
		say("sums", big.NewRat(got.Sums[k], int64(One)).Cmp(s) == 0)
		share := new(big.Rat)
		if total.Sign() > 0 {
			share.Quo(s, total)
		}
		say("shares", big.NewRat(int64(got.Shares[k]), int64(One)).Cmp(roundRat(share)) == 0)
	}
	return b.String()
}
