//go:build bench

package bench

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// The servers that are measured run in processes of their own: the nodes from the
// built binary, the bare front from this test binary started again with childEnv set.
const childEnv = "CAUCUS_BENCH_CHILD"

func TestMain(m *testing.M) {
	if urls, ok := strings.CutPrefix(os.Getenv(childEnv), "front "); ok {
		serveFront(strings.Fields(urls))
		return
	}
	os.Exit(m.Run())
}

// serveFront is the baseline: what a competent programmer writes to ask three
// models at once over HTTP and take the majority, with connections kept alive.
func serveFront(bases []string) {
	client := &http.Client{
		Timeout:   3 * time.Second,
		Transport: &http.Transport{MaxIdleConnsPerHost: 256, DisableCompression: true},
	}
	type vote struct {
		Prediction int    `json:"prediction"`
		Label      string `json:"label"`
	}
	ask := func(ctx context.Context, url string) (vote, error) {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return vote{}, err
		}
		res, err := client.Do(req)
		if err != nil {
			return vote{}, err
		}
		defer res.Body.Close()
		body, err := io.ReadAll(res.Body)
		if err != nil {
			return vote{}, err
		}
		if res.StatusCode != http.StatusOK {
			return vote{}, fmt.Errorf("status %d", res.StatusCode)
		}
		var v vote
		return v, json.Unmarshal(body, &v)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /consensus", func(w http.ResponseWriter, r *http.Request) {
		votes := make([]vote, len(bases))
		errs := make([]error, len(bases))
		var group sync.WaitGroup
		for i, base := range bases {
			group.Go(func() { votes[i], errs[i] = ask(r.Context(), base+"/predict?"+r.URL.RawQuery) })
		}
		group.Wait()
		counts := map[int]int{}
		best := vote{Prediction: -1}
		for i, v := range votes {
			if errs[i] != nil {
				continue
			}
			if counts[v.Prediction]++; best.Prediction < 0 || counts[v.Prediction] > counts[best.Prediction] {
				best = v
			}
		}
		if best.Prediction < 0 {
			http.Error(w, `{"error":"no predictions were obtained"}`, http.StatusBadGateway)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(map[string]any{"prediction": best.Prediction, "label": best.Label, "votes": votes})
	})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println(l.Addr())
	// The parent closes standard input when it is done.
	go func() { _, _ = io.Copy(io.Discard, os.Stdin); os.Exit(0) }()
	_ = http.Serve(l, mux)
}

// buildBinary builds caucus as it is released.
func buildBinary(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "caucus")
	cmd := exec.Command("go", "build", "-trimpath", "-ldflags=-s -w", "-o", path, "../cmd/caucus")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	return path
}

// process is a server that this run started.
type process struct {
	cmd     *exec.Cmd
	address string
	log     string
}

func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// startNode starts one node and waits until it is ready; it returns how long that took.
func startNode(t *testing.T, binary, address string, args ...string) (*process, time.Duration) {
	t.Helper()
	p := &process{address: address, log: filepath.Join(t.TempDir(), "log")}
	logFile, err := os.Create(p.log)
	if err != nil {
		t.Fatal(err)
	}
	p.cmd = exec.Command(binary, append([]string{"serve", "--listen", address, "--state-dir", t.TempDir(), "--log-level", "warn"}, args...)...)
	p.cmd.Stdout, p.cmd.Stderr = logFile, logFile
	begin := time.Now()
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = p.cmd.Process.Signal(os.Interrupt)
		_ = p.cmd.Wait()
		logFile.Close()
	})
	for deadline := begin.Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(2 * time.Millisecond) {
		res, err := http.Get("http://" + address + "/healthz")
		if err == nil {
			res.Body.Close()
			if res.StatusCode == http.StatusOK {
				return p, time.Since(begin)
			}
		}
	}
	out, _ := os.ReadFile(p.log)
	t.Fatalf("node on %s is not up after 20 s:\n%s", address, out)
	return nil, 0
}

// startFront starts the baseline before the given nodes.
func startFront(t *testing.T, nodes []*process) *process {
	t.Helper()
	var bases []string
	for _, n := range nodes {
		bases = append(bases, "http://"+n.address)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	p := &process{cmd: exec.Command(self)}
	p.cmd.Env = append(os.Environ(), childEnv+"=front "+strings.Join(bases, " "))
	p.cmd.Stderr = os.Stderr
	stdin, err := p.cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stdin.Close(); _ = p.cmd.Wait() })
	if _, err := fmt.Fscanln(stdout, &p.address); err != nil {
		t.Fatalf("the front did not say its address: %v", err)
	}
	return p
}
