package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"

	"caucus/node/api"
	"caucus/node/assess"
	"caucus/node/assess/page"
	"caucus/node/consensus"
)

// evaluateOptions are what a person can choose.
type evaluateOptions struct {
	data, label string
	method      string
	html        string
	unseen      bool
	resamples   int
	seed        uint64
}

func (a *app) evaluateCommand() *cobra.Command {
	o := evaluateOptions{method: consensus.Auto.String(), resamples: assess.DefaultResamples, seed: 1}
	cmd := &cobra.Command{
		Use:   "evaluate --data FILE.csv",
		Short: "Measure each member and each method on labelled rows",
		Long: `Ask the cluster about every row of a CSV file whose labels are known, in batches, and say
how good each member is and each way to count their votes, how sure that is, which members
err alike, and whether any method is better than the best single member.

One question tells all members' votes; all methods are counted from them here, by the nodes'
own code, and the node's answer is held against that. docs/evaluate.md explains the figures.`,
		Example: `  caucus evaluate --data test.csv
  caucus evaluate --data wine-test.csv --label cultivar --method soft
  caucus evaluate --data test.csv --html report.html
  caucus evaluate --data test.csv --json > result.json`,
		Args: arguments(0, 0, ""),
	}
	r := a.addReader(cmd)
	f := cmd.Flags()
	f.Lookup("json").Usage = "print the result as JSON (docs/evaluate.md)"
	f.StringVar(&o.data, "data", "", "the labelled rows, a `FILE.csv` (or .csv.gz) with a header line")
	f.StringVar(&o.label, "label", "", "the `COLUMN` with the labels (default: the last)")
	f.StringVar(&o.method, "method", o.method, "ask the node by this `RULE`, and show its confusion matrix: auto, majority, weighted, soft or em")
	f.StringVar(&o.html, "html", "", "also write a page with plots to `FILE`, replacing what is there")
	f.BoolVar(&o.unseen, "unseen", false, "leave out the rows whose labels the cluster has learnt from")
	f.IntVar(&o.resamples, "resamples", o.resamples, "how often the bootstrap draws `N` new samples of the rows")
	f.Uint64Var(&o.seed, "seed", o.seed, "`N` that the bootstrap's draws come from; the same gives the same intervals")
	_ = cmd.RegisterFlagCompletionFunc("html", completion([]string{"*.html"}))
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		method, err := consensus.ParseMethod(o.method)
		switch {
		case o.data == "":
			return usage("caucus evaluate --data test.csv", "evaluate needs the labelled rows")
		case err != nil:
			return usage("caucus evaluate --data test.csv --method soft", "--method: %w", err)
		case o.resamples < assess.MinResamples || o.resamples > assess.MaxResamples:
			return usage("caucus evaluate --data test.csv --resamples 2000", "--resamples takes a number from %d to %d, not %d", assess.MinResamples, assess.MaxResamples, o.resamples)
		}
		c, err := r.client()
		if err != nil {
			return err
		}
		defer c.Close()
		result, err := a.evaluate(cmd.Context(), c, o, method)
		switch {
		case cmd.Context().Err() != nil:
			return context.Canceled
		case err != nil:
			if r.json {
				a.printProblem(err)
			}
			return reached(err)
		case r.json:
			err = a.printJSON(result)
		default:
			a.showEvaluation(result)
		}
		if err != nil || o.html == "" {
			return err
		}
		return a.writePage(o.html, result)
	}
	return cmd
}

// evaluation is how the cluster did on a file.
type evaluation struct {
	Data    string  `json:"data"`
	Seconds float64 `json:"seconds"` // that asking took
	*assess.Report
}

// evaluate asks the cluster about every row of the file.
func (a *app) evaluate(ctx context.Context, c *api.Client, o evaluateOptions, method consensus.Method) (*evaluation, error) {
	d, err := a.openLabelled(ctx, c, o.data, o.label)
	if err != nil {
		return nil, err
	}
	digests := digestsOf(d)
	q := questioner{client: c, method: method, labels: len(d.Task.Labels), sheet: assess.NewSheet(d.Task)}
	start := time.Now()
	seen, err := q.learn(ctx, digests)
	if err != nil {
		return nil, err
	}
	overlap := assess.Overlap{Known: q.weights != nil, Rows: len(seen)}
	if o.unseen {
		if d, err = withoutSeen(d, seen, overlap.Known); err != nil {
			return nil, err
		}
		overlap.Rows, digests = 0, digestsOf(d)
	}
	if err := a.eachBatch(ctx, d, rowsAtOnce(len(d.Task.Features), evaluatedAtOnce), "asking", q.ask); err != nil {
		return nil, err
	}
	e := &evaluation{Data: o.data, Seconds: time.Since(start).Seconds()}
	e.Report, err = q.sheet.Report(assess.Options{Resamples: o.resamples, Seed: o.seed, Overlap: overlap, Copies: copies(digests)})
	return e, err
}

// A batch is short enough for slow models to answer within a round, and if one does not, is cut
// once to fewer rows: a member that fails three times in a row is not asked for a while.
const (
	evaluatedAtOnce = 250
	evaluatedSlowly = 60 // em needs 50
)

// questioner asks about batches and puts what comes of them onto a sheet.
type questioner struct {
	client *api.Client
	method consensus.Method
	labels int // of the task
	sheet  *assess.Sheet

	weights *api.WeightsReply // what the members weigh; nil if the node does not say
	cut     bool              // batches have been cut already
}

// learn asks what the members weigh. It returns the places of the rows that this rests on.
func (q *questioner) learn(ctx context.Context, digests []string) ([]int, error) {
	w, err := q.client.WeightsAndRows(ctx)
	var p *api.Problem
	if errors.As(err, &p) {
		return nil, nil // it need not say: the report then has less in it, and says so
	}
	if err != nil {
		return nil, err
	}
	q.weights = w
	return among(digests, w.Rows), nil
}

// ask puts a batch to the cluster. It returns how many rows it has dealt with.
func (q *questioner) ask(ctx context.Context, b batch) (int, error) {
	reply, err := q.client.ConsensusBatch(ctx, b.rows, api.ConsensusOptions{Method: q.method.String(), Wait: "all", Probabilities: true})
	if err != nil {
		return 0, err
	}
	if anyTimeout(reply) && !q.cut && len(b.rows) > evaluatedSlowly {
		q.cut = true
		b.rows, b.actual = b.rows[:evaluatedSlowly], b.actual[:evaluatedSlowly]
		return q.ask(ctx, b)
	}
	if len(reply.Predictions) != len(b.rows) {
		return 0, q.misfit(fmt.Errorf("it has %d of %d rows", len(reply.Predictions), len(b.rows)))
	}
	if err := q.keepUp(ctx, reply); err != nil {
		return 0, err
	}
	asked, err := batchOf(reply, b.actual, q.method)
	if err != nil {
		return 0, q.misfit(err)
	}
	if q.weights != nil {
		asked.Basis = q.weights.Learnt(q.labels)
	}
	if err := q.sheet.Add(asked); err != nil {
		return 0, q.misfit(err)
	}
	return len(b.rows), nil
}

// misfit says that an answer is none that this version understands.
func (q *questioner) misfit(err error) error {
	return &failure{code: exitFailure, err: fmt.Errorf("the answer of %s does not fit together: %w", q.client.Base(), err), try: "the same version of caucus on both sides"}
}

// keepUp asks for the weights anew if members or evidence have changed since.
func (q *questioner) keepUp(ctx context.Context, reply *api.ConsensusBatchReply) error {
	if q.weights == nil || q.weights.Roster == reply.Roster && q.weights.Evidence == reply.Evidence {
		return nil
	}
	w, err := q.client.Weights(ctx)
	if err == nil {
		q.weights = w
	}
	return err
}

func anyTimeout(reply *api.ConsensusBatchReply) bool {
	for i := range reply.VotesByNode {
		if reply.VotesByNode[i].Outcome == consensus.Timeout.String() {
			return true
		}
	}
	return false
}

// writePage writes the report as a page.
func (a *app) writePage(path string, e *evaluation) error {
	var b bytes.Buffer
	err := page.Write(&b, page.Head{Data: e.Data, Seconds: e.Seconds, Made: time.Now(), Version: thisBuild().Version}, e.Report)
	if err == nil {
		err = os.WriteFile(path, b.Bytes(), 0o644)
	}
	if err != nil {
		return &failure{code: exitFailure, err: err, try: "--html with a file in a folder that you may write to"}
	}
	fmt.Fprintf(a.err, "wrote %s (%s)\n", oneLine(path), size(int64(b.Len())))
	return nil
}
