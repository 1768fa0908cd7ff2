//go:build bench

package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"caucus/ml"
)

const (
	rounds  = 10 // interleaved repetitions; the median is shown
	during  = time.Second
	irisRow = "feature0=5.1&feature1=3.5&feature2=1.4&feature3=0.2"
)

// table collects the figures, so that they are printed together at the end.
type table struct{ lines []string }

func (f *table) add(what, figure, target string, reached bool) {
	mark := "reached"
	if !reached {
		mark = "SHORT"
	}
	line := fmt.Sprintf("| %-58s | %-34s | %-14s | %-7s |", what, figure, target, mark)
	f.lines = append(f.lines, line)
	fmt.Println(line)
}

func (f *table) atMost(what string, value, limit time.Duration) {
	f.add(what, value.String(), "< "+limit.String(), value < limit)
}

func (f *table) ratio(what string, ours, baseline []float64, least float64) {
	// The ratio of each interleaved pair, so that drift falls out.
	ratios := make([]float64, len(ours))
	for i := range ours {
		ratios[i] = ours[i] / baseline[i]
	}
	m := median(ratios)
	f.add(what, fmt.Sprintf("%.2f (%.2f to %.2f; %.0f against %.0f)", m, slices.Min(ratios), slices.Max(ratios), median(ours), median(baseline)),
		fmt.Sprintf(">= %.2f", least), m >= least)
}

func median(values []float64) float64 {
	s := slices.Sorted(slices.Values(values))
	if n := len(s); n%2 == 0 {
		return (s[n/2-1] + s[n/2]) / 2
	}
	return s[len(s)/2]
}

func TestSpeed(t *testing.T) {
	fmt.Printf("%s, %d cores, %s/%s\n", runtime.Version(), runtime.NumCPU(), runtime.GOOS, runtime.GOARCH)
	var f table
	t.Run("models", func(t *testing.T) { models(t, &f) })
	t.Run("large data", func(t *testing.T) { largeData(t, &f) })
	t.Run("node", func(t *testing.T) { oneNode(t, &f) })
	t.Run("consensus", func(t *testing.T) { consensusAgainstFront(t, &f) })
	t.Run("late", func(t *testing.T) { twoOfFiveLate(t, &f) })
	t.Run("evaluate", func(t *testing.T) { evaluate(t, &f) })
	t.Run("predict", func(t *testing.T) { predictAgainstEmptyHandler(t, &f) })
	t.Run("at rest", func(t *testing.T) { atRest(t, &f) })
	fmt.Printf("\n| %-58s | %-34s | %-14s | %-7s |\n|-|-|-|-|\n%s\n", "what", "figure", "target", "", strings.Join(f.lines, "\n"))
}

func models(t *testing.T, f *table) {
	train, _, err := ml.Iris().Split(0.3, 1)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		kind  ml.Kind
		limit time.Duration
	}{{ml.SVM, 100 * time.Nanosecond}, {ml.KNN, 2 * time.Microsecond}, {ml.Forest, 3 * time.Microsecond}} {
		m, err := ml.Fit(context.Background(), train, ml.FitOptions{Kind: c.kind, Seed: 1})
		if err != nil {
			t.Fatal(err)
		}
		row := []float64{5.9, 3.0, 4.2, 1.5}
		var times []float64
		var allocs int64
		for range rounds {
			r := testing.Benchmark(func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					if _, err := m.Predict(row, nil); err != nil {
						b.Fatal(err)
					}
				}
			})
			times = append(times, float64(r.T.Nanoseconds())/float64(r.N))
			allocs = max(allocs, r.AllocsPerOp())
		}
		took := time.Duration(median(times))
		f.add(fmt.Sprintf("one row, %s on Iris (105 x 4), label", c.kind), fmt.Sprintf("%s, %d allocations", took, allocs),
			fmt.Sprintf("< %s, 0", c.limit), took < c.limit && allocs == 0)
	}
}

func largeData(t *testing.T, f *table) {
	const n, columns = 50_000, 50
	random := rand.New(rand.NewPCG(1, 2))
	var csv bytes.Buffer
	for j := range columns {
		fmt.Fprintf(&csv, "f%d,", j)
	}
	csv.WriteString("label\n")
	for range n {
		class := random.IntN(4)
		for j := range columns {
			csv.WriteString(strconv.FormatFloat(random.NormFloat64()+float64(class*(j%5))*0.3, 'f', 4, 64))
			csv.WriteByte(',')
		}
		fmt.Fprintf(&csv, "c%d\n", class)
	}
	begin := time.Now()
	d, err := ml.ReadCSV(&csv, ml.CSVOptions{})
	if err != nil {
		t.Fatal(err)
	}
	f.atMost("reading 50,000 x 50 from CSV", time.Since(begin).Round(time.Millisecond), 5*time.Second)
	begin = time.Now()
	if _, err := ml.Fit(context.Background(), d, ml.FitOptions{Kind: ml.Forest, Seed: 1}); err != nil {
		t.Fatal(err)
	}
	f.atMost("growing a forest of 100 on them", time.Since(begin).Round(10*time.Millisecond), time.Minute)
}

// residentMiB reads a process's resident memory from /proc.
func residentMiB(t *testing.T, pid int) float64 {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Skipf("no /proc here: %v", err)
	}
	for line := range strings.Lines(string(status)) {
		if rest, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			kib, err := strconv.ParseFloat(strings.Fields(rest)[0], 64)
			if err != nil {
				t.Fatal(err)
			}
			return kib / 1024
		}
	}
	t.Fatal("no VmRSS line in /proc")
	return 0
}

func oneNode(t *testing.T, f *table) {
	binary := buildBinary(t)
	for _, kind := range []string{"knn", "randforest", "svm"} {
		var starts, memory []float64
		for range rounds {
			t.Run(kind, func(t *testing.T) {
				p, took := startNode(t, binary, freeAddress(t), "--model", kind)
				starts = append(starts, float64(took))
				if _, err := offer(p.address, get(p.address, "/predict?"+irisRow), 4, 200*time.Millisecond); err != nil {
					t.Fatal(err)
				}
				memory = append(memory, residentMiB(t, p.cmd.Process.Pid))
			})
		}
		f.atMost("start to healthy on Iris, "+kind, time.Duration(median(starts)).Round(time.Millisecond), 300*time.Millisecond)
		f.add("resident memory after 0.2 s of load, "+kind, fmt.Sprintf("%.1f MiB", median(memory)), "< 40 MiB", median(memory) < 40)
	}
}

func consensusAgainstFront(t *testing.T, f *table) {
	nodes := startThree(t, buildBinary(t))
	front := startFront(t, nodes)
	path := "/consensus?" + irisRow
	asked := nodes[0].address
	for _, c := range []struct {
		connections int
		least       float64
		what, query string
	}{
		{1, 1.7, "", ""},
		{32, 4, "", ""},
		// Two votes and a receipt are signed, and two votes checked, but for those that come together; the
		// front's answers prove nothing.
		{1, 0.8, " with receipts", "&receipt=true"},
		{32, 1.5, " with receipts", "&receipt=true"},
	} {
		var ours, bare []float64
		for range rounds {
			b, err := offer(front.address, get(front.address, path), c.connections, during)
			if err != nil {
				t.Fatal(err)
			}
			o, err := offer(asked, get(asked, path+c.query), c.connections, during)
			if err != nil {
				t.Fatal(err)
			}
			if b.failed+o.failed > 0 {
				t.Fatalf("failed answers: %d of the front's %d, %d of ours %d", b.failed, b.total, o.failed, o.total)
			}
			bare, ours = append(bare, b.perSecond), append(ours, o.perSecond)
		}
		f.ratio(fmt.Sprintf("/consensus%s against a bare front, %d connections", c.what, c.connections), ours, bare, c.least)
	}
	batch(t, f, asked)
}

// startThree starts knn, randforest and svm in processes of their own and waits until each counts three.
func startThree(t *testing.T, binary string) []*process {
	t.Helper()
	return startTeam(t, binary, irisRow, [][]string{{"--model", "knn"}, {"--model", "randforest"}, {"--model", "svm"}})
}

// startTeam starts a node for each list of flags and waits until each counts all of them on a row.
func startTeam(t *testing.T, binary, row string, flags [][]string) []*process {
	t.Helper()
	addresses := make([]string, len(flags))
	for i := range addresses {
		addresses[i] = freeAddress(t)
	}
	var nodes []*process
	for i, args := range flags {
		for _, a := range addresses {
			args = append(args, "--join", a)
		}
		p, _ := startNode(t, binary, addresses[i], args...)
		nodes = append(nodes, p)
	}
	for _, n := range nodes {
		for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(10 * time.Millisecond) {
			var r struct{ Counted int }
			res, err := http.Get("http://" + n.address + "/consensus?" + row)
			if err == nil {
				err = json.NewDecoder(res.Body).Decode(&r)
				res.Body.Close()
			}
			if err == nil && r.Counted == len(flags) {
				break
			}
			if time.Now().After(deadline) {
				t.Fatalf("%s does not count %d after 20 s: %v, %+v", n.address, len(flags), err, r)
			}
		}
	}
	return nodes
}

func batch(t *testing.T, f *table, address string) {
	iris := ml.Iris()
	var rows [][]float64
	for i := range 10_000 {
		rows = append(rows, iris.Row(i%iris.Len()))
	}
	body, err := json.Marshal(map[string]any{"instances": rows})
	if err != nil {
		t.Fatal(err)
	}
	var times []float64
	for range rounds {
		begin := time.Now()
		res, err := http.Post("http://"+address+"/consensus", "application/json", bytes.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		answer, err := io.ReadAll(res.Body)
		res.Body.Close()
		if err != nil || res.StatusCode != http.StatusOK {
			t.Fatalf("batch: %d %.300s %v", res.StatusCode, answer, err)
		}
		times = append(times, float64(time.Since(begin)))
	}
	f.atMost("a batch of 10,000 Iris rows over three nodes", time.Duration(median(times)).Round(time.Millisecond), 500*time.Millisecond)
}

// goTest runs a measurement that lives beside the code it looks into, and returns
// the numbers that pattern finds in its output.
func goTest(t *testing.T, pattern string, args ...string) [][]string {
	t.Helper()
	out, err := exec.Command("go", append([]string{"test", "-count=1"}, args...)...).CombinedOutput()
	if err != nil {
		t.Fatalf("go test %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	found := regexp.MustCompile(pattern).FindAllStringSubmatch(string(out), -1)
	if len(found) == 0 {
		t.Fatalf("go test %s printed nothing like %q:\n%s", strings.Join(args, " "), pattern, out)
	}
	return found
}

func number(t *testing.T, text string) float64 {
	t.Helper()
	x, err := strconv.ParseFloat(text, 64)
	if err != nil {
		t.Fatal(err)
	}
	return x
}

func predictAgainstEmptyHandler(t *testing.T, f *table) {
	var ratios []float64
	for _, m := range goTest(t, `([0-9.]+) of-an-empty-handler`, "-run", "^$", "-bench", "^BenchmarkPredict$", "-count", strconv.Itoa(rounds), "../node/api") {
		ratios = append(ratios, number(t, m[1]))
	}
	m := median(ratios)
	f.add("/predict against an empty Gin handler", fmt.Sprintf("%.2f (%.2f to %.2f)", m, slices.Min(ratios), slices.Max(ratios)), ">= 0.85", m >= 0.85)
}

// atRest measures five members that only gossip, all connected to all, so that each is a hub.
func atRest(t *testing.T, f *table) {
	for _, m := range goTest(t, `(lan|tunnel): ([0-9.]+) B/s in, ([0-9.]+) B/s out`, "-tags", "bench", "-timeout", "10m", "-run", "^TestTrafficAtRest$", "-v", "../cluster") {
		in, out := number(t, m[2]), number(t, m[3])
		what, figure := "at rest, a node of five, profile "+m[1], fmt.Sprintf("%.0f B/s in, %.0f B/s out", in, out)
		if m[1] == "tunnel" {
			f.add(what, figure, "< 150 B/s", max(in, out) < 150)
		} else {
			f.add(what, figure, "none", true)
		}
	}
}
