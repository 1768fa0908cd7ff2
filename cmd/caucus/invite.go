package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/spf13/cobra"

	"caucus/cluster/identity"
	"caucus/configs"
	"caucus/node/api"
)

func (a *app) inviteCommand() *cobra.Command {
	var stateDir, publicURL string
	var rotate, membersOnly, key bool
	var keep time.Duration
	cmd := &cobra.Command{
		Use:   "invite",
		Short: "Print the line that a teammate pastes to come in",
		Long: `Print the command with which a teammate joins the cluster of a running node. The
address is the one on the node's card; the token comes from --token-file, CAUCUS_TOKEN,
or the state folder of the node on this machine. The line holds the cluster's secret:
send it as you would send a password.

With --rotate the cluster gets another token first, at all its nodes. The one until now
stays good for a day, so that nodes that are away find back; --members-only has it let in
only who is or was a member, and --keep-old 0s ends it at once. Who is a member stays one
(caucus remove takes one out).

With --key the key derived from the token is printed in place of the line: what Prometheus
and other programs send as "Authorization: Bearer KEY" for the routes that are closed to
strangers. It opens these routes and lets no node in.`,
		Example: `  caucus invite
  caucus invite --key > caucus.key
  caucus invite --rotate
  caucus invite --rotate --members-only
  caucus invite --node http://localhost:5002
  caucus invite --public-url https://ab12.ngrok-free.app --state-dir ~/.local/state/caucus/knn`,
		Args: arguments(0, 0, ""),
	}
	r := a.addReader(cmd)
	cmd.Flags().StringVar(&stateDir, "state-dir", "", "the node's state folder, as a `DIR` (default $CAUCUS_STATE_DIR, else by the node's name)")
	cmd.Flags().StringVar(&publicURL, "public-url", "", "the address to invite to, as a `URL` (default: the one on the node's card); then no node need run")
	cmd.Flags().BoolVar(&rotate, "rotate", false, "give the cluster another token first")
	cmd.Flags().DurationVar(&keep, "keep-old", 24*time.Hour, "with --rotate, for how long the token until now is good, as a `DURATION`")
	cmd.Flags().BoolVar(&membersOnly, "members-only", false, "with --rotate, the token until now lets in only who is or was a member: for one that got about")
	cmd.Flags().BoolVar(&key, "key", false, "print the key for programs that ask over HTTP, not the line")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		i, err := a.invitation(cmd.Context(), r, stateDir, publicURL)
		if err == nil && rotate {
			err = a.rotate(cmd.Context(), r, &i, keep, membersOnly)
		}
		if err != nil {
			return err
		}
		if key {
			return a.printKey(r, i.token)
		}
		if r.json {
			return a.printJSON(map[string]any{"url": i.url, "invite": i.text(), "open": i.token == nil, "command": i.line()})
		}
		fmt.Fprintln(a.out, i.line())
		for _, note := range i.notes() {
			fmt.Fprintln(a.err, note)
		}
		if i.token == nil {
			fmt.Fprintln(a.err, "The cluster has no token: whoever reaches the address can join.")
		}
		return nil
	}
	return cmd
}

// printKey prints what opens the node's local routes from elsewhere.
func (a *app) printKey(r *reader, token *identity.Token) error {
	if token == nil {
		return &failure{
			code: exitFailure, err: errors.New("this cluster is open: it has no token, so there is no key, and none is needed"),
			try: "ask without Authorization; or start its nodes without --open and with CAUCUS_TOKEN",
		}
	}
	if r.json {
		return a.printJSON(map[string]any{"key": token.Bearer()})
	}
	fmt.Fprintln(a.out, token.Bearer())
	return nil
}

// invitation gathers address and token from the node, the environment and the state folder.
func (a *app) invitation(ctx context.Context, r *reader, stateDir, publicURL string) (invitation, error) {
	var i invitation
	var card *api.CardReply
	err := r.ask(ctx, func(ctx context.Context, c *api.Client) (err error) {
		ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
		defer cancel()
		if card, err = c.Card(ctx); err != nil {
			return err
		}
		i.kinds, i.task = []string{card.Model}, card.Task.Name
		if m, err := c.Members(ctx); err == nil { // may be closed to us; the line is right without it
			for _, member := range m.Members {
				if member.State == "alive" {
					i.kinds = append(i.kinds, member.Model)
				}
			}
		}
		return nil
	})
	if err != nil && (publicURL == "" || ctx.Err() != nil) {
		return i, &failure{code: exitFailure, err: err, try: "start the node first (caucus serve), name it with --node URL, or give --public-url URL and --state-dir DIR"}
	}
	switch {
	case publicURL != "":
		i.url = originOf(publicURL)
	default:
		// The line is for a shell, so what a node says of itself is not pasted into it unseen.
		if i.url, err = identity.ParseURL(card.URL); err != nil {
			i.url = originOf(r.address())
		}
	}
	if dir, ok := a.env("CAUCUS_STATE_DIR"); stateDir == "" && ok {
		stateDir = dir
	}
	if stateDir == "" && card != nil {
		if dir, err := configs.StateDir(card.Name, a.env); err == nil {
			stateDir = dir
		}
	}
	if i.token, err = a.findToken(r, stateDir); err != nil || card == nil {
		return i, err
	}
	return i, checkToken(ctx, originOf(r.address()), &i)
}

// checkToken asks the node whether the token is the cluster's, so that nobody sends
// round a line that does not work. To the node's own machine everything is open; a
// request that says it was forwarded is treated as one from elsewhere.
func checkToken(ctx context.Context, node string, i *invitation) error {
	status, err := statusFromElsewhere(ctx, node, "")
	switch {
	case err != nil:
		return fmt.Errorf("ask %s whether it needs a token: %w", node, err)
	case status != http.StatusUnauthorized:
		i.token = nil // an open cluster refuses who comes with a token
		return nil
	case i.token == nil:
		return &failure{
			code: exitFailure, err: errors.New("this cluster has a token, and it is not known here"),
			try: "set CAUCUS_TOKEN, give --token-file FILE, or run this where the node runs, with its --state-dir",
		}
	}
	if status, err = statusFromElsewhere(ctx, node, i.token.Bearer()); err == nil && status == http.StatusUnauthorized {
		return &failure{
			code: exitFailure, err: errors.New("the token that is known here is not that of this cluster"),
			try: "set CAUCUS_TOKEN to the part after # in an invite that works",
		}
	}
	return nil
}

func statusFromElsewhere(ctx context.Context, node, bearer string) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, node+"/members", nil)
	if err != nil {
		return 0, err
	}
	req.Header.Set("X-Forwarded-For", "192.0.2.1") // an address for examples: nobody's
	req.Header.Set("Ngrok-Skip-Browser-Warning", "1")
	if bearer != "" {
		req.Header.Set("Authorization", "Bearer "+bearer)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, err
	}
	resp.Body.Close()
	return resp.StatusCode, nil
}

// rotate gives the cluster another token, and the invitation too.
func (a *app) rotate(ctx context.Context, r *reader, i *invitation, keep time.Duration, membersOnly bool) error {
	if i.token == nil {
		return &failure{
			code: exitFailure, err: errors.New("this cluster is open: it has no token that could be replaced"),
			try: "start its nodes without --open and with CAUCUS_TOKEN",
		}
	}
	next, err := identity.NewToken()
	if err != nil {
		return err
	}
	c, err := api.NewClient(originOf(r.address()), i.token.Bearer())
	if err != nil {
		return err
	}
	defer c.Close()
	ctx, cancel := context.WithTimeout(ctx, r.patience)
	defer cancel()
	reply, err := c.Rotate(ctx, *i.token, next, keep, membersOnly)
	if err != nil {
		return reached(err)
	}
	i.token = &next
	switch until := reply.OldUntil.Local().Format("2 Jan 15:04"); {
	case keep > 0 && membersOnly:
		fmt.Fprintf(a.err, "The cluster has a new token; the one until now lets only members back in, until %s.\n", until)
	case keep > 0:
		fmt.Fprintf(a.err, "The cluster has a new token; the one until now is good until %s.\n", until)
	default:
		fmt.Fprintln(a.err, "The cluster has a new token, and the one until now is good no more.")
	}
	if tok, source, err := configs.FindToken(r.tokenFile, a.env); err == nil && tok != nil {
		fmt.Fprintf(a.err, "Put the new one, what stands after #, where the old one is: %s.\n", source)
	}
	return nil
}

// findToken looks where a node would.
func (a *app) findToken(r *reader, stateDir string) (*identity.Token, error) {
	tok, _, err := configs.FindToken(r.tokenFile, a.env)
	if tok != nil || err != nil || stateDir == "" {
		return tok, err
	}
	return configs.StoredToken(stateDir)
}
