package configs

import (
	"errors"
	"testing"
)

// FuzzFile holds that whatever a file contains, the answer is settings or a complaint
// that names the file, never a panic.
func FuzzFile(f *testing.F) {
	for _, s := range []string{
		"model: knn\njoin: [a:1, b:2]\n", "# only a comment\n", "", "---\n", "seed: !!int 5\n", "a: &x 1\nb: *x\n",
		"model: |\n  knn\n", "param: {k: 7}\n", "? model\n: knn\n", "\"model\": 'svm'\n", "- a\n- b\n", "model:\n", "\xef\xbb\xbfmodel: knn\n",
		"<<: *x\n", "join:\n  - - a\n", "seed: 0x10\n", "open: yes\n---\nopen: no\n", "\t", "{", "}: ]",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		found, err := parseFile("n.yaml", text, Options())
		var ce *Error
		if err != nil && !errors.As(err, &ce) {
			t.Errorf("%T %v", err, err)
		}
		for name, v := range found {
			if v.source == "" || len(v.texts) == 0 && !has(Options(), name) {
				t.Errorf("%s: %+v", name, v)
			}
		}
	})
}
