package api

import "time"

// Problem types: the last part of a Problem's Type, which callers branch on.
const (
	BadInput         = "bad-input"          // 400
	Unauthorized     = "unauthorized"       // 401
	HostNotAllowed   = "host-not-allowed"   // 403
	CrossOrigin      = "cross-origin"       // 403
	NotFound         = "not-found"          // 404
	MethodNotAllowed = "method-not-allowed" // 405
	TooLarge         = "too-large"          // 413
	UnsupportedMedia = "unsupported-media"  // 415
	RateLimited      = "rate-limited"       // 429
	InternalError    = "internal"           // 500
	Overloaded       = "overloaded"         // 503
	ShuttingDown     = "shutting-down"      // 503
	Joining          = "joining"            // 503
	QuorumNotReached = "quorum-not-reached" // 503
	NoMajority       = "no-majority"        // 503
	Removed          = "removed"            // 503
	ModelTimeout     = "model-timeout"      // 503
	NotReady         = "not-ready"          // 503
	UpstreamFailed   = "upstream-failed"    // 503
)

// PredictReply answers /predict for one row.
type PredictReply struct {
	Prediction    int          `json:"prediction"` // class index
	Label         string       `json:"label"`
	Probabilities Distribution `json:"probabilities,omitzero"` // absent if the model has none
	Model         string       `json:"model"`
	Node          string       `json:"node"`
	Name          string       `json:"name"`
	RequestID     string       `json:"request_id"`
}

// PredictBatchReply answers POST /predict with "instances".
type PredictBatchReply struct {
	Predictions   []int          `json:"predictions"` // class index, one a row
	Labels        []string       `json:"labels"`
	Probabilities [][]Millionths `json:"probabilities,omitempty"` // rows x classes
	Classes       []string       `json:"classes"`
	Model         string         `json:"model"`
	Node          string         `json:"node"`
	Name          string         `json:"name"`
	RequestID     string         `json:"request_id"`
}

// Vote is what became of one invited member in a round.
type Vote struct {
	Node          string       `json:"node"`
	Name          string       `json:"name"`
	Model         string       `json:"model"`
	Outcome       string       `json:"outcome"` // ok, pending, timeout, connect_error, ...
	Label         string       `json:"label,omitempty"`
	Probabilities Distribution `json:"probabilities,omitzero"`
	Weight        Millionths   `json:"weight"` // that it counted with; 0 unless the outcome is ok
	Ms            Millis       `json:"ms"`
	Reason        string       `json:"reason,omitempty"` // why the outcome is not ok, in words
}

// ConsensusReply answers /consensus for one row.
type ConsensusReply struct {
	Prediction      int          `json:"prediction"` // class index
	Label           string       `json:"label"`
	Status          string       `json:"status"`            // ok, degraded, tie, minority, single
	Summary         string       `json:"summary"`           // one sentence for people
	Method          string       `json:"method"`            // asked for
	Rule            string       `json:"rule"`              // that decided
	Reason          string       `json:"reason"`            // why this rule
	Follows         string       `json:"follows,omitempty"` // id of the one member whose vote decides, if the evidence favours one
	Invited         int          `json:"invited"`
	Counted         int          `json:"counted"`
	Quorum          int          `json:"quorum"`
	DecidedEarly    bool         `json:"decided_early"`
	Tie             bool         `json:"tie"`
	TieBreak        string       `json:"tie_break,omitempty"`
	Shares          Distribution `json:"shares"`
	Margin          Millionths   `json:"margin"`  // first share less the second
	Entropy         Millionths   `json:"entropy"` // of the shares, 0..1
	Unanimous       bool         `json:"unanimous"`
	Dissenters      []string     `json:"dissenters,omitempty"` // ids of those who voted for another label
	EffectiveVoters Millionths   `json:"effective_voters"`
	Votes           []Vote       `json:"votes"` // one for each invited member, in id order
	Round           string       `json:"round"`
	Asked           string       `json:"asked"`    // id of the node that was asked
	Roster          string       `json:"roster"`   // digest's first 16 hex digits
	Evidence        string       `json:"evidence"` // likewise; empty while there is none
	ElapsedMs       Millis       `json:"elapsed_ms"`
	RequestID       string       `json:"request_id"`
	Receipt         string       `json:"receipt,omitempty"` // the whole text of the receipt, if one was asked for
}

// BatchRow is one row's outcome in a batch. Votes holds class indexes in the order
// of ConsensusBatchReply.VotesByNode, -1 where there is none.
type BatchRow struct {
	Prediction int          `json:"prediction"`
	Label      string       `json:"label"`
	Status     string       `json:"status"`
	Tie        bool         `json:"tie"`
	Shares     []Millionths `json:"shares"` // in the order of Classes
	Margin     Millionths   `json:"margin"`
	Entropy    Millionths   `json:"entropy"`
	Unanimous  bool         `json:"unanimous"`
	Votes      []int        `json:"votes"`
}

// NodeVotes is one member's part in a batch.
type NodeVotes struct {
	Node    string     `json:"node"`
	Name    string     `json:"name"`
	Model   string     `json:"model"`
	Outcome string     `json:"outcome"`
	Labels  []int      `json:"labels"` // class indexes, one a row; empty unless the outcome is ok
	Weight  Millionths `json:"weight"`
	Ms      Millis     `json:"ms"`
	Reason  string     `json:"reason,omitempty"`
	// Probabilities are rows x classes; absent unless asked for, or if the model gave none.
	Probabilities [][]Millionths `json:"probabilities,omitempty"`
}

// ConsensusBatchReply answers POST /consensus with "instances": one round, however many rows.
type ConsensusBatchReply struct {
	Predictions  []int       `json:"predictions"`
	Labels       []string    `json:"labels"`
	Classes      []string    `json:"classes"`
	Status       string      `json:"status"` // of the round; a row's may be tie besides
	Summary      string      `json:"summary"`
	Method       string      `json:"method"`
	Rule         string      `json:"rule"`
	Reason       string      `json:"reason"`
	Follows      string      `json:"follows,omitempty"`
	Invited      int         `json:"invited"`
	Counted      int         `json:"counted"`
	Quorum       int         `json:"quorum"`
	DecidedEarly bool        `json:"decided_early"`
	Results      []BatchRow  `json:"results"`
	VotesByNode  []NodeVotes `json:"votes_by_node"`
	Round        string      `json:"round"`
	Asked        string      `json:"asked"`
	Roster       string      `json:"roster"`
	Evidence     string      `json:"evidence"`
	ElapsedMs    Millis      `json:"elapsed_ms"`
	RequestID    string      `json:"request_id"`
}

// Member is one line of /members.
type Member struct {
	ID         string      `json:"id"`
	Name       string      `json:"name"`
	Model      string      `json:"model"`
	Task       string      `json:"task"` // its name; empty until the member has described itself
	TaskDigest string      `json:"task_digest"`
	URL        string      `json:"url"`
	State      string      `json:"state"` // alive, suspect, failed, left, refused
	Since      time.Time   `json:"since"`
	RTT        Millis      `json:"rtt_ms"`
	Via        string      `json:"via"`               // the id of the member that relays for it
	Carries    []string    `json:"carries,omitempty"` // the ids of those that it relays for
	Accuracy   *Millionths `json:"accuracy"`          // its own word; null if unknown
	Weight     *Millionths `json:"weight,omitempty"`  // learnt from labels; absent while there are none
	Form       string      `json:"form,omitempty"`    // how the server that it stands in front of is asked
	Voter      bool        `json:"voter"`             // counts towards the quorum of this node's rounds
	Connected  bool        `json:"connected"`
	Through    string      `json:"through,omitempty"` // the id of the relay through which that connection goes
	Reason     string      `json:"reason"`            // why it does not vote or was refused
	Self       bool        `json:"self,omitempty"`
	Removed    bool        `json:"removed,omitempty"` // it was refused because a person removed it
	Traffic    *Traffic    `json:"traffic,omitempty"` // with this node; absent if there was none, and on /events
}

// Traffic is what passed between this node and a member since this node started, by the way it took.
// Absent ways had none.
type Traffic struct {
	Direct  *Flow `json:"direct,omitempty"`  // from socket to socket, on this machine or a private network
	Public  *Flow `json:"public,omitempty"`  // through a tunnel, a proxy, or an address of the Internet
	Relayed *Flow `json:"relayed,omitempty"` // inside the session with a relay, whose bytes have these in them
}

// Flow is bytes, and HTTP requests for a session.
type Flow struct {
	BytesIn     uint64 `json:"bytes_in"`
	BytesOut    uint64 `json:"bytes_out"`
	RequestsIn  uint64 `json:"requests_in"`  // that this node took
	RequestsOut uint64 `json:"requests_out"` // that it made, also in vain
}

// MembersReply answers GET /members.
type MembersReply struct {
	Self    string   `json:"self"`
	Profile string   `json:"profile"`
	Roster  string   `json:"roster"`
	Members []Member `json:"members"` // in id order
}

// TaskReply describes a task.
type TaskReply struct {
	Name     string   `json:"name"`
	Features []string `json:"features"`
	Labels   []string `json:"labels"`
	Digest   string   `json:"digest"`
	// Ranges say of each feature where the training rows' values lie; absent if the node has none.
	Ranges []FeatureRange `json:"ranges,omitempty"`
}

// FeatureRange tells of one feature's values, to four digits: the smallest, the largest and the median.
type FeatureRange struct {
	Min     float64 `json:"min"`
	Max     float64 `json:"max"`
	Typical float64 `json:"typical"`
}

// EvaluationReply is how a model did on rows that it was not fitted on.
type EvaluationReply struct {
	Accuracy  float64   `json:"accuracy"`
	Rows      int       `json:"rows"`
	Confusion [][]int   `json:"confusion"` // [actual][predicted]
	Precision []float64 `json:"precision,omitempty"`
	Recall    []float64 `json:"recall,omitempty"`
	Folds     int       `json:"folds,omitempty"`
}

// CardReply answers GET /card.
type CardReply struct {
	ID         string           `json:"id"`
	Name       string           `json:"name"`
	Model      string           `json:"model"`
	Params     map[string]any   `json:"params"`
	Task       TaskReply        `json:"task"`
	URL        string           `json:"url"`
	Sequence   uint64           `json:"sequence"`
	Evaluation *EvaluationReply `json:"evaluation,omitempty"`
	Version    string           `json:"version"`
	Card       string           `json:"card"` // base64 of the signed record
}

// RoundSummary is one line of GET /rounds.
type RoundSummary struct {
	Round   string     `json:"round"`
	At      time.Time  `json:"at"`
	Asked   string     `json:"asked"` // id of the node that was asked
	Rows    int        `json:"rows"`  // 1, unless it was a batch
	Label   string     `json:"label"` // empty for a batch
	Status  string     `json:"status"`
	Counted int        `json:"counted"`
	Invited int        `json:"invited"`
	Entropy Millionths `json:"entropy"` // of the shares
	// Disagreement is the entropy of the votes, one each, whatever they weighed: 0 all agree,
	// 1 as many for each label. 0 for a batch.
	Disagreement Millionths `json:"disagreement"`
}

// RoundsReply answers GET /rounds, newest first.
type RoundsReply struct {
	Rounds []RoundSummary `json:"rounds"`
}

// ShortVote is a vote as round summaries carry it.
type ShortVote struct {
	Node  string `json:"node"`
	Name  string `json:"name"`
	Label string `json:"label"` // empty: it did not count
}

// RoundReply answers GET /rounds/{id}. Of rounds that other nodes were asked for
// there are only the summary and the labels voted for.
type RoundReply struct {
	RoundSummary
	Features  []float64       `json:"features,omitempty"`
	Votes     []ShortVote     `json:"votes"`
	Consensus *ConsensusReply `json:"consensus,omitempty"`
}

// HealthReply answers GET /healthz.
type HealthReply struct {
	Status string `json:"status"` // ok
	Node   string `json:"node"`
	Name   string `json:"name"`
}

// ReadyReply answers GET /readyz when the node answers /consensus.
type ReadyReply struct {
	Status  string `json:"status"` // ready
	Node    string `json:"node"`
	Name    string `json:"name"`
	Model   string `json:"model"`
	Members int    `json:"members"` // invited to a round now
	// Degraded says what does not work although the node answers: the state cannot be kept.
	Degraded string `json:"degraded,omitempty"`
	// SetAside names files of the state folder that were damaged when the node started.
	SetAside []string `json:"set_aside,omitempty"`
}

// ForgetReply answers POST /members/forget.
type ForgetReply struct {
	Forgotten []string `json:"forgotten"` // name (id)
}

// Missing is a member whose vote was wanting when a quorum was not reached.
type Missing struct {
	Node    string    `json:"node"`
	Name    string    `json:"name"`
	Model   string    `json:"model"`
	State   string    `json:"state"`
	Since   time.Time `json:"since"`
	Outcome string    `json:"outcome"`
	Reason  string    `json:"reason,omitempty"`
}

// Problem is every reply that is not a success: application/problem+json (RFC 9457)
// with one more member, error, the sentence that old clients read. It is an error.
type Problem struct {
	Type      string `json:"type"` // urn:caucus:problem: and one of the constants
	Title     string `json:"title"`
	Status    int    `json:"status"`
	Detail    string `json:"detail"`
	Message   string `json:"error"` // the same sentence as Detail
	RequestID string `json:"request_id,omitempty"`

	Known []string `json:"known,omitempty"` // the parameters that there are, when an unknown one was given

	// When the quorum was not reached:
	Round            string    `json:"round,omitempty"`
	Invited          int       `json:"invited,omitempty"`
	Counted          int       `json:"counted,omitempty"`
	Quorum           int       `json:"quorum,omitempty"`
	ProvisionalLabel string    `json:"provisional_label,omitempty"`
	ProvisionalClass *int      `json:"provisional_prediction,omitempty"`
	Votes            []Vote    `json:"votes,omitempty"`
	Missing          []Missing `json:"missing,omitempty"`
	WhatToDo         []string  `json:"what_to_do,omitempty"`
	RetryAfter       int       `json:"retry_after,omitempty"` // seconds, also the header
	Cause            error     `json:"-"`                     // logged, never shown
	CloseConnection  bool      `json:"-"`                     // also send Connection: close
	WWWAuthenticate  string    `json:"-"`
}
