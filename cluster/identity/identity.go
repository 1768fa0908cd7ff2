// Package identity holds who a node is: its Ed25519 key, the id that is a hash
// of that key, the signed card it advertises, and the invites that let a
// newcomer in. It is a leaf: it imports nothing else of this module.
//
// What binds what: an id is a hash of a public key, so whoever shows a key
// shows its id; a card carries the key and a signature by it over every other
// field; a TLS certificate made by Key.Certificate carries the same key. A
// token is no part of an identity: it says that its holder was invited.
package identity

import "errors"

// Sentinels that callers branch on.
var (
	ErrCard  = errors.New("identity: bad card")  // malformed or not signed by its id
	ErrToken = errors.New("identity: bad token") // not a token
	ErrKey   = errors.New("identity: bad key")   // the key file is damaged or too widely readable
	// ErrInvite says that the text is no address of a node. A bad token in an
	// invite is ErrToken.
	ErrInvite = errors.New("identity: bad invite")
	// ErrURL says that the text is no base URL of a node.
	ErrURL = errors.New("identity: bad URL")
)
