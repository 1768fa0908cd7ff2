package configs

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"caucus/cluster/identity"
	"caucus/ml"
	"caucus/node"
)

// env makes an environment of its own, so that the machine's does not matter.
func env(pairs ...string) func(string) (string, bool) {
	m := map[string]string{"HOME": "/home/ana", "LocalAppData": `C:\ana`}
	for i := 0; i < len(pairs); i += 2 {
		m[pairs[i]] = pairs[i+1]
	}
	return func(k string) (string, bool) { v, ok := m[k]; return v, ok }
}

func flags(pairs ...string) map[string][]string {
	m := map[string][]string{}
	for i := 0; i < len(pairs); i += 2 {
		m[pairs[i]] = append(m[pairs[i]], pairs[i+1])
	}
	return m
}

func write(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestEachPlaceGoesBeforeTheNext(t *testing.T) {
	file := write(t, "n.yaml", "peer-timeout: 700ms\n")
	tests := []struct {
		name  string
		flags map[string][]string
		env   func(string) (string, bool)
		want  time.Duration
	}{
		{"the flag before all", flags("config", file, "peer-timeout", "2s"), env("CAUCUS_PEER_TIMEOUT", "900ms"), 2 * time.Second},
		{"the environment before the file", flags("config", file), env("CAUCUS_PEER_TIMEOUT", "900ms"), 900 * time.Millisecond},
		{"the file before the default", flags("config", file), env(), 700 * time.Millisecond},
		{"the default", nil, env(), node.DefaultConfig().PeerTimeout},
		{"an empty variable is absent", flags("config", file), env("CAUCUS_PEER_TIMEOUT", ""), 700 * time.Millisecond},
		{"the file may be named by the environment", nil, env("CAUCUS_CONFIG", file), 700 * time.Millisecond},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s, err := Load(Input{Flags: tt.flags, Env: tt.env})
			if err != nil {
				t.Fatal(err)
			}
			if s.Node.PeerTimeout != tt.want {
				t.Errorf("peer-timeout %v, want %v", s.Node.PeerTimeout, tt.want)
			}
		})
	}
}

func TestAListIsTakenWholeFromOnePlace(t *testing.T) {
	file := write(t, "n.yaml", "join:\n  - http://a:1\n  - http://b:2\n")
	tests := []struct {
		name  string
		flags map[string][]string
		env   func(string) (string, bool)
		want  string
	}{
		{"from the file", flags("config", file), env(), "http://a:1 http://b:2"},
		{"from the environment, with commas", flags("config", file), env("CAUCUS_JOIN", "c:3,d:4"), "http://c:3 http://d:4"},
		{"from the environment, with spaces", flags("config", file), env("CAUCUS_JOIN", "  c:3  d:4 "), "http://c:3 http://d:4"},
		{"from repeated flags", flags("config", file, "join", "e:5", "join", "f:6"), env("CAUCUS_JOIN", "c:3"), "http://e:5 http://f:6"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s, err := Load(Input{Flags: tt.flags, Env: tt.env})
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, inv := range s.Node.Join {
				got = append(got, inv.Address)
			}
			if strings.Join(got, " ") != tt.want {
				t.Errorf("join %q, want %q", got, tt.want)
			}
		})
	}
}

func TestEverySettingArrives(t *testing.T) {
	file := write(t, "n.yaml", `
# a comment
model: svm
data: wine.csv
label: "the cultivar"
seed: 7
holdout: 0.2
standardise: true
param: [kernel=rbf, c=10, gamma=0.5]
name: ana
listen: :6001
public-url: https://ab12.example/
join: [10.0.0.5:5001]
mdns: true
join-required: yes
new-cluster: on
open: true
profile: tunnel
quorum: 3
peer-timeout: 1s
deadline: 2s
linger: 0s
forget-after: 20m
feedback-from: self
state-dir: state
log-format: json
log-level: debug
`)
	s, err := Load(Input{Flags: flags("config", file), Env: env()})
	if err != nil {
		t.Fatal(err)
	}
	n := s.Node
	dir := filepath.Dir(file)
	checks := []struct{ name, got, want string }{
		{"model", string(n.Fit.Kind), "svm"},
		{"data starts from the file's folder", n.Data, filepath.Join(dir, "wine.csv")},
		{"label", n.Label, "the cultivar"},
		{"seed", fmt.Sprint(n.Fit.Seed), "7"},
		{"holdout", fmt.Sprint(n.Holdout), "0.2"},
		{"standardise", fmt.Sprint(n.Fit.Standardise != nil && *n.Fit.Standardise), "true"},
		{"param", fmt.Sprint(n.Fit.Kernel, n.Fit.C, n.Fit.Gamma), "rbf10 0.5"},
		{"name", n.Name, "ana"},
		{"listen", n.Listen, ":6001"},
		{"public-url", n.PublicURL, "https://ab12.example"},
		{"join", n.Join[0].Address, "http://10.0.0.5:5001"},
		{"switches", fmt.Sprint(n.MDNS, n.JoinRequired, n.NewCluster, n.Open), "true true true true"},
		{"profile", string(n.Profile), "tunnel"},
		{"quorum", fmt.Sprint(n.Quorum), "3"},
		{"times", fmt.Sprint(n.PeerTimeout, n.Deadline, n.ForgetAfter), "1s 2s 20m0s"},
		{"no linger is not the default linger", fmt.Sprint(n.Linger > 0 && n.Linger < time.Microsecond), "true"},
		{"feedback-from", n.FeedbackFrom, "self"},
		{"state-dir starts from the file's folder", n.StateDir, filepath.Join(dir, "state")},
		{"log", fmt.Sprint(s.Log.Format, s.Log.Level), "jsonDEBUG"},
	}
	for _, c := range checks {
		if c.got != c.want {
			t.Errorf("%s: %q, want %q", c.name, c.got, c.want)
		}
	}
}

func TestComplaintsNameTheirSource(t *testing.T) {
	tests := []struct {
		name  string
		file  string
		flags map[string][]string
		env   func(string) (string, bool)
		want  []string
	}{
		{"a flag", "", flags("seed", "x"), env(), []string{"flag --seed: ", `"x"`, "42"}},
		{"a variable", "", nil, env("CAUCUS_DEADLINE", "3"), []string{"environment CAUCUS_DEADLINE: ", `"3"`, "1.5s"}},
		{"a line of the file", "model: knn\n\nholdout: 30%\n", nil, env(), []string{"n.yaml:3: ", `"30%"`, "0.3"}},
		{"an unknown key with a near one", "model: knn\npeer_timeout: 1s\n", nil, env(), []string{"n.yaml:2: ", `"peer_timeout"`, `"peer-timeout"`}},
		{"an unknown key like no other", "colour: red\n", nil, env(), []string{"n.yaml:1: ", `"colour"`, "the settings are model"}},
		{"a key given twice", "seed: 1\nseed: 2\n", nil, env(), []string{"n.yaml:2: "}},
		{"a list where one value belongs", "seed: [1, 2]\n", nil, env(), []string{"n.yaml:1: ", "one value"}},
		{"a table where one value belongs", "seed:\n  a: 1\n", nil, env(), []string{"n.yaml:1: ", "plain value"}},
		{"not YAML", "model: \"knn\nseed: [\n", nil, env(), []string{"n.yaml", "not YAML"}},
		{"a list as the whole file", "- model\n", nil, env(), []string{"n.yaml:1: ", "key: value"}},
		{"two documents", "seed: 1\n---\nseed: 2\n", nil, env(), []string{"n.yaml:3: ", "second document"}},
		{"a token in the file", "token: abc\n", nil, env(), []string{"n.yaml:1: ", "CAUCUS_TOKEN"}},
		{"a switch that is neither", "", flags("open", "maybe"), env(), []string{"flag --open: ", "true nor false"}},
		{"no such model", "", nil, env("CAUCUS_MODEL", "gpt"), []string{"environment CAUCUS_MODEL: ", "knn, randforest, svm and tree"}},
		{"a setting of another model", "", flags("param", "trees=5"), env(), []string{"flag --param: ", "trees=5", "randforest", "knn"}},
		{"a parameter without value", "", flags("param", "k"), env(), []string{"flag --param: ", "k=7"}},
		{"gamma without its kernel", "", flags("model", "svm", "param", "gamma=1"), env(), []string{"flag --param: ", "kernel=rbf"}},
		{"no time at all", "", flags("deadline", "0s"), env(), []string{"flag --deadline: ", "0s"}},
		{"no port", "", flags("listen", "localhost"), env(), []string{"flag --listen: ", ":5001"}},
		{"a port too high", "", flags("listen", ":70000"), env(), []string{"flag --listen: ", "65535"}},
		{"a public URL with a path", "", flags("public-url", "https://a/b"), env(), []string{"flag --public-url: "}},
		{"a public URL that is none", "", flags("public-url", "ab12"), env(), []string{"flag --public-url: ", "https://"}},
		{"a bad name", "", flags("name", "Ana B"), env(), []string{"flag --name: "}},
		{"a bad invite", "", flags("join", "http://a:1#SECRETSECRET"), env(), []string{"flag --join: ", "http://a:1#..."}},
		{"a bad token", "", nil, env("CAUCUS_TOKEN", "SECRETSECRET"), []string{"environment CAUCUS_TOKEN: ", "12 characters", "43"}},
		{"a missing token file", "", flags("token-file", "/nowhere/token"), env(), []string{"flag --token-file: ", "/nowhere/token"}},
		{"a missing configuration", "", flags("config", "/nowhere/n.yaml"), env(), []string{"flag --config: ", "/nowhere/n.yaml"}},
		{"a folder as configuration", "", flags("config", "/"), env(), []string{"flag --config: ", "folder"}},
		{"an open door without a word", "", flags("listen", ":5001"), env(), []string{"flag --listen: ", "CAUCUS_TOKEN", "--open"}},
		{"a peer slower than the round", "", flags("peer-timeout", "5s", "deadline", "4s"), env(), []string{"flag --peer-timeout: ", "deadline"}},
		{"members forgotten at once", "seed: 1\nforget-after: 10s\n", nil, env(), []string{"n.yaml:2: ", "forget-after is 10s", "at least 1m0s"}},
		{"an invite from a variable that is not set", "", flags("join", ""), env(), []string{"flag --join: ", "empty", "leave the flag out"}},
		{"a file from a variable that is not set", "", flags("data", " "), env(), []string{"flag --data: ", "empty"}},
		{"a configuration from a variable that is not set", "", flags("config", ""), env(), []string{"flag --config: ", "empty"}},
		{"a configuration that is no such thing", "", flags("config", write(t, "rows.csv", strings.Repeat("1,2,3\n", maxFile/6+1))), env(), []string{"flag --config: ", "larger than 1024 KiB"}},
		{"mdns without a token", "", flags("mdns", "true"), env(), []string{"flag --mdns: ", "CAUCUS_TOKEN", "--open"}},
		{"nobody to join though it is required", "", flags("join-required", "true"), env(), []string{"--join ADDRESS"}},
		{"nowhere to keep the key", "", nil, env("HOME", "", "LocalAppData", ""), []string{"--state-dir"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			in := Input{Flags: tt.flags, Env: tt.env}
			if tt.file != "" {
				in.Flags = flags("config", write(t, "n.yaml", tt.file))
			}
			_, err := Load(in)
			if err == nil {
				t.Fatal("no complaint")
			}
			for _, w := range tt.want {
				if !strings.Contains(err.Error(), w) {
					t.Errorf("%q does not say %q", err, w)
				}
			}
			if strings.Contains(err.Error(), "SECRET") {
				t.Errorf("%q shows a secret", err)
			}
		})
	}
}

func TestTheTokenComesFromTheFirstPlaceThatHasOne(t *testing.T) {
	a, b, c := token(t), token(t), token(t)
	fileA := write(t, "a", a.String()+"\n")
	stateWith := func(tok *identity.Token) string {
		dir := t.TempDir()
		if tok != nil {
			if err := node.KeepToken(dir, *tok); err != nil {
				t.Fatal(err)
			}
		}
		return dir
	}
	tests := []struct {
		name   string
		flags  map[string][]string
		env    func(string) (string, bool)
		state  *identity.Token
		want   *identity.Token
		source string
	}{
		{"none", nil, env(), nil, nil, ""},
		{"a file by flag goes before the environment", flags("token-file", fileA), env("CAUCUS_TOKEN", b.String()), nil, &a, "file " + fileA},
		{"the environment's token before its file", nil, env("CAUCUS_TOKEN", b.String(), "CAUCUS_TOKEN_FILE", fileA), nil, &b, "environment CAUCUS_TOKEN"},
		{"the environment's file", nil, env("CAUCUS_TOKEN_FILE", fileA), nil, &a, "file " + fileA},
		{"an invite pasted as a token", nil, env("CAUCUS_TOKEN", "https://x#"+b.String()), nil, &b, "environment CAUCUS_TOKEN"},
		{"an invite's", flags("join", "http://x:1#"+c.String()), env(), nil, &c, "flag --join"},
		{"an invite's before the kept one", flags("join", "http://x:1#"+c.String()), env(), &a, &c, "flag --join"},
		{"the kept one", nil, env(), &a, &a, ""},
		{"an invite's that is the same", flags("join", "http://x:1#"+b.String()), env("CAUCUS_TOKEN", b.String()), nil, &b, "environment CAUCUS_TOKEN"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := flags("state-dir", stateWith(tt.state))
			for k, v := range tt.flags {
				f[k] = v
			}
			s, err := Load(Input{Flags: f, Env: tt.env})
			if err != nil {
				t.Fatal(err)
			}
			switch got := s.Node.Token; {
			case tt.want == nil && got != nil:
				t.Error("a token from nowhere")
			case tt.want != nil && (got == nil || *got != *tt.want):
				t.Error("another token")
			}
			if tt.source != "" && s.TokenSource != tt.source {
				t.Errorf("source %q, want %q", s.TokenSource, tt.source)
			}
		})
	}
	t.Run("two that differ are refused without being shown", func(t *testing.T) {
		_, err := Load(Input{Flags: flags("join", "http://x:1#"+c.String()), Env: env("CAUCUS_TOKEN", b.String())})
		var ce *Error
		if !errors.As(err, &ce) || ce.Source != "flag --join" {
			t.Fatalf("got %v", err)
		}
		if strings.Contains(err.Error(), b.String()) || strings.Contains(err.Error(), c.String()) {
			t.Errorf("%q shows a token", err)
		}
	})
}

func token(t *testing.T) identity.Token {
	t.Helper()
	tok, err := identity.NewToken()
	if err != nil {
		t.Fatal(err)
	}
	return tok
}

func TestAPublicNodeMakesItsTokenOnce(t *testing.T) {
	dir := t.TempDir()
	load := func() Settings {
		t.Helper()
		s, err := Load(Input{Flags: flags("public-url", "https://ab12.example", "state-dir", dir), Env: env()})
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	first := load()
	if made, err := first.EnsureToken(); err != nil || !made || first.Node.Token == nil {
		t.Fatalf("made %v, %v", made, err)
	}
	info, err := os.Stat(filepath.Join(dir, "token"))
	if err != nil {
		t.Fatal(err)
	}
	if runtime.GOOS != "windows" && info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, want 0600", info.Mode())
	}
	second := load()
	if made, err := second.EnsureToken(); err != nil || made {
		t.Errorf("made another: %v, %v", made, err)
	}
	if *second.Node.Token != *first.Node.Token {
		t.Error("a restart changed the token")
	}

	if runtime.GOOS != "windows" {
		if err := os.Chmod(filepath.Join(dir, "token"), 0o644); err != nil {
			t.Fatal(err)
		}
		_, err := Load(Input{Flags: flags("state-dir", dir), Env: env()})
		if err == nil || !strings.Contains(err.Error(), "chmod 600") {
			t.Errorf("a token that others can read: %v", err)
		}
	}
}

func TestAPrivateOrOpenNodeMakesNoToken(t *testing.T) {
	for name, f := range map[string]map[string][]string{
		"private": flags("state-dir", t.TempDir()),
		"open":    flags("state-dir", t.TempDir(), "public-url", "https://ab12.example", "open", "true"),
	} {
		s, err := Load(Input{Flags: f, Env: env()})
		if err != nil {
			t.Fatal(err)
		}
		if made, err := s.EnsureToken(); made || err != nil || s.Node.Token != nil {
			t.Errorf("%s: made %v, %v", name, made, err)
		}
	}
}

func TestOneOfTwoTimesMayBeSetAlone(t *testing.T) {
	s, err := Load(Input{Flags: flags("deadline", "500ms"), Env: env()})
	if err != nil || s.Node.PeerTimeout != 500*time.Millisecond {
		t.Errorf("peer-timeout %v, %v", s.Node.PeerTimeout, err)
	}
	s, err = Load(Input{Flags: flags("peer-timeout", "10s"), Env: env()})
	if err != nil || s.Node.Deadline != 10*time.Second {
		t.Errorf("deadline %v, %v", s.Node.Deadline, err)
	}
}

func TestAPublicNodeMayListenEverywhere(t *testing.T) {
	if _, err := Load(Input{Flags: flags("listen", ":5001", "public-url", "https://ab12.example"), Env: env()}); err != nil {
		t.Error(err)
	}
}

func TestListenLooksAtNothingElse(t *testing.T) {
	file := write(t, "n.yaml", "listen: 0.0.0.0:5002\n")
	if got, err := Listen(env("CAUCUS_CONFIG", file, "CAUCUS_SEED", "nonsense")); err != nil || got != "0.0.0.0:5002" {
		t.Errorf("%q, %v", got, err)
	}
	if got, err := Listen(env()); err != nil || got != "127.0.0.1:5001" {
		t.Errorf("%q, %v", got, err)
	}
}

func TestStateDir(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("the wanted paths are written for Unix")
	}
	tests := []struct {
		name, goos string
		env        func(string) (string, bool)
		want       string
	}{
		{"the specification's variable", "linux", env("XDG_STATE_HOME", "/x"), "/x/caucus/knn"},
		{"a relative one is ignored", "linux", env("XDG_STATE_HOME", "x"), "/home/ana/.local/state/caucus/knn"},
		{"its default", "linux", env(), "/home/ana/.local/state/caucus/knn"},
		{"macOS", "darwin", env(), "/home/ana/Library/Application Support/caucus/knn"},
		{"Windows", "windows", env("LocalAppData", "/local"), "/local/caucus/knn"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got, err := stateDir(tt.goos, "knn", tt.env); err != nil || got != tt.want {
				t.Errorf("%q, %v, want %q", got, err, tt.want)
			}
		})
	}
	t.Run("by the node's name, which is by default its model's", func(t *testing.T) {
		s, err := Load(Input{Flags: flags("model", "tree"), Env: env()})
		if err != nil || s.Node.Name != "tree" || filepath.Base(s.Node.StateDir) != "tree" {
			t.Errorf("%q %q %v", s.Node.Name, s.Node.StateDir, err)
		}
	})
	t.Run("none keeps nothing", func(t *testing.T) {
		s, err := Load(Input{Flags: flags("state-dir", "none"), Env: env()})
		if err != nil || s.Node.StateDir != "" {
			t.Errorf("%q %v", s.Node.StateDir, err)
		}
	})
}

func TestOnlyTheOptionsAskedForAreRead(t *testing.T) {
	s, err := Load(Input{
		Options:  Pick("seed", "log-level"),
		Env:      env("CAUCUS_SEED", "9", "CAUCUS_LISTEN", "nonsense"),
		Defaults: map[string]string{"log-level": "warn"},
	})
	if err != nil || s.Node.Fit.Seed != 9 || s.Log.Level != slog.LevelWarn {
		t.Errorf("%+v, %v", s, err)
	}
}

func TestTheFilesThatComposeUses(t *testing.T) {
	for name, listen := range map[ml.Kind]string{ml.KNN: "0.0.0.0:5001", ml.Forest: "0.0.0.0:5000", ml.SVM: "0.0.0.0:5002"} {
		s, err := Load(Input{Flags: flags("config", string(name)+".yaml"), Env: env("CAUCUS_TOKEN", "", "CAUCUS_JOIN", "")})
		if err != nil {
			t.Fatal(err)
		}
		if s.Node.Fit.Kind != name || s.Node.Name != string(name) || s.Node.Listen != listen || len(s.Node.Join) != 3 || !s.Node.Open {
			t.Errorf("%s: %+v", name, s.Node)
		}
	}
}

// The defaults that help shows must be those that a node has.
func TestHelpTellsTheTruthAboutDefaults(t *testing.T) {
	d := node.DefaultConfig()
	truth := map[string]string{
		"model": string(d.Fit.Kind), "holdout": fmt.Sprint(d.Holdout), "listen": d.Listen, "seed": fmt.Sprint(d.Fit.Seed),
	}
	durations := map[string]time.Duration{
		"peer-timeout": d.PeerTimeout, "deadline": d.Deadline, "linger": d.Linger, "forget-after": d.ForgetAfter,
	}
	for _, o := range Options() {
		if want, ok := truth[o.Name]; ok && o.Default != want {
			t.Errorf("--%s: help says %q, the node has %q", o.Name, o.Default, want)
		}
		if want, ok := durations[o.Name]; ok {
			if got, err := time.ParseDuration(o.Default); err != nil || got != want {
				t.Errorf("--%s: help says %q, the node has %v", o.Name, o.Default, want)
			}
		}
	}
}
