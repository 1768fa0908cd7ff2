package mdns

import (
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
)

// inside is set in the environment of a test binary that runs in a network of its own.
const inside = "MDNS_TEST_NETWORK"

// ownNetwork has the test run in a network namespace of its own, so that nothing of it gets onto the real
// network. It returns true there; false here, where the test has run elsewhere and this one is done.
func ownNetwork(t *testing.T) bool {
	t.Helper()
	if os.Getenv(inside) != "" {
		for _, args := range [][]string{
			{"link", "set", "lo", "up"},
			{"link", "add", "lan0", "type", "veth", "peer", "name", "lan1"},
			{"addr", "add", "192.0.2.1/24", "dev", "lan0"},
			{"link", "set", "lan1", "up"},
			{"link", "set", "lan0", "up"},
			{"route", "add", "default", "dev", "lan0"},
		} {
			if out, err := exec.Command("ip", args...).CombinedOutput(); err != nil {
				t.Skipf("no network of one's own: ip %s: %s", strings.Join(args, " "), out)
			}
		}
		return true
	}
	if _, err := exec.LookPath("ip"); err != nil {
		t.Skip("this needs ip, of the package iproute2")
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self, "-test.run", "^"+t.Name()+"$", "-test.v", "-test.timeout", (5 * time.Minute).String())
	cmd.Env = append(os.Environ(), inside+"=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET, Pdeathsig: syscall.SIGKILL}
	out, err := cmd.CombinedOutput()
	switch {
	case cmd.Process == nil:
		t.Skipf("a network of one's own needs root: %v", err)
	case err != nil:
		t.Fatalf("in a network of its own: %v\n%s", err, out)
	case strings.Contains(string(out), "--- SKIP"):
		t.Skipf("in a network of its own:\n%s", out)
	case !strings.Contains(string(out), "--- PASS: "+t.Name()):
		t.Fatalf("in a network of its own the test did not run:\n%s", out)
	}
	return false
}
