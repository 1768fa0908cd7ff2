package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"

	"caucus/node/api"
)

// parseRow is rowOf with the names on the node's card.
func parseRow(ctx context.Context, c *api.Client, args []string) ([]float64, error) {
	return rowOf(args, func() ([]string, error) {
		card, err := c.Card(ctx)
		if err != nil {
			return nil, err
		}
		return card.Task.Features, nil
	})
}

// rowOf reads features from the command line: numbers in order, one list with commas, or
// name=value in any order. features is asked for the names only if there are any.
func rowOf(args []string, features func() ([]string, error)) ([]float64, error) {
	if len(args) == 1 && strings.Count(args[0], ",") > 0 && !strings.Contains(args[0], "=") {
		args = strings.FieldsFunc(args[0], func(r rune) bool { return r == ',' || r == ' ' })
	}
	named := 0
	for _, arg := range args {
		if strings.Contains(arg, "=") {
			named++
		}
	}
	switch named {
	case 0:
		row := make([]float64, len(args))
		for i, arg := range args {
			var err error
			if row[i], err = parseFeature(arg); err != nil {
				return nil, err
			}
		}
		return row, nil
	case len(args):
		names, err := features()
		if err != nil {
			return nil, err
		}
		return namedRow(names, args)
	}
	return nil, usage("caucus consensus 5.1 3.5 1.4 0.2", "give all features by name (sepal_length=5.1) or all as plain numbers, not both")
}

func parseFeature(s string) (float64, error) {
	x, err := strconv.ParseFloat(strings.TrimSpace(s), 64)
	if err == nil && !math.IsNaN(x) && !math.IsInf(x, 0) {
		return x, nil
	}
	const try = "caucus consensus 5.1 3.5 1.4 0.2"
	if err == nil || errors.Is(err, strconv.ErrRange) { // NaN, Inf, 1e999
		return 0, usage(try, "%q is not a finite number", s)
	}
	if point := strings.Replace(s, ",", ".", 1); point != s {
		if _, err := strconv.ParseFloat(strings.TrimSpace(point), 64); err == nil {
			return 0, usage(point, "%q is not a number; write it with a point", s)
		}
	}
	return 0, usage(try, "%q is not a number", s)
}

// namedRow puts name=value into the task's order. feature0, feature1 do as names too.
func namedRow(features, args []string) ([]float64, error) {
	row := make([]float64, len(features))
	from := make([]string, len(features))
	for _, arg := range args {
		name, value, _ := strings.Cut(arg, "=")
		i := featureIndex(features, name)
		if i < 0 {
			return nil, usage(example(features), "there is no feature %q; the features are %s", name, list(features, "and"))
		}
		if from[i] != "" {
			return nil, usage(example(features), "%s is given twice, as %s and as %s", features[i], from[i], arg)
		}
		x, err := parseFeature(value)
		if err != nil {
			return nil, err
		}
		row[i], from[i] = x, arg
	}
	var missing []string
	for i, f := range features {
		if from[i] == "" {
			missing = append(missing, f)
		}
	}
	if len(missing) > 0 {
		return nil, usage(example(features), "no value for %s", list(missing, "and"))
	}
	return row, nil
}

func featureIndex(features []string, name string) int {
	for i, f := range features {
		if f == name {
			return i
		}
	}
	plain := func(s string) string {
		return strings.ToLower(strings.NewReplacer("-", "", "_", "", " ", "").Replace(s))
	}
	for i, f := range features {
		if plain(f) == plain(name) || plain(name) == fmt.Sprintf("feature%d", i) {
			return i
		}
	}
	return -1
}

func example(features []string) string {
	parts := make([]string, len(features))
	for i, f := range features {
		parts[i] = quoted(f + "=1.0")
	}
	return "caucus consensus " + strings.Join(parts, " ")
}
