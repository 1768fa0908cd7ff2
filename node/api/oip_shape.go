package api

import (
	"fmt"
	"math"
	"slices"
	"strings"
)

// oipCheck holds an input's data against its datatype and shape.
func (in *input) oipCheck(t *oipTensor, where string) error {
	if t.name != "" {
		where = fmt.Sprintf("%s (%s)", where, shown(t.name))
	}
	for _, field := range []string{"name", "shape", "datatype", "data"} {
		if !slices.Contains(t.seen, field) {
			return Problemf(BadInput, "%s has no %s; send %s", where, field, oipExample)
		}
	}
	if t.datatype == "BYTES" {
		return Problemf(BadInput, "%s has the datatype BYTES; this model takes numbers, so send FP64, FP32 or whole numbers", where)
	}
	bounds, ok := oipTypes[t.datatype]
	if !ok {
		return Problemf(BadInput, "%s has the datatype %q; it takes FP64, FP32, INT8 to INT64, UINT8 to UINT64 or BOOL", where, shown(t.datatype))
	}
	if t.bools && t.datatype != "BOOL" {
		return Problemf(BadInput, "%s has true or false in its data, but the datatype %s; write numbers", where, t.datatype)
	}
	values := in.q.Rows[t.from:t.to]
	if bounds != ([2]float64{}) {
		for i, x := range values {
			if x != math.Trunc(x) || x < bounds[0] || x > bounds[1] {
				return Problemf(BadInput, "%s: %v, at place %d of its data, is no %s; send FP64 for numbers with decimals", where, x, i, t.datatype)
			}
		}
	}
	if size := oipSize(t.shape); size != len(values) {
		return Problemf(BadInput, "%s has the shape %s, which is %d numbers, but %d are in its data", where, oipDims(t.shape), size, len(values))
	}
	if len(t.dims) > 1 && !slices.Equal(oipTrim(t.dims), oipTrim(t.shape)) {
		return Problemf(BadInput, "%s has the shape %s, but its data is nested as %s", where, oipDims(t.shape), oipDims(t.dims))
	}
	return nil
}

// oipSize is the number of elements of a shape; an empty shape is a single one.
func oipSize(shape []int) int {
	size := 1
	for _, n := range shape {
		if n > 0 && size > maxOIPValues/n {
			return maxOIPValues
		}
		size *= n
	}
	return size
}

// oipTrim leaves out dimensions of 1, which change nothing: [3,1] and [3] hold the same.
func oipTrim(dims []int) []int {
	out := make([]int, 0, len(dims))
	for _, n := range dims {
		if n != 1 {
			out = append(out, n)
		}
	}
	return out
}

func oipDims(dims []int) string { return strings.ReplaceAll(fmt.Sprint(dims), " ", ",") }

// oipRows makes rows of the inputs: one tensor [rows,features] or, for a single row,
// [features]; or one tensor a feature, [rows] or [rows,1].
func (in *input) oipRows(req *oipRequest) error {
	d := len(in.s.features)
	if len(req.inputs) == 0 {
		return NewProblem(BadInput, "inputs has no tensor; send "+oipExample)
	}
	if len(req.inputs) == 1 && !in.oipIsColumn(&req.inputs[0]) {
		return in.oipWhole(&req.inputs[0])
	}
	n := -1
	columns := make([]*oipTensor, d)
	for i := range req.inputs {
		t := &req.inputs[i]
		slot, ok := in.s.column(t.name)
		switch {
		case !ok:
			return Problemf(BadInput, "inputs[%d] is called %q, which is no feature; with one tensor a feature, %s", i, shown(t.name), in.s.wants())
		case columns[slot] != nil:
			return Problemf(BadInput, "%s is given twice; give each feature once", in.s.name(slot))
		case len(t.shape) != 1 && (len(t.shape) != 2 || t.shape[1] != 1):
			return Problemf(BadInput, "inputs[%d] (%s) has the shape %s; as one feature of many it has [rows] or [rows,1]", i, shown(t.name), oipDims(t.shape))
		case n >= 0 && t.shape[0] != n:
			return Problemf(BadInput, "inputs[%d] (%s) has %d rows, but those before it have %d", i, shown(t.name), t.shape[0], n)
		}
		n = t.shape[0]
		columns[slot] = t
		in.set[slot] = true
		in.nset++
	}
	if in.nset < d {
		return in.missing("")
	}
	if err := in.oipCount(n); err != nil {
		return err
	}
	rows := make([]float64, n*d)
	for j, t := range columns {
		for i, x := range in.q.Rows[t.from:t.to] {
			rows[i*d+j] = x
		}
	}
	in.q.Rows, in.q.N = rows, n
	return nil
}

// oipIsColumn: a single tensor is a feature if it is called so and its shape is a
// feature's; whole rows may be called as one likes.
func (in *input) oipIsColumn(t *oipTensor) bool {
	if _, ok := in.s.column(t.name); !ok {
		return false
	}
	d := len(in.s.features)
	switch len(t.shape) {
	case 1:
		return d == 1 || t.shape[0] != d
	case 2:
		return t.shape[1] == 1
	}
	return false
}

// oipWhole takes a tensor of whole rows, which lie as a question has them already.
func (in *input) oipWhole(t *oipTensor) error {
	d := len(in.s.features)
	switch {
	case len(t.shape) == 1 && t.shape[0] == d:
		in.q.N = 1
	case len(t.shape) == 2 && t.shape[1] == d:
		in.q.N = t.shape[0]
	default:
		return Problemf(BadInput, "inputs[0] (%s) has the shape %s; rows have [rows,%d]: %s", shown(t.name), oipDims(t.shape), d, in.s.wants())
	}
	return in.oipCount(in.q.N)
}

func (in *input) oipCount(n int) error {
	switch {
	case n == 0:
		return NewProblem(BadInput, "the inputs have no rows; send at least one")
	case n > in.s.rows:
		return Problemf(TooLarge, "the inputs have %d rows; send at most %d at once", n, in.s.rows)
	}
	return nil
}
