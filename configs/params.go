package configs

import (
	"fmt"
	"strconv"
	"strings"

	"caucus/ml"
)

// modelParams says which model each setting of --param is for.
var modelParams = map[string]ml.Kind{
	"k": ml.KNN, "trees": ml.Forest, "kernel": ml.SVM, "c": ml.SVM, "gamma": ml.SVM,
}

func setParams(b *builder, v value) error {
	b.params = map[string]string{}
	for _, item := range v.texts {
		name, text, ok := strings.Cut(item, "=")
		name = strings.ToLower(name)
		if !ok || text == "" {
			return fmt.Errorf("%q is not NAME=VALUE; write it like k=7", item)
		}
		if _, known := modelParams[name]; !known {
			return fmt.Errorf("no model has a setting %q; there are k, trees, kernel, c and gamma", name)
		}
		if err := setParam(&b.Node.Fit, name, text); err != nil {
			return err
		}
		b.params[name] = text
	}
	return nil
}

func setParam(fit *ml.FitOptions, name, text string) error {
	switch name {
	case "kernel":
		if text != "linear" && text != "rbf" {
			return fmt.Errorf("there is no kernel %q; write linear or rbf", text)
		}
		fit.Kernel = text
		return nil
	case "k", "trees":
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 || n > 100_000 {
			return fmt.Errorf("%s=%s is not a whole number from 1 to 100000", name, text)
		}
		if name == "k" {
			fit.K = n
		} else {
			fit.Trees = n
		}
		return nil
	}
	x, err := strconv.ParseFloat(text, 64)
	if err != nil || !finite(x) || x <= 0 {
		return fmt.Errorf("%s=%s is not a number above 0", name, text)
	}
	if name == "c" {
		fit.C = x
	} else {
		fit.Gamma = x
	}
	return nil
}

// checkParams refuses a setting that the model does not have: silence would let a
// person believe that it did something.
func (b *builder) checkParams() error {
	for name, text := range b.params {
		if kind := modelParams[name]; kind != b.Node.Fit.Kind {
			return &Error{Source: b.source("param"), Err: fmt.Errorf(
				"%s=%s is a setting of %s, and this node's model is %s; take it away or change --model", name, text, kind, b.Node.Fit.Kind)}
		}
	}
	if _, ok := b.params["gamma"]; ok && b.Node.Fit.Kernel != "rbf" {
		return &Error{Source: b.source("param"), Err: fmt.Errorf("gamma is a setting of the rbf kernel; add kernel=rbf")}
	}
	return nil
}
