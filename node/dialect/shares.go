package dialect

import (
	"encoding/json"
	"math"
	"slices"
	"strings"

	"caucus/node/consensus"
)

// distributions reads one distribution a row: by name or in class order, and for one row also
// as a list of one.
func (r *reader) distributions(v any, n int, order []int) []float64 {
	list, ok := v.([]any)
	if n == 1 {
		if ok && len(list) == 1 {
			v = list[0]
		}
		return r.distribution(v, order)
	}
	if !ok || len(list) != n {
		return nil
	}
	all := make([]float64, 0, n*len(r.task.Labels))
	for _, row := range list {
		one := r.distribution(row, order)
		if one == nil {
			return nil
		}
		all = append(all, one...)
	}
	return all
}

// distribution reads one probability a class. What is not a distribution over the task's labels is
// left out, and the vote still stands. Shares of 100 are shares too.
func (r *reader) distribution(v any, order []int) []float64 {
	k := len(r.task.Labels)
	probs := make([]float64, k)
	switch x := v.(type) {
	case map[string]any:
		if len(x) != k {
			return nil
		}
		seen := make([]bool, k)
		for name, p := range x {
			i, ok := r.class(name)
			if !ok || seen[i] {
				return nil
			}
			seen[i], probs[i] = true, share(p)
		}
	case []any:
		if len(x) != k {
			return nil
		}
		for i, p := range x {
			if order != nil {
				i = order[i]
			}
			probs[i] = share(p)
		}
	default:
		return nil
	}
	return normalised(probs)
}

// class finds the class that a name, or a number as a name, stands for.
func (r *reader) class(name string) (int, bool) {
	if i, ok := r.means[name]; ok {
		return i, true
	}
	if i := labelIndex(*r.task, name); i >= 0 {
		return i, true
	}
	if i, err := r.number(name); err == nil {
		return i, true
	}
	return -1, false
}

// order reads a list of all classes, such as scikit-learn's classes_: which class of the task
// each place is. nil: v is no such list.
func (r *reader) order(v any) []int {
	list, ok := v.([]any)
	if !ok || len(list) != len(r.task.Labels) {
		return nil
	}
	out := make([]int, 0, len(list))
	for _, name := range list {
		i, err := r.label(name)
		if err != nil || slices.Contains(out, i) {
			return nil
		}
		out = append(out, i)
	}
	return out
}

// share returns a number that may be a probability, or a percentage, or NaN.
func share(v any) float64 {
	n, ok := v.(json.Number)
	if !ok {
		return math.NaN()
	}
	f, err := n.Float64()
	if err != nil || f < 0 {
		return math.NaN()
	}
	return f
}

// normalised makes the shares add up to 1 exactly enough for the tally, or returns nil if they do not
// nearly add up to 1 or 100: rounded to two places, each may be off by half a hundredth.
func normalised(shares []float64) []float64 {
	sum := 0.0
	for _, p := range shares {
		sum += p
	}
	slack := min(0.005*float64(len(shares))+1e-6, 0.1)
	if !(math.Abs(sum-1) <= slack || math.Abs(sum-100) <= slack*100) { // also false for NaN
		return nil
	}
	if math.Abs(sum-1) < 1e-9 {
		return shares
	}
	for i := range shares {
		shares[i] /= sum
	}
	return shares
}

// largest returns the class with the largest share, the first one of several.
func largest(probs []float64) int {
	best := 0
	for i, p := range probs {
		if p > probs[best] {
			best = i
		}
	}
	return best
}

// outputs reads the answer of the Open Inference Protocol. ok: it is one.
func (r *reader) outputs(v any, n int) (a answer, ok bool, err error) {
	list, _ := v.([]any)
	var complaint error
	for _, item := range list {
		o, isObject := item.(map[string]any)
		data, hasData := o["data"].([]any)
		if !isObject || !hasData {
			return answer{}, false, nil
		}
		ok = true
		var order []int
		if p, isMap := o["parameters"].(map[string]any); isMap {
			if names, isText := p["labels"].(string); isText { // as our own nodes say it
				order = r.order(asAny(strings.Split(names, ",")))
			}
		}
		flat := flatten(data, nil)
		k := len(r.task.Labels)
		switch len(flat) {
		case n:
			if a.labels != nil {
				continue
			}
			next, err := r.list(flat, n, nil, 2)
			if err != nil {
				complaint = err
				continue
			}
			a.labels = next.labels
		case n * k:
			if a.probs != nil {
				continue
			}
			rows := make([]any, n)
			for i := range rows {
				rows[i] = flat[i*k : (i+1)*k]
			}
			a.probs = r.distributions(rows, n, order)
		}
	}
	if !ok || a.labels != nil && complaint == nil {
		return a, ok, nil
	}
	if complaint != nil && a.labels == nil && a.probs == nil {
		return answer{}, true, complaint
	}
	if a.labels == nil && a.probs != nil {
		k := len(r.task.Labels)
		for i := range n {
			a.labels = append(a.labels, largest(a.probs[i*k:(i+1)*k]))
		}
	}
	if a.labels == nil {
		return answer{}, true, badAnswer(consensus.BadSchema, "none of its outputs holds a label a row: %s", showValue(v))
	}
	return a, true, nil
}

func asAny(texts []string) []any {
	out := make([]any, len(texts))
	for i, t := range texts {
		out[i] = t
	}
	return out
}

// flatten lays nested lists end to end.
func flatten(v []any, to []any) []any {
	for _, x := range v {
		if inner, ok := x.([]any); ok {
			to = flatten(inner, to)
		} else {
			to = append(to, x)
		}
	}
	return to
}
