package ml_test

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"caucus/ml"
)

const small = "a,b,kind\n1,2,x\n3,4,y\n5,6,x\n7,8,y\n"

func TestReadCSVReads(t *testing.T) {
	for _, c := range []struct {
		name, file, label string
	}{
		{"plain", small, ""},
		{"without a last line end", strings.TrimSuffix(small, "\n"), ""},
		{"with a byte order mark", "\ufeff" + small, ""},
		{"with CRLF", strings.ReplaceAll(small, "\n", "\r\n"), ""},
		{"with a mark and CRLF", "\ufeff" + strings.ReplaceAll(small, "\n", "\r\n"), ""},
		{"with empty lines", strings.ReplaceAll(small, "\n", "\n\n"), ""},
		{"with quotes", strings.ReplaceAll(small, "3,4,y", `"3","4","y"`), ""},
		{"with blanks", "a , b,\tkind\n 1,2 , x\n3, 4,y \n5 ,6,x\n7,8, \"y\"\n", ""},
		{"with the label named", small, "kind"},
		{"with the label in the middle", "a,kind,b\n1,x,2\n3,y,4\n5,x,6\n7,y,8\n", "kind"},
		{"with numbers of every form", "a,b,kind\n1e0,+2,x\n3.,4.0,y\n0.5e1,6,x\n7,8,y\n", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			d, err := ml.ReadCSV(strings.NewReader(c.file), ml.CSVOptions{Label: c.label})
			if err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(d.Task.Features, []string{"a", "b"}) || !slices.Equal(d.Task.Labels, []string{"x", "y"}) {
				t.Errorf("task %+v", d.Task)
			}
			if !slices.Equal(d.X, []float64{1, 2, 3, 4, 5, 6, 7, 8}) || !slices.Equal(d.Y, []int{0, 1, 0, 1}) {
				t.Errorf("rows %v, classes %v", d.X, d.Y)
			}
		})
	}
}

func TestReadCSVKeepsCommasAndLineEndsInQuotes(t *testing.T) {
	file := "\"a, in cm\",kind\n1,\"x, or so\"\n2,y\n3,\"x, or so\"\n4,y\n"
	d, err := ml.ReadCSV(strings.NewReader(file), ml.CSVOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if d.Task.Features[0] != "a, in cm" || d.Task.Labels[0] != "x, or so" {
		t.Errorf("task %+v", d.Task)
	}
}

func TestReadCSVOrdersLabelsAndNamesColumnsThatCount(t *testing.T) {
	d, err := ml.ReadCSV(strings.NewReader("0,1,digit\n1,1,10\n2,2,9\n3,3,10\n4,4,9\n"), ml.CSVOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(d.Task.Labels, []string{"9", "10"}) || !slices.Equal(d.Y, []int{1, 0, 1, 0}) {
		t.Errorf("labels %q, classes %v", d.Task.Labels, d.Y)
	}
}

func TestReadCSVComplains(t *testing.T) {
	for _, c := range []struct {
		name, file, label string
		want              []string
	}{
		{"empty file", "", "", []string{"empty", "line 1"}},
		{"only a byte order mark", "\ufeff", "", []string{"empty"}},
		{"only blank lines", "\n\n\n", "", []string{"empty"}},
		{"header without rows", "a,b,kind\n", "", []string{"no rows"}},
		{"empty cell", "a,b,kind\n1,2,x\n3,,y\n", "", []string{"line 3, column 2 (b)", "empty", "remove the row"}},
		{"blank cell", "a,b,kind\n1,2,x\n  ,4,y\n", "", []string{"line 3, column 1 (a)", "empty"}},
		{"text in a number", "a,b,kind\n1,2,x\n3,big,y\n", "", []string{"line 3, column 2 (b)", `"big" is not a number`}},
		{"text in the first row", "id,b,kind\nfirst,2,x\n", "", []string{"line 2, column 1 (id)", "--label"}},
		{"missing value", "a,b,kind\n1,2,x\nNA,4,y\n", "", []string{"line 3, column 1 (a)", "missing"}},
		{"NaN", "a,b,kind\n1,NaN,x\n", "", []string{"line 2, column 2 (b)", "missing"}},
		{"infinity", "a,b,kind\n1,-Inf,x\n", "", []string{"line 2, column 2 (b)", "not a finite number"}},
		{"a number too large", "a,b,kind\n1,1e400,x\n", "", []string{"line 2, column 2 (b)", "too large"}},
		{"decimal comma", "a,b,kind\n1,\"2,5\",x\n", "", []string{"line 2, column 2 (b)", "decimal point"}},
		{"one class only", "a,kind\n1,x\n2,x\n", "", []string{"column 2 (kind)", `every row has the label "x"`}},
		{"one row of a class", "a,kind\n1,x\n2,x\n3,y\n", "", []string{"line 4, column 2 (kind)", `"y" has one row only`, "at least 2"}},
		{"a number as label", "a,kind\n1,1.1\n2,1.2\n3,1.3\n", "", []string{"3 labels have one row only", "is it the label column?"}},
		{"ragged, too short", "a,b,kind\n1,2,x\n3,y\n", "", []string{"line 3 has 2 cells, the header has 3", "kind is missing"}},
		{"ragged, too long", "a,b,kind\n1,2,3,4,x\n", "", []string{"line 2 has 5 cells", "double quotes"}},
		{"a comma too many", "a,b,kind\n1,2,x,\n", "", []string{"line 2 has 4 cells", "remove the comma"}},
		{"duplicate column", "a,b,a,kind\n1,2,3,x\n", "", []string{"line 1", "columns 1 and 3", `"a"`}},
		{"unnamed column", ",a,kind\n0,1,x\n", "", []string{"line 1, column 1 has no name", "index=False"}},
		{"no such label column", small, "species", []string{`"species"`, "a, b, kind"}},
		{"label column in other case", small, "Kind", []string{`did you mean "kind"`}},
		{"empty label", "a,kind\n1,x\n2,\n", "", []string{"line 3, column 2 (kind)", "label is empty"}},
		{"only one column", "kind\nx\ny\n", "", []string{"line 1", "only the column"}},
		{"semicolons", "a;b;kind\n1;2;x\n", "", []string{"semicolons", "commas"}},
		{"tabs", "a\tb\tkind\n1\t2\tx\n", "", []string{"tabs", "commas"}},
		{"no header", "5.1,3.5,1.4,0.2,setosa\n", "", []string{"line 1", "looks like data", "names the columns"}},
		{"no header, labels are numbers", "5.1,3.5,1.4,0.2,0\n", "", []string{"looks like data"}},
		{"UTF-16", "\xff\xfea\x00", "", []string{"UTF-16", "UTF-8"}},
		{"Latin-1 in a label", "a,kind\n1,\xe9t\xe9\n", "", []string{"line 2, column 2", "UTF-8"}},
		{"Latin-1 in a name", "\xe9,kind\n1,x\n", "", []string{"line 1, column 1", "UTF-8"}},
		{"a spreadsheet", "PK\x03\x04rest", "", []string{"spreadsheet", "export"}},
		{"a compressed stream", "\x1f\x8b\x08", "", []string{".csv.gz"}},
		{"a quote in a cell", "a,kind\n1,x\n2,x\"y\n", "", []string{"line 3", "quotes"}},
		{"a quote that does not end", "a,kind\n1,\"x\n2,y\n", "", []string{"line", "quoted cell does not end"}},
		{"a control character in a label", "a,kind\n1,x\x1b[31m\n", "", []string{"line 2, column 2 (kind)", "control character"}},
		{"lines are counted through quoted line ends", "\"a\n\nb\",kind\n1,x\n", "", []string{"control character"}},
		{"lines are counted through empty lines", "a,kind\n\n\n1,x\n\nbad,y\n", "", []string{"line 6, column 1 (a)"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := ml.ReadCSV(strings.NewReader(c.file), ml.CSVOptions{Label: c.label})
			complains(t, err, c.want)
		})
	}
}

func complains(t *testing.T, err error, want []string) {
	t.Helper()
	if !errors.Is(err, ml.ErrData) {
		t.Fatalf("got %v, want an ErrData", err)
	}
	for _, w := range want {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("got %q, want %q in it", err, w)
		}
	}
	if strings.ContainsFunc(err.Error(), func(r rune) bool { return r < ' ' }) {
		t.Errorf("a control character of the file reached the sentence %q", err)
	}
}

func TestReadCSVSaysWhenReadingFails(t *testing.T) {
	broken := io.MultiReader(strings.NewReader(small), failing{})
	_, err := ml.ReadCSV(broken, ml.CSVOptions{})
	if !errors.Is(err, errDisk) || !errors.Is(err, ml.ErrData) {
		t.Errorf("got %v", err)
	}
}

var errDisk = errors.New("disk on fire")

type failing struct{}

func (failing) Read([]byte) (int, error) { return 0, errDisk }

func TestTestDataMayHaveItsColumnsInAnyOrder(t *testing.T) {
	train, err := ml.ReadCSV(strings.NewReader(small), ml.CSVOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ name, file, label string }{
		{"same order", "a,b,kind\n1,2,y\n", ""},
		{"features swapped", "b,a,kind\n2,1,y\n", ""},
		{"label first, not named", "kind,b,a\ny,2,1\n", ""},
		{"label first, named", "kind,b,a\ny,2,1\n", "kind"},
		{"label under another name", "a,b,truth\n1,2,y\n", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			d, err := ml.ReadCSV(strings.NewReader(c.file), ml.CSVOptions{Label: c.label, Task: &train.Task})
			if err != nil {
				t.Fatal(err)
			}
			if d.Task.Digest() != train.Task.Digest() || !slices.Equal(d.X, []float64{1, 2}) || !slices.Equal(d.Y, []int{1}) {
				t.Errorf("got %+v", d)
			}
		})
	}
	for _, c := range []struct {
		name, file, label string
		want              []string
	}{
		{"a column missing", "a,kind\n1,x\n", "", []string{"missing: b"}},
		{"a column too many", "a,b,c,kind\n1,2,3,x\n", "", []string{"not known: c"}},
		{"another column", "a,c,kind\n1,3,x\n", "", []string{"missing: b", "not known: c"}},
		{"no label column", "a,b\n1,2\n", "", []string{"no label column"}},
		{"a feature named as label", "a,b,kind\n1,2,x\n", "b", []string{"missing: b", "not known: kind"}},
		{"an unknown label", "a,b,kind\n1,2,x\n1,2,z\n", "", []string{"line 3, column 3 (kind)", `"z" is not a label`, "x, y"}},
		{"no rows", "a,b,kind\n", "", []string{"no rows"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := ml.ReadCSV(strings.NewReader(c.file), ml.CSVOptions{Label: c.label, Task: &train.Task})
			complains(t, err, c.want)
		})
	}
}

func TestOpenCSVReadsPlainAndCompressed(t *testing.T) {
	dir := t.TempDir()
	plain := filepath.Join(dir, "my.flowers.csv")
	write(t, plain, []byte(small))
	var z bytes.Buffer
	w := gzip.NewWriter(&z)
	fmt.Fprint(w, small)
	w.Close()
	packed := filepath.Join(dir, "my.flowers.csv.gz")
	write(t, packed, z.Bytes())
	for _, path := range []string{plain, packed} {
		d, err := ml.OpenCSV(path, ml.CSVOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if d.Len() != 4 || d.Task.Name != "my.flowers" {
			t.Errorf("%s: %d rows of %q", path, d.Len(), d.Task.Name)
		}
	}
	cut := filepath.Join(dir, "cut.csv.gz")
	write(t, cut, z.Bytes()[:z.Len()-10])
	_, err := ml.OpenCSV(cut, ml.CSVOptions{})
	complains(t, err, []string{"cut.csv.gz", "reading"})
	no := filepath.Join(dir, "not.csv.gz")
	write(t, no, []byte(small))
	_, err = ml.OpenCSV(no, ml.CSVOptions{})
	complains(t, err, []string{"not.csv.gz", "not a gzip file"})
	if _, err := ml.OpenCSV(dir, ml.CSVOptions{}); !errors.Is(err, ml.ErrData) || !strings.Contains(err.Error(), "is a folder") {
		t.Errorf("a folder: %v", err)
	}
	if _, err := ml.OpenCSV(filepath.Join(dir, "absent.csv"), ml.CSVOptions{}); !errors.Is(err, os.ErrNotExist) || !strings.Contains(err.Error(), "absent.csv") {
		t.Errorf("got %v", err)
	}
}

func write(t *testing.T, path string, b []byte) {
	t.Helper()
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

// What ReadCSV accepts is fit for every model; what it refuses, it refuses as ErrData.
func FuzzReadCSV(f *testing.F) {
	for _, s := range []string{
		small, "", "\ufeff" + small, "a;b\n1;2\n", "a,kind\n1,\"x\n", "a,b,kind\n1,,x\n",
		"kind,b,a\ny,2,1\n", "a,kind\n1e308,x\n-1e308,y\n1,x\n2,y\n", "PK", "\xff\xfe", "0,1,2\n0,1,2\n",
	} {
		f.Add([]byte(s), "", false)
		f.Add([]byte(s), "kind", true)
	}
	task := mustTask(f, []string{"a", "b"}, []string{"x", "y"})
	f.Fuzz(func(t *testing.T, file []byte, label string, known bool) {
		o := ml.CSVOptions{Label: label}
		if known {
			o.Task = &task
		}
		d, err := ml.ReadCSV(bytes.NewReader(file), o)
		if err != nil {
			if !errors.Is(err, ml.ErrData) || d != nil {
				t.Fatalf("%v, %v", d, err)
			}
			return
		}
		if d.Len() == 0 || len(d.X) != d.Len()*len(d.Task.Features) || d.Task.Name == "" {
			t.Fatalf("%d rows, %d values, task %+v", d.Len(), len(d.X), d.Task)
		}
		for i, y := range d.Y {
			if err := d.Task.Check(d.Row(i)); err != nil || y < 0 || y >= len(d.Task.Labels) {
				t.Fatalf("row %d: class %d, %v", i, y, err)
			}
		}
		if known {
			return
		}
		for k, n := range d.Counts() {
			if n < 2 {
				t.Fatalf("class %d has %d rows", k, n)
			}
		}
		if again, err := ml.NewTask("again", d.Task.Features, d.Task.Labels); err != nil || again.Digest() != d.Task.Digest() {
			t.Fatalf("the task is not one: %v", err)
		}
	})
}

// A person finds a value by its line, also in the part that is trained on.
func TestFitNamesTheLineOfTheFile(t *testing.T) {
	var file strings.Builder
	file.WriteString("a,kind\n1,x\n\n2,y\n") // lines 1 to 4
	for range 20 {
		file.WriteString("1,x\n2,y\n")
	}
	asIs, bad := false, []string{"1.2e308,x", "-1.2e308,y"}
	file.WriteString(strings.Join(bad, "\n") + "\n") // lines 45 and 46
	for range 20 {
		file.WriteString("1,x\n2,y\n")
	}
	d, err := ml.ReadCSV(strings.NewReader(file.String()), ml.CSVOptions{Label: "kind"})
	if err != nil {
		t.Fatal(err)
	}
	for _, kind := range []ml.Kind{ml.SVM, ml.Tree} {
		for seed := range uint64(5) {
			_, _, err := ml.Train(t.Context(), d, ml.FitOptions{Kind: kind, Seed: seed, Standardise: &asIs}, 0.01)
			if err == nil || !strings.Contains(err.Error(), "line 45: a is") && !strings.Contains(err.Error(), "line 46: a is") {
				t.Errorf("%s, seed %d: %v", kind, seed, err)
			}
		}
	}
}
