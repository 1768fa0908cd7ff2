//go:build race

package consensus

// rounds scales the number of random rounds down: the race detector is some ten times slower.
func rounds(n int) int { return n / 20 }
