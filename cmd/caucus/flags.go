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
	add := func(name, kind, help string) *setting {
		v := &setting{kind: kind}
		cmd.Flags().Var(v, name, help)
		s.flags[name] = v
		return v
	}
	add(configs.ConfigFlag, "FILE.yaml", "file with settings, one a line, as in peer-timeout: 2s")
	for _, o := range options {
		help := o.Usage
		if o.Default != "" {
			help += " (default: " + o.Default + ")"
		}
		if o.Switch {
			add(o.Name, "bool", help)
			cmd.Flags().Lookup(o.Name).NoOptDefVal = "true"
			continue
		}
		add(o.Name, o.Value, help)
	}
	return s
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
