package main

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"sync"
	"time"

	"caucus/ml"
	"caucus/node/api"
	"caucus/node/consensus"
	"caucus/node/dialect"
)

// server is one of the URLs that were entered.
type server struct {
	name  string // KNN, RandForest, SVM: as the questions name them
	typed string
	base  *url.URL
	reply dialect.Reply
}

// aggregateByURLs is the old script: three URLs, four features, one answer.
func (a *app) aggregateByURLs(ctx context.Context, p *prompter, asJSON bool) error {
	var servers []*server
	for _, name := range []string{"KNN", "RandForest", "SVM"} {
		typed, err := p.ask(ctx, "Enter the base URL for the "+name+" model: ")
		if err != nil {
			return ended(err, "the URL for the "+name+" model")
		}
		if strings.TrimSpace(typed) != "" {
			servers = append(servers, &server{name: name, typed: strings.TrimSpace(typed)})
		}
	}
	// Its three models know Iris; a task of one's own is asked with --node.
	task := ml.Iris().Task
	row, err := a.askRow(ctx, p, len(task.Features), nil)
	if err != nil {
		return err
	}
	askServers(ctx, servers, task, row)
	if ctx.Err() != nil {
		return context.Canceled
	}
	result, err := tallyServers(servers, len(task.Labels))
	if err != nil {
		return err
	}
	if asJSON {
		return a.printServers(servers, task, result)
	}
	a.showFailures(servers)
	if result.Counted == 0 {
		return a.noPredictions()
	}
	a.showServers(servers, task, result)
	fmt.Fprintf(a.out, "Consensus Prediction: %d\n", result.Label)
	return nil
}

// askServers asks all at once, each within its own deadline.
func askServers(ctx context.Context, servers []*server, task ml.Task, row []float64) {
	client := dialect.NewClient(dialect.Options{MaxIdle: 1})
	defer client.Close()
	var wg sync.WaitGroup
	for _, s := range servers {
		base, err := dialect.ParseBase(s.typed)
		if err != nil {
			s.reply = dialect.Reply{Outcome: consensus.ConnectError, Label: -1, Reason: err.Error()}
			continue
		}
		s.base = base
		wg.Go(func() {
			s.reply = askServer(ctx, client, dialect.Target{Base: base, Task: task}, row)
		})
	}
	wg.Wait()
}

// probeWithin bounds finding out how a server wants to be asked.
const probeWithin = 10 * time.Second

// askServer finds out how a server wants to be asked, and asks it.
func askServer(ctx context.Context, client *dialect.Client, t dialect.Target, row []float64) dialect.Reply {
	within, cancel := context.WithTimeout(ctx, probeWithin)
	defer cancel()
	d, r := client.ProbeOne(within, t, dialect.IrisSubject().Trial)
	if d == nil {
		return r
	}
	return client.Ask(ctx, d.One, row)
}

// tallyServers counts the answers by the product's rules. Only those who answered
// are invited: nothing binds these servers together, so nobody's silence counts.
func tallyServers(servers []*server, classes int) (consensus.Result, error) {
	var (
		invited []string
		votes   []consensus.Vote
	)
	for i, s := range servers {
		if s.reply.Outcome != consensus.OK {
			continue
		}
		id := fmt.Sprintf("%d", i)
		v := consensus.Vote{Voter: id, Outcome: consensus.OK, Label: s.reply.Label, Weight: consensus.One}
		for _, p := range s.reply.Probabilities {
			v.Probabilities = append(v.Probabilities, consensus.ToMillionths(p))
		}
		invited, votes = append(invited, id), append(votes, v)
	}
	if len(votes) == 0 {
		return consensus.Result{Label: -1}, nil
	}
	r, err := consensus.Tally(consensus.Rule{Method: consensus.Majority, Classes: classes}, invited, votes)
	if err != nil && !errors.Is(err, consensus.ErrNoQuorum) {
		return r, fmt.Errorf("count the votes: %w", err)
	}
	return r, nil
}

// showFailures says of each server that does not vote why, in the old script's words
// where it had some.
func (a *app) showFailures(servers []*server) {
	for _, s := range servers {
		r := s.reply
		switch {
		case r.Outcome == consensus.OK:
		case r.Status >= 400:
			fmt.Fprintf(a.out, "Error from server: %d\n", r.Status)
			fmt.Fprintf(a.err, "  %s at %s: %s\n", s.name, s.where(), r.Reason)
		default:
			fmt.Fprintf(a.out, "Request failed: %s at %s: %s\n", s.name, s.where(), r.Reason)
		}
	}
}

// where is the address for people, without the secrets that it may hold.
func (s *server) where() string {
	if s.base == nil {
		typed, _, _ := strings.Cut(s.typed, "#")
		return oneLine(typed)
	}
	return s.base.Redacted()
}

// showServers tells what each server said, before the last line, which is the old one.
func (a *app) showServers(servers []*server, task ml.Task, r consensus.Result) {
	s := a.errStyle
	t := &table{indent: "  ", head: []string{"SERVER", "VOTE", "SURE", "TIME"}}
	for _, sv := range servers {
		if sv.reply.Outcome != consensus.OK {
			t.add(text(sv.name), painted("- "+sv.reply.Outcome.String(), s.yellow), number(""), number(""))
			continue
		}
		paint, sure := s.green, ""
		if sv.reply.Label != r.Label {
			paint = s.yellow
		}
		if sv.reply.Probabilities != nil {
			sure = share(sv.reply.Probabilities[sv.reply.Label])
		}
		t.add(text(sv.name), painted(fmt.Sprintf("%d %s", sv.reply.Label, task.Labels[sv.reply.Label]), paint), number(sure), number(millis(sv.reply.Elapsed.Seconds()*1000)))
	}
	fmt.Fprintln(a.err)
	t.write(a.err, s)
	fmt.Fprintln(a.err)
	if r.Tie {
		tied := make([]string, len(r.Tied))
		for i, class := range r.Tied {
			tied[i] = task.Labels[class]
		}
		fmt.Fprintf(a.err, "  %s\n", s.yellow(fmt.Sprintf("It is a tie between %s, decided by %s.", list(tied, "and"), r.TieBreak)))
	}
	if 2*r.Counted <= len(servers) {
		fmt.Fprintf(a.err, "  %s\n", s.yellow(fmt.Sprintf("Only %d of %d servers answered, and that is no majority.", r.Counted, len(servers))))
	}
}

// printServers is the result as JSON, in the shapes of a node's /consensus.
func (a *app) printServers(servers []*server, task ml.Task, r consensus.Result) error {
	type vote struct {
		Name    string     `json:"name"`
		URL     string     `json:"url"`
		Outcome string     `json:"outcome"`
		Label   string     `json:"label,omitempty"`
		Ms      api.Millis `json:"ms"`
		Reason  string     `json:"reason,omitempty"`
	}
	out := struct {
		Prediction *int   `json:"prediction"`
		Label      string `json:"label,omitempty"`
		Invited    int    `json:"invited"`
		Counted    int    `json:"counted"`
		Tie        bool   `json:"tie"`
		Votes      []vote `json:"votes"`
	}{Invited: len(servers), Counted: r.Counted, Tie: r.Tie, Votes: []vote{}}
	if r.Counted > 0 {
		out.Prediction, out.Label = &r.Label, task.Labels[r.Label]
	}
	for _, s := range servers {
		v := vote{Name: s.name, URL: s.where(), Outcome: s.reply.Outcome.String(), Ms: api.Millis(s.reply.Elapsed.Microseconds()), Reason: s.reply.Reason}
		if s.reply.Outcome == consensus.OK {
			v.Label = task.Labels[s.reply.Label]
		}
		out.Votes = append(out.Votes, v)
	}
	if err := a.printJSON(out); err != nil {
		return err
	}
	if r.Counted == 0 {
		return said(exitNoQuorum)
	}
	return nil
}
