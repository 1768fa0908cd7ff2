// Package cluster says who is a member. It keeps the roster of signed cards,
// merges it with the other nodes' over memberlist, keeps it on disk, and tells
// whether each member is alive, suspect, failed, left or refused.
package cluster

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"time"

	"caucus/cluster/identity"
	"caucus/cluster/session"
)

// State is what this node believes of a member.
type State uint8

// The states of a member.
const (
	Alive   State = iota // gossip says alive
	Suspect              // did not answer a probe; may refute it
	Failed               // gone without a word; stays in the roster and counts for the quorum
	Left                 // said goodbye; no longer counts
	Refused              // seen, but not let in; Reason says why
)

// Member is one entry of the roster, immutable once published in a View.
type Member struct {
	identity.Card
	State       State
	Since       time.Time     // when State began (wall clock, display only)
	RTT         time.Duration // 0 if unknown
	Via         identity.ID   // the relay that carries it, if any
	Reason      string        // why it was refused, or what is wrong with it
	Description []byte        // its description (see Config.Description), nil until fetched
	Self        bool
}

// View is an immutable snapshot of what this node knows. It is replaced, never
// changed, so that a round may hold on to one without a lock.
type View struct {
	Members []Member // sorted by id; every state
	// Digest is a SHA-256 over the roster: id, task and fingerprint of all members who
	// have not left and were not refused. Equal digests, equal quorum.
	Digest [32]byte
	// Joined is false until a node with seeds has reached anybody, or has settled alone.
	Joined bool
	// EverPeer is true once this node has ever been given or met a peer.
	EverPeer bool
	// Restored is true while the roster came from disk and nobody on it has been reached.
	Restored bool
}

// Profile fixes gossip's timings at start.
type Profile string

// The profiles.
const (
	LAN    Profile = "lan"
	Tunnel Profile = "tunnel"
)

// Config says who this node is and how it finds others. Zero durations mean defaults.
type Config struct {
	Key         *identity.Key
	Name        string
	Model       string
	Fingerprint [32]byte
	Task        [32]byte
	Description []byte // what the member shows of itself on request (JSON: task, parameters, evaluation, version), at most 64 KiB
	URL         string // how others reach this node, may be empty
	Tokens      []identity.Token
	StateDir    string // empty: nothing is kept
	NewCluster  bool   // forget the roster on disk
	Profile     Profile
	Responder   session.Responder

	ForgetAfter time.Duration                                                        // default 15 min
	RejoinMin   time.Duration                                                        // the rejoin loop's wait, jittered between these; default 8 s
	RejoinMax   time.Duration                                                        // default 12 s
	TimeScale   float64                                                              // multiplies gossip's and keep-alive's timings; for tests; 0 means 1
	MaxMembers  int                                                                  // default 256
	DialContext func(ctx context.Context, network, address string) (net.Conn, error) // for outbound sessions; nil: net.Dialer
	OnBroadcast func(from identity.ID, msg []byte)                                   // a broadcast of another node, at most 512 bytes
	Log         *slog.Logger
}

// Sentinels that callers branch on.
var (
	ErrStopped    = errors.New("cluster: stopped")
	ErrStateInUse = errors.New("cluster: the state folder is in use by another process")
	ErrNoMember   = errors.New("cluster: no such member")
)

// Membership is this node's part in the cluster. It is inert until Join.
type Membership struct{}

// New opens the state folder and makes a membership that talks to nobody yet.
func New(cfg Config) (*Membership, error) { return nil, ErrStopped }

// Handler is GET /gossip. Mount it before Join.
func (m *Membership) Handler() http.Handler { return nil }

// Join starts gossip and dials the invites in the background, each retried for
// ever with backoff, in any order; one that turns out to be this node is dropped.
// It returns at once.
func (m *Membership) Join(ctx context.Context, invites []identity.Invite) error { return ErrStopped }

// WaitReady waits until the view has settled: joined, and unchanged for a moment.
func (m *Membership) WaitReady(ctx context.Context) error { return ErrStopped }

// View returns the current snapshot. It takes no lock.
func (m *Membership) View() *View { return nil }

// Changed returns a channel that is closed at the next change of the view.
func (m *Membership) Changed() <-chan struct{} { return nil }

// Ask puts a question to a member on its session (see session.Manager.Ask).
func (m *Membership) Ask(ctx context.Context, id identity.ID, ask, dst []byte) ([]byte, error) {
	return nil, ErrStopped
}

// Broadcast spreads msg (at most 512 bytes) to all members, best effort.
func (m *Membership) Broadcast(msg []byte) error { return ErrStopped }

// SetURL changes this node's URL and advertises it.
func (m *Membership) SetURL(url string) error { return ErrStopped }

// Forget takes failed members out of the roster, here and at every node that hears of it.
func (m *Membership) Forget(ids ...identity.ID) error { return ErrStopped }

// Leave says goodbye: the leaving card first, then memberlist's leave. It waits until
// the others can have heard, or ctx ends.
func (m *Membership) Leave(ctx context.Context) error { return ErrStopped }

// Shutdown closes sessions and files and waits for all goroutines. It may be called without Leave.
func (m *Membership) Shutdown() error { return nil }
