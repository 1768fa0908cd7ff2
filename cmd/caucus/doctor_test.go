package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"
	"time"

	"caucus/cluster/identity"
	"caucus/node"
	"caucus/node/api"
	"caucus/node/nodetest"
)

// patientTest runs caucus doctor in this process, on a machine of its own as far as the environment goes.
type patientTest struct {
	t     *testing.T
	env   map[string]string
	agent string // the API of an ngrok agent
}

func newPatient(t *testing.T) *patientTest {
	t.Helper()
	return &patientTest{t: t, env: map[string]string{"HOME": t.TempDir()}, agent: "http://" + deadAddress(t)}
}

func (p *patientTest) run(style style, args ...string) (code int, stdout, stderr string) {
	p.t.Helper()
	var out, errs bytes.Buffer
	a := &app{
		in: strings.NewReader(""), out: &out, err: &errs, self: "caucus", outStyle: style, agentAPI: p.agent,
		env: func(key string) (string, bool) { s, ok := p.env[key]; return s, ok },
	}
	code = run(p.t.Context(), a, append([]string{"doctor"}, args...))
	return code, out.String(), errs.String()
}

// says checks an examination: its exit code and what it printed.
func (p *patientTest) says(node string, code int, patterns ...string) {
	p.t.Helper()
	got, stdout, stderr := p.run(style{}, "--node", node)
	if got != code {
		p.t.Errorf("exit code %d, want %d", got, code)
	}
	for _, want := range patterns {
		if !regexp.MustCompile(want).MatchString(stdout + stderr) {
			p.t.Errorf("nothing like %q", want)
		}
	}
	if strings.Contains(stdout+stderr, "\x1b") {
		p.t.Error("colours off a terminal")
	}
	if p.t.Failed() {
		p.t.Fatalf("it said:\n%s%s", stdout, stderr)
	}
}

func TestTheDoctorExaminesNodes(t *testing.T) {
	token, err := identity.NewToken()
	if err != nil {
		t.Fatal(err)
	}
	nodes := nodetest.Start(t, 3, func(_ int, cfg *node.Config) { cfg.Token, cfg.Version = &token, thisBuild().Version })
	p := newPatient(t)
	nodes[0].Wait("all is well", func() bool {
		code, _, errs := p.run(style{}, "--node", nodes[0].URL)
		return code == 0 && errs == "\nAll is well.\n"
	})
	p.says(nodes[0].URL, 0, `^n0-knn at http://127\.0\.0\.1:\d+ version \S+\n\n`, `(?m)^ok    This node answers /consensus; all 3 members`, `met this node`, `\nAll is well\.\n$`)

	// As JSON it is one object, which programs read.
	code, stdout, _ := p.run(style{}, "--json", "--node", nodes[0].URL)
	var r doctorReport
	if err := json.Unmarshal([]byte(stdout), &r); err != nil || code != 0 || !r.Reached || r.Target != nodes[0].URL || r.Status != api.SeverityOK || len(r.Findings) < 4 {
		t.Errorf("%d %v: %s", code, err, stdout)
	}
	// A warning is no failure.
	nodes[2].Kill()
	nodes[0].WaitState("n2-svm", "failed")
	p.says(nodes[0].URL, 0, `(?m)^warn  n2-svm has failed.*\n +Try: .*caucus forget n2-svm$`, `It works, with 1 warning\.`)
	// No quorum is one.
	nodes[1].Kill()
	nodes[0].WaitState("n1-randforest", "failed")
	p.says(nodes[0].URL, 1, `(?m)^fail  /consensus fails here: 1 of the 3`, `1 failure and 2 warnings\.`)

	// Colours are the terminal's, and the marks stay in line.
	_, painted, _ := p.run(style{on: true}, "--node", nodes[0].URL)
	_, plain, _ := p.run(style{}, "--node", nodes[0].URL)
	bare := regexp.MustCompile("\x1b\\[[0-9;]*m").ReplaceAllString(painted, "")
	times := regexp.MustCompile(`\d+(\.\d+)? (s|ms|min)\b`)
	if painted == bare || times.ReplaceAllString(bare, "T") != times.ReplaceAllString(plain, "T") {
		t.Errorf("painted:\n%s\nplain:\n%s", bare, plain)
	}
	// From another machine it needs the key, as other commands do.
	tunnel := nodetest.Tunnel(t, nodes[0].URL)
	if code, stdout, stderr := p.run(style{}, "--node", tunnel); code == 0 || stdout != "" || !strings.Contains(stderr, "Authorization") {
		t.Errorf("%d %q %q", code, stdout, stderr)
	}
	p.says(tunnel+"#"+token.String(), 1, `/consensus fails here`)
}

func TestTheDoctorIsOfUseWithoutANode(t *testing.T) {
	t.Parallel()
	p := newPatient(t)
	dead := "http://" + deadAddress(t)
	p.says(dead, 1, `(?m)^fail  No node answers at http://127\.0\.0\.1:\d+: nothing listens on port \d+\.\n +Try: caucus up .* caucus serve --model knn --listen 127\.0\.0\.1:\d+$`,
		`No ngrok agent runs on this machine; NGROK_AUTHTOKEN is not set`, `No node of this user has kept any state yet`, `\n1 failure\.\n$`)

	// Something else has the port.
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Server", "AirTunes/775.3.1")
		w.WriteHeader(http.StatusForbidden)
	}))
	t.Cleanup(other.Close)
	who := `AirPlay of this Mac`
	if runtime.GOOS == "linux" {
		who += `: caucus\.test, process ` + fmt.Sprint(os.Getpid())
	}
	p.says(other.URL, 1, `(?m)^fail  No node answers at \S+: something else has port \d+ \(`+who+`\)\.\n +Try: stop it, or start the node on another port`)
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { silent.Close() })
	go func() {
		for {
			c, err := silent.Accept()
			if err != nil {
				return
			}
			c.Close()
		}
	}()
	p.says("http://"+silent.Addr().String(), 1, `something has port \d+.*, but does not answer`)

	// A tunnel's agent leads elsewhere, or here.
	var tunnels string
	agent := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/api/tunnels" {
			http.NotFound(w, r)
			return
		}
		fmt.Fprint(w, tunnels)
	}))
	t.Cleanup(agent.Close)
	p.agent = agent.URL
	p.env["NGROK_AUTHTOKEN"] = "a-secret"
	tunnels = `{"tunnels":[]}`
	p.says(dead, 1, `(?m)^warn  An ngrok agent runs on this machine and has no tunnel\.\n +Try: ngrok http `+dead[strings.LastIndex(dead, ":")+1:]+`$`)
	tunnels = `{"tunnels":[{"public_url":"https://ab12.ngrok-free.app","config":{"addr":"http://localhost:80"}}]}`
	p.says(dead, 1, `(?m)^warn  An ngrok agent runs on this machine and leads elsewhere than to port \d+: https://ab12\.ngrok-free\.app -> http://localhost:80\.$`)
	tunnels = `{"tunnels":[{"public_url":"https://ab12.ngrok-free.app","config":{"addr":"` + dead + `"}}]}`
	p.says(dead, 1, `(?m)^warn  An ngrok agent leads from https://ab12\.ngrok-free\.app to port \d+, where no node is`)
	p.agent = dead
	p.says(dead, 1, `NGROK_AUTHTOKEN is set`)
	if _, stdout, stderr := p.run(style{}, "--node", dead); strings.Contains(stdout+stderr, "a-secret") {
		t.Error("the authtoken is shown")
	}

	// A node on another port, which holds its state folder.
	root := filepath.Join(p.env["HOME"], ".local", "state", "caucus")
	if runtime.GOOS != "linux" {
		p.env["XDG_STATE_HOME"] = filepath.Join(p.env["HOME"], ".local", "state")
	}
	n := nodetest.StartOne(t, 0, func(_ int, cfg *node.Config) { cfg.StateDir = filepath.Join(root, "ana") })
	p.env["CAUCUS_LISTEN"] = n.Addr()
	p.says(dead, 1, `(?m)^ok    A node, n0-knn, answers at http://localhost:\d+\.\n +Try: caucus doctor --node http://localhost:\d+$`, `A process has the state folder \S+ana open`)

	// State that no node can use, and settings with which none starts.
	if err := os.MkdirAll(filepath.Join(root, "bo"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(root, "bo", "node.key"), []byte("nonsense"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(root, "cy"), 0o700); err != nil {
		t.Fatal(err)
	}
	p.env["CAUCUS_QUORUM"] = "many"
	p.says(dead, 1, `(?m)^fail  No node can use the state folder \S+bo: .*key`, `The state of cy is there and can be used`, `(?m)^fail  With the environment as it is, no node starts: .*CAUCUS_QUORUM`)
}

func TestTheDoctorTellsWhyAnotherMachineDoesNotAnswer(t *testing.T) {
	t.Parallel()
	dns := &net.DNSError{Name: "nowhere.example", IsNotFound: true}
	for what, c := range map[string]struct {
		err  error
		says string
	}{
		"a name that is none":   {fmt.Errorf("dial: %w", dns), "There is no machine called nowhere.example"},
		"a tunnel in its words": {&api.Problem{Status: 404, Message: "the tunnel is not running (ERR_NGROK_3200)"}, "ERR_NGROK_3200"},
		"a firewall":            {fmt.Errorf("dial: %w", os.ErrDeadlineExceeded), "No node answers at https://nowhere.example"},
		"whatever else":         {errors.New("it is\x1b[31m red"), "No node answers"},
	} {
		severity, sentence, remedy := elsewhere("https://nowhere.example", c.err)
		if severity != api.SeverityFail || !strings.Contains(sentence, c.says) || remedy == "" || strings.Contains(sentence, "\x1b") || !strings.HasSuffix(sentence, ".") {
			t.Errorf("%s: %s: %q, %q", what, severity, sentence, remedy)
		}
	}
}

func TestLinesAreBrokenBetweenWords(t *testing.T) {
	t.Parallel()
	for width, want := range map[int]string{0: "one two three four five six seven", 23: "one two three four five\nsix seven", 100: "one two three four five six seven"} {
		if got := strings.Join(broken("one two three four five six seven", width), "\n"); got != want {
			t.Errorf("%d: %q", width, got)
		}
	}
	if got := broken("https://a-very-long-address-that-does-not-fit.example and more", 20); len(got) != 2 {
		t.Errorf("%q", got)
	}
	var out bytes.Buffer
	r := &doctorReport{Target: "http://x", DoctorReply: api.DoctorReply{Name: "a\x1b[31m", At: time.Now(), Findings: []api.Finding{{ID: "clock", Severity: "warn", Sentence: "bo says \x1b[2J this and that, again and again.", Remedy: "caucus forget b\x07o"}}}}
	(&app{out: &out, self: "./caucus"}).showReport(&out, r, 40)
	if strings.ContainsAny(out.String(), "\x1b\x07") || !strings.Contains(out.String(), "      Try: ./caucus forget") {
		t.Errorf("%q", out.String())
	}
}
