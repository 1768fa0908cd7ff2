//go:build bench

package bench

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// TestSoak is for make soak: what needs real time, or much of it. Each part can be run alone (-run TestSoak/overload), and
// all of them print lines of one table. CAUCUS_SOAK_REST and CAUCUS_SOAK_SLEEP make the two long waits, of ten minutes
// each, shorter.
func TestSoak(t *testing.T) {
	var f table
	t.Run("loss", func(t *testing.T) {
		t.Setenv("CAUCUS_SOAK", "1")
		f.collect(t, "../cluster", "^TestF23", nil)
	})
	t.Run("invariants", func(t *testing.T) {
		t.Setenv("CAUCUS_SOAK", "1")
		t.Setenv("CAUCUS_ROBUST_SEEDS", orElse("CAUCUS_ROBUST_SEEDS", "200"))
		f.collect(t, "../node", "^TestInvariantsHoldUnderFaults$", nil)
	})
	t.Run("twenty", func(t *testing.T) {
		f.collect(t, "../cluster", "^TestTwentyConverge$", []string{"-tags", "bench"})
		twenty(t, &f)
	})
	t.Run("overload", func(t *testing.T) { overload(t, &f) })
	t.Run("sleep", func(t *testing.T) { sleep(t, &f) })
	t.Run("scenes", func(t *testing.T) {
		t.Setenv("CAUCUS_SCENE_STRICT", "1")
		t.Setenv("CAUCUS_SCENE_REST", orElse("CAUCUS_SOAK_REST", "10m"))
		f.collect(t, "../scenes", ".", nil)
	})
	fmt.Printf("\n| what | figure | target | |\n| --- | --- | --- | --- |\n%s\n", strings.Join(f.lines, "\n"))
}

func orElse(name, otherwise string) string {
	if v := os.Getenv(name); v != "" {
		return v
	}
	return otherwise
}

// collect runs tests elsewhere and takes over what they log as "soak: what | figure".
func (f *table) collect(t *testing.T, pkg, pattern string, args []string) {
	t.Helper()
	args = append([]string{"test", "-count=1", "-timeout", "2h", "-v", "-run", pattern}, append(args, pkg)...)
	out, err := exec.Command("go", args...).CombinedOutput()
	for _, m := range regexp.MustCompile(`soak: (.*?) \| (.*)`).FindAllStringSubmatch(string(out), -1) {
		f.add(m[1], m[2], "in the test", err == nil)
	}
	if err != nil {
		t.Errorf("go %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

// members counts a node's members by state.
func members(address string) (map[string]int, error) {
	res, err := http.Get("http://" + address + "/members")
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	var r struct{ Members []struct{ State string } }
	if err := json.NewDecoder(res.Body).Decode(&r); err != nil {
		return nil, err
	}
	states := map[string]int{}
	for _, m := range r.Members {
		states[m.State]++
	}
	return states, nil
}

// until polls a predicate.
func until(t *testing.T, what string, holds func() bool) time.Duration {
	t.Helper()
	began := time.Now()
	for !holds() {
		if time.Since(began) > 2*time.Minute {
			t.Fatalf("not within two minutes: %s", what)
		}
		time.Sleep(20 * time.Millisecond)
	}
	return time.Since(began)
}

// overload measures what a node can do with 32 connections, and what is left of it with ten times as many, and with
// more than it takes at once.
func overload(t *testing.T, f *table) {
	nodes := startThree(t, buildBinary(t))
	asked := nodes[0].address
	request := get(asked, "/consensus?"+irisRow)
	capacity, err := offer(asked, request, 32, 10*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	f.add("/consensus, 32 connections for 10 s", fmt.Sprintf("%.0f rounds/s, p99 %v", capacity.perSecond, capacity.p99.Round(100*time.Microsecond)), "none", true)
	for _, c := range []struct {
		connections int
		during      time.Duration
		target      string
	}{{320, 60 * time.Second, ">= 80 %"}, {2000, 20 * time.Second, "none"}} {
		var suspected, most atomic.Int64
		stop := make(chan struct{})
		var watch sync.WaitGroup
		watch.Go(func() {
			for {
				for _, n := range nodes {
					if s, err := members(n.address); err == nil {
						suspected.Add(int64(s["suspect"] + s["failed"]))
					}
				}
				most.Store(max(most.Load(), int64(residentMiB(t, nodes[0].cmd.Process.Pid))))
				select {
				case <-stop:
					return
				case <-time.After(time.Second):
				}
			}
		})
		l, err := offer(asked, request, c.connections, c.during)
		close(stop)
		watch.Wait()
		if err != nil {
			t.Fatal(err)
		}
		good := l.perSecond * float64(l.total-l.failed) / float64(l.total)
		what := fmt.Sprintf("%d connections for %v", c.connections, c.during)
		f.add(what+": goodput", fmt.Sprintf("%.0f rounds/s, %.0f %% of capacity; %.1f %% refused", good, 100*good/capacity.perSecond, 100*float64(l.failed)/float64(l.total)),
			c.target, c.target == "none" || good >= 0.8*capacity.perSecond)
		f.add(what+": p50, p99", fmt.Sprintf("%v, %v", l.p50.Round(100*time.Microsecond), l.p99.Round(100*time.Microsecond)), "< 3.1 s", l.p99 < 3100*time.Millisecond)
		f.add(what+": resident memory of the one asked", fmt.Sprintf("%d MiB", most.Load()), "none", true)
		f.add(what+": members suspected or failed", fmt.Sprintf("%d", suspected.Load()), "0", suspected.Load() == 0)
	}
}

// sleep stops one of three for long, as a laptop that is shut, and lets it go on.
func sleep(t *testing.T, f *table) {
	d, err := time.ParseDuration(orElse("CAUCUS_SOAK_SLEEP", "10m"))
	if err != nil {
		t.Fatal(err)
	}
	nodes := startThree(t, buildBinary(t))
	sleeper, others := nodes[2], nodes[:2]
	began := time.Now()
	if err := sleeper.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	took := until(t, "the others say that it failed", func() bool {
		for _, n := range others {
			if s, err := members(n.address); err != nil || s["failed"] != 1 {
				return false
			}
		}
		return true
	})
	f.add("one of three is stopped: failed at the others", took.Round(100*time.Millisecond).String(), "< 30 s", took < 30*time.Second)
	time.Sleep(time.Until(began.Add(d)))
	before := requestsIn(t, others)
	if err := sleeper.cmd.Process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	took = until(t, "all three votes count everywhere", func() bool {
		for _, n := range nodes {
			var r struct{ Counted, Invited int }
			res, err := http.Get("http://" + n.address + "/consensus?wait=all&" + irisRow)
			if err != nil {
				return false
			}
			err = json.NewDecoder(res.Body).Decode(&r)
			res.Body.Close()
			if err != nil || r.Counted != 3 || r.Invited != 3 {
				return false
			}
		}
		return true
	})
	f.add(fmt.Sprintf("it goes on after %v: all three votes count everywhere", d), took.Round(time.Millisecond).String(), "< 30 s", took < 30*time.Second)
	time.Sleep(30 * time.Second)
	burst := requestsIn(t, others) - before
	f.add("requests that it made of the others in the 30 s after that", fmt.Sprint(burst), "<= 8", burst <= 8)
}

// requestsIn sums the requests for sessions that nodes took.
func requestsIn(t *testing.T, nodes []*process) int {
	t.Helper()
	sum := 0
	for _, n := range nodes {
		sum += metric(t, n, `caucus_peer_http_requests_total\{direction="in".*\}`)
	}
	return sum
}

// metric sums the series of /metrics that match.
func metric(t *testing.T, n *process, series string) int {
	t.Helper()
	res, err := http.Get("http://" + n.address + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	sum := 0.0
	for _, m := range regexp.MustCompile("(?m)^"+series+` (\S+)$`).FindAllSubmatch(b, -1) {
		x, err := strconv.ParseFloat(string(m[1]), 64)
		if err != nil {
			t.Fatal(err)
		}
		sum += x
	}
	return int(sum)
}

// twenty starts that many processes and looks at what each takes.
func twenty(t *testing.T, f *table) {
	const count = 20
	binary := buildBinary(t)
	var nodes []*process
	for i := range count {
		args := []string{"--name", fmt.Sprintf("n%d", i), "--model", []string{"knn", "svm", "tree", "randforest"}[i%4]}
		if i > 0 {
			args = append(args, "--join", nodes[0].address)
		}
		p, _ := startNode(t, binary, freeAddress(t), args...)
		nodes = append(nodes, p)
	}
	took := until(t, "all list all alive", func() bool {
		for _, n := range nodes {
			if s, err := members(n.address); err != nil || s["alive"] != count {
				return false
			}
		}
		return true
	})
	f.add("20 processes: all list all, from the start of the last", took.Round(10*time.Millisecond).String(), "none", true)
	time.Sleep(20 * time.Second)
	sum, most, goroutines := 0.0, 0.0, 0
	for _, n := range nodes {
		rss := residentMiB(t, n.cmd.Process.Pid)
		sum, most = sum+rss, max(most, rss)
		goroutines += metric(t, n, "go_goroutines")
	}
	f.add("20 processes: goroutines of each", fmt.Sprint(goroutines/count), "none", true)
	f.add("20 processes: resident memory of each after 20 s", fmt.Sprintf("%.0f MiB, at most %.0f", sum/count, most), "< 40 MiB", most < 40)
}
