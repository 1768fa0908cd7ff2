//go:build unix

package node_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"caucus/cluster/identity"
	"caucus/node"
	"caucus/node/api"
	"caucus/node/nodetest"
)

// childVariable makes this test's binary a node: a process that can be killed, stopped and continued.
const childVariable = "CAUCUS_TEST_CHILD"

// childConfig is what a child is told.
type childConfig struct {
	Name, Join, Listen, StateDir, PublicURL string
	Index                                   int
}

// childHello is what it says when it listens.
type childHello struct{ Addr, ID string }

func TestMain(m *testing.M) {
	if text := os.Getenv(childVariable); text != "" {
		if err := playChild(text); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	goleak.VerifyTestMain(m)
}

func playChild(text string) error {
	var c childConfig
	if err := json.Unmarshal([]byte(text), &c); err != nil {
		return err
	}
	cfg := nodetest.Config(c.Index)
	cfg.Name, cfg.StateDir, cfg.PublicURL, cfg.Profile = c.Name, c.StateDir, c.PublicURL, "lan"
	if c.Listen != "" {
		cfg.Listen = c.Listen
	}
	if c.Join != "" {
		cfg.Join = []identity.Invite{{Address: c.Join}}
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	n, err := node.New(ctx, cfg)
	if err != nil {
		return err
	}
	b, err := json.Marshal(childHello{n.Addr(), string(n.ID())})
	if err != nil {
		return err
	}
	fmt.Println(string(b))
	return n.Run(ctx)
}

// child is a node in a process of its own.
type child struct {
	t      *testing.T
	name   string
	addr   string
	id     string
	cmd    *exec.Cmd
	ended  chan struct{}
	client *api.Client
}

func startChild(t *testing.T, c childConfig) *child {
	t.Helper()
	text, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childVariable+"="+string(text))
	var errs strings.Builder
	cmd.Stderr = &errs
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	x := &child{t: t, name: c.Name, cmd: cmd, ended: make(chan struct{})}
	line, err := bufio.NewReader(out).ReadString('\n')
	var hello childHello
	if err == nil {
		err = json.Unmarshal([]byte(line), &hello)
	}
	if err != nil {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		t.Fatalf("the child said %q: %v\n%s", line, err, errs.String())
	}
	x.addr, x.id = hello.Addr, hello.ID
	go func() {
		defer close(x.ended)
		_ = cmd.Wait()
	}()
	if x.client, err = api.NewClient("http://"+x.addr, ""); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		x.client.Close()
		_ = cmd.Process.Kill()
		<-x.ended
	})
	return x
}

func (c *child) signal(sig syscall.Signal) {
	c.t.Helper()
	if err := c.cmd.Process.Signal(sig); err != nil {
		c.t.Fatal(err)
	}
}

// kill ends it without a word and waits for its end.
func (c *child) kill() {
	c.t.Helper()
	c.signal(syscall.SIGKILL)
	<-c.ended
}

// wait polls a predicate that no node's view tells of.
func wait(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(nodetest.Patience); !holds(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not so after %v: %s", nodetest.Patience, what)
		}
	}
}
