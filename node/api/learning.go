package api

import "time"

// The kinds of problem when labels cannot be taken.
const (
	NoEvidence = "no-evidence" // 409: this node's labels do not count, and trying again does not help
	NotWritten = "not-written" // 503: they could not be written to disk
)

// Labels is a checked request to /feedback: what rows really are.
type Labels struct {
	RequestID string
	Round     string    // id of the round that is labelled; empty: Rows are
	Rows      []float64 // row-major, all finite; belongs to the caller, valid until Feedback returns
	Labels    []int     // class indexes, one a row; one if Round is set
}

// What became of a label.
const (
	LabelRecorded = "recorded" // it is evidence now
	LabelReplaced = "replaced" // this node had given the row another label, which no longer counts
	LabelKnown    = "known"    // this node had given the row this very label; nothing has changed
)

// FeedbackRow is what became of one label.
type FeedbackRow struct {
	Label  string `json:"label"`
	Status string `json:"status"` // recorded, replaced or known
	Votes  int    `json:"votes"`  // signed votes that went into the evidence with it
}

// FeedbackReply answers POST /feedback.
type FeedbackReply struct {
	Recorded  int           `json:"recorded"`
	Replaced  int           `json:"replaced"`
	Known     int           `json:"known"`
	Rows      []FeedbackRow `json:"rows"`     // in the order in which they were given
	Labels    int           `json:"labels"`   // labelled rows in all the evidence
	Evidence  string        `json:"evidence"` // its digest, as replies of /consensus show it
	RequestID string        `json:"request_id"`
}

// MemberWeight is what the evidence says of one member.
type MemberWeight struct {
	ID       string     `json:"id"`
	Name     string     `json:"name"`
	Model    string     `json:"model"`
	Correct  int        `json:"correct"` // labelled rows that its present model had right
	Total    int        `json:"total"`   // labelled rows that its present model voted on
	Score    Millionths `json:"score"`   // (correct+2)/(total+3), cut to 0.01..0.99
	Weight   Millionths `json:"weight"`  // by method=weighted
	Voice    int        `json:"voice"`   // members with the same number above 0 have one model, and share its weight
	Recall   []Recall   `json:"recall"`  // by label, in the task's order
	TwoFaced bool       `json:"two_faced"`
}

// Recall is how often a member recognises the rows of one label.
type Recall struct {
	Label   string `json:"label"`
	Correct int    `json:"correct"`
	Total   int    `json:"total"`
}

// RuleWeight is a line of the Hedge table.
type RuleWeight struct {
	Rule   string     `json:"rule"`             // majority, weighted, soft, or member
	Member string     `json:"member,omitempty"` // id of the member whose vote it follows
	Name   string     `json:"name,omitempty"`   // of that member
	Rows   int        `json:"rows"`             // on which it said something
	Loss   Millionths `json:"loss"`             // rows that it had wrong, and what it was charged while silent
	Share  Millionths `json:"share"`            // of the mixture, for the next row
}

// ErrorPair is two members that give the same wrong label more often than chance would have it.
type ErrorPair struct {
	Members  [2]string  `json:"members"`  // ids
	Rows     int        `json:"rows"`     // that both voted on
	Together int        `json:"together"` // with the same wrong label of both
	Expected Millionths `json:"expected"` // of two that err independently
	Z        Millionths `json:"z"`        // standard deviations above that
}

// Labeller is one who gave labels.
type Labeller struct {
	ID       string `json:"id"`
	Name     string `json:"name,omitempty"`
	Records  int    `json:"records"`
	Counts   bool   `json:"counts"`             // its labels count at this node
	Excluded string `json:"excluded,omitempty"` // why nothing of it counts anywhere
}

// AutoRule is what method=auto does now.
type AutoRule struct {
	Rule    string `json:"rule"`
	Follows string `json:"follows,omitempty"` // id of the one member whose vote decides
	Reason  string `json:"reason"`
}

// WeightsReply answers GET /weights. But for Asked it is the same at all nodes with equal
// rosters, evidence and feedback-from.
type WeightsReply struct {
	Asked     string         `json:"asked"`
	Basis     string         `json:"basis"`    // digest of the evidence and of the members that vote
	Roster    string         `json:"roster"`   // as in replies of /consensus
	Evidence  string         `json:"evidence"` // likewise
	From      string         `json:"feedback_from"`
	Labels    int            `json:"labels"`   // labelled rows
	Disputed  int            `json:"disputed"` // left out: its labellers are evenly split
	Auto      AutoRule       `json:"auto"`
	Members   []MemberWeight `json:"members"` // in id order
	Rules     []RuleWeight   `json:"rules"`
	Mixture   Millionths     `json:"mixture"` // rows that the Hedge mixture had wrong
	Regret    Millionths     `json:"regret"`  // that less the loss of the best line
	Bound     Millionths     `json:"bound"`   // what the regret cannot exceed
	Together  []ErrorPair    `json:"together"`
	Labellers []Labeller     `json:"labellers"`
	// Rows are the digests of the labelled rows' features in hex, in order, each once; absent unless asked for.
	Rows []string `json:"rows,omitempty"`
}

// ReviewRound is a recent round of this node's that nobody here has labelled yet.
type ReviewRound struct {
	Round        string      `json:"round"`
	At           time.Time   `json:"at"`
	Label        string      `json:"label"` // the joint answer
	Features     []float64   `json:"features"`
	Votes        []ShortVote `json:"votes"`
	Disagreement Millionths  `json:"disagreement"` // entropy of the votes, one each: 0 all agree, 1 as many for each label
	Margin       Millionths  `json:"margin"`
}

// ReviewReply answers GET /review: first those whose label would teach most.
type ReviewReply struct {
	Features []string      `json:"features"` // their names, in order
	Labels   []string      `json:"labels"`   // that there are
	Rounds   []ReviewRound `json:"rounds"`
}
