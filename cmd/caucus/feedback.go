package main

import (
	"context"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"caucus/node/api"
)

func (a *app) feedbackCommand() *cobra.Command {
	var data, label, round string
	cmd := &cobra.Command{
		Use:   "feedback --data FILE.csv | --round ID --label LABEL | FEATURE... --label LABEL",
		Short: "Say what rows really are, so that all nodes learn whom to trust",
		Long: `Tell the cluster the right labels of rows: of a CSV file, of a round that the node was
asked for, or of a row. The members sign how they vote on them, all nodes hold labels
and votes, and all learn the same weights from them. See them with caucus weights.`,
		Example: `  caucus feedback --data labelled.csv
  caucus feedback --data labelled.csv --label species
  caucus feedback 5.1 3.5 1.4 0.2 --label setosa
  caucus feedback --round 01JQZ8V5M3K4N6P7R8S9T0V1W2 --label setosa`,
		Args: cobra.ArbitraryArgs,
	}
	r := a.addReader(cmd)
	f := cmd.Flags()
	f.StringVar(&data, "data", "", "the labelled rows, a `FILE.csv` (or .csv.gz) with a header line")
	f.StringVar(&round, "round", "", "the `ID` of the round whose label is known by now")
	f.StringVar(&label, "label", "", "what the row, or the round's row, really is; with --data, the `COLUMN` with the labels (default: the last)")
	cmd.ValidArgsFunction = r.features()
	labels := r.labels()
	_ = cmd.RegisterFlagCompletionFunc("label", func(cmd *cobra.Command, args []string, toComplete string) ([]cobra.Completion, cobra.ShellCompDirective) {
		if data != "" {
			return completeColumns(cmd, args, toComplete)
		}
		return labels(cmd, args, toComplete)
	})
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		const try = "caucus feedback --data labelled.csv, or: caucus feedback 5.1 3.5 1.4 0.2 --label setosa"
		given := 0
		for _, on := range []bool{data != "", round != "", len(args) > 0} {
			if on {
				given++
			}
		}
		switch {
		case given != 1:
			return usage(try, "feedback needs either --data, or --round, or the features of a row")
		case data == "" && label == "":
			return usage(try, "feedback needs the label: --label LABEL")
		case data != "":
			return a.feedbackFile(cmd.Context(), r, data, label)
		}
		return r.ask(cmd.Context(), func(ctx context.Context, c *api.Client) error {
			body := map[string]any{"label": label}
			if round != "" {
				body["round"] = round
			} else {
				row, err := parseRow(ctx, c, args)
				if err != nil {
					return err
				}
				body["features"] = row
			}
			if r.json {
				return r.raw(ctx, http.MethodPost, "/feedback", nil, body)
			}
			reply, err := c.FeedbackOne(ctx, body)
			if err != nil {
				return err
			}
			a.showFeedback(newFeedbackSum(reply))
			return nil
		})
	}
	return cmd
}

// feedbackSum adds up the replies for a file.
type feedbackSum struct {
	Data     string  `json:"data,omitempty"`
	Recorded int     `json:"recorded"`
	Replaced int     `json:"replaced"`
	Known    int     `json:"known"`
	Labels   int     `json:"labels"`
	Evidence string  `json:"evidence"`
	Votes    int     `json:"votes"` // signed for the labels that were news
	Seconds  float64 `json:"seconds,omitempty"`
}

func newFeedbackSum(r *api.FeedbackReply) *feedbackSum {
	var s feedbackSum
	s.add(r)
	return &s
}

func (s *feedbackSum) add(r *api.FeedbackReply) {
	s.Recorded, s.Replaced, s.Known = s.Recorded+r.Recorded, s.Replaced+r.Replaced, s.Known+r.Known
	s.Labels, s.Evidence = r.Labels, r.Evidence
	for _, row := range r.Rows {
		s.Votes += row.Votes
	}
}

// labelledAtOnce keeps each request short, so that the bar moves and a break loses little.
const labelledAtOnce = 100

// feedbackFile gives the labels of a file. What was given before a failure stays given: doing it again does no harm.
func (a *app) feedbackFile(ctx context.Context, r *reader, path, column string) error {
	c, err := r.client()
	if err != nil {
		return err
	}
	defer c.Close()
	d, err := a.openLabelled(ctx, c, path, column)
	if err != nil {
		return reached(err)
	}
	sum := &feedbackSum{Data: path}
	start := time.Now()
	err = a.eachBatch(ctx, d, rowsAtOnce(len(d.Task.Features), labelledAtOnce), "labelling", func(ctx context.Context, b batch) (int, error) {
		labels := make([]string, len(b.actual))
		for i, y := range b.actual {
			labels[i] = d.Task.Labels[y]
		}
		reply, err := c.Feedback(ctx, b.rows, labels)
		if err == nil {
			sum.add(reply)
		}
		return len(b.rows), err
	})
	sum.Seconds = time.Since(start).Seconds()
	switch {
	case ctx.Err() != nil:
		return context.Canceled
	case err != nil:
		if r.json {
			a.printProblem(err)
		}
		return reached(err)
	case r.json:
		return a.printJSON(sum)
	}
	a.showFeedback(sum)
	return nil
}

func (a *app) showFeedback(s *feedbackSum) {
	var parts []string
	add := func(n int, what string) {
		if n > 0 {
			parts = append(parts, fmt.Sprintf("%s %s", plural(n, "label"), what))
		}
	}
	add(s.Recorded, "recorded")
	add(s.Replaced, "replaced")
	add(s.Known, "known already")
	of := ""
	if s.Data != "" {
		of = " from " + filepath.Base(s.Data)
	}
	fmt.Fprintf(a.out, "%s%s; the evidence now has %s\n", strings.Join(parts, ", "), of, plural(s.Labels, "labelled row"))
	if news := s.Recorded + s.Replaced; news > 0 {
		fmt.Fprintf(a.err, "%s signed for them; caucus weights shows what they teach\n", plural(s.Votes, "vote"))
	}
}
