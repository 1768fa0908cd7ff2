package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"caucus/cluster"
	"caucus/cluster/identity"
	"caucus/configs"
	"caucus/node"
	"caucus/node/api"
	"caucus/node/dialect"
)

func (a *app) serveCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Run one node",
		Long: `Run a node with one model, and join others. It goes on until Ctrl-C, and then says
goodbye to them, so that they go on without it.

Every flag is also an environment variable (--peer-timeout is CAUCUS_PEER_TIMEOUT) and
a line of the file that --config names (peer-timeout: 2s). The flag goes before the
variable, the variable before the file.`,
		Example: `  caucus serve --model svm --join "https://ab12.ngrok-free.app#TOKEN"   paste of an invite
  caucus serve --model knn                                               begin a cluster on this machine
  caucus serve --model knn --public-url https://ab12.ngrok-free.app      begin one for teammates elsewhere
  caucus serve --model randforest --data wine.csv --label cultivar       data of your own
  caucus serve --upstream http://127.0.0.1:5000                          a model server that runs already
  caucus serve --model-file wine.model                                   what caucus train stored
  caucus serve --model svm --param kernel=rbf --param c=10 --listen 127.0.0.1:5010
  caucus serve --config configs/knn.yaml`,
		Args: arguments(0, 0, ""),
	}
	flags := addSettings(cmd, configs.Options())
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		s, err := flags.load(a, nil)
		if err != nil {
			return err
		}
		return a.serve(cmd.Context(), s)
	}
	return cmd
}

// serve runs one node until ctx ends.
func (a *app) serve(ctx context.Context, s configs.Settings) error {
	findTunnel(ctx, &s)
	if _, err := s.EnsureToken(); err != nil {
		return err
	}
	s.Node.WatchAgent = true
	if s.Log.Format != "json" {
		s.Node.OnToken = func(url string, t identity.Token) { a.tunnelCame(s.Node, url, t) }
	}
	if s.TunnelURL != "" && s.Node.Profile == "" {
		s.Node.Profile = cluster.Tunnel
	}
	s.Node.Log = s.Log.Logger(a.err, a.errTTY)
	s.Node.Version = thisBuild().Version
	doing := "fitting " + string(s.Node.Fit.Kind)
	if s.Node.Upstream != "" {
		doing = "asking the upstream"
	}
	bar := a.newSlowBar(doing)
	s.Node.Fit.Progress = bar.progress
	n, err := node.New(ctx, s.Node)
	bar.finish()
	if err != nil {
		return err
	}
	ended := make(chan error, 1)
	go func() { ended <- n.Run(ctx) }()

	// A log that machines read is not interrupted with talk.
	if s.Log.Format != "json" {
		a.introduce(ctx, n, s)
	}
	err = <-ended
	if ctx.Err() != nil && (err == nil || errors.Is(err, context.Canceled)) {
		return nil // Ctrl-C and SIGTERM are how a node ends well
	}
	return err
}

// tunnelCame says how others come in, when that is possible only now.
func (a *app) tunnelCame(cfg node.Config, url string, t identity.Token) {
	i := invitation{url: url, token: &t, kinds: []string{string(cfg.Fit.Kind)}}
	fmt.Fprintf(a.err, "\nA tunnel leads to this node now. Teammates come in by pasting this line; it holds the cluster's secret:\n  %s\n\n", a.errStyle.cyan(i.line()))
}

// introduce says what runs where, and how others come in.
func (a *app) introduce(ctx context.Context, n *node.Node, s configs.Settings) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second+urlWithin)
	defer cancel()
	c, err := api.NewClient("http://"+dialable(n.Addr()), "")
	if err != nil {
		return
	}
	defer c.Close()
	card, err := cardWithURL(ctx, c, s)
	if err != nil {
		return // Run has failed or is ending, and says why itself
	}
	st := a.errStyle
	w := a.err
	fmt.Fprintf(w, "%s predicts %s: %s\n", st.bold(card.Name), card.Task.Name, list(card.Task.Labels, "or"))
	line := func(what, text string) { fmt.Fprintf(w, "  %s %s\n", st.dim(fmt.Sprintf("%-9s", what)), text) }
	line("model", describeModel(card))
	if u, err := dialect.ParseBase(s.Node.Upstream); err == nil && s.Node.Upstream != "" {
		line("upstream", u.Redacted())
	}
	line("address", "http://"+dialable(n.Addr()))
	if card.URL != "" && card.URL != "http://"+dialable(n.Addr()) {
		line("others", card.URL)
	}
	line("id", string(n.ID()))
	if s.Node.StateDir != "" {
		line("state", s.Node.StateDir)
	} else {
		line("state", "in memory: the next start is a new node")
	}
	if s.Node.Token != nil {
		line("token", "from "+s.TokenSource)
	}
	public := s.Node.PublicURL != "" || s.Node.Ngrok || s.TunnelURL != ""
	if public && s.Node.Token == nil {
		fmt.Fprintf(w, "  %s whoever has the URL can join and ask; for friends alone set CAUCUS_TOKEN or leave out --open\n", st.yellow("open:"))
	}
	if public || s.Node.Token != nil {
		address := outsideURL(card.URL, n.Addr())
		if isLoopback(address) && len(s.Node.Join) > 0 {
			address = s.Node.Join[0].Address // nobody reaches this node, but all reach the one that it joins
		}
		i := invitation{url: address, token: s.Node.Token, kinds: []string{card.Model}, task: card.Task.Name}
		secret := ""
		if i.token != nil {
			secret = "; it holds the cluster's secret"
		}
		fmt.Fprintf(w, "\nTeammates come in by pasting this line%s:\n", secret)
		fmt.Fprintf(w, "  %s\n", st.cyan(i.line()))
		for _, note := range i.notes() {
			fmt.Fprintf(w, "  %s\n", st.dim(note))
		}
	}
	fmt.Fprintln(w)
}

// describeModel says which model it is and how right it was on rows that it had not seen.
func describeModel(card *api.CardReply) string {
	s := modelName(card.Model, card.Params)
	e := card.Evaluation
	switch {
	case e == nil:
	case e.Folds > 0:
		s += fmt.Sprintf(", right on %s of rows (%d-fold cross-validation)", percent(e.Accuracy), e.Folds)
	default:
		s += fmt.Sprintf(", right on %s of the %d rows kept back", percent(e.Accuracy), e.Rows)
	}
	return s
}

// modelName spells a kind of model out.
func modelName(kind string, params map[string]any) string {
	switch kind {
	case "knn":
		if k, ok := params["k"]; ok {
			return fmt.Sprintf("%v nearest neighbours", k)
		}
		return "nearest neighbours"
	case "randforest":
		if n, ok := params["trees"]; ok {
			return fmt.Sprintf("random forest of %v trees", n)
		}
		return "random forest"
	case "svm":
		if k, ok := params["kernel"]; ok {
			return fmt.Sprintf("support vector machine (%v)", k)
		}
		return "support vector machine"
	case "tree":
		return "decision tree"
	case "upstream":
		if form, ok := params["form"].(string); ok {
			return "a server asked by " + oneLine(form)
		}
		return "a server that has not answered yet; it is asked again and again"
	}
	return oneLine(kind)
}
