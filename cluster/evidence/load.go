package evidence

import (
	"errors"
	"fmt"

	"caucus/cluster/identity"
)

// load reads the store. Signatures were checked when the records came; what was
// read from disk is held against the hashes in the chains, and each chain's last
// record, which no hash covers, against its signature.
func (l *Log) load() error {
	l.origins, l.bytes, l.clock = make(map[identity.ID]*origin), 0, 0
	var build chainBuilder
	var last *Record
	finish := func() error {
		if last == nil {
			return nil
		}
		c, err := build.finish()
		if err == nil {
			err = last.verifyOrigin()
		}
		if err != nil {
			return fmt.Errorf("%w: the chain of %s: %v", errDamaged, last.Origin, err)
		}
		o := l.origins[c.id.origin]
		if o == nil {
			o = &origin{id: c.id.origin}
		}
		l.origins[o.id] = o.with(c)
		return nil
	}
	epoch, err := l.store.load(func(raw []byte) error {
		r, err := ParseRecord(raw)
		if err == nil && (r.Task != l.cfg.Task || int(r.Classes) != l.cfg.Classes) {
			err = fmt.Errorf("%w: a record of another task", ErrTask)
		}
		if err != nil {
			return fmt.Errorf("%w: %v", errDamaged, err)
		}
		if last != nil && (last.Origin != r.Origin || last.Epoch != r.Epoch) {
			if err := finish(); err != nil {
				return err
			}
		}
		last = r
		if err := build.add(entryOf(r)); err != nil {
			return fmt.Errorf("%w: the chain of %s: %v", errDamaged, r.Origin, err)
		}
		return nil
	}, func(raw []byte) error {
		p, err := ParseProof(raw)
		if err != nil || p.A.Task != l.cfg.Task {
			return fmt.Errorf("%w: a proof: %v", errDamaged, err)
		}
		l.origins[p.Origin] = &origin{id: p.Origin, proof: p}
		return nil
	})
	if err == nil {
		err = finish()
	}
	if err != nil {
		return err
	}
	l.epoch = epoch
	for _, o := range l.origins {
		l.bytes += o.bytes()
		l.believe(o.latest())
	}
	return nil
}

// chainBuilder puts a chain together from entries in order.
type chainBuilder struct{ entries []*Entry }

// add takes the next entry of the chain, or the first of another one.
func (b *chainBuilder) add(e *Entry) error {
	if n := len(b.entries); n > 0 {
		prev := b.entries[n-1]
		if e.Sequence != prev.Sequence+1 {
			return fmt.Errorf("record %d comes after record %d", e.Sequence, prev.Sequence)
		}
		if why := contradiction(prev, e); why != "" {
			return errors.New(why)
		}
	}
	b.entries = append(b.entries, e)
	return nil
}

// finish returns the chain and makes b ready for another.
func (b *chainBuilder) finish() (*chain, error) {
	entries := b.entries
	b.entries = nil
	head := entries[len(entries)-1]
	if head.first() != entries[0].Sequence {
		return nil, fmt.Errorf("it begins with record %d and should begin with %d", entries[0].Sequence, head.first())
	}
	if why := contradiction(entries[0], head); why != "" { // what lies between them does not show it
		return nil, errors.New(why)
	}
	return &chain{id: chainID{head.Origin, head.Epoch}, entries: entries}, nil
}
