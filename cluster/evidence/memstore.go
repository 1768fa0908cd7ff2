package evidence

import (
	"sync"
)

// memStore is the store of a node that keeps nothing on disk.
type memStore struct {
	mu     sync.RWMutex // guards chains
	chains map[chainID]*memChain
}

type memChain struct {
	first uint64 // number of raw[0]
	raw   [][]byte
}

var _ store = (*memStore)(nil)

func newMemStore() *memStore { return &memStore{chains: make(map[chainID]*memChain)} }

func (s *memStore) load(_, _ func([]byte) error) (uint64, error) { return 0, nil }

func (s *memStore) commit(c *changes) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, t := range c.trims {
		m := s.chains[t.id]
		switch {
		case m == nil || t.below <= m.first:
		case t.below-m.first >= uint64(len(m.raw)):
			delete(s.chains, t.id)
		default:
			n := t.below - m.first
			clear(m.raw[:n]) // the array lives on; the records need not
			m.first, m.raw = t.below, m.raw[n:]
		}
	}
	for _, r := range c.records {
		id := chainID{r.Origin, r.Epoch}
		m := s.chains[id]
		if m == nil {
			m = &memChain{first: r.Sequence}
			s.chains[id] = m
		}
		if i := r.Sequence - m.first; i < uint64(len(m.raw)) {
			m.raw[i] = r.Raw // a part of a chain was adopted of which some was here
		} else {
			m.raw = append(m.raw, r.Raw)
		}
	}
	return nil
}

func (s *memStore) read(id chainID, from uint64, limit int) ([][]byte, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	m := s.chains[id]
	if m == nil {
		return nil, nil
	}
	from = max(from, m.first) - m.first
	if from >= uint64(len(m.raw)) {
		return nil, nil
	}
	var out [][]byte
	for _, raw := range m.raw[from:] {
		if limit -= len(raw); limit < 0 && len(out) > 0 {
			break
		}
		out = append(out, raw)
	}
	return out, nil
}

func (s *memStore) close() error { return nil }
