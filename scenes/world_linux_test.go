package scenes

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// world is a set of network namespaces around one that stands for the Internet.
//
//	inet   has every public address; it does not forward, so that whoever is linked
//	       to it reaches it and nobody else
//	place  10.89.N.2 on a cable of its own to inet; it believes to be on 10.89.0.0/16
//	       with everybody, but only inet answers there
type world struct {
	t      *testing.T
	prefix string // of the namespaces' names, so that two tests do not meet
	dir    string
	places int
}

const internet = "inet"

// newWorld makes the namespace of the Internet, or skips the test.
func newWorld(t *testing.T) *world {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("network namespaces need root; run this test as root to play the scene")
	}
	if _, err := exec.LookPath("ip"); err != nil {
		t.Skip("the scene needs ip, of the package iproute2")
	}
	w := &world{t: t, prefix: fmt.Sprintf("cq%d", os.Getpid()%100000), dir: shortTempDir(t)}
	if out, err := exec.Command("ip", "netns", "add", w.name(internet)).CombinedOutput(); err != nil {
		t.Skipf("this machine does not let root make network namespaces: %s", bytes.TrimSpace(out))
	}
	t.Cleanup(func() { w.remove(internet) })
	w.ip("-n", w.name(internet), "link", "set", "lo", "up")
	// A namespace takes this setting over from the machine, and a machine with Docker forwards.
	w.in(internet, "sh", "-c", "echo 0 > /proc/sys/net/ipv4/ip_forward")
	return w
}

// shortTempDir is a folder whose path leaves room for the name of a socket, which
// may have 107 bytes.
func shortTempDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "scene")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

func (w *world) name(place string) string { return w.prefix + place }

// place makes a namespace with a cable to the Internet and returns its address.
func (w *world) place(name string) (address string) {
	w.t.Helper()
	w.places++
	address = fmt.Sprintf("10.89.%d.2", w.places)
	w.ip("netns", "add", w.name(name))
	w.t.Cleanup(func() { w.remove(name) })
	cable := "to-" + name
	w.ip("-n", w.name(name), "link", "add", "eth0", "type", "veth", "peer", "name", cable, "netns", w.name(internet))
	w.ip("-n", w.name(name), "link", "set", "lo", "up")
	w.ip("-n", w.name(name), "addr", "add", address+"/16", "dev", "eth0")
	w.ip("-n", w.name(name), "link", "set", "eth0", "up")
	w.ip("-n", w.name(internet), "link", "set", cable, "up")
	w.ip("-n", w.name(internet), "route", "add", address+"/32", "dev", cable)
	return address
}

// lan lets everybody reach everybody, as on one network: inet forwards, and answers for all.
func (w *world) lan() {
	w.t.Helper()
	w.in(internet, "sh", "-c", "echo 1 > /proc/sys/net/ipv4/ip_forward; for f in /proc/sys/net/ipv4/conf/to-*/proxy_arp; do echo 1 > $f; done")
}

// segment puts places on one network besides, by a switch: unlike in lan, what is multicast there
// reaches all. It returns their addresses on it.
func (w *world) segment(places ...string) []string {
	w.t.Helper()
	const hub = "switch"
	w.ip("-n", w.name(internet), "link", "add", hub, "type", "bridge", "mcast_snooping", "0")
	w.ip("-n", w.name(internet), "link", "set", hub, "up")
	var addresses []string
	for i, place := range places {
		address := fmt.Sprintf("10.90.0.%d", i+1)
		port := "sw-" + place
		w.ip("-n", w.name(place), "link", "add", "eth1", "type", "veth", "peer", "name", port, "netns", w.name(internet))
		w.ip("-n", w.name(place), "addr", "add", address+"/24", "dev", "eth1")
		w.ip("-n", w.name(place), "link", "set", "eth1", "up")
		w.ip("-n", w.name(internet), "link", "set", port, "master", hub, "up")
		addresses = append(addresses, address)
	}
	return addresses
}

// routed takes the network of its own from a site: everybody is behind a router, as pods in Kubernetes are.
func (w *world) routed(s *site) {
	w.t.Helper()
	w.ip("-n", w.name(s.name), "addr", "del", s.address+"/16", "dev", "eth0")
	w.ip("-n", w.name(s.name), "addr", "add", s.address+"/32", "dev", "eth0")
	w.ip("-n", w.name(s.name), "route", "add", "default", "dev", "eth0")
}

// hosts gives a place a name for addresses, as a name server would. It is for commands that are started later.
func (w *world) hosts(place, name string, addresses ...string) {
	w.t.Helper()
	pairs := make([][2]string, len(addresses))
	for i, a := range addresses {
		pairs[i] = [2]string{a, name}
	}
	w.names(place, pairs)
}

// names is hosts for pairs of address and name.
func (w *world) names(place string, pairs [][2]string) {
	w.t.Helper()
	// What lies in this folder takes the place of what is in /etc for "ip netns exec".
	dir := filepath.Join("/etc/netns", w.name(place))
	text := "127.0.0.1 localhost\n"
	for _, p := range pairs {
		text += p[0] + " " + p[1] + "\n"
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		w.t.Skipf("names need a folder in /etc: %v", err)
	}
	w.t.Cleanup(func() {
		_ = os.RemoveAll(dir)
		_ = os.Remove(filepath.Dir(dir)) // if it is empty
	})
	if err := os.WriteFile(filepath.Join(dir, "hosts"), []byte(text), 0o644); err != nil {
		w.t.Fatal(err)
	}
}

// publish gives the Internet one more address.
func (w *world) publish(address string) {
	w.t.Helper()
	w.ip("-n", w.name(internet), "addr", "add", address+"/32", "dev", "lo")
}

func (w *world) remove(place string) {
	if out, err := exec.Command("ip", "netns", "del", w.name(place)).CombinedOutput(); err != nil {
		w.t.Errorf("remove the namespace %s: %s", place, bytes.TrimSpace(out))
	}
}

func (w *world) ip(args ...string) {
	w.t.Helper()
	if out, err := exec.Command("ip", args...).CombinedOutput(); err != nil {
		w.t.Fatalf("ip %s: %s", strings.Join(args, " "), bytes.TrimSpace(out))
	}
}

// in runs a command in a place to its end.
func (w *world) in(place string, args ...string) {
	w.t.Helper()
	if out, err := w.command(place, args...).CombinedOutput(); err != nil {
		w.t.Fatalf("in %s, %s: %v\n%s", place, strings.Join(args, " "), err, out)
	}
}

// command is a command to be run in a place. "ip netns exec" becomes what it runs, so
// signals to its process reach the command itself.
func (w *world) command(place string, args ...string) *exec.Cmd {
	cmd := exec.Command("ip", append([]string{"netns", "exec", w.name(place)}, args...)...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	cmd.Env = w.environment()
	return cmd
}

// environment is the machine's without what is set for caucus, or proxies, on it.
func (w *world) environment() []string {
	env := []string{"HOME=" + w.dir, "XDG_STATE_HOME="}
	for _, v := range os.Environ() {
		name, _, _ := strings.Cut(v, "=")
		if name == "HOME" || name == "NGROK_AUTHTOKEN" || strings.HasPrefix(name, "XDG_") || strings.HasPrefix(name, "CAUCUS_") || strings.HasSuffix(strings.ToLower(name), "_proxy") {
			continue
		}
		env = append(env, v)
	}
	return env
}

// process is a running program in a place.
type process struct {
	t     *testing.T
	what  string
	cmd   *exec.Cmd
	ended chan struct{}

	mu     sync.Mutex // guards output
	output bytes.Buffer
}

// start runs a program in a place until the test ends.
func (w *world) start(place, what string, env []string, args ...string) *process {
	w.t.Helper()
	p := &process{t: w.t, what: what, cmd: w.command(place, args...), ended: make(chan struct{})}
	p.cmd.Env = append(p.cmd.Env, env...)
	p.cmd.Stdout, p.cmd.Stderr = p, p
	if err := p.cmd.Start(); err != nil {
		w.t.Fatalf("start %s: %v", what, err)
	}
	go func() {
		defer close(p.ended)
		_ = p.cmd.Wait()
	}()
	w.t.Cleanup(p.kill)
	return p
}

// Write takes what the program prints.
func (p *process) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.output.Write(b)
}

// printed is all that the program has printed.
func (p *process) printed() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.output.String()
}

func (p *process) kill() {
	_ = p.cmd.Process.Kill() // it may have ended
	<-p.ended
}

// role starts the test's own binary in a place with a part to play, and waits until it
// has opened its socket. It returns a client for that socket.
func (w *world) role(place, role, socket string, env ...string) *http.Client {
	w.t.Helper()
	self, err := os.Executable()
	if err != nil {
		w.t.Fatal(err)
	}
	path := filepath.Join(w.dir, socket)
	p := w.start(place, role+" in "+place, append(env, roleVariable+"="+role, "SOCKET="+path), self)
	within(w.t, 20*time.Second, role+" has opened its socket", func() error {
		select {
		case <-p.ended:
			w.t.Fatalf("%s ended: %s", p.what, p.printed())
		default:
		}
		c, err := net.Dial("unix", path)
		if err == nil {
			_ = c.Close()
		}
		return err
	})
	return socketClient(w.t, path)
}

// socketClient is an HTTP client all of whose requests go to a socket of this machine.
func socketClient(t *testing.T, path string) *http.Client {
	transport := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", path)
	}}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: 20 * time.Second}
}

// reaches reports whether a TCP connection from a place to an address comes about.
func (w *world) reaches(place, address string) bool {
	w.t.Helper()
	self, err := os.Executable()
	if err != nil {
		w.t.Fatal(err)
	}
	cmd := w.command(place, self)
	cmd.Env = append(cmd.Env, roleVariable+"=probe", "ADDRESS="+address)
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		w.t.Fatalf("probe: %v\n%s", err, out)
	}
	return err == nil
}

// playProbe is the part that tries one connection.
func playProbe() error {
	c, err := net.DialTimeout("tcp", os.Getenv("ADDRESS"), time.Second)
	if err != nil {
		return err
	}
	return c.Close()
}

// fetch asks a URL from a place, as somebody there would, and returns body and status.
func (w *world) fetch(place, url string) string {
	w.t.Helper()
	self, err := os.Executable()
	if err != nil {
		w.t.Fatal(err)
	}
	cmd := w.command(place, self)
	cmd.Env = append(cmd.Env, roleVariable+"=fetch", "ADDRESS="+url)
	out, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Sprintf("%v: %s", err, out)
	}
	return string(out)
}

// playFetch is the part that asks one URL.
func playFetch() error {
	client := http.Client{Timeout: 10 * time.Second}
	res, err := client.Get(os.Getenv("ADDRESS"))
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if _, err := io.Copy(os.Stdout, res.Body); err != nil {
		return err
	}
	_, err = fmt.Printf(" HTTP %d\n", res.StatusCode)
	return err
}

// within waits until a predicate holds (returns nil), and fails the test with the last
// reason why not if that takes longer. It returns how long it took.
func within(t *testing.T, limit time.Duration, what string, holds func() error) time.Duration {
	t.Helper()
	began := time.Now()
	for {
		err := holds()
		took := time.Since(began)
		if err == nil {
			return took
		}
		if took > limit {
			t.Fatalf("not within %v: %s: %v", limit, what, err)
		}
		time.Sleep(20 * time.Millisecond)
	}
}
