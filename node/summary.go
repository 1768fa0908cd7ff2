package node

import (
	"encoding/base32"
	"encoding/binary"
	"strings"
	"sync/atomic"
	"time"

	"github.com/oklog/ulid/v2"

	"caucus/cluster/identity"
	"caucus/node/consensus"
)

// summary is what others hear of a round: no features, and votes as label indexes.
type summary struct {
	id      ulid.ULID
	asked   identity.ID
	status  consensus.Status
	rows    int
	label   int // -1: none, or a batch
	counted int
	invited int
	entropy consensus.Millionths
	votes   []shortVote
}

type shortVote struct {
	id    identity.ID
	label int // -1: it did not count
}

// summarise makes the summary of a closed round. Of a batch there are no votes in it.
func (r *round) summarise() *summary {
	res := &r.result
	s := &summary{
		id: r.id, asked: r.e.self, status: res.Status, rows: r.n, label: res.Label,
		counted: res.Counted, invited: res.Invited, entropy: consensus.ToMillionths(res.Entropy),
	}
	if r.batch {
		s.label, s.entropy = -1, 0
		return s
	}
	s.votes = make([]shortVote, len(r.asks))
	for i := range r.asks {
		s.votes[i] = shortVote{id: r.inv.peers[i].id, label: -1}
		if res.Outcomes[i] == consensus.OK {
			s.votes[i].label = r.asks[i].vote.Label
		}
	}
	return s
}

// The wire form, big-endian:
//
//	version u8 = 1 | task's digest, first 8 bytes | round's ULID 16 | status u8 | rows u32 | label u16
//	counted u16 | invited u16 | entropy u32 | votes u8 | each: id 20, label u16
//
// A label of 0xffff means none. More votes than fit are left out.
const (
	summaryVersion = 1
	summaryHead    = 1 + 8 + 16 + 1 + 4 + 2 + 2 + 2 + 4 + 1
	summaryVote    = 20 + 2
	summaryMost    = 512
	noLabel        = 0xffff
)

// Ids are base32 of 20 bytes; on the wire they are the bytes.
var idBase32 = base32.StdEncoding.WithPadding(base32.NoPadding)

func (s *summary) encode(task [32]byte) []byte {
	b := make([]byte, 0, summaryMost)
	b = append(b, summaryVersion)
	b = append(b, task[:8]...)
	b = append(b, s.id[:]...)
	b = append(b, byte(s.status))
	b = binary.BigEndian.AppendUint32(b, uint32(s.rows))
	b = appendLabel(b, s.label)
	b = binary.BigEndian.AppendUint16(b, uint16(s.counted))
	b = binary.BigEndian.AppendUint16(b, uint16(s.invited))
	b = binary.BigEndian.AppendUint32(b, uint32(s.entropy))
	count := len(b)
	b = append(b, 0)
	for _, v := range s.votes {
		id, err := idBase32.DecodeString(strings.ToUpper(string(v.id)))
		if err != nil || len(id) != 20 || len(b)+summaryVote > summaryMost {
			continue
		}
		b = append(b, id...)
		b = appendLabel(b, v.label)
		b[count]++
	}
	return b
}

func appendLabel(b []byte, label int) []byte {
	if label < 0 || label >= noLabel {
		label = noLabel
	}
	return binary.BigEndian.AppendUint16(b, uint16(label))
}

// lastTime is the end of the year 9999 in Unix milliseconds: JSON has no later one, and an id has
// room for some. One such round would make a failure of every list that it is in.
const lastTime = 253_402_300_799_999

// decodeSummary reads a stranger's bytes. Rounds of another task are kept too, but
// without labels, whose indexes mean something else there.
func decodeSummary(b []byte, task [32]byte, classes int) (*summary, bool) {
	if len(b) < summaryHead || b[0] != summaryVersion {
		return nil, false
	}
	same := string(b[1:9]) == string(task[:8])
	s := &summary{id: ulid.ULID(b[9:25]), status: consensus.Status(b[25])}
	if s.status > consensus.NoQuorum || s.id.Time() > lastTime {
		return nil, false
	}
	label := func(b []byte) int {
		y := int(binary.BigEndian.Uint16(b))
		if !same || y >= classes {
			return -1
		}
		return y
	}
	s.rows = int(binary.BigEndian.Uint32(b[26:]))
	s.label = label(b[30:])
	s.counted, s.invited = int(binary.BigEndian.Uint16(b[32:])), int(binary.BigEndian.Uint16(b[34:]))
	s.entropy = min(consensus.Millionths(binary.BigEndian.Uint32(b[36:])), consensus.One)
	n, rest := int(b[40]), b[summaryHead:]
	if len(rest) != n*summaryVote {
		return nil, false
	}
	for ; len(rest) > 0; rest = rest[summaryVote:] {
		id := strings.ToLower(idBase32.EncodeToString(rest[:20]))
		s.votes = append(s.votes, shortVote{id: identity.ID(id), label: label(rest[20:])})
	}
	return s, true
}

// spreader lets ten summaries a second through, and drops the others.
type spreader struct{ state atomic.Uint64 } // second since 1970 in the upper 32 bits, count in the lower

const summariesPerSecond = 10

func (s *spreader) allow(now time.Time) bool {
	second := uint64(uint32(now.Unix()))
	for {
		old := s.state.Load()
		next := second<<32 | 1
		if old>>32 == second {
			if uint32(old) >= summariesPerSecond {
				return false
			}
			next = old + 1
		}
		if s.state.CompareAndSwap(old, next) {
			return true
		}
	}
}
