package ml

import "math"

// sigmoid turns a decision value f into the probability of the first class of a pair:
// 1 / (1 + exp(a f + b)) (Platt 2000).
type sigmoid struct {
	a, b float64
}

// Pairwise probabilities are kept off 0 and 1, where coupling them has no answer.
const leastPairwise = 1e-7

func (s sigmoid) of(f float64) float64 {
	return min(max(s.raw(f), leastPairwise), 1-leastPairwise)
}

func (s sigmoid) raw(f float64) float64 {
	v := float64(s.a*f) + s.b
	if math.IsNaN(v) { // a row so far out that its decision value overflows both ways
		return 0.5
	}
	if v >= 0 { // so that exp never overflows
		e := math.Exp(-v)
		return e / (1 + e)
	}
	return 1 / (1 + math.Exp(v))
}

// fitSigmoid fits the sigmoid to decision values and their classes (y > 0: the first),
// by Newton's method with backtracking (Lin, Lin, Weng 2007, "A note on Platt's
// probabilistic outputs for support vector machines", appendix C). The targets are
// Platt's: a little off 0 and 1, so that few rows do not make it certain.
func fitSigmoid(f, y []float64) sigmoid {
	const (
		steps     = 100
		leastStep = 1e-10
		ridge     = 1e-12
		tolerance = 1e-5
	)
	positive, negative := 0.0, 0.0
	for _, v := range y {
		if v > 0 {
			positive++
		} else {
			negative++
		}
	}
	high, low := (positive+1)/(positive+2), 1/(negative+2)
	target := make([]float64, len(y))
	for i, v := range y {
		target[i] = low
		if v > 0 {
			target[i] = high
		}
	}
	// The cross-entropy, written so that neither branch overflows.
	loss := func(s sigmoid) float64 {
		sum := 0.0
		for i, t := range target {
			v := float64(f[i]*s.a) + s.b
			if v >= 0 {
				sum += float64(t*v) + math.Log1p(math.Exp(-v))
			} else {
				sum += float64((t-1)*v) + math.Log1p(math.Exp(v))
			}
		}
		return sum
	}
	s := sigmoid{0, math.Log((negative + 1) / (positive + 1))}
	now := loss(s)
	for range steps {
		h11, h22, h21, g1, g2 := ridge, ridge, 0.0, 0.0, 0.0
		for i, t := range target {
			p := s.raw(f[i])
			d2, d1 := float64(p*(1-p)), t-p
			h11 += float64(float64(f[i]*f[i]) * d2)
			h22 += d2
			h21 += float64(f[i] * d2)
			g1 += float64(f[i] * d1)
			g2 += d1
		}
		if math.Abs(g1) < tolerance && math.Abs(g2) < tolerance {
			break
		}
		det := float64(h11*h22) - float64(h21*h21)
		da := -(float64(h22*g1) - float64(h21*g2)) / det
		db := -(float64(h11*g2) - float64(h21*g1)) / det
		slope := float64(g1*da) + float64(g2*db)
		step := 1.0
		for ; step >= leastStep; step /= 2 {
			next := sigmoid{s.a + float64(step*da), s.b + float64(step*db)}
			if l := loss(next); l < now+float64(1e-4*step*slope) {
				s, now = next, l
				break
			}
		}
		if step < leastStep {
			break // as good as rounding allows
		}
	}
	return s
}

// couple turns pairwise probabilities into one for each class: r[i*k+j] is the
// probability of i given that it is i or j. It is the second method of Wu, Lin, Weng 2004
// ("Probability estimates for multi-class classification by pairwise coupling", algorithm
// 2): minimise the sum over pairs of (r_ji p_i - r_ij p_j)^2 by solving for one class
// after the other. p has k places, q k*k, qp k.
func couple(p, r, q, qp []float64) {
	k := len(p)
	if k == 2 {
		p[0], p[1] = r[1], r[2]
		return
	}
	for t := range k {
		p[t] = 1 / float64(k)
		sum := 0.0
		for j := range k {
			if j == t {
				continue
			}
			sum += float64(r[j*k+t] * r[j*k+t])
			q[t*k+j] = -float64(r[j*k+t] * r[t*k+j])
		}
		q[t*k+t] = sum
	}
	enough := 1e-4 / float64(k)
	for range max(100, k) {
		pqp := 0.0
		for t := range k {
			qp[t] = dot(q[t*k:t*k+k], p)
			pqp += float64(p[t] * qp[t])
		}
		worst := 0.0
		for t := range k {
			worst = max(worst, math.Abs(qp[t]-pqp))
		}
		if worst < enough {
			return
		}
		for t := range k {
			d := (pqp - qp[t]) / q[t*k+t]
			p[t] += d
			pqp = (pqp + float64(d*(float64(d*q[t*k+t])+2*qp[t]))) / float64((1+d)*(1+d))
			for j := range k {
				qp[j] = (qp[j] + float64(d*q[t*k+j])) / (1 + d)
				p[j] /= 1 + d
			}
		}
	}
}
