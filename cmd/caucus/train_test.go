//go:build unix

package main

import (
	"compress/gzip"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
)

// A model goes from one run to another by file: trained here, served there, and asked
// without a node, it gives the same answer to the last digit.
func TestAStoredModelIsServedWithoutItsData(t *testing.T) {
	data := zipped(t, irisFile(t))
	file := filepath.Join(t.TempDir(), "iris.model")
	code, stdout, stderr := caucus(t, "", "train", "--data", data, "--model", "svm", "--seed", "7", "--save", file)
	if code != 0 {
		t.Fatalf("train: exit code %d\n%s", code, stderr)
	}
	accuracy := regexp.MustCompile(`right on (\S+ %) of the 45 rows`).FindStringSubmatch(stdout)
	if accuracy == nil {
		t.Fatalf("train printed\n%s", stdout)
	}
	if err := os.Remove(data); err != nil {
		t.Fatal(err)
	}
	p := start(t, "serve", "--model-file", file, "--listen", "127.0.0.1:0", "--state-dir", "none")
	address := p.untilSaid(`address +(http://\S+)`)[1]
	if said := p.stderr.String(); !strings.Contains(said, "svm predicts iris") || !strings.Contains(said, "right on "+accuracy[1]+" of the 45 rows kept back") {
		t.Errorf("serve said\n%s", said)
	}
	probabilities := regexp.MustCompile(`"label":"versicolor","probabilities":(\{[^}]+\})`)
	row := []string{"6.1", "2.8", "4.7", "1.3"}
	_, served, _ := caucus(t, "", append([]string{"predict", "--json", "--node", address}, row...)...)
	_, offline, _ := caucus(t, "", append([]string{"predict", "--json", "--model-file", file}, row...)...)
	a, b := probabilities.FindStringSubmatch(served), probabilities.FindStringSubmatch(offline)
	if a == nil || b == nil || a[1] != b[1] {
		t.Errorf("served %s\noffline %s", served, offline)
	}
	if code, _ := p.end(syscall.SIGTERM); code != 0 {
		t.Errorf("SIGTERM: exit code %d", code)
	}
	// What goes for --data goes for the rows to measure on.
	code, stdout, stderr = caucus(t, "", "train", "--data", zipped(t, irisFile(t)), "--model", "tree", "--holdout", "0")
	if code != 0 || !strings.Contains(stdout, "of 150 rows (5-fold cross-validation)") {
		t.Errorf("train on .csv.gz: %d\n%s%s", code, stdout, stderr)
	}
}

// zipped compresses a file, as a person would before sending it.
func zipped(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.Create(path + ".gz")
	if err != nil {
		t.Fatal(err)
	}
	z := gzip.NewWriter(f)
	if _, err := z.Write(b); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	return path + ".gz"
}
