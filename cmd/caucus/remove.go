package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"caucus/node/api"
)

func (a *app) removeCommand() *cobra.Command {
	var undo, keepToken bool
	var keep time.Duration
	var stateDir string
	cmd := &cobra.Command{
		Use:   "remove NAME",
		Short: "Keep a member out for good, and replace the token",
		Long: `Take a member out of the cluster for good, alive or not: it counts no more, all end their
sessions with it, and whoever hears of it lets it in no more. Then the cluster gets another
token, which the removed one is not told, or its owner could come in as a new node. The
token until now lets in only who is or was a member, for a day, so that those who are away
find back. (To take out one that failed and may come back: caucus forget.)

It needs a node that reaches more than half of the members, so that of two halves of a
cluster at most one ever decides. It is taken back with --undo, at any member.`,
		Example: `  caucus remove bo
  caucus remove bo --keep-old 168h
  caucus remove --undo bo`,
		Args: func(cmd *cobra.Command, args []string) error {
			switch {
			case len(args) != 1:
				return usage("caucus members   (who is there), then: caucus remove NAME", "say whom: one member, by name or id")
			case undo && (keepToken || cmd.Flags().Changed("keep-old")):
				return usage("caucus remove --undo "+args[0], "--undo leaves the token alone, so neither --keep-token nor --keep-old goes with it")
			case keepToken && cmd.Flags().Changed("keep-old"):
				return usage("caucus remove "+args[0]+" --keep-token", "--keep-old is about the token that is replaced, and --keep-token replaces none")
			}
			return nil
		},
	}
	r := a.addReader(cmd)
	cmd.ValidArgsFunction = r.removable(&undo)
	cmd.Flags().BoolVar(&undo, "undo", false, "let one that was removed come back")
	cmd.Flags().BoolVar(&keepToken, "keep-token", false, "do not replace the token: who knows it can come in as a new node")
	cmd.Flags().DurationVar(&keep, "keep-old", 24*time.Hour, "for how long the token until now lets members back in, as a `DURATION`")
	cmd.Flags().StringVar(&stateDir, "state-dir", "", "the node's state folder, for the token, as a `DIR` (default $CAUCUS_STATE_DIR, else by the node's name)")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		reply, err := a.sayRemove(cmd.Context(), r, args[0], undo)
		if err != nil {
			return err
		}
		if !r.json {
			if undo {
				fmt.Fprintln(a.out, "took back the removal of", oneLine(reply.TakenBack))
				fmt.Fprintln(a.err, "It is back within five minutes, or when it is started again; it needs the cluster's token of now, which caucus invite prints.")
			} else {
				fmt.Fprintln(a.out, "removed", oneLine(reply.Removed))
			}
		}
		if undo || keepToken {
			if r.json {
				return a.printJSON(reply)
			}
			return nil
		}
		return a.rotateAfter(cmd.Context(), r, reply, stateDir, keep)
	}
	return cmd
}

func (a *app) sayRemove(ctx context.Context, r *reader, name string, undo bool) (reply *api.RemoveReply, err error) {
	err = r.ask(ctx, func(ctx context.Context, c *api.Client) (err error) {
		if reply, err = c.Remove(ctx, name, undo); err == nil {
			return nil
		}
		if r.json {
			a.printProblem(err)
		}
		var p *api.Problem
		if errors.As(err, &p) && p.Kind() == api.BadInput {
			return &failure{code: exitFailure, err: err, try: "caucus members   (who is there, and who was removed)"}
		}
		return err
	})
	return reply, err
}

// rotateAfter replaces the token after a removal. What fails here does not undo that.
func (a *app) rotateAfter(ctx context.Context, r *reader, reply *api.RemoveReply, stateDir string, keep time.Duration) error {
	i, err := a.invitation(ctx, r, stateDir, "")
	if err == nil && i.token != nil {
		err = a.rotate(ctx, r, &i, keep, true)
	}
	if err != nil {
		if r.json {
			_ = a.printJSON(reply)
		}
		return &failure{
			code: exitFailure, err: fmt.Errorf("it is removed, but the token was not replaced, with which its owner can come in as a new node: %w", err),
			try: "caucus invite --rotate --members-only   (where the token is known)",
		}
	}
	if r.json {
		return a.printJSON(map[string]any{"removed": reply.Removed, "url": i.url, "invite": i.text(), "open": i.token == nil, "command": i.line()})
	}
	if i.token == nil {
		fmt.Fprintln(a.err, "The cluster has no token: whoever reaches a node can join, also the removed one's owner, as a new node.")
		return nil
	}
	fmt.Fprintln(a.out, i.line())
	for _, note := range i.notes() {
		fmt.Fprintln(a.err, note)
	}
	return nil
}
