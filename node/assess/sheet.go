package assess

import (
	"fmt"
	"slices"

	"caucus/ml"
	"caucus/node/consensus"
)

// Said is what a member or a method said of rows.
type Said struct {
	Labels []int // class index by row; -1: nothing
	// Probabilities by row, one a class, in millionths; nil where there are none. For a method
	// they are its shares.
	Probabilities [][]consensus.Millionths
}

// Votes is one member's part in a batch.
type Votes struct {
	Node   string
	Name   string
	Model  string
	Reason string // why it did not vote; then Said is empty
	Said
}

// Answer is what a node itself answered to a batch.
type Answer struct {
	Method consensus.Method // asked for
	Rule   string           // that decided
	Reason string
	Follow string // id of the one member whose vote decided
	Said
}

// Batch is a question to a cluster of which the labels are known.
type Batch struct {
	Actual []int   // class index by row
	Votes  []Votes // of all that were invited
	Answer Answer
	// Basis is what the node knew of the members; nil if it did not say. Then only the
	// majority can be counted again, and the method asked for is taken from the answer.
	Basis *consensus.Basis
}

// member is one that was invited to some batch.
type member struct {
	Votes
	answered int
}

// method is one that was counted for every batch.
type method struct {
	method   consensus.Method
	rule     consensus.Method // what it came to in the last batch
	follow   string
	reason   string
	ties     int
	answered bool // taken from the node's answers, not counted again
	Said
}

// Sheet gathers batches. The zero value is not ready: see NewSheet. It is not safe for
// concurrent use.
type Sheet struct {
	task    ml.Task
	actual  []int
	members []member // in the order in which they were first seen
	methods []method
	basis   *consensus.Basis // of the last batch

	asked  Answer // how the last one came about, and all labels
	differ []int  // rows on which the recount says otherwise
	mixed  bool   // batches with and without a basis
}

// NewSheet returns an empty sheet for rows of a task.
func NewSheet(task ml.Task) *Sheet { return &Sheet{task: task} }

// Rows returns how many rows there are.
func (s *Sheet) Rows() int { return len(s.actual) }

// Add takes a batch. The error says what does not fit together in it; the sheet is then
// as before.
func (s *Sheet) Add(b Batch) error {
	if err := s.check(&b); err != nil {
		return err
	}
	counted, err := recount(len(s.task.Labels), &b)
	if err != nil {
		return err
	}
	before := len(s.actual)
	s.mixed = s.mixed || before > 0 && (b.Basis == nil) != (s.basis == nil)
	s.actual = append(s.actual, b.Actual...)
	s.basis = b.Basis
	for i := range b.Votes {
		s.addVotes(&b.Votes[i], before)
	}
	for i := range s.members { // those who were not invited this time
		s.members[i].fill(len(s.actual))
	}
	for i := range counted {
		s.addMethod(&counted[i], before)
	}
	for i := range s.methods {
		s.methods[i].fill(len(s.actual))
	}
	for i := range counted {
		if counted[i].method != b.Answer.Method {
			continue
		}
		for row, y := range b.Answer.Labels {
			if counted[i].Labels[row] != y {
				s.differ = append(s.differ, before+row)
			}
		}
	}
	labels := append(s.asked.Labels, b.Answer.Labels...)
	s.asked = b.Answer
	s.asked.Labels = labels
	return nil
}

func (s *Sheet) check(b *Batch) error {
	k, n := len(s.task.Labels), len(b.Actual)
	if n == 0 {
		return fmt.Errorf("assess: a batch without rows")
	}
	fits := func(what string, said *Said) error {
		if len(said.Labels) != n || len(said.Probabilities) != 0 && len(said.Probabilities) != n {
			return fmt.Errorf("assess: %s has %d labels and %d rows of probabilities for %d rows", what, len(said.Labels), len(said.Probabilities), n)
		}
		for i, y := range said.Labels {
			if y < -1 || y >= k {
				return fmt.Errorf("assess: %s says class %d of row %d; the task has %d", what, y, i+1, k)
			}
		}
		for i, p := range said.Probabilities {
			if len(p) != 0 && len(p) != k {
				return fmt.Errorf("assess: %s gives %d probabilities for row %d; the task has %d labels", what, len(p), i+1, k)
			}
			for _, x := range p {
				if x < 0 || x > consensus.One {
					return fmt.Errorf("assess: %s gives the probability %v for row %d", what, x.Float(), i+1)
				}
			}
		}
		return nil
	}
	for i, y := range b.Actual {
		if y < 0 || y >= k {
			return fmt.Errorf("assess: row %d is of class %d; the task has %d", i+1, y, k)
		}
	}
	seen := map[string]bool{}
	for i := range b.Votes {
		v := &b.Votes[i]
		if seen[v.Node] {
			return fmt.Errorf("assess: the member %s is there twice", v.Node)
		}
		seen[v.Node] = true
		if len(v.Labels) == 0 && len(v.Probabilities) == 0 {
			continue // it did not vote
		}
		if err := fits(v.Name, &v.Said); err != nil {
			return err
		}
		for row := range v.Labels {
			if x := vote(v, row); x.Outcome == consensus.OK && x.Check(k) != consensus.OK {
				return fmt.Errorf("assess: the probabilities of %s for row %d have not a sum of 1", v.Name, row+1)
			}
		}
	}
	return fits("the answer", &b.Answer.Said)
}

// addVotes appends a member's part; before is how many rows there were.
func (s *Sheet) addVotes(v *Votes, before int) {
	i := slices.IndexFunc(s.members, func(m member) bool { return m.Node == v.Node })
	if i < 0 {
		i = len(s.members)
		s.members = append(s.members, member{Votes: Votes{Node: v.Node}})
	}
	m := &s.members[i]
	m.Name, m.Model = v.Name, v.Model
	if v.Reason != "" {
		m.Reason = v.Reason
	}
	m.fill(before)
	m.add(&v.Said)
	for _, y := range v.Labels {
		if y >= 0 {
			m.answered++
		}
	}
}

func (s *Sheet) addMethod(x *method, before int) {
	i := slices.IndexFunc(s.methods, func(m method) bool { return m.method == x.method && m.answered == x.answered })
	if i < 0 {
		i = len(s.methods)
		s.methods = append(s.methods, method{method: x.method, answered: x.answered})
	}
	m := &s.methods[i]
	m.rule, m.follow, m.reason, m.ties = x.rule, x.follow, x.reason, m.ties+x.ties
	m.fill(before)
	m.add(&x.Said)
}

// fill appends silence up to a number of rows.
func (s *Said) fill(rows int) {
	for len(s.Labels) < rows {
		s.Labels = append(s.Labels, -1)
		s.Probabilities = append(s.Probabilities, nil)
	}
}

func (s *Said) add(more *Said) {
	s.Labels = append(s.Labels, more.Labels...)
	s.Probabilities = append(s.Probabilities, more.Probabilities...)
	for len(s.Probabilities) < len(s.Labels) {
		s.Probabilities = append(s.Probabilities, nil)
	}
}
