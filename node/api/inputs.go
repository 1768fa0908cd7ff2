package api

import (
	"fmt"
	"net/url"
	"slices"
	"sort"
	"strings"
)

// What bounds a batch: what it costs to answer grows with the rows, not with the bytes, and,
// for a task of many labels, with the probabilities: one a row and label.
const (
	maxRows          = 50_000
	maxProbabilities = 1_000_000
)

// rowsOf returns how many rows a batch may have in a task of so many labels.
func rowsOf(labels int) int { return min(maxRows, maxProbabilities/max(labels, 1)) }

// input is what a request to /predict or /consensus says, decoded and checked. It is
// pooled; reset makes it ready for use.
type input struct {
	s         *schema
	consensus bool // the options of a round are understood too

	q      Question
	pretty bool

	row    []float64 // one row being read
	set    []bool    // which places of row are
	nset   int
	listed bool     // the row came as features=, whole
	seen   []string // the options given so far
	body   []byte
}

func (in *input) reset(s *schema, consensus bool) {
	n := len(s.features)
	in.s, in.consensus, in.pretty, in.listed = s, consensus, false, false
	in.q = Question{Method: "auto", Rows: in.q.Rows[:0]}
	in.row = slices.Grow(in.row[:0], n)[:n]
	in.seen = in.seen[:0]
	in.body = in.body[:0]
	in.set = slices.Grow(in.set[:0], n)[:n]
	in.begin()
}

// begin starts a new row.
func (in *input) begin() {
	clear(in.set)
	in.nset = 0
}

// put sets one feature of the row.
func (in *input) put(i int, x float64) error {
	if in.set[i] {
		return Problemf(BadInput, "%s is given twice; give each feature once", in.s.name(i))
	}
	in.row[i], in.set[i] = x, true
	in.nset++
	return nil
}

// finish checks that the row is whole and appends it to the rows. where names the row
// in a batch.
func (in *input) finish(where string) error {
	if in.nset < len(in.set) {
		return in.missing(where)
	}
	in.q.Rows = append(in.q.Rows, in.row...)
	in.q.N++
	return nil
}

func (in *input) missing(where string) error {
	if in.nset == 0 && where == "" {
		return Problemf(BadInput, "no features are given; %s", in.s.wants())
	}
	var names []string
	for i, ok := range in.set {
		if !ok {
			names = append(names, in.s.name(i))
			if len(names) == 4 && len(in.set)-in.nset > 4 {
				names = append(names, fmt.Sprintf("and %d more", len(in.set)-in.nset-4))
				break
			}
		}
	}
	verb := "is"
	if len(names) > 1 {
		verb = "are"
	}
	return Problemf(BadInput, "%s%s %s missing; %s", where, strings.Join(names, ", "), verb, in.s.wants())
}

// wrongCount complains about a list of the wrong length. n is how many there were, at least.
func (in *input) wrongCount(where string, n int) error {
	verb := "numbers"
	if n == 1 {
		verb = "number"
	}
	return Problemf(BadInput, "%s has %d %s, but %s", where, n, verb, in.s.wants())
}

// query reads the URL's parameters. Without features the body must bring them.
func (in *input) query(raw string, features bool) error {
	for raw != "" {
		var pair string
		pair, raw, _ = strings.Cut(raw, "&")
		if pair == "" {
			continue
		}
		key, value, _ := strings.Cut(pair, "=")
		key, err := unescape(key)
		if err != nil {
			return err
		}
		value, err = unescape(value)
		if err != nil {
			return err
		}
		if err := in.parameter(key, value, features); err != nil {
			return err
		}
	}
	if !features {
		return nil
	}
	return in.finish("")
}

// unescape decodes a part of a query; most parts are plain.
func unescape(s string) (string, error) {
	if strings.IndexByte(s, ';') >= 0 {
		return "", Problemf(BadInput, "the query has a semicolon in %q; separate parameters with &", shown(s))
	}
	if strings.IndexByte(s, '%') < 0 && strings.IndexByte(s, '+') < 0 {
		return s, nil
	}
	// A plus is a space in a query, but nobody means a space in a number: 1e+3 typed by
	// hand is left as it is.
	if strings.Trim(s, "0123456789.,eE+-") == "" {
		return s, nil
	}
	t, err := url.QueryUnescape(s)
	if err != nil {
		return "", Problemf(BadInput, "the query has a broken %% escape in %q; write it as %%25 or leave it out", shown(s))
	}
	return t, nil
}

func (in *input) parameter(key, value string, features bool) error {
	if done, err := in.option(key, value); done || err != nil {
		return err
	}
	if key == "features" || in.isFeature(key) {
		if !features {
			return Problemf(BadInput, "%s is in the URL of a POST; put the features into the JSON body, or use GET", shown(key))
		}
		if key == "features" {
			return in.list(value)
		}
		i, _ := in.s.slot(key)
		x, err := parseNumber(value)
		if err != nil {
			return Problemf(BadInput, "%s: %q %v", in.s.name(i), shown(value), err)
		}
		if in.listed {
			return in.mixed()
		}
		return in.put(i, x)
	}
	return in.unknown(key)
}

func (in *input) isFeature(key string) bool {
	_, ok := in.s.slot(key)
	return ok
}

func (in *input) mixed() error {
	return NewProblem(BadInput, "features are given both as a list and one by one; use one of the two")
}

// list reads one features= parameter: a number, or several with commas between.
// Repeated ones follow one another.
func (in *input) list(value string) error {
	if in.nset > 0 && !in.listed {
		return in.mixed()
	}
	in.listed = true
	more := true
	for more {
		var item string
		item, value, more = strings.Cut(value, ",")
		if in.nset == len(in.set) {
			return in.wrongCount("features", in.nset+1+strings.Count(value, ",")+boolToInt(more))
		}
		x, err := parseNumber(item)
		if err != nil {
			return Problemf(BadInput, "%s: %q %v", in.s.name(in.nset), shown(item), err)
		}
		in.row[in.nset], in.set[in.nset] = x, true
		in.nset++
	}
	return nil
}

func boolToInt(b bool) int {
	if b {
		return 1
	}
	return 0
}

// unknown refuses a parameter and lists those that there are.
func (in *input) unknown(key string) error {
	var options []string
	options = append(options, "pretty")
	if in.consensus {
		options = append(options, consensusOptions...)
	}
	sort.Strings(options)
	known := append(in.s.known(), options...)
	if p, ok := position(key); ok && in.s.positional {
		n := len(in.s.features)
		return Problemf(BadInput, "there is no feature%d: features are counted from 0 to %d; %s", p, n-1, in.s.wants()).withKnown(known)
	}
	shownList := known
	if len(shownList) > 24 {
		shownList = append(append([]string{}, shownList[:8]...), append([]string{"..."}, shownList[len(in.s.features):]...)...)
	}
	return Problemf(BadInput, "unknown parameter %q; known are %s", shown(key), shownAll(shownList)).withKnown(known)
}

func shownAll(names []string) string {
	out := make([]string, len(names))
	for i, n := range names {
		out[i] = shown(n)
	}
	return strings.Join(out, ", ")
}

func (p *Problem) withKnown(known []string) *Problem {
	p.Known = known
	return p
}
