//go:build unix

package main

import (
	"strings"
	"syscall"
	"testing"
)

// Reading the keyboard ignores contexts; Ctrl-C must end the waiting all the same.
func TestCtrlCEndsAQuestionAtOnce(t *testing.T) {
	p := start(t, "aggregate")
	p.until("base URL for the KNN model:")
	if code, _ := p.end(syscall.SIGINT); code != exitInterrupted {
		t.Errorf("exit code %d, want %d", code, exitInterrupted)
	}
	if !strings.Contains(p.stderr.String(), "interrupted") {
		t.Errorf("standard error: %q", p.stderr)
	}
}

func TestQuestionsComeOneByOne(t *testing.T) {
	p := start(t, "aggregate")
	for _, q := range []string{"KNN model:", "RandForest model:", "SVM model:", "feature 1:", "feature 2:"} {
		p.until(q)
		if _, err := p.stdin.Write([]byte("1\n")); err != nil {
			t.Fatal(err)
		}
	}
	p.until("feature 3:")
	p.stdin.Close()
	if code := p.wait(); code != exitUsage {
		t.Errorf("the input ended: exit code %d, want %d", code, exitUsage)
	}
}
