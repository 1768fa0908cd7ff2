package consensus

import "fmt"

// Plan is how a method is carried out with what a basis holds: the rule that counts, each
// member's weight for it, and why.
type Plan struct {
	Method  Method   // asked for
	Rule    Method   // what to count by: Majority, Weighted or Soft
	Follow  string   // id of the one member whose vote decides, if auto favours one; the others then weigh nothing
	Reason  string   // in words
	Members []Member // in id order, for Counter.Reset
}

// Plan resolves a method. Auto is the majority until there are LabelsForAuto labelled rows,
// and then the expert of the Hedge table that has lost least, of several the first. To
// follow one member is a weighted vote in which the others weigh nothing: should it fail,
// all votes weigh nothing, and the round is counted as a majority. Weighted and soft are the
// majority as well if nobody is known to be better than chance. EM is for batches; for a
// single row it is the majority.
func (b *Basis) Plan(m Method) (Plan, error) {
	p := Plan{Method: m, Rule: m}
	switch m {
	case Majority:
		p.Reason = "asked for"
	case Weighted, Soft:
		p.Reason = "asked for; weights from " + b.rows()
		if b.Rows == 0 {
			p.Reason = "asked for; no labels yet, so no member is known to be better than another"
		}
	case EM:
		p.Rule, p.Reason = Majority, fmt.Sprintf("em needs a batch of at least %d rows", emRows)
	case Auto:
		b.favour(&p)
	default:
		return Plan{}, fmt.Errorf("%w: no method has the number %d", ErrRule, m)
	}
	if p.Rule != Majority && p.Follow == "" && !b.weighty() {
		p.Rule, p.Reason = Majority, "nobody is better than chance on "+b.rows()
	}
	p.Members = b.weights(&p)
	return p, nil
}

// favour resolves auto.
func (b *Basis) favour(p *Plan) {
	p.Rule = Majority
	switch {
	case b.Rows == 0:
		p.Reason = "no labels yet"
		return
	case b.Rows < LabelsForAuto:
		p.Reason = fmt.Sprintf("only %s, auto waits for %d", b.rows(), LabelsForAuto)
		return
	case b.Best < 0:
		p.Reason = "no votes on " + b.rows()
		return
	}
	best := b.Experts[b.Best]
	p.Reason = fmt.Sprintf("least loss on %s: %.4g", b.rows(), best.Loss.Float())
	p.Rule, p.Follow = best.Rule, best.Member
	if best.Member != "" {
		p.Rule = Weighted
	}
}

// weights returns the members with what they weigh under the plan.
func (b *Basis) weights(p *Plan) []Member {
	all := make([]Member, len(b.Members))
	for i, m := range b.Members {
		all[i] = Member{ID: m.ID, Weight: m.Weight, Skill: m.Score, Voice: m.Voice}
		switch {
		case p.Follow == m.ID:
			all[i].Weight, all[i].Voice = One, 0
		case p.Follow != "":
			all[i].Weight, all[i].Voice = 0, 0
		case p.Rule == Majority:
			all[i].Weight = One
		}
	}
	return all
}

// weighty reports whether anybody weighs something.
func (b *Basis) weighty() bool {
	for _, m := range b.Members {
		if m.Weight > 0 {
			return true
		}
	}
	return false
}

func (b *Basis) rows() string {
	if b.Rows == 1 {
		return "1 labelled row"
	}
	return fmt.Sprintf("%d labelled rows", b.Rows)
}
