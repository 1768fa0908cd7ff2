package node

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"caucus/cluster"
	"caucus/cluster/evidence"
	"caucus/cluster/identity"
	"caucus/cluster/reach"
	"caucus/ml"
	"caucus/node/dialect"
)

// Config says what one node is. Fill it from DefaultConfig; Validate names the field and
// the remedy. The zero value of a field means its default.
type Config struct {
	Name         string            // [a-z0-9-]{1,63}; empty: the kind of model
	Listen       string            // host:port; ":0" picks a port; default "127.0.0.1:5001"
	NextPort     bool              // when the port is taken, take the next free one and say so (up)
	Fit          ml.FitOptions     // the kind of model, its seed and settings
	Data         string            // CSV file; empty: Iris
	Label        string            // label column; empty: the last
	Holdout      float64           // share of rows held out for the accuracy shown, default 0.3; 0: train on all, cross-validate
	Upstream     string            // URL of a model server to stand in front of, instead of fitting a model; Data is then to measure it by
	TaskFile     string            // what the upstream predicts; empty: what Data is of, else Iris
	PublicURL    string            // how others reach this node, if known
	WatchAgent   bool              // look for an ngrok agent on this machine whose tunnel leads here
	AgentAPI     string            // the base URL of that agent's API; empty: http://127.0.0.1:4040
	Ngrok        bool              // open a tunnel at ngrok
	NgrokToken   string            // the authtoken of the ngrok account, for Ngrok
	AllowPrivate bool              // call private addresses that other nodes tell, of whatever network
	Join         []identity.Invite // where to find others
	MDNS         bool              // find nodes of the same token on the local network, and be found
	JoinRequired bool              // fail with ErrCouldNotJoin if nobody was reached in 30 s
	NewCluster   bool              // begin a roster of its own
	Token        *identity.Token   // nil: the one of an invite, or an open cluster, on loopback only unless Open
	Open         bool              // listen beyond loopback without a token
	FeedbackFrom string            // whose labels count: members (default), self, or ids with commas between
	StateDir     string            // key, roster, evidence; empty: kept in memory (a new identity each start)
	Profile      cluster.Profile   // empty: chosen from PublicURL and Join
	Quorum       int               // wanted votes; the strict majority applies anyway
	PeerTimeout  time.Duration     // default 1.5 s
	Deadline     time.Duration     // of a round, default 3 s
	Linger       time.Duration     // for the others once the outcome is certain, default 50 ms
	ForgetAfter  time.Duration     // default 15 min, at least cluster.MinForgetAfter (times TimeScale)
	TimeScale    float64           // multiplies gossip's timings; for tests; 0 means 1
	Version      string
	Log          *slog.Logger // nil: discard

	// Model, when not nil, is used instead of fitting one (tests, upstreams, stored models).
	// It may be slow, or broken: it is asked on goroutines of its own, and a panic in it is an
	// outcome. A model that answers at once says so with a method Quick() bool.
	Model ml.Model
	// Evaluation goes with Model.
	Evaluation *ml.Evaluation
	// Stored goes with a Model that ml.Load returned: it is asked as one that was fitted
	// here, and what is known of its data is shown.
	Stored *ml.Meta
	// OnToken, if not nil, is told of a token that this node made because an ngrok agent came to
	// lead to it while it ran without one, and of the tunnel's URL.
	OnToken func(url string, t identity.Token)
	// Listener, when not nil, is served on in place of one at Listen, and closed with the node. Tests in simulated
	// time have a network in memory.
	Listener net.Listener
	// NoRejoin, for tests: a partition stays.
	NoRejoin bool
	// Now is this machine's clock; nil: time.Now. Tests set it wrong.
	Now func() time.Time
	// Dial opens the sockets of sessions; nil: net.Dialer. Tests cut links with it.
	Dial DialFunc
}

// ErrCouldNotJoin is Run's error when JoinRequired is set and nobody was reached.
var ErrCouldNotJoin = errors.New("node: could not join anybody")

// joinRequiredWithin is how long JoinRequired waits.
const joinRequiredWithin = 30 * time.Second

// DefaultConfig returns the defaults.
func DefaultConfig() Config {
	return Config{
		Listen:      "127.0.0.1:5001",
		Fit:         ml.FitOptions{Kind: ml.KNN},
		Holdout:     0.3,
		PeerTimeout: 1500 * time.Millisecond,
		Deadline:    3 * time.Second,
		Linger:      50 * time.Millisecond,
		ForgetAfter: 15 * time.Minute,
	}
}

// setDefaults fills in what was left at zero, but for Holdout, whose zero has a meaning.
func (c *Config) setDefaults() {
	d := DefaultConfig()
	set(&c.Listen, d.Listen)
	set(&c.Fit.Kind, d.Fit.Kind)
	set(&c.PeerTimeout, min(d.PeerTimeout, c.deadlineOr(d)))
	set(&c.Deadline, max(d.Deadline, c.PeerTimeout))
	set(&c.Linger, d.Linger)
	set(&c.ForgetAfter, d.ForgetAfter)
	set(&c.TimeScale, 1)
	if c.Name == "" {
		c.Name = string(c.kind())
	}
	if c.Profile == "" {
		c.Profile = c.chooseProfile()
	}
	if c.Token == nil {
		c.Token = c.invitedBy()
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
}

func (c *Config) deadlineOr(d Config) time.Duration {
	if c.Deadline > 0 {
		return c.Deadline
	}
	return d.Deadline
}

func set[T comparable](field *T, to T) {
	var zero T
	if *field == zero {
		*field = to
	}
}

func (c *Config) kind() ml.Kind {
	if c.Upstream != "" {
		return dialect.Kind
	}
	if c.Model != nil {
		return c.Model.Kind()
	}
	return c.Fit.Kind
}

// invitedBy returns the token of the first invite that has one: who joins a cluster by
// URL#TOKEN is of that cluster.
func (c *Config) invitedBy() *identity.Token {
	for _, i := range c.Join {
		if i.Token != nil {
			return i.Token
		}
	}
	return nil
}

// chooseProfile is tunnel when votes and gossip go through the Internet.
func (c *Config) chooseProfile() cluster.Profile {
	if c.PublicURL != "" || c.Ngrok {
		return cluster.Tunnel
	}
	for _, i := range c.Join {
		if strings.HasPrefix(i.Address, "https://") {
			return cluster.Tunnel
		}
	}
	return cluster.LAN
}

// Validate names the field that is wrong, its value and the remedy.
func (c *Config) Validate() error {
	full := *c
	full.setDefaults()
	checks := []func() error{
		full.validateName, full.validateListen, full.validateModel, full.validateURL, full.validateTunnel, full.validateTimes,
	}
	for _, check := range checks {
		if err := check(); err != nil {
			return err
		}
	}
	if full.Quorum < 0 || full.Quorum > 256 {
		return fmt.Errorf("quorum is %d; give the number of votes wanted, 1 to 256, or 0 for the strict majority", full.Quorum)
	}
	if _, err := evidence.ParsePolicy(full.FeedbackFrom); err != nil {
		return fmt.Errorf("feedback-from is %q; give members, self, or the ids of those whose labels count, with commas between", full.FeedbackFrom)
	}
	if full.Profile != cluster.LAN && full.Profile != cluster.Tunnel {
		return fmt.Errorf("profile is %q; give lan or tunnel", full.Profile)
	}
	if full.MDNS && full.Token == nil && !full.Open {
		return errors.New("mdns finds nodes of the same token, and this node has none; set CAUCUS_TOKEN or --token-file on all of them, " +
			"or say --open to meet every open node on the network")
	}
	if full.JoinRequired && len(full.Join) == 0 && !full.MDNS {
		return errors.New("join is required, but nobody is named to join; give --join ADDRESS, or leave --join-required out")
	}
	return nil
}

func (c *Config) validateName() error {
	if err := identity.ValidName(c.Name); err != nil {
		return fmt.Errorf("name: %w", err)
	}
	return nil
}

func (c *Config) validateListen() error {
	host, port, err := net.SplitHostPort(c.Listen)
	if err != nil {
		return fmt.Errorf("listen is %q; give host:port, such as 127.0.0.1:5001 or :5001", c.Listen)
	}
	if n, err := strconv.Atoi(port); err != nil || n < 0 || n > 65535 {
		return fmt.Errorf("listen is %q; its port must be 0 to 65535 (0: any free one)", c.Listen)
	}
	if c.Token == nil && !c.Open && !loopback(host) {
		return fmt.Errorf("listen is %q, which others can reach, but there is no token to tell friends from strangers; "+
			"set CAUCUS_TOKEN or --token-file, or listen on 127.0.0.1, or say --open if everybody may use and join this node", c.Listen)
	}
	return nil
}

func loopback(host string) bool {
	if strings.EqualFold(host, "localhost") {
		return true
	}
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.Unmap().IsLoopback()
}

func (c *Config) validateModel() error {
	switch {
	case c.TaskFile != "" && c.Upstream == "":
		return errors.New("task says what an upstream predicts, and there is none; give --upstream URL with it, or leave it out")
	case c.Upstream == "":
	case c.Model != nil:
		return errors.New("upstream is one model, and there is another besides; take one of the two away")
	default:
		u, err := dialect.ParseBase(c.Upstream)
		if err != nil {
			return fmt.Errorf("upstream is not usable: %w", err)
		}
		if dialect.SameAddress(u, c.Listen) {
			return fmt.Errorf("upstream is %s, where this node itself listens; let it listen elsewhere, as in --listen 127.0.0.1:0", u.Redacted())
		}
	}
	if c.Model == nil && !slices.Contains(ml.Kinds(), c.Fit.Kind) {
		kinds := make([]string, 0, 4)
		for _, k := range ml.Kinds() {
			kinds = append(kinds, string(k))
		}
		return fmt.Errorf("model is %q; give one of %s", c.Fit.Kind, strings.Join(kinds, ", "))
	}
	if !(c.Holdout >= 0 && c.Holdout <= 0.9) {
		return fmt.Errorf("holdout is %v; give a share of the rows from 0 (train on all, and cross-validate) to 0.9", c.Holdout)
	}
	return nil
}

func (c *Config) validateURL() error {
	if c.PublicURL == "" {
		return nil
	}
	u, err := url.Parse(c.PublicURL)
	if err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") ||
		strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "" || u.User != nil {
		return fmt.Errorf("public URL is %q; give scheme and host alone, such as https://ab12.ngrok-free.app", c.PublicURL)
	}
	return nil
}

func (c *Config) validateTunnel() error {
	switch {
	case !c.Ngrok:
		return nil
	case c.PublicURL != "":
		return fmt.Errorf("ngrok is asked for a tunnel, and the public URL %q is another; give one of the two", c.PublicURL)
	}
	_, err := reach.NewNgrok(c.NgrokToken, nil)
	return err
}

func (c *Config) validateTimes() error {
	for _, t := range []struct {
		name string
		d    time.Duration
	}{{"peer timeout", c.PeerTimeout}, {"deadline", c.Deadline}, {"linger", c.Linger}, {"forget-after", c.ForgetAfter}} {
		if t.d < 0 {
			return fmt.Errorf("%s is %v; give a time above zero", t.name, t.d)
		}
	}
	if c.PeerTimeout > c.Deadline {
		return fmt.Errorf("peer timeout is %v, longer than the whole round's deadline of %v; shorten it, or lengthen the deadline", c.PeerTimeout, c.Deadline)
	}
	if c.Deadline > time.Minute {
		return fmt.Errorf("deadline is %v; give at most 1m", c.Deadline)
	}
	if !(c.TimeScale >= 0.01 && c.TimeScale <= 100) {
		return fmt.Errorf("time scale is %v; give a factor from 0.01 to 100, 1 being real time", c.TimeScale)
	}
	if least := min(scaled(cluster.MinForgetAfter(c.Profile), c.TimeScale), DefaultConfig().ForgetAfter); c.ForgetAfter < least {
		return fmt.Errorf("forget-after is %v; give at least %v (profile %s): so long it may take until a split network is noticed, or until members that are there again are called, "+
			"and whoever forgets sooner may forget members that live; to take one out at once: caucus forget NAME", c.ForgetAfter, least, c.Profile)
	}
	return nil
}
