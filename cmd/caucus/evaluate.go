package main

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"caucus/ml"
	"caucus/node/api"
)

func (a *app) evaluateCommand() *cobra.Command {
	var data, label, method string
	cmd := &cobra.Command{
		Use:   "evaluate --data FILE.csv",
		Short: "Measure each member and the joint answer on labelled rows",
		Long: `Ask the cluster about every row of a CSV file whose labels are known, in batches, and
compare: how often is each member right, how often the joint answer, and which labels
are taken for which.`,
		Example: `  caucus evaluate --data test.csv
  caucus evaluate --data wine-test.csv --label cultivar --method soft
  caucus evaluate --data test.csv --json > result.json`,
		Args: arguments(0, 0, ""),
	}
	r := a.addReader(cmd)
	f := cmd.Flags()
	f.StringVar(&data, "data", "", "the labelled rows, a `FILE.csv` (or .csv.gz) with a header line")
	f.StringVar(&label, "label", "", "the `COLUMN` with the labels (default: the last)")
	f.StringVar(&method, "method", "", "count votes by this `RULE`: auto, majority, weighted, soft or em (default auto)")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if data == "" {
			return usage("caucus evaluate --data test.csv", "evaluate needs the labelled rows")
		}
		c, err := r.client()
		if err != nil {
			return err
		}
		defer c.Close()
		result, err := a.evaluate(cmd.Context(), c, data, label, api.ConsensusOptions{Method: method, Wait: "all"})
		switch {
		case cmd.Context().Err() != nil:
			return context.Canceled
		case err != nil:
			if r.json {
				a.printProblem(err)
			}
			return reached(err)
		case r.json:
			return a.printJSON(result)
		}
		a.showEvaluation(result)
		return nil
	}
	return cmd
}

// evaluation is how the cluster did on a file.
type evaluation struct {
	Data      string             `json:"data"`
	Task      string             `json:"task"`
	Labels    []string           `json:"labels"`
	Rows      int                `json:"rows"`
	Members   []memberEvaluation `json:"members"`
	Consensus ml.Evaluation      `json:"consensus"`
	Method    string             `json:"method"`
	Ties      int                `json:"ties"`
	Seconds   float64            `json:"seconds"`
}

type memberEvaluation struct {
	Node     string  `json:"node"`
	Name     string  `json:"name"`
	Model    string  `json:"model"`
	Answered int     `json:"answered"` // rows that it voted on
	Correct  int     `json:"correct"`
	Accuracy float64 `json:"accuracy"`         // of those that it voted on
	Reason   string  `json:"reason,omitempty"` // why it did not vote on the others
}

// evaluate asks the cluster about every row of the file.
func (a *app) evaluate(ctx context.Context, c *api.Client, path, label string, o api.ConsensusOptions) (*evaluation, error) {
	card, err := c.Card(ctx)
	if err != nil {
		return nil, err
	}
	task, err := ml.NewTask(card.Task.Name, card.Task.Features, card.Task.Labels)
	if err != nil {
		return nil, fmt.Errorf("the node's card describes no task that could be asked: %w", err)
	}
	d, err := ml.OpenCSV(path, ml.CSVOptions{Label: label, Task: &task})
	if err != nil {
		return nil, &failure{code: exitFailure, err: err, try: fmt.Sprintf("a CSV file with the columns %s and one with the label", list(task.Features, "and"))}
	}
	e := &evaluation{Data: path, Task: task.Name, Labels: task.Labels, Rows: d.Len()}
	start := time.Now()
	predicted, err := a.askRows(ctx, c, d, o, e)
	if err != nil {
		return nil, err
	}
	e.Seconds = time.Since(start).Seconds()
	if e.Consensus, err = ml.EvaluateLabels(task, d.Y, predicted); err != nil {
		return nil, err
	}
	slices.SortStableFunc(e.Members, func(a, b memberEvaluation) int { return strings.Compare(a.Name, b.Name) })
	for i := range e.Members {
		if m := &e.Members[i]; m.Answered > 0 {
			m.Accuracy = float64(m.Correct) / float64(m.Answered)
		}
	}
	return e, nil
}

// batchSize keeps a request well under the nodes' limit of 4 MiB for any number of features.
func batchSize(features int) int {
	const bytesPerNumber = 25
	return min(1000, max(1, (2<<20)/(bytesPerNumber*features)))
}

// askRows asks in batches and counts each member's right answers.
func (a *app) askRows(ctx context.Context, c *api.Client, d *ml.Dataset, o api.ConsensusOptions, e *evaluation) ([]int, error) {
	size := batchSize(len(d.Task.Features))
	bar := a.newBar(d.Len(), "asking")
	defer func() { _ = bar.Finish() }()
	place := map[string]int{}
	predicted := make([]int, 0, d.Len())
	for at := 0; at < d.Len(); at += size {
		rows := make([][]float64, 0, size)
		for i := at; i < min(at+size, d.Len()); i++ {
			rows = append(rows, d.Row(i))
		}
		reply, err := askBatch(ctx, c, rows, o)
		if err != nil {
			return nil, err
		}
		if len(reply.Predictions) != len(rows) {
			return nil, fmt.Errorf("%s answered %d of %d rows; do both sides run the same version?", c.Base(), len(reply.Predictions), len(rows))
		}
		predicted = append(predicted, reply.Predictions...)
		e.Method = reply.Rule
		for _, r := range reply.Results {
			if r.Tie {
				e.Ties++
			}
		}
		for _, v := range reply.VotesByNode {
			i, ok := place[v.Node]
			if !ok {
				i = len(e.Members)
				place[v.Node] = i
				e.Members = append(e.Members, memberEvaluation{Node: v.Node, Name: v.Name, Model: v.Model})
			}
			e.Members[i].count(v, d.Y[at:at+len(rows)])
		}
		_ = bar.Add(len(rows))
	}
	return predicted, nil
}

func askBatch(ctx context.Context, c *api.Client, rows [][]float64, o api.ConsensusOptions) (*api.ConsensusBatchReply, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	return c.ConsensusBatch(ctx, rows, o)
}

func (m *memberEvaluation) count(v api.NodeVotes, actual []int) {
	if v.Outcome != "ok" || len(v.Labels) != len(actual) {
		m.Reason = v.Outcome
		if v.Reason != "" {
			m.Reason += ": " + v.Reason
		}
		return
	}
	m.Answered += len(actual)
	for i, label := range v.Labels {
		if label == actual[i] {
			m.Correct++
		}
	}
}

func (a *app) showEvaluation(e *evaluation) {
	s := a.outStyle
	fmt.Fprintf(a.out, "%s of %s, asked in %s\n\n", plural(e.Rows, "row"), filepath.Base(e.Data), millis(1000*e.Seconds))
	t := &table{indent: "  ", head: []string{"MEMBER", "MODEL", "RIGHT", "ACCURACY", "NOTE"}}
	for _, m := range e.Members {
		right, accuracy, note := "", "", ""
		if m.Answered > 0 {
			right, accuracy = fmt.Sprintf("%d of %d", m.Correct, m.Answered), share(m.Accuracy)
		}
		if m.Answered < e.Rows {
			note = fmt.Sprintf("no vote on %s (%s)", plural(e.Rows-m.Answered, "row"), oneLine(m.Reason))
		}
		t.add(text(oneLine(m.Name)), text(oneLine(m.Model)), number(right), number(accuracy), painted(note, s.yellow))
	}
	correct := 0
	for i := range e.Consensus.Confusion {
		correct += e.Consensus.Confusion[i][i]
	}
	t.add(painted("consensus", s.bold), text("("+e.Method+")"), number(fmt.Sprintf("%d of %d", correct, e.Rows)),
		cell{text: share(e.Consensus.Accuracy), paint: s.bold, right: true}, text(""))
	t.write(a.out, s)
	if e.Ties > 0 {
		fmt.Fprintf(a.out, "\n  %s among these\n", plural(e.Ties, "tie"))
	}
	fmt.Fprintf(a.out, "\nDown: what the rows are. Across: what the consensus says.\n\n")
	a.showConfusion(e.Labels, e.Consensus.Confusion)
}

// showConfusion writes the confusion matrix, its diagonal in green and mistakes in yellow.
func (a *app) showConfusion(labels []string, confusion [][]int) {
	s := a.outStyle
	head := []string{""}
	for _, l := range labels {
		head = append(head, oneLine(l))
	}
	t := &table{indent: "  ", head: append(head, "RIGHT")}
	for i, row := range confusion {
		cells := []cell{text(oneLine(labels[i]))}
		sum := 0
		for j, n := range row {
			sum += n
			paint := s.dim
			switch {
			case n > 0 && i == j:
				paint = s.green
			case n > 0:
				paint = s.yellow
			}
			cells = append(cells, cell{text: fmt.Sprint(n), paint: paint, right: true})
		}
		right := "-"
		if sum > 0 {
			right = share(float64(row[i]) / float64(sum))
		}
		t.add(append(cells, number(right))...)
	}
	t.write(a.out, s)
}
