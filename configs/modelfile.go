package configs

import (
	"fmt"
	"strings"

	"caucus/ml"
)

// loadModel takes the model that model-file names. It is fitted already, so a setting
// that says how to fit and stands in the same place, or in one that goes before it, is
// refused: silence would let a person believe that it did something. What stands
// in a place that goes after it is overruled, as settings are.
func (b *builder) loadModel() error {
	if b.modelFile == "" {
		return nil
	}
	place := rank(b.source("model-file"))
	for _, name := range []string{"data", "label", "seed", "holdout", "standardise", "param"} {
		if v, ok := b.found[name]; ok && rank(v.source) >= place {
			return &Error{Source: v.source, Err: fmt.Errorf(
				"%s says how to fit a model, and model-file names one that is fitted already; take one of the two away", name)}
		}
	}
	m, meta, err := ml.LoadFile(b.modelFile)
	if err != nil {
		return &Error{Source: b.source("model-file"), Err: err}
	}
	if v, ok := b.found["model"]; ok && m.Kind() != b.Node.Fit.Kind && rank(v.source) >= place {
		return &Error{Source: v.source, Err: fmt.Errorf(
			"model is %s, and %s holds a model of kind %s; take one of the two away", b.Node.Fit.Kind, b.modelFile, m.Kind())}
	}
	b.params = nil
	b.Node.Fit = ml.FitOptions{Kind: m.Kind()}
	b.Node.Data, b.Node.Label = "", ""
	b.Node.Model, b.Node.Stored = m, &meta
	return nil
}

// rank orders the places where settings are found: flag, environment, file, default.
func rank(source string) int {
	for i, place := range []string{"flag ", "environment ", "file "} {
		if strings.HasPrefix(source, place) {
			return 3 - i
		}
	}
	return 0
}
