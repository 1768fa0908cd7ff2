package evidence

import (
	"fmt"

	"caucus/cluster/identity"
)

// Assemble makes a snapshot of encoded records without a log, for those who check what
// others learnt from them: every record counts. It checks all that a log checks of a
// record and of a chain, signatures included, and that the chains are whole; they may
// come in any order of chains, each from its first record that counts to its last. The
// error names the record by its place.
func Assemble(task [32]byte, classes int, raws [][]byte) (*Snapshot, error) {
	l := &Log{
		cfg:     Config{Task: task, Classes: classes, MaxBytes: defaultMaxBytes},
		origins: make(map[identity.ID]*origin),
	}
	records := make([]*Record, len(raws))
	for i, raw := range raws {
		r, err := l.parse(raw)
		if err == nil {
			err = r.Verify()
		}
		if err != nil {
			return nil, fmt.Errorf("record %d: %w", i, err)
		}
		records[i] = r
	}
	var build chainBuilder
	for i, r := range records {
		if err := build.add(entryOf(r)); err != nil {
			return nil, fmt.Errorf("record %d: %w: %v", i, ErrRecord, err)
		}
		if i+1 < len(records) && records[i+1].Origin == r.Origin && records[i+1].Epoch == r.Epoch {
			continue
		}
		c, err := build.finish()
		if err != nil {
			return nil, fmt.Errorf("record %d: %w: the chain of %s: %v", i, ErrRecord, r.Origin, err)
		}
		o := l.origins[r.Origin]
		switch {
		case o == nil:
			o = &origin{id: r.Origin}
		case o.chain(r.Epoch) != nil:
			return nil, fmt.Errorf("record %d: %w: the chain of %s comes twice", i, ErrRecord, r.Origin)
		}
		l.origins[r.Origin] = o.with(c)
	}
	return newSnapshot(l), nil
}

// Raw returns the encoded records of a snapshot that count, chain by chain, as Assemble
// takes them. It fails with ErrStore if the log has let any of them go since.
func (l *Log) Raw(s *Snapshot) ([][]byte, error) {
	out := make([][]byte, 0, s.Records())
	for _, c := range s.counted {
		for i := 0; i < len(c.entries); {
			raws, err := l.store.read(c.id, c.entries[i].Sequence, chunk)
			if err != nil {
				return nil, err
			}
			if len(raws) == 0 {
				return nil, fmt.Errorf("%w: record %d of %s: %w", ErrStore, c.entries[i].Sequence, c.id.origin, errAbsent)
			}
			for _, raw := range raws {
				if i == len(c.entries) {
					break // the chain has grown since
				}
				r, err := ParseRecord(raw)
				if err != nil || r.Hash != c.entries[i].Hash {
					return nil, fmt.Errorf("%w: record %d of %s: %w", ErrStore, c.entries[i].Sequence, c.id.origin, errAbsent)
				}
				out = append(out, raw)
				i++
			}
		}
	}
	return out, nil
}
