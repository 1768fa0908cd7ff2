package main

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"caucus/node/api"
)

func (a *app) weightsCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "weights",
		Short: "Show what the labels so far say of each member",
		Long: `Show how often each member was right on the labelled rows, what its vote weighs, how
the ways of counting compare, and which of them auto takes. All nodes that hold the same
evidence show the same.`,
		Example: `  caucus weights
  caucus weights --node http://localhost:5002 --json`,
		Args: arguments(0, 0, ""),
	}
	r := a.addReader(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if r.json {
			return r.raw(cmd.Context(), http.MethodGet, "/weights", nil, nil)
		}
		return r.ask(cmd.Context(), func(ctx context.Context, c *api.Client) error {
			w, err := c.Weights(ctx)
			if err != nil {
				return err
			}
			a.showWeights(w)
			return nil
		})
	}
	return cmd
}

func (a *app) showWeights(w *api.WeightsReply) {
	s := a.outStyle
	fmt.Fprintf(a.out, "%s%s\n\n", plural(w.Labels, "labelled row"), notes(w))
	names := map[string]string{}
	for _, m := range w.Members {
		names[m.ID] = oneLine(m.Name)
	}
	a.showMemberWeights(w)
	if w.Labels == 0 {
		fmt.Fprintf(a.err, "\nno labels yet, so every vote counts one; give some with caucus feedback\n")
		return
	}
	fmt.Fprintln(a.out)
	t := &table{head: []string{"", "RULE", "WRONG", "SHARE"}}
	for _, r := range w.Rules {
		name := r.Rule
		if r.Rule == "member" {
			name = "follow " + nameOf(names, r.Member)
		}
		mark := ""
		if r.Rule == w.Auto.Rule && w.Auto.Follows == "" || r.Member != "" && r.Member == w.Auto.Follows {
			mark = "*"
		}
		t.add(text(mark), text(name), number(fmt.Sprintf("%.1f", r.Loss.Float())), number(share(r.Share.Float())))
	}
	t.write(a.out, s)
	fmt.Fprintf(a.out, "\nauto (*): %s\n", oneLine(w.Auto.Reason))
	fmt.Fprintf(a.out, "the mixture of all rules had %.1f wrong: %.1f more than the best, and never more than %.1f\n",
		w.Mixture.Float(), w.Regret.Float(), w.Bound.Float())
	for _, p := range w.Together {
		fmt.Fprintf(a.out, "%s and %s give the same wrong label more often than chance: %d of %d rows, %.1f expected\n",
			nameOf(names, p.Members[0]), nameOf(names, p.Members[1]), p.Together, p.Rows, p.Expected.Float())
	}
	a.showLabellers(w)
}

// notes says in the first line what is out of the ordinary.
func notes(w *api.WeightsReply) string {
	var parts []string
	if w.Evidence != "" {
		parts = append(parts, "evidence "+oneLine(w.Evidence))
	}
	if w.Disputed > 0 {
		parts = append(parts, fmt.Sprintf("%d left out, because their labellers are evenly split", w.Disputed))
	}
	if w.From != "members" {
		parts = append(parts, "labels count from "+oneLine(w.From))
	}
	if len(parts) == 0 {
		return ""
	}
	return " (" + strings.Join(parts, "; ") + ")"
}

func (a *app) showMemberWeights(w *api.WeightsReply) {
	s := a.outStyle
	head := []string{"NAME", "MODEL", "RIGHT", "SKILL", "WEIGHT"}
	recall := w.Labels > 0 && len(w.Members) > 0 && len(w.Members[0].Recall) <= 6
	if recall {
		for _, r := range w.Members[0].Recall {
			head = append(head, oneLine(r.Label))
		}
	}
	t := &table{head: append(head, "NOTE")}
	members := slices.SortedStableFunc(slices.Values(w.Members), func(x, y api.MemberWeight) int { return strings.Compare(x.Name, y.Name) })
	for _, m := range members {
		right := "-"
		if m.Total > 0 {
			right = fmt.Sprintf("%d of %d", m.Correct, m.Total)
		}
		row := []cell{text(oneLine(m.Name)), text(oneLine(m.Model)), number(right), number(share(m.Score.Float())), number(fmt.Sprintf("%.2f", m.Weight.Float()))}
		if recall {
			for _, r := range m.Recall {
				row = append(row, number(fmt.Sprintf("%d/%d", r.Correct, r.Total)))
			}
		}
		note := ""
		if m.Voice > 0 {
			note = fmt.Sprintf("one voice with others (model %d)", m.Voice)
		}
		if m.TwoFaced {
			note = join(note, "signed two different votes for one row")
		}
		t.add(append(row, painted(note, s.yellow))...)
	}
	t.write(a.out, s)
}

func (a *app) showLabellers(w *api.WeightsReply) {
	for _, l := range w.Labellers {
		who := oneLine(l.Name)
		if who == "" {
			who = "a node that is no member any more (" + shortID(l.ID) + ")"
		}
		line := fmt.Sprintf("%s gave %s", who, plural(l.Records, "label"))
		switch {
		case l.Excluded != "":
			line = fmt.Sprintf("%s is excluded: %s", who, oneLine(l.Excluded))
		case !l.Counts:
			line += ", which do not count here"
		}
		fmt.Fprintln(a.out, a.outStyle.dim(line))
	}
}

func nameOf(names map[string]string, id string) string {
	if n := names[id]; n != "" {
		return n
	}
	return shortID(id)
}
