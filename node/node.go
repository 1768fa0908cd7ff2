// Package node wires one node together: its model, its membership, its HTTP
// interface and the consensus round.
package node

import (
	"context"
	"errors"

	"caucus/cluster/identity"
)

// Node is one process's node: one model, one membership, one HTTP server.
type Node struct{}

// New fits the model, opens the state folder and binds the listener. On failure it
// leaves nothing open.
func New(ctx context.Context, cfg Config) (*Node, error) {
	return nil, errors.New("node: not built yet")
}

// Addr returns the bound host:port.
func (n *Node) Addr() string { return "" }

// ID returns the node's id.
func (n *Node) ID() identity.ID { return "" }

// Name returns the node's name.
func (n *Node) Name() string { return "" }

// Ready returns a channel that is closed once the node answers /consensus.
func (n *Node) Ready() <-chan struct{} { return nil }

// Run serves until ctx ends, then leaves, drains and closes, in this order: leave the
// cluster, finish the rounds under way, stop HTTP, close the sessions.
func (n *Node) Run(ctx context.Context) error { return nil }
