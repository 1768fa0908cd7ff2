package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"caucus/cluster/identity"
	"caucus/configs"
	"caucus/node/api"
)

const (
	nodeEnv     = "CAUCUS_NODE"
	defaultNode = "http://localhost:5001"
)

// patience is how long a command waits for a node's answer. Rounds end by their
// own deadline long before.
const patience = 15 * time.Second

// reader is what the commands share that ask a node.
type reader struct {
	app       *app
	node      string
	tokenFile string
	json      bool
	patience  time.Duration
}

// addReader gives a command the flags of a reader.
func (a *app) addReader(cmd *cobra.Command) *reader {
	cmd.Flags().SortFlags = false
	r := &reader{app: a, patience: patience}
	f := cmd.Flags()
	f.StringVar(&r.node, "node", "", "the node to ask, as a `URL` (default $"+nodeEnv+", else "+defaultNode+")")
	f.BoolVar(&r.json, "json", false, "print the node's answer as JSON")
	f.StringVar(&r.tokenFile, "token-file", "", "`FILE` with the cluster's token, which some questions to another machine need (or set CAUCUS_TOKEN)")
	return r
}

// address is the node to ask: the flag, the environment, or this machine's default port.
func (r *reader) address() string {
	if r.node != "" {
		return r.node
	}
	if s, ok := r.app.env(nodeEnv); ok && s != "" {
		return s
	}
	return defaultNode
}

// client makes the client of the node. An invite does as an address.
func (r *reader) client() (*api.Client, error) {
	address, pasted, isInvite := strings.Cut(r.address(), "#")
	bearer := ""
	if isInvite {
		tok, err := identity.ParseToken(pasted)
		if err != nil {
			return nil, usage("caucus members --node URL", "what stands after # in the node's address is not a token")
		}
		bearer = tok.Bearer()
	} else {
		tok, _, err := configs.FindToken(r.tokenFile, r.app.env)
		if err != nil {
			return nil, err
		}
		if tok != nil {
			bearer = tok.Bearer()
		}
	}
	c, err := api.NewClient(address, bearer)
	if err != nil {
		return nil, usage("--node http://localhost:5001", "%w", err)
	}
	return c, nil
}

// ask runs f with the node's client, within patience.
func (r *reader) ask(ctx context.Context, f func(context.Context, *api.Client) error) error {
	c, err := r.client()
	if err != nil {
		return err
	}
	defer c.Close()
	limited, cancel := context.WithTimeout(ctx, r.patience)
	defer cancel()
	err = f(limited, c)
	if ctx.Err() != nil {
		return context.Canceled // whatever it was that broke, the person broke it
	}
	return reached(err)
}

// reached says what to do when no node answered.
func reached(err error) error {
	const try = "caucus up   (three nodes, in another terminal), or --node URL for one that runs elsewhere"
	var (
		f *failure
		p *api.Problem
		u *api.UnreachableError
	)
	switch {
	case err == nil, errors.As(err, &f), errors.As(err, &p):
		return err
	case errors.As(err, &u):
		return &failure{code: exitFailure, err: fmt.Errorf("no node answers at %s (%s)", u.Base, u.Why), try: try}
	}
	return &failure{code: exitFailure, err: err, try: try}
}

// raw prints the node's answer as it came, also where the answer is a problem.
func (r *reader) raw(ctx context.Context, method, path string, query url.Values, body any) error {
	return r.ask(ctx, func(ctx context.Context, c *api.Client) error {
		b, err := c.Raw(ctx, method, path, query, body)
		if err != nil {
			r.app.printProblem(err)
			return err
		}
		r.app.printJSONBytes(b)
		return nil
	})
}

// printProblem writes a problem as JSON to standard output, for those who asked for JSON.
func (a *app) printProblem(err error) {
	var p *api.Problem
	if errors.As(err, &p) {
		_ = a.printJSON(p)
	}
}

func (a *app) printJSONBytes(b []byte) {
	fmt.Fprintf(a.out, "%s\n", bytes.TrimSpace(b))
}

// printJSON writes v on one line, as the nodes do.
func (a *app) printJSON(v any) error {
	e := json.NewEncoder(a.out)
	e.SetEscapeHTML(false)
	return e.Encode(v)
}
