package ml

import (
	"math/bits"
	"slices"
)

// sorter sorts the rows of a node by the rank of one feature. A key holds the rank above
// and the row's mark (class and weight) below, so that scanning it needs no other memory.
type sorter struct {
	a, b []uint64
}

func newSorter(rows int) sorter {
	return sorter{a: make([]uint64, rows), b: make([]uint64, rows)}
}

// Below this many keys comparing beats counting; measured on ranks of 16 bits.
const radixFrom = 96

// sort returns the keys of rows by rank, ascending; nil if all ranks are equal. The keys
// are valid until the next call.
func (s sorter) sort(rank, mark, rows []uint32) []uint64 {
	keys := s.a[:len(rows)]
	low, high := ^uint32(0), uint32(0)
	for i, r := range rows {
		k := rank[r]
		low, high = min(low, k), max(high, k)
		keys[i] = uint64(k)<<32 | uint64(mark[r])
	}
	if low == high {
		return nil
	}
	switch {
	case len(keys) <= 12:
		insertionSort(keys)
	case len(keys) < radixFrom:
		slices.Sort(keys)
	default:
		keys = s.radix(keys, low, bits.Len32(high-low))
	}
	return keys
}

func insertionSort(keys []uint64) {
	for i := 1; i < len(keys); i++ {
		k := keys[i]
		j := i
		for j > 0 && keys[j-1] > k {
			keys[j] = keys[j-1]
			j--
		}
		keys[j] = k
	}
}

// radix sorts by rank alone, lowest byte first; width is the number of bits in which
// ranks, less the lowest, differ. The order among equal ranks does not matter.
func (s sorter) radix(keys []uint64, low uint32, width int) []uint64 {
	from, to := keys, s.b[:len(keys)]
	for shift := 0; shift < width; shift += 8 {
		var starts [256]uint32
		for _, k := range from {
			starts[uint8((uint32(k>>32)-low)>>shift)]++
		}
		sum := uint32(0)
		for i, n := range starts {
			starts[i] = sum
			sum += n
		}
		for _, k := range from {
			digit := uint8((uint32(k>>32) - low) >> shift)
			to[starts[digit]] = k
			starts[digit]++
		}
		from, to = to, from
	}
	return from
}
