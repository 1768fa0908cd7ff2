package consensus

import "fmt"

// LabelsForAuto is how many labelled rows auto waits for before it leaves the majority.
const LabelsForAuto = 10

// Basis is what weights rest on: all that is learnt from evidence. It is a pure function
// of the members and the evidence in replay order, so nodes with equal rosters and equal
// evidence have equal ones.
type Basis struct {
	Classes  int
	Rows     int         // labelled rows
	Disputed int         // rows left out, since labellers contradict one another evenly
	Ignored  int         // records left out, since their label is not of the task
	Members  []Learnt    // in id order
	Experts  []Expert    // of the Hedge table: majority, weighted, soft, then each member in id order
	Best     int         // place in Experts of the one with the least loss, the first of several; -1 without rows
	Mixture  Millionths  // loss of the Hedge mixture, in rows
	Regret   Millionths  // that less the least loss of an expert
	Bound    float64     // what Regret cannot exceed
	Together []ErrorPair // members that err together beyond chance
}

// Learnt is what evidence says of one member.
type Learnt struct {
	ID       string
	Correct  int        // labelled rows that it had right
	Total    int        // labelled rows that it voted on
	Score    Millionths // s_j, see SkillOf
	Weight   Millionths // w_j, see WeightOf, split if Voice is not 0
	Voice    int        // members with the same number above 0 have the same model, and share one weight
	Recall   []Recall   // by class
	TwoFaced bool       // it signed votes for two labels on one row; those rows do not count for it
}

// Recall is how often a member recognises the rows of one class.
type Recall struct {
	Correct int // rows of the class that it had right
	Total   int // rows of the class that it voted on
}

// Expert is a line of the Hedge table.
type Expert struct {
	Rule   Method     // Majority, Weighted or Soft; Auto for a member
	Member string     // id of the member whose vote it follows; empty for a rule
	Rows   int        // rows on which it said something
	Loss   Millionths // rows that it had wrong, and what it was charged while silent
	Share  Millionths // in the mixture, for the next row
}

// ruleExperts are the experts that are not members. Of several with the same loss the first is favoured.
var ruleExperts = [...]Method{Majority, Weighted, Soft}

// Learn computes the basis. Members may be in any order; records must be in replay order
// (Lamport time, origin, sequence).
//
// A row counts once, however often it was labelled: each labeller's latest label counts,
// the one that most of them give is the row's, and where two are given equally often the
// row is left out, since neither is known to be true. A member's first vote on a row counts;
// one that signed votes for two labels has none there. Votes of others than the members are
// ignored, and so are malformed ones.
//
// On every row the rules predict with the weights that the rows before give, as they would
// have done at the time. The error wraps ErrRule.
func Learn(classes int, members []Peer, records []Record) (*Basis, error) {
	check := Rule{Method: Majority, Classes: classes}
	if err := check.check(len(members)); err != nil {
		return nil, fmt.Errorf("learning weights: %w", err)
	}
	peers := sortedPeers(members)
	ev := assemble(classes, peers, records)
	l := newLearner(classes, peers)
	for i := range ev.rows {
		l.learn(&ev.rows[i])
	}
	b := &Basis{Classes: classes, Rows: len(ev.rows), Disputed: ev.disputed, Ignored: ev.ignored, Members: l.members}
	for i := range b.Members {
		b.Members[i].TwoFaced = ev.twofaced[i]
	}
	l.report(b)
	b.Together = errTogether(classes, b.Members, ev.rows)
	return b, nil
}

// learner replays labelled rows.
type learner struct {
	classes int
	members []Learnt
	split   []int // by member: how many share its weight
	hedge   *hedge
	count   Counter
	invited []Member // as the counter wants them
	did     []int8   // by expert
}

func newLearner(classes int, peers []Peer) *learner {
	n := len(peers)
	l := &learner{
		classes: classes, members: make([]Learnt, n), invited: make([]Member, n),
		hedge: newHedge(len(ruleExperts) + n), did: make([]int8, len(ruleExperts)+n),
	}
	voice, size := voices(peers)
	l.split = size
	for i, p := range peers {
		l.members[i] = Learnt{ID: p.ID, Voice: voice[i], Recall: make([]Recall, classes)}
		l.weigh(i)
	}
	return l
}

// weigh sets a member's score and weight from its counts. What members of one voice weigh
// is rounded down, so that together they never weigh more than one of them alone would.
func (l *learner) weigh(i int) {
	m := &l.members[i]
	m.Score = SkillOf(m.Correct, m.Total)
	m.Weight = WeightOf(m.Correct, m.Total, l.classes) / Millionths(l.split[i])
	l.invited[i] = Member{ID: m.ID, Weight: m.Weight, Skill: m.Score, Voice: m.Voice}
}

// learn takes the next row: first everybody predicts, then the label is known.
func (l *learner) learn(row *labelledRow) {
	for e, rule := range ruleExperts {
		l.did[e] = verdict(l.predict(rule, row), row.label)
	}
	for i, v := range row.votes {
		label := -1
		if v != nil {
			label = v.Label
		}
		l.did[len(ruleExperts)+i] = verdict(label, row.label)
	}
	l.hedge.learn(l.did)
	for i, v := range row.votes {
		if v == nil {
			continue
		}
		m := &l.members[i]
		m.Total++
		m.Recall[row.label].Total++
		if v.Label == row.label {
			m.Correct++
			m.Recall[row.label].Correct++
		}
		l.weigh(i)
	}
}

func verdict(said, label int) int8 {
	switch said {
	case -1:
		return silent
	case label:
		return right
	}
	return wrong
}

// predict returns the label that a rule gives the votes on a row with today's weights, -1
// without any vote. Quorum plays no part: it guards answers, not evidence.
func (l *learner) predict(rule Method, row *labelledRow) int {
	if err := l.count.Reset(Rule{Method: rule, Classes: l.classes}, l.invited); err != nil {
		return -1 // cannot be: Learn checked the rule
	}
	for i, v := range row.votes {
		if v != nil {
			l.count.AddAt(i, v)
		}
	}
	return l.count.Leader()
}

// report writes the Hedge table.
func (l *learner) report(b *Basis) {
	shares := l.hedge.shares()
	for e := range l.hedge.loss {
		x := Expert{Loss: Millionths(l.hedge.loss[e]), Rows: l.hedge.awake[e], Share: shares[e]}
		if e < len(ruleExperts) {
			x.Rule = ruleExperts[e]
		} else {
			x.Member = l.members[e-len(ruleExperts)].ID
		}
		if x.Rows == 0 {
			x.Loss = Millionths(l.hedge.mean())
		}
		b.Experts = append(b.Experts, x)
	}
	b.Best = l.hedge.best()
	b.Mixture, b.Regret, b.Bound = Millionths(l.hedge.mixture), l.hedge.regret(), l.hedge.bound()
}
