package main

import (
	"context"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"strings"

	"golang.org/x/term"
)

// app is what every command needs of the outside world, so that tests can give it another.
type app struct {
	in       io.Reader
	out, err io.Writer
	env      func(string) (string, bool)
	outStyle style
	errStyle style
	self     string // how this program was called, for lines to paste
	agentAPI string // of an ngrok agent on this machine; empty: where they have it
	inTTY    bool   // somebody types
	outTTY   bool   // standard output is a screen on which the cursor can move
	errTTY   bool   // somebody watches
	started  bool   // the command line was understood; what fails now is no usage error
}

func newApp(in, out, err *os.File) *app {
	a := &app{in: in, out: out, err: err, env: os.LookupEnv, self: selfName(os.Args[0])}
	a.inTTY = term.IsTerminal(int(in.Fd()))
	a.errTTY = term.IsTerminal(int(err.Fd()))
	screen := term.IsTerminal(int(out.Fd())) && ansi(out)
	kind, _ := a.env("TERM")
	a.outTTY = screen && kind != "dumb"
	a.outStyle = styleFor(screen, a.env)
	a.errStyle = styleFor(a.errTTY && ansi(err), a.env)
	return a
}

// selfName is how to call this program again: a student who used go run has no
// caucus to call.
func selfName(called string) string {
	switch {
	case strings.Contains(filepath.ToSlash(called), "/go-build"):
		return "go run ./cmd/caucus"
	case strings.ContainsRune(called, filepath.Separator):
		if _, err := exec.LookPath("caucus"); err != nil {
			return called
		}
	}
	return "caucus"
}

// run executes one command line and returns its exit code.
func run(ctx context.Context, a *app, args []string) int {
	root := a.root()
	root.SetArgs(args)
	cmd, err := root.ExecuteContextC(ctx)
	if err == nil {
		return exitOK
	}
	code := a.report(ctx, cmd, err)
	if cmd != nil && cmd.Name() == "healthcheck" && code != exitOK {
		return exitFailure // Docker reserves every other code
	}
	return code
}

// build says which version this is, of which commit, made by which Go.
type build struct {
	Version string `json:"version"`
	Commit  string `json:"commit,omitempty"`
	Dirty   bool   `json:"modified,omitempty"`
	Time    string `json:"commit_time,omitempty"`
	Go      string `json:"go"`
	OS      string `json:"os"`
	Arch    string `json:"arch"`
}

func thisBuild() build {
	b := build{Version: version}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return b
	}
	b.Go = info.GoVersion
	if b.Version == "dev" && info.Main.Version != "" && info.Main.Version != "(devel)" {
		b.Version = info.Main.Version // installed with go install caucus/...@v1
	}
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			b.Commit = s.Value
		case "vcs.modified":
			b.Dirty = s.Value == "true"
		case "vcs.time":
			b.Time = s.Value
		case "GOOS":
			b.OS = s.Value
		case "GOARCH":
			b.Arch = s.Value
		}
	}
	return b
}
