//go:build race

package ml_test

// raceEnabled: the detector drops items of pools at random, and makes long loops of plain
// arithmetic twenty times as slow.
const raceEnabled = true
