package caucus_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// A defence is only as good as the test that shows it: those that the pages name must be there.
func TestWhatTheSecurityAndFaultPagesNameExists(t *testing.T) {
	there := testsThatExist(t)
	for page, least := range map[string]int{"docs/security.md": 40, "docs/faults.md": 40} {
		named := testsNamedIn(t, page)
		if len(named) < least {
			t.Errorf("%s names %d tests", page, len(named))
		}
		for name := range named {
			if !there[name] {
				t.Errorf("%s names %s, which is nowhere", page, name)
			}
		}
	}
	named := testsNamedIn(t, "docs/faults.md")
	for name := range there {
		if regexp.MustCompile(`^TestF\d\d`).MatchString(name) && !named[name] {
			t.Errorf("%s plays a fault, and docs/faults.md does not name it", name)
		}
	}
}

func testsNamedIn(t *testing.T, path string) map[string]bool {
	t.Helper()
	page, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	named := map[string]bool{}
	for _, m := range regexp.MustCompile("`(Test\\w+)`").FindAllSubmatch(page, -1) {
		named[string(m[1])] = true
	}
	return named
}

// testsThatExist lists the tests of all packages.
func testsThatExist(t *testing.T) map[string]bool {
	t.Helper()
	out, err := exec.Command("git", "ls-files", "--cached", "--others", "--exclude-standard", "*_test.go").Output()
	if err != nil {
		t.Skip("not in a git work tree, so the tests cannot be listed: ", err)
	}
	there := map[string]bool{}
	for _, path := range strings.Fields(string(out)) {
		b, err := os.ReadFile(filepath.FromSlash(path))
		if err != nil {
			continue // removed, and not committed yet
		}
		for _, m := range regexp.MustCompile(`(?m)^func (Test\w+)\(`).FindAllSubmatch(b, -1) {
			there[string(m[1])] = true
		}
	}
	return there
}
