package node

import (
	"context"
	"fmt"

	"caucus/ml"
)

// folds is how often rows are held out in turn when none are held out for good.
const folds = 5

// fit makes the local model, or takes the one of the configuration.
func (n *Node) fit(ctx context.Context) error {
	log := n.log.With("component", "model")
	if n.cfg.Model != nil {
		n.evaluation = n.cfg.Evaluation
		n.local = newLocal(n.cfg.Model, false, nil, log)
		return nil
	}
	data, err := n.data()
	if err != nil {
		return err
	}
	model, eval, err := fitOn(ctx, data, n.cfg.Fit, n.cfg.Holdout)
	if err != nil {
		return err
	}
	n.evaluation, n.ranges = eval, rangesOf(data)
	n.local = newLocal(model, true, data.Row(0), log)
	log.Info("the model is fitted", "model", string(model.Kind()), "task", data.Task.Name,
		"rows", data.Len(), "accuracy", eval.Accuracy, "per_row", n.local.perRow)
	return nil
}

func (n *Node) data() (*ml.Dataset, error) {
	if n.cfg.Data == "" {
		if n.cfg.Label != "" {
			return nil, fmt.Errorf("node: label is %q, but there is no data file; give --data FILE.csv with it", n.cfg.Label)
		}
		return ml.Iris(), nil
	}
	return ml.OpenCSV(n.cfg.Data, ml.CSVOptions{Label: n.cfg.Label})
}

// fitOn fits on the rows that are not held out and evaluates on those that are; with
// none held out, on all, and evaluates by cross-validation.
func fitOn(ctx context.Context, d *ml.Dataset, o ml.FitOptions, holdout float64) (ml.Model, *ml.Evaluation, error) {
	if holdout == 0 {
		model, err := ml.Fit(ctx, d, o)
		if err != nil {
			return nil, nil, err
		}
		o.Progress = nil
		eval, err := ml.CrossValidate(ctx, d, o, folds)
		return model, &eval, err
	}
	train, test, err := d.Split(holdout, o.Seed)
	if err != nil {
		return nil, nil, err
	}
	model, err := ml.Fit(ctx, train, o)
	if err != nil {
		return nil, nil, err
	}
	eval, err := ml.Evaluate(ctx, model, test)
	return model, &eval, err
}
