package assess

import (
	"errors"
	"slices"

	"caucus/ml"
	"caucus/node/consensus"
)

// Report is how members and methods did. Accuracies and the like are shares from 0 to 1.
type Report struct {
	Task       string         `json:"task"`
	Labels     []string       `json:"labels"` // in class order, in which all lists by label are
	Rows       int            `json:"rows"`
	Method     string         `json:"method"` // asked for
	Bootstrap  Bootstrap      `json:"bootstrap"`
	Members    []MemberReport `json:"members"` // by name
	Methods    []MethodReport `json:"methods"` // majority, weighted, soft, em, auto
	BestMember string         `json:"best_member"`
	// Comparisons hold each method against the best member; none if there is only one member.
	Comparisons []Comparison `json:"comparisons"`
	Pairs       []Pair       `json:"pairs"` // of members, in their order
	Recount     Recount      `json:"recount"`
	Overlap     Overlap      `json:"overlap"`
	Copies      int          `json:"copies"`  // rows with the features of an earlier one
	Verdict     string       `json:"verdict"` // is any method better than the best single member? in words
	Notes       []string     `json:"notes"`   // what makes the figures worth less
}

// Bootstrap is how the intervals were found.
type Bootstrap struct {
	Confidence float64 `json:"confidence"`
	Resamples  int     `json:"resamples"`
	Seed       uint64  `json:"seed"`
}

// Score is how one member or method did.
type Score struct {
	Answered    int          `json:"answered"` // rows that it gave a label for; all else is of these
	Correct     int          `json:"correct"`
	Accuracy    float64      `json:"accuracy"`
	Interval    *Interval    `json:"interval"` // of the accuracy; null without an answer
	Macro       ml.Macro     `json:"macro"`
	Precision   []float64    `json:"precision"` // by label
	Recall      []float64    `json:"recall"`
	F1          []float64    `json:"f1"`
	Confusion   [][]int      `json:"confusion"`   // [actual][said]
	Calibration *Calibration `json:"calibration"` // null if it gave no probabilities
}

// MemberReport is how one member did.
type MemberReport struct {
	Node   string `json:"node"`
	Name   string `json:"name"`
	Model  string `json:"model"`
	Reason string `json:"reason,omitempty"` // why it did not vote on all rows
	Score
}

// MethodReport is how one method did.
type MethodReport struct {
	Method  string `json:"method"`
	Rule    string `json:"rule"` // what it came to
	Follows string `json:"follows,omitempty"`
	Reason  string `json:"reason,omitempty"`
	Ties    int    `json:"ties"`
	Asked   bool   `json:"asked"` // the method asked for
	// Recounted: worked out from the votes; otherwise what the node answered.
	Recounted bool `json:"recounted"`
	Score
}

// Recount is whether counting the votes again by the method asked for gave the node's answers.
type Recount struct {
	Done   bool  `json:"done"` // false if the node did not say what the members weigh
	Differ int   `json:"differ"`
	Rows   []int `json:"rows"` // the first of them, from 0
}

// Overlap is how many of the rows are in the evidence that weights were learnt from.
type Overlap struct {
	Known bool `json:"known"` // false: the node did not say
	Rows  int  `json:"rows"`
}

// Options are what a report is made with.
type Options struct {
	Resamples int // of the bootstrap; cut to MinResamples and MaxResamples
	Seed      uint64
	Overlap   Overlap
	Copies    int // rows with the features of an earlier one
}

// The resamples that a report takes.
const (
	MinResamples     = 500
	DefaultResamples = 2000
	MaxResamples     = 100_000
)

// A note is made of copies only if they are more than a share of 1/copiesMatter.
const copiesMatter = 20

// rowsShown is how many rows a recount names that differ.
const rowsShown = 10

// Report works out how everybody did. The error is for a sheet without rows, or options out of bounds.
func (s *Sheet) Report(o Options) (*Report, error) {
	if len(s.actual) == 0 {
		return nil, errors.New("assess: there is no row to report on")
	}
	o.Resamples = max(MinResamples, min(o.Resamples, MaxResamples))
	if err := s.fitWhole(); err != nil {
		return nil, err
	}
	slices.SortStableFunc(s.members, byName)
	r := &Report{
		Task: s.task.Name, Labels: s.task.Labels, Rows: len(s.actual), Method: s.asked.Method.String(),
		Bootstrap: Bootstrap{Confidence: Confidence, Resamples: o.Resamples, Seed: o.Seed},
		Overlap:   o.Overlap, Copies: o.Copies, Comparisons: []Comparison{}, Pairs: []Pair{}, Notes: []string{},
		Members: make([]MemberReport, len(s.members)), Methods: make([]MethodReport, len(s.methods)),
	}
	var all []*Said
	var scores []*Score
	for i := range s.members {
		m := &s.members[i]
		r.Members[i] = MemberReport{Node: m.Node, Name: m.Name, Model: m.Model}
		if m.answered < len(s.actual) {
			r.Members[i].Reason = m.Reason
		}
		all, scores = append(all, &m.Said), append(scores, &r.Members[i].Score)
	}
	for i := range s.methods {
		m := &s.methods[i]
		r.Methods[i] = MethodReport{
			Method: m.method.String(), Rule: m.rule.String(), Follows: m.follow, Reason: m.reason, Ties: m.ties,
			Asked: m.method == s.asked.Method, Recounted: !m.answered,
		}
		all, scores = append(all, &m.Said), append(scores, &r.Methods[i].Score)
	}
	for i, said := range all {
		if err := scores[i].measure(s.task, s.actual, said); err != nil {
			return nil, err
		}
	}
	for i := range s.members {
		for j := i + 1; j < len(s.members); j++ {
			p := pair(len(s.task.Labels), s.members[i].Labels, s.members[j].Labels)
			p.A, p.B = s.members[i].Node, s.members[j].Node
			r.Pairs = append(r.Pairs, p)
		}
	}
	best := r.best()
	s.compare(r, all, scores, best, o)
	r.Recount = Recount{Done: s.basis != nil || s.asked.Method == consensus.Majority, Differ: len(s.differ), Rows: append([]int{}, s.differ[:min(rowsShown, len(s.differ))]...)}
	r.explain(best, s.mixed)
	return r, nil
}

// fitWhole replaces what EM makes of each batch by what it makes of all rows, since how the
// rows were cut into batches is not the method's doing.
func (s *Sheet) fitWhole() error {
	i := slices.IndexFunc(s.methods, func(m method) bool { return m.method == consensus.EM && !m.answered })
	if i < 0 || s.basis == nil {
		return nil
	}
	b := Batch{Actual: s.actual, Basis: s.basis}
	for j := range s.members {
		b.Votes = append(b.Votes, s.members[j].Votes)
	}
	whole, err := count(len(s.task.Labels), &b, s.basis, consensus.EM)
	if err == nil {
		s.methods[i] = whole
	}
	return err
}

// measure fills in all but the interval.
func (x *Score) measure(task ml.Task, actual []int, said *Said) error {
	var of, gave []int
	for i, y := range said.Labels {
		if y >= 0 {
			of, gave = append(of, actual[i]), append(gave, y)
			if y == actual[i] {
				x.Correct++
			}
		}
	}
	x.Answered = len(gave)
	if x.Answered == 0 {
		k := len(task.Labels)
		x.Precision, x.Recall, x.F1 = make([]float64, k), make([]float64, k), make([]float64, k)
		x.Confusion = make([][]int, k)
		for i := range x.Confusion {
			x.Confusion[i] = make([]int, k)
		}
		return nil
	}
	e, err := ml.EvaluateLabels(task, of, gave)
	if err != nil {
		return err
	}
	x.Accuracy, x.Precision, x.Recall, x.Confusion = e.Accuracy, e.Precision, e.Recall, e.Confusion
	x.F1, x.Macro = e.Scores()
	x.Calibration = calibrate(actual, said)
	return nil
}

// best returns the place of the best member: of those that voted on most rows the most often
// right, of several the first; -1 if nobody voted.
func (r *Report) best() int {
	best := -1
	for i := range r.Members {
		m := &r.Members[i]
		if m.Answered == 0 {
			continue
		}
		if best < 0 || m.Answered > r.Members[best].Answered ||
			m.Answered == r.Members[best].Answered && m.Correct > r.Members[best].Correct {
			best = i
		}
	}
	if best >= 0 {
		r.BestMember = r.Members[best].Node
	}
	return best
}
