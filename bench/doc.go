// Package bench measures the whole product the way it is used, several processes
// on one machine, and prints the figures of docs/performance.md. Everything in it
// is behind the build tag "bench": run it with make bench.
//
// Machines drift, so every figure that compares is a ratio to a baseline measured
// in the same run, the two taken turn and turn about, and each is the median of ten.
package bench
