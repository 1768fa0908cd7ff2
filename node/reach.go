package node

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"

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
		if url != "" && n.cfg.Token == nil && !n.cfg.Open {
			// It was on this machine alone when it began without a token, and strangers must not find it open now.
			n.log.Warn("an ngrok agent leads to this node, which has no token to tell friends from strangers, so its URL is not used; start the node again, and it makes one", "url", url)
			return
		}
		if err := n.cluster.Chooser().Set(reach.FromAgent, url); err != nil {
			n.log.Warn("the ngrok agent's URL is not usable", "url", url, "error", err)
		}
	}})
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
