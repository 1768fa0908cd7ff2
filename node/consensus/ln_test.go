package consensus

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"math"
	"testing"
)

func TestLnAndExpAreThoseOfTheStandardLibrary(t *testing.T) {
	r := newRandom(6)
	near := func(what string, x, got, want, absolute, relative float64) {
		t.Helper()
		if math.Abs(got-want) > max(absolute, relative*math.Abs(want)) {
			t.Fatalf("%s(%g) is %.18g, want %.18g", what, x, got, want)
		}
	}
	for range 100_000 {
		x := math.Exp(r.Float64()*1400 - 700)
		near("ln", x, ln(x), math.Log(x), 2e-15, 4e-16)
		x = 0.5 + r.Float64()
		near("ln", x, ln(x), math.Log(x), 2e-15, 4e-16)
		x = r.Float64()*1400 - 700
		near("exp", x, exp(x), math.Exp(x), 0, 1e-15)
		x = -r.Float64()
		near("exp", x, exp(x), math.Exp(x), 0, 1e-15)
	}
	for x, want := range map[float64]float64{
		1: 0, 0: math.Inf(-1), -1: math.Inf(-1), math.Inf(1): math.Inf(1),
		math.MaxFloat64: 1024 * math.Ln2, math.SmallestNonzeroFloat64: -1074 * math.Ln2,
	} {
		if got := ln(x); got != want && math.Abs(got-want) > 1e-12 {
			t.Errorf("ln(%g) is %g, want %g", x, got, want)
		}
	}
	for x, want := range map[float64]float64{0: 1, -701: 0, math.Inf(-1): 0, math.Inf(1): math.Inf(1)} {
		if got := exp(x); got != want {
			t.Errorf("exp(%g) is %g", x, got)
		}
	}
	if ln(math.NaN()) == ln(math.NaN()) || exp(math.NaN()) == exp(math.NaN()) {
		t.Error("NaN is lost")
	}
}

// TestWeightsAreTheFormulaRounded compares every weight with the formula in the standard
// library's arithmetic, to half a millionth and the error of a float.
func TestWeightsAreTheFormulaRounded(t *testing.T) {
	check := func(correct, total, classes int) {
		t.Helper()
		s := float64(correct+2) / float64(total+3)
		s = max(0.01, min(0.99, s))
		if got := SkillOf(correct, total); math.Abs(float64(got)-s*1e6) > 0.5+1e-6 {
			t.Fatalf("skill of %d in %d is %d, want %g", correct, total, got, s*1e6)
		}
		w := max(0, math.Log(s*float64(classes-1)/(1-s)))
		if got := WeightOf(correct, total, classes); math.Abs(float64(got)-w*1e6) > 0.5+1e-6 {
			t.Fatalf("weight of %d in %d of %d classes is %d, want %g", correct, total, classes, got, w*1e6)
		}
	}
	for _, classes := range []int{1, 2, 3, 10, 1000, MaxClasses} {
		for total := range 400 {
			for correct := range total + 1 {
				check(correct, total, classes)
			}
		}
		for total := 400; total < 5000; total += 97 {
			for correct := 0; correct <= total; correct += 3 {
				check(correct, total, classes)
			}
		}
	}
}

// TestWeightsAreTheSameOnEveryProcessor holds the last bit of all that floating-point
// arithmetic decides against a digest made on amd64. If it fails on another processor, an
// operation was fused or comes from assembly; see ln.go.
func TestWeightsAreTheSameOnEveryProcessor(t *testing.T) {
	h := sha256.New()
	for classes := 2; classes < 12; classes++ {
		for total := range 120 {
			for correct := range total + 1 {
				fmt.Fprintln(h, WeightOf(correct, total, classes))
			}
		}
	}
	r := newRandom(7)
	for range 20_000 {
		x := r.Float64()
		fmt.Fprintln(h, math.Float64bits(ln(x)), math.Float64bits(exp(-30*x)), ToMillionths(x))
	}
	for run := range 5 {
		c := crowd{random: newRandom(uint64(run)), classes: 3, skills: []float64{.9, .8, .7, .6, .5}}
		peers := c.peers()
		var records []Record
		columns := make([]Column, len(peers))
		for row := range 100 {
			truth, said := c.labels()
			for j, l := range said {
				columns[j].Peer = peers[j]
				columns[j].Labels = append(columns[j].Labels, l)
			}
			records = append(records, record(row, truth, peers, said))
		}
		b, err := Learn(3, peers, records)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintln(h, *b)
		fit, err := FitEM(3, columns)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintln(h, fit.Skills, fit.Prior, fit.Rounds, fit.posterior)
	}
	const want = "7bac898474cffb33f21ce07939f234febf79ce53fe916c0fd1c51fe3d37819e8"
	if got := hex.EncodeToString(h.Sum(nil)); got != want {
		t.Errorf("digest %s, want %s", got, want)
	}
}
