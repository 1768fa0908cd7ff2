package dialect

import (
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"

	"caucus/ml"
)

// Subject is what a server predicts, and how it speaks of it.
type Subject struct {
	Task  ml.Task
	Names []string       // how the server spells the features; nil: as the task
	Means map[string]int // class index by the answer's text; nil: see reader
	// Ranges are of the features, nil: not known.
	Ranges []ml.Range
	Trial  Trial
}

// Trial is what a server is tried with: two valid rows that should have different labels.
type Trial struct {
	Rows   [2][]float64
	Labels *[2]int // what they should be answered; nil: not known
}

// IrisSubject is Iris, with a setosa and a virginica.
func IrisSubject() Subject {
	d := ml.Iris()
	return Subject{Task: d.Task, Ranges: d.Ranges(), Trial: Trial{
		Rows: [2][]float64{{5.1, 3.5, 1.4, 0.2}, {6.3, 3.3, 6.0, 2.5}}, Labels: &[2]int{0, 2},
	}}
}

// SubjectOf is the task of a data set, with the first rows of two classes.
func SubjectOf(d *ml.Dataset) Subject {
	second := d.Len() - 1
	for i := range d.Len() {
		if d.Y[i] != d.Y[0] {
			second = i
			break
		}
	}
	return Subject{Task: d.Task, Ranges: d.Ranges(), Trial: Trial{
		Rows:   [2][]float64{slices.Clone(d.Row(0)), slices.Clone(d.Row(second))},
		Labels: &[2]int{d.Y[0], d.Y[second]},
	}}
}

// maxSubject bounds a task file: a mistyped name must not read a data set.
const maxSubject = 1 << 20

// ReadSubject reads a task file:
//
//	name: iris
//	features:
//	  - sepal_length
//	  - {name: sepal_width, as: sw, range: [2, 4.4]}
//	labels: [setosa, versicolor, virginica]
//	mapping: {1: setosa, 2: versicolor, Iris-virginica: virginica}
//
// as is how the server spells the feature, mapping what its answers mean.
func ReadSubject(path string) (Subject, error) {
	info, err := os.Stat(path)
	if err == nil && info.IsDir() {
		err = errors.New("it is a folder")
	}
	var text []byte
	if err == nil {
		text, err = readSubject(path)
	}
	var pe *os.PathError
	if errors.As(err, &pe) {
		err = pe.Err
	}
	if err != nil {
		return Subject{}, fmt.Errorf("cannot read the task file %q: %w", path, err)
	}
	s, err := parseSubject(text)
	if err != nil {
		return Subject{}, fmt.Errorf("task file %q: %w", path, err)
	}
	return s, nil
}

// readSubject reads a file and refuses a larger one. What stat says of a device or a pipe is no
// size, so it reads and sees.
func readSubject(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxSubject+1))
	if err == nil && len(text) > maxSubject {
		err = fmt.Errorf("it is larger than %d KiB", maxSubject>>10)
	}
	return text, err
}

func parseSubject(text []byte) (Subject, error) {
	var f struct {
		Name     string        `yaml:"name"`
		Features []any         `yaml:"features"`
		Labels   []any         `yaml:"labels"`
		Mapping  yaml.MapSlice `yaml:"mapping"`
	}
	if err := yaml.UnmarshalWithOptions(text, &f, yaml.Strict()); err != nil {
		why := yaml.FormatError(err, false, false)
		if line, _, more := strings.Cut(why, "\n"); more {
			why = line
		}
		return Subject{}, fmt.Errorf("%s; a task file has name, features, labels and mapping", why)
	}
	if f.Name == "" {
		return Subject{}, errors.New("there is no name; add one, as in name: iris")
	}
	var s Subject
	features, ranges, err := readFeatures(f.Features, &s)
	if err != nil {
		return Subject{}, err
	}
	labels := make([]string, len(f.Labels))
	for i, l := range f.Labels {
		if labels[i], err = plainText(l); err != nil {
			return Subject{}, fmt.Errorf("label %d: %w", i+1, err)
		}
	}
	if s.Task, err = ml.NewTask(f.Name, features, labels); err != nil {
		return Subject{}, err
	}
	if err := s.readMapping(f.Mapping); err != nil {
		return Subject{}, err
	}
	if len(s.Means) == 0 && !slices.Equal(labels, s.Task.Labels) {
		// Class numbers follow the sorted labels, and who wrote another order means another.
		return Subject{}, fmt.Errorf("the labels are numbered in sorted order: %s; write them so, or say under mapping what the server's numbers mean",
			numberedList(s.Task.Labels))
	}
	s.rows(ranges)
	return s, nil
}

func numberedList(labels []string) string {
	out := make([]string, min(len(labels), 12))
	for i := range out {
		out[i] = fmt.Sprintf("%d %s", i, labels[i])
	}
	return strings.Join(out, ", ")
}

func readFeatures(items []any, s *Subject) (features []string, ranges []*ml.Range, err error) {
	other := false
	for i, item := range items {
		name, as := "", ""
		var r *ml.Range
		switch x := item.(type) {
		case map[string]any:
			name, as, r, err = readFeature(x)
		default:
			name, err = plainText(item)
		}
		if err != nil {
			return nil, nil, fmt.Errorf("feature %d: %w", i+1, err)
		}
		if as == "" {
			as = name
		}
		features, ranges, s.Names = append(features, name), append(ranges, r), append(s.Names, as)
		other = other || as != name
	}
	if !other {
		s.Names = nil
	}
	return features, ranges, nil
}

func readFeature(x map[string]any) (name, as string, r *ml.Range, err error) {
	for key, v := range x {
		switch key {
		case "name":
			name, err = plainText(v)
		case "as":
			as, err = plainText(v)
		case "range":
			r, err = readRange(v)
		default:
			err = fmt.Errorf("there is no %q; a feature has name, as and range", key)
		}
		if err != nil {
			return "", "", nil, err
		}
	}
	if name == "" {
		return "", "", nil, errors.New("it has no name; write name: sepal_length")
	}
	return name, as, r, nil
}

func readRange(v any) (*ml.Range, error) {
	list, ok := v.([]any)
	if !ok || len(list) != 2 {
		return nil, errors.New("a range is the smallest and the largest value, as in [4.3, 7.9]")
	}
	low, lowOK := asNumber(list[0])
	high, highOK := asNumber(list[1])
	if !lowOK || !highOK || !(low < high) || math.IsInf(low, 0) || math.IsInf(high, 0) {
		return nil, fmt.Errorf("the range [%v, %v] is not a smaller and a larger number", list[0], list[1])
	}
	return &ml.Range{Min: low, Typical: low + (high-low)/2, Max: high}, nil
}

func asNumber(v any) (float64, bool) {
	switch x := v.(type) {
	case float64:
		return x, true
	case int64:
		return float64(x), true
	case uint64:
		return float64(x), true
	case int:
		return float64(x), true
	}
	return 0, false
}

// plainText returns a plain value as text; YAML reads 1 as a number and true as a truth value.
func plainText(v any) (string, error) {
	switch x := v.(type) {
	case string:
		return x, nil
	case bool, int, int64, uint64, float64:
		return fmt.Sprint(x), nil
	}
	return "", fmt.Errorf("%v is no plain text; put it into quotes", v)
}

func (s *Subject) readMapping(pairs yaml.MapSlice) error {
	for _, p := range pairs {
		from, err := plainText(p.Key)
		if err != nil {
			return fmt.Errorf("mapping: %w", err)
		}
		to, err := plainText(p.Value)
		if err != nil {
			return fmt.Errorf("mapping of %q: %w", from, err)
		}
		class := s.Task.Index(to)
		if class < 0 {
			return fmt.Errorf("mapping: %q stands for %q, which is none of the labels (%s)", from, to, some(s.Task.Labels))
		}
		if s.Means == nil {
			s.Means = map[string]int{}
		}
		s.Means[from] = class
	}
	return nil
}

// rows makes the two rows to try the server with: the smallest and the largest values.
func (s *Subject) rows(ranges []*ml.Range) {
	if iris := IrisSubject(); s.Task.Digest() == iris.Task.Digest() {
		s.Trial, s.Ranges = iris.Trial, iris.Ranges
		return
	}
	known := true
	for _, r := range ranges {
		known = known && r != nil
		if r == nil {
			r = &ml.Range{Min: 1, Max: 10} // most measures have such values
		}
		rows := &s.Trial.Rows
		rows[0], rows[1] = append(rows[0], r.Min), append(rows[1], r.Max)
		s.Ranges = append(s.Ranges, *r)
	}
	if !known {
		s.Ranges = nil
	}
}
