// Package cluster says who is a member. It keeps the roster of signed cards,
// merges it with the other nodes' over memberlist, keeps it on disk, and tells
// whether each member is alive, suspect, failed, left or refused.
package cluster

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"time"

	"github.com/hashicorp/memberlist"

	"caucus/cluster/evidence"
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

// Member is one entry of the roster, immutable once published in a View. Those that are
// Alive, Suspect or Failed count for the quorum of their task; Left and Refused ones do not. A
// newcomer that must wait because most of the roster is out of reach is Refused, this node itself included.
type Member struct {
	identity.Card
	State       State
	Since       time.Time     // when State began (wall clock, display only)
	RTT         time.Duration // 0 if unknown
	Via         identity.ID   // the relay that carries it, if any
	Carries     []identity.ID // the members that it carries
	Reason      string        // why it was refused, or what is wrong with it
	Description []byte        // its description (see Config.Description), nil until fetched
	Self        bool
	Removed     bool // it was refused because a person removed it, at Since
}

// View is an immutable snapshot of what this node knows. It is replaced, never
// changed, so that a round may hold on to one without a lock.
type View struct {
	Members []Member // sorted by id; every state
	// Digest is a SHA-256 over the roster: id, task and fingerprint of all members who
	// have not left and were not refused. Equal digests, equal quorum.
	Digest [32]byte
	// Joined is false until a node with seeds has reached anybody, or has settled alone.
	// A node that comes back to a roster from disk is joined: that roster says whom it waits for.
	Joined bool
	// EverPeer is true once this node has ever been given or met a peer.
	EverPeer bool
	// Removed says by whom and when this node was removed from the cluster, in words; empty: it was not.
	Removed string
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
	Description []byte     // what the member shows of itself on request (JSON: task, parameters, evaluation, version), at most 64 KiB
	URL         string     // how others reach this node, as a person says; empty: what Chooser is told, dial-back finds, or a relay's
	ListenPort  int        // where Handler is served, for dial-back; 0: unknown
	ListenLocal bool       // it is served on this machine alone, so that no dial-back can succeed
	ListenIP    netip.Addr // the address that it is served on; zero or unspecified: all
	MDNS        bool       // find nodes of the same token on the local network, and be found; it counts as an invite
	NeverAlone  bool       // with MDNS: wait for others for ever, rather than begin alone when nobody answers
	Tokens      []identity.Token
	// ThisMachineOnly says that a membership without a token is for this machine alone: whoever comes through a
	// tunnel or another proxy is refused for as long as there is none.
	ThisMachineOnly bool

	OnTokens func(tokens []identity.Token) // the tokens were replaced; the one to use first

	AllowPrivate bool     // dial private addresses that other nodes tell, also of networks that this machine is not on
	AgentPorts   []uint16 // of ngrok agents' local APIs, which nobody may make this node call; nil: 4040

	StateDir   string // empty: nothing is kept
	NewCluster bool   // forget the roster on disk
	Profile    Profile
	Responder  session.Responder

	Classes      int             // labels of the task, at most evidence.MaxClasses; 0: no evidence is kept
	FeedbackFrom evidence.Policy // whose labels count; the zero value: all members'

	ForgetAfter time.Duration                                                        // default 15 min
	RejoinMin   time.Duration                                                        // the rejoin loop's wait, jittered between these; default 8 s
	RejoinMax   time.Duration                                                        // default 12 s
	TimeScale   float64                                                              // multiplies gossip's and keep-alive's timings; for tests; 0 means 1
	MaxMembers  int                                                                  // default 256
	NoRejoin    bool                                                                 // for tests: never look for failed members, so that a partition stays
	DialContext func(ctx context.Context, network, address string) (net.Conn, error) // for outbound sessions; nil: guarded by what reach.Policy says of told and typed addresses
	OnBroadcast func(from identity.ID, msg []byte)                                   // a broadcast of another node; called by one goroutine, which it must not hold up; msg is its own to keep
	Log         *slog.Logger

	// Now is this machine's clock; nil means time.Now. What is compared with other machines' or kept on disk comes from it, and
	// so do the times that are shown. What takes time is measured in any case.
	Now func() time.Time

	// For tests of this package: what stands between memberlist and its transport.
	transport func(memberlist.NodeAwareTransport) memberlist.NodeAwareTransport
}

// Sentinels that callers branch on.
var (
	ErrStopped    = errors.New("cluster: stopped")
	ErrStateInUse = errors.New("cluster: the state folder is in use by another process")
	ErrNoMember   = errors.New("cluster: no such member")
)
