package evidence

import (
	"bytes"
	"crypto/ed25519"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"slices"

	"caucus/cluster/session"
)

// NewVote takes the vote on one row out of a voter's signed answer.
func NewVote(pub ed25519.PublicKey, a *session.Answer, row int) Vote {
	v := Vote{PublicKey: pub, Fingerprint: a.Fingerprint, Label: a.Labels[row], Probabilities: a.RowProbabilities(row)}
	if end := ed25519.SignatureSize * (row + 1); end <= len(a.Signature) {
		v.Signature = a.Signature[end-ed25519.SignatureSize : end]
	}
	if len(pub) == ed25519.PublicKeySize {
		v.Voter = idOf(pub)
	}
	return v
}

// Labelling is a label that was given at this node for one row.
type Labelling struct {
	Key   Key
	Label int
	Votes []Vote // signed for this node as requester, over Key.Round and Key.Features
}

// Appended says what became of a labelling.
type Appended struct {
	// Record is the new record, or nil: this node had given the row this very label.
	Record *Record
	// Supersedes is set when this node had given the row another label, which the new
	// one replaces.
	Supersedes bool
}

// Append adds labels to this node's own chain, all or, with an error, none, and
// broadcasts what is new. Giving a row the label that this node last gave it changes
// nothing; giving it another adds a record that replaces the label. The votes are
// checked: one that does not hold is an error that wraps ErrRecord.
func (l *Log) Append(labellings ...Labelling) ([]Appended, error) {
	records := make([]*Record, len(labellings))
	for i, g := range labellings {
		if g.Label < 0 || g.Label >= l.cfg.Classes {
			return nil, fmt.Errorf("%w: label %d is outside the %d classes", ErrRecord, g.Label, l.cfg.Classes)
		}
		records[i] = &Record{
			Task: l.cfg.Task, Round: g.Key.Round, Features: g.Key.Features,
			Label: uint16(g.Label), Classes: uint16(l.cfg.Classes), Votes: copyVotes(g.Votes),
		}
		if err := l.checkVotes(records[i]); err != nil {
			return nil, err
		}
	}
	out, messages, err := l.append(records)
	for _, m := range messages {
		l.cfg.Broadcast(m)
	}
	return out, err
}

// copyVotes makes votes that share no memory with the caller's: records live long.
func copyVotes(votes []Vote) []Vote {
	own := slices.Clone(votes)
	for i := range own {
		v := &own[i]
		v.PublicKey, v.Signature = bytes.Clone(v.PublicKey), bytes.Clone(v.Signature)
		if v.Probabilities = slices.Clone(v.Probabilities); len(v.Probabilities) == 0 {
			v.Probabilities = nil
		}
	}
	return own
}

// checkVotes checks form and signatures as other nodes will. The record is not signed yet.
func (l *Log) checkVotes(r *Record) error {
	r.Origin = l.self
	for i := range r.Votes {
		if err := r.Votes[i].validate(r.Classes); err != nil {
			return fmt.Errorf("%w: %v", ErrRecord, err)
		}
	}
	return r.verifyVotes()
}

// append signs the records that say anything new, in order, and commits them.
func (l *Log) append(records []*Record) ([]Appended, [][]byte, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return nil, nil, ErrClosed
	}
	t := l.begin()
	o := t.origin(l.self)
	if o != nil && o.proof != nil {
		return nil, nil, fmt.Errorf("%w (%s): an old copy of its evidence was put back, or its key is in use twice; give the node a new identity by moving its key file away", ErrExcluded, o.proof.Reason)
	}
	latest := labelsOf(o)
	out := make([]Appended, len(records))
	var added []*Record
	for i, r := range records {
		key := r.Key()
		was, known := latest[key]
		if known && was.label == int(r.Label) {
			continue
		}
		if err := t.chainUp(r); err != nil {
			return nil, nil, err
		}
		if outcome, err := t.add(r); outcome != Stored {
			return nil, nil, fmt.Errorf("evidence: own record %d came out as %v: %w", r.Sequence, outcome, err)
		}
		latest[key] = said{label: int(r.Label)}
		out[i] = Appended{Record: r, Supersedes: known}
		added = append(added, r)
	}
	if err := t.commit(); err != nil {
		return nil, nil, err
	}
	return out, announce(added), nil
}

// said is the label that this node last gave a row.
type said struct {
	label int
	entry *Entry
}

func labelsOf(o *origin) map[Key]said {
	latest := make(map[Key]said)
	if o == nil {
		return latest
	}
	for _, c := range o.chains {
		for _, e := range c.entries {
			if was, ok := latest[e.Key]; !ok || was.entry.before(e) < 0 {
				latest[e.Key] = said{e.Label, e}
			}
		}
	}
	return latest
}

// chainUp fills in what makes r the next record of this node's chain and signs it.
func (t *tx) chainUp(r *Record) error {
	l := t.l
	r.Epoch, r.Sequence, r.Kept, r.Previous = t.ownEpoch(), 1, 1, [32]byte{}
	r.Lamport, r.Total = l.clock+1, uint64(r.Size())
	if o := t.origin(l.self); o != nil {
		// The clock moves when a change commits; within one change, the own chains tell.
		r.Lamport = max(r.Lamport, o.latest()+1)
		if c := o.chain(r.Epoch); c != nil {
			head := c.head()
			r.Sequence, r.Previous, r.Total = head.Sequence+1, head.Hash, head.total+uint64(r.Size())
			r.Kept = keep(c, uint64(r.Size()))
		}
	}
	return r.Sign(l.cfg.Key)
}

// keep returns how many records the next one, of some size, lets count, itself
// included: as many as the limits allow.
func keep(c *chain, size uint64) uint16 {
	entries := c.entries
	if len(entries) >= MaxKept {
		entries = entries[len(entries)-MaxKept+1:]
	}
	bytes := size
	for i := len(entries) - 1; i >= 0; i-- {
		if bytes += uint64(entries[i].size); bytes > MaxChainBytes {
			return uint16(len(entries) - i)
		}
	}
	return uint16(len(entries) + 1)
}

// ownEpoch returns the epoch of this node's own chain, a new one if it has none or
// if so many newer ones are known that it no longer counts. A new epoch is above all
// known ones, and else the time, so that one made after a loss is above those lost,
// with sixteen random bits, should the clock stand still.
func (t *tx) ownEpoch() uint64 {
	if t.epoch != 0 {
		return t.epoch
	}
	o := t.origin(t.l.self)
	if o != nil && t.l.epoch != 0 && o.chain(t.l.epoch) != nil {
		return t.l.epoch
	}
	epoch := uint64(max(t.l.cfg.Now().UnixMilli(), 1))<<16 | uint64(rand.N[uint32](1<<16))
	if o != nil {
		for _, c := range o.chains {
			if c.id.epoch >= epoch {
				epoch = c.id.epoch + 1
			}
		}
	}
	t.epoch = epoch
	return epoch
}

// announce makes the broadcasts of own records: the record itself if it is one and
// fits, else the head, for the others to fetch what they lack.
func announce(added []*Record) [][]byte {
	if len(added) == 0 {
		return nil
	}
	last := added[len(added)-1]
	if len(added) == 1 && len(last.Raw) < MaxBroadcast {
		return [][]byte{append([]byte{messageRecord}, last.Raw...)}
	}
	m := append([]byte{messageHead}, last.Task[:]...)
	m = append(m, last.Origin...)
	m = binary.BigEndian.AppendUint64(m, last.Epoch)
	m = binary.BigEndian.AppendUint64(m, last.Sequence)
	return [][]byte{append(m, last.Hash[:headHash]...)}
}
