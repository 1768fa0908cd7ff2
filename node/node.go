// Package node wires one node together: its model, its membership, its HTTP
// interface and the consensus round.
package node

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"caucus/cluster"
	"caucus/cluster/identity"
	"caucus/ml"
)

// Config says what one node is. Fill it from DefaultConfig; Validate names the field and the remedy.
type Config struct {
	Name         string            // [a-z0-9-]{1,63}; empty: the kind of model
	Listen       string            // host:port; ":0" picks a port; default "127.0.0.1:5001"
	NextPort     bool              // when the port is taken, take the next free one and say so (up)
	Fit          ml.FitOptions     // the kind of model, its seed and settings
	Data         string            // CSV file; empty: Iris
	Label        string            // label column; empty: the last
	Holdout      float64           // share of rows held out for the accuracy shown, default 0.3; 0: train on all, cross-validate
	PublicURL    string            // how others reach this node, if known
	Join         []identity.Invite // where to find others
	JoinRequired bool              // fail with ErrCouldNotJoin if nobody was reached in 30 s
	NewCluster   bool              // begin a roster of its own
	Token        *identity.Token   // nil: an open cluster, on loopback only unless Open
	Open         bool              // listen beyond loopback without a token
	StateDir     string            // key, roster, evidence; empty: kept in memory (a new identity each start)
	Profile      cluster.Profile   // empty: chosen from PublicURL and Join
	Quorum       int               // wanted votes; the strict majority applies anyway
	PeerTimeout  time.Duration     // default 1.5 s
	Deadline     time.Duration     // of a round, default 3 s
	Linger       time.Duration     // for the others once the outcome is certain, default 50 ms
	ForgetAfter  time.Duration     // default 15 min
	TimeScale    float64           // multiplies gossip's timings; for tests; 0 means 1
	Version      string
	Log          *slog.Logger // nil: discard

	// Model, when not nil, is used instead of fitting one (tests, upstreams, stored models).
	Model ml.Model
	// Evaluation goes with Model.
	Evaluation *ml.Evaluation
}

// ErrCouldNotJoin is Run's error when JoinRequired is set and nobody was reached.
var ErrCouldNotJoin = errors.New("node: could not join anybody")

// DefaultConfig returns the defaults.
func DefaultConfig() Config { return Config{} }

// Validate names the field that is wrong, its value and the remedy.
func (c *Config) Validate() error { return nil }

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
