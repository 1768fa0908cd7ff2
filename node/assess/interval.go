package assess

import (
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
)

// Interval is a 95 % confidence interval of a share or of a difference of shares.
type Interval struct {
	Low  float64 `json:"low"`
	High float64 `json:"high"`
	// Kind is how it was found: BCa, or Wilson where resampling cannot show doubt, because
	// all rows are right or all are wrong.
	Kind string `json:"kind"`
}

// The kinds of interval.
const (
	BCa    = "bca"    // bootstrap, bias-corrected and accelerated
	Wilson = "wilson" // score interval of a binomial share
)

// Confidence is what every interval is made for.
const Confidence = 0.95

// z is the standard normal quantile of (1+Confidence)/2.
var z = quantile((1 + Confidence) / 2)

// ratio is a statistic of rows that is a sum of u over a sum of v, such as rows right over
// rows answered. u and v are given by pattern: rows on which every contestant did the same
// are one pattern. v is 0 or 1; where it is 0, so is u.
type ratio struct{ u, v []int8 }

// bootstrap draws rows with replacement, as many as there are, so many times, for all
// statistics together, and returns their intervals; nil for one that cannot vary. times is how
// many rows have each pattern.
//
// Every resample has a random source of its own, made from the seed and its number, so the
// result does not depend on how the work is shared between processors.
func bootstrap(times []int, stats []ratio, resamples int, seed uint64) []*Interval {
	rows := make([]int32, 0) // pattern by row, in the order of patterns
	for p, n := range times {
		for range n {
			rows = append(rows, int32(p))
		}
	}
	drawn := make([][]float64, len(stats))
	for s := range stats {
		drawn[s] = make([]float64, resamples)
	}
	var next atomic.Int64
	var group sync.WaitGroup
	for range min(runtime.GOMAXPROCS(0), resamples) {
		group.Go(func() {
			seen := make([]int, len(times))
			for {
				b := int(next.Add(1)) - 1
				if b >= resamples {
					return
				}
				draw(rows, seen, rand.NewPCG(seed, uint64(b)))
				for s := range stats {
					drawn[s][b] = stats[s].of(seen)
				}
			}
		})
	}
	group.Wait()
	out := make([]*Interval, len(stats))
	for s := range stats {
		group.Go(func() { out[s] = bca(times, &stats[s], drawn[s]) })
	}
	group.Wait()
	return out
}

// draw counts the patterns of as many rows as there are, drawn with replacement.
func draw(rows []int32, seen []int, source *rand.PCG) {
	clear(seen)
	n := uint64(len(rows))
	for range rows {
		// The high half of a 64 x 32 bit product is a number below n, each as likely as
		// another to one part in 2^32 or better.
		hi := (source.Uint64() >> 32) * n >> 32
		seen[rows[hi]]++
	}
}

// of returns the statistic where each pattern is met so often; NaN if no row counts.
func (r *ratio) of(times []int) float64 {
	u, v := 0, 0
	for p, n := range times {
		u += n * int(r.u[p])
		v += n * int(r.v[p])
	}
	return float64(u) / float64(v)
}

// bca returns the bias-corrected and accelerated interval (Efron 1987, Better bootstrap
// confidence intervals). drawn is sorted and shortened in place.
func bca(times []int, r *ratio, drawn []float64) *Interval {
	whole := r.of(times)
	drawn = slices.DeleteFunc(drawn, math.IsNaN)
	if len(drawn) == 0 || math.IsNaN(whole) {
		return nil
	}
	slices.Sort(drawn)
	if drawn[0] == drawn[len(drawn)-1] {
		return nil
	}
	// Few values are possible, so many resamples equal the whole: each counts half.
	below, _ := slices.BinarySearch(drawn, whole)
	equal := 0
	for _, x := range drawn[below:] {
		if x > whole {
			break
		}
		equal++
	}
	bias := quantile((float64(below) + float64(equal)/2) / float64(len(drawn)))
	if math.IsInf(bias, 0) {
		bias = 0
	}
	a := acceleration(times, r)
	end := func(z float64) float64 {
		p := normal(bias + (bias+z)/(1-a*(bias+z)))
		i := int(math.Floor(p * float64(len(drawn)+1)))
		return drawn[max(1, min(i, len(drawn)))-1]
	}
	return &Interval{Low: end(-z), High: end(z), Kind: BCa}
}

// acceleration is a sixth of the skewness of what each row does to the statistic, from leaving
// out one row after the other.
func acceleration(times []int, r *ratio) float64 {
	u, v, n := 0, 0, 0
	for p, t := range times {
		u, v, n = u+t*int(r.u[p]), v+t*int(r.v[p]), n+t
	}
	if v < 2 {
		return 0
	}
	without := func(p int) float64 { return float64(u-int(r.u[p])) / float64(v-int(r.v[p])) }
	mean := 0.0
	for p, t := range times {
		if t > 0 {
			mean += float64(t) * without(p)
		}
	}
	mean /= float64(n)
	squares, cubes := 0.0, 0.0
	for p, t := range times {
		if t > 0 {
			d := mean - without(p)
			squares += float64(t) * d * d
			cubes += float64(t) * d * d * d
		}
	}
	if squares == 0 {
		return 0
	}
	return cubes / (6 * math.Pow(squares, 1.5))
}

// wilson returns the score interval of a share of n (Wilson 1927), for all right or all wrong.
func wilson(correct, n int) *Interval {
	if n == 0 {
		return nil
	}
	p, m := float64(correct)/float64(n), float64(n)
	centre := (p + z*z/(2*m)) / (1 + z*z/m)
	half := z / (1 + z*z/m) * math.Sqrt(p*(1-p)/m+z*z/(4*m*m))
	return &Interval{Low: max(0, centre-half), High: min(1, centre+half), Kind: Wilson}
}

// normal is the standard normal distribution function.
func normal(x float64) float64 { return math.Erfc(-x/math.Sqrt2) / 2 }

// quantile is its inverse.
func quantile(p float64) float64 { return math.Sqrt2 * math.Erfinv(2*p-1) }
