package ml

import (
	"encoding/csv"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// table gathers the rows of a file.
type table struct {
	h      *header
	x      []float64
	y      []int // index into labels, in order of appearance (or of the task)
	labels []string
	index  map[string]int
	lines  []int // by label: the line of its first row
	counts []int
	at     []int // by row: its line
}

func newTable(h *header) *table {
	t := &table{h: h, index: map[string]int{}}
	if h.task != nil {
		t.labels = h.task.Labels
		t.index = places(t.labels)
		t.counts = make([]int, len(t.labels))
		t.lines = make([]int, len(t.labels))
	}
	return t
}

// add reads one record.
func (t *table) add(rec []string, c *csv.Reader) error {
	if len(rec) != len(t.h.names) {
		line, _ := c.FieldPos(0)
		return fmt.Errorf("%w: line %d has %s, the header has %d%s", ErrData, line, count(len(rec), "cell"), len(t.h.names), t.ragged(rec))
	}
	n := len(t.h.features)
	at := len(t.x)
	t.x = slices.Grow(t.x, n)[:at+n]
	row := t.x[at:]
	for i, cell := range rec {
		if i == t.h.label {
			continue
		}
		v, err := strconv.ParseFloat(cell, 64)
		if err != nil || v-v != 0 {
			// Blanks after a number are rare, so they are trimmed only now.
			if v, err = strconv.ParseFloat(strings.TrimSpace(cell), 64); err != nil || v-v != 0 {
				line, _ := c.FieldPos(i)
				return t.cellError(line, i, strings.TrimSpace(cell), err)
			}
		}
		row[t.h.place[i]] = v
	}
	line, _ := c.FieldPos(0)
	t.at = append(t.at, line)
	return t.addLabel(rec[t.h.label], c)
}

func (t *table) addLabel(cell string, c *csv.Reader) error {
	label := strings.TrimSpace(cell)
	k, ok := t.index[label]
	if ok {
		t.y = append(t.y, k)
		t.counts[k]++
		return nil
	}
	line, _ := c.FieldPos(t.h.label)
	where := t.where(line, t.h.label)
	switch why := badName(label); {
	case label == "":
		return fmt.Errorf("%w: %s: the label is empty; fill it in or remove the row", ErrData, where)
	case why != "":
		return fmt.Errorf("%w: %s: the label %.40q %s", ErrData, where, label, why)
	case t.h.task != nil:
		return fmt.Errorf("%w: %s: %q is not a label of the task %q; it knows %s", ErrData, where, label, t.h.task.Name, list(t.labels))
	case len(t.labels) == MaxLabels:
		return fmt.Errorf("%w: %s: more than %d different labels; is %q the label column?", ErrData, where, MaxLabels, t.h.names[t.h.label])
	}
	label = strings.Clone(label) // the reader's record shares one string for a whole line
	t.index[label] = len(t.labels)
	t.y = append(t.y, len(t.labels))
	t.labels = append(t.labels, label)
	t.lines = append(t.lines, line)
	t.counts = append(t.counts, 1)
	return nil
}

func (t *table) where(line, col int) string {
	return fmt.Sprintf("line %d, column %d (%s)", line, col+1, t.h.names[col])
}

// ragged adds a guess at why a line has the wrong number of cells.
func (t *table) ragged(rec []string) string {
	switch {
	case len(rec) < len(t.h.names):
		return fmt.Sprintf("; %s is missing", list(t.h.names[len(rec):]))
	case len(rec) == len(t.h.names)+1 && rec[len(rec)-1] == "":
		return "; remove the comma at its end"
	}
	return "; a cell that holds a comma must be in double quotes"
}

func (t *table) cellError(line, col int, cell string, err error) error {
	where := t.where(line, col)
	switch {
	case cell == "":
		return fmt.Errorf("%w: %s: the cell is empty; fill it in or remove the row", ErrData, where)
	case missing(cell):
		return fmt.Errorf("%w: %s: the value is missing (%q); fill it in or remove the row", ErrData, where, cell)
	case errors.Is(err, strconv.ErrRange):
		return fmt.Errorf("%w: %s: %.40q is too large for a number", ErrData, where, cell)
	case err == nil:
		return fmt.Errorf("%w: %s: %q is not a finite number", ErrData, where, cell)
	}
	if _, err := strconv.ParseFloat(strings.Replace(cell, ",", ".", 1), 64); err == nil {
		return fmt.Errorf("%w: %s: %q is not a number; write a decimal point, not a comma", ErrData, where, cell)
	}
	hint := "every column but the label must hold numbers"
	if len(t.y) == 0 && t.h.label == len(t.h.names)-1 {
		hint += "; if this is the label column, name it with --label"
	}
	return fmt.Errorf("%w: %s: %.40q is not a number; %s", ErrData, where, cell, hint)
}

// missing reports whether a cell is one of the usual marks for a missing value.
func missing(cell string) bool {
	switch strings.ToLower(cell) {
	case "na", "n/a", "nan", "null", "none", "nil", "?", "-", "missing":
		return true
	}
	return false
}

// dataset checks what can only be checked at the end, and puts labels in order.
func (t *table) dataset(o CSVOptions) (*Dataset, error) {
	if len(t.y) == 0 {
		return nil, fmt.Errorf("%w: the file has a header and no rows", ErrData)
	}
	if t.h.task != nil {
		return &Dataset{Task: *t.h.task, X: slices.Clip(t.x), Y: t.y, lines: t.at}, nil
	}
	column := t.h.names[t.h.label]
	if len(t.labels) == 1 {
		return nil, fmt.Errorf("%w: column %d (%s): every row has the label %q; at least two labels are wanted",
			ErrData, t.h.label+1, column, t.labels[0])
	}
	if err := t.enough(column); err != nil {
		return nil, err
	}
	task, err := NewTask(o.Name, t.h.features, t.labels)
	if err != nil {
		return nil, err
	}
	order := places(task.Labels)
	for i, k := range t.y {
		t.y[i] = order[t.labels[k]]
	}
	return &Dataset{Task: task, X: slices.Clip(t.x), Y: t.y, lines: t.at}, nil
}

// enough wants two rows of each label: one to learn from and one to hold out.
func (t *table) enough(column string) error {
	lone, first := 0, -1
	for k, n := range t.counts {
		if n < 2 {
			lone++
			if first < 0 {
				first = k
			}
		}
	}
	switch {
	case lone == 0:
		return nil
	case lone == 1:
		return fmt.Errorf("%w: line %d, column %d (%s): the label %q has one row only; each label needs at least 2",
			ErrData, t.lines[first], t.h.label+1, column, t.labels[first])
	}
	return fmt.Errorf("%w: line %d, column %d (%s): %d labels have one row only, the first is %q; each needs at least 2 (is it the label column?)",
		ErrData, t.lines[first], t.h.label+1, column, lone, t.labels[first])
}
