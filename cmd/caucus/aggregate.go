package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"caucus/node/api"
)

func (a *app) aggregateCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "aggregate",
		Short: "Ask for URLs and features, and print the consensus",
		Long: `Ask for the URLs of three model servers and the features of a flower, ask each server,
and print what most of them say. A URL may be that of a Caucus node or of any app that
answers GET /predict?feature0=..&feature1=.. with a prediction. Leave a URL empty to
skip it. A server that fails does not vote.

With --node, no URL is needed: the node knows the others.`,
		Example: `  caucus aggregate
  caucus aggregate --node http://localhost:5001
  printf 'http://127.0.0.1:5001\nhttp://127.0.0.1:5000\nhttp://127.0.0.1:5002\n5.1\n3.5\n1.4\n0.2\n' | caucus aggregate`,
		Args: arguments(0, 0, ""),
	}
	r := a.addReader(cmd)
	cmd.Flags().Lookup("node").Usage = "a node that finds the others, as a `URL`; without it the servers' URLs are asked for"
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		ctx := cmd.Context()
		p := a.newPrompter(ctx, r.json)
		if r.node != "" {
			return a.aggregateByNode(ctx, p, r)
		}
		return a.aggregateByURLs(ctx, p, r.json)
	}
	return cmd
}

// ended says in a sentence that the answers ran out.
func ended(err error, before string) error {
	if errors.Is(err, io.EOF) {
		return usage("answer every question; from a pipe: one answer a line", "the input ended before %s was given", before)
	}
	if errors.Is(err, context.Canceled) {
		return err
	}
	return fmt.Errorf("cannot read %s: %w", before, err)
}

// askRow asks for the features one by one, in the old script's words. names may be nil.
func (a *app) askRow(ctx context.Context, p *prompter, count int, names []string) ([]float64, error) {
	row := make([]float64, count)
	for i := 0; i < count; {
		what := fmt.Sprintf("feature %d", i+1)
		question := "Enter the value of " + what + ": "
		if names != nil {
			question = fmt.Sprintf("Enter the value of %s (%s): ", what, oneLine(names[i]))
		}
		answer, err := p.ask(ctx, question)
		if err != nil {
			return nil, ended(err, what)
		}
		x, err := strconv.ParseFloat(strings.TrimSpace(answer), 64)
		if err != nil || math.IsNaN(x) || math.IsInf(x, 0) {
			fmt.Fprintln(p.out, "Invalid input. Please enter a numerical value.")
			continue
		}
		row[i] = x
		i++
	}
	return row, nil
}

// noPredictions ends as the old script did when nobody answered, but for the exit code.
func (a *app) noPredictions() error {
	fmt.Fprintln(a.out, "No predictions were obtained.")
	return said(exitNoQuorum)
}

// aggregateByNode asks only for the features: the node knows the others.
func (a *app) aggregateByNode(ctx context.Context, p *prompter, r *reader) error {
	var card *api.CardReply
	err := r.ask(ctx, func(ctx context.Context, c *api.Client) (err error) {
		card, err = c.Card(ctx)
		return err
	})
	if err != nil {
		return err
	}
	row, err := a.askRow(ctx, p, len(card.Task.Features), card.Task.Features)
	if err != nil {
		return err
	}
	return r.ask(ctx, func(ctx context.Context, c *api.Client) error {
		reply, err := c.Consensus(ctx, row, api.ConsensusOptions{})
		if err != nil {
			if r.json {
				a.printProblem(err)
			}
			a.showNoQuorum(err)
			return err
		}
		if r.json {
			return a.printJSON(reply)
		}
		fmt.Fprintln(a.err)
		showConsensus(a.err, reply, "", a.errStyle)
		fmt.Fprintln(a.err)
		fmt.Fprintf(a.out, "Consensus Prediction: %d\n", reply.Prediction)
		return nil
	})
}
