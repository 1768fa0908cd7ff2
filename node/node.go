// Package node wires one node together: its model, its membership, its HTTP
// interface and the consensus round.
//
// Life of a node: New fits the model, opens the state folder and binds the listener.
// Run serves HTTP, joins the cluster and returns when its context ends, having left the
// cluster, finished the rounds under way, stopped HTTP and closed the sessions, in that
// order. The addresses and their replies are those of package node/api.
//
// A round of /consensus asks every member of the roster that has this node's task, on the
// sessions that the cluster keeps, and this node's own model in place. n, the number of
// the invited, is fixed when it begins; who has failed counts in it although nobody calls
// it. See Package node/consensus for how votes are counted.
package node

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"caucus/cluster"
	"caucus/cluster/evidence"
	"caucus/cluster/identity"
	"caucus/cluster/reach"
	"caucus/ml"
	"caucus/node/api"
	"caucus/node/dialect"
)

// Node is one process's node: one model, one membership, one HTTP server.
type Node struct {
	cfg        Config
	id         identity.ID
	log        *slog.Logger
	local      *local
	evaluation *ml.Evaluation
	ranges     []api.FeatureRange // of the features; nil: not known
	info       *api.Info
	listener   net.Listener
	cluster    *cluster.Membership
	engine     *engine
	feedback   *feedback
	policy     evidence.Policy   // whose labels count
	upstream   *dialect.Upstream // nil: the model is this node's own
	api        *api.API
	tunnel     *reach.Tunnel // nil: none is asked for
	server     *http.Server
	traffic    traffic
	doctor     doctor
	tunnelled  atomic.Pointer[reach.TunnelState] // the last that the tunnel told; nil: none yet

	ready   chan struct{} // closed once this node answers /consensus
	settled atomic.Bool   // the same, to look at without a channel
	// formChanged holds a token when the upstream is asked in another way than before.
	formChanged chan struct{}
	started     atomic.Bool           // Run was called
	unkept      atomic.Uint64         // times that a token could not be written
	tokenErr    atomic.Pointer[error] // what became of the last one
	cleanups    []cleanup             // in the order in which things were opened
	closed      atomic.Bool
}

type cleanup struct {
	what string
	do   func() error
}

// New fits the model, opens the state folder and binds the listener. On failure it
// leaves nothing open. A node that is never run must be closed.
func New(ctx context.Context, cfg Config) (n *Node, err error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("node: %w", err)
	}
	cfg.setDefaults()
	n = &Node{cfg: cfg, log: cfg.Log.With("node", cfg.Name), ready: make(chan struct{})}
	n.doctor.n = n
	defer func() {
		if err != nil {
			err = errors.Join(err, n.drain())
			n = nil
		}
	}()

	// The listener first: a taken port is said before a long fit, not after it.
	if n.listener = cfg.Listener; n.listener == nil {
		if n.listener, err = listen(ctx, cfg.Listen, cfg.NextPort, n.log); err != nil {
			return n, err
		}
	}
	n.onClose("the listener", func() error { return ignore(n.listener.Close(), net.ErrClosed) })

	if err = n.fit(ctx); err != nil {
		return n, err
	}
	key, err := n.key()
	if err != nil {
		return n, err
	}
	n.id = key.ID()
	if err = n.join(key); err != nil {
		return n, err
	}
	n.onClose("the cluster", n.cluster.Shutdown)
	if err = n.openTunnel(); err != nil {
		return n, err
	}

	n.info = &api.Info{
		ID: string(n.id), Name: cfg.Name, Model: string(n.local.model.Kind()), Version: cfg.Version,
		Features: n.local.task.Features, Labels: n.local.task.Labels, Probabilistic: n.probabilistic(), Deadline: cfg.Deadline,
	}
	n.engine.cluster, n.engine.courier, n.engine.self = n.cluster, sessionCourier{n.cluster}, n.id
	n.engine.learner.log = n.cluster.Evidence()
	n.engine.metrics.registry.MustRegister(weightGauges{n.engine.learner.current.Load}, stateGauges{n})
	n.engine.key = key
	n.feedback = &feedback{key: key, log: n.cluster.Evidence(), engine: n.engine, carrier: n.cluster}
	n.onClose("the rounds", func() error { n.engine.history.clear(); return nil })

	if n.api, err = api.New(n.apiConfig()); err != nil {
		return n, fmt.Errorf("node: %w", err)
	}
	n.api.SetBearers(bearers(n.cluster.Tokens())) // those on disk may be newer than the configuration's
	n.server = n.api.Server()
	n.server.ConnContext = n.traffic.meter.remember
	n.traffic.view, n.traffic.peers, n.traffic.requests = n.cluster.View, n.cluster.Traffic, n.api.Tunnelled
	n.traffic.url = func() string { c, _ := n.cluster.Chooser().Current(); return c.URL }
	n.engine.metrics.registry.MustRegister(&n.traffic, storage{n})
	n.onClose("the HTTP server", n.server.Close)
	return n, nil
}

func (n *Node) onClose(what string, do func() error) {
	n.cleanups = append(n.cleanups, cleanup{what, do})
}

// drain undoes what New has done, last things first.
func (n *Node) drain() error {
	if !n.closed.CompareAndSwap(false, true) {
		return nil
	}
	var errs []error
	for i := len(n.cleanups) - 1; i >= 0; i-- {
		if err := n.cleanups[i].do(); err != nil {
			errs = append(errs, fmt.Errorf("close %s: %w", n.cleanups[i].what, err))
		}
	}
	return errors.Join(errs...)
}

func ignore(err, expected error) error {
	if errors.Is(err, expected) {
		return nil
	}
	return err
}

// key reads the node's identity, or makes one up that lasts as long as the process.
func (n *Node) key() (*identity.Key, error) {
	if n.cfg.StateDir == "" {
		return identity.Generate()
	}
	return identity.LoadOrCreate(n.cfg.StateDir)
}

// join makes the membership, which talks to nobody before Run.
func (n *Node) join(key *identity.Key) error {
	about, err := n.about()
	if err != nil {
		return err
	}
	n.engine = n.newEngine()
	if n.policy, err = evidence.ParsePolicy(n.cfg.FeedbackFrom); err != nil {
		return err
	}
	classes := n.local.classes
	if classes > evidence.MaxClasses {
		classes = 0
		n.log.Warn("the task has too many labels for evidence, so no weights will be learnt", "labels", n.local.classes, "limit", evidence.MaxClasses)
	}
	var tokens []identity.Token
	if n.cfg.Token != nil {
		tokens = append(tokens, *n.cfg.Token)
	}
	n.cluster, err = cluster.New(cluster.Config{
		OnTokens: n.tokensReplaced,
		Key:      key, Name: n.cfg.Name, Model: string(n.local.model.Kind()), Fingerprint: n.local.model.Fingerprint(),
		Task: n.local.digest, Description: about, URL: n.cfg.PublicURL, ListenPort: n.port(), ListenLocal: n.listensLocally(), ListenIP: n.listenIP(),
		MDNS: n.cfg.MDNS, NeverAlone: n.cfg.JoinRequired,
		AllowPrivate: n.cfg.AllowPrivate, Tokens: tokens, ThisMachineOnly: !n.cfg.Open,
		StateDir: n.cfg.StateDir, NewCluster: n.cfg.NewCluster, Profile: n.cfg.Profile,
		Responder: &responder{local: n.local, key: key, votes: n.engine.metrics.own, log: n.log.With("component", "responder")},
		Classes:   classes, FeedbackFrom: n.policy,
		ForgetAfter: n.cfg.ForgetAfter, TimeScale: n.cfg.TimeScale, NoRejoin: n.cfg.NoRejoin,
		DialContext: n.cfg.Dial, OnBroadcast: n.engine.heard, Now: n.cfg.Now, Log: n.log,
	})
	return err
}

func (n *Node) newEngine() *engine {
	invites := make([]string, len(n.cfg.Join))
	for i, inv := range n.cfg.Join {
		invites[i] = inv.Address
	}
	if n.cfg.MDNS {
		invites = append(invites, "anybody on the local network")
	}
	return &engine{
		local: n.local, quorum: n.cfg.Quorum, invites: strings.Join(invites, ", "),
		times:   times{peer: n.cfg.PeerTimeout, deadline: n.cfg.Deadline, linger: n.cfg.Linger},
		metrics: newMetrics(n.cfg.Version, func() *cluster.View { return n.cluster.View() }),
		history: newHistory(), recall: newRecall(n.local.columns), learner: learner{classes: n.local.classes}, log: n.log.With("component", "round"), now: time.Now, wall: n.cfg.Now,
	}
}

func (n *Node) apiConfig() api.Config {
	cfg := api.Config{Node: n, Gossip: n.cluster.Handler(), Relay: n.cluster, Registry: n.engine.metrics.registry, Log: n.log.With("component", "http")}
	cfg.Rotate = n.rotate
	cfg.Forwarded = n.traffic.meter.forwarded
	if u, err := url.Parse(n.cfg.PublicURL); err == nil && u.Hostname() != "" {
		cfg.Hosts = append(cfg.Hosts, u.Hostname())
	}
	return cfg
}

func (n *Node) port() int {
	_, port, _ := net.SplitHostPort(n.listener.Addr().String())
	p, _ := strconv.Atoi(port)
	return p
}

// listenIP is the address of the listener, perhaps the unspecified one.
func (n *Node) listenIP() netip.Addr {
	a, _ := netip.ParseAddrPort(n.listener.Addr().String())
	return a.Addr()
}

// listensLocally reports whether only this machine reaches the listener.
func (n *Node) listensLocally() bool {
	host, _, _ := net.SplitHostPort(n.listener.Addr().String())
	return loopback(host)
}

// Addr returns the bound host:port.
func (n *Node) Addr() string { return n.listener.Addr().String() }

// ID returns the node's id.
func (n *Node) ID() identity.ID { return n.id }

// Name returns the node's name.
func (n *Node) Name() string { return n.cfg.Name }

// Cluster returns the node's membership, for tests and for the commands that print a join line.
func (n *Node) Cluster() *cluster.Membership { return n.cluster }

// Evaluation returns how the model did on rows that it was not fitted on, or nil.
func (n *Node) Evaluation() *ml.Evaluation { return n.evaluation }
