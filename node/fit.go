package node

import (
	"context"
	"fmt"
	"log/slog"

	"caucus/ml"
)

// fit makes the local model, or takes the one of the configuration.
func (n *Node) fit(ctx context.Context) error {
	if n.cfg.Upstream != "" {
		return n.openUpstream(ctx)
	}
	log := n.log.With("component", "model")
	if n.cfg.Model != nil && n.cfg.Stored != nil {
		n.load(n.cfg.Model, n.cfg.Stored, log)
		return nil
	}
	if n.cfg.Model != nil {
		n.evaluation = n.cfg.Evaluation
		n.local = newLocal(n.cfg.Model, false, nil, log)
		return nil
	}
	data, err := n.data()
	if err != nil {
		return err
	}
	model, eval, err := ml.Train(ctx, data, n.cfg.Fit, n.cfg.Holdout)
	if err != nil {
		return err
	}
	n.evaluation, n.ranges = eval, rangesOf(data.Ranges())
	n.local = newLocal(model, true, data.Row(0), log)
	log.Info("the model is fitted", "model", string(model.Kind()), "task", data.Task.Name,
		"rows", data.Len(), "accuracy", eval.Accuracy, "per_row", n.local.perRow)
	return nil
}

// load takes a model that was fitted earlier.
func (n *Node) load(model ml.Model, meta *ml.Meta, log *slog.Logger) {
	n.evaluation, n.ranges = meta.Evaluation, rangesOf(meta.Ranges)
	typical := make([]float64, len(model.Task().Features)) // zeros do, where nothing is known
	for i, r := range meta.Ranges {
		typical[i] = r.Typical
	}
	n.local = newLocal(model, true, typical, log)
	log.Info("the model is loaded", "model", string(model.Kind()), "task", model.Task().Name,
		"stored_by", meta.Program, "per_row", n.local.perRow)
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
