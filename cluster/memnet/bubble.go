package memnet

import (
	"flag"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
)

// aloneVariable holds the name of the test for which a process was started.
const aloneVariable = "CAUCUS_TEST_ALONE"

// Alone starts the test's binary again for the one test t, reports what comes of it and returns false; in that process
// it returns true. Bubbles need it: yamux keeps timers in a pool for the whole process, and one
// that passes from a bubble to what other tests left behind ends the program.
//
//	if !memnet.Alone(t) {
//		return
//	}
//	memnet.Bubble(t, func(t *testing.T) { ... })
func Alone(t *testing.T) bool {
	t.Helper()
	if os.Getenv(aloneVariable) == t.Name() {
		return true
	}
	pattern := "^" + t.Name() + "$"
	if f := flag.Lookup("test.run"); f != nil { // of its subtests, those that are wanted
		if _, rest, ok := strings.Cut(f.Value.String(), "/"); ok {
			pattern += "/" + rest
		}
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run="+pattern, "-test.v", "-test.count=1", "-test.timeout=1h")
	cmd.Env = append(os.Environ(), aloneVariable+"="+t.Name())
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Errorf("in a process of its own: %v\n%s", err, out)
	} else {
		t.Logf("in a process of its own:\n%s", out)
	}
	return false
}

// Bubble runs f as synctest.Test does, where time is simulated, in a test that is Alone.
func Bubble(t *testing.T, f func(t *testing.T)) {
	t.Helper()
	if os.Getenv(aloneVariable) == "" {
		t.Fatal("a bubble is for a test that is Alone")
	}
	// Nor may a timer pass from one bubble to the next.
	emptyPools()
	defer emptyPools()
	synctest.Test(t, f)
}

// emptyPools: what a sync.Pool holds outlives one collection and not two.
func emptyPools() {
	runtime.GC()
	runtime.GC()
}
