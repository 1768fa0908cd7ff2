package main

import (
	"bytes"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"caucus/configs"
)

//go:generate go test . -run TestTheDocumentOfTheCommandsIsCurrent -update

var update = flag.Bool("update", false, "write docs/cli.md anew")

func commandTree() *cobra.Command {
	cobra.EnableCommandSorting = false // as main does
	a := &app{in: strings.NewReader(""), out: io.Discard, err: io.Discard, env: func(string) (string, bool) { return "", false }, self: "caucus"}
	return a.root()
}

func TestTheDocumentOfTheCommandsIsCurrent(t *testing.T) {
	const path = "../../docs/cli.md"
	want := document(commandTree())
	if *update {
		if err := os.WriteFile(path, want, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("docs/cli.md is not what the commands say of themselves; run: go generate ./cmd/caucus")
	}
}

func TestEveryCommandExplainsItself(t *testing.T) {
	for _, c := range subcommands(commandTree()) {
		if c.Short == "" || strings.HasSuffix(c.Short, ".") {
			t.Errorf("%s: its line is %q", c.Name(), c.Short)
		}
		if c.Name() != "version" && (c.Long == "" || c.Example == "") {
			t.Errorf("%s has no explanation or no example", c.Name())
		}
		for _, l := range strings.Split(c.Long+"\n"+c.Example, "\n") {
			if len(l) > 120 {
				t.Errorf("%s: a line of %d characters does not fit a terminal: %s", c.Name(), len(l), l)
			}
		}
		c.Flags().VisitAll(func(f *pflag.Flag) {
			if f.Usage == "" {
				t.Errorf("%s --%s is not explained", c.Name(), f.Name)
			}
		})
	}
}

func subcommands(root *cobra.Command) (all []*cobra.Command) {
	for _, c := range root.Commands() {
		if c.Name() != "help" && !c.Hidden {
			all = append(all, c)
		}
	}
	return all
}

// document writes all commands as one page of Markdown.
func document(root *cobra.Command) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "# The command line\n\n<!-- Made from the commands by `go generate ./cmd/caucus`. Do not edit: a test compares. -->\n\n%s\n\n", root.Long)
	fmt.Fprint(&b, `Data goes to standard output, talk to standard error. Colour is only for terminals, and `+"`NO_COLOR=1`"+` turns it off. An error is one sentence, and below it what to do.

| exit code | |
| --- | --- |
| 0 | fine; also a node that was stopped by Ctrl-C or SIGTERM |
| 1 | something failed |
| 2 | the command was called wrongly, or a setting is wrong |
| 3 | there is no answer, because too few members voted |
| 4 | nobody could be joined (`+"`--join-required`"+`) |
| 130 | interrupted |

`+"`healthcheck`"+` knows only 0 and 1.

`)
	fmt.Fprintf(&b, "| | |\n| --- | --- |\n")
	for _, g := range append(root.Groups(), &cobra.Group{Title: "Others"}) {
		fmt.Fprintf(&b, "| %s | ", strings.TrimSuffix(g.Title, ":"))
		var names []string
		for _, c := range subcommands(root) {
			if c.GroupID == g.ID {
				names = append(names, fmt.Sprintf("[%s](#%s)", c.Name(), anchor(c)))
			}
		}
		fmt.Fprintf(&b, "%s |\n", strings.Join(names, ", "))
	}
	for _, c := range subcommands(root) {
		documentCommand(&b, c)
	}
	return append(bytes.TrimSpace(b.Bytes()), '\n')
}

func anchor(c *cobra.Command) string { return "caucus-" + c.Name() }

func documentCommand(b *bytes.Buffer, c *cobra.Command) {
	fmt.Fprintf(b, "\n## caucus %s\n\n%s.\n\n", c.Name(), c.Short)
	use := c.UseLine()
	if c.HasAvailableFlags() && !strings.HasSuffix(use, "[flags]") {
		use += " [flags]"
	}
	fmt.Fprintf(b, "    %s\n\n", use)
	if c.Long != "" {
		fmt.Fprintf(b, "%s\n\n", paragraphs(c.Long))
	}
	if c.Example != "" {
		fmt.Fprintf(b, "```\n%s\n```\n", unindent(c.Example))
	}
	var rows []string
	c.LocalFlags().VisitAll(func(f *pflag.Flag) {
		if f.Hidden || f.Name == "help" {
			return
		}
		kind, help := pflag.UnquoteUsage(f)
		name := "--" + f.Name
		if kind != "" && kind != "bool" {
			name += " " + kind
		}
		env := ""
		if s, ok := f.Value.(*setting); ok && s != nil {
			env = "`" + configs.Option{Name: f.Name}.Env() + "`"
		}
		rows = append(rows, fmt.Sprintf("| `%s` | %s | %s |", strings.ReplaceAll(name, "|", `\|`), strings.ReplaceAll(help, "|", `\|`), env))
	})
	if len(rows) > 0 {
		fmt.Fprintf(b, "\n| flag | what | environment |\n| --- | --- | --- |\n%s\n", strings.Join(rows, "\n"))
	}
}

// paragraphs sets indented blocks apart as code.
func paragraphs(text string) string {
	blocks := strings.Split(strings.TrimSpace(text), "\n\n")
	for i, block := range blocks {
		if strings.HasPrefix(block, "  ") {
			blocks[i] = "```\n" + unindent(block) + "\n```"
		}
	}
	return strings.Join(blocks, "\n\n")
}

func unindent(text string) string {
	lines := strings.Split(text, "\n")
	for i := range lines {
		lines[i] = strings.TrimPrefix(lines[i], "  ")
	}
	return strings.Join(lines, "\n")
}
