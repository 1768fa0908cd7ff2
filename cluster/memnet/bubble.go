package memnet

import (
	"runtime"
	"testing"
	"testing/synctest"
)

// Bubble runs f as synctest.Test does, where time is simulated. The test must not be parallel: yamux keeps
// timers in a pool for the whole process, and one of another bubble, or of none, ends the program. So the
// pools are emptied before and after.
func Bubble(t *testing.T, f func(t *testing.T)) {
	t.Helper()
	emptyPools()
	defer emptyPools()
	synctest.Test(t, f)
}

// emptyPools: what a sync.Pool holds outlives one collection and not two.
func emptyPools() {
	runtime.GC()
	runtime.GC()
}
