package evidence

import (
	"bytes"
	"fmt"
)

// A broadcast is a kind and what belongs to it.
const (
	messageRecord byte = 1 // a whole record
	messageHead   byte = 2 // task 32 | id 32 | epoch u64 | sequence u64 | the hash's first 16 bytes
	messageProof  byte = 3 // task 32 | id 32: the sender can prove that this origin forked
)

// Heard is what a broadcast came to.
type Heard struct {
	Outcome Outcome // of a record; Duplicate, Gap or Excluded for an announcement
	// Fetch is set when its sender has what this log lacks: Sync with it.
	Fetch bool
}

// HandleBroadcast takes a broadcast of another node, as that node's Config.Broadcast
// was given it. Like Receive it may wait for the disk.
func (l *Log) HandleBroadcast(msg []byte) (Heard, error) {
	if len(msg) == 0 || len(msg) > MaxBroadcast {
		return Heard{}, fmt.Errorf("%w: a broadcast of %d bytes", ErrRecord, len(msg))
	}
	switch msg[0] {
	case messageRecord:
		outcome, err := l.Receive(msg[1:])
		return Heard{Outcome: outcome, Fetch: outcome == Gap}, err
	case messageHead:
		return l.heardHead(msg[1:])
	case messageProof:
		return l.heardProof(msg[1:])
	}
	return Heard{}, fmt.Errorf("%w: a broadcast of the unknown kind %d", ErrRecord, msg[0])
}

func (l *Log) heardHead(b []byte) (Heard, error) {
	if len(b) != 32+headSize {
		return Heard{}, fmt.Errorf("%w: an announcement of %d bytes", ErrHeads, len(b))
	}
	if !bytes.Equal(b[:32], l.cfg.Task[:]) {
		return Heard{}, fmt.Errorf("%w: an announcement about task %x", ErrTask, b[:4])
	}
	// The line of a vector of heads, so it is judged as one.
	v := append([]byte{headsVersion}, b[:32]...)
	v = append(append(v, 0, 1, 0, 0), b[32:]...)
	return l.heard(v)
}

func (l *Log) heardProof(b []byte) (Heard, error) {
	if len(b) != 64 {
		return Heard{}, fmt.Errorf("%w: a notice of %d bytes", ErrHeads, len(b))
	}
	if !bytes.Equal(b[:32], l.cfg.Task[:]) {
		return Heard{}, fmt.Errorf("%w: a notice about task %x", ErrTask, b[:4])
	}
	v := append([]byte{headsVersion}, b[:32]...)
	v = append(append(v, 0, 0, 0, 1), b[32:]...)
	return l.heard(v)
}

func (l *Log) heard(heads []byte) (Heard, error) {
	v, err := decodeHeads(heads)
	if err != nil {
		return Heard{}, err
	}
	if w := l.Snapshot().wanting(v); len(w.chains)+len(w.proofs) > 0 {
		return Heard{Outcome: Gap, Fetch: true}, nil
	}
	return Heard{Outcome: Duplicate}, nil
}

func proofNotice(p *Proof) []byte {
	m := append([]byte{messageProof}, p.A.Task[:]...)
	return append(m, p.Origin...)
}
