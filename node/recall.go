package node

import (
	"slices"
	"sync"

	"github.com/oklog/ulid/v2"
)

// Labels come late: by then thousands of rounds may have been played. So the features of
// this node's own rounds are kept longer than the rounds themselves.
const (
	recallRounds = 10_000  // at most
	recallValues = 1 << 19 // 4 MiB of features at most
)

// recall is a ring of the features of recent rounds of one row.
type recall struct {
	columns int

	mu   sync.Mutex // guards the rest; held for the copy of a row
	ids  []ulid.ULID
	rows []float64
	next int // place of the next one
}

func newRecall(columns int) *recall {
	n := max(1, min(recallRounds, recallValues/max(columns, 1)))
	return &recall{columns: columns, ids: make([]ulid.ULID, 0, n)}
}

// put remembers a round's row, in place of the oldest. It is on the way of every round.
func (m *recall) put(id ulid.ULID, row []float64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.ids) < cap(m.ids) {
		m.ids = append(m.ids, id)
		m.rows = append(m.rows, row...)
		return
	}
	m.ids[m.next] = id
	copy(m.rows[m.next*m.columns:], row)
	m.next = (m.next + 1) % len(m.ids)
}

// row returns a copy of a round's row, or nil if it is not, or no longer, known.
func (m *recall) row(id ulid.ULID) []float64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	i := slices.Index(m.ids, id)
	if i < 0 {
		return nil
	}
	return slices.Clone(m.rows[i*m.columns : (i+1)*m.columns])
}
