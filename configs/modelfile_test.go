package configs

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"caucus/ml"
)

// storedTree is the file of a tree on Iris.
func storedTree(t *testing.T) string {
	t.Helper()
	m, err := ml.Fit(t.Context(), ml.Iris(), ml.FitOptions{Kind: ml.Tree})
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "iris.model")
	if err := ml.SaveFile(path, m, ml.Meta{Ranges: ml.Iris().Ranges()}); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestAStoredModelTakesThePlaceOfFitting(t *testing.T) {
	file := storedTree(t)
	yaml := write(t, "n.yaml", "model: svm\nseed: 3\nholdout: 0.2\nparam: [c=2]\ndata: other.csv\n")
	for _, tt := range []struct {
		name string
		in   Input
	}{
		{"named alone", Input{Flags: flags("model-file", file), Env: env()}},
		{"with the kind that it is", Input{Flags: flags("model-file", file, "model", "tree"), Env: env()}},
		{"overruling a file that says how to fit", Input{Flags: flags("model-file", file, "config", yaml), Env: env()}},
		{"in the environment, overruling a file", Input{Flags: flags("config", yaml), Env: env("CAUCUS_MODEL_FILE", file)}},
		{"as a flag, overruling the environment", Input{Flags: flags("model-file", file), Env: env("CAUCUS_SEED", "4", "CAUCUS_MODEL", "knn")}},
	} {
		s, err := Load(tt.in)
		if err != nil {
			t.Errorf("%s: %v", tt.name, err)
			continue
		}
		if s.Node.Model == nil || s.Node.Model.Kind() != ml.Tree || s.Node.Stored == nil || len(s.Node.Stored.Ranges) != 4 {
			t.Errorf("%s: model %v, stored %v", tt.name, s.Node.Model, s.Node.Stored)
		}
		if s.Node.Name != "tree" || s.Node.Data != "" {
			t.Errorf("%s: name %q, data %q", tt.name, s.Node.Name, s.Node.Data)
		}
	}
}

func TestAStoredModelIsNotFitted(t *testing.T) {
	file := storedTree(t)
	for _, tt := range []struct {
		name   string
		in     Input
		source string
		want   string
	}{
		{"data beside it", Input{Flags: flags("model-file", file, "data", "x.csv"), Env: env()}, "flag --data", "take one of the two away"},
		{"a seed before it", Input{Flags: flags("seed", "1"), Env: env("CAUCUS_MODEL_FILE", file)}, "flag --seed", "fitted already"},
		{"another kind", Input{Flags: flags("model-file", file, "model", "knn"), Env: env()}, "flag --model", "model is knn, and "},
		{"no model", Input{Flags: flags("model-file", write(t, "x.model", "a,b\n1,2\n")), Env: env()}, "flag --model-file", "text that begins with"},
		{"no file", Input{Flags: flags("model-file", file+"x"), Env: env()}, "flag --model-file", "cannot open the model file"},
	} {
		_, err := Load(tt.in)
		var e *Error
		if !errors.As(err, &e) || e.Source != tt.source || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %s and %q", tt.name, err, tt.source, tt.want)
		}
	}
}
