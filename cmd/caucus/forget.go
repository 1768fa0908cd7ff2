package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"caucus/node/api"
)

func (a *app) forgetCommand() *cobra.Command {
	var failed bool
	cmd := &cobra.Command{
		Use:   "forget NAME... | --failed",
		Short: "Take members that failed out of the count",
		Long: `A member that fails goes on counting, so that of two halves of a cluster at most one
ever decides. Forget those that will not come back: the others then decide without them.
A forgotten member that returns is let in again.`,
		Example: `  caucus forget svm
  caucus forget --failed`,
		Args: func(cmd *cobra.Command, args []string) error {
			const try = "caucus members   (who is there), then: caucus forget NAME, or caucus forget --failed"
			switch {
			case len(args) > 0 && failed:
				return usage(try, "--failed means all that failed, so no name goes with it")
			case len(args) == 0 && !failed:
				return usage(try, "name the members to forget, or say --failed for all that failed")
			}
			return nil
		},
	}
	r := a.addReader(cmd)
	cmd.ValidArgsFunction = r.members()
	cmd.Flags().BoolVar(&failed, "failed", false, "forget every member that failed")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return r.ask(cmd.Context(), func(ctx context.Context, c *api.Client) error {
			var (
				reply *api.ForgetReply
				err   error
			)
			if failed {
				reply, err = c.ForgetFailed(ctx)
			} else {
				reply, err = c.Forget(ctx, args...)
			}
			if err != nil {
				if r.json {
					a.printProblem(err)
				}
				var p *api.Problem
				if errors.As(err, &p) && p.Kind() == api.BadInput {
					return &failure{code: exitFailure, err: err, try: "caucus members   (who is there, and who failed)"}
				}
				return err
			}
			if r.json {
				return a.printJSON(reply)
			}
			if len(reply.Forgotten) == 0 {
				fmt.Fprintln(a.err, "nobody has failed, so nobody was forgotten")
			}
			for _, name := range reply.Forgotten {
				fmt.Fprintln(a.out, "forgot", oneLine(name))
			}
			return nil
		})
	}
	return cmd
}
