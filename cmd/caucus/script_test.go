package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// raceOptions keep a program that is built with the race detector from sleeping for a
// second when it ends, which these tests let it do a hundred times.
const raceOptions = "atexit_sleep_ms=0"

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"caucus": main})
}

// TestScripts plays the scenes of testdata against small HTTP servers that answer as
// the old apps do, and as broken ones do. A script finds them in its environment.
func TestScripts(t *testing.T) {
	servers := map[string]http.HandlerFunc{
		"ZERO": flask(`{"prediction": 0}`),
		"ONE":  flask(`{"prediction": 1}`),
		"TWO":  flask(`{"prediction": 2}`),
		"LIST": flask("[\n  0\n]"),
		"NAME": flask(`"setosa"`),
		"POSTED": func(w http.ResponseWriter, r *http.Request) {
			var body struct{ Features []float64 }
			if r.Method != http.MethodPost || json.NewDecoder(r.Body).Decode(&body) != nil || len(body.Features) != 4 {
				w.WriteHeader(http.StatusMethodNotAllowed)
				return
			}
			fmt.Fprint(w, `{"class": "virginica", "proba": [0.1, 0.1, 0.8]}`)
		},
		"MLFLOW": func(w http.ResponseWriter, r *http.Request) {
			var body struct{ Inputs [][]float64 }
			if r.URL.Path != "/invocations" || json.NewDecoder(r.Body).Decode(&body) != nil || len(body.Inputs) == 0 {
				w.WriteHeader(http.StatusNotFound)
				return
			}
			_ = json.NewEncoder(w).Encode(map[string]any{"predictions": make([]int, len(body.Inputs))})
		},
		"ERROR": flask(`{"error": "model.pkl not found"}`),
		"NN":    flask(`{"prediction": 99}`),
		"TEXT0": flask(`{"prediction": "0"}`),
		"HTML": func(w http.ResponseWriter, _ *http.Request) {
			fmt.Fprint(w, "<!doctype html><title>Hello</title>")
		},
		"NGROK": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Ngrok-Error-Code", "ERR_NGROK_3200")
			w.WriteHeader(http.StatusNotFound)
		},
		"B400": func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusBadRequest)
			fmt.Fprint(w, `{"error":"feature3 is missing"}`)
		},
		"B500": func(w http.ResponseWriter, _ *http.Request) {
			http.Error(w, "Internal Server Error", http.StatusInternalServerError)
		},
		"REDIRECT": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://127.0.0.1:1/", http.StatusFound)
		},
	}
	urls := map[string]string{"DEAD": "http://" + deadAddress(t)}
	for name, h := range servers {
		s := httptest.NewServer(h)
		t.Cleanup(s.Close)
		urls[name] = s.URL
	}
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata",
		RequireExplicitExec: true,
		Setup: func(e *testscript.Env) error {
			for name, u := range urls {
				e.Setenv(name, u)
			}
			e.Setenv("HOME", e.WorkDir)
			e.Setenv("MARK", "\ufeff")
			e.Setenv("NO_PROXY", "*")
			e.Setenv("GORACE", raceOptions)
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"answers": answers,
			"exits":   exits,
		},
	})
}

// flask answers as Flask's own server does: indented, and closing the connection. Like
// the old apps it fails without its four features.
func flask(body string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Connection", "close")
		w.Header().Set("Server", "Werkzeug/3.0.1 Python/3.11.2")
		for i := range 4 {
			if _, err := strconv.ParseFloat(r.URL.Query().Get(fmt.Sprintf("feature%d", i)), 64); err != nil || r.URL.Path != "/predict" {
				w.WriteHeader(http.StatusInternalServerError)
				return
			}
		}
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, "%s\n", strings.ReplaceAll(strings.ReplaceAll(body, "{", "{\n  "), "}", "\n}"))
	}
}

// deadAddress is an address where nobody listens.
func deadAddress(t *testing.T) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// answers FILE ANSWER...: write what a person types, one answer a line.
func answers(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 1 {
		ts.Fatalf("usage: answers FILE [ANSWER...]")
	}
	var text strings.Builder
	for _, a := range args[1:] {
		text.WriteString(a + "\n")
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(text.String()), 0o600))
}

// exits CODE COMMAND...: run a command that must exit with exactly this code.
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE COMMAND [ARG...]")
	}
	err := ts.Exec(args[1], args[2:]...)
	code := 0
	var ee *exec.ExitError
	if errors.As(err, &ee) {
		code = ee.ExitCode()
	} else {
		ts.Check(err)
	}
	if fmt.Sprint(code) != args[0] {
		ts.Fatalf("exit code %d, want %s", code, args[0])
	}
}
