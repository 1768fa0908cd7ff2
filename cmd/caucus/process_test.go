//go:build unix

package main

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// process is a caucus of its own, as a person starts it.
type process struct {
	t      *testing.T
	cmd    *exec.Cmd
	stdin  io.WriteCloser
	lines  chan string // of standard output
	stderr *buffer
}

// buffer is a bytes.Buffer that may be read while it is written. grown is told of
// each write.
type buffer struct {
	mu    sync.Mutex
	b     bytes.Buffer
	grown chan struct{}
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	select {
	case b.grown <- struct{}{}:
	default:
	}
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// patienceForTests is when a test gives up; it decides nothing else.
const patienceForTests = 60 * time.Second

// start runs caucus until the test ends.
func start(t *testing.T, args ...string) *process {
	t.Helper()
	p := &process{
		t: t, cmd: exec.Command("caucus", args...),
		lines: make(chan string, 1000), stderr: &buffer{grown: make(chan struct{}, 1)},
	}
	p.cmd.Env = append(p.cmd.Environ(), environment(t)...)
	p.cmd.Stderr = p.stderr
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if p.stdin, err = p.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(p.lines)
		// By lines or, where a question waits for its answer, up to its colon.
		for r := bufio.NewReader(out); ; {
			var b strings.Builder
			for {
				c, err := r.ReadByte()
				if err != nil {
					return
				}
				if c == '\n' || c == ' ' && strings.HasSuffix(b.String(), ":") {
					break
				}
				b.WriteByte(c)
			}
			p.lines <- b.String()
		}
	}()
	t.Cleanup(func() {
		if p.cmd.ProcessState == nil {
			_ = p.cmd.Process.Kill()
			for range p.lines {
			}
			_ = p.cmd.Wait()
		}
	})
	return p
}

// environment keeps the machine's own settings and folders out of a test.
func environment(t *testing.T) []string {
	return []string{"GORACE=" + raceOptions, "HOME=" + t.TempDir(), "XDG_STATE_HOME=", "CAUCUS_TOKEN=", "CAUCUS_NODE=", "CAUCUS_CONFIG=", "CAUCUS_LISTEN=", "CAUCUS_JOIN="}
}

// until returns what was printed up to the first line that has s in it.
func (p *process) until(s string) string {
	p.t.Helper()
	var printed strings.Builder
	timeout := time.After(patienceForTests)
	for {
		select {
		case l, ok := <-p.lines:
			if !ok {
				p.t.Fatalf("ended before printing %q\n%s\n%s", s, printed.String(), p.stderr)
			}
			printed.WriteString(l + "\n")
			if strings.Contains(l, s) {
				return printed.String()
			}
		case <-timeout:
			p.t.Fatalf("did not print %q\n%s\n%s", s, printed.String(), p.stderr)
		}
	}
}

// untilSaid waits until standard error matches, and returns the match.
func (p *process) untilSaid(pattern string) []string {
	p.t.Helper()
	re := regexp.MustCompile(pattern)
	timeout := time.After(patienceForTests)
	for {
		if m := re.FindStringSubmatch(p.stderr.String()); m != nil {
			return m
		}
		select {
		case <-p.stderr.grown:
		case <-timeout:
			p.t.Fatalf("did not say %q\n%s", pattern, p.stderr)
		}
	}
}

// end sends a signal and returns the exit code and how long it took.
func (p *process) end(sig syscall.Signal) (int, time.Duration) {
	p.t.Helper()
	began := time.Now()
	if err := p.cmd.Process.Signal(sig); err != nil {
		p.t.Fatal(err)
	}
	return p.wait(), time.Since(began)
}

// wait returns the exit code.
func (p *process) wait() int {
	for range p.lines { // Wait wants the pipe read to its end
	}
	_ = p.cmd.Wait()
	return p.cmd.ProcessState.ExitCode()
}

// caucus runs a command to its end.
func caucus(t *testing.T, stdin string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patienceForTests)
	defer cancel()
	cmd := exec.CommandContext(ctx, "caucus", args...)
	cmd.Env = append(cmd.Environ(), environment(t)...)
	cmd.Stdin = strings.NewReader(stdin)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	_ = cmd.Run()
	return cmd.ProcessState.ExitCode(), out.String(), errs.String()
}
