package identity

import (
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log/slog"
)

// Token is the secret of a cluster: 256 random bits. It never crosses the wire.
//
// Its text is to be had only by calling String by name, for the line that a
// person pastes. fmt with any verb, slog and templates show "[token]", and
// encoding/json refuses it, so that a token in an error or a log is no secret
// given away. (A Token in an unexported field is beyond any method: do not
// print such structs.)
type Token [32]byte

// tokenLength is the number of characters of a token's text.
const tokenLength = 43

// redacted stands for a token wherever it is printed.
const redacted = "[token]"

// NewToken makes a random token.
func NewToken() (Token, error) {
	var t Token
	if _, err := rand.Read(t[:]); err != nil {
		return Token{}, fmt.Errorf("identity: make a token: %w", err)
	}
	return t, nil
}

// ParseToken reads the text form of a token (base64url without padding, 43
// characters). Its errors wrap ErrToken and never quote the text.
func ParseToken(s string) (Token, error) {
	if len(s) != tokenLength {
		return Token{}, fmt.Errorf("%w: it has %d characters and a token has %d; copy the whole of it", ErrToken, len(s), tokenLength)
	}
	b, err := base64.RawURLEncoding.Strict().DecodeString(s)
	if err != nil || len(b) != len(Token{}) {
		return Token{}, fmt.Errorf("%w: a token has only letters, digits, - and _, and this one was not copied as it was", ErrToken)
	}
	return Token(b), nil
}

// String returns the text form. Never log it.
func (t Token) String() string { return base64.RawURLEncoding.EncodeToString(t[:]) }

// Format prints "[token]" whatever the verb.
func (t Token) Format(s fmt.State, _ rune) { _, _ = io.WriteString(s, redacted) }

// LogValue is what slog shows of a token: "[token]".
func (t Token) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText refuses, so that no encoder writes a token unasked.
func (t Token) MarshalText() ([]byte, error) {
	return nil, errors.New("identity: a token is not written by encoders; call String where it must be shown")
}

// Equal compares in constant time.
func (t Token) Equal(u Token) bool { return subtle.ConstantTimeCompare(t[:], u[:]) == 1 }

// Bearer returns the HTTP bearer derived from the token (HKDF-SHA-256), which
// opens the local routes from elsewhere without giving away the token itself.
func (t Token) Bearer() string {
	return base64.RawURLEncoding.EncodeToString(t.derive("caucus v1 http bearer"))
}

// IsBearer reports, in constant time, whether s is the token's bearer.
func (t Token) IsBearer(s string) bool {
	return subtle.ConstantTimeCompare([]byte(t.Bearer()), []byte(s)) == 1
}

// ProofKey returns the 32-byte key under which a session proves the token.
func (t Token) ProofKey() []byte { return t.derive("caucus v1 session proof") }

// DiscoveryKey returns the 32-byte key under which a node's record on the local network is tagged.
func (t Token) DiscoveryKey() []byte { return t.derive("caucus v1 discovery") }

// derive gives a key for one purpose. Those for other purposes, and the token,
// do not follow from it. No salt: a token is uniformly random already.
func (t Token) derive(label string) []byte {
	key, err := hkdf.Key(sha256.New, t[:], nil, label, sha256.Size)
	if err != nil {
		// Only a length over 255 hashes, or FIPS mode with a key under 112
		// bits, fails: neither depends on input.
		panic("identity: HKDF refused a fixed length: " + err.Error())
	}
	return key
}
