package ml

import (
	"fmt"
	"math/rand/v2"
	"slices"
)

// Dataset is labelled rows of a task. X is row-major, rows x len(Task.Features).
type Dataset struct {
	Task Task
	X    []float64
	Y    []int // class index of each row

	lines []int // of the file, by row, for what is wrong with one; nil if made by hand
}

// Len returns the number of rows.
func (d *Dataset) Len() int { return len(d.Y) }

// Row returns row i, which shares memory with the data set.
func (d *Dataset) Row(i int) []float64 {
	n := len(d.Task.Features)
	return d.X[i*n : (i+1)*n : (i+1)*n]
}

// Counts returns the number of rows of each class, in label order.
func (d *Dataset) Counts() []int {
	c := make([]int, len(d.Task.Labels))
	for _, y := range d.Y {
		c[y]++
	}
	return c
}

// Subset returns a copy of the rows named by index, in the order named.
func (d *Dataset) Subset(rows []int) *Dataset {
	n := len(d.Task.Features)
	s := &Dataset{Task: d.Task, X: make([]float64, 0, len(rows)*n), Y: make([]int, 0, len(rows))}
	for _, r := range rows {
		s.X = append(s.X, d.Row(r)...)
		s.Y = append(s.Y, d.Y[r])
		if d.lines != nil {
			s.lines = append(s.lines, d.lines[r])
		}
	}
	return s
}

// place says where a person finds row i: its line in the file, or its number from 1.
func (d *Dataset) place(i int) string {
	if i < len(d.lines) {
		return fmt.Sprintf("line %d", d.lines[i])
	}
	return fmt.Sprintf("row %d", i+1)
}

// check holds for data sets that callers made by hand what ReadCSV ensures for files.
func (d *Dataset) check() error {
	f, k := len(d.Task.Features), len(d.Task.Labels)
	if f == 0 || k < 2 {
		return fmt.Errorf("%w: the data set's task has %s and %s; make it with NewTask",
			ErrData, count(f, "feature"), count(k, "label"))
	}
	if k > MaxLabels {
		return fmt.Errorf("%w: %d labels; at most %d", ErrData, k, MaxLabels)
	}
	if len(d.X) != len(d.Y)*f {
		return fmt.Errorf("%w: %d values do not make %d rows of %d features", ErrData, len(d.X), len(d.Y), f)
	}
	for i, y := range d.Y {
		if y < 0 || y >= k {
			return fmt.Errorf("%w: %s has class %d; the task has %d", ErrData, d.place(i), y, k)
		}
		if err := checkRow(&d.Task, d.Row(i)); err != nil {
			return fmt.Errorf("%w: %s: %w", ErrData, d.place(i), err)
		}
	}
	return nil
}

// byClass returns the row numbers of each class, ascending.
func (d *Dataset) byClass() [][]int {
	rows := make([][]int, len(d.Task.Labels))
	for i, y := range d.Y {
		rows[y] = append(rows[y], i)
	}
	return rows
}

// Split holds out a share of each class's rows (stratified), drawn with seed. Both
// parts keep the rows' order. Every class keeps at least one row for training, and
// gives at least one to the test when it has two or more. holdout is in [0, 1);
// with 0 the test part is empty.
func (d *Dataset) Split(holdout float64, seed uint64) (train, test *Dataset, err error) {
	if !(holdout >= 0 && holdout < 1) {
		return nil, nil, fmt.Errorf("ml: holdout is %v; it must be at least 0 and below 1, for example 0.3", holdout)
	}
	rng := newRand(seed, streamSplit, 0)
	var trainRows, testRows []int
	for _, rows := range d.byClass() {
		shuffle(rng, rows)
		n := int(holdout*float64(len(rows)) + 0.5)
		if holdout > 0 {
			n = max(n, 1)
		}
		n = max(min(n, len(rows)-1), 0)
		testRows = append(testRows, rows[:n]...)
		trainRows = append(trainRows, rows[n:]...)
	}
	slices.Sort(trainRows)
	slices.Sort(testRows)
	return d.Subset(trainRows), d.Subset(testRows), nil
}

// dealFolds deals the rows to n folds, class by class, and returns the fold of each row.
// The deal goes on from class to class, so that small classes do not all land in fold 0.
func dealFolds(y []int, classes, n int, rng *rand.Rand) []int {
	rows := make([][]int, classes)
	for i, c := range y {
		rows[c] = append(rows[c], i)
	}
	fold := make([]int, len(y))
	next := 0
	for _, r := range rows {
		shuffle(rng, r)
		for _, i := range r {
			fold[i] = next
			next = (next + 1) % n
		}
	}
	return fold
}
