package identity

import (
	"bytes"
	"crypto/ed25519"
	"encoding/binary"
	"fmt"
)

// Limits of a card. All at once give 508 bytes, so a card whose fields fit, fits.
const (
	// MaxCard is the most bytes a signed card may have: memberlist's limit on metadata.
	MaxCard = 512
	// MaxName is the most characters a node's name may have.
	MaxName = 63
	// MaxModel is the most characters the kind of a model may have.
	MaxModel = 32
)

// Card is a node's advertisement. Parsed cards are verified: ID is the hash of
// PublicKey and Signed carries a valid signature over every other field.
type Card struct {
	ID          ID
	PublicKey   ed25519.PublicKey
	Name        string   // [a-z0-9-]{1,63}
	Model       string   // kind of model: knn, randforest, svm, tree, upstream; [a-z0-9-]{1,32}
	Fingerprint [32]byte // of the fitted model; equal fingerprints are one voice
	Task        [32]byte // digest of feature names and labels, in order
	URL         string   // how others reach it: an origin, or a relay's URL/via/{id}; empty if unknown
	Sequence    uint64   // rises with every change; an older card never replaces a newer one
	Leaving     bool     // set on the last card of a node that leaves on purpose
	Signed      []byte   // the encoded card with its signature, at most MaxCard bytes
}

// The encoding, version 1. Each field has one form only, so a card has one
// encoding and equal bytes mean equal cards:
//
//	version u8 | flags u8 (bit 0: leaving) | sequence u64 | public key 32 |
//	fingerprint 32 | task 32 | name u8+bytes | model u8+bytes | url u8+bytes |
//	signature 64, over cardContext and all before it
const (
	cardVersion = 1
	cardFixed   = 1 + 1 + 8 + 32 + 32 + 32
	cardLeaving = 1
)

// cardContext keeps a card's signature from being of use as any other.
const cardContext = "caucus card v1\x00"

// SignCard fills in ID, PublicKey and Signed and returns the card, its URL in
// normal form. It refuses fields that do not fit, naming the field, its length
// and the limit.
func (k *Key) SignCard(c Card) (Card, error) {
	if c.URL != "" {
		normal, err := ParseURL(c.URL)
		if err != nil {
			return Card{}, fmt.Errorf("identity: the card's url: %w", err)
		}
		c.URL = normal
	}
	if err := validFields(c); err != nil {
		return Card{}, fmt.Errorf("identity: the card's %w", err)
	}
	c.ID, c.PublicKey = k.id, k.Public()
	b := appendCard(append(make([]byte, 0, len(cardContext)+MaxCard), cardContext...), c)
	b = append(b, k.Sign(b)...)
	c.Signed = b[len(cardContext):len(b):len(b)]
	return c, nil
}

// ParseCard decodes and verifies a signed card. Every failure wraps ErrCard.
// The card shares no memory with b.
func ParseCard(b []byte) (Card, error) {
	if len(b) > MaxCard {
		return Card{}, fmt.Errorf("%w: it has %d bytes, the limit is %d", ErrCard, len(b), MaxCard)
	}
	if len(b) > 0 && b[0] != cardVersion {
		return Card{}, fmt.Errorf("%w: it is of version %d and this node reads version %d; update the older of the two", ErrCard, b[0], cardVersion)
	}
	body := len(b) - ed25519.SignatureSize
	if body < cardFixed+3 {
		return Card{}, fmt.Errorf("%w: it has only %d bytes", ErrCard, len(b))
	}
	// One copy: signing context, then the card, so that the signed bytes lie together.
	own := append(append(make([]byte, 0, len(cardContext)+len(b)), cardContext...), b...)
	signed := own[len(cardContext):]
	c, rest, err := decodeCard(signed[:body])
	if err != nil {
		return Card{}, fmt.Errorf("%w: %v", ErrCard, err)
	}
	if len(rest) != 0 {
		return Card{}, fmt.Errorf("%w: %d bytes too many", ErrCard, len(rest))
	}
	if err := validFields(c); err != nil {
		return Card{}, fmt.Errorf("%w: its %v", ErrCard, err)
	}
	if !ed25519.Verify(c.PublicKey, own[:len(cardContext)+body], signed[body:]) {
		return Card{}, fmt.Errorf("%w: its signature does not hold", ErrCard)
	}
	c.ID, c.Signed = IDOf(c.PublicKey), signed
	return c, nil
}

func appendCard(b []byte, c Card) []byte {
	var flags byte
	if c.Leaving {
		flags = cardLeaving
	}
	b = append(b, cardVersion, flags)
	b = binary.BigEndian.AppendUint64(b, c.Sequence)
	b = append(b, c.PublicKey...)
	b = append(b, c.Fingerprint[:]...)
	b = append(b, c.Task[:]...)
	for _, s := range [...]string{c.Name, c.Model, c.URL} {
		b = append(append(b, byte(len(s))), s...)
	}
	return b
}

// decodeCard reads all but the signature. b is at least cardFixed long.
func decodeCard(b []byte) (Card, []byte, error) {
	var c Card
	if b[1]&^cardLeaving != 0 {
		return c, nil, fmt.Errorf("its flags %#x are unknown", b[1])
	}
	c.Leaving = b[1]&cardLeaving != 0
	c.Sequence = binary.BigEndian.Uint64(b[2:])
	c.PublicKey = bytes.Clone(b[10:42])
	copy(c.Fingerprint[:], b[42:74])
	copy(c.Task[:], b[74:106])
	b = b[cardFixed:]
	for _, f := range [...]struct {
		name string
		to   *string
	}{{"name", &c.Name}, {"model", &c.Model}, {"url", &c.URL}} {
		if len(b) == 0 || len(b) < 1+int(b[0]) {
			return c, nil, fmt.Errorf("it ends within its %s", f.name)
		}
		end := 1 + int(b[0])
		*f.to, b = string(b[1:end]), b[end:]
	}
	return c, b, nil
}

// validFields names the first field that breaks its rule, in words that follow
// "the card's".
func validFields(c Card) error {
	if err := ValidName(c.Name); err != nil {
		return err
	}
	if err := validWord("model", c.Model, MaxModel); err != nil {
		return err
	}
	if c.URL != "" {
		if err := validURL(c.URL); err != nil {
			return fmt.Errorf("url: %w", err)
		}
	}
	return nil
}

// ValidName says what is wrong with a node's name, or nil.
func ValidName(name string) error { return validWord("name", name, MaxName) }

func validWord(field, s string, limit int) error {
	if s == "" || len(s) > limit {
		return fmt.Errorf("%s has %d characters; it must have 1 to %d", field, len(s), limit)
	}
	for i := range len(s) {
		if c := s[i]; !lowerAlnum(c) && c != '-' {
			return fmt.Errorf("%s %q has a character that is not a-z, 0-9 or -", field, s)
		}
	}
	return nil
}
