//go:build unix

package main

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"caucus/ml"
	"caucus/node/api"
)

// TestCommandsAgainstThreeNodes asks real nodes in a process of their own.
func TestCommandsAgainstThreeNodes(t *testing.T) {
	nodes := trioForTest(t)
	setosa := []string{"5.1", "3.5", "1.4", "0.2"}
	data := irisFile(t)

	tests := []struct {
		name   string
		stdin  string
		args   []string
		code   int
		stdout []string // patterns
		stderr []string
	}{
		{
			name: "consensus", args: append([]string{"consensus"}, setosa...),
			stdout: []string{`^setosa +all 3 say setosa\n`, `(?m)^ +knn +setosa`, `(?m)^ +randforest +setosa`, `(?m)^ +svm +setosa`},
		},
		{
			name: "consensus by name", args: []string{"consensus", "petal_width=0.2", "petal-length=1.4", "sepal_length=5.1", "sepal_width=3.5"},
			stdout: []string{`^setosa`},
		},
		{name: "consensus as one list", args: []string{"consensus", "5.1,3.5,1.4,0.2"}, stdout: []string{`^setosa`}},
		{
			name: "consensus as JSON", args: append([]string{"consensus", "--json", "--wait", "all"}, setosa...),
			stdout: []string{`^\{"prediction":0,"label":"setosa","status":"ok".*\}\n$`},
		},
		{
			name: "consensus with too few features", args: []string{"consensus", "5.1"}, code: 2,
			stderr: []string{`^caucus: .*4`},
		},
		{
			name: "consensus by a wrong name", args: []string{"consensus", "colour=1"}, code: 2,
			stderr: []string{`there is no feature "colour"; the features are sepal_length, sepal_width, petal_length and petal_width`, `(?m)^Try: caucus consensus sepal_length=`},
		},
		{
			name: "consensus of more than there are", args: append([]string{"consensus", "--quorum", "9"}, setosa...), code: 3,
			stderr: []string{`^`, `(?m)^Try: `},
		},
		{
			name: "consensus of more than there are, as JSON", args: append([]string{"consensus", "--json", "--quorum", "9"}, setosa...), code: 3,
			stdout: []string{`"type":"urn:caucus:problem:quorum-not-reached"`},
		},
		{
			name: "consensus of a minority", args: append([]string{"consensus", "--minority", "--quorum", "9"}, setosa...),
			stdout: []string{`^setosa`, `do not rely on it`},
		},
		{
			name: "predict", args: append([]string{"predict"}, setosa...),
			stdout: []string{`^setosa +says knn\n`, `(?m)^ +setosa +100\.0 %`},
		},
		{
			name: "predict as JSON", args: append([]string{"predict", "--json"}, setosa...),
			stdout: []string{`^\{"prediction":0,.*\}\n$`},
		},
		{
			name: "members", args: []string{"members"},
			stdout: []string{`NAME +MODEL +STATE +SINCE`, `(?m)^\* +knn +knn +alive`, `(?m)^ +svm +svm +alive .* 9\d\.\d %`},
			stderr: []string{`3 members, 3 voters`},
		},
		{name: "members as JSON", args: []string{"members", "--json"}, stdout: []string{`^\{"self":".*\}\n$`}},
		{name: "healthcheck", args: []string{"healthcheck"}, stdout: []string{`^ready: knn, 3 members\n$`}},
		{
			name: "invite to an open cluster", args: []string{"invite"},
			stdout: []string{`^caucus serve --model tree --join "http://127.0.0.1:\d+"\n$`}, stderr: []string{`this machine only`, `no token`},
		},
		{name: "the key of an open cluster", args: []string{"invite", "--key"}, code: 1, stderr: []string{`no key, and none is needed`, `(?m)^Try: `}},
		{name: "forget when nobody failed", args: []string{"forget", "--failed"}, stderr: []string{`nobody was forgotten`}},
		{name: "forget somebody who is not there", args: []string{"forget", "nobody"}, code: 1, stderr: []string{`nobody`}},
		{
			name: "evaluate", args: []string{"evaluate", "--data", data},
			stdout: []string{`^150 rows of iris.csv`, `(?m)^\*? +knn +knn +14\d +9\d\.\d % +9\d\.\d to \d`, `(?m)^> +auto +majority +14\d +9\d`, `(?m)^ +setosa +50 +0 +0 +100\.0 %$`, `best single member`},
		},
		{
			name: "evaluate as JSON", args: []string{"evaluate", "--json", "--data", data},
			stdout: []string{`^\{"data":.*"rows":150,"method":"auto",.*"members":\[\{.*"answered":150.*"confusion":\[\[50,0,0\].*"differ":0,.*"notes":\[\]\}\n$`},
		},
		{
			name: "evaluate without a file", args: []string{"evaluate", "--data", "/nowhere.csv"}, code: 1,
			stderr: []string{`nowhere.csv`, `(?m)^Try: a CSV file with the columns sepal_length`},
		},
		{
			name: "aggregate by discovery", args: []string{"aggregate"}, stdin: "5.1\n3.5\nx\n1.4\n0.2\n",
			stdout: []string{`^Enter the value of feature 1 \(sepal_length\): \n`, `Invalid input\. Please enter a numerical value\.\n`, `\nConsensus Prediction: 0\n$`},
			stderr: []string{`all 3 say setosa`},
		},
		{name: "aggregate by discovery without answers", args: []string{"aggregate"}, code: 2, stderr: []string{`ended before feature 1`}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			code, stdout, stderr := caucus(t, tt.stdin, append(tt.args, "--node", nodes[0])...)
			if code != tt.code {
				t.Errorf("exit code %d, want %d", code, tt.code)
			}
			for _, p := range tt.stdout {
				if !regexp.MustCompile(p).MatchString(stdout) {
					t.Errorf("standard output does not match %q", p)
				}
			}
			for _, p := range tt.stderr {
				if !regexp.MustCompile(p).MatchString(stderr) {
					t.Errorf("standard error does not match %q", p)
				}
			}
			if strings.Contains(stdout+stderr, "\x1b") {
				t.Error("colours off a terminal")
			}
			if t.Failed() {
				t.Logf("standard output:\n%s\nstandard error:\n%s", stdout, stderr)
			}
		})
	}

	t.Run("the old prompt with the three URLs", func(t *testing.T) {
		code, stdout, stderr := caucus(t, strings.Join(append(nodes, setosa...), "\n")+"\n", "aggregate")
		if code != 0 || !strings.HasSuffix(stdout, "\nConsensus Prediction: 0\n") {
			t.Errorf("exit code %d\n%s%s", code, stdout, stderr)
		}
	})

	t.Run("a fourth node joins, and leaves with goodbye", func(t *testing.T) {
		p := start(t, "serve", "--model", "tree", "--listen", "127.0.0.1:0", "--join", strings.TrimPrefix(nodes[0], "http://"))
		address := p.untilSaid(`address +(http://\S+)`)[1]
		p.untilSaid(`(?s)tree predicts iris: setosa, versicolor or virginica.*decision tree, right on 9.* of the \d+ rows kept back`)
		waitForMember(t, nodes[1], "tree", "alive")
		p.untilSaid("msg=ready")
		if code, stdout, stderr := caucus(t, "", "healthcheck", "--node", address); code != 0 {
			t.Errorf("healthcheck: %d %s%s", code, stdout, stderr)
		}
		if code, _ := p.end(syscall.SIGTERM); code != 0 {
			t.Errorf("SIGTERM: exit code %d\n%s", code, p.stderr)
		}
		waitForMember(t, nodes[1], "tree", "left")
	})
}

// waitForMember waits until a node lists a member in a state.
func waitForMember(t *testing.T, node, name, state string) {
	t.Helper()
	c, err := api.NewClient(node, "")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	ctx, cancel := context.WithTimeout(t.Context(), patienceForTests)
	defer cancel()
	for tick := time.NewTicker(20 * time.Millisecond); ; <-tick.C {
		r, err := c.Members(ctx)
		if err != nil {
			t.Fatalf("waiting for %s to be %s: %v", name, state, err)
		}
		for _, m := range r.Members {
			if m.Name == name && m.State == state {
				return
			}
		}
	}
}

func TestATokenLetsInAndIsShownOnlyInTheInvite(t *testing.T) {
	state := t.TempDir()
	p := start(t, "serve", "--model", "knn", "--listen", "127.0.0.1:0", "--public-url", "https://ab12.example", "--state-dir", state, "--log-level", "debug")
	line := p.untilSaid(`caucus serve --model svm --join "https://ab12\.example#([A-Za-z0-9_-]{43})"`)
	token := line[1]
	address := p.untilSaid(`address +(http://\S+)`)[1]
	if n := strings.Count(p.stderr.String(), token); n != 1 {
		t.Errorf("the token is shown %d times", n)
	}
	// invite finds address on the card and token in the state folder.
	code, stdout, stderr := caucus(t, "", "invite", "--node", address, "--state-dir", state)
	if code != 0 || strings.TrimSpace(stdout) != line[0] {
		t.Errorf("invite: %d %q, want %q\n%s", code, stdout, line[0], stderr)
	}
	// A teammate pastes the token (the address is made up, so this node's own stands for it).
	// The line that the teammate's node prints leads where anybody can come in.
	mate := start(t, "serve", "--model", "svm", "--listen", "127.0.0.1:0", "--state-dir", "none", "--join", address+"#"+token)
	mate.untilSaid(`caucus serve --model randforest --join "` + regexp.QuoteMeta(address+"#"+token) + `"`)
	waitForMember(t, address, "svm", "alive")
	// A stranger is refused, in words at both ends.
	stranger := start(t, "serve", "--model", "tree", "--listen", "127.0.0.1:0", "--state-dir", "none", "--join", address+"#"+strings.Repeat("A", 43))
	stranger.untilSaid(`token is not that of this cluster`)
	p.untilSaid(`token is not that of this cluster`)
	if n := strings.Count(p.stderr.String(), token); n != 1 {
		t.Errorf("the token is shown %d times once others came", n)
	}

	// The key that Prometheus sends, and nothing else, comes out of --key; it opens what strangers do not get.
	code, stdout, stderr = caucus(t, "", "invite", "--key", "--node", address, "--state-dir", state)
	key := strings.TrimSuffix(stdout, "\n")
	if code != 0 || strings.ContainsAny(key, " \n") || key == token {
		t.Errorf("the key: %d %q %q", code, stdout, stderr)
	}
	for _, asked := range []struct {
		key    string
		status int
	}{{key, 200}, {token, 401}, {"", 401}} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, address+"/metrics", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("X-Forwarded-For", "192.0.2.1") // as from elsewhere
		if asked.key != "" {
			req.Header.Set("Authorization", "Bearer "+asked.key)
		}
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if res.StatusCode != asked.status {
			t.Errorf("/metrics with the key %q: status %d, want %d", asked.key, res.StatusCode, asked.status)
		}
	}

	// Where the token is not known, no line is printed that would not work.
	code, stdout, stderr = caucus(t, "", "invite", "--node", address, "--state-dir", t.TempDir())
	if code != 1 || stdout != "" || !strings.Contains(stderr, "has a token, and it is not known here") {
		t.Errorf("invite without the token: %d %q %q", code, stdout, stderr)
	}
	code, stdout, stderr = caucus(t, "", "invite", "--node", address+"#"+strings.Repeat("A", 43), "--state-dir", state)
	if want := strings.Replace(line[0], "svm", "randforest", 1); code != 0 || strings.TrimSpace(stdout) != want { // svm is there now
		t.Errorf("invite by another invite's address: %d %q %q", code, stdout, stderr)
	}
	if code, _ := p.end(syscall.SIGINT); code != 0 {
		t.Errorf("Ctrl-C: exit code %d\n%s", code, p.stderr)
	}
	// Without the node it needs to be told the address.
	code, stdout, _ = caucus(t, "", "invite", "--node", address, "--public-url", "https://ab12.example", "--state-dir", state)
	if code != 0 || !strings.Contains(stdout, `--join "https://ab12.example#`+token+`"`) {
		t.Errorf("invite without the node: %d %q", code, stdout)
	}
	if code, _, stderr := caucus(t, "", "invite", "--node", address, "--state-dir", state); code != 1 || !strings.Contains(stderr, "--public-url") {
		t.Errorf("invite of nobody: %d %q", code, stderr)
	}
}

// irisFile writes Iris as a person would have it.
func irisFile(t *testing.T) string {
	t.Helper()
	d := ml.Iris()
	var b strings.Builder
	b.WriteString(strings.Join(d.Task.Features, ",") + ",species\n")
	for i := range d.Len() {
		for _, x := range d.Row(i) {
			fmt.Fprintf(&b, "%v,", x)
		}
		b.WriteString(d.Task.Labels[d.Y[i]] + "\n")
	}
	path := filepath.Join(t.TempDir(), "iris.csv")
	if err := os.WriteFile(path, []byte(b.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestARotatedTokenLetsNewcomersInAndTheOldOneDoesNot(t *testing.T) {
	state := t.TempDir()
	p := start(t, "serve", "--model", "knn", "--listen", "127.0.0.1:0", "--public-url", "https://ab12.example", "--state-dir", state)
	old := p.untilSaid(`caucus serve --model svm --join "https://ab12\.example#([A-Za-z0-9_-]{43})"`)[1]
	address := p.untilSaid(`address +(http://\S+)`)[1]
	code, stdout, stderr := caucus(t, "", "invite", "--rotate", "--keep-old", "0s", "--node", address, "--state-dir", state)
	m := regexp.MustCompile(`--join "https://ab12\.example#([A-Za-z0-9_-]{43})"`).FindStringSubmatch(stdout)
	if code != 0 || m == nil || m[1] == old || !strings.Contains(stderr, "good no more") {
		t.Fatalf("%d %q %q", code, stdout, stderr)
	}
	// invite prints the new one from now on, also without being told to rotate.
	if code, again, stderr := caucus(t, "", "invite", "--node", address, "--state-dir", state); code != 0 || again != stdout {
		t.Errorf("invite again: %d %q %q", code, again, stderr)
	}
	port := strings.TrimPrefix(address, "http://")
	in := start(t, "serve", "--model", "tree", "--listen", "127.0.0.1:0", "--state-dir", t.TempDir(), "--join", port+"#"+m[1])
	in.untilSaid(`msg=ready`)
	waitForMember(t, address, "tree", "alive")
	out := start(t, "serve", "--model", "svm", "--listen", "127.0.0.1:0", "--state-dir", t.TempDir(), "--join", port+"#"+old)
	out.untilSaid(`the invite token is not that of this cluster`)
	// Nor does the old one open the node to commands from elsewhere, or rotate.
	if code, _, stderr := caucus(t, "", "invite", "--rotate", "--node", address, "--state-dir", t.TempDir()); code == 0 || !strings.Contains(stderr, "not known here") {
		t.Errorf("rotate without the token: %d %q", code, stderr)
	}
	if strings.Contains(p.stderr.String(), m[1]) {
		t.Error("the new token is in the log")
	}
}

func TestARemovedMemberIsOutAndSoIsItsOldToken(t *testing.T) {
	state, boState := t.TempDir(), t.TempDir()
	p := start(t, "serve", "--name", "ana", "--listen", "127.0.0.1:0", "--public-url", "https://ab12.example", "--state-dir", state)
	old := p.untilSaid(`caucus serve --model svm --join "https://ab12\.example#([A-Za-z0-9_-]{43})"`)[1]
	address := p.untilSaid(`address +(http://\S+)`)[1]
	invite := address + "#" + old
	serveBo := func(dir string) *process {
		return start(t, "serve", "--model", "tree", "--name", "bo", "--listen", "127.0.0.1:0", "--state-dir", dir, "--join", invite)
	}
	bo := serveBo(boState)
	cyState := t.TempDir()
	serveCy := func() *process {
		return start(t, "serve", "--model", "svm", "--name", "cy", "--listen", "127.0.0.1:0", "--state-dir", cyState, "--join", invite)
	}
	cy := serveCy()
	waitForMember(t, address, "bo", "alive")
	waitForMember(t, address, "cy", "alive")
	boAddress := bo.untilSaid(`address +(http://\S+)`)[1]

	code, stdout, stderr := caucus(t, "", "remove", "nobody", "--node", address, "--state-dir", state)
	if code != 1 || !strings.Contains(stderr, `there is no member "nobody" to remove; there are bo, cy`) {
		t.Errorf("nobody: %d %q %q", code, stdout, stderr)
	}
	code, stdout, stderr = caucus(t, "", "remove", "bo", "--node", address, "--state-dir", state)
	m := regexp.MustCompile(`^removed bo \([a-z2-7]{32}\)\ncaucus serve --model \S+ --join "https://ab12\.example#([A-Za-z0-9_-]{43})"\n$`).FindStringSubmatch(stdout)
	if code != 0 || m == nil || m[1] == old || !strings.Contains(stderr, "lets only members back in") {
		t.Fatalf("%d %q %q", code, stdout, stderr)
	}
	waitForMember(t, address, "bo", "refused")
	bo.untilSaid(`this node was removed from this cluster by ana on .* caucus remove --undo bo`)
	// It says so to whoever asks it, and why.
	code, _, stderr = caucus(t, "", "consensus", "5.1", "3.5", "1.4", "0.2", "--node", boAddress)
	if code != 3 || !strings.Contains(stderr, "this node was removed from this cluster by ana") || !strings.Contains(stderr, "Try: ask a member to take it back") {
		t.Errorf("asking the removed one: %d %q", code, stderr)
	}
	code, stdout, stderr = caucus(t, "", "consensus", "5.1", "3.5", "1.4", "0.2", "--node", address)
	if code != 0 || !strings.Contains(stdout, "both say setosa") {
		t.Errorf("the other two: %d %q %q", code, stdout, stderr)
	}
	// Its owner's new node has the old token only.
	again := serveBo(t.TempDir())
	again.untilSaid(`the invite token is not that of this cluster`)
	// A member that restarts with the line of old is let in.
	if code, _ := cy.end(syscall.SIGTERM); code != 0 {
		t.Errorf("exit code %d", code)
	}
	waitForMember(t, address, "cy", "left")
	serveCy()
	waitForMember(t, address, "cy", "alive")
	if strings.Contains(bo.stderr.String()+again.stderr.String(), m[1]) {
		t.Error("a removed one's log has the new token")
	}

	code, stdout, _ = caucus(t, "", "remove", "bo", "--node", address, "--state-dir", state)
	if code != 1 || stdout != "" {
		t.Errorf("removed twice: %d %q", code, stdout)
	}
	if found, _ := offered(t, "remove", "--node", address, "--undo", ""); !slices.Equal(found, []string{"bo"}) {
		t.Errorf("completion of --undo offers %q", found)
	}
	code, stdout, stderr = caucus(t, "", "remove", "--undo", "bo", "--node", address)
	if code != 0 || !strings.HasPrefix(stdout, "took back the removal of bo (") || !strings.Contains(stderr, "caucus invite prints") {
		t.Errorf("undo: %d %q %q", code, stdout, stderr)
	}
	if code, _ := bo.end(syscall.SIGTERM); code != 0 {
		t.Errorf("exit code %d", code)
	}
	start(t, "serve", "--model", "tree", "--name", "bo", "--listen", "127.0.0.1:0", "--state-dir", boState, "--join", address+"#"+m[1])
	waitForMember(t, address, "bo", "alive")
}

// Without the token at hand the removal stands, and what is left to do is said.
func TestARemovalWithoutTheTokenSaysWhatIsLeftToDo(t *testing.T) {
	state := t.TempDir()
	p := start(t, "serve", "--name", "ana", "--listen", "127.0.0.1:0", "--public-url", "https://ab12.example", "--state-dir", state)
	token := p.untilSaid(`caucus serve --model svm --join "https://ab12\.example#([A-Za-z0-9_-]{43})"`)[1]
	address := p.untilSaid(`address +(http://\S+)`)[1]
	start(t, "serve", "--model", "tree", "--name", "bo", "--listen", "127.0.0.1:0", "--state-dir", "none", "--join", address+"#"+token)
	waitForMember(t, address, "bo", "alive")
	code, stdout, stderr := caucus(t, "", "remove", "bo", "--node", address, "--state-dir", t.TempDir())
	if code != 1 || !strings.HasPrefix(stdout, "removed bo (") || !strings.Contains(stderr, "it is removed, but the token was not replaced") || !strings.Contains(stderr, "Try: caucus invite --rotate --members-only") {
		t.Errorf("%d %q %q", code, stdout, stderr)
	}
	waitForMember(t, address, "bo", "refused")
}
