// Package gossip is memberlist's transport on sessions: memberlist believes
// that it sends packets and opens streams to addresses in fd00::/8, and every one
// of them rides the session that this node has with the peer of that id.
//
//	memberlist                       transport                        session
//	WriteToAddress(b, id) --> bounded queue --> writer goroutine --> one StreamPackets stream (patch.go)
//	PacketCh            <--------------------- reader             <-- the peer's StreamPackets stream
//	DialAddressTimeout  ---------------------------------------->     a StreamGossip stream each
//	StreamCh            <----------------------------------------     the peer's StreamGossip streams
//
// A node is named by its id, and only by it: the address that goes with the name
// is a placeholder that is never dialled (memberlist insists on one, and reports a
// changed one as a conflict, which a moved URL is not).
//
// Packets are best effort, as memberlist expects of UDP. Writing one never blocks
// (acks are sent from memberlist's only packet reader) and never fails: memberlist
// takes a plain error from a write as its own fault and then never notices that the
// peer is dead. What cannot be sent is dropped and counted.
package gossip

import (
	"context"
	"net"
	"strconv"

	"caucus/cluster/identity"
	"caucus/cluster/session"
)

// Port is the port that goes with every placeholder address.
const Port = 7946

// Address returns the placeholder host:port of a node, in the form that memberlist prints it.
func Address(id identity.ID) string {
	return net.JoinHostPort(id.Placeholder().String(), strconv.Itoa(Port))
}

// JoinName returns what memberlist.Join takes for a node: its name, a slash and its address.
func JoinName(id identity.ID) string { return string(id) + "/" + Address(id) }

// Sessions is what the transport needs of a session.Manager.
type Sessions interface {
	// Connected reports whether a session with the peer is up.
	Connected(id identity.ID) bool
	// Open opens a stream of a kind to a peer that has a session.
	Open(ctx context.Context, id identity.ID, kind session.StreamKind) (net.Conn, error)
}

var _ Sessions = (*session.Manager)(nil)
