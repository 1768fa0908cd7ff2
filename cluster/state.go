package cluster

import (
	"encoding/binary"
	"errors"
	"fmt"

	"caucus/cluster/identity"
)

// The state that two nodes exchange in memberlist's push/pull, version 1:
//
//	version u8 | section...
//	section:    kind u8 | length u32 | content
//	cards:      (enrolled u64 | length u16 | signed card)...   leaving cards included
//	tombstones: (id 32 characters | sequence u64)...
//	evidence:   the sender's id 32 characters | its heads, see package evidence
//	removals:   (length u16 | signed removal)...
//
// Sections of unknown kinds are skipped, so that a later version can add one.
const (
	stateVersion = 1
	maxState     = 512 << 10

	sectionCards      = 1
	sectionTombstones = 2
	sectionEvidence   = 3
	sectionRemovals   = 4

	maxCards       = 512
	cardHead       = 8 + 2
	idBytes        = 32
	tombstoneBytes = idBytes + 8

	// Sequences begin at the Unix time in microseconds and rise by ones. No card has one beyond this and no state tells
	// of one; how far a tombstone may reach, see roster.plausible.
	maxSequence = 1 << 56
)

var errState = errors.New("cluster: malformed state")

// appendState encodes the roster. Only cards that others can use are told: this node's own and those
// of members that count, have left, or are alive.
func (r *roster) appendState(dst []byte) []byte {
	dst = append(dst, stateVersion)
	dst, cards := beginSection(dst, sectionCards)
	for _, e := range r.sorted() {
		if e.enrolled == 0 && !e.alive && !e.card.Leaving {
			continue
		}
		dst = binary.BigEndian.AppendUint64(dst, e.enrolled)
		dst = binary.BigEndian.AppendUint16(dst, uint16(len(e.card.Signed)))
		dst = append(dst, e.card.Signed...)
	}
	endSection(dst, cards)
	dst, tombs := beginSection(dst, sectionTombstones)
	for id, t := range r.tombs {
		dst = appendTombstone(dst, id, t.sequence)
	}
	endSection(dst, tombs)
	if len(r.removals) > 0 {
		var removals int
		dst, removals = beginSection(dst, sectionRemovals)
		dst = appendRemovals(dst, r.removals)
		endSection(dst, removals)
	}
	return dst
}

func beginSection(dst []byte, kind byte) ([]byte, int) {
	dst = append(dst, kind, 0, 0, 0, 0)
	return dst, len(dst)
}

func endSection(dst []byte, start int) {
	binary.BigEndian.PutUint32(dst[start-4:], uint32(len(dst)-start))
}

func appendTombstone(dst []byte, id identity.ID, sequence uint64) []byte {
	dst = append(dst, id...)
	return binary.BigEndian.AppendUint64(dst, sequence)
}

// rawCard is a card in a state, not verified yet.
type rawCard struct {
	signed   []byte // within the parsed buffer
	enrolled uint64
}

// parseState takes a state apart, strictly: every byte must be accounted for. Cards are not verified here, so that
// those already known need not be verified again.
func parseState(b []byte) ([]rawCard, map[identity.ID]uint64, error) {
	if len(b) == 0 || len(b) > maxState {
		return nil, nil, fmt.Errorf("%w: it has %d bytes, the limits are 1 and %d", errState, len(b), maxState)
	}
	if b[0] != stateVersion {
		return nil, nil, fmt.Errorf("%w: it is of version %d and this node reads version %d", errState, b[0], stateVersion)
	}
	b = b[1:]
	var cards []rawCard
	tombs := make(map[identity.ID]uint64)
	for len(b) > 0 {
		if len(b) < 5 || uint64(len(b)-5) < uint64(binary.BigEndian.Uint32(b[1:])) {
			return nil, nil, fmt.Errorf("%w: it ends within a section", errState)
		}
		kind, n := b[0], int(binary.BigEndian.Uint32(b[1:]))
		content := b[5 : 5+n]
		b = b[5+n:]
		var err error
		switch kind {
		case sectionCards:
			cards, err = parseCards(cards, content)
		case sectionTombstones:
			err = parseTombstones(tombs, content)
		}
		if err != nil {
			return nil, nil, err
		}
	}
	return cards, tombs, nil
}

// section returns the content of the first section of a kind in a state that parseState has taken, or nil.
func section(b []byte, wanted byte) []byte {
	for b = b[1:]; len(b) >= 5; {
		kind, n := b[0], int(binary.BigEndian.Uint32(b[1:]))
		if kind == wanted {
			return b[5 : 5+n]
		}
		b = b[5+n:]
	}
	return nil
}

func parseCards(cards []rawCard, b []byte) ([]rawCard, error) {
	for len(b) > 0 {
		if len(b) < cardHead {
			return nil, fmt.Errorf("%w: it ends within a card's head", errState)
		}
		enrolled, n := binary.BigEndian.Uint64(b), int(binary.BigEndian.Uint16(b[8:]))
		b = b[cardHead:]
		switch {
		case enrolled > maxSequence:
			return nil, fmt.Errorf("%w: a member is enrolled under the sequence %d, the limit is %d", errState, enrolled, uint64(maxSequence))
		case n > identity.MaxCard:
			return nil, fmt.Errorf("%w: a card has %d bytes, the limit is %d", errState, n, identity.MaxCard)
		case len(b) < n:
			return nil, fmt.Errorf("%w: it ends within a card", errState)
		case len(cards) >= maxCards:
			return nil, fmt.Errorf("%w: it has more than %d cards", errState, maxCards)
		}
		cards = append(cards, rawCard{signed: b[:n], enrolled: enrolled})
		b = b[n:]
	}
	return cards, nil
}

func parseTombstones(tombs map[identity.ID]uint64, b []byte) error {
	if len(b)%tombstoneBytes != 0 {
		return fmt.Errorf("%w: it ends within a tombstone", errState)
	}
	if len(b)/tombstoneBytes > maxTombstones {
		return fmt.Errorf("%w: it has %d tombstones, the limit is %d", errState, len(b)/tombstoneBytes, maxTombstones)
	}
	for ; len(b) > 0; b = b[tombstoneBytes:] {
		id, sequence, err := parseTombstone(b[:tombstoneBytes])
		if err != nil {
			return err
		}
		tombs[id] = max(tombs[id], sequence)
	}
	return nil
}

// parseTombstone reads exactly tombstoneBytes.
func parseTombstone(b []byte) (identity.ID, uint64, error) {
	id, err := identity.ParseID(string(b[:idBytes]))
	if err != nil {
		return "", 0, fmt.Errorf("%w: a tombstone's id: %v", errState, err)
	}
	sequence := binary.BigEndian.Uint64(b[idBytes:])
	if sequence > maxSequence {
		return "", 0, fmt.Errorf("%w: a tombstone covers the sequence %d, the limit is %d", errState, sequence, uint64(maxSequence))
	}
	return id, sequence, nil
}
