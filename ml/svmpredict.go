package ml

// Predict gives the label that most machines vote for. Probabilities cost the sigmoids
// and their coupling, and are computed only when asked for.
func (m *svmModel) Predict(row, probs []float64) (int, error) {
	if err := checkCall(&m.task, row, probs); err != nil {
		return 0, err
	}
	if probs == nil && !m.kernel.rbf && len(m.classes) <= stackClasses {
		return m.linearLabel(row), nil
	}
	s := m.scratch.Get().(*svmScratch)
	m.decide(row, s)
	best := m.vote(s)
	if probs != nil {
		m.probabilities(s, probs)
	}
	m.scratch.Put(s)
	return int(m.classes[best]), nil
}

// linearLabel is the shortest way to a label: no decision value is kept.
func (m *svmModel) linearLabel(row []float64) int {
	var votes [stackClasses]int32
	n := len(row)
	w := m.weights
	for i := range m.pairs {
		p := &m.pairs[i]
		if dot(w[:n:n], row)+p.bias > 0 {
			votes[p.first&(stackClasses-1)]++
		} else {
			votes[p.second&(stackClasses-1)]++
		}
		w = w[n:]
	}
	best := 0
	for c := range m.classes {
		if votes[c&(stackClasses-1)] > votes[best&(stackClasses-1)] {
			best = c
		}
	}
	return int(m.classes[best])
}

// decide fills the decision value of every machine.
func (m *svmModel) decide(row []float64, s *svmScratch) {
	n := len(row)
	if !m.kernel.rbf {
		for i := range m.pairs {
			s.decision[i] = dot(m.weights[i*n:(i+1)*n], row) + m.pairs[i].bias
		}
		return
	}
	if m.scale != nil {
		m.scale.apply(s.row, row)
		row = s.row
	}
	for i := range m.pairs {
		s.decision[i] = m.pairs[i].bias
	}
	k := len(m.classes)
	for i, own := range m.owner {
		v := m.kernel.of(m.vectors[i*n:(i+1)*n], row)
		coef := m.coef[i*k : (i+1)*k]
		machines := m.pairOf[int(own)*k : (int(own)+1)*k]
		for other, c := range coef {
			if c != 0 {
				s.decision[machines[other]] += float64(c * v)
			}
		}
	}
}

func (m *svmModel) vote(s *svmScratch) int {
	clear(s.votes)
	for i := range m.pairs {
		p := &m.pairs[i]
		if s.decision[i] > 0 {
			s.votes[p.first]++
		} else {
			s.votes[p.second]++
		}
	}
	best := 0
	for c, v := range s.votes {
		if v > s.votes[best] {
			best = c
		}
	}
	return best
}

// probabilities couples the machines' sigmoids. A class without training rows has 0.
func (m *svmModel) probabilities(s *svmScratch, probs []float64) {
	k := len(m.classes)
	for i := range m.pairs {
		p := &m.pairs[i]
		v := p.sigmoid.of(s.decision[i])
		s.r[int(p.first)*k+int(p.second)] = v
		s.r[int(p.second)*k+int(p.first)] = 1 - v
	}
	couple(s.p, s.r, s.q, s.qp)
	clear(probs)
	for i, c := range m.classes {
		probs[c] = s.p[i]
	}
}

var _ Model = (*svmModel)(nil)
