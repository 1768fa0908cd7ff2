package ml

import (
	"math"
	"slices"
)

// ranked is training data as trees want it: each value replaced by its place among the
// different values of its feature. A feature is sorted once, O(n log n); afterwards all
// trees sort small integers, which radix sort does in linear time.
type ranked struct {
	task   Task
	rows   int
	drawn  int         // features drawn at each split
	rank   []uint32    // by feature, then row
	values [][]float64 // by feature: the different values, ascending
	y      []uint32
}

func rankRows(task Task, x []float64, y []int) *ranked {
	f, n := len(task.Features), len(y)
	r := &ranked{
		task: task, rows: n, drawn: max(1, int(math.Sqrt(float64(f)))),
		rank: make([]uint32, f*n), values: make([][]float64, f), y: make([]uint32, n),
	}
	for i, c := range y {
		r.y[i] = uint32(c)
	}
	col := make([]float64, n)
	for j := range f {
		for i := range n {
			col[i] = x[i*f+j]
		}
		sorted := slices.Clone(col)
		slices.Sort(sorted)
		sorted = slices.Compact(sorted)
		r.values[j] = slices.Clip(slices.Clone(sorted))
		ranks := r.rank[j*n : (j+1)*n]
		for i, v := range col {
			at, _ := slices.BinarySearch(sorted, v)
			ranks[i] = uint32(at)
		}
	}
	return r
}

// threshold is a value between the values of two ranks of a feature, such that the
// lower is not above it and the upper is.
func (r *ranked) threshold(feature int, lower, upper uint32) float64 {
	a, b := r.values[feature][lower], r.values[feature][upper]
	mid := float64(a/2) + float64(b/2) // halved first: the sum may not overflow
	if !(mid >= a && mid < b) {
		return a // neighbours in floating point
	}
	return mid
}
