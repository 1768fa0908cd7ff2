package session

import "errors"

// ErrFrame is wrapped by every failure to decode a question or an answer.
var ErrFrame = errors.New("session: malformed frame")

// Question is what one node asks another: rows of the task, in one message whatever their number.
type Question struct {
	Round     [16]byte // ULID of the round
	RequestID string   // travels to the peer's log, at most 64 bytes
	Task      [32]byte // digest; a peer of another task answers bad_schema
	Columns   int      // features a row
	Rows      []float64
	Sign      bool // the answer is to be signed (a receipt or evidence needs it)
}

// Answer is what comes back. Outcome holds a consensus.Outcome as a byte.
type Answer struct {
	Outcome       byte
	Reason        string   // why not ok, at most 200 bytes
	Micros        uint32   // how long the model took
	Classes       int      // labels of the task
	Labels        []uint16 // one a row
	Probabilities []uint32 // rows x classes, millionths; nil if the model has none
	Signature     []byte   // 64 bytes when asked for
}

// Append encodes q after dst.
func (q *Question) Append(dst []byte) []byte { return dst }

// Decode reads a question into q, reusing its slices; q.Rows must not outlive b's
// buffer unless copied.
func (q *Question) Decode(b []byte) error { return ErrFrame }

// Append encodes a after dst.
func (a *Answer) Append(dst []byte) []byte { return dst }

// Decode reads an answer into a, reusing its slices.
func (a *Answer) Decode(b []byte) error { return ErrFrame }
