package api

import (
	"context"
	"time"
)

// Node is what this package needs of the node that it serves. All methods are
// called from many goroutines at once. Errors that are not *Problem become 500.
type Node interface {
	// Info says what does not change while the node runs. The result is shared and only read.
	Info() *Info
	// Predict asks the local model for rows (row-major, checked). labels has a place a
	// row; probs, when not nil, rows x labels, and is filled if the model has any.
	// NaN in the first place means that there are none this time.
	// The slices belong to the caller and are not touched after Predict has returned.
	Predict(ctx context.Context, rows []float64, labels []int, probs []float64) error
	// Consensus plays one round. The caller releases the round when it has written the reply.
	Consensus(ctx context.Context, q *Question) (Round, error)
	Members() *MembersReply
	Card() *CardReply
	// Rounds returns at most limit recent rounds, newest first.
	Rounds(limit int) []RoundSummary
	// Round returns one recent round, or false if it is not, or no longer, known.
	Round(id string) (*RoundReply, bool)
	// Feedback takes labels, and returns when what they teach is learnt, or in a second.
	Feedback(ctx context.Context, q *Labels) (*FeedbackReply, error)
	// Weights tells what the evidence says of the members; with rows, which rows have a label.
	Weights(rows bool) (*WeightsReply, error)
	// Review returns at most limit recent rounds of this node's without a label, those
	// first on which the voters differ most.
	Review(limit int) []ReviewRound
	// Receipt returns the receipt of a recent round that was asked for one; with evidence, all
	// the records that its weights come from are in it. Errors are *Problem.
	Receipt(id string, evidence bool) ([]byte, error)
	// Watch calls look at once, and again whenever members, rounds or weights may have changed,
	// until ctx ends. look does not block.
	Watch(ctx context.Context, look func())
	// WatchRounds tells of rounds of one row while they are played, until stop is called: of
	// those for which want says so when they begin. Both are called with locks held: they
	// return at once and call nothing of the node's.
	WatchRounds(want func(requestID string) bool, tell func(LiveEvent)) (stop func())
	// Doctor examines the node and its place in the cluster, which takes some seconds.
	Doctor(ctx context.Context) (*DoctorReply, error)
	// Readiness returns nil and why, as a *Problem, until the node answers /consensus.
	Readiness() (*ReadyReply, error)
	// Forget takes failed members out of the roster, those named by name or id, or all.
	Forget(ctx context.Context, names []string, failed bool) ([]string, error)
	// Remove takes a node, by name or id, out of the cluster for good, or takes that back, and
	// returns whom: name (id). Errors are *Problem.
	Remove(ctx context.Context, name string, undo bool) (string, error)
}

// Round is a finished round. Its replies are read only until Release.
type Round interface {
	Reply() *ConsensusReply      // nil for a batch
	Batch() *ConsensusBatchReply // nil for one row
	Release()
}

// Info is what does not change while a node runs.
type Info struct {
	ID            string
	Name          string
	Model         string
	Version       string
	Features      []string
	Labels        []string
	Probabilistic bool
	Deadline      time.Duration // of a round; the most that timeout= may say
}

// Wait says how long a round waits for votes that cannot change the outcome any more.
type Wait uint8

// The ways to wait.
const (
	WaitLinger  Wait = iota // the node's linger, 50 ms
	WaitDecided             // not at all
	WaitAll                 // until all have answered or the deadline has passed
)

// Question is a checked request to /consensus.
type Question struct {
	RequestID string
	Start     time.Time // when the request came in
	Rows      []float64 // row-major, all finite; belongs to the caller, valid until Consensus returns
	N         int       // rows
	Batch     bool
	Method    string        // auto, majority, weighted, soft, em
	Quorum    int           // 0: the node's own
	Timeout   time.Duration // 0: the node's own
	Models    []string      // empty: all kinds
	Full      bool
	Minority  bool
	Receipt   bool // votes are to be signed, and the reply to carry a receipt
	Wait      Wait
	// Probabilities: the reply to a batch is to carry those of every vote, as that to one row does.
	Probabilities bool
}
