package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"regexp"
	"strings"
	"syscall"
	"unicode"

	"github.com/spf13/cobra"

	"caucus/cluster"
	"caucus/cluster/evidence"
	"caucus/cluster/identity"
	"caucus/cluster/reach"
	"caucus/configs"
	"caucus/internal/neterror"
	"caucus/ml"
	"caucus/node"
	"caucus/node/api"
)

// The exit codes.
const (
	exitOK          = 0
	exitFailure     = 1
	exitUsage       = 2
	exitNoQuorum    = 3
	exitNotJoined   = 4
	exitInterrupted = 130
)

// failure is an error with an exit code and a remedy of its own.
type failure struct {
	code int
	err  error  // nil: everything has been said already
	try  string // what to do, in words or as a command line
}

func (f *failure) Error() string {
	if f.err == nil {
		return fmt.Sprintf("exit %d", f.code)
	}
	return f.err.Error()
}
func (f *failure) Unwrap() error { return f.err }

// usage is a complaint about how the command was called.
func usage(try, format string, args ...any) error {
	return &failure{code: exitUsage, err: fmt.Errorf(format, args...), try: try}
}

// said ends with a code after the command has told everything itself.
func said(code int) error { return &failure{code: code} }

// report says what went wrong and what to do, and returns the exit code.
func (a *app) report(ctx context.Context, cmd *cobra.Command, err error) int {
	code, tries := diagnose(ctx, cmd, err, a.started)
	var f *failure
	switch {
	case code == exitInterrupted:
		fmt.Fprintln(a.err, a.errStyle.dim("interrupted"))
		return code
	case errors.As(err, &f) && f.err == nil:
		return code
	}
	sentence := err.Error()
	if !a.started {
		sentence, _, _ = strings.Cut(sentence, "\n") // the rest is cobra's guesses, which tries has
	}
	fmt.Fprintf(a.err, "%s %s\n", a.errStyle.red("caucus:"), plain(sentence))
	for _, try := range tries {
		if rest, ok := strings.CutPrefix(try, "caucus "); ok {
			try = a.self + " " + rest
		}
		fmt.Fprintf(a.err, "%s %s\n", a.errStyle.bold("Try:"), printable(try))
	}
	return code
}

// diagnose returns the exit code and the remedies of an error.
func diagnose(ctx context.Context, cmd *cobra.Command, err error, started bool) (code int, tries []string) {
	var (
		f       *failure
		setting *configs.Error
		problem *api.Problem
	)
	path := "caucus"
	if cmd != nil {
		path = cmd.CommandPath()
	}
	switch {
	case errors.As(err, &f):
		if f.try != "" {
			tries = []string{f.try}
		}
		return f.code, tries
	case ctx.Err() != nil && errors.Is(err, context.Canceled):
		return exitInterrupted, nil
	case !started: // cobra's own: unknown command or flag, wrong arguments
		return exitUsage, unknownTries(path, err)
	case errors.Is(err, ml.ErrModelFile):
		code = exitFailure
		if errors.As(err, &setting) {
			code = exitUsage // as with any setting that is wrong
		}
		return code, []string{"caucus train --save FILE   (makes a model file)"}
	case errors.As(err, &setting):
		return exitUsage, []string{path + " --help"}
	case errors.As(err, &problem):
		return problemCode(problem), problemTries(problem, path)
	case errors.Is(err, node.ErrCouldNotJoin):
		return exitNotJoined, []string{"check the address after --join and that a node runs there, or leave out --join-required to go on trying"}
	case errors.Is(err, cluster.ErrStateInUse):
		return exitFailure, []string{"stop the other process, or give this node a name of its own: --name NAME"}
	case errors.Is(err, identity.ErrKey):
		return exitFailure, []string{"mend the key file, or keep this node's state elsewhere, as a new member: --state-dir DIR"}
	case errors.Is(err, evidence.ErrInUse):
		return exitFailure, []string{"stop the other process, or keep this node's state elsewhere: --state-dir DIR"}
	case errors.Is(err, evidence.ErrStore):
		return exitFailure, []string{"check that the state folder can be written and has room; the labels in it come back from the other nodes"}
	case errors.Is(err, reach.ErrNoAuthtoken), errors.Is(err, reach.ErrTunnelRefused):
		return exitFailure, []string{"check NGROK_AUTHTOKEN and the tunnels that your ngrok account has open; or run a tunnel yourself and give its address: --public-url URL"}
	case errors.Is(err, ml.ErrShape), errors.Is(err, ml.ErrNotFinite):
		return exitUsage, []string{"give one finite number for each feature, in the order of the task"}
	case errors.Is(err, ml.ErrData):
		return exitFailure, []string{"mend the file, or name another with --data (and its column of labels with --label)"}
	case errors.Is(err, fs.ErrNotExist):
		return exitFailure, []string{"check the path; a relative one starts from the folder that you are in"}
	case errors.Is(err, fs.ErrPermission):
		return exitFailure, []string{"take a file or folder that you may use (--state-dir DIR keeps state elsewhere), and a port above 1023"}
	case errors.Is(err, errDiskFull):
		return exitFailure, []string{"make room on the disk, or keep state elsewhere: --state-dir DIR"}
	case neterror.Is(err, syscall.EADDRNOTAVAIL):
		return exitFailure, []string{"--listen with an address of this machine: 127.0.0.1:5001 for itself alone, :5001 for every interface"}
	case neterror.PortTaken(err):
		return exitFailure, []string{"take another port, as in --listen 127.0.0.1:5010, or stop what holds this one"}
	}
	return exitFailure, []string{path + " --help"}
}

// unknownTries are the commands that cobra thinks were meant; it puts them on lines
// of their own under the complaint.
func unknownTries(path string, err error) []string {
	var tries []string
	if _, after, ok := strings.Cut(err.Error(), "Did you mean this?"); ok {
		for _, name := range strings.Fields(after) {
			tries = append(tries, path+" "+name)
		}
	}
	if tries == nil {
		tries = []string{path + " --help"}
	}
	return tries
}

func problemCode(p *api.Problem) int {
	switch {
	case p.Kind() == api.QuorumNotReached, p.Kind() == api.Joining, p.Kind() == api.NoMajority, p.Kind() == api.Removed:
		return exitNoQuorum
	case p.Kind() == api.BadInput:
		return exitUsage
	}
	return exitFailure
}

func problemTries(p *api.Problem, path string) []string {
	if len(p.WhatToDo) > 0 {
		tries := make([]string, len(p.WhatToDo))
		for i, try := range p.WhatToDo {
			tries[i] = strings.ReplaceAll(oneLine(try), "minority=true", "--minority") // as this program says it
		}
		return tries
	}
	switch p.Status {
	case http.StatusUnauthorized:
		return []string{"set CAUCUS_TOKEN to the cluster's token (the part after # in an invite), or give --token-file FILE"}
	case http.StatusTooManyRequests, http.StatusServiceUnavailable:
		return []string{"ask again in a moment"}
	case http.StatusNotFound:
		return []string{"check --node: is it the address of a caucus node, without a path?"}
	}
	return []string{path + " --help"}
}

// packageNames are what errors of this program's packages begin with. They tell a
// programmer where to look, and a person nothing.
var packageNames = regexp.MustCompile(`(^|: )(ml|identity|cluster|evidence|session|gossip|reach|consensus|receipt|node|dialect|configs): `)

// plain is the sentence of an error for people: one line, without the names of packages.
func plain(sentence string) string {
	for packageNames.MatchString(sentence) { // again, because what two share is matched once
		sentence = packageNames.ReplaceAllString(sentence, "$1")
	}
	return oneLine(sentence)
}

// oneLine keeps what a stranger sent from repainting the terminal, or from turning the
// direction in which it writes.
func oneLine(s string) string {
	return printable(strings.Join(strings.Fields(s), " "))
}

// printable is oneLine for what has its spaces where it wants them.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return '.'
	}, s)
}
