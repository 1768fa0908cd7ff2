package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/getkin/kin-openapi/openapi3"

	"caucus/ml"
	"caucus/node"
	"caucus/node/assess"
	"caucus/node/assess/assesstest"
	"caucus/node/nodetest"
)

const (
	wineFile   = "../../ml/testdata/wine.csv"
	schemaFile = "../../docs/evaluate.schema.json"
)

// fiveOnWine starts five nodes with models that differ, one of which gives no probabilities.
func fiveOnWine(t *testing.T) []*nodetest.Member {
	t.Helper()
	return nodetest.Start(t, 5, func(i int, cfg *node.Config) {
		cfg.Data, cfg.Label = wineFile, "label"
		cfg.Fit = ml.FitOptions{Kind: nodetest.Kinds[i%len(nodetest.Kinds)], Seed: uint64(i), Trees: 10}
		if i == 4 {
			cfg.Fit = ml.FitOptions{Kind: ml.KNN, K: 1}
		}
		// A loaded machine is not to look like a slow member.
		cfg.TimeScale, cfg.PeerTimeout, cfg.Deadline = 1, nodetest.Patience/2, nodetest.Patience
	})
}

// here runs a command in this process, and returns its exit code and what it wrote.
func here(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	a := &app{in: strings.NewReader(""), out: &out, err: &errs, env: func(string) (string, bool) { return "", false }, self: "caucus"}
	code = run(t.Context(), a, args)
	return code, out.String(), errs.String()
}

// TestEveryMethodCountedHereIsWhatTheNodesAnswer is what evaluate rests on: it asks one
// question and counts all methods from it by itself.
func TestEveryMethodCountedHereIsWhatTheNodesAnswer(t *testing.T) {
	nodes := fiveOnWine(t)
	schema := evaluationSchema(t)
	page := filepath.Join(t.TempDir(), "report.html")
	check := func(method string, labelled int) *evaluation {
		t.Helper()
		code, stdout, stderr := here(t, "evaluate", "--data", wineFile, "--node", nodes[2].URL, "--method", method, "--resamples", "500", "--json", "--html", page)
		if code != 0 {
			t.Fatalf("%s: exit code %d\n%s", method, code, stderr)
		}
		var document any
		if err := json.Unmarshal([]byte(stdout), &document); err != nil {
			t.Fatal(err)
		}
		if err := schema.VisitJSON(document, openapi3.MultiErrors()); err != nil {
			t.Errorf("%s: the JSON is not what docs/evaluate.schema.json says: %v", method, err)
		}
		var e evaluation
		if err := json.Unmarshal([]byte(stdout), &e); err != nil {
			t.Fatal(err)
		}
		if !e.Recount.Done || e.Recount.Differ != 0 || e.Method != method || e.Rows != 178 || len(e.Members) != 5 || len(e.Methods) != 5 {
			t.Errorf("%s: recount %+v of %d rows, %d members, %d methods", method, e.Recount, e.Rows, len(e.Members), len(e.Methods))
		}
		if !e.Overlap.Known || e.Overlap.Rows != labelled {
			t.Errorf("%s: overlap %+v, want %d rows", method, e.Overlap, labelled)
		}
		return &e
	}
	methods := []string{"majority", "weighted", "soft", "em", "auto"}
	for _, m := range methods {
		check(m, 0)
	}
	third := filepath.Join(t.TempDir(), "third.csv")
	writeEveryThird(t, third)
	if code, _, stderr := here(t, "feedback", "--data", third, "--node", nodes[2].URL); code != 0 {
		t.Fatal(stderr)
	}
	for _, m := range methods {
		e := check(m, 60)
		if len(e.Notes) != 1 || !strings.Contains(e.Notes[0], "60 of the 178 rows are in the evidence") {
			t.Errorf("%s: notes %q", m, e.Notes)
		}
	}
	if b, err := os.ReadFile(page); err != nil || !bytes.Contains(b, []byte("Evaluation on wine.csv")) || !bytes.HasSuffix(b, []byte("</html>\n")) {
		t.Errorf("the page: %v, %d bytes", err, len(b))
	}

	code, stdout, stderr := here(t, "evaluate", "--data", wineFile, "--unseen", "--node", nodes[2].URL)
	if code != 0 || !strings.HasPrefix(stdout, "118 rows of wine.csv, ") || strings.Contains(stdout, "in the evidence") {
		t.Errorf("%d\n%s\n%s", code, stdout, stderr)
	}
	if code, _, stderr = here(t, "evaluate", "--data", third, "--unseen", "--node", nodes[2].URL); code != 1 || !strings.Contains(stderr, "has learnt from every row of the file") {
		t.Errorf("%d\n%s", code, stderr)
	}
	// A member that is gone is told, and the rest is measured all the same.
	nodes[4].Kill()
	code, stdout, stderr = here(t, "evaluate", "--data", wineFile, "--node", nodes[0].URL)
	if code != 0 || !regexp.MustCompile(`n4-\w+ +knn +- +-`).MatchString(stdout) || !strings.Contains(strings.Join(strings.Fields(stdout), " "), "has no vote on 178 rows (connect_error: ") {
		t.Errorf("%d\n%s\n%s", code, stdout, stderr)
	}
}

func writeEveryThird(t *testing.T, path string) {
	t.Helper()
	b, err := os.ReadFile(wineFile)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for i, line := range strings.Split(strings.TrimSpace(string(b)), "\n") {
		if i == 0 || i%3 == 1 {
			out = append(out, line)
		}
	}
	if err := os.WriteFile(path, []byte(strings.Join(out, "\n")+"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
}

// evaluationSchema reads docs/evaluate.schema.json; no object may have more than it says there.
func evaluationSchema(t *testing.T) *openapi3.Schema {
	t.Helper()
	b, err := os.ReadFile(schemaFile)
	if err != nil {
		t.Fatal(err)
	}
	// The library knows schemas as parts of OpenAPI documents only.
	b = bytes.ReplaceAll(b, []byte("#/$defs/"), []byte("#/components/schemas/"))
	var root map[string]any
	if err := json.Unmarshal(b, &root); err != nil {
		t.Fatal(err)
	}
	schemas := root["$defs"].(map[string]any)
	delete(root, "$defs")
	delete(root, "$schema")
	delete(root, "$id")
	schemas["Evaluation"] = root
	for _, s := range schemas {
		if s := s.(map[string]any); s["properties"] != nil {
			s["additionalProperties"] = false
			// Everything that there is, is there always, unless it says so.
			if s["required"] == nil {
				t.Errorf("an object of the schema says nothing of what is required: %v", s["description"])
			}
		}
	}
	doc, err := json.Marshal(map[string]any{
		"openapi": "3.1.0", "info": map[string]any{"title": "evaluation", "version": "1"}, "paths": map[string]any{},
		"components": map[string]any{"schemas": schemas},
	})
	if err != nil {
		t.Fatal(err)
	}
	loaded, err := openapi3.NewLoader().LoadFromData(doc)
	if err != nil {
		t.Fatal(err)
	}
	if err := loaded.Validate(t.Context()); err != nil {
		t.Fatal(err)
	}
	return loaded.Components.Schemas["Evaluation"].Value
}

func TestATableOfAnEvaluationFitsATerminal(t *testing.T) {
	for name, made := range map[string]assesstest.Made{
		"five":   {Rows: 600, Labels: []string{"setosa", "versicolor", "virginica"}, Skills: []float64{.97, .95, .93, .8, .7}, Names: []string{"ana", "bo", "cy", "dee", "a-name-that-is-far-too-long"}, Known: true, Silent: 100, Seed: 2},
		"two":    {Rows: 20, Labels: []string{"no", "yes"}, Skills: []float64{1, 1}, Seed: 1},
		"one":    {Rows: 9, Labels: []string{"no", "yes"}, Skills: []float64{.5}, Seed: 1},
		"twelve": {Rows: 300, Labels: strings.Split("abcdefghijklmnopqrstuvwxyz", ""), Skills: []float64{.9, .9, .9, .9, .9, .9, .9, .8, .8, .8, .8, .8}, Seed: 1},
	} {
		sheet, err := made.Sheet()
		if err != nil {
			t.Fatal(err)
		}
		r, err := sheet.Report(assess.Options{Resamples: 500, Seed: 1, Overlap: assess.Overlap{Known: true, Rows: 7}})
		if err != nil {
			t.Fatal(err)
		}
		e := &evaluation{Data: "some/where/" + name + ".csv", Seconds: 0.25, Report: r}
		var out bytes.Buffer
		(&app{out: &out}).showEvaluation(e)
		for _, line := range strings.Split(out.String(), "\n") {
			if n := utf8.RuneCountInString(line); n > terminalWidth || strings.TrimRight(line, " ") != line {
				t.Errorf("%s: a line of %d characters, or one that ends in spaces: %q", name, n, line)
			}
		}
		golden := "testdata/evaluate/" + name + ".txt"
		if *update {
			if err := os.WriteFile(golden, out.Bytes(), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(golden)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(want, out.Bytes()) {
			t.Errorf("%s is not as in %s (go test ./cmd/caucus -run ATable -update writes it anew):\n%s", name, golden, out.String())
		}
		// With colours it is the same text.
		var painted bytes.Buffer
		(&app{out: &painted, outStyle: style{on: true}}).showEvaluation(e)
		if plain := regexp.MustCompile(`\x1b\[\d*m`).ReplaceAllString(painted.String(), ""); plain != out.String() {
			t.Errorf("%s: with colours it is another text:\n%s", name, plain)
		}
	}
}

func TestWordsOfMembersAndFilesDoNotSteerTheTerminal(t *testing.T) {
	const steer = "\x1b]0;mine\x07\x1b[2J\r\n\u009b31m"
	made := assesstest.Made{
		Rows: 60, Labels: []string{"a", "b"}, Skills: []float64{.9, .8, .5}, Silent: 20, Seed: 1,
		Names: []string{"ana" + steer, "bo" + steer, "cy" + steer},
	}
	sheet, err := made.Sheet()
	if err != nil {
		t.Fatal(err)
	}
	r, err := sheet.Report(assess.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for i := range r.Members {
		r.Members[i].Reason += steer
	}
	for i := range r.Methods {
		r.Methods[i].Reason += steer
	}
	r.Notes, r.Labels = append(r.Notes, steer), []string{"a" + steer, "b" + steer}
	var out bytes.Buffer
	(&app{out: &out}).showEvaluation(&evaluation{Data: "data" + steer + ".csv", Report: r})
	if at := strings.IndexFunc(out.String(), func(c rune) bool { return c != '\n' && (c < 0x20 || c >= 0x7f && c < 0xa0) }); at >= 0 {
		t.Errorf("a control character reaches the terminal: %q", out.String()[max(0, at-40):at+10])
	}
}

func TestWhatEvaluateIsAskedWronglyIsSaid(t *testing.T) {
	for _, tt := range []struct{ args, stderr string }{
		{"--method median", `--method: .*"median".* majority`},
		{"--resamples 10", `--resamples takes a number from 500 to 100000, not 10`},
	} {
		code, _, stderr := here(t, append([]string{"evaluate", "--data", wineFile}, strings.Fields(tt.args)...)...)
		if code != exitUsage || !regexp.MustCompile(tt.stderr).MatchString(stderr) {
			t.Errorf("%s: exit code %d\n%s", tt.args, code, stderr)
		}
	}
}
