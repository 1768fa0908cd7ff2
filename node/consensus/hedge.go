package consensus

import "math"

// hedge mixes experts by their losses so far (Freund and Schapire 1997; with the changing
// rate, Cesa-Bianchi and Lugosi 2006, theorem 2.3). On row t expert r has the weight
// exp(-eta_t L_r), eta_t = sqrt(8 ln R / t), where L_r is its loss on the rows before.
//
// Losses are sums of millionths, so that which expert has lost least is decided on
// integers. An expert that is silent on a row is charged what the mixture of the others
// loses there, so silence neither helps nor hurts (Freund, Schapire, Singer and Warmuth
// 1997). One that speaks for the first time starts at the mean loss of those before it:
// exp is convex, so this adds no more than a mean weight to the sum, and the bound for R
// experts holds as if all had been there.
type hedge struct {
	loss    []int64 // by expert, millionths
	awake   []int   // rows on which it spoke
	born    int     // experts that have spoken
	rows    int     // T
	mixture int64   // the mixture's loss, millionths
	weights []float64
	logR    float64
}

// What an expert did on a row.
const (
	silent = int8(-1)
	right  = int8(0)
	wrong  = int8(1)
)

func newHedge(experts int) *hedge {
	return &hedge{
		loss: make([]int64, experts), awake: make([]int, experts),
		weights: make([]float64, experts), logR: ln(float64(experts)),
	}
}

// learn takes what each expert did on the next row.
func (h *hedge) learn(did []int8) {
	spoke := false
	for _, d := range did {
		spoke = spoke || d != silent
	}
	if !spoke {
		return
	}
	mean := h.mean()
	for r, d := range did {
		if d != silent && h.awake[r] == 0 {
			h.loss[r] = mean
		}
	}
	h.rows++
	h.weigh(func(r int) bool { return did[r] != silent })
	var lost, all float64
	for r, d := range did {
		switch d {
		case wrong:
			lost += h.weights[r]
			all += h.weights[r]
		case right:
			all += h.weights[r]
		}
	}
	mixture := int64(ToMillionths(lost / all))
	h.mixture += mixture
	for r, d := range did {
		switch {
		case d == silent && h.awake[r] > 0:
			h.loss[r] += mixture
		case d != silent:
			h.loss[r] += int64(d) * int64(One)
			if h.awake[r] == 0 {
				h.born++
			}
			h.awake[r]++
		}
	}
}

// mean returns the mean loss of the experts that have spoken.
func (h *hedge) mean() int64 {
	if h.born == 0 {
		return 0
	}
	var sum int64
	for r, n := range h.awake {
		if n > 0 {
			sum += h.loss[r]
		}
	}
	return divide(sum, int64(h.born))
}

// weigh sets the weights of the experts of which in is true, for row h.rows; the best of
// them has weight 1, the others have 0.
func (h *hedge) weigh(in func(int) bool) {
	least := int64(math.MaxInt64)
	for r := range h.loss {
		if in(r) {
			least = min(least, h.loss[r])
		}
	}
	eta := math.Sqrt(8 * h.logR / float64(max(h.rows, 1)))
	for r := range h.loss {
		h.weights[r] = 0
		if in(r) {
			h.weights[r] = exp(-float64(eta * float64(h.loss[r]-least) / float64(One)))
		}
	}
}

// best returns the expert that has lost least, the first of several; -1 if none has spoken.
func (h *hedge) best() int {
	best := -1
	for r, n := range h.awake {
		if n > 0 && (best < 0 || h.loss[r] < h.loss[best]) {
			best = r
		}
	}
	return best
}

// shares returns the experts' shares in the mixture for the next row; those that have not
// spoken stand at the mean loss.
func (h *hedge) shares() []Millionths {
	next := *h
	next.loss, next.weights = make([]int64, len(h.loss)), make([]float64, len(h.loss))
	mean := h.mean()
	for r := range h.loss {
		next.loss[r] = h.loss[r]
		if h.awake[r] == 0 {
			next.loss[r] = mean
		}
	}
	next.rows++
	next.weigh(func(int) bool { return true })
	var all float64
	for _, w := range next.weights {
		all += w
	}
	out := make([]Millionths, len(h.loss))
	for r, w := range next.weights {
		out[r] = ToMillionths(w / all)
	}
	return out
}

// regret is the mixture's loss less the best expert's.
func (h *hedge) regret() Millionths {
	best := h.best()
	if best < 0 {
		return 0
	}
	return Millionths(h.mixture - h.loss[best])
}

// bound is what the regret cannot exceed: 2 sqrt((T/2) ln R) + sqrt(ln R / 8).
func (h *hedge) bound() float64 {
	if h.rows == 0 {
		return 0
	}
	return float64(2*math.Sqrt(float64(h.rows)/2*h.logR)) + math.Sqrt(h.logR/8)
}
