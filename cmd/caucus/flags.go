package main

import (
	"strings"

	"github.com/spf13/cobra"

	"caucus/configs"
)

// setting is a flag of a node's settings. It keeps the text: configs reads it, so
// that flags, environment and file go by the same rules and complaints.
type setting struct {
	kind  string // shown in help for the value
	texts []string
}

func (s *setting) String() string { return strings.Join(s.texts, ",") }
func (s *setting) Type() string   { return s.kind }
func (s *setting) Set(text string) error {
	s.texts = append(s.texts, text)
	return nil
}

// settings are the flags of a command that runs nodes.
type settings struct {
	options []configs.Option
	flags   map[string]*setting
}

// addSettings gives a command a flag for each option, and --config.
func addSettings(cmd *cobra.Command, options []configs.Option) *settings {
	cmd.Flags().SortFlags = false // what belongs together stands together
	s := &settings{options: options, flags: map[string]*setting{}}
	add := func(name, kind, help string, choices ...string) {
		v := &setting{kind: kind}
		cmd.Flags().Var(v, name, help)
		s.flags[name] = v
		if len(choices) > 0 {
			_ = cmd.RegisterFlagCompletionFunc(name, completion(choices)) // fails only for a flag that does not exist
		}
	}
	add(configs.ConfigFlag, "FILE.yaml", "file with settings, one a line, as in peer-timeout: 2s", "*.yaml", "*.yml")
	for _, o := range options {
		help, kind := o.Usage, o.Value
		if o.Default != "" {
			help += " (default: " + o.Default + ")"
		}
		if o.Switch {
			kind = "bool"
		}
		add(o.Name, kind, help, o.Choices...)
		if o.Switch {
			cmd.Flags().Lookup(o.Name).NoOptDefVal = "true"
		}
	}
	return s
}

// completion offers a fixed choice, or files by their endings.
func completion(choices []string) cobra.CompletionFunc {
	if len(choices) > 0 && strings.HasPrefix(choices[0], "*.") {
		endings := make([]string, len(choices))
		for i, c := range choices {
			endings[i] = strings.TrimPrefix(c, "*.")
		}
		return cobra.FixedCompletions(endings, cobra.ShellCompDirectiveFilterFileExt)
	}
	return cobra.FixedCompletions(choices, cobra.ShellCompDirectiveNoFileComp)
}

// given returns what stands on the command line.
func (s *settings) given() map[string][]string {
	found := map[string][]string{}
	for name, v := range s.flags {
		if len(v.texts) > 0 {
			found[name] = v.texts
		}
	}
	return found
}

// load gathers flags, environment, file and defaults.
func (s *settings) load(a *app, defaults map[string]string) (configs.Settings, error) {
	return configs.Load(configs.Input{Options: s.options, Flags: s.given(), Env: a.env, Defaults: defaults})
}
