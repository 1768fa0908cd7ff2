//go:build compose

package caucus_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"
)

// The Compose scene plays docker-compose.yml as users have it: the same file,
// the same Dockerfile, under another project name and on free ports. It is the one
// test here with times in it, because they are what it promises to users.

const setosa = "?feature0=5.1&feature1=3.5&feature2=1.4&feature3=0.2"

type composition struct {
	t     *testing.T
	env   []string
	ports map[string]string
}

type reply struct {
	HTTP       int `json:"-"`
	Prediction *int
	Label      string
	Status     any // a word; in a problem the number of HTTP
	Method     string
	Summary    string
	Error      string
	Type       string
	Detail     string
	Invited    int
	Counted    int
	Shares     json.RawMessage
	Roster     string
	Evidence   string
	Votes      []struct{ Node, Name, Model, Outcome, Label string }
}

func startComposition(t *testing.T, extra ...string) *composition {
	t.Helper()
	if out, err := exec.Command("docker", "compose", "version").CombinedOutput(); err != nil {
		t.Fatalf("this scene needs Docker with Compose v2: %v\n%s", err, out)
	}
	c := &composition{t: t, ports: map[string]string{}}
	c.env = append(os.Environ(), "COMPOSE_PROJECT_NAME=caucus-scene", "COMPOSE_PROGRESS=plain")
	for service, variable := range map[string]string{"knn": "KNN_PORT", "randforest": "RANDFOREST_PORT", "svm": "SVM_PORT"} {
		c.ports[service] = freePort(t)
		c.env = append(c.env, variable+"="+c.ports[service])
	}
	c.env = append(c.env, extra...)
	c.run("down", "--volumes", "--remove-orphans")
	t.Cleanup(func() {
		if t.Failed() {
			out, _ := c.command("logs", "--no-color", "--tail", "60").CombinedOutput()
			t.Logf("the containers' last words:\n%s", out)
		}
		c.run("down", "--volumes", "--remove-orphans")
	})
	c.run("build")
	c.run("up", "--wait", "--detach")
	return c
}

func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	return port
}

func (c *composition) command(args ...string) *exec.Cmd {
	cmd := exec.Command("docker", append([]string{"compose"}, args...)...)
	cmd.Env = c.env
	return cmd
}

func (c *composition) run(args ...string) {
	c.t.Helper()
	started := time.Now()
	out, err := c.command(args...).CombinedOutput()
	if err != nil {
		c.t.Fatalf("docker compose %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	c.t.Logf("docker compose %-32s %.1f s", strings.Join(args, " "), time.Since(started).Seconds())
}

// ask puts one question to a service's published port.
func (c *composition) ask(service, query string) (reply, time.Duration, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://127.0.0.1:"+c.ports[service]+"/consensus"+query, nil)
	if err != nil {
		return reply{}, 0, err
	}
	started := time.Now()
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return reply{}, 0, err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		return reply{}, 0, err
	}
	r := reply{HTTP: res.StatusCode}
	if err := json.NewDecoder(bytes.NewReader(body)).Decode(&r); err != nil {
		return r, 0, fmt.Errorf("%s answered %d %q: %w", service, res.StatusCode, body, err)
	}
	return r, time.Since(started), nil
}

// eventually asks until the reply is as wanted, or the time that users were promised is over.
func (c *composition) eventually(within time.Duration, service, query, want string, ok func(reply) bool) reply {
	c.t.Helper()
	started := time.Now()
	var last reply
	var err error
	for time.Since(started) < within {
		if last, _, err = c.ask(service, query); err == nil && ok(last) {
			c.t.Logf("%-10s %s after %.1f s: %s", service, want, time.Since(started).Seconds(), last.Summary)
			return last
		}
		time.Sleep(100 * time.Millisecond)
	}
	c.t.Fatalf("%s: not %s within %s; last: %+v, %v", service, want, within, last, err)
	return last
}

func counted(status string, counted, invited int) (string, func(reply) bool) {
	return fmt.Sprintf("%s, %d of %d", status, counted, invited), func(r reply) bool {
		return r.HTTP == 200 && r.Status == status && r.Counted == counted && r.Invited == invited
	}
}

func (c *composition) ids(service string) []string {
	r, _, err := c.ask(service, setosa)
	if err != nil {
		c.t.Fatal(err)
	}
	var ids []string
	for _, v := range r.Votes {
		ids = append(ids, v.Node)
	}
	slices.Sort(ids)
	return ids
}

func TestComposeScene(t *testing.T) {
	c := startComposition(t)

	// Healthy and whole: the same answer from each.
	var first reply
	want, whole := counted("ok", 3, 3)
	for i, service := range []string{"knn", "randforest", "svm"} {
		r := c.eventually(10*time.Second, service, setosa, want, whole)
		if r.Prediction == nil || *r.Prediction != 0 || r.Label != "setosa" {
			t.Errorf("%s says %v %q, want 0 setosa", service, r.Prediction, r.Label)
		}
		if i == 0 {
			first = r
		} else if string(r.Shares) != string(first.Shares) || r.Roster != first.Roster || r.Evidence != first.Evidence || r.Method != first.Method {
			t.Errorf("%s differs from knn: %+v against %+v", service, r, first)
		}
	}
	before := c.ids("knn")

	// One dies: the very next question is answered, in time, by the two.
	c.run("kill", "svm")
	r, took, err := c.ask("knn", setosa)
	if err != nil || r.HTTP != 200 || r.Status != "degraded" || r.Counted != 2 || r.Invited != 3 || r.Label != "setosa" {
		t.Fatalf("after the kill of svm: %+v, %v; want degraded, 2 of 3, setosa", r, err)
	}
	if took > 1600*time.Millisecond {
		t.Errorf("the answer took %s, promised within 1.6 s", took)
	}
	t.Logf("after the kill: %q in %s", r.Summary, took.Round(time.Millisecond))
	c.run("start", "svm")
	c.eventually(15*time.Second, "knn", setosa, want, whole)
	c.eventually(15*time.Second, "svm", setosa, want, whole)

	// One leaves: it no longer counts.
	c.run("stop", "svm")
	want2, left := counted("ok", 2, 2)
	c.eventually(5*time.Second, "knn", setosa, want2, left)
	c.eventually(5*time.Second, "randforest", setosa, want2, left)
	c.run("start", "svm")
	c.eventually(15*time.Second, "knn", setosa, want, whole)

	// Two die: no quorum, in words, and a minority's answer for who asks for it.
	c.run("kill", "svm", "randforest")
	r, _, err = c.ask("knn", setosa)
	if err != nil || r.HTTP != http.StatusServiceUnavailable || !strings.Contains(r.Type, "quorum-not-reached") {
		t.Fatalf("after two kills: %+v, %v; want 503 quorum-not-reached", r, err)
	}
	for _, name := range []string{"svm", "randforest"} {
		if !strings.Contains(r.Error+r.Detail, name) {
			t.Errorf("the 503 does not name %s: %q", name, r.Error)
		}
	}
	t.Logf("after two kills: %q", r.Error)
	if r, _, err = c.ask("knn", setosa+"&minority=true"); err != nil || r.HTTP != 200 || r.Status != "minority" || r.Counted != 1 {
		t.Errorf("minority=true: %+v, %v; want 200 minority", r, err)
	}
	c.run("start", "svm", "randforest")
	c.eventually(15*time.Second, "knn", setosa, want, whole)

	// All restart at once: the same cluster, the same ids.
	c.run("restart")
	for _, service := range []string{"knn", "randforest", "svm"} {
		c.eventually(20*time.Second, service, setosa, want, whole)
	}
	if after := c.ids("knn"); !slices.Equal(before, after) {
		t.Errorf("ids changed over a restart: %v, then %v", before, after)
	}
}

func TestComposeWithTokenAsksForBearerOffTheMachine(t *testing.T) {
	c := startComposition(t, "CAUCUS_TOKEN="+strings.Repeat("A", 42)+"E")
	want, whole := counted("ok", 3, 3)
	c.eventually(10*time.Second, "knn", setosa, want, whole)
	// Through Docker's published port the peer is not on the container's loopback.
	res, err := http.Get("http://127.0.0.1:" + c.ports["knn"] + "/members")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusUnauthorized {
		t.Errorf("/members without a bearer: %d, want 401", res.StatusCode)
	}
}
