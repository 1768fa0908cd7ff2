package identity

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base32"
	"fmt"
	"net/netip"
)

// ID names a node: the first 20 bytes of the SHA-256 of its Ed25519 public
// key, in lower-case base32 without padding: 32 characters of [a-z2-7].
type ID string

// idLength is the number of characters in an id: 160 bits, five in each.
const idLength = 32

var idEncoding = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

// IDOf returns the id that belongs to a public key.
func IDOf(pub ed25519.PublicKey) ID {
	sum := sha256.Sum256(pub)
	return ID(idEncoding.EncodeToString(sum[:20]))
}

// ParseID checks the form of an id. That a node holds the key behind it is
// shown only by a signature or a handshake.
func ParseID(s string) (ID, error) {
	if len(s) != idLength {
		return "", fmt.Errorf("identity: an id has %d characters of a-z and 2-7, got %d", idLength, len(s))
	}
	for i := range len(s) {
		if c := s[i]; (c < 'a' || c > 'z') && (c < '2' || c > '7') {
			return "", fmt.Errorf("identity: an id has only the characters a-z and 2-7, got %q", c)
		}
	}
	return ID(s), nil
}

// Placeholder returns the made-up address in fd00::/8 under which memberlist
// knows the node. It is derived from the id and is never dialled.
func (id ID) Placeholder() netip.Addr {
	sum := sha256.Sum256([]byte("caucus placeholder address v1\x00" + string(id)))
	var a [16]byte
	copy(a[:], sum[:])
	a[0] = 0xfd
	return netip.AddrFrom16(a)
}

// Short returns the first four characters, to tell apart members of one name.
func (id ID) Short() string { return string(id[:min(4, len(id))]) }
