//go:build bench

package bench

import (
	"bytes"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// evaluate measures caucus evaluate on data of the shape of the handwritten digits, over five
// nodes in processes of their own. CAUCUS_BENCH_KEEP names a folder for the data and the page.
func evaluate(t *testing.T, f *table) {
	const trained, asked, features, classes = 1797, 1797, 64, 10
	folder := os.Getenv("CAUCUS_BENCH_KEEP")
	if folder == "" {
		folder = t.TempDir()
	}
	train, test := filepath.Join(folder, "train.csv"), filepath.Join(folder, "digits.csv")
	made := makeClusters(trained+asked, features, classes)
	for path, rows := range map[string][]string{train: made[1 : 1+trained], test: made[1+trained:]} {
		if err := os.WriteFile(path, []byte(made[0]+"\n"+strings.Join(rows, "\n")+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	binary := buildBinary(t)
	var flags [][]string
	for _, model := range []string{"knn", "randforest", "svm", "tree", "svm --param kernel=rbf --name radial"} {
		flags = append(flags, append(strings.Fields("--data "+train+" --label label --model "), strings.Fields(model)...))
	}
	row := "features=" + strings.Join(strings.Split(made[1], ",")[:features], ",")
	nodes := startTeam(t, binary, row, flags)
	var times []float64
	for range rounds {
		cmd := exec.Command(binary, "evaluate", "--data", test, "--node", "http://"+nodes[0].address, "--html", filepath.Join(folder, "digits.html"))
		begin := time.Now()
		out, err := cmd.CombinedOutput()
		times = append(times, float64(time.Since(begin)))
		if err != nil || !bytes.Contains(out, []byte("1797 rows of digits.csv")) || bytes.Contains(out, []byte("Note: ")) {
			t.Fatalf("%v\n%s", err, out)
		}
	}
	f.atMost("caucus evaluate, 1,797 rows x 64 over five nodes, in all", time.Duration(median(times)).Round(time.Millisecond), 5*time.Second)
}

// makeClusters returns a header and rows of classes that overlap, as lines of CSV.
func makeClusters(n, features, classes int) []string {
	const spread = 1.5 // of the rows of a class about its centre, per feature
	r := rand.New(rand.NewPCG(64, 10))
	centres := make([][]float64, classes)
	for c := range centres {
		for range features {
			centres[c] = append(centres[c], 2*r.Float64()-1)
		}
	}
	var head []string
	for j := range features {
		head = append(head, "f"+strconv.Itoa(j))
	}
	lines := []string{strings.Join(append(head, "label"), ",")}
	for i := range n {
		c := i % classes
		row := make([]string, 0, features+1)
		for j := range features {
			row = append(row, strconv.FormatFloat(centres[c][j]+spread*r.NormFloat64(), 'f', 3, 64))
		}
		lines = append(lines, strings.Join(append(row, strconv.Itoa(c)), ","))
	}
	return lines
}
