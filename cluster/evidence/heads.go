package evidence

import (
	"bytes"
	"encoding/binary"
	"fmt"

	"caucus/cluster/identity"
)

// The encoding of heads, version 1: version u8 | task 32 | chains u16 | excluded u16 |
// per chain, by id and epoch: id 32 | epoch u64 | sequence u64 | the hash's first 16 bytes |
// per excluded origin, by id: id 32.
const (
	headsVersion = 1
	headsFixed   = 1 + 32 + 2 + 2
	headHash     = 16 // 128 bits: finding two records of one prefix takes 2^64 signatures
	headSize     = 32 + 8 + 8 + headHash

	// MaxHeads is the most bytes that heads may have: 72 KiB, with every origin at
	// MaxEpochs chains. One chain each of 256 origins make 16 KiB, of 5 members 357 bytes.
	MaxHeads = headsFixed + MaxOrigins*(MaxEpochs*headSize+32)
)

// headLine is one chain in heads.
type headLine struct {
	id       chainID
	sequence uint64
	hash     [headHash]byte
}

// headVector is decoded heads.
type headVector struct {
	task     [32]byte
	chains   []headLine    // by id and epoch, ascending
	excluded []identity.ID // ascending
}

// Heads returns the ends of all chains that are held, for a peer to Compare.
// The slice is shared: do not change it.
func (s *Snapshot) Heads() []byte { return s.heads() }

func (s *Snapshot) encodeHeads() []byte {
	b := append([]byte{headsVersion}, s.task[:]...)
	chains, excluded := 0, 0
	for _, o := range s.origins {
		chains += len(o.chains)
		if o.proof != nil {
			excluded++
		}
	}
	b = binary.BigEndian.AppendUint16(b, uint16(chains))
	b = binary.BigEndian.AppendUint16(b, uint16(excluded))
	for _, o := range s.origins {
		for _, c := range o.chains {
			head := c.head()
			b = append(b, o.id...)
			b = binary.BigEndian.AppendUint64(b, c.id.epoch)
			b = binary.BigEndian.AppendUint64(b, head.Sequence)
			b = append(b, head.Hash[:headHash]...)
		}
	}
	for _, o := range s.origins {
		if o.proof != nil {
			b = append(b, o.id...)
		}
	}
	return b
}

func decodeHeads(b []byte) (*headVector, error) {
	if len(b) < headsFixed || len(b) > MaxHeads {
		return nil, fmt.Errorf("%w: they have %d bytes, want %d to %d", ErrHeads, len(b), headsFixed, MaxHeads)
	}
	if b[0] != headsVersion {
		return nil, fmt.Errorf("%w: they are of version %d and this node reads version %d", ErrHeads, b[0], headsVersion)
	}
	d := decoder{b: b[1:]}
	v := &headVector{}
	copy(v.task[:], d.bytes(32))
	chains, excluded := int(d.uint16()), int(d.uint16())
	if len(d.b) != chains*headSize+excluded*32 || excluded > MaxOrigins {
		return nil, fmt.Errorf("%w: %d chains and %d excluded origins do not make %d bytes", ErrHeads, chains, excluded, len(b))
	}
	v.chains = make([]headLine, chains)
	run, seen := 0, 0 // chains of this origin, origins
	for i := range v.chains {
		h := &v.chains[i]
		var err error
		if h.id, err = d.chainID(); err != nil {
			return nil, fmt.Errorf("%w: %v", ErrHeads, err)
		}
		h.sequence = d.uint64()
		copy(h.hash[:], d.bytes(headHash))
		if i > 0 && compareChains(v.chains[i-1].id, h.id) >= 0 {
			return nil, fmt.Errorf("%w: chains are not in order", ErrHeads)
		}
		if run++; i == 0 || v.chains[i-1].id.origin != h.id.origin {
			run = 1
			seen++
		}
		if h.sequence == 0 || h.sequence >= maxCount || run > MaxEpochs || seen > MaxOrigins {
			return nil, fmt.Errorf("%w: the chains of %s are beyond the limits", ErrHeads, h.id.origin)
		}
	}
	v.excluded = make([]identity.ID, excluded)
	for i := range v.excluded {
		var err error
		if v.excluded[i], err = d.id(); err != nil {
			return nil, fmt.Errorf("%w: %v", ErrHeads, err)
		}
		if i > 0 && v.excluded[i-1] >= v.excluded[i] {
			return nil, fmt.Errorf("%w: excluded origins are not in order", ErrHeads)
		}
	}
	return v, nil
}

func (d *decoder) id() (identity.ID, error) { return identity.ParseID(string(d.bytes(32))) }

func (d *decoder) chainID() (chainID, error) {
	id, err := d.id()
	return chainID{id, d.uint64()}, err
}

func compareChains(a, b chainID) int {
	switch {
	case a.origin != b.origin:
		return compareIDs(a.origin, b.origin)
	case a.epoch < b.epoch:
		return -1
	case a.epoch > b.epoch:
		return 1
	}
	return 0
}

// Difference is what heads of a peer say beside one's own.
type Difference struct {
	Behind bool // the peer has what this log lacks: Sync with it
	Ahead  bool // the peer lacks what this log has; it will find out from this log's heads
}

// Compare holds a peer's heads against what is here. It takes no lock. Errors wrap
// ErrHeads or ErrTask.
func (s *Snapshot) Compare(heads []byte) (Difference, error) {
	if bytes.Equal(heads, s.Heads()) {
		return Difference{}, nil
	}
	v, err := decodeHeads(heads)
	if err != nil {
		return Difference{}, err
	}
	if v.task != s.task {
		return Difference{}, fmt.Errorf("%w: the peer's is %x, this node's is %x", ErrTask, v.task[:4], s.task[:4])
	}
	own, err := decodeHeads(s.Heads())
	if err != nil {
		return Difference{}, err
	}
	w := s.wanting(v)
	return Difference{Behind: len(w.chains)+len(w.proofs) > 0, Ahead: v.lacks(own)}, nil
}

// lacks reports whether own has a chain that goes further, or an excluded origin
// that v does not know of. (Whether v would take it is v's affair.)
func (v *headVector) lacks(own *headVector) bool {
	theirs := make(map[chainID]headLine, len(v.chains))
	for _, h := range v.chains {
		theirs[h.id] = h
	}
	excluded := make(map[identity.ID]bool, len(v.excluded))
	for _, id := range v.excluded {
		excluded[id] = true
	}
	for _, h := range own.chains {
		if t, ok := theirs[h.id]; !excluded[h.id.origin] && (!ok || t.sequence < h.sequence || t.sequence == h.sequence && t.hash != h.hash) {
			return true
		}
	}
	for _, id := range own.excluded {
		if !excluded[id] {
			return true
		}
	}
	return false
}

// wants is what one end asks of the other.
type wants struct {
	chains []want        // by id and epoch, ascending
	proofs []identity.ID // ascending
}

// want asks for a chain from a number on. If the other end has let that go, it
// begins with what it has.
type want struct {
	id   chainID
	from uint64
}

// wanting returns what a peer with these heads has and s lacks and would take.
func (s *Snapshot) wanting(v *headVector) wants {
	var w wants
	for _, h := range v.chains {
		o := s.origin(h.id.origin)
		if !s.admits(h.id.origin) || o != nil && o.proof != nil || s.full && h.id.origin != s.self {
			continue
		}
		if o == nil {
			w.chains = append(w.chains, want{h.id, 1})
			continue
		}
		c := o.chain(h.id.epoch)
		switch {
		case c == nil && o.takes(h.id.epoch):
			w.chains = append(w.chains, want{h.id, 1})
		case c == nil:
		case h.sequence > c.head().Sequence:
			w.chains = append(w.chains, want{h.id, c.head().Sequence + 1})
		case h.sequence == c.head().Sequence && !bytes.Equal(h.hash[:], c.head().Hash[:headHash]):
			// Two records of one number: the other one is the missing half of the proof.
			w.chains = append(w.chains, want{h.id, h.sequence})
		}
	}
	for _, id := range v.excluded {
		if o := s.origin(id); s.admits(id) && (o == nil || o.proof == nil) {
			w.proofs = append(w.proofs, id)
		}
	}
	return w
}
