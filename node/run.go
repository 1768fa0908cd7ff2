package node

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	"caucus/cluster"
)

const (
	leaveWithin = 2 * time.Second // to say goodbye
	drainWithin = 5 * time.Second // for the requests under way
)

// Ready returns a channel that is closed once the node answers /consensus.
func (n *Node) Ready() <-chan struct{} { return n.ready }

// Close closes a node that was never run. After Run it does nothing.
func (n *Node) Close() error {
	if n.started.Swap(true) {
		return nil
	}
	return n.drain()
}

// Run serves until ctx ends, then leaves, drains and closes, in this order: leave the
// cluster, finish the rounds under way, stop HTTP, close the sessions.
func (n *Node) Run(ctx context.Context) error {
	if n.started.Swap(true) {
		return errors.New("node: Run was called before; make a new node")
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var wg sync.WaitGroup
	// HTTP first: who is joined may dial back at once.
	front, err := n.serve(ctx)
	if err != nil {
		return errors.Join(err, n.drain())
	}
	err = n.cluster.Join(ctx, n.cfg.Join)
	failed := make(chan error, 1)
	if err == nil {
		n.log.Info("serving", "address", n.Addr(), "id", string(n.id), "profile", string(n.cfg.Profile))
		wg.Go(func() {
			if err := n.await(ctx); err != nil {
				failed <- err
			}
		})
		wg.Go(func() { n.countChanges(ctx) })
		wg.Go(func() { n.traffic.follow(ctx) })
		if n.upstream != nil {
			wg.Go(func() { n.followUpstream(ctx) })
		}
		wg.Go(func() { n.engine.learner.run(ctx, n.cluster.Changed, n.engine.invitedOf) })
		select {
		case <-ctx.Done():
		case err = <-failed:
		case err = <-front.failed:
		}
	}
	cancel()
	err = errors.Join(err, n.shutdown(front))
	wg.Wait()
	front.wg.Wait()
	return err
}

// await closes ready once the view has settled. It fails only if joining is required
// and does not happen in time.
func (n *Node) await(ctx context.Context) error {
	limit := ctx
	if n.cfg.JoinRequired {
		var cancel context.CancelFunc
		limit, cancel = context.WithTimeout(ctx, scaled(joinRequiredWithin, n.cfg.TimeScale))
		defer cancel()
	}
	switch err := n.cluster.WaitReady(limit); {
	case err == nil:
		n.settled.Store(true)
		close(n.ready)
		n.log.Info("ready", "members", len(n.engine.invitedOf().peers))
		return nil
	case ctx.Err() != nil, errors.Is(err, cluster.ErrStopped):
		return nil
	default:
		why := "check the address and the token, and that a node runs there"
		if met := n.cluster.Trouble(); met != "" {
			why = "what came of it the last time: " + cleanTo(met, ownWords)
		}
		return fmt.Errorf("%w: nobody let this node in at %s within %v; %s",
			ErrCouldNotJoin, n.engine.invites, scaled(joinRequiredWithin, n.cfg.TimeScale), why)
	}
}

func scaled(d time.Duration, factor float64) time.Duration {
	return time.Duration(float64(d) * factor)
}

// shutdown ends the node. Each step has its reason to come where it comes.
func (n *Node) shutdown(front *front) error {
	start := time.Now()
	// New rounds go elsewhere from now on, and clients learn that this connection ends.
	n.api.Close()
	n.server.SetKeepAlivesEnabled(false)
	// Leave while the sessions still stand: the others must hear that this is no failure.
	ctx, cancel := context.WithTimeout(context.Background(), leaveWithin)
	if err := n.cluster.Leave(ctx); err != nil && !errors.Is(err, cluster.ErrStopped) {
		n.log.Warn("leaving the cluster did not go smoothly; the others may take this node for failed", "error", strings.TrimPrefix(err.Error(), "cluster: "))
	}
	cancel()
	// Shutdown waits for the requests under way, and needs the sessions for their votes.
	// It does not wait for the sessions' own connections, which are hijacked.
	ctx, cancel = context.WithTimeout(context.Background(), drainWithin)
	defer cancel()
	if err := n.server.Shutdown(ctx); err != nil && !errors.Is(err, http.ErrServerClosed) {
		n.log.Warn("requests that were still under way are cut off", "error", err)
	}
	_ = front.relayed.Close() // what a relay brings is answered, or its outsiders ask again elsewhere
	err := n.drain()          // the sessions, the state folder
	n.log.Info("stopped", "after", time.Since(start).Round(time.Millisecond))
	return err
}
