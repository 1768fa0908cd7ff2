package main

import (
	"fmt"

	"github.com/spf13/cobra"
)

func (a *app) versionCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "version",
		Short: "Say which version this is",
		Args:  arguments(0, 0, ""),
		RunE: func(*cobra.Command, []string) error {
			b := thisBuild()
			if asJSON {
				return a.printJSON(b)
			}
			line := "caucus " + b.Version
			if b.Commit != "" {
				commit := b.Commit[:min(12, len(b.Commit))]
				if b.Dirty {
					commit += " with changes"
				}
				line += " (" + commit + ")"
			}
			fmt.Fprintf(a.out, "%s %s %s/%s\n", line, b.Go, b.OS, b.Arch)
			return nil
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print it as JSON")
	return cmd
}
