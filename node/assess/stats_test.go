package assess

import (
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
	"testing"

	"caucus/node/consensus"
)

func near(t *testing.T, what string, got, want, within float64) {
	t.Helper()
	if math.IsNaN(got) || math.Abs(got-want) > within {
		t.Errorf("%s is %v, want %v", what, got, want)
	}
}

// The table of the encyclopedias: two readers say yes or no to 50 proposals; both yes 20, both
// no 15, only the first yes 5, only the second yes 10. Agreement .7, by chance .5.
func TestKappaOfTwoReaders(t *testing.T) {
	var a, b []int
	add := func(n, x, y int) {
		for range n {
			a, b = append(a, x), append(b, y)
		}
	}
	add(20, 1, 1)
	add(15, 0, 0)
	add(5, 1, 0)
	add(10, 0, 1)
	add(7, -1, 1) // no vote: counts for neither
	p := pair(2, a, b)
	if p.Rows != 50 || p.Kappa == nil {
		t.Fatalf("%+v", p)
	}
	near(t, "agreement", p.Agree, 0.7, 1e-12)
	near(t, "kappa", *p.Kappa, 0.4, 1e-12)
}

func TestKappaIsUndefinedWhereChanceAloneAgrees(t *testing.T) {
	if p := pair(3, []int{1, 1}, []int{1, 1}); p.Agree != 1 || p.Kappa != nil {
		t.Errorf("%+v", p)
	}
	if p := pair(3, []int{1, -1}, []int{-1, 1}); p.Rows != 0 || p.Kappa != nil {
		t.Errorf("%+v", p)
	}
	// Never agreeing is worse than chance: pe = 0.5, kappa = -1.
	if p := pair(2, []int{0, 1}, []int{1, 0}); p.Kappa == nil || *p.Kappa != -1 {
		t.Errorf("%+v", p)
	}
}

func millionths(p ...float64) []consensus.Millionths {
	out := make([]consensus.Millionths, len(p))
	for i, x := range p {
		out[i] = consensus.ToMillionths(x)
	}
	return out
}

// By hand: the rows' squares sum to .09+.04+.01 = .14, .01+.81+.64 = 1.46 and 0, mean 1.6/3.
// Confidences .7 (right), .8 (wrong) and 1 (right) fall into three bins of one row each, so the
// ECE is (|1-.7| + |0-.8| + 0)/3.
func TestBrierScoreAndCalibrationErrorByHand(t *testing.T) {
	c := calibrate([]int{0, 1, 2, 0}, &Said{
		Labels: []int{0, 2, 2, 1},
		Probabilities: [][]consensus.Millionths{
			millionths(0.7, 0.2, 0.1), millionths(0.1, 0.1, 0.8), millionths(0, 0, 1), nil,
		},
	})
	if c == nil || c.Rows != 3 || len(c.Bins) != 3 {
		t.Fatalf("%+v", c)
	}
	near(t, "Brier", c.Brier, 1.6/3, 1e-12)
	near(t, "ECE", c.ECE, 1.1/3, 1e-12)
	if b := c.Bins[0]; b.From != 0.6 || b.To != 0.7 || b.Rows != 1 || b.Confidence != 0.7 || b.Accuracy != 1 {
		t.Errorf("the first bin: %+v", b)
	}
	if calibrate([]int{0}, &Said{Labels: []int{0}, Probabilities: [][]consensus.Millionths{nil}}) != nil {
		t.Error("a calibration without probabilities")
	}
}

func TestABinHoldsItsUpperEnd(t *testing.T) {
	for p, want := range map[float64]int{0: 0, 0.05: 0, 0.1: 0, 0.100001: 1, 0.3: 2, 0.7: 6, 0.700001: 7, 0.999999: 9, 1: 9} {
		if got := binOf(consensus.ToMillionths(p)); got != want {
			t.Errorf("%v is in bin %d, want %d", p, got, want)
		}
	}
}

// Sums of binomial coefficients over powers of two.
func TestMcNemarsExactTestByHand(t *testing.T) {
	for _, c := range []struct {
		b, c int
		want float64
	}{
		{0, 0, 1}, {5, 0, 2.0 / 32}, {1, 9, 2 * 11.0 / 1024}, {9, 1, 2 * 11.0 / 1024}, {3, 3, 1}, {2, 8, 2 * (1 + 10 + 45) / 1024.0},
	} {
		near(t, "p", mcnemar(c.b, c.c), c.want, 1e-12)
	}
	if p := mcnemar(40_000, 30_000); !(p >= 0 && p < 1e-9) {
		t.Errorf("of many rows p is %v", p)
	}
}

func TestHolmCorrectsForTheTestsThatDiffer(t *testing.T) {
	got := holm([]float64{0.01, 0.04, 0.03}, []int{0, 1, 2})
	for i, want := range []float64{0.03, 0.06, 0.06} {
		near(t, "p", got[i], want, 1e-12)
	}
	// The last two gave the same answers, so there are two tests.
	got = holm([]float64{0.01, 0.04, 0.04}, []int{0, 1, 1})
	for i, want := range []float64{0.02, 0.04, 0.04} {
		near(t, "p", got[i], want, 1e-12)
	}
}

// Of n right in n the lower end is n/(n+z^2).
func TestWilsonsIntervalWhereAllAreRight(t *testing.T) {
	i := wilson(10, 10)
	near(t, "low", i.Low, 10/(10+1.959964*1.959964), 1e-6)
	near(t, "high", i.High, 1, 1e-12)
	i = wilson(0, 10)
	near(t, "low", i.Low, 0, 1e-12)
	near(t, "high", i.High, 1-10/(10+1.959964*1.959964), 1e-6)
}

// accuracySet is n rows of which so many are right.
func accuracySet(right, wrong int) ([]int, []ratio) {
	return []int{right, wrong}, []ratio{{u: []int8{1, 0}, v: []int8{1, 1}}}
}

func TestAnIntervalIsThatOfTheNormalWhereThereAreManyRows(t *testing.T) {
	times, stats := accuracySet(8000, 2000)
	i := bootstrap(times, stats, 2000, 1)[0]
	half := 1.96 * math.Sqrt(0.8*0.2/10_000)
	near(t, "low", i.Low, 0.8-half, 0.001)
	near(t, "high", i.High, 0.8+half, 0.001)
}

func TestWhatCannotVaryHasNoBootstrapInterval(t *testing.T) {
	times, stats := accuracySet(30, 0)
	if i := bootstrap(times, stats, 200, 1)[0]; i != nil {
		t.Errorf("%+v", i)
	}
	if i := bootstrap([]int{5}, []ratio{{u: []int8{0}, v: []int8{0}}}, 200, 1)[0]; i != nil {
		t.Errorf("of nothing: %+v", i)
	}
}

// A share near 1 is skewed, which BCa sees: the interval reaches further down than up, where
// plain percentiles of the resamples reach less far.
func TestIntervalsFollowSkewness(t *testing.T) {
	times, stats := accuracySet(95, 5)
	i := bootstrap(times, stats, 20_000, 1)[0]
	if down, up := 0.95-i.Low, i.High-0.95; !(down > up+0.01) {
		t.Errorf("%+v reaches %v down and %v up", i, down, up)
	}
	a := acceleration(times, &stats[0])
	// A sixth of the skewness of the mean of n Bernoulli values: (1-2p)/(6 sqrt(n p (1-p))).
	near(t, "acceleration", a, (1-2*0.95)/(6*math.Sqrt(100*0.95*0.05)), 0.001)
}

func TestIntervalsDoNotDependOnTheNumberOfProcessors(t *testing.T) {
	times, stats := accuracySet(70, 30)
	many := bootstrap(times, stats, 500, 7)[0]
	before := runtime.GOMAXPROCS(1)
	one := bootstrap(times, stats, 500, 7)[0]
	runtime.GOMAXPROCS(before)
	if *many != *one {
		t.Errorf("%+v on many, %+v on one", many, one)
	}
	if other := bootstrap(times, stats, 500, 8)[0]; *other == *one {
		t.Error("another seed gives the same interval")
	}
}

// The promise of a 95 % interval, kept on made-up samples of a known truth: in about 95 of 100
// the truth is inside. With 200 samples the share itself is sure to 3 points or so.
func TestIntervalsHoldTheTruthAboutAsOftenAsTheySay(t *testing.T) {
	const samples, rows, resamples = 200, 120, 400
	for _, truth := range []float64{0.6, 0.85} {
		r := rand.New(rand.NewPCG(11, uint64(100*truth)))
		held, paired := 0, 0
		for s := range uint64(samples) {
			// Two contestants that are right with chances truth and truth-0.1, and together on
			// the rows that are easy for both.
			times := make([]int, 4)
			for range rows {
				u := r.Float64()
				a, b := u < truth, u < truth-0.1
				if r.Float64() < 0.3 {
					b = r.Float64() < truth-0.1
				}
				p := 0
				if a {
					p |= 1
				}
				if b {
					p |= 2
				}
				times[p]++
			}
			stats := []ratio{
				{u: []int8{0, 1, 0, 1}, v: []int8{1, 1, 1, 1}},
				{u: []int8{0, 1, -1, 0}, v: []int8{1, 1, 1, 1}},
			}
			i := bootstrap(times, stats, resamples, s)
			if i[0] != nil && i[0].Low <= truth && truth <= i[0].High {
				held++
			}
			if i[1] != nil && i[1].Low <= 0.1 && 0.1 <= i[1].High {
				paired++
			}
		}
		for what, n := range map[string]int{"an accuracy": held, "a difference": paired} {
			if share := float64(n) / samples; share < 0.91 || share > 0.985 {
				t.Errorf("of %s at %v the interval holds the truth in %.1f %% of samples", what, truth, 100*share)
			} else {
				t.Logf("of %s at %v the interval holds the truth in %.1f %% of samples", what, truth, 100*share)
			}
		}
	}
}

func TestPatternsAreWhatContestantsDidTogether(t *testing.T) {
	times, did := patterns([]int{0, 1, 0, 1}, []*Said{{Labels: []int{0, 1, 0, 0}}, {Labels: []int{1, -1, 1, 0}}})
	if !slices.Equal(times, []int{2, 1, 1}) {
		t.Errorf("times %v", times)
	}
	for p, want := range [][]int8{{right, wrong}, {right, silent}, {wrong, wrong}} {
		if !slices.Equal(did[p], want) {
			t.Errorf("pattern %d: %v, want %v", p, did[p], want)
		}
	}
}

func TestPValuesAndPointsAreWrittenShort(t *testing.T) {
	for p, want := range map[float64]string{0: "< 0.0001", 0.00012: "0.00012", 0.0216: "0.022", 0.25: "0.25", 1: "1", 0.999: "1"} {
		if got := PValue(p); got != want {
			t.Errorf("%v is written %s, want %s", p, got, want)
		}
	}
	for x, want := range map[float64]string{0: "0.0 points", -0.0001: "0.0 points", 0.0131: "+1.3 points", -0.02: "-2.0 points"} {
		if got := Points(x); got != want {
			t.Errorf("%v is written %s, want %s", x, got, want)
		}
	}
}

func BenchmarkBootstrap(b *testing.B) {
	// The digits' shape: 1,797 rows, five members, five methods, five differences.
	r := rand.New(rand.NewPCG(1, 1))
	const members = 15
	times := make([]int, 40)
	for range 1797 {
		times[min(39, int(r.ExpFloat64()*6))]++
	}
	stats := make([]ratio, members)
	for s := range stats {
		for range times {
			stats[s].u, stats[s].v = append(stats[s].u, int8(r.IntN(2))), append(stats[s].v, 1)
		}
	}
	for b.Loop() {
		bootstrap(times, stats, DefaultResamples, 1)
	}
}
