package scenes

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// buildDir is where the binary is built; it goes with the tests.
var buildDir string

// build makes the binary that users have.
var build = sync.OnceValues(func() (string, error) {
	path := filepath.Join(buildDir, "caucus")
	if out, err := exec.Command("go", "build", "-o", path, "caucus/cmd/caucus").CombinedOutput(); err != nil {
		return "", fmt.Errorf("build caucus: %w\n%s", err, out)
	}
	return path, nil
})

// player is a caucus node in a place.
type player struct {
	*site
	*process
	started time.Time
}

// serve starts a node at a site, as a person there would.
func (s *site) serve(args ...string) *player { return s.serveWith(nil, args...) }

// serveWith is serve with more in the environment.
func (s *site) serveWith(env []string, args ...string) *player {
	s.w.t.Helper()
	binary, err := build()
	if err != nil {
		s.w.t.Fatal(err)
	}
	args = append([]string{binary, "serve", "--name", s.name, "--profile", "tunnel"}, args...)
	return &player{site: s, started: time.Now(), process: s.w.start(s.name, "node "+s.name, env, args...)}
}

// untilSaid waits until the node has printed what matches, and returns the match.
func (p *player) untilSaid(pattern string) []string {
	p.t.Helper()
	re := regexp.MustCompile(pattern)
	var match []string
	within(p.t, patience, fmt.Sprintf("node %s says %q", p.name, pattern), func() error {
		if match = re.FindStringSubmatch(p.printed()); match != nil {
			return nil
		}
		select {
		case <-p.ended:
			p.t.Fatalf("node %s ended:\n%s", p.name, p.printed())
		default:
		}
		return errors.New("it has not")
	})
	return match
}

// member is a line of /members.
type member struct {
	ID        string   `json:"id"`
	Name      string   `json:"name"`
	URL       string   `json:"url"`
	State     string   `json:"state"`
	Via       string   `json:"via"`
	Carries   []string `json:"carries"`
	Voter     bool     `json:"voter"`
	Connected bool     `json:"connected"`
	Reason    string   `json:"reason"`
}

// members asks the node whom it knows, by name.
func (p *player) members() (map[string]member, error) {
	var reply struct{ Members []member }
	if err := ask(p.node, http.MethodGet, "http://localhost/members", "", &reply); err != nil {
		return nil, err
	}
	all := make(map[string]member, len(reply.Members))
	for _, m := range reply.Members {
		all[m.Name] = m
	}
	return all, nil
}

// lists is nil if the node lists exactly these, each alive, voting and with a session.
func (p *player) lists(names ...string) error {
	all, err := p.members()
	if err != nil {
		return err
	}
	if len(all) != len(names) {
		return fmt.Errorf("%s lists %+v", p.name, all)
	}
	for _, name := range names {
		if m, ok := all[name]; !ok || m.State != "alive" || !m.Voter || !m.Connected {
			return fmt.Errorf("%s lists %s as %+v", p.name, name, m)
		}
	}
	return nil
}

// says is nil if the node lists a member in a state.
func (p *player) says(name, state string) error {
	all, err := p.members()
	if err == nil && all[name].State != state {
		err = fmt.Errorf("%s lists %s as %+v", p.name, name, all[name])
	}
	return err
}

// consensus is what is looked at of a round.
type consensus struct {
	Label   string
	Status  string
	Invited int
	Counted int
	Votes   []struct{ Name, Outcome string }
}

// asked plays a round at the node and returns it with the names of those whose votes counted.
func (p *player) asked(query string) (consensus, []string, error) {
	var c consensus
	if err := ask(p.node, http.MethodGet, "http://localhost/consensus?wait=all&"+query, "", &c); err != nil {
		return c, nil, err
	}
	var names []string
	for _, v := range c.Votes {
		if v.Outcome == "ok" {
			names = append(names, v.Name)
		}
	}
	slices.Sort(names)
	return c, names, nil
}

// counts is nil if a round at the node counts the votes of exactly these.
func (p *player) counts(query string, names ...string) error {
	c, voted, err := p.asked(query)
	if err != nil {
		return err
	}
	if !slices.Equal(voted, names) || c.Counted != len(names) {
		return fmt.Errorf("%s: %s, %d counted, votes %+v", p.name, c.Status, c.Counted, c.Votes)
	}
	return nil
}

// changed returns the lines in which the node's log tells of a member that got into a state.
func (p *player) changed(state string) []string {
	var lines []string
	for line := range strings.Lines(p.printed()) {
		if strings.Contains(line, "member changed") && strings.Contains(line, "state="+state) {
			lines = append(lines, strings.TrimSpace(line))
		}
	}
	return lines
}

// patience is when a test gives up on what has no limit of its own.
const patience = 60 * time.Second

// limit is a time that the product promises. Under the load of a whole test run, with
// builds on the same cores, it is stretched; with CAUCUS_SCENE_STRICT=1 it is kept. The
// time that was taken is printed (go test -v) either way.
func limit(promised time.Duration) time.Duration {
	if os.Getenv("CAUCUS_SCENE_STRICT") != "" {
		return promised
	}
	return 3 * promised
}

// all returns the first error of many checks.
func all(checks ...func() error) func() error {
	return func() error {
		for _, check := range checks {
			if err := check(); err != nil {
				return err
			}
		}
		return nil
	}
}

func each(players []*player, check func(*player) error) func() error {
	return func() error {
		for _, p := range players {
			if err := check(p); err != nil {
				return err
			}
		}
		return nil
	}
}

// logsOnFailure prints the ends of the nodes' logs when the test failed.
func logsOnFailure(t *testing.T, players ...*player) {
	t.Cleanup(func() {
		if !t.Failed() {
			return
		}
		for _, p := range players {
			text := p.printed()
			t.Logf("node %s:\n%s", p.name, text[max(0, len(text)-6000):])
		}
	})
}
