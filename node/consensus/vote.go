package consensus

import (
	"errors"
	"fmt"
	"time"
)

// Limits on what is counted. They keep every sum within 63 bits.
const (
	MaxMembers = 4096
	MaxClasses = 1 << 16
)

// ErrNoQuorum is what a round without quorum fails with.
var ErrNoQuorum = errors.New("consensus: quorum not reached")

// ErrRule is wrapped by the errors for a rule that cannot be counted by.
var ErrRule = errors.New("consensus: bad rule")

// Vote is one member's answer for one row.
//
// Weight, Skill and Voice are the asking node's, learnt from evidence, never the
// voter's own word; they matter whatever the outcome, because the weight of those
// still out decides when the label is certain.
type Vote struct {
	Voter         string // node id
	Outcome       Outcome
	Label         int          // class index, when Outcome is OK
	Probabilities []Millionths // one a class, or nil
	Weight        Millionths   // w_j, cut to 0..MaxWeight; majority ignores it
	Skill         Millionths   // s_j, for soft votes of voters without probabilities; 0: unknown
	Voice         int          // members with the same number above 0 are one voice in Effective
}

// Member is what the asking node knows of one invited member before any vote.
type Member struct {
	ID     string
	Weight Millionths // as in Vote
	Skill  Millionths
	Voice  int
}

// Rule says how to count.
type Rule struct {
	Method   Method // Majority, Weighted or Soft; Auto and EM are resolved before
	Classes  int
	Quorum   int           // wanted votes; the strict majority of the invited applies anyway
	Full     bool          // every invited member must vote
	Minority bool          // answer below quorum too, and say so
	Alone    bool          // this node was never given a peer
	Linger   time.Duration // data for the caller; Tally does not look at it
}

// check returns an error that wraps ErrRule if votes cannot be counted by r.
func (r *Rule) check(members int) error {
	switch {
	case r.Method != Majority && r.Method != Weighted && r.Method != Soft:
		return fmt.Errorf("%w: cannot count by %s; resolve it to majority, weighted or soft first", ErrRule, r.Method)
	case r.Classes < 1 || r.Classes > MaxClasses:
		return fmt.Errorf("%w: %d classes; a task has 1 to %d", ErrRule, r.Classes, MaxClasses)
	case members > MaxMembers:
		return fmt.Errorf("%w: %d members; at most %d can be counted", ErrRule, members, MaxMembers)
	}
	return nil
}

// QuorumOf returns the votes needed of n invited: the strict majority floor(n/2)+1,
// or wanted if that is more, or all n if full.
func QuorumOf(n, wanted int, full bool) int {
	q := max(wanted, n/2+1)
	if full {
		q = max(q, n)
	}
	return q
}

// sumTolerance is how far a vote's probabilities may sum from One: models round
// theirs, often to three decimals.
const sumTolerance = One / 50

// Check returns the outcome that a vote has in a task of so many classes: its own, or
// BadLabel for a label outside 0..classes-1, or BadSchema for an outcome that does
// not exist and for probabilities that are not one a class, each in 0..One, with a
// sum within 2 % of One.
func (v *Vote) Check(classes int) Outcome {
	if !v.Outcome.Valid() {
		return BadSchema
	}
	if v.Outcome != OK {
		return v.Outcome
	}
	if v.Label < 0 || v.Label >= classes {
		return BadLabel
	}
	if v.Probabilities == nil {
		return OK
	}
	if len(v.Probabilities) != classes {
		return BadSchema
	}
	var sum Millionths
	for _, p := range v.Probabilities {
		if p < 0 || p > One {
			return BadSchema
		}
		sum += p
	}
	if sum < One-sumTolerance || sum > One+sumTolerance {
		return BadSchema
	}
	return OK
}
