// Package configs turns what a person wrote into node.Config. A setting is looked
// for in this order, and the first place that has it wins:
//
//  1. the command line: --peer-timeout 2s
//  2. the environment: CAUCUS_PEER_TIMEOUT=2s (an empty variable counts as absent)
//  3. the file named by --config or CAUCUS_CONFIG: peer-timeout: 2s
//  4. the default
//
// Settings that are lists (join, param) are taken whole from one place, never merged.
// Every complaint says where the value came from and what to write instead. The
// cluster's token comes from CAUCUS_TOKEN, a file or an invite, never from a flag's
// value, because other users of a machine can read command lines.
package configs

import (
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"slices"
	"strings"

	"caucus/cluster/identity"
	"caucus/node"
)

// Settings is all that a command needs to run a node.
type Settings struct {
	Node        node.Config
	Log         Logging
	TunnelURL   string // of a tunnel to this node that was found running, if any
	TokenSource string // where the token came from, for people; empty if there is none
}

// Logging says how the log is written.
type Logging struct {
	Format string // text or json
	Level  slog.Level
}

// Input is where settings are looked for.
type Input struct {
	// Options are the settings to look for; others are neither read from the
	// environment nor accepted in the file. nil means all.
	Options []Option
	// Flags are those that were given on the command line, by name.
	Flags map[string][]string
	// Env looks up an environment variable; nil means os.LookupEnv.
	Env func(string) (string, bool)
	// Defaults are used where nobody says anything, in place of node.DefaultConfig's.
	Defaults map[string]string
}

// Error is a complaint about one setting.
type Error struct {
	Source string // "flag --seed", "environment CAUCUS_SEED", "file knn.yaml:12"
	Err    error
}

func (e *Error) Error() string { return e.Source + ": " + e.Err.Error() }
func (e *Error) Unwrap() error { return e.Err }

// value is a setting as it was found.
type value struct {
	texts  []string
	source string
	base   string // folder that relative paths start from; empty: the working directory
}

// Load gathers the settings and checks them. Its errors are *Error where one
// setting is to blame.
func Load(in Input) (Settings, error) {
	if in.Env == nil {
		in.Env = os.LookupEnv
	}
	if in.Options == nil {
		in.Options = Options()
	}
	found, err := gather(in)
	if err != nil {
		return Settings{}, err
	}
	b := &builder{
		Settings: Settings{Node: node.DefaultConfig(), Log: Logging{Format: "text", Level: slog.LevelInfo}},
		found:    found,
		env:      in.Env,
	}
	for _, o := range in.Options {
		v, ok := found[o.Name]
		if !ok {
			if text, is := in.Defaults[o.Name]; is {
				v, ok = value{texts: []string{text}, source: "default of " + o.Name}, true
			}
		}
		if !ok {
			continue
		}
		if err := o.set(b, v); err != nil {
			return Settings{}, &Error{Source: v.source, Err: err}
		}
	}
	if err := b.finish(in.Options); err != nil {
		return Settings{}, err
	}
	if err := b.validate(); err != nil {
		return Settings{}, err
	}
	return b.Settings, nil
}

// validate asks the node what it thinks of the whole, and adds where the setting that
// it complains of came from.
func (b *builder) validate() error {
	cfg := b.Node
	if cfg.Token == nil && (cfg.PublicURL != "" || cfg.Ngrok) {
		cfg.Token = &identity.Token{} // EnsureToken will make one
	}
	err := cfg.Validate()
	if err == nil {
		return nil
	}
	sentence := strings.ReplaceAll(strings.ToLower(err.Error()), "-", " ")
	source := "settings"
	for _, o := range Options() {
		v, ok := b.found[o.Name]
		if ok && strings.HasPrefix(sentence, strings.ReplaceAll(o.Name, "-", " ")+" ") {
			source = v.source
		}
	}
	return &Error{Source: source, Err: err}
}

// Listen returns where the environment, or the file that it names, tells a node to
// listen. It looks at no other setting, so that a health check does not stumble over them.
func Listen(env func(string) (string, bool)) (string, error) {
	in := Input{Options: Options(), Env: env}
	found, err := gather(in)
	if err != nil {
		return "", err
	}
	b := &builder{Settings: Settings{Node: node.DefaultConfig()}}
	if v, ok := found["listen"]; ok {
		if err := setListen(b, v); err != nil {
			return "", &Error{Source: v.source, Err: err}
		}
	}
	return b.Node.Listen, nil
}

// gather finds each setting at the first place that has it.
func gather(in Input) (map[string]value, error) {
	// A flag with nothing in it is most often a shell's variable that is not set, as in
	// --join "$INVITE": to begin a cluster of one's own in silence is the last thing wanted.
	for _, name := range slices.Sorted(maps.Keys(in.Flags)) {
		if strings.TrimSpace(strings.Join(in.Flags[name], "")) == "" {
			return nil, &Error{Source: "flag --" + name, Err: errors.New("its value is empty; give one, or leave the flag out")}
		}
	}
	var file map[string]value
	if path, source := configPath(in); path != "" {
		var err error
		if file, err = readFile(path, source, in.Options); err != nil {
			return nil, err
		}
	}
	found := make(map[string]value, len(in.Options))
	for _, o := range in.Options {
		if texts, ok := in.Flags[o.Name]; ok {
			found[o.Name] = value{texts: o.split(texts), source: "flag --" + o.Name}
			continue
		}
		if text, ok := in.Env(o.Env()); ok && text != "" {
			found[o.Name] = value{texts: o.split([]string{text}), source: "environment " + o.Env()}
			continue
		}
		if v, ok := file[o.Name]; ok {
			found[o.Name] = v
		}
	}
	return found, nil
}

// configPath says which file to read, if any, and who asked for it.
func configPath(in Input) (path, source string) {
	if v := in.Flags[ConfigFlag]; len(v) > 0 {
		return v[len(v)-1], "flag --" + ConfigFlag
	}
	name := envName(ConfigFlag)
	if v, ok := in.Env(name); ok && v != "" {
		return v, "environment " + name
	}
	return "", ""
}

// builder fills Settings and remembers where each came from, for complaints
// that need two of them.
type builder struct {
	Settings
	found  map[string]value
	env    func(string) (string, bool)
	params map[string]string
	memory bool // state-dir: none

	modelFile string // a stored model
}

// source says where a setting came from.
func (b *builder) source(name string) string {
	if v, ok := b.found[name]; ok {
		return v.source
	}
	return "default of " + name
}

// finish does what needs more than one setting.
func (b *builder) finish(options []Option) error {
	if err := b.loadModel(); err != nil {
		return err
	}
	if err := b.checkUpstream(); err != nil {
		return err
	}
	if err := b.checkParams(); err != nil {
		return err
	}
	if b.Node.Name == "" {
		b.Node.Name = string(b.Node.Fit.Kind)
		if b.Node.Upstream != "" {
			b.Node.Name = "upstream"
		}
	}
	b.alignTimes()
	if b.Node.Ngrok {
		b.Node.NgrokToken, _ = b.env("NGROK_AUTHTOKEN")
	}
	if b.Node.StateDir == "" && !b.memory && has(options, "state-dir") {
		dir, err := StateDir(b.Node.Name, b.env)
		if err != nil {
			return err
		}
		b.Node.StateDir = dir
	}
	if has(options, "token-file") {
		return b.findToken()
	}
	return nil
}

// alignTimes lets a person set one of the two times without the other's default
// getting in the way: nobody may take longer than the whole round.
func (b *builder) alignTimes() {
	_, peer := b.found["peer-timeout"]
	_, whole := b.found["deadline"]
	switch {
	case whole && !peer:
		b.Node.PeerTimeout = min(b.Node.PeerTimeout, b.Node.Deadline)
	case peer && !whole:
		b.Node.Deadline = max(b.Node.Deadline, b.Node.PeerTimeout)
	}
}

// findToken takes the cluster's token from the first place that has one: the file
// named on the command line, CAUCUS_TOKEN, the file named elsewhere, an invite, or
// the one that this node made earlier and keeps in its state folder.
func (b *builder) findToken() error {
	tok, source, err := findToken(b.found["token-file"], b.env)
	if err != nil {
		return err
	}
	for _, inv := range b.Node.Join {
		switch {
		case inv.Token == nil:
		case tok == nil:
			tok, source = inv.Token, b.source("join")
		case *tok != *inv.Token:
			return &Error{Source: b.source("join"), Err: fmt.Errorf(
				"the token after # in the invite to %s is another than that of %s, and a node has one cluster; take one of the two away",
				inv.Address, source)}
		}
	}
	if tok == nil && b.Node.StateDir != "" {
		if tok, err = readStoredToken(b.Node.StateDir); err != nil {
			return err
		}
		source = "file " + node.TokenPath(b.Node.StateDir)
	}
	if tok != nil {
		b.Node.Token, b.TokenSource = tok, source
	}
	return nil
}

// EnsureToken makes a token for a node that has or gets a public URL and none yet, and
// keeps it in the state folder, so that a restart stays in the same cluster. It
// reports whether it made one. Who says --open wants none.
func (s *Settings) EnsureToken() (made bool, err error) {
	if s.Node.Token != nil || s.Node.PublicURL == "" && !s.Node.Ngrok && s.TunnelURL == "" || s.Node.Open {
		return false, nil
	}
	tok, err := identity.NewToken()
	if err != nil {
		return false, fmt.Errorf("make a token: %w", err)
	}
	if s.Node.StateDir != "" {
		if err := node.KeepToken(s.Node.StateDir, tok); err != nil {
			return false, err
		}
		s.TokenSource = "file " + node.TokenPath(s.Node.StateDir)
	} else {
		s.TokenSource = "made at this start"
	}
	s.Node.Token = &tok
	return true, nil
}
