package evidence

import (
	"errors"
	"fmt"

	"caucus/cluster/identity"
)

// tx is one change of the log: it works on copies, then commits to the store, and
// only when that has succeeded shows in memory. l.mu is held from begin to commit.
type tx struct {
	l       *Log
	origins map[identity.ID]*origin // as they will be; nil: gone
	records []*Record               // added, in order; some may already be let go again
	proofs  []*Proof
	epoch   uint64 // of this node's own chain; 0: as it was
	bytes   uint64 // of all origins, as they will be
}

func (l *Log) begin() *tx {
	return &tx{l: l, origins: make(map[identity.ID]*origin), bytes: l.bytes}
}

func (t *tx) origin(id identity.ID) *origin {
	if o, ok := t.origins[id]; ok {
		return o
	}
	return t.l.origins[id]
}

// set puts an origin in its new form, or with o nil takes it out.
func (t *tx) set(id identity.ID, o *origin) {
	if old := t.origin(id); old != nil {
		t.bytes -= old.bytes()
	}
	if o != nil {
		t.bytes += o.bytes()
	}
	t.origins[id] = o
}

// add takes one verified record. The error, if any, wraps ErrRefused or ErrStore.
func (t *tx) add(r *Record) (Outcome, error) {
	o, outcome, err := t.open(r)
	if o == nil {
		return outcome, err
	}
	e, c := entryOf(r), o.chain(r.Epoch)
	switch {
	case c == nil && r.Sequence > 1:
		return Gap, nil
	case c == nil:
		return t.put(o, &chain{id: chainID{r.Origin, r.Epoch}, entries: []*Entry{e}}, r)
	}
	head, first := c.head(), c.entries[0]
	switch {
	case r.Sequence > head.Sequence+1:
		return Gap, nil
	case r.Sequence < first.Sequence-1:
		return Old, nil
	case r.Sequence == first.Sequence-1:
		if why := contradiction(e, first); why != "" {
			return t.prove(first, r)
		}
		return Old, nil
	case r.Sequence <= head.Sequence:
		if have := c.at(r.Sequence); have.Hash != r.Hash {
			return t.prove(have, r)
		}
		return Duplicate, nil
	}
	if contradiction(head, e) != "" {
		return t.prove(head, r)
	}
	next := c.with(e)
	if from := next.entries[0]; contradiction(from, e) != "" {
		return t.prove(from, r)
	}
	return t.put(o, next, r)
}

// adopt replaces a chain by a later part of it that does not join on: the rest
// between was let go by all others while this node was away. segment is verified,
// without gaps, and complete: its last record keeps none before its first.
func (t *tx) adopt(segment []*Record) (Outcome, error) {
	last := segment[len(segment)-1]
	o, outcome, err := t.open(last)
	if o == nil {
		return outcome, err
	}
	c := o.chain(last.Epoch)
	if c != nil {
		for _, r := range segment {
			e := entryOf(r)
			for _, have := range []*Entry{c.at(r.Sequence), c.entries[0], c.head()} {
				if have != nil && contradiction(have, e) != "" {
					return t.prove(have, r)
				}
			}
		}
		if c.head().Sequence >= last.Sequence {
			return Duplicate, nil
		}
	}
	segment = segment[last.First()-segment[0].Sequence:]
	next := &chain{id: chainID{last.Origin, last.Epoch}}
	for _, r := range segment {
		next.entries = append(next.entries, entryOf(r))
	}
	if contradiction(next.entries[0], next.head()) != "" {
		_, err := t.exclude(segment[0], last)
		return Fork, err
	}
	return t.put(o, next, segment...)
}

// open returns the origin to which r may be added. A nil origin comes with the
// outcome that there is instead.
func (t *tx) open(r *Record) (*origin, Outcome, error) {
	o, err := t.admit(r.Origin)
	switch {
	case err != nil:
		return nil, Refused, err
	case o.proof != nil:
		return nil, Excluded, nil
	case o.chain(r.Epoch) == nil && !o.takes(r.Epoch):
		return nil, Old, nil
	}
	return o, 0, nil
}

// admit returns the origin, a new one if there is none yet and there may be.
func (t *tx) admit(id identity.ID) (*origin, error) {
	if !t.l.admits(id) {
		return nil, fmt.Errorf("%w: its origin %s is no member", ErrRefused, id)
	}
	if o := t.origin(id); o != nil {
		return o, nil
	}
	if t.count() >= MaxOrigins && !t.evict() {
		return nil, fmt.Errorf("%w: there are %d origins already, no other fits", ErrRefused, MaxOrigins)
	}
	return &origin{id: id}, nil
}

func (t *tx) count() int {
	n := len(t.l.origins)
	for id, o := range t.origins {
		if _, was := t.l.origins[id]; was && o == nil {
			n--
		} else if !was && o != nil {
			n++
		}
	}
	return n
}

// evict takes out the origin that has been silent longest among those whose records
// are no longer taken, and reports whether there was one.
func (t *tx) evict() bool {
	var victim *origin
	for id := range t.l.origins {
		o := t.origin(id)
		if o == nil || t.l.admits(id) {
			continue
		}
		if victim == nil || o.latest() < victim.latest() || o.latest() == victim.latest() && o.id < victim.id {
			victim = o
		}
	}
	if victim == nil {
		return false
	}
	t.set(victim.id, nil)
	return true
}

// put sets a chain of o, which gains the records, and lets its oldest chain go if it
// has too many.
func (t *tx) put(o *origin, c *chain, records ...*Record) (Outcome, error) {
	next := o.with(c)
	if len(next.chains) > MaxEpochs {
		next.chains = next.chains[1:]
	}
	if o.id != t.l.self {
		for t.bytes >= t.l.cfg.MaxBytes && next.bytes() > o.bytes() {
			if !t.evict() {
				return Refused, fmt.Errorf("%w: the evidence of all origins together has reached %d bytes", ErrRefused, t.l.cfg.MaxBytes)
			}
		}
	}
	t.set(o.id, next)
	t.records = append(t.records, records...)
	return Stored, nil
}

// prove excludes an origin because of a record that contradicts one that is held.
func (t *tx) prove(have *Entry, r *Record) (Outcome, error) {
	held, err := t.record(have)
	if err != nil {
		return Refused, err
	}
	return t.exclude(held, r)
}

// record returns the whole record of an entry.
func (t *tx) record(e *Entry) (*Record, error) {
	for _, r := range t.records {
		if r.Hash == e.Hash {
			return r, nil
		}
	}
	raw, err := t.l.store.read(chainID{e.Origin, e.Epoch}, e.Sequence, 1)
	if err != nil {
		return nil, err
	}
	if len(raw) == 0 {
		return nil, fmt.Errorf("%w: record %d of %s: %w", ErrStore, e.Sequence, e.Origin, errAbsent)
	}
	r, err := ParseRecord(raw[0])
	if err == nil && r.Hash != e.Hash {
		err = errAbsent
	}
	if err != nil {
		return nil, fmt.Errorf("%w: record %d of %s: %w", ErrStore, e.Sequence, e.Origin, err)
	}
	return r, nil
}

func (t *tx) exclude(a, b *Record) (Outcome, error) {
	p, err := newProof(a, b)
	if err != nil {
		return Refused, err
	}
	t.convict(p)
	return Fork, nil
}

// convict leaves of an origin nothing but the proof against it.
func (t *tx) convict(p *Proof) {
	t.set(p.Origin, &origin{id: p.Origin, proof: p})
	t.proofs = append(t.proofs, p)
}

// addProof takes a proof that another node found.
func (t *tx) addProof(p *Proof) (Outcome, error) {
	o, err := t.admit(p.Origin)
	switch {
	case err != nil:
		return Refused, err
	case o.proof != nil:
		return Duplicate, nil
	}
	t.convict(p)
	return Fork, nil
}

// commit writes the change and, if that succeeds, shows it.
func (t *tx) commit() error {
	l := t.l
	if l.closed {
		return ErrClosed
	}
	c := t.changes()
	if c.empty() {
		return nil
	}
	if err := l.store.commit(c); err != nil {
		l.unwritten.Add(1)
		l.broken.Store(&err)
		if errors.Is(err, errDamaged) {
			l.log.Error("the evidence on disk was damaged while the node ran; restart it to set the file aside and rebuild it", "error", err)
		}
		return err
	}
	l.broken.Store(nil)
	for id, o := range t.origins {
		if o == nil {
			delete(l.origins, id)
			continue
		}
		l.origins[id] = o
		l.believe(o.latest())
	}
	l.bytes = t.bytes
	if t.epoch != 0 {
		l.epoch = t.epoch
	}
	for _, p := range t.proofs {
		l.log.Warn("an origin of evidence is excluded: it signed two records that contradict each other",
			"origin", p.Origin, "why", p.Reason, "self", p.Origin == l.self)
	}
	l.publish()
	return nil
}

// changes works out what the store has to do from what was and what will be.
func (t *tx) changes() *changes {
	c := &changes{epoch: t.epoch}
	for id, o := range t.origins {
		old := t.l.origins[id]
		if old == nil {
			continue
		}
		for _, was := range old.chains {
			var now *chain
			if o != nil {
				now = o.chain(was.id.epoch)
			}
			if now == nil {
				c.trims = append(c.trims, trim{was.id, everything})
			} else if first := now.entries[0].Sequence; first > was.entries[0].Sequence {
				c.trims = append(c.trims, trim{was.id, first})
			}
		}
		if old.proof != nil && (o == nil || o.proof == nil) {
			c.unprove = append(c.unprove, id)
		}
	}
	for _, r := range t.records {
		o := t.origins[r.Origin]
		if o == nil {
			continue
		}
		if now := o.chain(r.Epoch); now != nil {
			if e := now.at(r.Sequence); e != nil && e.Hash == r.Hash {
				c.records = append(c.records, r)
			}
		}
	}
	for _, p := range t.proofs {
		if o := t.origins[p.Origin]; o != nil && o.proof == p {
			c.proofs = append(c.proofs, p)
		}
	}
	return c
}
