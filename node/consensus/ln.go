package consensus

import "math"

// The logarithm and the exponential of the standard library differ between processors in
// the last bit: some have assembly of their own, and the compiler may fuse a
// multiplication and an addition, which then round once. A weight that differs in its last
// millionth can decide a tie otherwise on one node than on another. So this file has its
// own, made of additions, multiplications and divisions alone, each rounded by itself: Go
// says that a conversion float64(a*b) is never fused. All floating-point arithmetic of this
// package that a comparison depends on is written so.

// oddReciprocals are 1/23, 1/21, ... 1/1.
var oddReciprocals = [...]float64{1. / 23, 1. / 21, 1. / 19, 1. / 17, 1. / 15, 1. / 13, 1. / 11, 1. / 9, 1. / 7, 1. / 5, 1. / 3, 1}

// ln returns the natural logarithm of x > 0, within 2e-15 or 4e-16 of its size, whichever
// is more; -Inf for 0 or less, and NaN for NaN.
//
// x is m 2^e with m near 1, and ln m = 2 artanh((m-1)/(m+1)), whose series of odd powers
// converges fast for the |argument| < 0.172 that is left.
func ln(x float64) float64 {
	switch {
	case x <= 0:
		return math.Inf(-1)
	case x != x || x > math.MaxFloat64:
		return x
	}
	m, e := math.Frexp(x)
	if m < math.Sqrt2/2 {
		m, e = 2*m, e-1
	}
	t := (m - 1) / (m + 1)
	square := float64(t * t)
	sum := 0.0
	for _, r := range oddReciprocals {
		sum = float64(sum*square) + r
	}
	return float64(2*float64(t*sum)) + float64(float64(e)*math.Ln2)
}

// factorialReciprocals are 1/13!, 1/12!, ... 1/0!.
var factorialReciprocals = [...]float64{
	1. / 6227020800, 1. / 479001600, 1. / 39916800, 1. / 3628800, 1. / 362880, 1. / 40320, 1. / 5040,
	1. / 720, 1. / 120, 1. / 24, 1. / 6, 1. / 2, 1, 1,
}

// ln2 in two parts: the first has 24 trailing zero bits, so its product with an exponent is exact.
const (
	ln2High = 0x1.62e42ffp-1
	ln2Low  = math.Ln2 - ln2High
)

// exp returns e^x within 1e-15 of its size; 0 below -700, +Inf above 700.
func exp(x float64) float64 {
	switch {
	case x != x:
		return x
	case x < -700:
		return 0
	case x > 700:
		return math.Inf(1)
	}
	k := math.Floor(float64(x/math.Ln2) + 0.5)
	r := x - float64(k*ln2High)
	r -= float64(k * ln2Low)
	sum := 0.0
	for _, f := range factorialReciprocals {
		sum = float64(sum*r) + f
	}
	return math.Ldexp(sum, int(k))
}
