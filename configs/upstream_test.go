package configs

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"
)

func TestAnUpstreamTakesThePlaceOfAModel(t *testing.T) {
	file := write(t, "n.yaml", "upstream: http://127.0.0.1:5000\ntask: wine.yaml\nmodel: svm\n")
	for _, tt := range []struct {
		name   string
		flags  map[string][]string
		env    func(string) (string, bool)
		listen string
		next   bool
		task   string
	}{
		{"another port", flags("upstream", "127.0.0.1:5000"), env(), "127.0.0.1:5001", true, ""},
		{"the port where a node listens by default", flags("upstream", "http://localhost:5001/predict"), env(), "127.0.0.1:5002", true, ""},
		{"a port of one's own", flags("upstream", "http://localhost:5001", "listen", "127.0.0.1:7000"), env(), "127.0.0.1:7000", false, ""},
		{"the flag before a model of the environment", flags("upstream", "a.example"), env("CAUCUS_MODEL", "svm", "CAUCUS_PARAM", "c=2"), "127.0.0.1:5001", true, ""},
		{"the environment", flags(), env("CAUCUS_UPSTREAM", "a.example", "CAUCUS_TASK", "t.yaml"), "127.0.0.1:5001", true, "t.yaml"},
		{"a file, and its own folder", flags("config", file, "upstream", "a.example"), env(), "127.0.0.1:5001", true, filepath.Join(filepath.Dir(file), "wine.yaml")},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s, err := Load(Input{Flags: tt.flags, Env: tt.env})
			if err != nil {
				t.Fatal(err)
			}
			n := s.Node
			if n.Name != "upstream" || n.Listen != tt.listen || n.NextPort != tt.next || n.TaskFile != tt.task || n.Upstream == "" || n.Model != nil {
				t.Errorf("%q at %s (next %v), task %q", n.Name, n.Listen, n.NextPort, n.TaskFile)
			}
		})
	}
}

func TestWhatAnUpstreamDoesNotGoWithIsRefused(t *testing.T) {
	file := write(t, "n.yaml", "upstream: http://127.0.0.1:5000\nmodel: svm\n")
	for _, tt := range []struct {
		flags        map[string][]string
		source, says string
	}{
		{flags("upstream", "a.example", "model", "knn"), "flag --model", "take one of the two away"},
		{flags("upstream", "a.example", "holdout", "0.2"), "flag --holdout", "take one of the two away"},
		{flags("config", file), file + ":2", "take one of the two away"},
		{flags("upstream", "ftp://a.example"), "flag --upstream", "only http"},
		{flags("task", "t.yaml"), "flag --task", "give --upstream URL"},
		{flags("upstream", "http://localhost:7000", "listen", "127.0.0.1:7000"), "flag --upstream", "where this node itself listens"},
	} {
		_, err := Load(Input{Flags: tt.flags, Env: env()})
		var e *Error
		if !errors.As(err, &e) || !strings.Contains(e.Source, tt.source) || !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%v: %v, want %q of %q", tt.flags, err, tt.says, tt.source)
		}
	}
}
