package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"caucus/cluster/identity"
	"caucus/node/receipt"
)

func (a *app) verifyCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "verify receipt.json",
		Short: "Recompute a receipt offline, trusting no node",
		Long: `Check a receipt with nothing but the receipt: the members' cards, their signatures on
the votes, the weights if the evidence is in it, the count, and the signature of the node that
was asked. Says the first thing that does not hold, and exits with 1.

Get one with caucus consensus ... --receipt FILE. Use - for standard input.`,
		Example: `  caucus consensus 5.1 3.5 1.4 0.2 --receipt receipt.json
  caucus verify receipt.json
  curl -s 'localhost:5001/consensus?features=5.1,3.5,1.4,0.2&receipt=true' | jq -j .receipt | caucus verify -`,
		Args: arguments(1, 1, "the receipt: caucus verify receipt.json"),
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print what was found as JSON")
	cmd.RunE = func(_ *cobra.Command, args []string) error {
		b, err := a.readReceipt(args[0])
		if err != nil {
			return err
		}
		rep, err := receipt.Verify(b)
		var f *receipt.Fault
		if err != nil && !errors.As(err, &f) {
			return err
		}
		if asJSON {
			_ = a.printJSON(verdictOf(rep, f))
		}
		if f != nil {
			return &failure{
				code: exitFailure, err: fmt.Errorf("%s does not hold, %w", oneLine(args[0]), f),
				try: "caucus consensus ... --receipt FILE   (asks again; do not rely on this one)",
			}
		}
		if !asJSON {
			a.showReceipt(rep)
		}
		return nil
	}
	return cmd
}

// verdict is what verify prints as JSON.
type verdict struct {
	Holds      bool   `json:"holds"`
	Where      string `json:"where,omitempty"` // the first thing that does not hold
	What       string `json:"what,omitempty"`
	Round      string `json:"round,omitempty"`
	Label      string `json:"label,omitempty"`
	Recomputed bool   `json:"weights_recomputed"`
}

func verdictOf(rep *receipt.Report, f *receipt.Fault) verdict {
	if f != nil {
		return verdict{Where: f.Where, What: f.What}
	}
	r := rep.Receipt
	return verdict{Holds: true, Round: r.Round, Label: provenLabel(r), Recomputed: rep.Recomputed}
}

func (a *app) readReceipt(path string) ([]byte, error) {
	in := a.in
	if path != "-" {
		f, err := os.Open(path)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		in = f
	}
	return io.ReadAll(io.LimitReader(in, receipt.MaxBytes+1))
}

// provenLabel is what a receipt that holds proves; empty if it proves that nobody voted.
func provenLabel(r *receipt.Receipt) string {
	if r.Outcome.Label < 0 {
		return ""
	}
	return r.Task.Labels[r.Outcome.Label]
}

// showReceipt says what holds, and by whose word.
func (a *app) showReceipt(rep *receipt.Report) {
	r, s := rep.Receipt, a.outStyle
	names := map[string]identity.Card{}
	for _, c := range rep.Cards {
		names[string(c.ID)] = c
	}
	label := provenLabel(r)
	if label == "" {
		label = "no answer"
	}
	fmt.Fprintf(a.out, "%s   %s holds\n\n", s.bold(oneLine(label)), "the receipt of round "+r.Round)
	var row []string
	for i, x := range r.Row {
		row = append(row, oneLine(r.Task.Features[i])+"="+float(x))
	}
	fmt.Fprintf(a.out, "  asked for  %s\n  asked      %s\n\n", strings.Join(row, " "), oneLine(names[r.Asked].Name))
	t := &table{indent: "  ", head: []string{"NODE", "MODEL", "VOTE", "SIGNED BY", "WEIGHT"}}
	for i, v := range r.Votes {
		c := rep.Cards[i]
		if v.Outcome != "ok" {
			t.add(text(oneLine(c.Name)), text(oneLine(c.Model)), painted("- "+v.Outcome, s.yellow), text(""), text(""))
			continue
		}
		paint := s.green
		if v.Label != r.Outcome.Label {
			paint = s.yellow
		}
		weight := float(float64(r.Weights.Members[i].Weight) / 1e6)
		if r.Outcome.Method == "majority" {
			weight = "1"
		}
		t.add(text(oneLine(c.Name)), text(oneLine(c.Model)), painted(oneLine(r.Task.Labels[v.Label]), paint), text(string(c.ID)), number(weight))
	}
	t.write(a.out, s)
	of := ""
	if r.Outcome.Label >= 0 {
		of = ", share " + share(float64(r.Outcome.Shares[r.Outcome.Label])/1e6)
	}
	fmt.Fprintf(a.out, "\n  counted by %s (%s), status %s%s\n", r.Outcome.Method, oneLine(r.Weights.Reason), r.Outcome.Status, of)
	switch {
	case r.Evidence.Digest == receipt.Digest{}:
		fmt.Fprintln(a.out, "  weights: there were no labels to learn from")
	case rep.Recomputed:
		fmt.Fprintf(a.out, "  weights: learnt anew from %s in the receipt\n", plural(len(r.Evidence.Records), "record"))
	default:
		fmt.Fprintf(a.err, "  weights: the word of %s; with evidence=true a receipt has the records to recompute them\n", oneLine(names[r.Asked].Name))
	}
}
