package node

import (
	"context"
	"sync"
	"sync/atomic"
)

// watchers are woken when there is something new to look at. Waking costs one atomic
// load while nobody watches, which is nearly always.
type watchers struct {
	count atomic.Int32
	mu    sync.Mutex // guards set
	set   map[chan struct{}]struct{}
}

// add returns a channel that holds a token after a wake. Tokens do not add up.
func (w *watchers) add() chan struct{} {
	c := make(chan struct{}, 1)
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.set == nil {
		w.set = make(map[chan struct{}]struct{})
	}
	w.set[c] = struct{}{}
	w.count.Add(1)
	return c
}

func (w *watchers) remove(c chan struct{}) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.set, c)
	w.count.Add(-1)
}

// wake never blocks.
func (w *watchers) wake() {
	if w.count.Load() == 0 {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for c := range w.set {
		select {
		case c <- struct{}{}:
		default:
		}
	}
}

// Watch implements api.Node.
func (n *Node) Watch(ctx context.Context, look func()) {
	rounds := n.engine.history.watchers.add()
	defer n.engine.history.watchers.remove(rounds)
	weights := n.engine.learner.watchers.add()
	defer n.engine.learner.watchers.remove(weights)
	for {
		members := n.cluster.Changed() // before the look, so that nothing falls between
		look()
		select {
		case <-members:
		case <-rounds:
		case <-weights:
		case <-ctx.Done():
			return
		}
	}
}
