package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"caucus/node/api"
)

func (a *app) membersCommand() *cobra.Command {
	var watch bool
	cmd := &cobra.Command{
		Use:   "members",
		Short: "Show who is in the cluster, as one node sees it",
		Long: `Show every member that a node knows: alive, suspect, failed, left, or refused with
the reason. The node that was asked is marked with *. With --watch the list is kept up to
date until Ctrl-C; where no terminal is, it is printed again whenever something changes.`,
		Example: `  caucus members
  caucus members --watch
  caucus members --node http://localhost:5002
  caucus members --json`,
		Args: arguments(0, 0, ""),
	}
	r := a.addReader(cmd)
	cmd.Flags().BoolVar(&watch, "watch", false, "go on, and show what changes")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if watch {
			return a.watchMembers(cmd.Context(), r)
		}
		if r.json {
			return r.raw(cmd.Context(), http.MethodGet, "/members", nil, nil)
		}
		return r.ask(cmd.Context(), func(ctx context.Context, c *api.Client) error {
			reply, err := c.Members(ctx)
			if err != nil {
				return err
			}
			fmt.Fprintf(a.err, "\n%s\n", a.showMembers(a.out, reply))
			return nil
		})
	}
	return cmd
}

// showMembers writes the table, and returns the line under it.
func (a *app) showMembers(w io.Writer, r *api.MembersReply) string {
	s := a.outStyle
	names, byID := map[string]int{}, map[string]string{}
	for _, m := range r.Members {
		names[m.Name]++
		byID[m.ID] = oneLine(m.Name)
	}
	called := func(id string) string {
		if name := byID[id]; name != "" && names[name] == 1 {
			return name
		}
		return shortID(id)
	}
	t := &table{head: []string{"", "NAME", "MODEL", "STATE", "SINCE", "RTT", "ACCURACY", "WEIGHT", "URL", "NOTE"}}
	voters := 0
	members := slices.SortedStableFunc(slices.Values(r.Members), func(a, b api.Member) int { return strings.Compare(a.Name, b.Name) })
	for _, m := range members {
		if m.Voter {
			voters++
		}
		name := oneLine(m.Name)
		if name == "" {
			name = "(" + shortID(m.ID) + ")" // it was turned away before it said its name
		} else if names[m.Name] > 1 {
			name += " (" + shortID(m.ID) + ")"
		}
		mark := ""
		if m.Self || m.ID == r.Self {
			mark = "*"
		}
		accuracy, weight, rtt := "", "", ""
		if m.Accuracy != nil {
			accuracy = share(m.Accuracy.Float())
		}
		if m.Weight != nil {
			weight = fmt.Sprintf("%.2f", m.Weight.Float())
		}
		if m.RTT > 0 {
			rtt = millis(m.RTT.Float())
		}
		since := ""
		if !m.Since.IsZero() {
			since = ago(time.Since(m.Since))
		}
		note := oneLine(m.Reason)
		if m.Via != "" {
			note = join(note, "reached through "+called(m.Via))
		}
		if len(m.Carries) > 0 {
			carried := make([]string, len(m.Carries))
			for i, id := range m.Carries {
				carried[i] = called(id)
			}
			note = join(note, "relays for "+list(carried, "and"))
		}
		model := oneLine(m.Model)
		if m.Form != "" {
			model += " (" + oneLine(m.Form) + ")"
		}
		t.add(text(mark), text(name), text(model), painted(m.State, s.state(m.State)), number(since),
			number(rtt), number(accuracy), number(weight), text(oneLine(m.URL)), painted(note, s.dim))
	}
	t.write(w, s)
	return fmt.Sprintf("%s, %s; * is the node that was asked", plural(len(r.Members), "member"), plural(voters, "voter"))
}

// state returns how a member's state is painted.
func (s style) state(state string) func(string) string {
	switch state {
	case "alive":
		return s.green
	case "suspect":
		return s.yellow
	case "failed", "refused":
		return s.red
	}
	return s.dim
}

func join(a, b string) string {
	if a == "" {
		return b
	}
	return a + "; " + b
}
