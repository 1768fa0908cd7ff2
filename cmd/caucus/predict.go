package main

import (
	"context"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"caucus/ml"
	"caucus/node/api"
	"caucus/node/consensus"
)

func (a *app) predictCommand() *cobra.Command {
	var file string
	cmd := &cobra.Command{
		Use:   "predict FEATURE...",
		Short: "Ask one node's own model about one row",
		Long: `Ask one node's own model, without the others. Give the features in order, or by
name in any order. With --model-file no node is asked, but a model that caucus train stored.`,
		Example: `  caucus predict 5.1 3.5 1.4 0.2
  caucus predict 5.1 3.5 1.4 0.2 --node http://localhost:5002
  caucus predict petal_width=0.2 petal_length=1.4 sepal_width=3.5 sepal_length=5.1
  caucus predict 13.2 1.8 2.4 --model-file wine.model`,
		Args: arguments(1, -1, "the features, such as: caucus predict 5.1 3.5 1.4 0.2"),
	}
	r := a.addReader(cmd)
	cmd.ValidArgsFunction = r.features()
	cmd.Flags().StringVar(&file, "model-file", "", "ask the model in this `FILE`, and no node")
	_ = cmd.RegisterFlagCompletionFunc("model-file", completion([]string{"*.model"}))
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if file != "" && r.node != "" {
			return usage("caucus predict --model-file FILE ..., or caucus predict --node URL ...", "--node names a node to ask and --model-file a model; give one of the two")
		}
		if file != "" {
			return a.predictOffline(file, args, r.json)
		}
		return r.ask(cmd.Context(), func(ctx context.Context, c *api.Client) error {
			row, err := parseRow(ctx, c, args)
			if err != nil {
				return err
			}
			if r.json {
				return r.raw(ctx, http.MethodPost, "/predict", nil, map[string]any{"features": row})
			}
			reply, err := c.Predict(ctx, row)
			if err != nil {
				return err
			}
			a.showPrediction(reply)
			return nil
		})
	}
	return cmd
}

// offlineReply is what a node would answer, but for what only a node has.
type offlineReply struct {
	Prediction    int              `json:"prediction"`
	Label         string           `json:"label"`
	Probabilities api.Distribution `json:"probabilities,omitzero"`
	Model         string           `json:"model"`
	File          string           `json:"file"`
}

// predictOffline asks a stored model.
func (a *app) predictOffline(file string, args []string, asJSON bool) error {
	m, _, err := ml.LoadFile(file)
	if err != nil {
		return err
	}
	task := m.Task()
	row, err := rowOf(args, func() ([]string, error) { return task.Features, nil })
	if err != nil {
		return err
	}
	probs := make([]float64, len(task.Labels))
	y, err := m.Predict(row, probs)
	if err != nil {
		return usage("the features in this order: "+list(task.Features, "and"), "%w", err)
	}
	reply := offlineReply{Prediction: y, Label: task.Labels[y], Model: string(m.Kind()), File: file}
	if m.Probabilistic() {
		reply.Probabilities.Labels = task.Labels
		for _, p := range probs {
			reply.Probabilities.Shares = append(reply.Probabilities.Shares, api.Millionths(consensus.ToMillionths(p)))
		}
	}
	if asJSON {
		return a.printJSON(reply)
	}
	a.showPrediction(&api.PredictReply{Label: reply.Label, Probabilities: reply.Probabilities, Name: filepath.Base(file), Model: reply.Model})
	return nil
}

func (a *app) showPrediction(r *api.PredictReply) {
	s := a.outStyle
	who := oneLine(r.Name)
	if r.Model != r.Name {
		who += " (" + oneLine(r.Model) + ")"
	}
	fmt.Fprintf(a.out, "%s   says %s\n", s.bold(oneLine(r.Label)), who)
	if r.Probabilities.IsZero() {
		return
	}
	fmt.Fprintln(a.out)
	t := &table{indent: "  ", head: []string{"LABEL", "PROBABILITY", ""}}
	for i, label := range r.Probabilities.Labels {
		p := r.Probabilities.Shares[i].Float()
		paint := s.dim
		if label == r.Label {
			paint = s.green
		}
		bar := strings.Repeat("#", int(min(max(p, 0), 1)*20+0.5))
		t.add(painted(oneLine(label), paint), number(share(p)), painted(bar, paint))
	}
	t.write(a.out, s)
}
