package evidence

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"slices"
	"sync"

	"caucus/cluster/identity"
)

// Snapshot is what a log held at one moment. It is immutable; what costs time is
// worked out when it is first asked for, once.
type Snapshot struct {
	task    [32]byte
	self    identity.ID
	origins []*origin // by id; all that is held
	counted []*chain  // by id and epoch; what the policy counts
	digest  [32]byte
	bytes   uint64
	full    bool
	admits  func(identity.ID) bool

	heads  func() []byte
	replay func() []*Entry
	table  func() *table
}

func newSnapshot(l *Log) *Snapshot {
	s := &Snapshot{
		task: l.cfg.Task, self: l.self, bytes: l.bytes, full: l.bytes >= l.cfg.MaxBytes,
		origins: make([]*origin, 0, len(l.origins)),
	}
	for _, o := range l.origins {
		s.origins = append(s.origins, o)
	}
	slices.SortFunc(s.origins, func(a, b *origin) int { return compareIDs(a.id, b.id) })
	for _, o := range s.origins {
		if l.cfg.From.counts(o.id, l.self, l.members) {
			s.counted = append(s.counted, o.chains...)
		}
		s.full = s.full && l.admits(o.id) // else there is something to evict
	}
	members, from := l.members, l.cfg.From // SetMembers makes a new map; this one stays as it is
	s.admits = func(id identity.ID) bool { return from.admits(id, s.self, members) }
	s.digest = digestOf(s.task, s.counted)
	s.heads = sync.OnceValue(s.encodeHeads)
	s.replay = sync.OnceValue(s.merge)
	s.table = sync.OnceValue(func() *table { return tabulate(s.replay()) })
	return s
}

const digestContext = "caucus evidence digest v1\x00"

// digestOf hashes the heads of chains. A head's hash stands for its whole chain, so
// the cost is that of the chains, whatever the number of records.
func digestOf(task [32]byte, chains []*chain) [32]byte {
	b := append(make([]byte, 0, len(digestContext)+32+len(chains)*(32+8+8+32)), digestContext...)
	b = append(b, task[:]...)
	for _, c := range chains {
		head := c.head()
		b = append(b, c.id.origin...)
		b = binary.BigEndian.AppendUint64(b, c.id.epoch)
		b = binary.BigEndian.AppendUint64(b, head.Sequence)
		b = append(b, head.Hash[:]...)
	}
	return sha256.Sum256(b)
}

// Digest returns the digest of what counts. Equal digests, equal Replay.
func (s *Snapshot) Digest() [32]byte { return s.digest }

// Replay returns the records that count, by Lamport time, origin, epoch and
// sequence. The slice is shared: do not change it.
func (s *Snapshot) Replay() []*Entry { return s.replay() }

func (s *Snapshot) merge() []*Entry {
	all := make([]*Entry, 0, s.Records())
	for _, c := range s.counted {
		all = append(all, c.entries...)
	}
	slices.SortFunc(all, (*Entry).before)
	return all
}

// Records returns how many records count.
func (s *Snapshot) Records() (n int) {
	for _, c := range s.counted {
		n += len(c.entries)
	}
	return n
}

// Bytes returns the size of the encoded records that are held, counted or not.
func (s *Snapshot) Bytes() uint64 { return s.bytes }

// Full reports whether the log takes nothing more of others (see Config.MaxBytes).
// Its evidence may then differ from that of other nodes.
func (s *Snapshot) Full() bool { return s.full }

// Labeller is what is held of one origin.
type Labeller struct {
	ID       identity.ID
	Records  int
	Epochs   int
	Counts   bool   // its labels count at this node
	Excluded string // why nothing of it counts anywhere: what its proof shows; or ""
}

// Labellers returns who gave labels, by id, with those whose labels do not count.
func (s *Snapshot) Labellers() []Labeller {
	counted := make(map[identity.ID]bool, len(s.counted))
	for _, c := range s.counted {
		counted[c.id.origin] = true
	}
	out := make([]Labeller, 0, len(s.origins))
	for _, o := range s.origins {
		x := Labeller{ID: o.id, Epochs: len(o.chains), Counts: counted[o.id]}
		for _, c := range o.chains {
			x.Records += len(c.entries)
		}
		if o.proof != nil {
			x.Excluded = o.proof.Reason
		}
		out = append(out, x)
	}
	return out
}

// Proof returns the proof that excludes an origin, or nil.
func (s *Snapshot) Proof(id identity.ID) *Proof {
	if o := s.origin(id); o != nil {
		return o.proof
	}
	return nil
}

// Labelled returns the label that this node itself last gave for a row.
func (s *Snapshot) Labelled(key Key) (label int, ok bool) {
	var latest *Entry
	if o := s.origin(s.self); o != nil {
		for _, c := range o.chains {
			for _, e := range c.entries {
				if e.Key == key && (latest == nil || latest.before(e) < 0) {
					latest = e
				}
			}
		}
	}
	if latest == nil {
		return 0, false
	}
	return latest.Label, true
}

// LabelledAll returns the labels that this node itself last gave, of all its rows. The map is the caller's own.
func (s *Snapshot) LabelledAll() map[Key]int {
	given := make(map[Key]int)
	for key, was := range labelsOf(s.origin(s.self)) {
		given[key] = was.label
	}
	return given
}

func (s *Snapshot) origin(id identity.ID) *origin {
	i, found := slices.BinarySearchFunc(s.origins, id, func(o *origin, id identity.ID) int { return cmp.Compare(o.id, id) })
	if !found {
		return nil
	}
	return s.origins[i]
}
