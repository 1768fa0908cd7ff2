package configs

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode/utf16"
)

// utf16Text is a text as PowerShell's > writes it, or the other way round.
func utf16Text(s string, big bool) []byte {
	out := []byte{0xff, 0xfe}
	if big {
		out = []byte{0xfe, 0xff}
	}
	for _, u := range utf16.Encode([]rune(s)) {
		low, high := byte(u), byte(u>>8)
		if big {
			low, high = high, low
		}
		out = append(out, low, high)
	}
	return out
}

func TestFilesThatWindowsProgramsWroteAreRead(t *testing.T) {
	token := strings.Repeat("A", 43)
	for name, write := range map[string]func(string) []byte{
		"as it is":             func(s string) []byte { return []byte(s) },
		"with a mark":          func(s string) []byte { return []byte("\ufeff" + s) },
		"PowerShell's >":       func(s string) []byte { return utf16Text(s, false) },
		"UTF-16 the other way": func(s string) []byte { return utf16Text(s, true) },
	} {
		dir := t.TempDir()
		file := func(name, text string) string {
			path := filepath.Join(dir, name)
			if err := os.WriteFile(path, write(text), 0o600); err != nil {
				t.Fatal(err)
			}
			return path
		}
		if tok, err := readTokenFile(file("token", token+"\r\n")); err != nil || tok.String() != token {
			t.Errorf("%s: %v", name, err)
		}
		values, err := readFile(file("node.yaml", "name: ana\r\nmodel: svm # ε\r\n"), "--config", Options())
		if err != nil || !slices.Equal(values["model"].texts, []string{"svm"}) || !slices.Equal(values["name"].texts, []string{"ana"}) {
			t.Errorf("%s: %+v %v", name, values, err)
		}
	}
	if got := string(plainText(append(utf16Text("ab😀", false), 'x'))); got != "ab😀" { // half a unit is left out
		t.Errorf("%q", got)
	}
}
