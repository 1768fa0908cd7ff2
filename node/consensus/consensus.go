// Package consensus is the pure function from a rule, the invited members and
// their votes to an outcome. It does no I/O, reads no clock and logs nothing.
package consensus

import (
	"errors"
	"time"
)

// Millionths is a probability, share or weight as an integer count of 1/1,000,000,
// so that sums are exact and equal on every processor.
type Millionths int64

// One is a whole.
const One Millionths = 1_000_000

// ToMillionths rounds x (half away from zero).
func ToMillionths(x float64) Millionths { return 0 }

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
)

// Method is how votes are combined.
type Method uint8

// The methods.
const (
	Auto Method = iota
	Majority
	Weighted
	Soft
	EM // batches only
)

// Status is how a round ended.
type Status uint8

// The statuses.
const (
	Undecided Status = iota // quorum may yet be reached
	StatusOK                // nobody failed
	Degraded                // quorum, but someone failed
	StatusTie               // equal sums; the label is the tie-break's
	Minority                // below quorum, and the caller allowed it
	Single                  // a node that was never given a peer
	NoQuorum                // below quorum: an error, with a provisional label
)

// ErrNoQuorum is what a round without quorum fails with.
var ErrNoQuorum = errors.New("consensus: quorum not reached")

// Vote is one member's answer for one row.
type Vote struct {
	Voter         string // node id
	Outcome       Outcome
	Label         int          // class index, when Outcome is OK
	Probabilities []Millionths // one a class, or nil
	Weight        Millionths   // w_j; majority ignores it
	Skill         Millionths   // s_j, for soft votes of voters without probabilities
}

// Rule says how to count.
type Rule struct {
	Method   Method // Majority, Weighted or Soft; Auto and EM are resolved before
	Classes  int
	Quorum   int           // wanted votes; the strict majority of the invited applies anyway
	Full     bool          // every invited member must vote
	Minority bool          // answer below quorum too, and say so
	Alone    bool          // this node was never given a peer
	Linger   time.Duration // data for the caller; Tally does not look at it
}

// Result is the outcome of a round.
type Result struct {
	Status     Status
	Label      int          // -1 if nobody voted
	Sums       []int64      // by class, in Millionths (of weight or probability)
	Shares     []Millionths // Sums over their total
	Invited    int
	Counted    int
	Quorum     int
	Certain    bool // no outstanding vote can change the label, and quorum holds
	Tie        bool
	TieBreak   string // probabilities, heaviest voter, class order
	Margin     Millionths
	Entropy    float64 // of Shares, 0..1
	Unanimous  bool
	Dissenters []string // voters of other labels, in id order
	Effective  float64  // effective voters, (sum w)^2 / sum w^2
}

// Tally counts. invited is the ids of those whose votes were asked for or who should
// have had one, in any order; votes may be fewer (the others are pending).
func Tally(r Rule, invited []string, votes []Vote) (Result, error) { return Result{}, ErrNoQuorum }
