package dialect

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"

	"caucus/ml"
	"caucus/node/consensus"
)

// answerError is an answer that came and is no vote.
type answerError struct {
	outcome consensus.Outcome
	reason  string
}

func (e *answerError) Error() string { return e.reason }

func badAnswer(o consensus.Outcome, format string, args ...any) error {
	return &answerError{o, fmt.Sprintf(format, args...)}
}

// The names under which servers put the label and the probabilities, likeliest first.
var (
	labelKeys = []string{"prediction", "predictions", "predicted_class", "class", "label", "result"}
	probsKeys = []string{"probabilities", "probability", "proba", "probs"}
)

// readAnswer reads the label, and the probabilities if there are any, from the body
// of a good answer: {"prediction":0}, {"prediction":[0]}, {"prediction":"setosa"},
// {"class":0}, {"predictions":[0]}, [0], 0, "setosa". Numbers are class indexes, text
// is a label's name. Nothing is guessed: what is neither is no vote.
func readAnswer(task ml.Task, body []byte) (label int, probs []float64, err error) {
	if looksLikeHTML(body) {
		return -1, nil, badAnswer(consensus.BadJSON, "%s", htmlReason(body))
	}
	v, err := decode(body)
	if err != nil {
		return -1, nil, err
	}
	object, ok := v.(map[string]any)
	if !ok {
		label, err = readLabel(task, v)
		return label, nil, err
	}
	// A third of the old apps answer their errors with status 200.
	if said, ok := object["error"]; ok && !empty(said) {
		return -1, nil, badAnswer(consensus.BadSchema, "it answered status 200 with an error: %s", showValue(said))
	}
	label, err = readObject(task, object)
	if err != nil {
		return -1, nil, err
	}
	for _, key := range probsKeys {
		if probs = readProbabilities(task, object[key]); probs != nil {
			break
		}
	}
	return label, probs, nil
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

// readObject finds the label. Where an object has it twice, as a number and as a
// name, the two must agree: a server of another task may well share our indexes.
func readObject(task ml.Task, object map[string]any) (int, error) {
	label, found := -1, ""
	for _, key := range labelKeys {
		v, ok := object[key]
		if !ok || v == nil {
			continue
		}
		l, err := readLabel(task, v)
		if err != nil {
			return -1, err
		}
		if found != "" && l != label {
			return -1, badAnswer(consensus.BadLabel, "it contradicts itself: %s is %s but %s is %s",
				found, showValue(object[found]), key, showValue(v))
		}
		label, found = l, key
	}
	if found == "" {
		return -1, badAnswer(consensus.BadSchema, "its answer has no \"prediction\": %s", showValue(object))
	}
	return label, nil
}

// readLabel reads one label: an index, a name, or a list of lists around one.
func readLabel(task ml.Task, v any) (int, error) {
	for range 2 {
		list, ok := v.([]any)
		if !ok {
			break
		}
		if len(list) != 1 {
			return -1, badAnswer(consensus.BadSchema, "it answered %d values where one row was asked", len(list))
		}
		v = list[0]
	}
	switch x := v.(type) {
	case json.Number:
		f, err := strconv.ParseFloat(string(x), 64)
		if err != nil || f != math.Trunc(f) {
			return -1, badAnswer(consensus.BadLabel, "it answered %s, which is no class number", show(string(x)))
		}
		if f < 0 || f >= float64(len(task.Labels)) {
			return -1, badAnswer(consensus.BadLabel, "it answered %s, and %s has the classes 0 to %d (%s)",
				show(string(x)), task.Name, len(task.Labels)-1, strings.Join(task.Labels, ", "))
		}
		return int(f), nil
	case string:
		if i := labelIndex(task, x); i >= 0 {
			return i, nil
		}
		return -1, badAnswer(consensus.BadLabel, "it answered the text %s, and %s has the labels %s",
			show(x), task.Name, strings.Join(task.Labels, ", "))
	default:
		return -1, badAnswer(consensus.BadSchema, "it answered %s where a class number or a label was expected", showValue(v))
	}
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

// readProbabilities reads one probability a class, by name or in class order. What
// is not a distribution over the task's labels is left out, the vote still stands.
func readProbabilities(task ml.Task, v any) []float64 {
	probs := make([]float64, len(task.Labels))
	switch x := v.(type) {
	case map[string]any:
		if len(x) != len(probs) {
			return nil
		}
		seen := make([]bool, len(probs))
		for name, p := range x {
			i := labelIndex(task, name)
			if i < 0 || seen[i] {
				return nil
			}
			seen[i] = true
			probs[i] = probability(p)
		}
	case []any:
		if len(x) == 1 {
			if inner, ok := x[0].([]any); ok {
				x = inner
			}
		}
		if len(x) != len(probs) {
			return nil
		}
		for i, p := range x {
			probs[i] = probability(p)
		}
	default:
		return nil
	}
	sum := 0.0
	for _, p := range probs {
		sum += p
	}
	// Rounded to two places, each may be off by half a hundredth.
	if slack := 0.005*float64(len(probs)) + 1e-6; !(math.Abs(sum-1) <= slack) { // also false for NaN
		return nil
	}
	return probs
}

// probability returns a number in [0,1], or NaN.
func probability(v any) float64 {
	n, ok := v.(json.Number)
	if !ok {
		return math.NaN()
	}
	f, err := n.Float64()
	if err != nil || f < 0 || f > 1 {
		return math.NaN()
	}
	return f
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
