// Package session keeps one connection for each pair of nodes and carries
// everything that they say to one another: a WebSocket (all that a tunnel
// passes), TLS 1.3 by identity inside it, a proof of the invite token, and then
// frames: votes straight on TLS, everything else in yamux streams.
//
// From the outside in:
//
//	GET /gossip, subprotocol caucus.v1     a request with an Origin header gets 403
//	└ binary WebSocket messages            a byte stream, whatever their bounds
//	  └ TLS 1.3, mutual                    id = hash of the certificate's key
//	    ├ proof of the token, then hello   see handshake.go
//	    └ frames: u32 length | u8 type | payload
//	        ask, answer, failure, cancel   votes, by correlation id, at most 16 KiB a frame
//	        mux                            at most 8 KiB of yamux
//	        ping, pong, drain, bye         keep-alive, merging, the end
//
// Between two nodes one session survives. When both dial at once, or one comes
// back while its old socket still hangs, the node with the smaller id decides:
// it keeps the session that it saw last and drains the others, on which nothing
// new is begun and everything begun is finished.
//
// What a peer can do to this node is bounded: unproven sockets by number and
// time, frames and whole messages by size, questions by number (then shed),
// streams by number, and a peer that does not read is cut off.
package session

import (
	"context"
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
	StreamDialBack                       // whether the peer can dial this node
	StreamTokens                         // the tokens of the cluster after one was replaced
	StreamTwin                           // no bytes: another process has the key of the one that is told
	StreamRemoval                        // the signed removal of the peer, before its session is ended
	StreamCheck                          // what a node asks of a peer to find out what is wrong with itself
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

// JointResponder is a Responder that saves something by answering questions together: one
// signature may be over all their answers.
type JointResponder interface {
	Responder
	// AnswerJointly answers questions of peer that came together, two or more, each of which is
	// Quick and allows a joint signature (see PeekQuestion). It calls answered once for
	// each, with its place in asks, and with an answer that is only valid during the call.
	// asks are only valid until it returns.
	AnswerJointly(ctx context.Context, peer identity.ID, asks [][]byte, answered func(i int, answer []byte))
}

// Config says how a Manager talks. The zero value of a duration means its default.
type Config struct {
	Key *identity.Key
	// Tokens returns those that are proved to a peer and accepted from it, newest first, at most four
	// count; none: an open cluster. The peer has proved that it has that id.
	Tokens func(peer identity.ID) []identity.Token
	// Hello returns what this end shows a peer after the proof, at most 4 KiB: its signed card.
	Hello func(peer identity.ID) []byte
	// OnHello judges the other end's hello; an error refuses it, and its text is told to the peer.
	OnHello func(peer identity.ID, hello []byte) error
	// OnStranger is told of a peer that this end turned away before it knew more of it than its key: it has another
	// token, or speaks another version. remote is the socket's other end. It must not block. nil: nobody is told.
	OnStranger func(peer identity.ID, remote, reason string)
	Responder  Responder
	// OnStream takes a stream that the peer opened, on a goroutine of its own; it owns conn.
	// Close waits for it; by then its conn has failed.
	OnStream func(peer identity.ID, kind StreamKind, conn net.Conn)
	// OnUp and OnDown tell of the first session with a peer and the end of the last one.
	// They are called one at a time, in the order in which things happened, under no
	// lock; while one runs the next waits, and it must not call Close.
	OnUp, OnDown func(peer identity.ID)
	// OnTwins tells of a peer that is two processes with one key. It may be told again and again.
	OnTwins func(peer identity.ID)
	// OnTwin tells of another process with this node's key: the socket's other end. Nil: nobody is told.
	OnTwin func(remote string)

	// DialContext opens TCP connections for outbound sessions; nil means net.Dialer.
	DialContext func(ctx context.Context, network, address string) (net.Conn, error)

	// Explain puts into words what answered a dial in place of a node, such as a tunnel's own
	// page; body is cut to 1 KiB. ok is false when it knows nothing about it. nil: nobody knows.
	Explain func(status int, header http.Header, body []byte) (words string, ok bool)

	HandshakeTimeout time.Duration // upgrade to hello, default 5 s
	KeepAlive        time.Duration // ping when idle for this long, default 15 s; dead after two missed
	IdleTimeout      time.Duration // sessions unused (but for keep-alive) are closed, 0: never
	MaxUnproven      int           // sockets before their proof, default 64
	Log              *slog.Logger  // nil: discard
}

// Sizes that both ends keep to.
const (
	// MaxMessage is the most bytes of one question or answer.
	MaxMessage = 24 << 20
	// MaxHello is the most bytes of a hello.
	MaxHello = 4 << 10
)

func (c *Config) setDefaults() {
	if c.Tokens == nil {
		c.Tokens = func(identity.ID) []identity.Token { return nil }
	}
	if c.Hello == nil {
		c.Hello = func(identity.ID) []byte { return nil }
	}
	if c.DialContext == nil {
		c.DialContext = (&net.Dialer{Timeout: 5 * time.Second}).DialContext
	}
	if c.HandshakeTimeout <= 0 {
		c.HandshakeTimeout = 5 * time.Second
	}
	if c.KeepAlive <= 0 {
		c.KeepAlive = 15 * time.Second
	}
	if c.MaxUnproven <= 0 {
		c.MaxUnproven = 64
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
}
