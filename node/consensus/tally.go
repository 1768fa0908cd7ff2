package consensus

import "slices"

// Tally counts. invited is the ids of those whose votes were asked for or who should
// have had one, in any order, an id that occurs twice counting once. Votes may be
// fewer (the others are pending), and those of the uninvited are ignored. Of two votes
// by one id the first stands, see Counter.Add.
//
// The error is ErrNoQuorum if the quorum was missed and can no longer be reached, with
// the provisional result beside it, or wraps ErrRule. A member without a vote may weigh as
// much as MaxWeight for all that Tally knows, so a weighted or soft round waits for it: pass
// a Pending vote with its weight, or use a Counter, which also counts vote by vote.
func Tally(r Rule, invited []string, votes []Vote) (Result, error) {
	members := make([]Member, len(invited))
	place := make(map[string]int, len(invited))
	for i, id := range invited {
		members[i] = Member{ID: id, Weight: MaxWeight}
		if _, seen := place[id]; !seen {
			place[id] = i
		}
	}
	known := make([]bool, len(invited))
	for i := range votes {
		if at, ok := place[votes[i].Voter]; ok && !known[at] {
			known[at] = true
			members[at].Weight, members[at].Skill, members[at].Voice = votes[i].Weight, votes[i].Skill, votes[i].Voice
		}
	}
	var c Counter
	if err := c.Reset(r, members); err != nil {
		return Result{Label: -1}, err
	}
	for i := range votes {
		c.Add(votes[i])
	}
	var out Result
	c.Result(&out)
	if out.Status == NoQuorum {
		return out, ErrNoQuorum
	}
	return out, nil
}

// Result writes the outcome so far to out, in out's own slices where they suffice.
func (c *Counter) Result(out *Result) {
	c.begin(out)
	out.Certain = c.Certain()
	if c.byHeads() {
		out.Method = Majority
		copy(out.Sums, c.heads)
	} else {
		copy(out.Sums, c.sums)
	}
	c.finish(out)
}

// ResultEM is Result for a row of a batch whose labels FitEM has weighed: the sums are the
// posterior, one a class, from EMFit.Posterior. Without one, because nobody voted on the
// row, it is Result. A batch is weighed once, with all its votes, so nothing is certain
// while a vote is outstanding.
func (c *Counter) ResultEM(out *Result, posterior []Millionths) {
	if len(posterior) != c.rule.Classes || c.counted == 0 {
		c.Result(out)
		return
	}
	c.begin(out)
	out.Method = EM
	out.Certain = c.counted >= c.quorum && c.outstanding == 0
	for k, p := range posterior {
		out.Sums[k] = int64(p)
	}
	c.finish(out)
}

// begin clears out and sets what does not depend on how votes are combined.
func (c *Counter) begin(out *Result) {
	k := c.rule.Classes
	*out = Result{
		Method: c.rule.Method, Label: -1, Invited: len(c.members), Counted: c.counted, Failed: c.failed,
		Outstanding: c.outstanding, Quorum: c.quorum,
		Sums: zeroed(out.Sums, k), Shares: zeroed(out.Shares, k), Outcomes: zeroed(out.Outcomes, len(c.members)),
		Dissenters: out.Dissenters[:0], Tied: out.Tied[:0],
	}
	for i := range c.ballots {
		out.Outcomes[i] = c.ballots[i].outcome
	}
}

// finish sets what follows from the sums.
func (c *Counter) finish(out *Result) {
	if c.counted > 0 {
		c.choose(out)
		c.describe(out)
	}
	out.Status = c.status(out)
}

// status applies the precedence: below quorum, single, tie, degraded, ok.
func (c *Counter) status(out *Result) Status {
	switch {
	case c.counted < c.quorum && c.counted+c.outstanding >= c.quorum:
		return Undecided
	case c.counted < c.quorum && c.rule.Minority && c.counted > 0:
		return Minority
	case c.counted < c.quorum:
		return NoQuorum
	case c.rule.Alone && len(c.members) == 1:
		return Single
	case out.Tie:
		return StatusTie
	case c.failed > 0:
		return Degraded
	}
	return StatusOK
}

// choose sets the label: the class with the largest sum; of several, see breakTie.
func (c *Counter) choose(out *Result) {
	out.Tied = tiedFor(out.Sums, out.Tied)
	label, by := c.breakTie(out.Tied, out.Method)
	out.Label = label
	if len(out.Tied) == 1 {
		out.Tied = out.Tied[:0]
		return
	}
	out.Tie, out.TieBreak = true, by
}

// tiedFor appends the classes with the largest sum to dst, in class order.
func tiedFor(sums []int64, dst []int) []int {
	first, _ := topTwo(sums)
	for k, s := range sums {
		if s == first {
			dst = append(dst, k)
		}
	}
	return dst
}

// breakTie decides between classes with equal sums, in class order. Each step keeps the
// classes that are largest in something, and the next decides between those: the sum of
// probabilities that voters gave; the weight of the heaviest voter on that side (all
// weigh the same in a majority); class order.
func (c *Counter) breakTie(tied []int, m Method) (label int, by string) {
	if len(tied) == 1 {
		return tied[0], ""
	}
	var most int64 = -1
	for _, k := range tied {
		most = max(most, c.given[k])
	}
	left := 0 // classes with most
	for i := len(tied) - 1; i >= 0; i-- {
		if c.given[tied[i]] == most {
			left, label = left+1, tied[i]
		}
	}
	if left == 1 {
		return label, ByProbabilities
	}
	if m != Majority {
		heaviest, alone := c.heaviest(func(k int) bool { return c.given[k] == most && slices.Contains(tied, k) })
		if alone {
			return heaviest, ByHeaviest
		}
		if heaviest >= 0 {
			label = heaviest
		}
	}
	return label, ByClassOrder
}

// heaviest returns the first class among those allowed whose heaviest voter is heaviest,
// and whether it is the only one; -1 if nobody voted for any of them.
func (c *Counter) heaviest(allowed func(int) bool) (class int, alone bool) {
	class = -1
	var most int64 = -1
	for i := range c.ballots {
		k := int(c.ballots[i].label)
		if c.ballots[i].outcome != OK || !allowed(k) {
			continue
		}
		switch w := c.weight(i); {
		case w > most:
			most, class, alone = w, k, true
		case w == most && k != class:
			class, alone = min(class, k), false
		}
	}
	return class, alone
}

// describe sets what says how far to trust the label.
func (c *Counter) describe(out *Result) {
	var total, second int64
	for k, s := range out.Sums {
		total += s
		if k != out.Label {
			second = max(second, s)
		}
	}
	for k, s := range out.Sums {
		out.Shares[k] = ratio(s, total)
	}
	out.Margin = ratio(out.Sums[out.Label]-second, total)
	out.Entropy = entropy(out.Sums, total)
	out.Disagreement = entropy(c.heads, int64(c.counted)*int64(One))
	for i := range c.ballots {
		if c.ballots[i].outcome != OK {
			continue
		}
		if int(c.ballots[i].label) == out.Label {
			out.Agreeing++
		} else {
			out.Dissenters = append(out.Dissenters, c.members[i].ID)
		}
	}
	out.Unanimous = len(out.Dissenters) == 0
	out.Effective = c.effective(out.Method)
}

// DisagreementOf is Result.Disagreement for so many votes for each class: the entropy of the
// votes, one each, over that of as many for each of the K classes; 0 without a vote.
func DisagreementOf(votes []int) float64 {
	sums := make([]int64, len(votes))
	var total int64
	for k, n := range votes {
		sums[k] = int64(n)
		total += int64(n)
	}
	return entropy(sums, total)
}

// entropy returns that of sums/total over that of K equal shares, in whole millionths.
func entropy(sums []int64, total int64) float64 {
	if total == 0 || len(sums) < 2 {
		return 0
	}
	var h float64
	for _, s := range sums {
		if s > 0 && s < total {
			p := float64(s) / float64(total)
			h -= float64(p * ln(p))
		}
	}
	if h <= 0 {
		return 0
	}
	return min(1, ToMillionths(h/ln(float64(len(sums)))).Float())
}

// effective returns (sum w)^2 / sum w^2 over the voices that were counted. In a majority
// each member is a voice of its own, of weight 1; for EM each voice has weight 1.
func (c *Counter) effective(m Method) float64 {
	if m == Majority {
		return float64(c.counted)
	}
	var sum, squares float64
	for i := range c.ballots {
		w, first := c.voiceWeight(i)
		if !first {
			continue
		}
		if m == EM {
			w = 1
		}
		sum += w
		squares += float64(w * w)
	}
	if squares == 0 {
		return 0
	}
	return float64(sum*sum) / squares
}

// voiceWeight returns what the counted members of i's voice weigh together, and whether
// i is the first of them.
func (c *Counter) voiceWeight(i int) (w float64, first bool) {
	if c.ballots[i].outcome != OK {
		return 0, false
	}
	voice := c.members[i].Voice
	if voice <= 0 {
		return float64(c.weight(i)), true
	}
	for j := range c.ballots {
		if c.members[j].Voice != voice || c.ballots[j].outcome != OK {
			continue
		}
		if j < i {
			return 0, false
		}
		w += float64(c.weight(j))
	}
	return w, true
}
