package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
)

// root is the whole command tree.
func (a *app) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "caucus",
		Short: "Several models, one answer",
		Long: `Caucus lets several people's models answer together. Each person runs a node with
one model (k nearest neighbours, a random forest, a support vector machine, a tree);
the nodes find one another, and any of them gives the joint answer with every vote.`,
		Example: `  caucus up                          three nodes in this terminal, to see how it works
  caucus consensus 5.1 3.5 1.4 0.2   ask them
  caucus members                     who is there`,
		SilenceErrors:    true,
		SilenceUsage:     true,
		PersistentPreRun: func(*cobra.Command, []string) { a.started = true },
	}
	root.SetIn(a.in)
	root.SetOut(a.out)
	root.SetErr(a.err)
	root.SetFlagErrorFunc(flagError)
	root.SetUsageTemplate(strings.ReplaceAll(root.UsageTemplate(), ".FlagUsages", ".FlagUsagesWrapped 96"))
	root.AddGroup(
		&cobra.Group{ID: "run", Title: "Run nodes:"},
		&cobra.Group{ID: "ask", Title: "Ask:"},
		&cobra.Group{ID: "learn", Title: "Learn and check:"},
		&cobra.Group{ID: "look", Title: "Look after a cluster:"},
	)
	group := func(id string, commands ...*cobra.Command) {
		for _, c := range commands {
			c.GroupID = id
			root.AddCommand(c)
		}
	}
	group("run", a.upCommand(), a.serveCommand(), a.inviteCommand(), a.trainCommand())
	group("ask", a.consensusCommand(), a.predictCommand(), a.aggregateCommand(), a.evaluateCommand())
	group("learn", a.feedbackCommand(), a.weightsCommand(), a.reviewCommand(), a.verifyCommand())
	group("look", a.membersCommand(), a.doctorCommand(), a.forgetCommand(), a.removeCommand(), a.healthcheckCommand())
	root.AddCommand(a.versionCommand(), a.completionCommand())
	root.CompletionOptions.DisableDefaultCmd = true // ours says how to load what it prints
	fillCompletions(root)
	return root
}

// flagError makes complaints about flags end with what to do.
func flagError(cmd *cobra.Command, err error) error {
	s := err.Error()
	if i := strings.Index(s, " in -"); strings.HasPrefix(s, "unknown shorthand flag") && i > 0 && strings.ContainsAny(s[i+5:i+6], "0123456789.") {
		return usage(fmt.Sprintf("%s -- %s ...", cmd.CommandPath(), s[i+4:]), "%s looks like a flag; put -- before negative numbers", s[i+4:])
	}
	// What Go's parser calls the trouble is no news: `parsing "a": invalid syntax`.
	if i := strings.Index(s, ": strconv."); i > 0 {
		s = s[:i]
	} else if i := strings.Index(s, ": time: "); i > 0 {
		s = s[:i] + "; write it with its unit, as in 1.5s, 50ms or 24h"
	}
	return usage(cmd.CommandPath()+" --help", "%s", s)
}

// arguments checks the number of arguments and says what is wanted in words.
func arguments(least, most int, want string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) >= least && (most < 0 || len(args) <= most) {
			return nil
		}
		if most == 0 {
			return usage(cmd.CommandPath()+" --help", "%s takes no arguments, and here is %q", cmd.CommandPath(), args[0])
		}
		return usage(cmd.CommandPath()+" --help", "%s needs %s", cmd.CommandPath(), want)
	}
}
