package ml

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Limits of a task. They are far above any classifier that people share, and keep
// what a stranger's file can make a node allocate within bounds.
const (
	MaxFeatures = 10_000
	MaxLabels   = 1_000
	maxName     = 256 // bytes of a feature's or label's name
)

// Task is what is predicted: feature names in order and labels in order.
// Labels are sorted, numerically if all are numbers. It is a value; make it with NewTask.
type Task struct {
	Name     string   `json:"name"`
	Features []string `json:"features"`
	Labels   []string `json:"labels"`
}

// NewTask checks the names, sorts the labels and returns the task. It wants at least
// one feature and two labels, all different, not empty, valid UTF-8 without control
// characters. The slices are copied.
func NewTask(name string, features, labels []string) (Task, error) {
	if len(features) == 0 {
		return Task{}, fmt.Errorf("%w: a task needs at least one feature", ErrData)
	}
	if len(features) > MaxFeatures {
		return Task{}, fmt.Errorf("%w: %d features; at most %d", ErrData, len(features), MaxFeatures)
	}
	if len(labels) < 2 {
		return Task{}, fmt.Errorf("%w: %s; there is nothing to tell apart, a task needs at least two labels",
			ErrData, count(len(labels), "label"))
	}
	if len(labels) > MaxLabels {
		return Task{}, fmt.Errorf("%w: %d different labels; at most %d (is it the label column?)", ErrData, len(labels), MaxLabels)
	}
	if err := checkNames("feature", features); err != nil {
		return Task{}, err
	}
	if err := checkNames("label", labels); err != nil {
		return Task{}, err
	}
	t := Task{Name: name, Features: slices.Clone(features), Labels: slices.Clone(labels)}
	sortLabels(t.Labels)
	return t, nil
}

func checkNames(what string, names []string) error {
	seen := make(map[string]int, len(names))
	for i, n := range names {
		if why := badName(n); why != "" {
			return fmt.Errorf("%w: %s %d (%.40q) %s", ErrData, what, i+1, n, why)
		}
		if j, dup := seen[n]; dup {
			return fmt.Errorf("%w: %s %q is there twice (%d and %d)", ErrData, what, n, j+1, i+1)
		}
		seen[n] = i
	}
	return nil
}

// badName says what is wrong with a name, or "".
func badName(n string) string {
	switch {
	case n == "":
		return "is empty"
	case len(n) > maxName:
		return fmt.Sprintf("has %d bytes; at most %d", len(n), maxName)
	case !utf8.ValidString(n):
		return "is not UTF-8; save the file as UTF-8"
	case strings.ContainsFunc(n, unicode.IsControl):
		return "holds a control character"
	}
	return ""
}

// sortLabels sorts by value if every label is a finite number, else by bytes.
// Numbers that are equal as values ("1", "1.0") stay two labels, ordered by bytes.
func sortLabels(labels []string) {
	slices.Sort(labels)
	values := make(map[string]float64, len(labels))
	for _, l := range labels {
		v, err := strconv.ParseFloat(l, 64)
		if err != nil || math.IsNaN(v) || math.IsInf(v, 0) {
			return
		}
		values[l] = v
	}
	slices.SortStableFunc(labels, func(a, b string) int {
		switch va, vb := values[a], values[b]; {
		case va < vb:
			return -1
		case va > vb:
			return 1
		}
		return 0
	})
}

// Digest is a SHA-256 over features and labels, in order; the name does not count.
func (t Task) Digest() [32]byte {
	// Counts and lengths come first, so that no two tasks share an encoding.
	b := []byte("caucus task 1\x00")
	for _, names := range [][]string{t.Features, t.Labels} {
		b = binary.BigEndian.AppendUint32(b, uint32(len(names)))
		for _, n := range names {
			b = binary.BigEndian.AppendUint32(b, uint32(len(n)))
			b = append(b, n...)
		}
	}
	return sha256.Sum256(b)
}

// Index returns the index of a label, or -1.
func (t Task) Index(label string) int { return slices.Index(t.Labels, label) }

// Check returns ErrShape or ErrNotFinite, wrapped with the value and the feature's name, or nil.
func (t Task) Check(row []float64) error { return checkRow(&t, row) }

// checkRow is Check without copying the task: every Predict starts here.
func checkRow(t *Task, row []float64) error {
	if len(row) != len(t.Features) {
		return shapeError(t, len(row))
	}
	for i, v := range row {
		if v-v != 0 { // true for NaN and both infinities, and for nothing else
			return fmt.Errorf("%w: %s (feature %d) is %v", ErrNotFinite, t.Features[i], i, v)
		}
	}
	return nil
}

func shapeError(t *Task, got int) error {
	return fmt.Errorf("%w: want %d (%s), got %d", ErrShape, len(t.Features), list(t.Features), got)
}

// Diff says in sentences, column by column, how other differs from t; nil if it does not.
func (t Task) Diff(other Task) []string {
	d := diffNames("feature", t.Features, other.Features)
	return append(d, diffNames("label", t.Labels, other.Labels)...)
}

func diffNames(what string, want, got []string) []string {
	var d []string
	if len(want) != len(got) {
		d = append(d, fmt.Sprintf("it has %s, not %d", count(len(got), what), len(want)))
	}
	wantAt, gotAt := places(want), places(got)
	for i, n := range want {
		j, ok := gotAt[n]
		switch {
		case !ok && i < len(got) && !has(wantAt, got[i]):
			d = append(d, fmt.Sprintf("%s %d is %q, not %q", what, i+1, got[i], n))
		case !ok:
			d = append(d, fmt.Sprintf("%s %q is missing", what, n))
		case i != j:
			d = append(d, fmt.Sprintf("%s %q is number %d, not %d", what, n, j+1, i+1))
		}
	}
	for j, n := range got {
		if has(wantAt, n) {
			continue
		}
		if j < len(want) && !has(gotAt, want[j]) {
			continue // told above: "is X, not Y"
		}
		d = append(d, fmt.Sprintf("%s %q is not known here", what, n))
	}
	return d
}

func places(names []string) map[string]int {
	m := make(map[string]int, len(names))
	for i, n := range names {
		m[n] = i
	}
	return m
}

func has(m map[string]int, k string) bool { _, ok := m[k]; return ok }

// list joins names for a sentence, and cuts a long list.
func list(names []string) string {
	const most = 12
	if len(names) <= most {
		return strings.Join(names, ", ")
	}
	return strings.Join(names[:most], ", ") + fmt.Sprintf(" and %d more", len(names)-most)
}

// count writes "1 row", "2 rows".
func count(n int, what string) string {
	if n != 1 {
		what += "s"
	}
	return strconv.Itoa(n) + " " + what
}
