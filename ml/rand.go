package ml

import (
	"encoding/binary"
	"math/rand/v2"
)

// Streams keep the draws of one purpose apart from those of another with the same seed.
const (
	streamSplit uint64 = iota + 1
	streamFolds
	streamTree  // one a tree of the forest
	streamPlatt // one a pair of classes
)

// newRand returns a generator that depends on nothing but its arguments, so that what
// one goroutine draws never depends on another.
func newRand(seed, stream, n uint64) *rand.Rand {
	var key [32]byte
	binary.LittleEndian.PutUint64(key[0:], seed)
	binary.LittleEndian.PutUint64(key[8:], stream)
	binary.LittleEndian.PutUint64(key[16:], n)
	return rand.New(rand.NewChaCha8(key))
}

func shuffle(rng *rand.Rand, s []int) {
	rng.Shuffle(len(s), func(i, j int) { s[i], s[j] = s[j], s[i] })
}
