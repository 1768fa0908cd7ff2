package caucus_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// A defence is only as good as the test that shows it: those that docs/security.md names must be there.
func TestWhatTheSecurityPageNamesExists(t *testing.T) {
	page, err := os.ReadFile("docs/security.md")
	if err != nil {
		t.Fatal(err)
	}
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
	named := regexp.MustCompile("`(Test\\w+)`").FindAllSubmatch(page, -1)
	if len(named) < 40 {
		t.Errorf("the page names %d tests", len(named))
	}
	for _, m := range named {
		if !there[string(m[1])] {
			t.Errorf("docs/security.md names %s, which is nowhere", m[1])
		}
	}
}
