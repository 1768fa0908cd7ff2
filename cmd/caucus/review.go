package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"caucus/node/api"
)

func (a *app) reviewCommand() *cobra.Command {
	limit := 20
	cmd := &cobra.Command{
		Use:   "review",
		Short: "Label the recent rounds on which the members differ most",
		Long: `Go through the node's recent rounds without a label, those first on which the members
differ most: their labels teach most about whom to trust. Type the label, or its number;
nothing skips the round, q ends.`,
		Example: `  caucus review
  caucus review --limit 5
  caucus review --json`,
		Args: arguments(0, 0, ""),
	}
	r := a.addReader(cmd)
	cmd.Flags().IntVar(&limit, "limit", limit, "at most `N` rounds")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if limit < 1 {
			return usage("caucus review --limit 20", "there is nothing to review in %d rounds", limit)
		}
		if r.json {
			q := map[string][]string{"limit": {strconv.Itoa(limit)}}
			return r.raw(cmd.Context(), http.MethodGet, "/review", q, nil)
		}
		c, err := r.client()
		if err != nil {
			return err
		}
		defer c.Close()
		err = a.review(cmd.Context(), c, limit)
		if cmd.Context().Err() != nil {
			return context.Canceled
		}
		return reached(err)
	}
	return cmd
}

// review asks a person about one round after the other.
func (a *app) review(ctx context.Context, c *api.Client, limit int) error {
	limited, cancel := context.WithTimeout(ctx, patience)
	queue, err := c.Review(limited, limit)
	cancel()
	if err != nil {
		return err
	}
	if len(queue.Rounds) == 0 {
		fmt.Fprintln(a.err, "no recent round waits for a label; ask something first, as in: caucus consensus ...")
		return nil
	}
	var labels []string
	for i, l := range queue.Labels {
		labels = append(labels, fmt.Sprintf("%d %s", i+1, oneLine(l)))
	}
	p := a.newPrompter(ctx, false)
	given := 0
	for i := range queue.Rounds {
		a.showReview(queue, i)
		label, err := a.askLabel(ctx, p, queue.Labels, "  What is it? ("+strings.Join(labels, ", ")+"; Enter skips, q ends) ")
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		if label == "" {
			continue
		}
		limited, cancel := context.WithTimeout(ctx, patience)
		reply, err := c.FeedbackRound(limited, queue.Rounds[i].Round, label)
		cancel()
		if err != nil {
			return err
		}
		given++
		status := "given"
		if len(reply.Rows) > 0 {
			status = oneLine(reply.Rows[0].Status)
		}
		fmt.Fprintf(a.out, "  %s; the evidence now has %s\n\n", a.outStyle.green(status), plural(reply.Labels, "labelled row"))
	}
	fmt.Fprintf(a.err, "%s given\n", plural(given, "label"))
	return nil
}

// askLabel asks until the answer is a label, nothing, or the end (io.EOF).
func (a *app) askLabel(ctx context.Context, p *prompter, labels []string, question string) (string, error) {
	for {
		answer, err := p.ask(ctx, question)
		if err != nil {
			return "", err
		}
		answer = strings.TrimSpace(answer)
		if answer == "" {
			return "", nil
		}
		for _, l := range labels {
			if answer == l {
				return l, nil // before numbers, which may be names
			}
		}
		if n, err := strconv.Atoi(answer); err == nil && n >= 1 && n <= len(labels) {
			return labels[n-1], nil
		}
		if answer == "q" {
			return "", io.EOF
		}
		fmt.Fprintf(a.out, "  There is no label %q.\n", oneLine(answer))
	}
}

func (a *app) showReview(queue *api.ReviewReply, i int) {
	r, s := &queue.Rounds[i], a.outStyle
	fmt.Fprintf(a.out, "%s  %s\n", s.bold(fmt.Sprintf("%d of %d", i+1, len(queue.Rounds))), s.dim(ago(time.Since(r.At))+" ago, round "+oneLine(r.Round)))
	var features []string
	for j, x := range r.Features {
		if j < len(queue.Features) {
			features = append(features, oneLine(queue.Features[j])+"="+float(x))
		}
	}
	fmt.Fprintf(a.out, "  %s\n", strings.Join(features, " "))
	var votes []string
	byName := slices.SortedStableFunc(slices.Values(r.Votes), func(x, y api.ShortVote) int { return strings.Compare(x.Name, y.Name) })
	for _, v := range byName {
		if v.Label != "" {
			votes = append(votes, oneLine(v.Name)+" says "+oneLine(v.Label))
		}
	}
	fmt.Fprintf(a.out, "  %s; together: %s\n", list(votes, "and"), s.bold(oneLine(r.Label)))
}
