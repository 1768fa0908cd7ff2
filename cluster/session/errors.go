package session

import (
	"errors"
	"fmt"
	"strings"
	"unicode"

	"caucus/cluster/identity"
)

// Sentinels that callers branch on. All that a peer says in refusal is a RefusedError.
var (
	ErrNoSession = errors.New("session: no session with this peer")
	ErrClosed    = errors.New("session: closed")
	ErrSelf      = errors.New("session: that address is this node itself")
	// ErrTwin is another process with this node's key.
	ErrTwin     = errors.New("session: another process with this node's own key answers there; one of the two needs a state folder of its own")
	ErrIdentity = errors.New("session: another node answered at that address")
	ErrBusy     = errors.New("session: too much is queued for this peer")
	// ErrTooLarge is a question over MaxMessage.
	ErrTooLarge = errors.New("session: too large")
)

// IdentityError says who proved to be at an address in place of whom was wanted. It is an ErrIdentity.
type IdentityError struct{ Want, Got identity.ID }

func (e *IdentityError) Error() string {
	return fmt.Sprintf("%v: want %s, got %s", ErrIdentity, e.Want, e.Got)
}
func (e *IdentityError) Unwrap() error { return ErrIdentity }

// InsteadError says in words what answered a dial in place of a node: a tunnel's own page, most often.
type InsteadError struct{ Base, Words string }

func (e *InsteadError) Error() string {
	return fmt.Sprintf("session: no node answers at %s: %s", e.Base, e.Words)
}

// RefusedError is the other end's refusal, in its words.
type RefusedError struct{ Reason string }

func (e *RefusedError) Error() string { return "refused by the other node: " + e.Reason }

// RemoteError says that the peer got the question and could not answer it.
type RemoteError struct {
	Busy   bool   // it sheds load: asking again later may help
	Reason string // in its words, at most 200 bytes, without control characters
}

func (e *RemoteError) Error() string { return "session: the peer could not answer: " + e.Reason }

// maxReason bounds what a peer's words may take in a log or an error.
const maxReason = 200

// printable makes a peer's words fit for logs and pages: valid UTF-8, no control
// or formatting characters, at most maxReason bytes.
func printable(b []byte) string {
	if len(b) > maxReason {
		b = b[:maxReason]
	}
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) || r == unicode.ReplacementChar {
			return '?'
		}
		return r
	}, strings.ToValidUTF8(string(b), "?"))
}
