package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"time"

	"github.com/spf13/cobra"

	"caucus/node/api"
)

func (a *app) consensusCommand() *cobra.Command {
	var (
		o       api.ConsensusOptions
		require string
		proof   string // file for the receipt
	)
	cmd := &cobra.Command{
		Use:   "consensus FEATURE...",
		Short: "Ask the cluster for the joint answer to one row",
		Long: `Ask any node for the joint answer of all: it asks the others, counts the votes and
shows every one. Give the features in order, or by name in any order.`,
		Example: `  caucus consensus 5.1 3.5 1.4 0.2
  caucus consensus sepal_length=5.1 sepal_width=3.5 petal_length=1.4 petal_width=0.2
  caucus consensus 6.3 2.8 5.1 1.5 --method soft
  caucus consensus 5.1 3.5 1.4 0.2 --node http://10.0.0.5:5001 --json`,
		Args: arguments(1, -1, "the features, such as: caucus consensus 5.1 3.5 1.4 0.2"),
	}
	r := a.addReader(cmd)
	cmd.ValidArgsFunction = r.features()
	f := cmd.Flags()
	f.StringVar(&o.Method, "method", "", "count votes by this `RULE`: auto, majority, weighted or soft (default auto)")
	f.IntVar(&o.Quorum, "quorum", 0, "answer only with at least `N` votes, if that is more than half")
	f.DurationVar(&o.Timeout, "timeout", 0, "wait at most this `DURATION` for the votes, such as 500ms")
	f.StringSliceVar(&o.Models, "models", nil, "ask only these `KINDS` of model, such as knn,svm")
	f.StringVar(&o.Wait, "wait", "", "answer `WHEN` decided (as soon as it is certain) or all (have voted)")
	f.StringVar(&require, "require", "", "with `full`, every member must vote")
	f.StringVar(&proof, "receipt", "", "have the voters sign, and keep the receipt in this `FILE` for caucus verify")
	f.BoolVar(&o.Minority, "minority", false, "answer also when too few voted, and say so")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		r.patience = max(r.patience, o.Timeout+5*time.Second) // the node ends the round, not we
		switch require {
		case "", "full":
			o.Full = require == "full"
		default:
			return usage("--require full", "there is no --require %q; it takes full", require)
		}
		o.Receipt = proof != ""
		return r.ask(cmd.Context(), func(ctx context.Context, c *api.Client) error {
			row, err := parseRow(ctx, c, args)
			if err != nil {
				return err
			}
			if r.json && proof == "" {
				return r.raw(ctx, http.MethodPost, "/consensus", o.Query(), map[string]any{"features": row})
			}
			reply, err := c.Consensus(ctx, row, o)
			if err != nil {
				if r.json {
					a.printProblem(err)
				} else {
					a.showNoQuorum(err)
				}
				return err
			}
			if proof != "" {
				if err := a.keepReceipt(ctx, c, reply, proof); err != nil {
					return err
				}
			}
			if r.json {
				return a.printJSON(reply)
			}
			showConsensus(a.out, reply, "", a.outStyle)
			return nil
		})
	}
	return cmd
}

// showNoQuorum shows who voted and who is missing, when that is why there is no answer.
func (a *app) showNoQuorum(err error) {
	var p *api.Problem
	if !errors.As(err, &p) || p.Kind() != api.QuorumNotReached {
		return
	}
	s := a.errStyle
	if len(p.Votes) > 0 {
		votesTable(p.Votes, p.ProvisionalLabel, "  ", s).write(a.err, s)
		fmt.Fprintln(a.err)
	}
	for _, m := range p.Missing {
		who := oneLine(m.Name)
		if m.Model != m.Name {
			who += " (" + oneLine(m.Model) + ")"
		}
		fmt.Fprintf(a.err, "  no vote of %s, which has been %s for %s\n", who, oneLine(m.State), ago(time.Since(m.Since)))
	}
	if p.ProvisionalLabel != "" {
		fmt.Fprintf(a.err, "  so far: %s (not enough to rely on)\n", oneLine(p.ProvisionalLabel))
	}
}

// keepReceipt writes the receipt to a file: with the evidence where the node gives it (to who
// is on its machine or has the token), else as it came with the reply.
func (a *app) keepReceipt(ctx context.Context, c *api.Client, reply *api.ConsensusReply, path string) error {
	b, err := c.Receipt(ctx, reply.Round, true)
	if err != nil {
		b = []byte(reply.Receipt)
	}
	if len(b) == 0 {
		return &failure{code: exitFailure, err: errors.New("the node gave no receipt"), try: "a node of this version: caucus version"}
	}
	if err := os.WriteFile(path, b, 0o644); err != nil {
		return &failure{code: exitFailure, err: err, try: "another file: --receipt FILE"}
	}
	fmt.Fprintf(a.err, "the receipt is in %s; check it with: %s verify %s\n", path, a.self, path)
	return nil
}
