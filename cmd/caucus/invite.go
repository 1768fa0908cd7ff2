package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"caucus/cluster/identity"
	"caucus/configs"
	"caucus/node/api"
)

func (a *app) inviteCommand() *cobra.Command {
	var stateDir, publicURL string
	cmd := &cobra.Command{
		Use:   "invite",
		Short: "Print the line that a teammate pastes to come in",
		Long: `Print the command with which a teammate joins the cluster of a running node. The
address is the one on the node's card; the token comes from --token-file, CAUCUS_TOKEN,
or the state folder of the node on this machine. The line holds the cluster's secret:
send it as you would send a password.`,
		Example: `  caucus invite
  caucus invite --node http://localhost:5002
  caucus invite --public-url https://ab12.ngrok-free.app --state-dir ~/.local/state/caucus/knn`,
		Args: arguments(0, 0, ""),
	}
	r := a.addReader(cmd)
	cmd.Flags().StringVar(&stateDir, "state-dir", "", "the node's state folder, as a `DIR` (default: by the node's name)")
	cmd.Flags().StringVar(&publicURL, "public-url", "", "the address to invite to, as a `URL` (default: the one on the node's card); then no node need run")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		i, err := a.invitation(cmd.Context(), r, stateDir, publicURL)
		if err != nil {
			return err
		}
		if r.json {
			invite := i.url
			if i.token != nil {
				invite += "#" + i.token.String()
			}
			return a.printJSON(map[string]any{"url": i.url, "invite": invite, "open": i.token == nil, "command": i.line()})
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
				i.kinds = append(i.kinds, member.Model)
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
		i.url = card.URL
		if i.url == "" {
			i.url = originOf(r.address())
		}
	}
	if stateDir == "" && card != nil {
		if dir, err := configs.StateDir(card.Name, a.env); err == nil {
			stateDir = dir
		}
	}
	i.token, err = a.findToken(r, stateDir)
	return i, err
}

// findToken looks where a node would.
func (a *app) findToken(r *reader, stateDir string) (*identity.Token, error) {
	tok, _, err := configs.FindToken(r.tokenFile, a.env)
	if tok != nil || err != nil || stateDir == "" {
		return tok, err
	}
	return configs.StoredToken(stateDir)
}
