package assess

import (
	"cmp"
	"math"
	"slices"
)

// Comparison holds a method against the best single member, on the rows that both answered.
type Comparison struct {
	Method     string  `json:"method"`
	Member     string  `json:"member"`      // id
	Rows       int     `json:"rows"`        // that both answered
	Difference float64 `json:"difference"`  // accuracy of the method less that of the member
	OnlyMethod int     `json:"only_method"` // rows that the method alone has right
	OnlyMember int     `json:"only_member"` // rows that the member alone has right
	// Interval of the difference, rows drawn for both together; null if they are right on
	// the same rows.
	Interval *Interval `json:"interval"`
	P        float64   `json:"p"`      // of McNemar's exact test, two-sided
	PHolm    float64   `json:"p_holm"` // corrected for the number of different methods
	Verdict  string    `json:"verdict"`
}

// The verdicts.
const (
	Better            = "better"            // the interval is above 0 and p_holm below 0.05
	Worse             = "worse"             // the interval is below 0 and p_holm below 0.05
	Indistinguishable = "indistinguishable" // chance alone could have made the difference
	Same              = "same"              // right on the same rows
)

// mcnemar returns the two-sided p value of McNemar's exact test: how likely b and c rows, or
// rows less even, are if each row that only one of the two has right is as likely the one's
// as the other's.
func mcnemar(b, c int) float64 {
	n, k := b+c, min(b, c)
	if n == 0 {
		return 1
	}
	logN, _ := math.Lgamma(float64(n + 1))
	p := 0.0
	for i := 0; i <= k; i++ {
		a, _ := math.Lgamma(float64(i + 1))
		b, _ := math.Lgamma(float64(n - i + 1))
		p += math.Exp(logN - a - b - float64(n)*math.Ln2)
	}
	return min(1, 2*p)
}

// holm corrects p values of so many tests (Holm 1979). Those of one kind are one test: methods
// that gave the same answers.
func holm(p []float64, kind []int) []float64 {
	first := map[int]int{}
	var order []int // the first of each kind
	for i, k := range kind {
		if _, seen := first[k]; !seen {
			first[k] = i
			order = append(order, i)
		}
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(p[a], p[b]) })
	corrected := map[int]float64{} // by kind
	most := 0.0
	for rank, i := range order {
		most = max(most, min(1, p[i]*float64(len(order)-rank)))
		corrected[kind[i]] = most
	}
	out := make([]float64, len(p))
	for i, k := range kind {
		out[i] = corrected[k]
	}
	return out
}

// judge sets the verdict from the interval and the corrected p value: both must agree.
func (c *Comparison) judge() {
	const level = 1 - Confidence
	switch {
	case c.OnlyMethod == 0 && c.OnlyMember == 0:
		c.Verdict = Same
	case c.PHolm >= level || c.Interval != nil && c.Interval.Low <= 0 && c.Interval.High >= 0:
		c.Verdict = Indistinguishable
	case c.Difference > 0:
		c.Verdict = Better
	default:
		c.Verdict = Worse
	}
}
