package main

import (
	"context"
	"encoding/hex"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"

	"caucus/configs"
	"caucus/ml"
)

// trainOptions are the settings that say how to fit.
var trainOptions = []string{"model", "data", "label", "seed", "holdout", "standardise", "param"}

func (a *app) trainCommand() *cobra.Command {
	var (
		save   string
		asJSON bool
	)
	cmd := &cobra.Command{
		Use:   "train --save FILE",
		Short: "Fit a model, measure it, and store it in a file",
		Long: `Fit a model as serve would, show how right it is on the rows kept back, and store it.
caucus serve --model-file FILE then starts with it at once, on any machine, without the
data. The same data, settings and seed give the same file.

What is stored is what was fitted on the rows that were not kept back; with --holdout 0
that is all of them, and the accuracy shown is that of a cross-validation.`,
		Example: `  caucus train --data wine.csv --label cultivar --model randforest --save wine.model
  caucus train --data wine.csv.gz --model svm --param kernel=rbf --holdout 0 --save wine.model
  caucus train --model knn --param k=7                      how good would it be? (Iris; nothing is stored)`,
		Args: arguments(0, 0, ""),
	}
	flags := addSettings(cmd, configs.Pick(trainOptions...))
	cmd.Flags().StringVar(&save, "save", "", "store the model in `FILE`, replacing what is there")
	_ = cmd.RegisterFlagCompletionFunc("save", completion([]string{"*.model"}))
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the result as JSON")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		s, err := flags.load(a, nil)
		if err != nil {
			return err
		}
		result, err := a.train(cmd.Context(), s, save)
		switch {
		case cmd.Context().Err() != nil:
			return context.Canceled
		case err != nil:
			return err
		case asJSON:
			return a.printJSON(result)
		}
		a.showTraining(result)
		return nil
	}
	return cmd
}

// training is what came of fitting a model.
type training struct {
	Model       string         `json:"model"`
	Params      map[string]any `json:"params"`
	Task        ml.Task        `json:"task"`
	Evaluation  *ml.Evaluation `json:"evaluation"`
	Fingerprint string         `json:"fingerprint"` // of the model, in hexadecimal
	File        string         `json:"file,omitempty"`
	Bytes       int64          `json:"bytes,omitempty"` // of the file
	Seconds     float64        `json:"seconds"`
}

// train fits, measures and, if save names a file, stores.
func (a *app) train(ctx context.Context, s configs.Settings, save string) (*training, error) {
	start := time.Now()
	d, err := openData(s.Node.Data, s.Node.Label)
	if err != nil {
		return nil, err
	}
	bar := a.newSlowBar("fitting " + string(s.Node.Fit.Kind))
	s.Node.Fit.Progress = bar.progress
	m, eval, err := ml.Train(ctx, d, s.Node.Fit, s.Node.Holdout)
	bar.finish()
	if err != nil {
		return nil, err
	}
	fp := m.Fingerprint()
	t := &training{
		Model: string(m.Kind()), Params: m.Params(), Task: m.Task(), Evaluation: eval,
		Fingerprint: hex.EncodeToString(fp[:]),
	}
	if save != "" {
		meta := ml.Meta{Program: thisBuild().Version, Ranges: d.Ranges(), Evaluation: eval}
		if err := ml.SaveFile(save, m, meta); err != nil {
			return nil, &failure{code: exitFailure, err: err, try: "--save with a file in a folder that you may write to"}
		}
		info, err := os.Stat(save)
		if err != nil {
			return nil, err
		}
		t.File, t.Bytes = save, info.Size()
	}
	t.Seconds = time.Since(start).Seconds()
	return t, nil
}

// openData reads the file, or takes Iris where none is named.
func openData(path, label string) (*ml.Dataset, error) {
	switch {
	case path != "":
		return ml.OpenCSV(path, ml.CSVOptions{Label: label})
	case label != "":
		return nil, usage("--data FILE.csv with it", "there is a label column, %q, but no data", label)
	}
	return ml.Iris(), nil
}

func (a *app) showTraining(t *training) {
	s, e := a.outStyle, t.Evaluation
	on := fmt.Sprintf("the %s kept back", plural(e.Rows, "row"))
	if e.Folds > 0 {
		on = fmt.Sprintf("%s (%d-fold cross-validation)", plural(e.Rows, "row"), e.Folds)
	}
	fmt.Fprintf(a.out, "%s of %s: right on %s of %s\n", modelName(t.Model, t.Params), oneLine(t.Task.Name), s.bold(percent(e.Accuracy)), on)
	fmt.Fprintf(a.out, "\nDown: what the rows are. Across: what the model says.\n\n")
	a.showConfusion(t.Task.Labels, e.Confusion)
	switch t.File {
	case "":
		fmt.Fprintf(a.err, "\nfitted in %s; nothing is stored without --save FILE\n", millis(1000*t.Seconds))
	default:
		fmt.Fprintf(a.err, "\nfitted in %s and stored in %s (%s)\n  %s\n", millis(1000*t.Seconds), t.File, size(t.Bytes),
			a.errStyle.cyan(a.self+" serve --model-file "+quoted(t.File)))
	}
}
