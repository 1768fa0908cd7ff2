// Package session keeps one connection for each pair of nodes and carries
// everything that they say to one another: a WebSocket (all that a tunnel
// passes), TLS 1.3 by identity inside it, a proof of the invite token, and then
// frames: votes straight on TLS, everything else in yamux streams.
package session

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"time"

	"caucus/cluster/identity"
)

// StreamKind is the first byte of a stream and says what it is for.
type StreamKind byte

// The kinds of stream.
const (
	StreamPackets  StreamKind = 1 + iota // memberlist's packets, one long-lived stream each way
	StreamGossip                         // one of memberlist's own streams (push/pull, ping)
	StreamDescribe                       // a member's description: task, parameters, evaluation
	StreamEvidence                       // records of evidence, for anti-entropy
	StreamRelay                          // to be spliced to a third member
)

// Responder answers the questions of peers. Its methods are called from many
// sessions at once.
type Responder interface {
	// Quick reports whether the answer to ask takes microseconds, so that it may be
	// computed on the session's reader; otherwise it runs on a bounded pool of workers.
	Quick(ask []byte) bool
	// Answer appends the answer to ask to dst and returns it. ask is only valid
	// until it returns. A panic in it is answered as a failure and kills nothing.
	Answer(ctx context.Context, peer identity.ID, ask, dst []byte) []byte
}

// Config says how a Manager talks. The zero value of a duration means its default.
type Config struct {
	Key    *identity.Key
	Tokens func() []identity.Token // accepted tokens, newest first (it proves itself with the first); none: an open cluster
	// Hello returns what this end shows after the proof, at most 4 KiB: its signed card.
	Hello func() []byte
	// OnHello judges the other end's hello; an error refuses it, and its text is told to the peer.
	OnHello   func(peer identity.ID, hello []byte) error
	Responder Responder
	// OnStream takes a stream that the peer opened, on a goroutine of its own; it owns conn.
	OnStream func(peer identity.ID, kind StreamKind, conn net.Conn)
	// OnUp and OnDown tell of the first session with a peer and the end of the last one.
	OnUp, OnDown func(peer identity.ID)

	// DialContext opens TCP connections for outbound sessions; nil means net.Dialer.
	DialContext func(ctx context.Context, network, address string) (net.Conn, error)

	HandshakeTimeout time.Duration // upgrade to hello, default 5 s
	KeepAlive        time.Duration // ping when idle for this long, default 15 s; dead after two missed
	IdleTimeout      time.Duration // sessions unused (but for keep-alive) are closed, 0: never
	MaxUnproven      int           // sockets before their proof, default 64
	Log              *slog.Logger  // nil: discard
}

// Sentinels that callers branch on. All that a peer says in refusal is a RefusedError.
var (
	ErrNoSession = errors.New("session: no session with this peer")
	ErrClosed    = errors.New("session: closed")
	ErrSelf      = errors.New("session: that address is this node itself")
	ErrIdentity  = errors.New("session: another node answered at that address")
	ErrBusy      = errors.New("session: too much is queued for this peer")
)

// RefusedError is the other end's refusal, in its words.
type RefusedError struct{ Reason string }

func (e *RefusedError) Error() string { return "refused by the other node: " + e.Reason }

// Manager holds the sessions of one node.
type Manager struct{ cfg Config }

// New returns a manager. It dials nobody by itself.
func New(cfg Config) (*Manager, error) { return &Manager{cfg: cfg}, nil }

// ServeHTTP is GET /gossip: the accepting end of a session.
func (m *Manager) ServeHTTP(w http.ResponseWriter, r *http.Request) {}

// Dial opens a session to a base URL (http or https; "/gossip" is appended) and
// returns the peer's id and hello. want, when not empty, is the id that must
// answer (else ErrIdentity). tokens, when not nil, replace Config.Tokens for
// this dial. If a session with that peer exists already, the two are merged.
func (m *Manager) Dial(ctx context.Context, url string, want identity.ID, tokens []identity.Token) (Peer, error) {
	return Peer{}, ErrClosed
}

// Peer is a snapshot of a peer with a session.
type Peer struct {
	ID       identity.ID
	Hello    []byte
	Outbound bool          // this end dialled
	RTT      time.Duration // of the last keep-alive or handshake
	BytesIn  uint64
	BytesOut uint64
	Remote   string // the socket's other end
}

// Peers returns those with a live session, sorted by id.
func (m *Manager) Peers() []Peer { return nil }

// Connected reports whether a session with the peer is up. It takes no lock that is held for long.
func (m *Manager) Connected(id identity.ID) bool { return false }

// Ask sends a question and waits for the answer, which it appends to dst. Errors:
// ErrNoSession, ErrClosed, ErrBusy, ctx.Err(), or *RemoteError when the peer
// could not answer. Questions and answers over 16 KiB travel in chunks.
func (m *Manager) Ask(ctx context.Context, id identity.ID, ask, dst []byte) ([]byte, error) {
	return nil, ErrNoSession
}

// Open opens a stream of a kind to a peer.
func (m *Manager) Open(ctx context.Context, id identity.ID, kind StreamKind) (net.Conn, error) {
	return nil, ErrNoSession
}

// CloseInbound ends the sessions that others dialled (after this node's URL changed).
func (m *Manager) CloseInbound(reason string) {}

// Drop ends the sessions with one peer.
func (m *Manager) Drop(id identity.ID, reason string) {}

// Close ends all and waits for its goroutines.
func (m *Manager) Close() error { return nil }
