package ml_test

import (
	"fmt"
	"math"
	"slices"
	"testing"

	"caucus/ml"
)

// numbered is rows whose only value is their number, so that one can tell where each went.
func numbered(t testing.TB, counts ...int) *ml.Dataset {
	t.Helper()
	labels := make([]string, len(counts))
	d := &ml.Dataset{}
	for c, n := range counts {
		labels[c] = string(rune('a' + c))
		for range n {
			d.X = append(d.X, float64(len(d.X)))
			d.Y = append(d.Y, c)
		}
	}
	d.Task = mustTask(t, []string{"number"}, labels)
	return d
}

func TestSplitHoldsOutTheSameShareOfEachClass(t *testing.T) {
	for _, c := range []struct {
		counts  []int
		holdout float64
		want    []int // rows held out of each class
	}{
		{[]int{50, 50, 50}, 0.3, []int{15, 15, 15}},
		{[]int{212, 357}, 0.3, []int{64, 107}},
		{[]int{2, 100}, 0.3, []int{1, 30}},
		{[]int{2, 2}, 0.01, []int{1, 1}},
		{[]int{2, 10}, 0.99, []int{1, 9}},
		{[]int{1, 10}, 0.5, []int{0, 5}},
		{[]int{10, 10}, 0, []int{0, 0}},
	} {
		t.Run(fmt.Sprint(c.counts, c.holdout), func(t *testing.T) {
			d := numbered(t, c.counts...)
			train, test, err := d.Split(c.holdout, 42)
			if err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(test.Counts(), c.want) {
				t.Errorf("held out %v, want %v", test.Counts(), c.want)
			}
			if !slices.IsSorted(train.X) || !slices.IsSorted(test.X) {
				t.Error("the order of rows changed")
			}
			all := append(slices.Clone(train.X), test.X...)
			slices.Sort(all)
			if !slices.Equal(all, d.X) {
				t.Error("rows were lost or doubled")
			}
			for _, part := range []*ml.Dataset{train, test} {
				for i, y := range part.Y {
					if d.Y[int(part.X[i])] != y {
						t.Fatalf("row %v changed its class", part.X[i])
					}
				}
			}
		})
	}
}

func TestSplitHangsOnTheSeedAlone(t *testing.T) {
	d := numbered(t, 30, 40)
	_, first, err := d.Split(0.3, 1)
	if err != nil {
		t.Fatal(err)
	}
	for range 10 {
		if _, again, _ := d.Split(0.3, 1); !slices.Equal(again.X, first.X) {
			t.Fatal("the same seed split differently")
		}
	}
	if _, other, _ := d.Split(0.3, 2); slices.Equal(other.X, first.X) {
		t.Error("another seed split alike")
	}
	// Pinned: a model that is fitted again after an upgrade must be the same one.
	if got := first.X[:5]; !slices.Equal(got, []float64{2, 7, 13, 15, 16}) {
		t.Errorf("seed 1 now holds out %v", got)
	}
}

func TestSplitRefuses(t *testing.T) {
	d := numbered(t, 3, 3)
	for _, h := range []float64{-0.1, 1, 1.5, math.NaN(), math.Inf(1)} {
		if _, _, err := d.Split(h, 1); err == nil {
			t.Errorf("holdout %v was taken", h)
		}
	}
}

func TestSubsetCopies(t *testing.T) {
	d := numbered(t, 3, 3)
	s := d.Subset([]int{4, 0})
	if !slices.Equal(s.X, []float64{4, 0}) || !slices.Equal(s.Y, []int{1, 0}) {
		t.Errorf("got %v %v", s.X, s.Y)
	}
	s.X[0] = 99
	if d.X[4] != 4 {
		t.Error("the subset shares memory")
	}
}
