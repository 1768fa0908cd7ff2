package main

import (
	"context"
	"fmt"
	"net"
	"time"

	"github.com/spf13/cobra"

	"caucus/configs"
	"caucus/node/api"
)

func (a *app) healthcheckCommand() *cobra.Command {
	var address string
	cmd := &cobra.Command{
		Use:   "healthcheck",
		Short: "Exit 0 if the node on this machine is ready, else 1",
		Long: `Ask the node on this machine whether it is ready to answer. It is found by --node or
CAUCUS_NODE, else by where CAUCUS_LISTEN or the file of CAUCUS_CONFIG tell it to listen.
Made for Docker's HEALTHCHECK: it prints one line and exits 0 or 1.`,
		Example: `  caucus healthcheck
  caucus healthcheck --node http://127.0.0.1:5002`,
		Args: arguments(0, 0, ""),
	}
	var asJSON bool
	cmd.Flags().StringVar(&address, "node", "", "the node to ask, as a `URL`")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the node's answer as JSON")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if address == "" {
			var err error
			if address, err = a.localNode(); err != nil {
				return err
			}
		}
		ctx, cancel := context.WithTimeout(cmd.Context(), 2*time.Second)
		defer cancel()
		c, err := api.NewClient(address, "")
		if err != nil {
			return err
		}
		defer c.Close()
		ready, err := c.Ready(ctx)
		if asJSON {
			if err != nil {
				a.printProblem(err)
			} else {
				return a.printJSON(ready)
			}
		}
		if err != nil {
			fmt.Fprintf(a.err, "not ready: %s\n", plain(err.Error()))
			return said(exitFailure)
		}
		fmt.Fprintf(a.out, "ready: %s, %s\n", oneLine(ready.Name), plural(ready.Members, "member"))
		return nil
	}
	return cmd
}

// localNode is the address of the node that the environment configures.
func (a *app) localNode() (string, error) {
	if s, ok := a.env(nodeEnv); ok && s != "" {
		return s, nil
	}
	listen, err := configs.Listen(a.env)
	if err != nil {
		return "", err
	}
	return "http://" + dialable(listen), nil
}

// dialable turns an address to listen on into one to dial on this machine.
func dialable(listen string) string {
	host, port, err := net.SplitHostPort(listen)
	if err != nil {
		return listen
	}
	// Go listens for both kinds of IP where it listens everywhere, so this one works always.
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	return net.JoinHostPort(host, port)
}
