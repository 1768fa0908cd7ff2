// Package identity holds who a node is: its Ed25519 key, the id that is a hash
// of that key, the signed card it advertises, and the invites that let a
// newcomer in. It is a leaf: it imports nothing else of this module.
package identity

import (
	"crypto/ed25519"
	"errors"
	"net/netip"
)

// ID names a node: the first 20 bytes of the SHA-256 of its Ed25519 public
// key, in lower-case base32 without padding: 32 characters of [a-z2-7].
type ID string

// Key is a node's private key. The zero value is not usable.
type Key struct {
	private ed25519.PrivateKey
	id      ID
}

// MaxCard is the most bytes a signed card may have: memberlist's limit on metadata.
const MaxCard = 512

// Card is a node's advertisement. Parsed cards are verified: ID is the hash of
// PublicKey and Signed carries a valid signature over every other field.
type Card struct {
	ID          ID
	PublicKey   ed25519.PublicKey
	Name        string   // [a-z0-9-]{1,63}
	Model       string   // kind of model: knn, randforest, svm, tree, upstream
	Fingerprint [32]byte // of the fitted model; equal fingerprints are one voice
	Task        [32]byte // digest of feature names and labels, in order
	URL         string   // how others reach it: an origin, or a relay's URL/via/{id}; empty if unknown
	Sequence    uint64   // rises with every change; an older card never replaces a newer one
	Leaving     bool     // set on the last card of a node that leaves on purpose
	Signed      []byte   // the encoded card with its signature, at most MaxCard bytes
}

// Token is the secret of a cluster: 256 random bits. It never crosses the wire.
type Token [32]byte

// Invite is what lets a newcomer in: an address and, unless the cluster is open, a token.
type Invite struct {
	// Address is an origin URL ("http://10.0.0.5:5001", "https://ab12.ngrok-free.app"),
	// possibly with the path of a relay ("/via/{id}"), or "dns+host:port".
	// host:port is read as http://host:port.
	Address string
	Token   *Token // nil when the invite has none
}

var errTODO = errors.New("identity: not built yet")

// Sentinels that callers branch on.
var (
	ErrCard  = errors.New("identity: bad card")  // malformed or not signed by its id
	ErrToken = errors.New("identity: bad token") // not a token
	ErrKey   = errors.New("identity: bad key")   // the key file is damaged or too widely readable
)

// Generate makes a new key.
func Generate() (*Key, error) { return nil, errTODO }

// LoadOrCreate reads dir/node.key, or makes it with mode 0600 if it is absent.
// A damaged or widely readable key file is ErrKey, and is never replaced.
func LoadOrCreate(dir string) (*Key, error) { return nil, errTODO }

// ID returns the id of the key.
func (k *Key) ID() ID { return k.id }

// Public returns the public key.
func (k *Key) Public() ed25519.PublicKey { return k.private.Public().(ed25519.PublicKey) }

// Sign signs msg as it is; callers put a context string in front of it.
func (k *Key) Sign(msg []byte) []byte { return ed25519.Sign(k.private, msg) }

// IDOf returns the id that belongs to a public key.
func IDOf(pub ed25519.PublicKey) ID { return "" }

// ParseID checks the form of an id.
func ParseID(s string) (ID, error) { return "", errTODO }

// Placeholder returns the made-up address in fd00::/8 under which memberlist
// knows the node. It is derived from the id and is never dialled.
func (id ID) Placeholder() netip.Addr { return netip.Addr{} }

// Short returns the first four characters, to tell apart members of one name.
func (id ID) Short() string { return string(id[:4]) }

// SignCard fills in ID, PublicKey and Signed and returns the card. It refuses
// fields that do not fit, naming the field, its length and the limit.
func (k *Key) SignCard(c Card) (Card, error) { return Card{}, errTODO }

// ParseCard decodes and verifies a signed card. Every failure wraps ErrCard.
func ParseCard(b []byte) (Card, error) { return Card{}, errTODO }

// ValidName says what is wrong with a node's name, or nil.
func ValidName(name string) error { return errTODO }

// NewToken makes a random token.
func NewToken() (Token, error) { return Token{}, errTODO }

// ParseToken reads the text form of a token (base64url without padding, 43 characters).
func ParseToken(s string) (Token, error) { return Token{}, errTODO }

// String returns the text form. Never log it.
func (t Token) String() string { return "" }

// Bearer returns the HTTP bearer derived from the token (HKDF-SHA-256), which
// opens the local routes from elsewhere without giving away the token itself.
func (t Token) Bearer() string { return "" }

// ParseInvite reads host:port, a URL, URL#TOKEN or dns+host:port.
func ParseInvite(s string) (Invite, error) { return Invite{}, errTODO }
