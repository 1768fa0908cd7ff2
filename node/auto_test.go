//go:build !race

// It fits many models one after the other: the race detector has nothing to find there, and takes minutes.

package node_test

import (
	"os"
	"testing"

	"caucus/ml"
)

// TestAutoIsNotWorseThanTheMajority compares the methods for several teams after 60 labels, on
// the rows without one; with CAUCUS_TEST_LARGE=1 it takes 20 seeds and prints the tables of docs/voting.md.
func TestAutoIsNotWorseThanTheMajority(t *testing.T) {
	wine, err := ml.OpenCSV("../ml/testdata/wine.csv", ml.CSVOptions{})
	if err != nil {
		t.Fatal(err)
	}
	large := os.Getenv("CAUCUS_TEST_LARGE") != ""
	for _, set := range []struct {
		name  string
		data  func(seed uint64) *ml.Dataset
		seeds int
	}{
		{"iris", func(uint64) *ml.Dataset { return ml.Iris() }, 4},
		{"wine", func(uint64) *ml.Dataset { return wine }, 2},
		{"64 features, 10 classes", func(seed uint64) *ml.Dataset { return tenClasses(t, seed) }, 0},
	} {
		seeds := set.seeds
		if large {
			seeds = 20
		}
		if seeds == 0 {
			continue
		}
		for _, x := range teams {
			t.Run(set.name+", "+x.name, func(t *testing.T) { compare(t, x, set.data, seeds, large) })
		}
	}
}
