package api

import (
	"sync"
	"time"
)

// What is told of a round of one row while it is played, at this node. A round that is
// told begins with RoundAsked and ends with RoundDecided; between them, and for votes that
// came too late after it, RoundVote.

// LiveEvent is one step of a round.
type LiveEvent struct {
	Name string // asked, vote or decided
	Data any    // *RoundAsked, *RoundVote or *RoundDecided; belongs to who is told
}

// Names of LiveEvents.
const (
	EventAsked   = "asked"
	EventVote    = "vote"
	EventDecided = "decided"
)

// RoundAsked says that the members have just been asked.
type RoundAsked struct {
	Round     string    `json:"round"`
	RequestID string    `json:"request_id"`
	At        time.Time `json:"at"`
	Method    string    `json:"method"`
	Rule      string    `json:"rule"`
	Quorum    int       `json:"quorum"`
	Invited   []string  `json:"invited"` // ids, in order
}

// RoundVote says that a member has voted or failed. What stands beside the vote is the tally of all
// that came until then, so that an event that was lost spoils nothing.
type RoundVote struct {
	Round     string       `json:"round"`
	RequestID string       `json:"request_id"`
	Vote      Vote         `json:"vote"`
	Counted   int          `json:"counted"`
	Out       int          `json:"out"`             // of whom nothing has been heard
	Label     string       `json:"label,omitempty"` // that leads
	Shares    Distribution `json:"shares,omitzero"` // absent of a vote that came too late
	Certain   bool         `json:"certain"`         // nobody who is out can change the label
	Late      bool         `json:"late"`            // it came after the round had ended, and was not counted
}

// RoundDecided says that the round has ended.
type RoundDecided struct {
	Round     string `json:"round"`
	RequestID string `json:"request_id"`
	Status    string `json:"status"`
	Label     string `json:"label"`
	Summary   string `json:"summary"`
	ElapsedMs Millis `json:"elapsed_ms"`
}

const (
	liveEachSecond = 20  // rounds of others that are told; one's own are told always
	liveQueue      = 512 // steps that wait to be encoded; more are lost
)

// budget lets so many rounds a second through, and drops the others: a page shows a class
// that asks, and a program that asks thousands of times costs next to nothing.
type budget struct {
	mu     sync.Mutex // guards the rest
	second int64
	spent  int
}

func (b *budget) allow(now time.Time) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if s := now.Unix(); s != b.second {
		b.second, b.spent = s, 0
	}
	if b.spent >= liveEachSecond {
		return false
	}
	b.spent++
	return true
}
