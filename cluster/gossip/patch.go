package gossip

import (
	"encoding/binary"
	"errors"
	"io"
)

// Gossip at rest is the same few packets again and again: a ping with two ids and an address in it, of which nothing
// changes but a number, and its answer. On the stream that carries one peer's packets in order, such a packet is
// sent as what differs from one of the last few:
//
//	u16 length, at most MaxPacket | packet                      a packet as it is
//	u16 length, with the top bit set | patch                    one that differs from an earlier one of its length
//	patch: u8 how many packets back, 0 is the last | (u8 bytes to keep | u8 n, at least 1 | n other bytes)...
//
// What is after the last segment is kept. At rest this is what most of a tunnel's bytes are saved by; see
// docs/decisions/0010-gossip-sends-what-differs.md.
const (
	patched      = 1 << 15
	patchHistory = 8   // packets that each end remembers
	patchLongest = 512 // bytes of a packet that is remembered
)

var errPatch = errors.New("gossip: a packet is patched out of nothing")

// history is the last packets of one direction of one stream, the newest at next-1.
type history struct {
	packets [patchHistory][]byte
	next    int
}

func (h *history) note(packet []byte) {
	if len(packet) > patchLongest {
		return
	}
	i := h.next % patchHistory
	h.packets[i] = append(h.packets[i][:0], packet...)
	h.next++
}

// back returns the packet that is k before the last one, nil if there is none.
func (h *history) back(k int) []byte {
	if k >= patchHistory || k >= h.next {
		return nil
	}
	return h.packets[(h.next-1-k)%patchHistory]
}

// append appends a packet as it goes onto the stream.
func (h *history) append(dst, packet []byte) []byte {
	start := len(dst)
	dst = append(dst, 0, 0)
	size := uint16(len(packet))
	if k := h.nearest(packet); k >= 0 {
		dst = appendPatch(append(dst, byte(k)), h.back(k), packet)
		if n := len(dst) - start - 2; n < len(packet) {
			size = patched | uint16(n)
		} else {
			dst = append(dst[:start+2], packet...)
		}
	} else {
		dst = append(dst, packet...)
	}
	binary.BigEndian.PutUint16(dst[start:], size)
	h.note(packet)
	return dst
}

// nearest returns how far back the packet is that differs least, -1 if none is of the same length.
func (h *history) nearest(packet []byte) int {
	best, least := -1, len(packet)
	for k := 0; ; k++ {
		old := h.back(k)
		if old == nil {
			return best
		}
		if len(old) != len(packet) {
			continue
		}
		differ := 0
		for i := range old {
			if old[i] != packet[i] {
				differ++
			}
		}
		if differ < least {
			best, least = k, differ
		}
	}
}

// appendPatch appends the segments that make packet of old, which are of one length.
func appendPatch(dst, old, packet []byte) []byte {
	for i := 0; i < len(packet); {
		keep := i
		for keep < len(packet) && keep-i < 255 && old[keep] == packet[keep] {
			keep++
		}
		if keep == len(packet) {
			return dst
		}
		end := keep
		if old[keep] == packet[keep] { // too far for one segment: begin the next with one byte that is the same
			end++
		}
		for end < len(packet) && end-keep < 255 && old[end] != packet[end] {
			end++
		}
		dst = append(dst, byte(keep-i), byte(end-keep))
		dst = append(dst, packet[keep:end]...)
		i = end
	}
	return dst
}

// patch makes a packet of a patch.
func (h *history) patch(b []byte) ([]byte, error) {
	if len(b) == 0 {
		return nil, errPatch
	}
	old := h.back(int(b[0]))
	if old == nil {
		return nil, errPatch
	}
	packet := append([]byte(nil), old...)
	for at, rest := 0, b[1:]; len(rest) > 0; {
		if len(rest) < 2 {
			return nil, errPatch
		}
		keep, n := int(rest[0]), int(rest[1])
		rest = rest[2:]
		at += keep
		if n == 0 || n > len(rest) || at+n > len(packet) {
			return nil, errPatch
		}
		copy(packet[at:], rest[:n])
		at, rest = at+n, rest[n:]
	}
	return packet, nil
}

// read reads one packet into a slice of its own, which memberlist keeps.
func (h *history) read(r io.Reader) ([]byte, error) {
	var head [2]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return nil, err
	}
	size := binary.BigEndian.Uint16(head[:])
	n := int(size &^ patched)
	if n == 0 || n > MaxPacket {
		return nil, errPacketSize
	}
	b := make([]byte, n)
	if _, err := io.ReadFull(r, b); err != nil {
		return nil, err
	}
	if size&patched != 0 {
		var err error
		if b, err = h.patch(b); err != nil {
			return nil, err
		}
	}
	h.note(b)
	return b, nil
}
