//go:build unix

package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// offered are the completions of a command line whose last word is being typed. Like the
// shells, it leaves out those that the word does not begin.
func offered(t *testing.T, words ...string) (found []string, directive string) {
	t.Helper()
	code, stdout, stderr := caucus(t, "", append([]string{"__complete"}, words...)...)
	if code != 0 {
		t.Fatalf("%v: exit code %d\n%s", words, code, stderr)
	}
	lines := strings.Split(strings.TrimSpace(stdout), "\n")
	directive = lines[len(lines)-1]
	for _, l := range lines[:len(lines)-1] {
		l, _, _ = strings.Cut(l, "\t") // the rest is an explanation
		if strings.HasPrefix(l, words[len(words)-1]) || directive == ":8" {
			found = append(found, l)
		}
	}
	return found, directive
}

// What cobra's scripts are told: 4 no files, 8 files by ending, 16 folders, 2 no blank after it.
func TestTabOffersWhatCanStandThere(t *testing.T) {
	data := zipped(t, irisFile(t))
	for _, c := range []struct {
		name      string
		words     []string
		want      string // with blanks between
		directive string
	}{
		{"commands", []string{"tr"}, "train", ":4"},
		{"no files where no argument stands", []string{"members", ""}, "", ":4"},
		{"kinds of model", []string{"serve", "--model", ""}, "knn randforest svm tree", ":4"},
		{"profiles", []string{"serve", "--profile", ""}, "lan tunnel", ":4"},
		{"levels", []string{"up", "--log-level", "w"}, "warn", ":4"},
		{"methods", []string{"consensus", "--method", ""}, "auto majority weighted soft em", ":4"},
		{"when to answer", []string{"consensus", "--wait", ""}, "decided all", ":4"},
		{"settings of the model that is named", []string{"train", "--model", "svm", "--param", ""}, "kernel=linear kernel=rbf c= gamma=", ":6"},
		{"settings of any model", []string{"train", "--param", "k"}, "k= kernel=linear kernel=rbf", ":6"},
		{"data files", []string{"train", "--data", ""}, "csv gz", ":8"},
		{"model files", []string{"serve", "--model-file", ""}, "model", ":8"},
		{"model files to ask", []string{"predict", "--model-file", ""}, "model", ":8"},
		{"columns of the data", []string{"train", "--data", data, "--label", ""}, "sepal_length sepal_width petal_length petal_width species", ":4"},
		{"no columns without data", []string{"train", "--label", ""}, "", ":4"},
		{"folders", []string{"invite", "--state-dir", ""}, "", ":16"},
		{"any file", []string{"serve", "--token-file", ""}, "", ":0"},
		{"nothing for a number", []string{"serve", "--seed", ""}, "", ":4"},
		{"receipts", []string{"verify", ""}, "json", ":8"},
		{"shells", []string{"completion", ""}, "bash zsh fish powershell", ":4"},
		{"no members where no node is", []string{"forget", "--node", "http://" + deadAddress(t), ""}, "", ":4"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			found, directive := offered(t, c.words...)
			if strings.Join(found, " ") != c.want || directive != c.directive {
				t.Errorf("%q %s, want %q %s", found, directive, c.want, c.directive)
			}
		})
	}
}

func TestTabAsksTheNode(t *testing.T) {
	address := trioForTest(t)[0]
	for _, c := range []struct {
		name  string
		words []string
		want  []string
	}{
		{"features that are not given yet", []string{"consensus", "sepal_length=5.1", ""}, []string{"petal_length=", "petal_width=", "sepal_width="}},
		{"labels", []string{"feedback", "--label", "v"}, []string{"versicolor", "virginica"}},
		{"the other members", []string{"forget", ""}, []string{"randforest", "svm"}},
		{"but those that are named", []string{"forget", "svm", ""}, []string{"randforest"}},
		{"whom to remove", []string{"remove", ""}, []string{"randforest", "svm"}},
		{"and only one of them", []string{"remove", "svm", ""}, nil},
		{"nobody to take back", []string{"remove", "--undo", ""}, nil},
	} {
		words := slices.Insert(slices.Clone(c.words), 1, "--node", address)
		found, _ := offered(t, words...)
		slices.Sort(found)
		if !slices.Equal(found, c.want) {
			t.Errorf("%s: %q, want %q", c.name, found, c.want)
		}
	}
}

// Bash is asked as bash asks: the script is loaded, and its function called.
func TestBashCompletes(t *testing.T) {
	// What the package bash-completion has for it, cut down to words without = and :.
	const script = `
_get_comp_words_by_ref() { words=("${COMP_WORDS[@]}"); cword=$COMP_CWORD; cur="${COMP_WORDS[COMP_CWORD]}"; prev="${COMP_WORDS[COMP_CWORD-1]}"; }
__ltrim_colon_completions() { :; }
source <(caucus completion bash)
complete -p caucus
COMP_WORDS=(caucus serve --model r) COMP_CWORD=3 COMP_LINE="caucus serve --model r" COMP_POINT=22 COMP_TYPE=9
__start_caucus
printf '%s\n' "${COMPREPLY[@]}"
`
	cmd := exec.Command("bash", "-c", script)
	cmd.Env = append(cmd.Environ(), environment(t)...)
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "__start_caucus caucus\n") || !strings.HasSuffix(strings.TrimSpace(string(out)), "\nrandforest") {
		t.Errorf("%v\n%s", err, out)
	}
}

// Fish can be asked what it would offer; zsh shows it only to a person at a terminal.
func TestFishCompletes(t *testing.T) {
	if _, err := exec.LookPath("fish"); err != nil {
		t.Skip("fish is not installed")
	}
	cmd := exec.Command("fish", "-c", `caucus completion fish | source; complete -C "caucus serve --model r"; complete -C "caucus tr"`)
	cmd.Env = append(cmd.Environ(), environment(t)...)
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.HasPrefix(string(out), "randforest\ntrain\t") {
		t.Errorf("%v\n%s", err, out)
	}
}

// Zsh loads the script and takes its function for the command.
func TestZshTakesTheScript(t *testing.T) {
	if _, err := exec.LookPath("zsh"); err != nil {
		t.Skip("zsh is not installed")
	}
	cmd := exec.Command("zsh", "-f", "-c", `autoload -U compinit; compinit -D -u; source <(caucus completion zsh); print -r -- $_comps[caucus] $+functions[_caucus]`)
	cmd.Env = append(cmd.Environ(), environment(t)...)
	out, err := cmd.CombinedOutput()
	if err != nil || strings.TrimSpace(string(out)) != "_caucus 1" {
		t.Errorf("%v\n%s", err, out)
	}
}

// Other shells check that the script is one of theirs, where they are installed.
func TestShellsReadTheirScripts(t *testing.T) {
	for _, shell := range []string{"bash", "zsh", "fish"} {
		code, script, stderr := caucus(t, "", "completion", shell)
		if code != 0 || !strings.Contains(script, "caucus") {
			t.Errorf("%s: %d %s", shell, code, stderr)
		}
		if _, err := exec.LookPath(shell); err != nil {
			t.Logf("%s is not installed; its script was not read", shell)
			continue
		}
		path := filepath.Join(t.TempDir(), "script")
		if err := os.WriteFile(path, []byte(script), 0o600); err != nil {
			t.Fatal(err)
		}
		if out, err := exec.Command(shell, "-n", path).CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", shell, err, out)
		}
	}
	if code, _, stderr := caucus(t, "", "completion", "tcsh"); code != exitUsage || !strings.Contains(stderr, "there are bash, zsh, fish and powershell") {
		t.Errorf("tcsh: %d %s", code, stderr)
	}
}
