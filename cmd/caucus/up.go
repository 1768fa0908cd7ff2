package main

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"caucus/configs"
	"caucus/ml"
	"caucus/node/api"
)

// upOptions are the settings that make sense for three nodes at once.
var upOptions = []string{
	"data", "label", "seed", "holdout", "standardise", "quorum", "peer-timeout", "deadline", "linger",
	"forget-after", "state-dir", "log-format", "log-level",
}

func (a *app) upCommand() *cobra.Command {
	var ports []int
	cmd := &cobra.Command{
		Use:   "up",
		Short: "Run three nodes in this terminal and show an answer",
		Long: `Run three nodes in one process, each with its own model (knn, randforest, svm), joined
to one another on this machine. It asks them one question, shows the answer, and goes
on until Ctrl-C. Nothing is kept on disk unless --state-dir says where.

A port that is taken is replaced by the next free one.`,
		Example: `  caucus up
  caucus up --data wine.csv --label cultivar
  caucus up --ports 6001,6000,6002 --log-level info`,
		Args: arguments(0, 0, ""),
	}
	flags := addSettings(cmd, configs.Pick(upOptions...))
	cmd.Flags().IntSliceVar(&ports, "ports", nil, "ports of knn, randforest and svm, as `N,N,N` (default 5001,5000,5002); 0 takes any")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		wanted := make([]int, len(upKinds))
		for i := range upKinds {
			wanted[i] = upKinds[i].port
		}
		if len(ports) > 0 {
			if len(ports) != len(wanted) {
				return usage("caucus up --ports 5001,5000,5002", "--ports takes three ports, and here are %d", len(ports))
			}
			for _, p := range ports {
				if p < 0 || p > 65535 {
					return usage("caucus up --ports 5001,5000,5002", "%d is not a port from 0 to 65535", p)
				}
			}
			wanted = ports
		}
		s, err := flags.load(a, map[string]string{"log-level": "warn", "state-dir": "none"})
		if err != nil {
			return err
		}
		return a.up(cmd.Context(), s, wanted)
	}
	return cmd
}

// up runs the three until ctx ends.
func (a *app) up(ctx context.Context, s configs.Settings, wanted []int) error {
	started := time.Now()
	trio, err := a.startTrio(ctx, s, wanted)
	if err == nil {
		err = a.present(ctx, trio, s, started)
	}
	if err == nil {
		select {
		case <-ctx.Done():
		case <-trio.died: // one of them ended by itself; stop says why
		}
	}
	if ctx.Err() != nil {
		err = nil // whatever broke, Ctrl-C broke it
		fmt.Fprintln(a.err, a.errStyle.dim("\nstopping all three; Ctrl-C again ends at once"))
	}
	if serr := trio.stop(); err == nil {
		err = serr
	}
	return err
}

// present waits until the three know one another, says what runs where, and asks one question.
func (a *app) present(ctx context.Context, t *trio, s configs.Settings, started time.Time) error {
	clients := make([]*api.Client, len(t.nodes))
	for i, n := range t.nodes {
		c, err := api.NewClient("http://"+n.Addr(), "")
		if err != nil {
			return err
		}
		defer c.Close()
		clients[i] = c
	}
	ctx, cancel := context.WithTimeoutCause(ctx, 20*time.Second, errors.New("the three nodes did not find one another within 20 s; run again with --log-level debug to see why"))
	defer cancel()
	if err := t.whole(ctx, clients); err != nil {
		return err
	}
	cards := make([]*api.CardReply, len(clients))
	for i, c := range clients {
		var err error
		if cards[i], err = c.Card(ctx); err != nil {
			return err
		}
	}
	row, err := exampleRow(s)
	if err != nil {
		return err
	}
	reply, err := clients[0].Consensus(ctx, row, api.ConsensusOptions{Wait: "all"})
	if err != nil {
		return err
	}
	a.showTrio(t, cards, row, reply, time.Since(started))
	return nil
}

// exampleRow is the first row of the data: for Iris, a setosa.
func exampleRow(s configs.Settings) ([]float64, error) {
	if s.Node.Data == "" {
		return ml.Iris().Row(0), nil
	}
	d, err := ml.OpenCSV(s.Node.Data, ml.CSVOptions{Label: s.Node.Label})
	if err != nil {
		return nil, err
	}
	return d.Row(0), nil
}

// showTrio is what a person sees first of Caucus.
func (a *app) showTrio(t *trio, cards []*api.CardReply, row []float64, reply *api.ConsensusReply, took time.Duration) {
	s, w := a.outStyle, a.out
	task := cards[0].Task
	fmt.Fprintf(w, "\n%s in %s: each has its own model of %s, and they have joined one another.\n\n",
		s.bold("Three nodes are up"), millis(float64(took.Milliseconds())), oneLine(task.Name))
	nodes := &table{indent: "  ", head: []string{"NODE", "MODEL", "ACCURACY", "ADDRESS"}}
	for i, c := range cards {
		accuracy := ""
		if c.Evaluation != nil {
			accuracy = share(c.Evaluation.Accuracy)
		}
		nodes.add(painted(c.Name, s.bold), text(modelName(c.Model, c.Params)), number(accuracy), painted("http://"+local(t.nodes[i].Addr()), s.cyan))
	}
	nodes.write(w, s)

	question := make([]string, len(row))
	for i, x := range row {
		question[i] = task.Features[i] + " " + float(x)
	}
	fmt.Fprintf(w, "\nA question to all three, asked at %s:\n\n  %s\n\n", cards[0].Name, wrap(strings.Join(question, ", "), 88))
	showConsensus(w, reply, "  ", s)
	fmt.Fprintf(w, "\nAsk any of them yourself, in another terminal:\n\n  %s\n", s.cyan(curlLine(local(t.nodes[0].Addr()), row)))
	fmt.Fprintf(w, "  %s\n", s.cyan(a.self+caucusLine(portOf(t.nodes[0].Addr()), row)))
	fmt.Fprintf(w, "\nOr watch them in a browser: %s\n", s.cyan("http://"+local(t.nodes[0].Addr())+"/"))
	fmt.Fprintf(w, "\n%s\n", s.dim("Ctrl-C stops all three."))
}

// curlLine asks a node from a shell.
func curlLine(address string, row []float64) string {
	parts := make([]string, len(row))
	for i, x := range row {
		parts[i] = fmt.Sprintf("feature%d=%s", i, url.QueryEscape(float(x)))
	}
	return fmt.Sprintf("curl '%s/consensus?%s'", address, strings.Join(parts, "&"))
}

// caucusLine is what follows this program's name to ask it the same.
func caucusLine(port int, row []float64) string {
	parts := make([]string, len(row))
	negative := false
	for i, x := range row {
		parts[i] = float(x)
		negative = negative || x < 0
	}
	line := " consensus "
	if port != 5001 {
		line += fmt.Sprintf("--node http://localhost:%d ", port)
	}
	if negative {
		line += "-- "
	}
	return line + strings.Join(parts, " ")
}

// wrap breaks a long sentence at commas.
func wrap(s string, width int) string {
	if len(s) <= width {
		return s
	}
	var b strings.Builder
	at := 0
	for i, part := range strings.SplitAfter(s, ", ") {
		if i > 0 && at+len(part) > width {
			b.WriteString("\n  ")
			at = 2
		}
		b.WriteString(part)
		at += len(part)
	}
	return strings.ReplaceAll(b.String(), ", \n", ",\n")
}
