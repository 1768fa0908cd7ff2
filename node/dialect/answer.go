package dialect

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"

	"caucus/ml"
	"caucus/node/consensus"
)

// answerError is an answer that came and is no vote.
type answerError struct {
	outcome consensus.Outcome
	reason  string
	cause   error // for callers to branch on, or nil
}

func (e *answerError) Error() string { return e.reason }
func (e *answerError) Unwrap() error { return e.cause }

func badAnswer(o consensus.Outcome, format string, args ...any) error {
	return &answerError{outcome: o, reason: fmt.Sprintf(format, args...)}
}

// The names under which servers put things, likeliest first.
var (
	// Where an object has several of these, all must say the same: a server of another task
	// may well share our indexes.
	labelKeys = []string{
		"prediction", "predictions", "predicted_class", "predicted_label", "predicted", "class", "class_name",
		"class_id", "class_index", "label", "labels", "species",
	}
	// wrapKeys mean something only where none of labelKeys is there: many a server says
	// "result":"success" beside its answer.
	wrapKeys  = []string{"result", "results", "output", "outputs", "data", "response"}
	probsKeys = []string{
		"probabilities", "probability", "proba", "probas", "probs", "predict_proba", "prediction_proba", "prediction_probabilities",
		"class_probabilities", "confidences", "scores",
	}
	orderKeys = []string{"classes", "class_names", "target_names", "labels"}
)

// answer is what a body says: one label a row, and one probability a row and class, or none.
type answer struct {
	labels []int
	probs  []float64
}

// reader gives meaning to the bodies of good answers: {"prediction":0}, {"prediction":[0]},
// {"prediction":"setosa"}, {"class":0}, {"predictions":[0]}, [0], 0, "setosa",
// {"predictions":[[0.9,0.1,0]]}, {"outputs":[{"name":"predict","data":[0]}]}, and the
// same for many rows. Numbers are class indexes, text is a label's name, and a list of one share
// a class is the label with the largest. Nothing is guessed: what is none of it is no vote.
type reader struct {
	task  *ml.Task
	means map[string]int
}

// nested is how deep an answer may be packed.
const nested = 4

// body reads an answer to n rows.
func (r *reader) body(body []byte, n int) (answer, error) {
	if looksLikeHTML(body) {
		return answer{}, badAnswer(consensus.BadJSON, "%s", htmlReason(body))
	}
	v, err := decode(body)
	if err != nil {
		return answer{}, err
	}
	return r.value(v, n, nil, nested)
}

// value reads what stands for n rows. order says which class each share is of; nil: the task's.
func (r *reader) value(v any, n int, order []int, depth int) (answer, error) {
	if depth == 0 {
		return answer{}, badAnswer(consensus.BadSchema, "its answer is packed too deep: %s", showValue(v))
	}
	switch x := v.(type) {
	case map[string]any:
		return r.object(x, n, order, depth)
	case []any:
		return r.list(x, n, order, depth)
	}
	if n != 1 {
		return answer{}, badAnswer(consensus.BadSchema, "it answered one value where %d rows were asked", n)
	}
	y, err := r.label(v)
	if err != nil {
		return answer{}, err
	}
	return answer{labels: []int{y}}, nil
}

func (r *reader) list(x []any, n int, order []int, depth int) (answer, error) {
	if len(x) == 1 {
		if inner, ok := x[0].([]any); n == 1 || ok && len(inner) == n {
			return r.value(x[0], n, order, depth-1)
		}
	}
	if n == 1 {
		if probs := r.distribution(x, order); probs != nil {
			return answer{labels: []int{largest(probs)}, probs: probs}, nil
		}
		return answer{}, badAnswer(consensus.BadSchema, "it answered %d values where one row was asked", len(x))
	}
	if len(x) != n {
		return answer{}, badAnswer(consensus.BadSchema, "it answered %d values where %d rows were asked", len(x), n)
	}
	all := answer{labels: make([]int, 0, n)}
	for i, v := range x {
		one, err := r.value(v, 1, order, depth-1)
		if err != nil {
			return answer{}, err
		}
		all.labels = append(all.labels, one.labels...)
		if len(all.probs) == i*len(r.task.Labels) {
			all.probs = append(all.probs, one.probs...)
		}
	}
	if len(all.probs) != n*len(r.task.Labels) {
		all.probs = nil
	}
	return all, nil
}

func (r *reader) object(o map[string]any, n int, order []int, depth int) (answer, error) {
	// A third of the old apps answer their errors with status 200.
	if said, ok := o["error"]; ok && !empty(said) {
		return answer{}, badAnswer(consensus.BadSchema, "it answered status 200 with an error: %s", showValue(said))
	}
	if a, ok, err := r.outputs(o["outputs"], n); ok {
		return a, err
	}
	listsLabels := false
	for _, key := range orderKeys {
		if names := r.order(o[key]); names != nil {
			order, listsLabels = names, listsLabels || key == "labels"
			break
		}
	}
	a, found, err := r.labelled(o, n, order, depth, listsLabels)
	if err != nil {
		return answer{}, err
	}
	for _, key := range probsKeys {
		if a.probs != nil {
			break
		}
		a.probs = r.distributions(o[key], n, order)
	}
	switch {
	case found:
		return a, nil
	case a.probs != nil:
		k := len(r.task.Labels)
		for i := range n {
			a.labels = append(a.labels, largest(a.probs[i*k:(i+1)*k]))
		}
		return a, nil
	}
	for _, key := range wrapKeys {
		if v, ok := o[key]; ok && v != nil {
			return r.value(v, n, order, depth-1)
		}
	}
	return answer{}, badAnswer(consensus.BadSchema, "its answer has no \"prediction\": %s", showValue(o))
}

// labelled finds the labels of an object under all names that it has them under.
func (r *reader) labelled(o map[string]any, n int, order []int, depth int, listsLabels bool) (a answer, found bool, err error) {
	var unsure error
	first := ""
	for _, key := range labelKeys {
		v, ok := o[key]
		if !ok || v == nil || key == "labels" && listsLabels && (first != "" || n == 1) {
			continue // it lists the classes rather than answers
		}
		next, err := r.value(v, n, order, depth-1)
		switch {
		case errors.Is(err, errUnsure):
			unsure = err // another name may tell
			continue
		case err != nil:
			return answer{}, false, err
		case first != "" && !slices.Equal(a.labels, next.labels):
			return answer{}, false, badAnswer(consensus.BadLabel, "it contradicts itself: %s is %s but %s is %s",
				first, showValue(o[first]), key, showValue(v))
		case first == "":
			a, first = next, key
		case a.probs == nil:
			a.probs = next.probs
		}
	}
	if first == "" && unsure != nil {
		return answer{}, false, unsure
	}
	return a, first != "", nil
}

// errUnsure marks a number that may be read in two ways.
var errUnsure = errors.New("it may be read in two ways")

// label reads one label: an index, a name, or what the task's file says of it.
func (r *reader) label(v any) (int, error) {
	task := r.task
	switch x := v.(type) {
	case json.Number:
		return r.number(string(x))
	case string:
		if i, ok := r.means[x]; ok {
			return i, nil
		}
		if i := labelIndex(*task, x); i >= 0 {
			return i, nil
		}
		return -1, badAnswer(consensus.BadLabel, "it answered the text %s, and %s has the labels %s",
			show(x), task.Name, some(task.Labels))
	case bool:
		if i, ok := r.means[strconv.FormatBool(x)]; ok {
			return i, nil
		}
	}
	return -1, badAnswer(consensus.BadSchema, "it answered %s where a class number or a label was expected", showValue(v))
}

func (r *reader) number(text string) (int, error) {
	task := r.task
	if i, ok := r.means[text]; ok {
		return i, nil
	}
	f, err := strconv.ParseFloat(text, 64)
	if err != nil || f != math.Trunc(f) {
		return -1, badAnswer(consensus.BadLabel, "it answered %s, which is no class number", show(text))
	}
	whole := strconv.FormatFloat(f, 'f', -1, 64) // 1.0 is class 1
	if i, ok := r.means[whole]; ok {
		return i, nil
	}
	for meant := range r.means {
		if _, err := strconv.ParseFloat(meant, 64); err == nil {
			return -1, badAnswer(consensus.BadLabel, "it answered %s, which the mapping of the task's file does not have", show(text))
		}
	}
	// Where the labels are numbers themselves, 1 may be the second class or the one called 1.
	if i := slices.Index(task.Labels, whole); i >= 0 && float64(i) != f {
		return -1, &answerError{outcome: consensus.BadLabel, cause: errUnsure, reason: fmt.Sprintf(
			"it answered %s, which may be the class number or the label of that name; say which under mapping in a task file", show(text))}
	}
	if f < 0 || f >= float64(len(task.Labels)) {
		return -1, badAnswer(consensus.BadLabel, "it answered %s, and %s has the classes 0 to %d (%s)",
			show(text), task.Name, len(task.Labels)-1, some(task.Labels))
	}
	return int(f), nil
}

// some lists names for a sentence, and cuts a long list.
func some(names []string) string {
	const most = 12
	if len(names) > most {
		return strings.Join(names[:most], ", ") + fmt.Sprintf(" and %d more", len(names)-most)
	}
	return strings.Join(names, ", ")
}

// decode reads exactly one JSON value. Numbers stay text, so that 1e400 is no crash.
func decode(body []byte) (any, error) {
	if len(bytes.TrimSpace(body)) == 0 {
		return nil, badAnswer(consensus.BadJSON, "its answer is empty")
	}
	d := json.NewDecoder(bytes.NewReader(bytes.TrimPrefix(body, []byte("\xef\xbb\xbf"))))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		return nil, badAnswer(consensus.BadJSON, "its answer is not JSON: %s", show(string(body)))
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, badAnswer(consensus.BadJSON, "its answer goes on after the JSON: %s", show(string(body)))
	}
	return v, nil
}

// labelIndex finds a label by name. Case does not matter, nor does the task's name
// in front: UCI's file says Iris-setosa where scikit-learn says setosa.
func labelIndex(task ml.Task, s string) int {
	s = strings.TrimSpace(s)
	for i, l := range task.Labels {
		if l == s {
			return i
		}
	}
	bare := s
	if n := len(task.Name); n > 0 && len(s) > n+1 && strings.EqualFold(s[:n], task.Name) && strings.ContainsRune("-_ ", rune(s[n])) {
		bare = s[n+1:]
	}
	found := -1
	for i, l := range task.Labels {
		if strings.EqualFold(l, s) || strings.EqualFold(l, bare) {
			if found >= 0 {
				return -1 // two labels that differ in case alone: no guessing
			}
			found = i
		}
	}
	return found
}

// empty reports whether an "error" member says that there was none.
func empty(v any) bool {
	switch x := v.(type) {
	case nil:
		return true
	case bool:
		return !x
	case string:
		return strings.TrimSpace(x) == ""
	}
	return false
}

func showValue(v any) string {
	if s, ok := v.(string); ok {
		return show(s)
	}
	b, err := json.Marshal(v)
	if err != nil {
		return show(fmt.Sprint(v))
	}
	return show(string(b))
}
