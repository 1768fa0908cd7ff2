package ml_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"

	"caucus/ml"
)

var update = flag.Bool("update", false, "write what is missing in testdata/v1, and the fingerprints")

func saved(t testing.TB, m ml.Model, meta ml.Meta) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := ml.Save(&b, m, meta); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func loaded(t testing.TB, file []byte) (ml.Model, ml.Meta) {
	t.Helper()
	m, meta, err := ml.Load(bytes.NewReader(file))
	if err != nil {
		t.Fatal(err)
	}
	return m, meta
}

// metaOf is what a stored model has at its side.
func metaOf(t testing.TB, m ml.Model, d *ml.Dataset) ml.Meta {
	t.Helper()
	e, err := ml.Evaluate(t.Context(), m, d)
	if err != nil {
		t.Fatal(err)
	}
	return ml.Meta{Program: "v1.2.3", Ranges: d.Ranges(), Evaluation: &e}
}

// framed puts magic, version, length and a right checksum around a body.
func framed(body []byte) []byte {
	b := []byte("\x89CAUCUS\n\x01\x00\x00\x00")
	b = binary.LittleEndian.AppendUint64(b, uint64(len(body)))
	b = append(b, body...)
	sum := sha256.Sum256(b)
	return append(b, sum[:]...)
}

const frameHead, frameTail = 20, 32

func TestLoadedModelsPredictBitByBitWhatTheStoredOnesDid(t *testing.T) {
	ref := readReference(t)
	for _, name := range referenceSets {
		for _, o := range everyKind {
			t.Run(name+"/"+named(o), func(t *testing.T) {
				t.Parallel()
				train, test := ref.Data[name].load(t, name)
				m := fit(t, train, o)
				meta := metaOf(t, m, test)
				file := saved(t, m, meta)
				back, backMeta := loaded(t, file)
				if back.Fingerprint() != m.Fingerprint() {
					t.Error("its fingerprint is another")
				}
				if !reflect.DeepEqual(back.Params(), m.Params()) || back.Kind() != m.Kind() || !reflect.DeepEqual(back.Task(), m.Task()) {
					t.Errorf("it came back as %s %v of %v", back.Kind(), back.Params(), back.Task())
				}
				if !reflect.DeepEqual(backMeta, meta) {
					t.Errorf("meta came back as %+v", backMeta)
				}
				if again := saved(t, back, backMeta); !bytes.Equal(again, file) {
					t.Error("stored once more, it is another file")
				}
				k := len(m.Task().Labels)
				for _, d := range []*ml.Dataset{train, test} {
					for i := range d.Len() {
						want, got := make([]float64, k), make([]float64, k)
						y1, err1 := m.Predict(d.Row(i), want)
						y2, err2 := back.Predict(d.Row(i), got)
						if err1 != nil || err2 != nil || y1 != y2 {
							t.Fatalf("row %d: %d, %v; loaded %d, %v", i, y1, err1, y2, err2)
						}
						for c := range want {
							if math.Float64bits(want[c]) != math.Float64bits(got[c]) {
								t.Fatalf("row %d: probabilities %v, loaded %v", i, want, got)
							}
						}
					}
				}
			})
		}
	}
}

func TestModelsOfManyFeaturesAndLabelsAreStored(t *testing.T) {
	d := random(t, 3, 120, 80, 20, 9)
	for _, o := range everyKind {
		m := fit(t, d, o)
		back, _ := loaded(t, saved(t, m, ml.Meta{}))
		if back.Fingerprint() != m.Fingerprint() {
			t.Errorf("%s: its fingerprint is another", named(o))
		}
	}
}

// tiny is a model of a few hundred bytes.
func tiny(t testing.TB, o ml.FitOptions) []byte {
	t.Helper()
	d := ml.Iris().Subset([]int{0, 1, 50, 51, 70, 100, 101, 120})
	if o.Kind == ml.Forest {
		o.Trees = 3
	}
	m := fit(t, d, o)
	return saved(t, m, metaOf(t, m, d))
}

func TestLoadRefusesEveryTruncation(t *testing.T) {
	for _, o := range everyKind {
		file := tiny(t, o)
		for n := range len(file) {
			_, _, err := ml.Load(bytes.NewReader(file[:n]))
			if !errors.Is(err, ml.ErrModelFile) {
				t.Fatalf("%s: %d of %d bytes: %v", named(o), n, len(file), err)
			}
			if want := "it is cut off"; n > 0 && !strings.Contains(err.Error(), want) {
				t.Fatalf("%s: %d of %d bytes: %v", named(o), n, len(file), err)
			}
		}
	}
}

func TestLoadRefusesEveryFlippedBit(t *testing.T) {
	for _, o := range everyKind {
		file := tiny(t, o)
		for i := range file {
			for _, flip := range []byte{0x01, 0x80, 0xff} {
				file[i] ^= flip
				if _, _, err := ml.Load(bytes.NewReader(file)); !errors.Is(err, ml.ErrModelFile) {
					t.Fatalf("%s: byte %d of %d flipped by %#x: %v", named(o), i, len(file), flip, err)
				}
				file[i] ^= flip
			}
		}
	}
}

func TestLoadSaysWhatItSaw(t *testing.T) {
	file := tiny(t, ml.FitOptions{Kind: ml.Tree})
	changed := func(f func(b []byte) []byte) []byte { return f(bytes.Clone(file)) }
	for _, c := range []struct {
		name string
		file []byte
		want string
	}{
		{"an empty file", nil, "it is empty"},
		{"a newer file", changed(func(b []byte) []byte { b[8] = 2; return b }), "its format is version 2, and this program reads up to 1; update this program"},
		{"a byte too many", append(bytes.Clone(file), 0), "more follows where it should end"},
		{"the data", []byte("sepal_length,sepal_width\n5.1,3.5\n"), `text that begins with "sepal_length,sepal_w`},
		{"text in UTF-8, cut inside a letter", []byte("largeur_du_pétale_à"), "text that begins with"},
		{"a pickle", []byte("\x80\x04\x95\x00\x01\x02\x03\x04\x05\x06\x07\x08sklearn.neighbors"), "a Python pickle; the app that serves it takes part behind --upstream"},
		{"a gzip file", []byte("\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03 and so on"), "a gzip file"},
		{"a zip archive", []byte("PK\x03\x04 and so on, and so on"), "a zip archive"},
		{"something else", []byte("\x00\x01\x02\x03\x04\x05\x06\x07\x08"), "it begins with the bytes 00 01 02"},
		{"line ends mended on the way", bytes.ReplaceAll(file, []byte("\n"), []byte("\r\n")), "not a model that caucus train saved"},
		{"a length beyond all bounds", changed(func(b []byte) []byte { b[19] = 0x7f; return b }), "at most 2147483648 are read"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, _, err := ml.Load(bytes.NewReader(c.file))
			if !errors.Is(err, ml.ErrModelFile) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v, want %q", err, c.want)
			}
		})
	}
	if _, _, err := ml.Load(iotest.ErrReader(io.ErrClosedPipe)); !errors.Is(err, io.ErrClosedPipe) || errors.Is(err, ml.ErrModelFile) {
		t.Errorf("a reader that fails: %v", err)
	}
}

// A file whose checksum is right may still be made to do harm. In each case one number of
// a good file is replaced.
func TestLoadRefusesFilesMadeToDoHarm(t *testing.T) {
	d := ml.Iris()
	le := binary.LittleEndian
	nan := le.AppendUint64(nil, math.Float64bits(math.NaN()))
	u32 := func(v int32) []byte { return le.AppendUint32(nil, uint32(v)) }
	for _, c := range []struct {
		name string
		o    ml.FitOptions
		end  bool // at counts from the end
		at   int  // where the kind's own part begins, if not end
		put  []byte
		want string
	}{
		{"no neighbours", ml.FitOptions{Kind: ml.KNN}, false, 0, u32(0), "k is 0"},
		{"more neighbours than rows", ml.FitOptions{Kind: ml.KNN}, false, 0, u32(151), "151 neighbours of 150 rows"},
		{"a flag that is neither", ml.FitOptions{Kind: ml.KNN}, false, 4, []byte{2}, "neither 0 nor 1"},
		{"more rows than there are bytes", ml.FitOptions{Kind: ml.KNN}, false, 5, u32(-1), "4294967295 rows"},
		{"a value that is no number", ml.FitOptions{Kind: ml.KNN}, false, 9, nan, "is NaN"},
		{"a class that does not exist", ml.FitOptions{Kind: ml.KNN}, true, 4, u32(3), "is 3, and there are 3"},
		{"no trees", ml.FitOptions{Kind: ml.Forest, Trees: 3}, false, 12, u32(0), "number of trees is 0"},
		{"a root beyond the splits", ml.FitOptions{Kind: ml.Forest, Trees: 3}, false, 16, u32(1 << 30), "leads to split"},
		{"two roots that are one", ml.FitOptions{Kind: ml.Forest, Trees: 3}, false, 20, u32(0), "leads to split 0"},
		{"a leaf that does not exist", ml.FitOptions{Kind: ml.Forest, Trees: 3}, false, 16, u32(^int32(1 << 20)), "leaf 1048576, which does not exist"},
		{"a threshold that is no number", ml.FitOptions{Kind: ml.Forest, Trees: 3}, false, 32, nan, "is above NaN"},
		{"a feature that does not exist", ml.FitOptions{Kind: ml.Forest, Trees: 3}, false, 40, u32(4), "feature 4"},
		{"a feature below 0", ml.FitOptions{Kind: ml.Forest, Trees: 3}, false, 40, u32(-1), "feature -1"},
		{"a split that leads to itself", ml.FitOptions{Kind: ml.Forest, Trees: 3}, false, 44, u32(0), "split 0 leads to split 0"},
		{"a split that nothing leads to", ml.FitOptions{Kind: ml.Tree}, false, 8, u32(^int32(0)), "no tree has split 0"},
		{"a child that leads back", ml.FitOptions{Kind: ml.Tree}, true, 4, u32(1), "leads to split 1"},
		{"a label that does not exist", ml.FitOptions{Kind: ml.Tree}, true, 4, u32(^int32(3)), "leaf 3, which does not exist"},
		{"another criterion", ml.FitOptions{Kind: ml.Tree}, false, 4, []byte("GINI"), `criterion is "GINI"`},
		{"C below 0", ml.FitOptions{Kind: ml.SVM}, false, 8, le.AppendUint64(nil, math.Float64bits(-1)), "C is -1"},
		{"classes out of order", ml.FitOptions{Kind: ml.SVM}, false, 25, u32(2), "comes after"},
		{"one class", ml.FitOptions{Kind: ml.SVM}, false, 21, u32(1), "number of classes is 1"},
		{"a weight that is no number", ml.FitOptions{Kind: ml.SVM}, true, 8, nan, "is NaN"},
		{"a kernel of neither kind", ml.FitOptions{Kind: ml.SVM}, false, 109, []byte{7}, "neither 0 nor 1"},
		{"gamma below 0", ml.FitOptions{Kind: ml.SVM, Kernel: "rbf"}, false, 110, le.AppendUint64(nil, math.Float64bits(-1)), "gamma is -1"},
		{"fewer vectors than it says", ml.FitOptions{Kind: ml.SVM, Kernel: "rbf"}, false, 17, u32(1), "1 support vectors, and here are"},
		{"a vector against its own class", ml.FitOptions{Kind: ml.SVM, Kernel: "rbf"}, true, 8, le.AppendUint64(nil, math.Float64bits(1)), "its own class"},
	} {
		t.Run(named(c.o)+"/"+c.name, func(t *testing.T) {
			m := fit(t, d, c.o)
			file := saved(t, m, ml.Meta{})
			body := file[frameHead : len(file)-frameTail]
			at := len(body) - c.at
			if !c.end {
				at = partOf(t, body, m) + c.at
			}
			copy(body[at:], c.put)
			_, _, err := ml.Load(bytes.NewReader(framed(body)))
			if !errors.Is(err, ml.ErrModelFile) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v, want %q", err, c.want)
			}
		})
	}
}

// partOf finds where the kind's own part begins in a body without program, ranges and evaluation.
func partOf(t *testing.T, body []byte, m ml.Model) int {
	t.Helper()
	task := m.Task()
	at := 4 + len(m.Kind()) + 4 + 4 + len(task.Name) + 4 + 4
	for _, names := range [][]string{task.Features, task.Labels} {
		for _, n := range names {
			at += 4 + len(n)
		}
	}
	if !bytes.Equal(body[at:at+2], []byte{0, 0}) {
		t.Fatal("the two flags are not where they should be")
	}
	return at + 2
}

func TestLoadRefusesTasksThatNewTaskWould(t *testing.T) {
	m := fit(t, ml.Iris(), ml.FitOptions{Kind: ml.Tree})
	file := saved(t, m, ml.Meta{})
	for _, c := range []struct{ old, with, want string }{
		{"virginica", "Virginica", "not in order"},
		{"petal_width", "petal_wid\x00h", "not plain text"},
		{"petal_width", "petal_wid\xffh", "not plain text"},
		{"sepal_width", "petal_width", "there twice"},
		{"tree", "trie", `kind "trie", which this program does not know`},
	} {
		body := bytes.Replace(file[frameHead:len(file)-frameTail], []byte(c.old), []byte(c.with), 1)
		_, _, err := ml.Load(bytes.NewReader(framed(body)))
		if !errors.Is(err, ml.ErrModelFile) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s for %s: %v, want %q", c.with, c.old, err, c.want)
		}
	}
}

// A header may claim what it likes: memory is taken for what is there.
func TestLoadTakesMemoryOnlyForWhatIsThere(t *testing.T) {
	b := []byte("\x89CAUCUS\n\x01\x00\x00\x00")
	b = binary.LittleEndian.AppendUint64(b, 2<<30)
	b = append(b, make([]byte, 1000)...)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	if _, _, err := ml.Load(bytes.NewReader(b)); !errors.Is(err, ml.ErrModelFile) {
		t.Errorf("loaded: %v", err)
	}
	runtime.ReadMemStats(&after)
	if n := after.TotalAlloc - before.TotalAlloc; n > 1<<20 {
		t.Errorf("%d bytes were allocated for a file of %d", n, len(b))
	}
}

type foreignModel struct{ ml.Model }

func (foreignModel) Kind() ml.Kind { return "upstream" }

func TestSaveRefusesWhatItCannotStore(t *testing.T) {
	m := fit(t, ml.Iris(), ml.FitOptions{Kind: ml.Tree})
	for _, c := range []struct {
		name string
		m    ml.Model
		meta ml.Meta
		want string
	}{
		{"a model that was not fitted here", foreignModel{m}, ml.Meta{}, `kind "upstream" cannot be stored`},
		{"ranges of another task", m, ml.Meta{Ranges: make([]ml.Range, 3)}, "3 ranges for 4 features"},
		{"an evaluation of another task", m, ml.Meta{Evaluation: &ml.Evaluation{Confusion: [][]int{{1}}}}, "1 label, the task 3"},
		{"an evaluation on nothing", m, ml.Meta{Evaluation: &ml.Evaluation{Confusion: [][]int{{0, 0, 0}, {0, 0, 0}, {0, 0, 0}}}}, "on 0 rows"},
		{"a program with a line end in it", m, ml.Meta{Program: "a\nb"}, "not plain text"},
	} {
		err := ml.Save(io.Discard, c.m, c.meta)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
	}
}

func TestSaveFileReplacesWholeOrNotAtAll(t *testing.T) {
	m := fit(t, ml.Iris(), ml.FitOptions{Kind: ml.Tree})
	dir := t.TempDir()
	path := filepath.Join(dir, "iris.model")
	if err := os.WriteFile(path, []byte("old"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := ml.SaveFile(path, m, ml.Meta{Program: "bad\n"}); err == nil {
		t.Fatal("saved")
	}
	if b, err := os.ReadFile(path); err != nil || string(b) != "old" {
		t.Errorf("after a failure the file holds %q, %v", b, err)
	}
	if err := ml.SaveFile(path, m, ml.Meta{}); err != nil {
		t.Fatal(err)
	}
	if back, _, err := ml.LoadFile(path); err != nil || back.Fingerprint() != m.Fingerprint() {
		t.Errorf("loaded: %v", err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 1 {
		t.Errorf("the folder holds %v, %v", entries, err)
	}
	for what, p := range map[string]string{"a folder": dir, "a folder that is not there": filepath.Join(dir, "no", "iris.model")} {
		if err := ml.SaveFile(p, m, ml.Meta{}); err == nil || strings.Contains(err.Error(), "-1") {
			t.Errorf("%s: %v", what, err)
		}
	}
	if _, _, err := ml.LoadFile(dir); !errors.Is(err, ml.ErrModelFile) {
		t.Errorf("a folder: %v", err)
	}
	if _, _, err := ml.LoadFile(path + "x"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
}

// Files of version 1 that an earlier program wrote must stay readable, as the same models.
func TestFilesOfVersion1AreRead(t *testing.T) {
	want := map[string]string{}
	for _, o := range everyKind {
		path := "testdata/v1/" + named(o) + ".model"
		if _, err := os.Stat(path); *update && errors.Is(err, os.ErrNotExist) {
			if err := os.WriteFile(path, tiny(t, o), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		m, meta, err := ml.LoadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		d := ml.Iris()
		right := 0
		for i := range d.Len() {
			y, err := m.Predict(d.Row(i), nil)
			if err != nil {
				t.Fatal(err)
			}
			if y == d.Y[i] {
				right++
			}
		}
		fp := m.Fingerprint()
		want[named(o)] = fmt.Sprintf("%s %d %d", hex.EncodeToString(fp[:8]), right, meta.Evaluation.Rows)
	}
	const golden = "testdata/v1/fingerprints.txt"
	var lines strings.Builder
	for _, o := range everyKind {
		fmt.Fprintf(&lines, "%s %s\n", named(o), want[named(o)])
	}
	if *update {
		if err := os.WriteFile(golden, []byte(lines.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	b, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if string(b) != lines.String() {
		t.Errorf("kind, fingerprint, labels right on Iris, rows evaluated:\n%swant\n%s", lines.String(), b)
	}
}

func FuzzLoad(f *testing.F) {
	for _, o := range everyKind {
		file := tiny(f, o)
		f.Add(file)
		f.Add(file[frameHead : len(file)-frameTail])
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		// As a file, and as the body of a file whose checksum is right.
		for _, file := range [][]byte{b, framed(b)} {
			m, meta, err := ml.Load(bytes.NewReader(file))
			if err != nil {
				if !errors.Is(err, ml.ErrModelFile) {
					t.Fatalf("%v is no complaint about the file", err)
				}
				continue
			}
			if again := saved(t, m, meta); !bytes.Equal(again, file) {
				t.Fatal("stored once more, it is another file")
			}
			task := m.Task()
			row, probs := make([]float64, len(task.Features)), make([]float64, len(task.Labels))
			for _, v := range []float64{0, 1, -1e300, math.MaxFloat64} {
				for i := range row {
					row[i] = v
				}
				y, err := m.Predict(row, probs)
				if err != nil || y < 0 || y >= len(task.Labels) {
					t.Fatalf("%d, %v", y, err)
				}
			}
		}
	})
}
