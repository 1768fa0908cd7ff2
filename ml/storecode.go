package ml

import (
	"encoding/binary"
	"fmt"
	"math"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/sjwhitworth/golearn/evaluation"
)

// encoder appends numbers in little-endian order, and texts and lists with their lengths
// before them.
type encoder struct{ b []byte }

func (e *encoder) u32(v uint32) { e.b = binary.LittleEndian.AppendUint32(e.b, v) }
func (e *encoder) u64(v uint64) { e.b = binary.LittleEndian.AppendUint64(e.b, v) }

func (e *encoder) flag(on bool) {
	if on {
		e.b = append(e.b, 1)
	} else {
		e.b = append(e.b, 0)
	}
}

func (e *encoder) text(s string) {
	e.u32(uint32(len(s)))
	e.b = append(e.b, s...)
}

func (e *encoder) texts(list []string) {
	e.u32(uint32(len(list)))
	for _, s := range list {
		e.text(s)
	}
}

// floats and int32s write no length: it follows from what stands before.
func (e *encoder) floats(v []float64) {
	e.b = slices.Grow(e.b, 8*len(v))
	for _, x := range v {
		e.u64(math.Float64bits(x))
	}
}

func (e *encoder) int32s(v []int32) {
	e.b = slices.Grow(e.b, 4*len(v))
	for _, x := range v {
		e.u32(uint32(x))
	}
}

func (e *encoder) scaler(s *scaler) {
	e.flag(s != nil)
	if s != nil {
		e.floats(s.mean)
		e.floats(s.sd)
	}
}

func (e *encoder) splits(list []split) {
	e.u32(uint32(len(list)))
	e.b = slices.Grow(e.b, splitBytes*len(list))
	for i := range list {
		s := &list[i]
		e.u64(math.Float64bits(s.threshold))
		e.u32(uint32(s.feature))
		e.u32(uint32(s.next[0]))
		e.u32(uint32(s.next[1]))
	}
}

// splitBytes is what a split takes in a file.
const splitBytes = 8 + 3*4

// decoder reads what encoder wrote and believes none of it. After the first complaint it
// returns zeros. Nothing is allocated before the bytes for it are known to be there.
type decoder struct {
	b   []byte // what is left
	err error
}

// fail keeps the first complaint. The checksum was right, so the file is as its maker made it.
func (d *decoder) fail(format string, args ...any) {
	if d.err == nil {
		d.err = modelFileError("it is made wrongly: %s; train the model anew", fmt.Sprintf(format, args...))
	}
}

// take returns the next n bytes, or nil.
func (d *decoder) take(n int, what string) []byte {
	if d.err != nil {
		return nil
	}
	if n < 0 || n > len(d.b) {
		d.fail("%s wants %d bytes, and %d are left", what, n, len(d.b))
		return nil
	}
	b := d.b[:n:n]
	d.b = d.b[n:]
	return b
}

func (d *decoder) u32(what string) uint32 {
	if b := d.take(4, what); b != nil {
		return binary.LittleEndian.Uint32(b)
	}
	return 0
}

func (d *decoder) u64(what string) uint64 {
	if b := d.take(8, what); b != nil {
		return binary.LittleEndian.Uint64(b)
	}
	return 0
}

// number reads a whole number that must lie in [least, most].
func (d *decoder) number(what string, least, most int) int {
	v := int64(d.u32(what))
	if d.err == nil && (v < int64(least) || v > int64(most)) {
		d.fail("%s is %d, not %d to %d", what, v, least, most)
	}
	if d.err != nil {
		return 0
	}
	return int(v)
}

// count reads the length of a list whose items take at least size bytes each.
func (d *decoder) count(what string, size, least int) int {
	v := int64(d.u32(what))
	if d.err == nil && (v < int64(least) || v > int64(len(d.b)/size)) {
		d.fail("there are %d %s, and at least %d and at most %d can be", v, what, least, len(d.b)/size)
	}
	if d.err != nil {
		return 0
	}
	return int(v)
}

func (d *decoder) flag(what string) bool {
	b := d.take(1, what)
	if b != nil && b[0] > 1 {
		d.fail("%s is %d, neither 0 nor 1", what, b[0])
	}
	return b != nil && b[0] == 1
}

func (d *decoder) text(what string, most int) string {
	n := d.number("the length of "+what, 0, most)
	s := string(d.take(n, what))
	if d.err == nil && (!utf8.ValidString(s) || strings.ContainsFunc(s, unicode.IsControl)) {
		d.fail("%s is not plain text: %.40q", what, s)
	}
	return s
}

func (d *decoder) texts(what string, most int) []string {
	n := d.number("the number of "+what, 0, most)
	if n > len(d.b)/4 {
		d.fail("there are %d %s in %d bytes", n, what, len(d.b))
	}
	if d.err != nil {
		return nil
	}
	list := make([]string, n)
	for i := range list {
		list[i] = d.text(what, maxName)
	}
	return list
}

// floats reads rows x width finite numbers.
func (d *decoder) floats(what string, rows, width int) []float64 {
	if d.err == nil && width > 0 && rows > len(d.b)/8/width {
		d.fail("%s want %d x %d numbers, and %d bytes are left", what, rows, width, len(d.b))
	}
	b := d.take(8*rows*width, what)
	if d.err != nil || len(b) == 0 {
		return nil
	}
	v := make([]float64, rows*width)
	for i := range v {
		v[i] = math.Float64frombits(binary.LittleEndian.Uint64(b[8*i:]))
		if v[i]-v[i] != 0 {
			d.fail("number %d of %s is %v", i, what, v[i])
			return nil
		}
	}
	return v
}

// float reads one finite number.
func (d *decoder) float(what string) float64 {
	if v := d.floats(what, 1, 1); v != nil {
		return v[0]
	}
	return 0
}

// classes reads n numbers below k.
func (d *decoder) classes(what string, n, k int) []int32 {
	b := d.take(4*n, what)
	if d.err != nil || n == 0 {
		return nil
	}
	v := make([]int32, n)
	for i := range v {
		x := binary.LittleEndian.Uint32(b[4*i:])
		if x >= uint32(k) {
			d.fail("number %d of %s is %d, and there are %d", i, what, x, k)
			return nil
		}
		v[i] = int32(x)
	}
	return v
}

// task reads the names and holds them to NewTask's rules, its order of labels included.
func (d *decoder) task() Task {
	name := d.text("the task's name", maxName)
	features := d.texts("features", MaxFeatures)
	labels := d.texts("labels", MaxLabels)
	if d.err != nil {
		return Task{}
	}
	t, err := NewTask(name, features, labels)
	if err != nil {
		d.fail("%v", err)
		return Task{}
	}
	if !slices.Equal(t.Labels, labels) {
		d.fail("its labels are not in order")
		return Task{}
	}
	return t
}

func (d *decoder) ranges(t *Task) []Range {
	v := d.floats("the ranges", len(t.Features), 3)
	if d.err != nil {
		return nil
	}
	out := make([]Range, len(t.Features))
	for i := range out {
		r := Range{Min: v[3*i], Typical: v[3*i+1], Max: v[3*i+2]}
		if !(r.Min <= r.Typical && r.Typical <= r.Max) {
			d.fail("%s ranges from %v by %v to %v", t.Features[i], r.Min, r.Typical, r.Max)
		}
		out[i] = r
	}
	return out
}

func (d *decoder) evaluation(t Task) *Evaluation {
	folds := d.number("the number of folds", 0, math.MaxInt32)
	k := len(t.Labels)
	b := d.take(4*k*k, "the evaluation")
	if d.err != nil {
		return nil
	}
	c, rows := evaluation.ConfusionMatrix{}, uint64(0)
	for i, actual := range t.Labels {
		for j, predicted := range t.Labels {
			n := binary.LittleEndian.Uint32(b[4*(i*k+j):])
			if n == 0 {
				continue
			}
			if c[actual] == nil {
				c[actual] = map[string]int{}
			}
			c[actual][predicted] = int(n)
			rows += uint64(n)
		}
	}
	if rows == 0 || rows > math.MaxInt32 {
		d.fail("its evaluation is on %d rows", rows)
		return nil
	}
	e := evaluationOf(t, c)
	e.Folds = folds
	return &e
}

func (d *decoder) scaler(features int) *scaler {
	if !d.flag("whether it standardises") {
		return nil
	}
	s := &scaler{mean: d.floats("the means", features, 1), sd: d.floats("the deviations", features, 1)}
	for i, v := range s.sd {
		if !(v > 0) {
			d.fail("deviation %d is %v", i, v)
		}
	}
	return s
}

// splits reads inner nodes. The caller checks where they lead, with forestShape.
func (d *decoder) splits(features int) []split {
	n := d.count("splits", splitBytes, 0)
	b := d.take(splitBytes*n, "the splits")
	if d.err != nil || n == 0 {
		return nil
	}
	list := make([]split, n)
	for i := range list {
		p := b[splitBytes*i:]
		s := split{
			threshold: math.Float64frombits(binary.LittleEndian.Uint64(p)),
			feature:   int32(binary.LittleEndian.Uint32(p[8:])),
			next:      [2]int32{int32(binary.LittleEndian.Uint32(p[12:])), int32(binary.LittleEndian.Uint32(p[16:]))},
		}
		if s.threshold-s.threshold != 0 || s.feature < 0 || int(s.feature) >= features {
			d.fail("split %d asks whether feature %d is above %v", i, s.feature, s.threshold)
			return nil
		}
		list[i] = s
	}
	return list
}

// forestShape checks that roots and splits are trees: every split is led to exactly once,
// and only from a root or a split before it. Then no walk meets a split twice, and
// all walks of one row together end after at most len(splits) steps. leaf says whether the
// number of a leaf is one.
func (d *decoder) forestShape(roots []int32, splits []split, leaf func(n int) bool) {
	if d.err != nil {
		return
	}
	met := make([]bool, len(splits))
	lead := func(from int, next int32) bool {
		switch {
		case next < 0:
			if !leaf(int(^next)) {
				d.fail("split %d leads to leaf %d, which does not exist", from, ^next)
				return false
			}
		case int(next) >= len(splits) || int(next) <= from || met[next]:
			d.fail("split %d leads to split %d of %d, which no tree does", from, next, len(splits))
			return false
		default:
			met[next] = true
		}
		return true
	}
	for _, r := range roots {
		if !lead(-1, r) {
			return
		}
	}
	for i := range splits {
		if !met[i] {
			d.fail("no tree has split %d", i)
			return
		}
		if !lead(i, splits[i].next[0]) || !lead(i, splits[i].next[1]) {
			return
		}
	}
}
