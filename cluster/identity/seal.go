package identity

import (
	"crypto/aes"
	"crypto/cipher"
	"encoding/base64"
	"fmt"
)

// A sealed token is one that travels from somebody who has the present token to a node that
// has it too: AES-256-GCM under a key of its own that is derived from the present token. Its
// text is base64url, without padding, of a random nonce (12 bytes), the ciphertext (32) and
// the tag (16).
const sealedBytes = 12 + len(Token{}) + 16

// Seal encrypts next for those who have t. about is bound to it and can be read by all: to
// open it takes the same.
func (t Token) Seal(next Token, about string) string {
	return base64.RawURLEncoding.EncodeToString(t.sealer().Seal(nil, nil, next[:], []byte(about)))
}

// Unseal opens what Seal made with the same token and about. Its errors wrap ErrToken.
func (t Token) Unseal(sealed, about string) (Token, error) {
	b, err := base64.RawURLEncoding.Strict().DecodeString(sealed)
	if err != nil || len(b) != sealedBytes {
		return Token{}, fmt.Errorf("%w: a sealed one has %d characters of base64url", ErrToken, base64.RawURLEncoding.EncodedLen(sealedBytes))
	}
	next, err := t.sealer().Open(nil, nil, b, []byte(about))
	if err != nil {
		return Token{}, fmt.Errorf("%w: it was sealed with another token, or changed on its way", ErrToken)
	}
	return Token(next), nil
}

func (t Token) sealer() cipher.AEAD {
	block, err := aes.NewCipher(t.derive("caucus v1 token seal"))
	if err == nil {
		var aead cipher.AEAD
		if aead, err = cipher.NewGCMWithRandomNonce(block); err == nil {
			return aead
		}
	}
	panic("identity: AES-256-GCM refused a fixed length: " + err.Error()) // neither depends on input
}
