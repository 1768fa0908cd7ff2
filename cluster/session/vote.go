package session

import "errors"

// ErrFrame is wrapped by every failure to decode a question or an answer, or
// anything else that a peer sends on a session.
var ErrFrame = errors.New("session: malformed frame")

// Question is what one node asks another: rows of the task, in one message whatever their number.
type Question struct {
	Round     [16]byte  // ULID of the round
	RequestID string    // travels to the peer's log; at most 64 bytes of printable ASCII, else cut and with ? in it
	Task      [32]byte  // digest; a peer of another task answers bad_schema
	Columns   int       // features a row, 1 to MaxColumns
	Rows      []float64 // row after row, all finite; at least one row
	Sign      bool      // the answer is to be signed (a receipt or evidence needs it)
	Jointly   bool      // one signature may do for this answer and others; only with Sign and one row
}

// Answer is what comes back. Outcome holds a consensus.Outcome as a byte. That
// labels are below Classes, and the numbers of rows and classes those of the
// question, is for the asker to check.
type Answer struct {
	Outcome       byte
	Reason        string   // why not ok, at most 200 bytes
	Micros        uint32   // how long the model took
	Classes       int      // labels of the task, at most MaxClasses
	Labels        []uint16 // one a row
	Probabilities []uint32 // rows x classes, millionths; nil if the model has none
	Fingerprint   [32]byte // of the fitted model; travels with signatures only
	Signature     []byte   // when asked for: 64 bytes for each row, see Statement
	Inclusion     Inclusion
}

// Inclusion is the place of a vote among those that one signature is over: the root of a
// merkle.Tree with their Statements as leaves. The zero Inclusion is that of a vote that was
// signed alone.
type Inclusion struct {
	Index, Size uint16 // Size is at least 2
	Path        []byte // 32 bytes for each digest
}

// Alone reports whether the signature is over this one vote.
func (in *Inclusion) Alone() bool { return in.Size == 0 }

// Limits of questions and answers.
const (
	MaxColumns   = 4096
	MaxClasses   = 1000
	maxRequestID = 64
	million      = 1_000_000
)

// Len returns the number of rows.
func (q *Question) Len() int {
	if q.Columns <= 0 {
		return 0
	}
	return len(q.Rows) / q.Columns
}

// Row returns row i; it shares Rows' memory.
func (q *Question) Row(i int) []float64 {
	return q.Rows[i*q.Columns : (i+1)*q.Columns : (i+1)*q.Columns]
}

// RowProbabilities returns the probabilities of row i, or nil if the model has none.
func (a *Answer) RowProbabilities(i int) []uint32 {
	if len(a.Probabilities) == 0 {
		return nil
	}
	return a.Probabilities[i*a.Classes : (i+1)*a.Classes : (i+1)*a.Classes]
}
