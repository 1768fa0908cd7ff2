package scenes

import (
	"fmt"
	"os"
	"testing"
)

// The test's binary plays several parts, each in a namespace of its own, when it is
// started again with a role. A part gets what it needs in the environment.
const roleVariable = "CAUCUS_SCENE_ROLE"

// roles are the parts that this binary plays.
var roles = map[string]func() error{
	"proxy": playProxy,
	"door":  playDoor,
	"probe": playProbe,
	"fetch": playFetch,
}

func TestMain(m *testing.M) {
	role := os.Getenv(roleVariable)
	if role == "" {
		dir, err := os.MkdirTemp("", "caucus")
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		buildDir = dir
		code := m.Run()
		_ = os.RemoveAll(dir)
		os.Exit(code)
	}
	play, ok := roles[role]
	if !ok {
		fmt.Fprintf(os.Stderr, "there is no role %q\n", role)
		os.Exit(2)
	}
	if err := play(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
