package consensus

import (
	"cmp"
	"slices"
	"strings"
)

// Counter counts the votes of one round as they come in. Reset readies it, Add takes
// a vote, Certain says whether to go on waiting, Result tells the outcome. It keeps
// its memory between rounds: once warm, nothing here allocates. The zero value is
// ready for Reset. It is not safe for concurrent use.
type Counter struct {
	rule    Rule
	members []Member // by id, each once; weights in 0..MaxWeight
	ballots []ballot // of members
	quorum  int
	sums    []int64 // by class, of the rule's method (unused by majority)
	heads   []int64 // by class, One a vote
	given   []int64 // by class, of probabilities that voters gave: the first tie-break
	tied    []int   // room for Leader

	counted, outstanding, failed int
	weightCounted, weightOut     int64 // of the votes counted, and of those outstanding
}

// ballot is what is kept of a member's vote.
type ballot struct {
	outcome Outcome
	label   int32
}

// Reset begins a round: the invited members in any order, an id that occurs twice
// counting once (its first entry). The error wraps ErrRule; the counter is then empty.
func (c *Counter) Reset(r Rule, members []Member) error {
	c.rule = r
	c.members = c.members[:0]
	if err := r.check(len(members)); err != nil {
		c.rule.Classes, c.quorum = 0, 1
		c.Clear()
		return err
	}
	c.members = append(c.members, members...)
	byID := func(a, b Member) int { return strings.Compare(a.ID, b.ID) }
	if !slices.IsSortedFunc(c.members, byID) {
		slices.SortStableFunc(c.members, byID)
	}
	c.members = slices.CompactFunc(c.members, func(a, b Member) bool { return a.ID == b.ID })
	for i := range c.members {
		c.members[i].Weight = clamp(c.members[i].Weight, 0, MaxWeight)
	}
	c.quorum = QuorumOf(len(c.members), r.Quorum, r.Full)
	c.Clear()
	return nil
}

// Clear forgets the votes and keeps rule and members: for the next row of a batch.
func (c *Counter) Clear() {
	c.ballots = zeroed(c.ballots, len(c.members))
	c.sums = zeroed(c.sums, c.rule.Classes)
	c.heads = zeroed(c.heads, c.rule.Classes)
	c.given = zeroed(c.given, c.rule.Classes)
	c.counted, c.failed, c.outstanding = 0, 0, len(c.members)
	c.weightCounted, c.weightOut = 0, 0
	for i := range c.members {
		c.weightOut += c.weight(i)
	}
}

// zeroed returns s with n zero elements, in its own memory if that suffices.
func zeroed[T any](s []T, n int) []T {
	s = slices.Grow(s[:0], n)[:n]
	clear(s)
	return s
}

// Members returns the invited in id order. The slice is the counter's own: it must not
// be written to, and is valid until the next Reset.
func (c *Counter) Members() []Member { return c.members }

// Index returns the place of id among Members, or -1 if it was not invited.
func (c *Counter) Index(id string) int {
	i, ok := slices.BinarySearchFunc(c.members, id, func(m Member, id string) int { return cmp.Compare(m.ID, id) })
	if !ok {
		return -1
	}
	return i
}

// Add counts a vote and returns the outcome that it has after Vote.Check. It returns
// Pending, and counts nothing, for a vote of somebody not invited.
//
// A member's first vote stands, and a second is ignored: an answer that was counted
// may already have decided the round. A Pending vote is no vote, so it can be followed
// by one. Weight, Skill and Voice are those given to Reset.
func (c *Counter) Add(v Vote) Outcome { return c.AddAt(c.Index(v.Voter), &v) }

// AddAt is Add for the member at place i of Members, whatever v.Voter says.
func (c *Counter) AddAt(i int, v *Vote) Outcome {
	if i < 0 || i >= len(c.members) {
		return Pending
	}
	b := &c.ballots[i]
	if b.outcome != Pending {
		return b.outcome
	}
	b.outcome = v.Check(c.rule.Classes)
	if b.outcome == Pending {
		return Pending
	}
	w := c.weight(i)
	c.outstanding--
	c.weightOut -= w
	if b.outcome != OK {
		if b.outcome.Failed() {
			c.failed++
		}
		return b.outcome
	}
	b.label = int32(v.Label)
	c.counted++
	c.weightCounted += w
	c.heads[v.Label] += int64(One)
	for k, p := range v.Probabilities {
		c.given[k] += int64(p)
	}
	switch c.rule.Method {
	case Weighted:
		c.sums[v.Label] += w
	case Soft:
		c.addSoft(Millionths(w), c.members[i].Skill, v)
	}
	return OK
}

// addSoft adds w times the vote's probabilities. A voter that gave none counts as s for
// its label and (1-s)/(K-1) for each other, s being its skill.
func (c *Counter) addSoft(w, s Millionths, v *Vote) {
	if v.Probabilities != nil {
		for k, p := range v.Probabilities {
			c.sums[k] += times(w, p)
		}
		return
	}
	own, other := soften(s, len(c.sums))
	mine, theirs := times(w, own), times(w, other)
	for k := range c.sums {
		c.sums[k] += theirs
	}
	c.sums[v.Label] += mine - theirs
}

// unknownSkill is the smoothed skill of a member without any labelled row, (0+2)/(0+3).
const unknownSkill = (2*One + 1) / 3

// soften returns the probabilities that a bare label stands for: its own, and each other's.
func soften(skill Millionths, classes int) (own, other Millionths) {
	if skill <= 0 {
		skill = unknownSkill
	}
	own = min(skill, One)
	if classes > 1 {
		other = Millionths(divide(int64(One-own), int64(classes-1)))
	}
	return own, other
}

// weight returns what member i's vote weighs under the rule.
func (c *Counter) weight(i int) int64 {
	if c.rule.Method == Majority {
		return int64(One)
	}
	return int64(c.members[i].Weight)
}

// Outstanding returns how many invited members have neither voted nor failed.
func (c *Counter) Outstanding() int { return c.outstanding }

// Certain reports whether quorum holds and no outstanding vote can change the label.
//
// With R the weight outstanding, the leader L is safe if S_L - S_k > R for every other k,
// since one member moves the gap by at most its weight, hard or soft. Equality goes on
// waiting: it would be a tie.
func (c *Counter) Certain() bool {
	if c.counted < c.quorum {
		return false
	}
	if c.outstanding == 0 || c.rule.Classes == 1 {
		return true
	}
	sums, out := c.sums, c.weightOut
	if c.byHeads() {
		if c.rule.Method != Majority && out > 0 {
			return false // a vote that weighs something would end the counting by heads
		}
		sums, out = c.heads, int64(c.outstanding)*int64(One)
	}
	first, second := topTwo(sums)
	return first-second > out
}

// byHeads reports whether votes count one each: by rule, or because all that have come
// in weigh nothing.
func (c *Counter) byHeads() bool { return c.rule.Method == Majority || c.weightCounted == 0 }

// topTwo returns the largest sum and the next one, which may be equal. Sums are not negative.
func topTwo(sums []int64) (first, second int64) {
	for _, s := range sums {
		if s > first {
			first, second = s, first
		} else if s > second {
			second = s
		}
	}
	return first, second
}

// Leader returns the label that leads so far, with ties broken as in Result; -1 without a
// vote. It is Result for those who need no more.
func (c *Counter) Leader() int {
	if c.counted == 0 {
		return -1
	}
	sums, method := c.sums, c.rule.Method
	if c.byHeads() {
		sums, method = c.heads, Majority
	}
	c.tied = tiedFor(sums, c.tied[:0])
	label, _ := c.breakTie(c.tied, method)
	return label
}
