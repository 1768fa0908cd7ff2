package node

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"

	"caucus/cluster"
	"caucus/cluster/identity"
	"caucus/cluster/reach"
)

// How this node gets a URL from outside the cluster: an ngrok agent that runs on this
// machine is watched, or a tunnel of the node's own is kept open. What they find goes to
// the membership's chooser.

// openTunnel makes the tunnel that --ngrok asks for; Run opens it.
func (n *Node) openTunnel() error {
	if !n.cfg.Ngrok {
		return nil
	}
	opener, err := reach.NewNgrok(n.cfg.NgrokToken, n.log)
	if err != nil {
		return err
	}
	n.tunnel = reach.NewTunnel(reach.TunnelConfig{Opener: opener, Log: n.log, OnState: func(s reach.TunnelState) {
		n.tunnelled.Store(&s)
		if err := n.cluster.Chooser().SetTunnel(s); err != nil {
			n.log.Warn("the tunnel's URL is not usable", "url", s.URL, "error", err)
		}
	}})
	return nil
}

// agentWatch makes the watcher of the ngrok agent, nil if there is nothing to watch for.
func (n *Node) agentWatch() (*reach.Agent, error) {
	if !n.cfg.WatchAgent || n.cfg.PublicURL != "" || n.cfg.Ngrok {
		return nil, nil
	}
	return reach.NewAgent(reach.AgentConfig{API: n.cfg.AgentAPI, Port: n.port(), Log: n.log, OnURL: func(url string) {
		if url != "" && !n.cfg.Open && len(n.cluster.Tokens()) == 0 && !n.protect(url) {
			return
		}
		if err := n.cluster.Chooser().Set(reach.FromAgent, url); err != nil {
			n.log.Warn("the ngrok agent's URL is not usable", "url", url, "error", err)
		}
	}})
}

// protect makes a token for a node that was on this machine alone until a tunnel came to lead to it: strangers
// must not find it open. It reports whether the tunnel may be used.
func (n *Node) protect(url string) bool {
	t, err := identity.NewToken()
	if err == nil {
		err = n.cluster.Protect(t)
	}
	switch {
	case errors.Is(err, cluster.ErrNotAlone):
		n.log.Warn("an ngrok agent leads to this node, whose cluster has no token to tell friends from strangers, so its URL is not used and who comes through it is refused; stop the nodes and start this one again: it makes a token, and prints the line by which the others join",
			"url", url)
	case err != nil:
		n.log.Error("an ngrok agent leads to this node, but no token could be made, so its URL is not used", "url", url, "error", err)
	default:
		n.log.Info("an ngrok agent leads to this node, so it made a token; caucus invite prints the line by which others join", "url", url)
		if n.cfg.OnToken != nil {
			n.cfg.OnToken(url, t)
		}
	}
	return err == nil
}

// front is what serves while the node runs.
type front struct {
	wg      sync.WaitGroup
	failed  chan error // the first error that ends the node
	relayed *http.Server
}

// serve starts all that serves HTTP, and what looks for this node's URL, until ctx ends.
func (n *Node) serve(ctx context.Context) (*front, error) {
	agent, err := n.agentWatch()
	if err != nil {
		return nil, err
	}
	f := &front{failed: make(chan error, 4), relayed: n.api.Relayed()}
	n.serveOn(f, n.server, n.traffic.meter.listen(n.listener, false))
	n.serveOn(f, f.relayed, n.cluster.Relayed())
	if n.tunnel != nil {
		n.serveOn(f, n.server, n.traffic.meter.listen(n.tunnel, true))
		f.wg.Go(func() {
			if err := n.tunnel.Run(ctx); err != nil {
				f.failed <- fmt.Errorf("node: %w", err)
			}
		})
	}
	if agent != nil {
		f.wg.Go(func() { agent.Run(ctx) })
	}
	return f, nil
}

func (n *Node) serveOn(f *front, server *http.Server, l net.Listener) {
	f.wg.Go(func() {
		err := server.Serve(l)
		// A listener that was closed on purpose is how a node ends well.
		if err != nil && !errors.Is(err, http.ErrServerClosed) && !errors.Is(err, net.ErrClosed) {
			f.failed <- fmt.Errorf("node: serving ended: %w", err)
		}
	})
}
