package api

import (
	"slices"
	"strconv"
	"strings"
	"time"
)

// consensusOptions are the parameters of a round, in the query or in the JSON body.
var consensusOptions = []string{"method", "quorum", "timeout", "models", "require", "wait", "minority", "receipt", probabilitiesOption}

// probabilitiesOption is for the replies of /consensus to a batch. In the Open Inference Protocol
// it has no place: outputs are asked for there by name.
const probabilitiesOption = "probabilities"

// methods that may be asked for. em needs many rows.
var methods = []string{"auto", "majority", "weighted", "soft", "em"}

const (
	maxQuorum  = 256 // as many members as a cluster may have
	minTimeout = 10 * time.Millisecond
)

// option takes a parameter that is not a feature. done is false if key is none.
func (in *input) option(key, value string) (done bool, err error) {
	switch {
	case key == "pretty":
	case in.consensus && slices.Contains(consensusOptions, key):
	default:
		return false, nil
	}
	if slices.Contains(in.seen, key) {
		return true, Problemf(BadInput, "%s is given twice; give it once", key)
	}
	in.seen = append(in.seen, key)
	switch key {
	case "pretty":
		in.pretty, err = parseBool(key, value)
	case "method":
		in.q.Method, err = oneOf(key, value, methods...)
	case "quorum":
		in.q.Quorum, err = parseQuorum(value)
	case "timeout":
		in.q.Timeout, err = parseTimeout(value)
	case "models":
		in.q.Models, err = parseModels(strings.Split(value, ","))
	case "require":
		_, err = oneOf(key, value, "full")
		in.q.Full = err == nil
	case "minority":
		in.q.Minority, err = parseBool(key, value)
	case "receipt":
		in.q.Receipt, err = parseBool(key, value)
	case probabilitiesOption:
		in.q.Probabilities, err = parseBool(key, value)
	case "wait":
		var w string
		w, err = oneOf(key, value, "decided", "all")
		if w == "all" {
			in.q.Wait = WaitAll
		} else {
			in.q.Wait = WaitDecided
		}
	}
	return true, err
}

func oneOf(key, value string, allowed ...string) (string, error) {
	for _, a := range allowed {
		if value == a {
			return a, nil // not value, which may point into a pooled buffer
		}
	}
	return "", Problemf(BadInput, "%s is %q; it takes %s", key, shown(value), strings.Join(allowed, ", "))
}

func parseBool(key, value string) (bool, error) {
	switch value {
	case "true", "1":
		return true, nil
	case "false", "0":
		return false, nil
	}
	return false, Problemf(BadInput, "%s is %q; it takes true or false", key, shown(value))
}

func parseQuorum(value string) (int, error) {
	n, err := strconv.Atoi(value)
	if err != nil || n < 1 || n > maxQuorum {
		return 0, Problemf(BadInput, "quorum is %q; it takes a whole number of votes from 1 to %d", shown(value), maxQuorum)
	}
	return n, nil
}

// parseTimeout reads 800ms, 1.5s, or a plain number of seconds.
func parseTimeout(value string) (time.Duration, error) {
	if x, err := parseNumber(value); err == nil && x >= 0 && x < 1e6 {
		value = strconv.FormatFloat(x, 'f', -1, 64) + "s"
	}
	d, err := time.ParseDuration(value)
	if err != nil || d < minTimeout {
		return 0, Problemf(BadInput, "timeout is %q; it takes a time of at least %v, such as 800ms or 2s", shown(value), minTimeout)
	}
	return d, nil
}

func parseModels(names []string) ([]string, error) {
	out := make([]string, 0, len(names))
	for _, n := range names {
		n = strings.TrimSpace(n)
		if !validName(n) {
			return nil, Problemf(BadInput, "models has %q; it takes kinds of model with commas between, such as knn,svm", shown(n))
		}
		if !slices.Contains(out, n) {
			out = append(out, strings.Clone(n))
		}
	}
	return out, nil
}

// validName reports whether s has the form of a name of a node or a kind of model.
func validName(s string) bool {
	if s == "" || len(s) > 63 {
		return false
	}
	for i := 0; i < len(s); i++ {
		c := s[i]
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' {
			return false
		}
	}
	return true
}

// check looks at the options together, once all are read.
func (in *input) check(deadline time.Duration) error {
	if in.q.Timeout > deadline {
		return Problemf(BadInput, "timeout is %v; this node answers within %v, so give at most that", in.q.Timeout, deadline)
	}
	if in.q.Receipt && in.q.Batch {
		return NewProblem(BadInput, "receipt=true is for one row; a batch has none, so ask row by row")
	}
	if in.q.Method == "em" && !in.q.Batch {
		return NewProblem(BadInput, "method=em learns from many rows at once; send a batch with POST and \"instances\", or use another method")
	}
	return nil
}
