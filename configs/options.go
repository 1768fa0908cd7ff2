package configs

import (
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net"
	"net/url"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"caucus/cluster"
	"caucus/cluster/identity"
	"caucus/ml"
)

// ConfigFlag is the one setting that a file cannot hold: which file to read.
const ConfigFlag = "config"

// Option is one setting, as a flag, an environment variable and a key of the file.
type Option struct {
	Name    string // kebab-case, of the flag and in the file
	Value   string // stands for the value in help; empty for a switch
	Default string // in words for help; empty: none
	Usage   string
	List    bool     // may be given several times, or with commas or spaces between
	Switch  bool     // true or false; a flag without a value is true
	Choices []string // all that it can be, or the endings of files that it can name ("*.csv")
	set     func(b *builder, v value) error
}

// Env returns the name of the option's environment variable.
func (o Option) Env() string { return envName(o.Name) }

func envName(name string) string {
	return "CAUCUS_" + strings.ToUpper(strings.ReplaceAll(name, "-", "_"))
}

// split separates the items of a list; other values are taken as they are.
func (o Option) split(texts []string) []string {
	if !o.List {
		return texts
	}
	var items []string
	for _, t := range texts {
		items = append(items, strings.FieldsFunc(t, func(r rune) bool {
			return r == ',' || r == ' ' || r == '\t' || r == '\n' || r == '\r'
		})...)
	}
	return items
}

// Options returns every setting of a node, in the order in which help shows them.
func Options() []Option {
	return []Option{
		{Name: "model", Value: "KIND", Default: "knn", Usage: "what predicts: knn, randforest, svm or tree", Choices: []string{"knn", "randforest", "svm", "tree"}, set: setModel},
		{Name: "data", Value: "FILE.csv", Default: "Iris", Usage: "the rows to learn from, with a header line", Choices: []string{"*.csv", "*.gz"}, set: setPath(func(b *builder) *string { return &b.Node.Data })},
		{Name: "label", Value: "COLUMN", Default: "the last", Usage: "the column of --data to predict", set: setText(func(b *builder) *string { return &b.Node.Label })},
		{Name: "model-file", Value: "FILE", Usage: "a model that caucus train stored, in place of --model, --data and all that goes with them", Choices: []string{"*.model"}, set: setPath(func(b *builder) *string { return &b.modelFile })},
		{Name: "upstream", Value: "URL", Usage: "a model server that runs already, in any dialect; this node votes with its answers", set: setText(func(b *builder) *string { return &b.Node.Upstream })},
		{Name: "task", Value: "FILE.yaml", Default: "what --data is of, else Iris", Usage: "what --upstream predicts: name, features, labels, mapping (docs/upstreams.md)", Choices: []string{"*.yaml", "*.yml"}, set: setPath(func(b *builder) *string { return &b.Node.TaskFile })},
		{Name: "seed", Value: "N", Default: "0", Usage: "draws the held-out rows and the forest; the same seed gives the same model", set: setSeed},
		{Name: "holdout", Value: "SHARE", Default: "0.3", Usage: "share of rows kept back to measure accuracy; 0 learns from all and cross-validates", set: setHoldout},
		{Name: "standardise", Switch: true, Default: "for knn and svm on data of your own", Usage: "bring each column to mean 0 and deviation 1 first", set: setStandardise},
		{Name: "param", Value: "NAME=VALUE", List: true, Usage: "a setting of the model: k, trees, kernel (linear or rbf), c, gamma; repeatable", set: setParams},

		{Name: "name", Value: "NAME", Default: "the kind of model", Usage: "what the others see: a-z, 0-9 and -", set: setName},
		{Name: "listen", Value: "HOST:PORT", Default: "127.0.0.1:5001", Usage: "where to answer; :5001 is every interface, and needs a token or --open", set: setListen},
		{Name: "public-url", Value: "URL", Usage: "how others reach this node, such as a tunnel's address; makes a token if there is none", set: setPublicURL},
		{Name: "ngrok", Switch: true, Usage: "open a tunnel at ngrok and be reached there; needs NGROK_AUTHTOKEN, makes a token if there is none", set: setSwitch(func(b *builder) *bool { return &b.Node.Ngrok })},
		{Name: "join", Value: "ADDR", List: true, Usage: "a node of the cluster: host:port, URL, \"URL#TOKEN\" or dns+host:port; repeatable", set: setJoin},
		{Name: "mdns", Switch: true, Usage: "find the nodes of this token on the local network, and be found, without an address; needs a token or --open", set: setSwitch(func(b *builder) *bool { return &b.Node.MDNS })},
		{Name: "join-required", Switch: true, Usage: "give up (exit 4) if nobody could be joined within 30 s, instead of trying for ever", set: setSwitch(func(b *builder) *bool { return &b.Node.JoinRequired })},
		{Name: "new-cluster", Switch: true, Usage: "forget the members of earlier runs and begin a cluster of one's own", set: setSwitch(func(b *builder) *bool { return &b.Node.NewCluster })},
		{Name: "token-file", Value: "FILE", Usage: "file with the cluster's token (or set CAUCUS_TOKEN)", set: func(*builder, value) error { return nil }},
		{Name: "open", Switch: true, Usage: "listen beyond this machine without a token: anybody who reaches the port can join", set: setSwitch(func(b *builder) *bool { return &b.Node.Open })},
		{Name: "allow-private", Switch: true, Usage: "call private addresses that other nodes tell, also of networks that this machine is not on (a VPN, a routed office)", set: setSwitch(func(b *builder) *bool { return &b.Node.AllowPrivate })},
		{Name: "profile", Value: "lan|tunnel", Default: "tunnel if a URL is public, else lan", Usage: "pace of the gossip", Choices: []string{"lan", "tunnel"}, set: setProfile},

		{Name: "quorum", Value: "N", Default: "more than half", Usage: "votes that an answer needs, if more than the strict majority", set: setQuorum},
		{Name: "peer-timeout", Value: "DURATION", Default: "1.5s", Usage: "how long one member may take", set: setDuration(func(b *builder) *time.Duration { return &b.Node.PeerTimeout })},
		{Name: "deadline", Value: "DURATION", Default: "3s", Usage: "how long a whole round may take", set: setDuration(func(b *builder) *time.Duration { return &b.Node.Deadline })},
		{Name: "linger", Value: "DURATION", Default: "50ms", Usage: "how long to wait for the others once the answer is certain", set: setLinger},
		{Name: "forget-after", Value: "DURATION", Default: "15m", Usage: "when a member that failed stops counting; at least 1m, 2m with the profile tunnel", set: setDuration(func(b *builder) *time.Duration { return &b.Node.ForgetAfter })},

		{Name: "feedback-from", Value: "WHOM", Default: "members", Usage: "whose labels count: members, self, or node ids with commas between", set: setFeedbackFrom},
		{Name: "state-dir", Value: "DIR", Default: "by name, in the user's state folder", Usage: "where key and members are kept; none: nothing is, and each start is a new node", set: setStateDir},
		{Name: "log-format", Value: "text|json", Default: "text", Usage: "how the log is written", Choices: []string{"text", "json"}, set: setLogFormat},
		{Name: "log-level", Value: "LEVEL", Default: "info", Usage: "debug, info, warn or error", Choices: []string{"debug", "info", "warn", "error"}, set: setLogLevel},
	}
}

// Pick returns the named options, in the table's order.
func Pick(names ...string) []Option {
	return slices.DeleteFunc(Options(), func(o Option) bool { return !slices.Contains(names, o.Name) })
}

func has(options []Option, name string) bool {
	return slices.ContainsFunc(options, func(o Option) bool { return o.Name == name })
}

// one returns the last value given, as is usual for flags.
func (v value) one() string {
	if len(v.texts) == 0 {
		return ""
	}
	return v.texts[len(v.texts)-1]
}

func setText(field func(*builder) *string) func(*builder, value) error {
	return func(b *builder, v value) error {
		*field(b) = v.one()
		return nil
	}
}

func setPath(field func(*builder) *string) func(*builder, value) error {
	return func(b *builder, v value) error {
		*field(b) = v.path()
		return nil
	}
}

// path reads a file name: in a configuration file it starts from that file's folder.
func (v value) path() string {
	p := v.one()
	if p == "" || v.base == "" || filepath.IsAbs(p) {
		return p
	}
	return filepath.Join(v.base, p)
}

func setSwitch(field func(*builder) *bool) func(*builder, value) error {
	return func(b *builder, v value) error {
		on, err := parseSwitch(v.one())
		if err == nil {
			*field(b) = on
		}
		return err
	}
}

func parseSwitch(s string) (bool, error) {
	switch strings.ToLower(s) {
	case "true", "yes", "on", "1":
		return true, nil
	case "false", "no", "off", "0":
		return false, nil
	}
	return false, fmt.Errorf("%q is neither true nor false", s)
}

func setStandardise(b *builder, v value) error {
	on, err := parseSwitch(v.one())
	if err == nil {
		b.Node.Fit.Standardise = &on
	}
	return err
}

func setDuration(field func(*builder) *time.Duration) func(*builder, value) error {
	return func(b *builder, v value) error {
		d, err := parseDuration(v.one())
		if err == nil && d <= 0 {
			err = fmt.Errorf("%s is no time to wait; write more than 0, such as 1.5s", v.one())
		}
		if err == nil {
			*field(b) = d
		}
		return err
	}
}

func setLinger(b *builder, v value) error {
	d, err := parseDuration(v.one())
	if err == nil && d < 0 {
		err = fmt.Errorf("%s is less than nothing; write 0s or more", v.one())
	}
	if err != nil {
		return err
	}
	if d == 0 {
		// Zero in node.Config means the default; a nanosecond is as good as none.
		d = time.Nanosecond
	}
	b.Node.Linger = d
	return nil
}

func parseDuration(s string) (time.Duration, error) {
	d, err := time.ParseDuration(s)
	if err != nil {
		return 0, fmt.Errorf("%q is not a duration; write it with its unit, as in 1.5s, 50ms or 15m", s)
	}
	return d, nil
}

func setModel(b *builder, v value) error {
	k := ml.Kind(strings.ToLower(v.one()))
	switch k {
	case ml.KNN, ml.Forest, ml.SVM, ml.Tree:
		b.Node.Fit.Kind = k
		return nil
	}
	return fmt.Errorf("there is no model %q; the models are knn, randforest, svm and tree", v.one())
}

func setSeed(b *builder, v value) error {
	n, err := strconv.ParseUint(v.one(), 10, 64)
	if err != nil {
		return fmt.Errorf("%q is not a whole number from 0; write it like 42", v.one())
	}
	b.Node.Fit.Seed = n
	return nil
}

func setHoldout(b *builder, v value) error {
	x, err := strconv.ParseFloat(v.one(), 64)
	if err != nil || !(x >= 0 && x <= 0.9) {
		return fmt.Errorf("%q is not a share to keep back; write a number from 0 to 0.9, as in 0.3", v.one())
	}
	b.Node.Holdout = x
	return nil
}

func setName(b *builder, v value) error {
	if err := identity.ValidName(v.one()); err != nil {
		return err
	}
	b.Node.Name = v.one()
	return nil
}

func setListen(b *builder, v value) error {
	s := v.one()
	if _, err := strconv.ParseUint(s, 10, 16); err == nil {
		s = net.JoinHostPort("127.0.0.1", s) // a bare port: this machine alone
	}
	_, port, err := net.SplitHostPort(s)
	if err != nil {
		return fmt.Errorf("%q is not host:port; write 127.0.0.1:5001 for this machine alone, or :5001 for every interface", v.one())
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		return fmt.Errorf("%q has no port from 0 to 65535; write it like 127.0.0.1:5001", v.one())
	}
	b.Node.Listen = s
	return nil
}

func setPublicURL(b *builder, v value) error {
	s := strings.TrimRight(strings.TrimSpace(v.one()), "/")
	u, err := url.Parse(s)
	switch {
	case err != nil || u.Hostname() == "" || u.Scheme != "http" && u.Scheme != "https":
		return fmt.Errorf("%q is not a URL; write it like https://ab12.ngrok-free.app", cutToken(v.one()))
	case u.User != nil || u.RawQuery != "" || u.Fragment != "" || u.Path != "":
		return errors.New("a public URL has only a scheme, a host and perhaps a port, as in https://ab12.ngrok-free.app; take the rest away")
	}
	b.Node.PublicURL = s
	return nil
}

func setJoin(b *builder, v value) error {
	b.Node.Join = nil
	for _, s := range v.texts {
		inv, err := identity.ParseInvite(s)
		if err != nil {
			return fmt.Errorf("%q is not an invite: %w; write host:port, a URL, or \"URL#TOKEN\"", cutToken(s), err)
		}
		b.Node.Join = append(b.Node.Join, inv)
	}
	return nil
}

// cutToken keeps a token out of complaints.
func cutToken(s string) string {
	if address, _, ok := strings.Cut(s, "#"); ok {
		return address + "#..."
	}
	return s
}

func setProfile(b *builder, v value) error {
	p := cluster.Profile(v.one())
	if p != cluster.LAN && p != cluster.Tunnel {
		return fmt.Errorf("there is no profile %q; write lan or tunnel", v.one())
	}
	b.Node.Profile = p
	return nil
}

func setQuorum(b *builder, v value) error {
	n, err := strconv.Atoi(v.one())
	if err != nil || n < 0 || n > 256 {
		return fmt.Errorf("%q is not a number of votes; write a whole number from 1 to 256", v.one())
	}
	b.Node.Quorum = n
	return nil
}

// setFeedbackFrom leaves it to the node to judge the ids.
func setFeedbackFrom(b *builder, v value) error {
	b.Node.FeedbackFrom = strings.ReplaceAll(v.one(), " ", "")
	return nil
}

func setStateDir(b *builder, v value) error {
	if v.one() == "none" {
		b.memory, b.Node.StateDir = true, ""
		return nil
	}
	b.Node.StateDir = v.path()
	return nil
}

func setLogFormat(b *builder, v value) error {
	if v.one() != "text" && v.one() != "json" {
		return fmt.Errorf("there is no log format %q; write text or json", v.one())
	}
	b.Log.Format = v.one()
	return nil
}

func setLogLevel(b *builder, v value) error {
	levels := map[string]slog.Level{"debug": slog.LevelDebug, "info": slog.LevelInfo, "warn": slog.LevelWarn, "error": slog.LevelError}
	l, ok := levels[strings.ToLower(v.one())]
	if !ok {
		return fmt.Errorf("there is no log level %q; write debug, info, warn or error", v.one())
	}
	b.Log.Level = l
	return nil
}

// finite reports whether x is a number that a model can be fitted with.
func finite(x float64) bool { return !math.IsNaN(x) && !math.IsInf(x, 0) }
