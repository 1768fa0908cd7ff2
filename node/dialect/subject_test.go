package dialect

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"caucus/ml"
	"caucus/node/consensus"
)

func TestATaskFileSaysWhatIsPredicted(t *testing.T) {
	s, err := parseSubject([]byte(`
name: wine
features:
  - {name: alcohol, as: alc, range: [11, 14.8]}
  - {name: ash, range: [1.4, 3]}
  - hue
labels: [3, 1, 2]
mapping: {0: 1, 1: 2, 2: 3, true: 1, "barolo": 1}
`))
	if err != nil {
		t.Fatal(err)
	}
	if s.Task.Name != "wine" || !slices.Equal(s.Task.Features, []string{"alcohol", "ash", "hue"}) || !slices.Equal(s.Task.Labels, []string{"1", "2", "3"}) {
		t.Errorf("%+v", s.Task)
	}
	if !slices.Equal(s.Names, []string{"alc", "ash", "hue"}) {
		t.Errorf("names %q", s.Names)
	}
	for text, class := range map[string]int{"0": 0, "1": 1, "2": 2, "true": 0, "barolo": 0} {
		if s.Means[text] != class || len(s.Means) != 5 {
			t.Errorf("mapping of %q: %v", text, s.Means)
		}
	}
	if s.Trial.Rows[0][0] != 11 || s.Trial.Rows[1][0] != 14.8 || len(s.Trial.Rows[0]) != 3 || s.Ranges != nil { // hue has none
		t.Errorf("rows %v, ranges %v", s.Trial.Rows, s.Ranges)
	}
}

func TestTheTaskFileOfIrisIsIris(t *testing.T) {
	path := filepath.Join(t.TempDir(), "iris.yaml")
	text := "name: iris\nfeatures: [sepal_length, sepal_width, petal_length, petal_width]\nlabels: [setosa, versicolor, virginica]\n"
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := ReadSubject(path)
	want := IrisSubject()
	if err != nil || s.Task.Digest() != ml.Iris().Task.Digest() || !slices.Equal(s.Trial.Rows[1], want.Trial.Rows[1]) || s.Names != nil || len(s.Ranges) != 4 {
		t.Errorf("%+v %v", s, err)
	}
}

func TestTaskFilesThatCannotBeAreRefusedInWords(t *testing.T) {
	const head = "name: a\nfeatures: [x, y]\nlabels: [no, yes]\n"
	for text, says := range map[string]string{
		"":                         "there is no name",
		"name: a\nlabels: [a, b]":  "at least one feature",
		head + "colour: red":       "name, features, labels and mapping",
		head + "mapping: {0: nay}": "none of the labels (no, yes)",
		"name: a\nfeatures: [x]\nlabels: [yes, no]":                     "0 no, 1 yes",
		"name: a\nfeatures: [{name: x, unit: cm}]\nlabels: [a, b]":      "there is no \"unit\"",
		"name: a\nfeatures: [{as: x}]\nlabels: [a, b]":                  "has no name",
		"name: a\nfeatures: [{name: x, range: [2, 1]}]\nlabels: [a, b]": "smaller and a larger",
		"name: a\nfeatures: [{name: x, range: 3}]\nlabels: [a, b]":      "as in [4.3, 7.9]",
		"name: a\nfeatures: [x]\nlabels: [[a], b]":                      "label 1",
		"name: [a": "a task file has",
		"name: a\nfeatures: [x, x]\nlabels: [a, b]":                                "twice",
		"name: a\nfeatures: [x]\nlabels: [a, b]\nmapping: {0: [a]}":                "mapping of \"0\"",
		"name: a\nfeatures: [x]\nlabels: [a, b]\nmapping: {0: a}\nmapping: {1: b}": "mapping",
	} {
		if s, err := parseSubject([]byte(text)); err == nil || !strings.Contains(err.Error(), says) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%q: %+v %v, want %q", text, s, err, says)
		}
	}
	dir := t.TempDir()
	big := filepath.Join(dir, "big.yaml")
	if err := os.WriteFile(big, make([]byte, maxSubject+1), 0o600); err != nil {
		t.Fatal(err)
	}
	for path, says := range map[string]string{dir: "it is a folder", big: "larger than", filepath.Join(dir, "none.yaml"): "no such file"} {
		if _, err := ReadSubject(path); err == nil || !strings.Contains(err.Error(), says) || !strings.Contains(err.Error(), path) {
			t.Errorf("%v, want %q", err, says)
		}
	}
}

func TestAMappingGivesAnswersTheirMeaning(t *testing.T) {
	numbered, err := ml.NewTask("wine", []string{"x"}, []string{"1", "2", "3"})
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name  string
		task  ml.Task
		means map[string]int
		body  string
		class int // -1: refused
		says  string
	}{
		{"a number that means another class", iris, map[string]int{"1": 0, "2": 1, "3": 2}, `{"prediction":3}`, 2, ""},
		{"the same as a float", iris, map[string]int{"1": 0, "2": 1, "3": 2}, `{"prediction":3.0}`, 2, ""},
		{"a number that is not in the mapping", iris, map[string]int{"1": 0, "2": 1, "3": 2}, `{"prediction":0}`, -1, "does not have"},
		{"a word", iris, map[string]int{"rouge": 2}, `{"label":"rouge"}`, 2, ""},
		{"a word in the mapping leaves numbers alone", iris, map[string]int{"rouge": 2}, `1`, 1, ""},
		{"a truth value", iris, map[string]int{"true": 1, "false": 0}, `{"prediction":true}`, 1, ""},
		{"a half", iris, map[string]int{"0.5": 1}, `{"prediction":0.5}`, 1, ""},
		{"labels that are numbers: a number is not guessed", numbered, nil, `{"prediction":1}`, -1, "mapping"},
		{"a number that is no label", numbered, nil, `{"prediction":0}`, 0, ""},
		{"labels that are numbers: the name beside it tells", numbered, nil, `{"prediction":1,"label":"2"}`, 1, ""},
		{"as text it is a name", numbered, nil, `{"prediction":"3"}`, 2, ""},
		{"probabilities by the mapping's names", iris, map[string]int{"a": 0, "b": 1, "c": 2}, `{"proba":{"c":0.8,"a":0.1,"b":0.1}}`, 2, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := reader{task: &tt.task, means: tt.means}
			a, err := r.body([]byte(tt.body), 1)
			switch {
			case tt.class >= 0:
				if err != nil || a.labels[0] != tt.class {
					t.Errorf("%v %v, want %d", a, err, tt.class)
				}
			case err == nil || !strings.Contains(err.Error(), tt.says):
				t.Errorf("%v %v, want %q", a, err, tt.says)
			default:
				if bad, ok := err.(*answerError); !ok || bad.outcome != consensus.BadLabel {
					t.Errorf("%T %v", err, err)
				}
			}
		})
	}
}

func TestNamesOfTheTaskFileAreSent(t *testing.T) {
	srv, _ := serve(t, queryModel([4]string{"a", "b", "c", "d"}, asPrediction))
	s := IrisSubject()
	s.Names = []string{"a", "b", "c", "d"}
	u := before(t, srv.URL, func(c *UpstreamConfig) { c.Subject = s })
	if labels, _, _, err := predictAll(t, u); err != nil || !slices.Equal(labels, kinds) || u.Form() != "GET by name" {
		t.Errorf("%v %v by %q", labels, err, u.Form())
	}
}

func TestATaskFileIsReadToItsLimitWhateverStatSays(t *testing.T) {
	if _, err := os.Stat("/dev/zero"); err != nil {
		t.Skip("no device without an end here")
	}
	if _, err := ReadSubject("/dev/zero"); err == nil || !strings.Contains(err.Error(), "larger than 1024 KiB") {
		t.Errorf("%v", err)
	}
}
