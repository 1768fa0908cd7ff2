package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"strconv"
	"time"

	"caucus/configs"
	"caucus/ml"
	"caucus/node"
	"caucus/node/api"
)

// The three nodes and their ports, as the old apps had them.
var upKinds = []struct {
	kind ml.Kind
	port int
}{{ml.KNN, 5001}, {ml.Forest, 5000}, {ml.SVM, 5002}}

// upGoodbye is how long Ctrl-C may take: 3 s in all, less what the process needs to end.
const upGoodbye = 2800 * time.Millisecond

// running is one of the nodes while it runs.
type running struct {
	*node.Node
	cancel context.CancelFunc
	done   chan struct{} // closed when Run has returned
	err    error         // what it returned; read after done
}

// trio is the three nodes while they run.
type trio struct {
	nodes []*running
	died  chan struct{} // has something in it once a node has ended
}

// run starts a node. Its context is not the command's: stop ends the nodes one by one.
func (t *trio) run(ctx context.Context, n *node.Node) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	r := &running{Node: n, cancel: cancel, done: make(chan struct{})}
	t.nodes = append(t.nodes, r)
	go func() {
		r.err = n.Run(ctx)
		close(r.done)
		select {
		case t.died <- struct{}{}:
		default:
		}
	}()
}

// startTrio makes the nodes, each joined to those before it, and runs them. What it
// returns must be stopped, also beside an error.
func (a *app) startTrio(ctx context.Context, s configs.Settings, wanted []int) (*trio, error) {
	t := &trio{died: make(chan struct{}, 1)}
	ports := choosePorts(wanted)
	for i, k := range upKinds {
		cfg := s.Node
		cfg.Fit.Kind = k.kind
		cfg.Name = string(k.kind)
		cfg.Listen = net.JoinHostPort("127.0.0.1", strconv.Itoa(ports[i]))
		cfg.NextPort = true
		cfg.Version = thisBuild().Version
		cfg.Log = s.Log.Logger(a.err, a.errTTY)
		if s.Node.StateDir != "" {
			cfg.StateDir = filepath.Join(s.Node.StateDir, cfg.Name)
		}
		bar := a.newSlowBar("fitting " + cfg.Name)
		cfg.Fit.Progress = bar.progress
		for _, earlier := range t.nodes {
			cfg.Join = append(cfg.Join, inviteTo(earlier.Addr()))
		}
		n, err := node.New(ctx, cfg)
		bar.finish()
		if err != nil {
			return t, err
		}
		t.run(ctx, n)
		if port := portOf(n.Addr()); wanted[i] != 0 && port != wanted[i] {
			why := ""
			if wanted[i] == 5000 {
				why = " (on a Mac, AirPlay holds it)"
			}
			fmt.Fprintf(a.err, "%s port %d is taken%s, so %s is on %d\n", a.errStyle.yellow("note:"), wanted[i], why, cfg.Name, port)
		}
	}
	return t, nil
}

// stop ends the nodes, the last one after the others, so that each has somebody to say
// goodbye to: three that leave at once wait for one another in vain. It does not wait
// for ever.
func (t *trio) stop() error {
	if len(t.nodes) == 0 {
		return nil
	}
	late := time.After(upGoodbye)
	last := t.nodes[len(t.nodes)-1]
	for _, n := range t.nodes {
		if n != last {
			n.cancel()
		}
	}
	var first error
	for _, n := range t.nodes {
		if n == last {
			n.cancel()
		}
		select {
		case <-n.done:
			if n.err != nil && !errors.Is(n.err, context.Canceled) && first == nil {
				first = n.err
			}
		case <-late:
			last.cancel()
			return fmt.Errorf("%s did not end within %v", n.Name(), upGoodbye)
		}
	}
	return first
}

// whole waits until every node would invite all of them to a round.
func (t *trio) whole(ctx context.Context, clients []*api.Client) error {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for i, c := range clients {
		if err := wait(ctx, t, t.nodes[i].Ready()); err != nil {
			return err
		}
		for {
			if r, err := c.Ready(ctx); err == nil && r.Members >= len(clients) {
				break
			}
			if err := wait(ctx, t, tick.C); err != nil {
				return err
			}
		}
	}
	return nil
}

// wait waits for a channel, unless a node ends by itself or ctx ends before.
func wait[T any](ctx context.Context, t *trio, c <-chan T) error {
	select {
	case <-c:
		return nil
	case <-t.died:
		for _, n := range t.nodes {
			select {
			case <-n.done:
				if n.err != nil {
					return n.err
				}
			default:
			}
		}
		return errors.New("a node ended before it was ready")
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
