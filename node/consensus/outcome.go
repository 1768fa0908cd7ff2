package consensus

import (
	"fmt"
	"strings"
)

// Outcome is what became of one member's vote.
type Outcome uint8

// The outcomes. Only OK counts towards the quorum.
const (
	Pending         Outcome = iota // not here yet when the round was decided
	OK                             // a valid vote
	Abstain                        // the member chose not to vote
	Timeout                        // no answer within the peer's deadline
	ConnectError                   // could not be reached
	BadSchema                      // another task, or an answer of another form
	BadLabel                       // a label that is not of the task
	BadSignature                   // a signature that does not hold
	WrongIdentity                  // another node answered
	Ejected                        // not asked: it failed several times in a row
	Shed                           // it is overloaded and said so
	Internal                       // its model failed
	HTTPError                      // upstream: status 4xx or 5xx
	TooLarge                       // upstream: answer over the limit
	BadJSON                        // upstream: not JSON
	TLSError                       // upstream: certificate
	RefusedRedirect                // upstream: redirects are not followed
	BlockedAddress                 // upstream: an address that must not be called

	outcomes // how many there are
)

// outcomeNames are the names on the wire.
var outcomeNames = [outcomes]string{
	Pending: "pending", OK: "ok", Abstain: "abstain", Timeout: "timeout", ConnectError: "connect_error",
	BadSchema: "bad_schema", BadLabel: "bad_label", BadSignature: "bad_signature", WrongIdentity: "wrong_identity",
	Ejected: "ejected", Shed: "shed", Internal: "internal", HTTPError: "http_error", TooLarge: "too_large",
	BadJSON: "bad_json", TLSError: "tls_error", RefusedRedirect: "refused_redirect", BlockedAddress: "blocked_address",
}

// Valid reports whether o is one of the outcomes above; a byte from the wire need not be.
func (o Outcome) Valid() bool { return o < outcomes }

// Failed reports whether o makes a round degraded: all but OK, Abstain and Pending.
// A member that was not asked because it is ejected failed too.
func (o Outcome) Failed() bool { return o != OK && o != Abstain && o != Pending }

// String returns the name on the wire, such as "connect_error".
func (o Outcome) String() string { return nameOf(outcomeNames[:], int(o), "outcome") }

// MarshalText returns the name on the wire; it fails on a value that is not an outcome.
func (o Outcome) MarshalText() ([]byte, error) {
	return marshalName(outcomeNames[:], int(o), "outcome")
}

// UnmarshalText reads a name on the wire.
func (o *Outcome) UnmarshalText(text []byte) error {
	i, err := parseName(outcomeNames[:], string(text), "outcome")
	if err != nil {
		return err
	}
	*o = Outcome(i)
	return nil
}

// nameOf is String for the enumerations of this package.
func nameOf(names []string, i int, kind string) string {
	if i < 0 || i >= len(names) {
		return fmt.Sprintf("%s(%d)", kind, i)
	}
	return names[i]
}

func marshalName(names []string, i int, kind string) ([]byte, error) {
	if i < 0 || i >= len(names) {
		return nil, fmt.Errorf("consensus: no %s has the number %d", kind, i)
	}
	return []byte(names[i]), nil
}

func parseName(names []string, name, kind string) (int, error) {
	for i, n := range names {
		if n == name {
			return i, nil
		}
	}
	return 0, fmt.Errorf("consensus: unknown %s %q; use one of %s", kind, cut(name), strings.Join(names, ", "))
}

// cut shortens a string from outside before it is quoted in an error.
func cut(s string) string {
	const most = 40
	if len(s) > most {
		return s[:most] + "..."
	}
	return s
}
