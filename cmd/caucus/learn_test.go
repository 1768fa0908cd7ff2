//go:build unix

package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"caucus/node/api"
)

// TestCommandsThatLearn gives labels to real nodes and looks at what they teach.
func TestCommandsThatLearn(t *testing.T) {
	nodes := trioForTest(t)
	data := irisFile(t)
	// Steps build on one another. The first node has a round already, of the question that up asks.
	for _, step := range []struct {
		name   string
		stdin  string
		args   []string
		code   int
		stdout []string
		stderr []string
	}{
		{
			name: "weights before any label", args: []string{"weights"},
			stdout: []string{`^0 labelled rows\n`, `(?m)^knn +knn +- +66\.7 % +1\.39`}, stderr: []string{`no labels yet, so every vote counts one`},
		},
		{name: "nothing to review", args: []string{"review"}, stderr: []string{`no recent round waits for a label`}},
		{name: "a round to review", args: []string{"consensus", "5.1", "3.5", "1.4", "0.2"}, stdout: []string{`^setosa`}},
		{
			name: "review by number, after a slip", args: []string{"review"}, stdin: "nonsense\n1\n",
			stdout: []string{`(?m)^1 of 1 `, `sepal_length=5\.1 sepal_width=3\.5`, `There is no label "nonsense"`, `recorded; the evidence now has 1 labelled row\n`}, stderr: []string{`1 label given`},
		},
		{name: "nothing more to review", args: []string{"review"}, stderr: []string{`no recent round waits for a label`}},
		{
			name: "one row", args: []string{"feedback", "6.3", "2.8", "5.1", "1.5", "--label", "virginica"},
			stdout: []string{`^1 label recorded; the evidence now has 2 labelled rows\n$`}, stderr: []string{`3 votes signed`},
		},
		{
			name: "the same row again", args: []string{"feedback", "6.3", "2.8", "5.1", "1.5", "--label", "virginica"},
			stdout: []string{`^1 label known already; the evidence now has 2 labelled rows\n$`},
		},
		{
			name: "a file", args: []string{"feedback", "--data", data},
			stdout: []string{`^148 labels recorded, 2 labels known already from iris.csv; the evidence now has 150 labelled rows\n$`},
		},
		{name: "a file as JSON", args: []string{"feedback", "--data", data, "--json"}, stdout: []string{`^\{"data":.*"recorded":0,"replaced":0,"known":150,"labels":150,`}},
		{
			name: "weights after that", args: []string{"weights"},
			stdout: []string{`^150 labelled rows \(evidence [0-9a-f]{16}\)\n`, `(?m)^knn +knn +14\d of 150 +9\d\.\d % +\d\.\d\d +51/51`, `(?m)^\* +\w+`, `(?m)^auto \(\*\): least loss on 150 labelled rows`, `never more than \d`, `(?m)^\w+ gave 150 labels$`},
		},
		{name: "members with weights", args: []string{"members"}, stdout: []string{`ACCURACY +WEIGHT`, `(?m)^ +knn +knn +alive .* \d\.\d\d +http`}},
		{name: "weights as JSON", args: []string{"weights", "--json"}, stdout: []string{`^\{"asked":".*"labels":150,.*\}\n$`}},
		{name: "the rule that the evidence favours", args: []string{"consensus", "5.1", "3.5", "1.4", "0.2", "--json"}, stdout: []string{`"reason":"least loss on 150 labelled rows`}},
		{name: "a label that there is not", args: []string{"feedback", "5", "3", "1", "0.2", "--label", "rose"}, code: 2, stderr: []string{`"rose", which is no label of this task; its labels are setosa, versicolor, virginica`}},
		{name: "nothing to label", args: []string{"feedback", "--label", "setosa"}, code: 2, stderr: []string{`feedback needs either --data, or --round, or the features`, `(?m)^Try: caucus feedback`}},
		{name: "no label", args: []string{"feedback", "5", "3", "1", "0.2"}, code: 2, stderr: []string{`needs the label`}},
		{name: "a round that is not known", args: []string{"feedback", "--round", "01JQZ8V5M3K4N6P7R8S9T0V1W2", "--label", "setosa"}, code: 1, stderr: []string{`is not, or no longer, known here`}},
	} {
		t.Run(step.name, func(t *testing.T) {
			code, stdout, stderr := caucus(t, step.stdin, append(step.args, "--node", nodes[1])...)
			if code != step.code {
				t.Errorf("exit code %d, want %d", code, step.code)
			}
			for _, p := range step.stdout {
				if !regexp.MustCompile(p).MatchString(stdout) {
					t.Errorf("standard output does not match %q", p)
				}
			}
			for _, p := range step.stderr {
				if !regexp.MustCompile(p).MatchString(stderr) {
					t.Errorf("standard error does not match %q", p)
				}
			}
			if t.Failed() || strings.Contains(stdout+stderr, "\x1b") {
				t.Errorf("standard output:\n%s\nstandard error:\n%s", stdout, stderr)
			}
		})
	}

	proof := filepath.Join(t.TempDir(), "receipt.json")
	code, stdout, stderr := caucus(t, "", "consensus", "6.3", "2.8", "5.1", "1.5", "--method", "weighted", "--receipt", proof, "--node", nodes[1])
	if code != 0 || !strings.Contains(stderr, "caucus verify "+proof) {
		t.Fatalf("%d\n%s\n%s", code, stdout, stderr)
	}
	code, stdout, stderr = caucus(t, "", "verify", proof)
	if code != 0 || !regexp.MustCompile(`^virginica +the receipt of round \w{26} holds\n`).MatchString(stdout) || !strings.Contains(stdout, "learnt anew from 150 records in the receipt") {
		t.Errorf("%d\n%s\n%s", code, stdout, stderr)
	}
	b, err := os.ReadFile(proof)
	if err != nil {
		t.Fatal(err)
	}
	// A vote with a signature of its own: that of the node that was asked is under the receipt's.
	signed := regexp.MustCompile(`"label":2((?:,"probabilities":\[[\d,]+\])?,"signature")`)
	forged := signed.ReplaceAllString(string(b), `"label":1$1`)
	if forged == string(b) {
		t.Fatalf("no vote to forge in %s", b)
	}
	code, stdout, stderr = caucus(t, forged, "verify", "-")
	if code != 1 || stdout != "" || !regexp.MustCompile(`^caucus: - does not hold, votes\[\d\]\.signature: \w+ did not sign this vote`).MatchString(stderr) {
		t.Errorf("%d\n%s\n%s", code, stdout, stderr)
	}
	if code, stdout, _ = caucus(t, forged, "verify", "-", "--json"); code != 1 || !strings.HasPrefix(stdout, `{"holds":false,"where":"votes[`) {
		t.Errorf("%d\n%s", code, stdout)
	}
	// What the reply itself carries is enough for all but the weights.
	code, stdout, stderr = caucus(t, "", "consensus", "6.3", "2.8", "5.1", "1.5", "--receipt", proof, "--json", "--node", nodes[1])
	var reply api.ConsensusReply
	if err := json.Unmarshal([]byte(stdout), &reply); code != 0 || err != nil {
		t.Fatalf("%d %v\n%s\n%s", code, err, stdout, stderr)
	}
	if code, _, stderr = caucus(t, reply.Receipt, "verify", "-"); code != 0 || !strings.Contains(stderr, "weights: the word of") {
		t.Errorf("%d\n%s", code, stderr)
	}
	if code, _, stderr = caucus(t, "", "verify", "/nowhere.json"); code != 1 || !strings.Contains(stderr, "nowhere.json") {
		t.Errorf("%d\n%s", code, stderr)
	}
}
