package ml

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// header is the first line of a file, and where its columns go.
type header struct {
	names    []string
	label    int   // column of the label
	place    []int // by column: index of the feature, or -1 for the label
	features []string
	task     *Task // the task wanted, or nil
}

func readHeader(names []string, line int, o CSVOptions) (*header, error) {
	for i := range names {
		names[i] = strings.TrimSpace(names[i])
	}
	if len(names) > MaxFeatures+1 { // first, because finding duplicates takes long
		return nil, fmt.Errorf("%w: line %d has %d columns; at most %d", ErrData, line, len(names), MaxFeatures+1)
	}
	if err := guessMistake(names, line); err != nil {
		return nil, err
	}
	for i, n := range names {
		if n == "" {
			return nil, fmt.Errorf("%w: line %d, column %d has no name; name it, or leave it out if it only numbers the rows (pandas: to_csv(index=False))",
				ErrData, line, i+1)
		}
		if why := badName(n); why != "" {
			return nil, fmt.Errorf("%w: line %d, column %d: the name %.40q %s", ErrData, line, i+1, n, why)
		}
		if j := slices.Index(names[:i], n); j >= 0 {
			return nil, fmt.Errorf("%w: line %d: columns %d and %d are both named %q; rename or remove one", ErrData, line, j+1, i+1, n)
		}
	}
	if len(names) < 2 {
		return nil, fmt.Errorf("%w: line %d has only the column %q; at least one feature and the label are wanted, with commas between them",
			ErrData, line, names[0])
	}
	h := &header{names: names, task: o.Task, place: make([]int, len(names))}
	label, err := labelColumn(names, o)
	if err != nil {
		return nil, err
	}
	h.label = label
	if h.task != nil {
		return h, h.match(line)
	}
	for i, n := range names {
		if i == h.label {
			h.place[i] = -1
			continue
		}
		h.place[i] = len(h.features)
		h.features = append(h.features, n)
	}
	return h, nil
}

func labelColumn(names []string, o CSVOptions) (int, error) {
	last := len(names) - 1
	if o.Label == "" {
		if o.Task == nil || !slices.Contains(o.Task.Features, names[last]) {
			return last, nil
		}
		// Columns in another order: the label is the one that is not a feature.
		for i, n := range names {
			if !slices.Contains(o.Task.Features, n) {
				return i, nil
			}
		}
		return 0, fmt.Errorf("%w: there is no label column: all %d columns are features", ErrData, len(names))
	}
	if i := slices.Index(names, o.Label); i >= 0 {
		return i, nil
	}
	for _, n := range names {
		if strings.EqualFold(n, strings.TrimSpace(o.Label)) {
			return 0, fmt.Errorf("%w: no column is named %q; did you mean %q?", ErrData, o.Label, n)
		}
	}
	return 0, fmt.Errorf("%w: no column is named %q; the file has %s", ErrData, o.Label, list(names))
}

// match places the columns by name on the task that is wanted.
func (h *header) match(line int) error {
	at := places(h.task.Features)
	var unknown []string
	found := 0
	for i, n := range h.names {
		h.place[i] = -1
		if i == h.label {
			continue
		}
		f, ok := at[n]
		if !ok {
			unknown = append(unknown, n)
			continue
		}
		h.place[i] = f
		found++
	}
	if len(unknown) == 0 && found == len(h.task.Features) {
		h.features = h.task.Features
		return nil
	}
	var missing []string
	for _, n := range h.task.Features {
		if i := slices.Index(h.names, n); i < 0 || i == h.label {
			missing = append(missing, n)
		}
	}
	var say []string
	if len(missing) > 0 {
		say = append(say, "missing: "+list(missing))
	}
	if len(unknown) > 0 {
		say = append(say, "not known: "+list(unknown))
	}
	return fmt.Errorf("%w: line %d: the columns are not those of the task %q (%s; label column: %s)",
		ErrData, line, h.task.Name, strings.Join(say, "; "), h.names[h.label])
}

// guessMistake catches the two commonest files that are not what ReadCSV reads.
func guessMistake(names []string, line int) error {
	if len(names) == 1 {
		for _, sep := range []struct{ char, name string }{{";", "semicolons"}, {"\t", "tabs"}, {"|", "bars"}} {
			if n := strings.Count(names[0], sep.char); n > 0 {
				return fmt.Errorf("%w: line %d: the cells seem to be separated by %s; save the file with commas (and decimal points)",
					ErrData, line, sep.name)
			}
		}
	}
	// A header-less file: names that are numbers, unless they count up from 0 or 1
	// (as data frames without names do).
	numbers, counting := 0, 0
	for i, n := range names {
		v, err := strconv.ParseFloat(n, 64)
		if err != nil {
			continue
		}
		numbers++
		if d := float64(i) - v; d == 0 || d == -1 {
			counting++
		}
	}
	if numbers > 0 && numbers >= len(names)-1 && counting < numbers {
		return fmt.Errorf("%w: line %d looks like data, not like column names (%s); add a first line that names the columns",
			ErrData, line, list(names))
	}
	return nil
}
