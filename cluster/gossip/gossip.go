// Package gossip is memberlist's transport on sessions: memberlist believes
// that it sends packets and opens streams to addresses in fd00::/8, and every one
// of them rides the session that this node has with the peer of that id.
package gossip
