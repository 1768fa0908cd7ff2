package evidence

import (
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
)

// Outcome is what became of a record or a proof.
type Outcome uint8

// The outcomes.
const (
	Refused   Outcome = iota // it is no good, or nobody's here; the error says why
	Stored                   // it is the chain's new end
	Duplicate                // it was here
	Old                      // it no longer counts: its chain, or a newer one, has let it go
	Gap                      // records before it are missing; an exchange brings them
	Fork                     // with what was here it proves a fork: its origin is excluded
	Excluded                 // its origin is excluded

	outcomes
)

var outcomeNames = [outcomes]string{
	Refused: "refused", Stored: "stored", Duplicate: "duplicate", Old: "old", Gap: "gap", Fork: "fork", Excluded: "excluded",
}

// String returns the outcome in one word.
func (o Outcome) String() string {
	if o < outcomes {
		return outcomeNames[o]
	}
	return fmt.Sprintf("outcome %d", uint8(o))
}

// Receive takes an encoded record, whoever handed it on. The error says why a record
// is refused: it wraps ErrRecord if nobody should take it, ErrRefused or ErrTask if
// this node does not, ErrStore if it could not be written (then all else is as
// before). It waits for the disk: do not call it where gossip waits.
func (l *Log) Receive(raw []byte) (Outcome, error) {
	r, err := l.parse(raw)
	if err != nil {
		return Refused, err
	}
	if outcome, known := l.known(r); known {
		return outcome, nil
	}
	if err := r.Verify(); err != nil {
		return Refused, err
	}
	return l.change(func(t *tx) (Outcome, error) { return t.add(r) })
}

// ReceiveProof takes an encoded proof: Fork if it is new, Duplicate if its origin is
// excluded already. Errors wrap ErrProof or are as for Receive.
func (l *Log) ReceiveProof(raw []byte) (Outcome, error) {
	p, err := l.parseProof(raw)
	if err != nil {
		return Refused, err
	}
	return l.change(func(t *tx) (Outcome, error) { return t.addProof(p) })
}

// change makes one change, commits it and tells the others of what it proved.
func (l *Log) change(f func(*tx) (Outcome, error)) (Outcome, error) {
	outcome, notices, err := l.locked(f)
	for _, m := range notices {
		l.cfg.Broadcast(m)
	}
	return outcome, err
}

func (l *Log) locked(f func(*tx) (Outcome, error)) (Outcome, [][]byte, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return Refused, nil, ErrClosed
	}
	t := l.begin()
	outcome, err := f(t)
	// What was done before an error stands: a refused record is no reason to lose others.
	if cerr := t.commit(); cerr != nil {
		return Refused, nil, cerr
	}
	var notices [][]byte
	for _, p := range t.proofs {
		notices = append(notices, proofNotice(p))
	}
	return outcome, notices, err
}

func (l *Log) parse(raw []byte) (*Record, error) {
	r, err := ParseRecord(raw)
	switch {
	case err != nil:
		return nil, err
	case r.Task != l.cfg.Task:
		return nil, fmt.Errorf("%w: the record is about task %x, this node's is %x", ErrTask, r.Task[:4], l.cfg.Task[:4])
	case int(r.Classes) != l.cfg.Classes:
		return nil, fmt.Errorf("%w: it has %d classes, the task has %d", ErrRecord, r.Classes, l.cfg.Classes)
	}
	return r, nil
}

func (l *Log) parseProof(raw []byte) (*Proof, error) {
	p, err := ParseProof(raw)
	if err != nil {
		return nil, err
	}
	if p.A.Task != l.cfg.Task {
		return nil, fmt.Errorf("%w: the proof is about task %x, this node's is %x", ErrTask, p.A.Task[:4], l.cfg.Task[:4])
	}
	return p, nil
}

// known answers, without a lock or a signature to check, for a record that is here
// already or whose origin is excluded: most of what gossip brings.
func (l *Log) known(r *Record) (Outcome, bool) {
	o := l.Snapshot().origin(r.Origin)
	if o == nil {
		return 0, false
	}
	if o.proof != nil {
		return Excluded, true
	}
	if c := o.chain(r.Epoch); c != nil {
		if have := c.at(r.Sequence); have != nil && have.Hash == r.Hash {
			return Duplicate, true
		}
	}
	return 0, false
}

// verifyAll checks the signatures of many records on all processors and returns the
// first error.
func verifyAll(records []*Record) error {
	workers := min(runtime.GOMAXPROCS(0), len(records))
	if workers <= 1 {
		for _, r := range records {
			if err := r.Verify(); err != nil {
				return err
			}
		}
		return nil
	}
	var (
		wg    sync.WaitGroup
		next  atomic.Int64
		first atomic.Pointer[error]
	)
	for range workers {
		wg.Go(func() {
			for first.Load() == nil {
				i := int(next.Add(1)) - 1
				if i >= len(records) {
					return
				}
				if err := records[i].Verify(); err != nil {
					first.CompareAndSwap(nil, &err)
				}
			}
		})
	}
	wg.Wait()
	if err := first.Load(); err != nil {
		return *err
	}
	return nil
}
