package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/spf13/cobra"

	"caucus/cluster"
	"caucus/cluster/evidence"
	"caucus/cluster/identity"
	"caucus/cluster/reach"
	"caucus/configs"
	"caucus/ml"
	"caucus/node"
	"caucus/node/api"
)

// Whatever breaks, the last line says what to do; and for what is known to break, more
// than where the help is.
func TestEveryErrorEndsWithWhatToDo(t *testing.T) {
	problem := func(status int, what ...string) error {
		return &api.Problem{Status: status, Detail: "it is so", Message: "it is so", WhatToDo: what}
	}
	for _, c := range []struct {
		name string
		err  error
		code int
		help bool // the help is all that can be pointed to
	}{
		{"an error that nobody thought of", errors.New("odd"), exitFailure, true},
		{"a wrong setting", &configs.Error{Source: "flag --seed", Err: errors.New("it is no number; write it like 42")}, exitUsage, true},
		{"nobody to join", node.ErrCouldNotJoin, exitNotJoined, false},
		{"a state folder in use", cluster.ErrStateInUse, exitFailure, false},
		{"a store in use", evidence.ErrInUse, exitFailure, false},
		{"a store that fails", evidence.ErrStore, exitFailure, false},
		{"a damaged key", identity.ErrKey, exitFailure, false},
		{"no authtoken", reach.ErrNoAuthtoken, exitFailure, false},
		{"a tunnel refused", reach.ErrTunnelRefused, exitFailure, false},
		{"bad data", ml.ErrData, exitFailure, false},
		{"too few features", ml.ErrShape, exitUsage, false},
		{"a feature that is no number", ml.ErrNotFinite, exitUsage, false},
		{"no model file", ml.ErrModelFile, exitFailure, false},
		{"no model file in a setting", &configs.Error{Source: "flag --model-file", Err: ml.ErrModelFile}, exitUsage, false},
		{"no such file", fs.ErrNotExist, exitFailure, false},
		{"no permission", syscall.EACCES, exitFailure, false},
		{"a full disk", syscall.ENOSPC, exitFailure, false},
		{"a port that is taken", syscall.EADDRINUSE, exitFailure, false},
		{"an address of another machine", syscall.EADDRNOTAVAIL, exitFailure, false},
		{"no token", problem(http.StatusUnauthorized), exitFailure, false},
		{"no such route", problem(http.StatusNotFound), exitFailure, false},
		{"too many questions", problem(http.StatusTooManyRequests), exitFailure, false},
		{"a node that is busy", problem(http.StatusServiceUnavailable), exitFailure, false},
		{"a node that says what to do", problem(http.StatusServiceUnavailable, "wait for svm"), exitFailure, false},
		{"a node that failed", problem(http.StatusInternalServerError), exitFailure, true},
	} {
		var out bytes.Buffer
		a := &app{err: &out, self: "caucus", started: true}
		cmd := &cobra.Command{Use: "caucus"}
		code := a.report(context.Background(), cmd, fmt.Errorf("doing it: %w", c.err))
		if code != c.code {
			t.Errorf("%s: exit code %d, want %d", c.name, code, c.code)
		}
		lines := strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n")
		if len(lines) < 2 || !strings.HasPrefix(lines[0], "caucus: doing it: ") || !strings.HasPrefix(lines[len(lines)-1], "Try: ") {
			t.Errorf("%s: it says\n%s", c.name, out.String())
		}
		if help := strings.HasSuffix(out.String(), "--help\n"); help != c.help {
			t.Errorf("%s: it says\n%s", c.name, out.String())
		}
	}
}

// Errors that a command makes itself bring their remedy along: no failure without try, and
// no usage with an empty one.
func TestNoCommandFailsWithoutARemedy(t *testing.T) {
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		fset := token.NewFileSet()
		f, err := parser.ParseFile(fset, name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(f, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.CompositeLit:
				if id, ok := n.Type.(*ast.Ident); !ok || id.Name != "failure" {
					return true
				}
				found++
				var keys []string
				for _, e := range n.Elts {
					if kv, ok := e.(*ast.KeyValueExpr); ok {
						keys = append(keys, fmt.Sprint(kv.Key))
					}
				}
				if all := strings.Join(keys, " "); strings.Contains(all, "err") && !strings.Contains(all, "try") {
					t.Errorf("%s: this failure does not say what to do", fset.Position(n.Pos()))
				}
			case *ast.CallExpr:
				if id, ok := n.Fun.(*ast.Ident); !ok || id.Name != "usage" {
					return true
				}
				found++
				if lit, ok := n.Args[0].(*ast.BasicLit); ok && lit.Value == `""` {
					t.Errorf("%s: this complaint does not say what to do", fset.Position(n.Pos()))
				}
			}
			return true
		})
	}
	if found < 20 {
		t.Errorf("%d failures were found; does this test look at the right thing?", found)
	}
}

// Colour comes from style alone, which knows of NO_COLOR; and what moves the cursor from
// screen, which is for terminals alone.
func TestNothingElseWritesEscapes(t *testing.T) {
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	escape := regexp.MustCompile(`\\x1b|\\033|\\u001b|\\e\[`)
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") || name == "style.go" || name == "watch.go" {
			continue
		}
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if at := escape.FindIndex(b); at != nil {
			t.Errorf("%s writes %s by itself", name, b[at[0]:at[1]])
		}
	}
}

func TestComplaintsAreForPeople(t *testing.T) {
	for in, want := range map[string]string{
		"wine.csv: ml: bad data: line 2: the cell is empty": "wine.csv: bad data: line 2: the cell is empty",
		"ml: node: cluster: odd":                            "odd",
		"html: x, \"ml: y\" and calm: z":                    "html: x, \"ml: y\" and calm: z", // only as a word of its own at the front
		"two\nlines\tand \x1b[31mred":                       "two lines and .[31mred",
		"turned \u202e about, \u2028 and \u0085 broken":     "turned . about, and broken",
		"Überraschung, 木":                                   "Überraschung, 木",
	} {
		if got := plain(in); got != want {
			t.Errorf("%q became %q, not %q", in, got, want)
		}
	}
}
