package identity

import (
	"bytes"
	"crypto/ed25519"
	"encoding/binary"
	"errors"
	"fmt"
)

// MaxRemoval is the most bytes a signed removal may have.
const MaxRemoval = removalFixed + 2*(1+MaxName) + ed25519.SignatureSize

// ErrRemoval is wrapped by every failure to read a removal.
var ErrRemoval = errors.New("identity: malformed removal")

// Removal is a member's signed word that a node is no member of the cluster any more, whatever
// card it shows, or (Undone) that it may come back. Of two about one node the later holds; see
// Supersedes. Parsed removals are verified: By is the hash of PublicKey and Signed carries a valid
// signature over every other field.
type Removal struct {
	ID        ID     // of the node that is removed
	Name      string // as the signer knew it; empty: not known
	Undone    bool
	Epoch     uint64 // when it was said, Unix milliseconds by the signer's clock
	By        ID     // who said it; never ID itself
	ByName    string
	PublicKey ed25519.PublicKey // of By
	Signed    []byte            // the encoded removal with its signature, at most MaxRemoval bytes
}

// The encoding, version 1. Each field has one form only:
//
//	version u8 | flags u8 (bit 0: undone) | epoch u64 | id 32 characters | public key 32 |
//	name u8+bytes | the signer's name u8+bytes | signature 64, over removalContext and all before it
const (
	removalVersion = 1
	removalUndone  = 1
	removalFixed   = 1 + 1 + 8 + 32 + 32
)

// removalContext keeps a removal's signature from being of use as any other.
const removalContext = "caucus removal v1\x00"

// SignRemoval fills in By, PublicKey and Signed and returns the removal.
func (k *Key) SignRemoval(r Removal) (Removal, error) {
	r.By, r.PublicKey = k.id, k.Public()
	if err := r.valid(); err != nil {
		return Removal{}, fmt.Errorf("identity: the removal: %w", err)
	}
	b := append(make([]byte, 0, len(removalContext)+MaxRemoval), removalContext...)
	var flags byte
	if r.Undone {
		flags = removalUndone
	}
	b = append(b, removalVersion, flags)
	b = binary.BigEndian.AppendUint64(b, r.Epoch)
	b = append(b, r.ID...)
	b = append(b, r.PublicKey...)
	for _, s := range [...]string{r.Name, r.ByName} {
		b = append(append(b, byte(len(s))), s...)
	}
	b = append(b, k.Sign(b)...)
	r.Signed = b[len(removalContext):len(b):len(b)]
	return r, nil
}

// ParseRemoval decodes and verifies a signed removal. Every failure wraps ErrRemoval. The
// removal shares no memory with b.
func ParseRemoval(b []byte) (Removal, error) {
	body := len(b) - ed25519.SignatureSize
	switch {
	case len(b) > MaxRemoval:
		return Removal{}, fmt.Errorf("%w: it has %d bytes, the limit is %d", ErrRemoval, len(b), MaxRemoval)
	case len(b) > 0 && b[0] != removalVersion:
		return Removal{}, fmt.Errorf("%w: it is of version %d and this node reads version %d; update the older of the two", ErrRemoval, b[0], removalVersion)
	case body < removalFixed+2:
		return Removal{}, fmt.Errorf("%w: it has only %d bytes", ErrRemoval, len(b))
	case b[1]&^removalUndone != 0:
		return Removal{}, fmt.Errorf("%w: its flags %#x are unknown", ErrRemoval, b[1])
	}
	own := append(append(make([]byte, 0, len(removalContext)+len(b)), removalContext...), b...)
	signed := own[len(removalContext):]
	id, err := ParseID(string(signed[10:42]))
	if err != nil {
		return Removal{}, fmt.Errorf("%w: %v", ErrRemoval, err)
	}
	r := Removal{ID: id, Undone: signed[1] == removalUndone, Epoch: binary.BigEndian.Uint64(signed[2:]), PublicKey: bytes.Clone(signed[42:74])}
	rest := signed[removalFixed:body]
	for _, to := range [...]*string{&r.Name, &r.ByName} {
		if len(rest) == 0 || len(rest) < 1+int(rest[0]) {
			return Removal{}, fmt.Errorf("%w: it ends within a name", ErrRemoval)
		}
		*to, rest = string(rest[1:1+int(rest[0])]), rest[1+int(rest[0]):]
	}
	if len(rest) != 0 {
		return Removal{}, fmt.Errorf("%w: %d bytes too many", ErrRemoval, len(rest))
	}
	r.By = IDOf(r.PublicKey)
	if err := r.valid(); err != nil {
		return Removal{}, fmt.Errorf("%w: %v", ErrRemoval, err)
	}
	if !ed25519.Verify(r.PublicKey, own[:len(removalContext)+body], signed[body:]) {
		return Removal{}, fmt.Errorf("%w: its signature does not hold", ErrRemoval)
	}
	r.Signed = signed
	return r, nil
}

func (r *Removal) valid() error {
	if _, err := ParseID(string(r.ID)); err != nil {
		return err
	}
	if r.ID == r.By {
		return errors.New("a node cannot remove itself or take itself back")
	}
	if r.Epoch == 0 {
		return errors.New("it has no time")
	}
	if r.Name != "" {
		if err := ValidName(r.Name); err != nil {
			return err
		}
	}
	return ValidName(r.ByName)
}

// Supersedes reports whether r holds and not old, which is about the same node: the later does, of
// two at one time the one that keeps the node out, and else either, the same everywhere.
func (r *Removal) Supersedes(old *Removal) bool {
	switch {
	case r.Epoch != old.Epoch:
		return r.Epoch > old.Epoch
	case r.Undone != old.Undone:
		return old.Undone
	}
	return bytes.Compare(r.Signed, old.Signed) > 0
}
