//go:build race

package node_test

// underRace makes tests that compute much, and race little, do less.
const underRace = true
