package consensus

import "math"

// Millionths is a probability, share or weight as an integer count of 1/1,000,000,
// so that sums are exact and equal on every processor.
type Millionths int64

// One is a whole.
const One Millionths = 1_000_000

// MaxWeight is the largest weight that counts, 1,000. A larger one is cut to it, so
// that no sum can overflow. A learnt weight is below 16 even with 65,536 classes.
const MaxWeight = 1000 * One

// ToMillionths rounds x, half away from zero. A NaN gives 0, and what lies beyond
// the range of a Millionths gives the end of that range.
func ToMillionths(x float64) Millionths {
	x = math.Round(x * float64(One))
	switch {
	case x != x:
		return 0
	case x >= math.MaxInt64:
		return math.MaxInt64
	case x <= math.MinInt64:
		return math.MinInt64
	}
	return Millionths(x)
}

// Float returns m as a floating-point number, for display.
func (m Millionths) Float() float64 { return float64(m) / float64(One) }

// clamp returns m moved into low..high.
func clamp(m, low, high Millionths) Millionths { return max(low, min(m, high)) }

// divide returns a/b rounded half up, for a >= 0 and b > 0.
func divide(a, b int64) int64 { return (a + b/2) / b }

// times returns w*p as a Millionths, rounded half up. w must be in 0..MaxWeight and p
// in 0..One, so the result is in 0..w: no rounding makes a vote worth more than its
// weight, which is what the early decision rests on.
func times(w, p Millionths) int64 { return divide(int64(w*p), int64(One)) }

// ratio returns part/whole, rounded half up; 0 if whole is 0.
func ratio(part, whole int64) Millionths {
	if whole <= 0 {
		return 0
	}
	return Millionths(divide(part*int64(One), whole))
}
