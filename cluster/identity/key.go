package identity

import (
	"crypto/ed25519"
	"crypto/rand"
	"fmt"
)

// Key is a node's private key. The zero value is not usable. A Key is
// immutable and may be used by several goroutines at once.
type Key struct {
	private ed25519.PrivateKey
	id      ID
}

// Generate makes a new key.
func Generate() (*Key, error) {
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("identity: make a key: %w", err)
	}
	return newKey(private), nil
}

func newKey(private ed25519.PrivateKey) *Key {
	return &Key{private: private, id: IDOf(private.Public().(ed25519.PublicKey))}
}

// ID returns the id of the key.
func (k *Key) ID() ID { return k.id }

// Public returns the public key.
func (k *Key) Public() ed25519.PublicKey { return k.private.Public().(ed25519.PublicKey) }

// Sign signs msg as it is; callers put a context string in front of it, so that
// a signature made for one purpose is worth nothing for another.
func (k *Key) Sign(msg []byte) []byte { return ed25519.Sign(k.private, msg) }

// String names the key by its id, so that printing a Key shows no secret.
func (k *Key) String() string { return "key of " + string(k.id) }

// GoString does for %#v what String does for %v.
func (k *Key) GoString() string { return "identity.Key(" + string(k.id) + ")" }
