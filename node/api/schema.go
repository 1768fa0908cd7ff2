package api

import (
	"fmt"
	"strconv"
	"strings"
)

// schema is the task as the decoders use it.
type schema struct {
	features []string
	index    map[string]int
	// positional: feature0=.. is understood. Not so if the task itself has a feature
	// of such a name, which might well count from 1.
	positional bool
	// loose finds a feature by its name as data frames have it, such as scikit-learn's
	// "sepal length (cm)"; nil where two features would be called alike.
	loose map[string]int
	rows  int // that a batch may have
}

func newSchema(features []string) *schema {
	s := &schema{features: features, index: make(map[string]int, len(features)), positional: true, rows: maxRows}
	s.loose = make(map[string]int, len(features))
	for i, f := range features {
		s.index[f] = i
		if s.loose != nil {
			plain := plainName(f)
			if _, taken := s.loose[plain]; taken || plain == "" {
				s.loose = nil
			} else {
				s.loose[plain] = i
			}
		}
		if _, ok := position(f); ok {
			s.positional = false
		}
	}
	return s
}

// position reads feature0, feature1, ...
func position(key string) (int, bool) {
	digits, ok := strings.CutPrefix(key, "feature")
	if !ok || digits == "" || len(digits) > 4 || (digits[0] == '0' && len(digits) > 1) {
		return 0, false
	}
	n := 0
	for i := 0; i < len(digits); i++ {
		if digits[i] < '0' || digits[i] > '9' {
			return 0, false
		}
		n = n*10 + int(digits[i]-'0')
	}
	return n, true
}

// slot finds the feature that a name or feature0 stands for.
func (s *schema) slot(key string) (int, bool) {
	if i, ok := s.index[key]; ok {
		return i, true
	}
	if s.positional {
		if i, ok := position(key); ok && i < len(s.features) {
			return i, true
		}
	}
	return 0, false
}

// column is slot for the columns of a data frame, whose names people write with spaces, capitals
// and a unit in brackets at the end.
func (s *schema) column(key string) (int, bool) {
	if i, ok := s.slot(key); ok {
		return i, true
	}
	i, ok := s.loose[plainName(key)]
	return i, ok
}

// plainName makes sepal_length of "Sepal Length (cm)".
func plainName(name string) string {
	if before, unit, ok := strings.Cut(name, "("); ok && strings.HasSuffix(unit, ")") {
		name = before
	}
	words := strings.FieldsFunc(strings.ToLower(name), func(r rune) bool { return r == '_' || r == ' ' || r == '-' || r == '.' })
	return strings.Join(words, "_")
}

// name says which feature is meant: feature 0 (sepal_length).
func (s *schema) name(i int) string { return fmt.Sprintf("feature %d (%s)", i, shown(s.features[i])) }

// wants says what the model wants, for the end of a complaint.
func (s *schema) wants() string {
	names := s.features
	more := ""
	if len(names) > 8 {
		names, more = names[:8], ", ..."
	}
	quoted := make([]string, len(names))
	for i, n := range names {
		quoted[i] = shown(n)
	}
	noun := "numbers"
	if len(s.features) == 1 {
		noun = "number"
	}
	return fmt.Sprintf("this model wants %d %s: %s%s", len(s.features), noun, strings.Join(quoted, ", "), more)
}

// known lists the parameters for the features.
func (s *schema) known() []string {
	out := append([]string{}, s.features...)
	if s.positional {
		out = append(out, "feature0..feature"+strconv.Itoa(len(s.features)-1))
	}
	return append(out, "features")
}

// shown makes text from outside fit for a sentence: short, and with nothing that a
// terminal or a log would act upon.
func shown(s string) string {
	const limit = 40
	cut := ""
	if len(s) > limit {
		s, cut = s[:limit], "..."
	}
	q := strconv.QuoteToGraphic(strings.ToValidUTF8(s, "?"))
	q = q[1 : len(q)-1]
	return q + cut
}
