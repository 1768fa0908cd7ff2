package session

import (
	"crypto/ed25519"
	"encoding/binary"
	"fmt"
	"sync"

	"caucus/cluster/identity"
	"caucus/cluster/merkle"
)

// A signature costs more than all the rest of a vote. So votes that are asked for at the
// same time are signed together: their Statements are the leaves of a Merkle tree, the
// voter signs its root, and each answer carries the path from its leaf. Whoever checks one
// of them alone needs no other; whoever checks several checks the signature once.

// jointMessage is what is signed: a context, the number of votes (u32) and the root.
func jointMessage(size int, root *[merkle.Size]byte) []byte {
	b := make([]byte, 0, len(jointContext)+4+merkle.Size)
	b = append(b, jointContext...)
	b = binary.BigEndian.AppendUint32(b, uint32(size))
	return append(b, root[:]...)
}

// leaf is the digest of s in a tree.
func (s *Statement) leaf() [merkle.Size]byte {
	var room [512]byte
	return merkle.Leaf(s.append(room[:0]))
}

// VerifyIncluded is Verify for a vote that may have been signed with others.
func (s *Statement) VerifyIncluded(pub ed25519.PublicKey, sig []byte, in *Inclusion) bool {
	if in.Alone() {
		return s.Verify(pub, sig)
	}
	message, ok := s.joint(pub, in)
	return ok && ed25519.Verify(pub, message, sig)
}

// joint is what the voter must have signed if s is where in says.
func (s *Statement) joint(pub ed25519.PublicKey, in *Inclusion) (message []byte, ok bool) {
	if in.Size < 2 || len(pub) != ed25519.PublicKeySize || identity.IDOf(pub) != s.Voter {
		return nil, false
	}
	root, ok := merkle.Root(s.leaf(), int(in.Index), int(in.Size), in.Path)
	return jointMessage(int(in.Size), &root), ok
}

// JointSigner signs answers together. The zero value is ready; its memory is used again.
type JointSigner struct {
	leaves [][merkle.Size]byte
	tree   merkle.Tree
}

// Sign signs answers, k's own to the questions of one row each that requester asked, with
// one signature if there are several. Every Fingerprint must be set. An error wraps ErrFrame.
func (j *JointSigner) Sign(k *identity.Key, requester identity.ID, questions []*Question, answers []*Answer) error {
	if len(answers) == 1 {
		return SignAnswer(k, requester, questions[0], answers[0])
	}
	if len(answers) > merkle.MaxLeaves {
		return fmt.Errorf("%w: %d answers to be signed together, the limit is %d", ErrFrame, len(answers), merkle.MaxLeaves)
	}
	j.leaves = j.leaves[:0]
	for i, a := range answers {
		if err := fits(questions[i], a); err != nil {
			return err
		}
		if len(a.Labels) != 1 {
			return fmt.Errorf("%w: %d rows cannot be signed with other questions' rows", ErrFrame, len(a.Labels))
		}
		s := statement(requester, k.ID(), questions[i], a, 0)
		j.leaves = append(j.leaves, s.leaf())
	}
	if len(answers) == 0 {
		return nil
	}
	j.tree.Grow(j.leaves)
	root := j.tree.Root()
	signature := k.Sign(jointMessage(len(answers), &root))
	for i, a := range answers {
		a.Signature = append(a.Signature[:0], signature...)
		a.Inclusion.Index, a.Inclusion.Size = uint16(i), uint16(len(answers))
		a.Inclusion.Path = j.tree.AppendPath(a.Inclusion.Path[:0], i)
	}
	return nil
}

// Checked remembers which joint signatures of a voter were found good, so that each is
// checked once and not once a vote. The zero value is empty. It may be used by several
// goroutines at once.
type Checked struct {
	mu   sync.Mutex // guards the rest
	last [checkedKept]checkedSignature
	next int
}

// checkedKept: the votes of one signature come one after the other, but those of two
// sessions with one voter may be mixed while the sessions are merged.
const checkedKept = 4

type checkedSignature struct {
	pub       [ed25519.PublicKeySize]byte
	message   string
	signature string
}

// VerifyAnswer is the function of that name, for answers that may have been signed jointly.
func (c *Checked) VerifyAnswer(pub ed25519.PublicKey, requester, voter identity.ID, q *Question, a *Answer) error {
	if a.Inclusion.Alone() {
		return VerifyAnswer(pub, requester, voter, q, a)
	}
	if err := fits(q, a); err != nil {
		return err
	}
	if q.Len() != 1 || len(a.Signature) != signatureLength {
		return fmt.Errorf("%w: %d bytes of signatures for %d rows, signed with others", ErrSignature, len(a.Signature), q.Len())
	}
	s := statement(requester, voter, q, a, 0)
	message, ok := s.joint(pub, &a.Inclusion)
	if !ok || !c.verify(pub, message, a.Signature) {
		return fmt.Errorf("%w: vote %d of %d that node %s signed together", ErrSignature, a.Inclusion.Index, a.Inclusion.Size, voter)
	}
	return nil
}

// verify is ed25519.Verify, once for each signature that holds.
func (c *Checked) verify(pub ed25519.PublicKey, message, sig []byte) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i := range c.last {
		if k := &c.last[i]; k.message == string(message) && k.signature == string(sig) && string(k.pub[:]) == string(pub) {
			return true
		}
	}
	if !ed25519.Verify(pub, message, sig) {
		return false
	}
	c.last[c.next] = checkedSignature{pub: [ed25519.PublicKeySize]byte(pub), message: string(message), signature: string(sig)}
	c.next = (c.next + 1) % checkedKept
	return true
}
