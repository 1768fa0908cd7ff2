package main

import (
	"bufio"
	"compress/gzip"
	"context"
	"encoding/csv"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"caucus/node/api"
)

// completionPatience is how long a press of Tab may wait for a node.
const completionPatience = 500 * time.Millisecond

func (a *app) completionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "completion bash|zsh|fish|powershell",
		Short: "Print the script that teaches a shell to complete this command",
		Long: `Print a script for your shell. Once it is loaded, Tab completes commands, flags, what a
flag can be, columns of a data file, and, when a node answers, its members, features and
labels.

  bash         caucus completion bash > ~/.local/share/bash-completion/completions/caucus
               (needs the package bash-completion)
  zsh          caucus completion zsh > "${fpath[1]}/_caucus"
  fish         caucus completion fish > ~/.config/fish/completions/caucus.fish
  powershell   caucus completion powershell | Out-String | Invoke-Expression

Start a new shell after it. For this shell alone: source <(caucus completion bash)`,
		Example: `  caucus completion bash
  source <(caucus completion zsh)`,
		Args:      arguments(1, 1, "the name of a shell: bash, zsh, fish or powershell"),
		ValidArgs: []cobra.Completion{"bash", "zsh", "fish", "powershell"},
		RunE: func(cmd *cobra.Command, args []string) error {
			root := cmd.Root()
			switch args[0] {
			case "bash":
				return root.GenBashCompletionV2(a.out, true)
			case "zsh":
				return root.GenZshCompletion(a.out)
			case "fish":
				return root.GenFishCompletion(a.out, true)
			case "powershell":
				return root.GenPowerShellCompletionWithDesc(a.out)
			}
			return usage("caucus completion bash", "there is no script for %q; there are bash, zsh, fish and powershell", args[0])
		},
	}
}

// fillCompletions gives every flag and argument that has no completion of its own one
// that fits its placeholder, so that no shell offers files where none can stand.
func fillCompletions(cmd *cobra.Command) {
	if cmd.ValidArgsFunction == nil && strings.HasSuffix(cmd.Use, ".json") {
		cmd.ValidArgsFunction = completion([]string{"*.json"})
	}
	if cmd.ValidArgsFunction == nil && len(cmd.ValidArgs) == 0 {
		cmd.ValidArgsFunction = cobra.NoFileCompletions
	}
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		if _, has := cmd.GetFlagCompletionFunc(f.Name); has || f.NoOptDefVal != "" {
			return
		}
		complete := cobra.CompletionFunc(cobra.NoFileCompletions)
		switch kind, _ := pflag.UnquoteUsage(f); {
		case f.Name == "data":
			complete = completion([]string{"*.csv", "*.gz"})
		case f.Name == "label" && cmd.Flags().Lookup("data") != nil:
			complete = completeColumns
		case kind == "DIR":
			complete = cobra.FixedCompletions(nil, cobra.ShellCompDirectiveFilterDirs)
		case strings.HasPrefix(kind, "FILE"):
			return // files are what a shell offers by itself
		case f.Name == "method":
			complete = completion([]string{"auto", "majority", "weighted", "soft", "em"})
		case f.Name == "models":
			complete = completion([]string{"knn", "randforest", "svm", "tree"})
		case f.Name == "wait":
			complete = completion([]string{"decided", "all"})
		case f.Name == "require":
			complete = completion([]string{"full"})
		case f.Name == "feedback-from":
			complete = completion([]string{"members", "self"})
		case f.Name == "param":
			complete = completeParams
		case f.Name == "node":
			complete = completion([]string{defaultNode})
		}
		_ = cmd.RegisterFlagCompletionFunc(f.Name, complete) // fails only for a flag that does not exist
	})
	for _, c := range cmd.Commands() {
		fillCompletions(c)
	}
}

// completeParams offers the settings of the model that --model names, or of all.
func completeParams(cmd *cobra.Command, _ []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
	of := map[string][]string{
		"knn": {"k="}, "randforest": {"trees="}, "svm": {"kernel=linear", "kernel=rbf", "c=", "gamma="}, "tree": {},
	}
	found, known := of[givenFlag(cmd, "model")]
	if !known {
		for _, k := range []string{"knn", "randforest", "svm"} {
			found = append(found, of[k]...)
		}
	}
	return found, cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveNoSpace
}

// givenFlag is what a flag was last given. (Cobra reads the line twice to complete it, so
// a setting has everything twice.)
func givenFlag(cmd *cobra.Command, name string) string {
	f := cmd.Flags().Lookup(name)
	if f == nil {
		return ""
	}
	if s, ok := f.Value.(*setting); ok {
		if len(s.texts) == 0 {
			return ""
		}
		return s.texts[len(s.texts)-1]
	}
	return f.Value.String()
}

// completeColumns offers the columns of the file that --data names.
func completeColumns(cmd *cobra.Command, _ []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
	path := givenFlag(cmd, "data")
	if path == "" {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	defer f.Close()
	var in io.Reader = f
	if strings.HasSuffix(strings.ToLower(path), ".gz") {
		if in, err = gzip.NewReader(f); err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
	}
	names, _ := csv.NewReader(bufio.NewReader(io.LimitReader(in, 1<<20))).Read()
	for i := range names {
		names[i] = strings.TrimSpace(strings.TrimPrefix(names[i], "\ufeff"))
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}

// fromNode makes a completion of what find gets from the node; nothing, if none answers soon.
func (r *reader) fromNode(find func(ctx context.Context, c *api.Client, args []string) []cobra.Completion, directive cobra.ShellCompDirective) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
		c, err := r.client()
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		defer c.Close()
		ctx, cancel := context.WithTimeout(cmd.Context(), completionPatience)
		defer cancel()
		return find(ctx, c, args), directive | cobra.ShellCompDirectiveNoFileComp
	}
}

// features completes name= for those that are not given yet.
func (r *reader) features() cobra.CompletionFunc {
	return r.fromNode(func(ctx context.Context, c *api.Client, args []string) (found []cobra.Completion) {
		card, err := c.Card(ctx)
		if err != nil {
			return nil
		}
		for i, name := range card.Task.Features {
			given := false
			for _, arg := range args {
				given = given || strings.HasPrefix(arg, name+"=")
			}
			if given {
				continue
			}
			text := oneLine(name) + "="
			if i < len(card.Task.Ranges) {
				text = cobra.CompletionWithDesc(text, float(card.Task.Ranges[i].Min)+" to "+float(card.Task.Ranges[i].Max))
			}
			found = append(found, text)
		}
		return found
	}, cobra.ShellCompDirectiveNoSpace)
}

// labels completes a label of the node's task.
func (r *reader) labels() cobra.CompletionFunc {
	return r.fromNode(func(ctx context.Context, c *api.Client, _ []string) (found []cobra.Completion) {
		card, err := c.Card(ctx)
		if err != nil {
			return nil
		}
		for _, l := range card.Task.Labels {
			found = append(found, oneLine(l))
		}
		return found
	}, cobra.ShellCompDirectiveDefault)
}

// members completes the names of members but for the node itself, with their state.
func (r *reader) members() cobra.CompletionFunc {
	return r.membersThat(-1, func(*api.Member) bool { return true })
}

// removable completes those that can be removed, or with *undo those that were.
func (r *reader) removable(undo *bool) cobra.CompletionFunc {
	return r.membersThat(1, func(m *api.Member) bool { return m.Removed == *undo && m.Name != "" })
}

// membersThat completes at most most names (negative: any number).
func (r *reader) membersThat(most int, fits func(*api.Member) bool) cobra.CompletionFunc {
	return r.fromNode(func(ctx context.Context, c *api.Client, args []string) (found []cobra.Completion) {
		if most >= 0 && len(args) >= most {
			return nil
		}
		reply, err := c.Members(ctx)
		if err != nil {
			return nil
		}
		for _, m := range reply.Members {
			given := m.Self || m.ID == reply.Self || !fits(&m)
			for _, arg := range args {
				given = given || arg == m.Name
			}
			if !given {
				found = append(found, cobra.CompletionWithDesc(oneLine(m.Name), m.State))
			}
		}
		return found
	}, cobra.ShellCompDirectiveDefault)
}
