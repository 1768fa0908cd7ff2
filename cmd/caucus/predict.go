package main

import (
	"context"
	"fmt"
	"net/http"
	"strings"

	"github.com/spf13/cobra"

	"caucus/node/api"
)

func (a *app) predictCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "predict FEATURE...",
		Short: "Ask one node's own model about one row",
		Long: `Ask one node's own model, without the others. Give the features in order, or by
name in any order.`,
		Example: `  caucus predict 5.1 3.5 1.4 0.2
  caucus predict 5.1 3.5 1.4 0.2 --node http://localhost:5002
  caucus predict petal_width=0.2 petal_length=1.4 sepal_width=3.5 sepal_length=5.1`,
		Args: arguments(1, -1, "the features, such as: caucus predict 5.1 3.5 1.4 0.2"),
	}
	r := a.addReader(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
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
		bar := strings.Repeat("#", int(p*20+0.5))
		t.add(painted(oneLine(label), paint), number(share(p)), painted(bar, paint))
	}
	t.write(a.out, s)
}
