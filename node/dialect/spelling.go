package dialect

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// The ways in which servers spell a feature. Each takes all names of a task and returns
// nil if it would say nothing new, or the same of two features.

func asTheyAre(features []string) []string { return features }

// camel makes sepalLength of sepal_length.
func camel(features []string) []string {
	return spell(features, func(words []string) string {
		for i, w := range words {
			if i > 0 {
				first, size := utf8.DecodeRuneInString(w)
				words[i] = string(unicode.ToUpper(first)) + w[size:]
			}
		}
		return strings.Join(words, "")
	})
}

// initials makes sl of sepal_length.
func initials(features []string) []string {
	return spell(features, func(words []string) string {
		var b strings.Builder
		for _, w := range words {
			first, _ := utf8.DecodeRuneInString(w)
			b.WriteRune(first)
		}
		return b.String()
	})
}

// scikit makes "sepal length (cm)" of sepal_length, as scikit-learn names Iris's columns.
func scikit(features []string) []string {
	return spell(features, func(words []string) string { return strings.Join(words, " ") + " (cm)" })
}

func spell(features []string, join func(words []string) string) []string {
	out := make([]string, len(features))
	seen := make(map[string]bool, len(features))
	changed := false
	for i, f := range features {
		words := strings.FieldsFunc(strings.ToLower(f), func(r rune) bool { return r == '_' || r == ' ' || r == '-' || r == '.' })
		if len(words) == 0 {
			return nil
		}
		out[i] = join(words)
		if seen[out[i]] {
			return nil
		}
		seen[out[i]] = true
		changed = changed || out[i] != f
	}
	if !changed {
		return nil
	}
	return out
}
