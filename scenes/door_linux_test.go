package scenes

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
)

// A door leads into a place: what comes to its socket goes on to the node there, as from
// a person at that machine. Where it is told a public side, it is the local half of a
// tunnel too: connections to TUNNEL go to the node, and an agent's API at the usual port
// tells the tunnel's URL, which the test sets.

const nodeAddress = "127.0.0.1:5001"

// playDoor is the part of a door.
func playDoor() error {
	l, err := net.Listen("unix", os.Getenv("SOCKET"))
	if err != nil {
		return err
	}
	failed := make(chan error, 3)
	if address := os.Getenv("TUNNEL"); address != "" {
		public, err := net.Listen("tcp", address)
		if err != nil {
			return err
		}
		go func() { failed <- pass(public) }()
		go func() { failed <- playAgent(os.Getenv("SOCKET") + ".agent") }()
	}
	go func() { failed <- pass(l) }()
	return <-failed
}

// pass passes connections on to the node.
func pass(l net.Listener) error {
	for {
		c, err := l.Accept()
		if err != nil {
			return err
		}
		go func() {
			defer c.Close()
			to, err := net.Dial("tcp", nodeAddress)
			if err != nil {
				return
			}
			defer to.Close()
			go func() {
				_, _ = io.Copy(to, c)
				_ = to.(*net.TCPConn).CloseWrite()
			}()
			_, _ = io.Copy(c, to)
		}()
	}
}

// playAgent serves what ngrok's agent serves on its own machine, in the older of its two
// forms, and takes the URL to tell from the test.
func playAgent(socket string) error {
	var mu sync.Mutex
	url := ""
	mux := http.NewServeMux()
	mux.HandleFunc("GET /api/tunnels", func(w http.ResponseWriter, _ *http.Request) {
		type tunnel struct {
			Name   string            `json:"name"`
			URL    string            `json:"public_url"`
			Proto  string            `json:"proto"`
			Config map[string]string `json:"config"`
		}
		// The first leads elsewhere, as on a machine where somebody serves a web site too.
		list := []tunnel{{"web", "https://other.example", "https", map[string]string{"addr": "http://localhost:8080"}}}
		mu.Lock()
		if url != "" {
			list = append(list, tunnel{"node", url, "http", map[string]string{"addr": "http://localhost:5001"}})
		}
		mu.Unlock()
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(map[string]any{"tunnels": list, "uri": "/api/tunnels"})
	})
	control, err := net.Listen("unix", socket)
	if err != nil {
		return err
	}
	local, err := net.Listen("tcp", "127.0.0.1:4040")
	if err != nil {
		return err
	}
	go func() {
		_ = http.Serve(control, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			b, _ := io.ReadAll(r.Body) // a short line of the test's
			mu.Lock()
			url = string(b)
			mu.Unlock()
		}))
	}()
	return http.Serve(local, mux)
}

// site is a place with a door.
type site struct {
	w       *world
	name    string
	address string
	node    *http.Client // to the node's own HTTP
	agent   *http.Client // nil: there is no tunnel
}

// site makes a place with a door to the node that will run there.
func (w *world) site(name string, tunnel bool) *site {
	w.t.Helper()
	s := &site{w: w, name: name, address: w.place(name)}
	var env []string
	socket := name + ".sock"
	if tunnel {
		env = append(env, "TUNNEL="+s.address+":5001")
	}
	s.node = w.role(name, "door", socket, env...)
	if tunnel {
		s.agent = socketClient(w.t, w.dir+"/"+socket+".agent")
	}
	return s
}

// tunnelURL makes the agent at the site tell a URL.
func (s *site) tunnelURL(url string) {
	s.w.t.Helper()
	request(s.w.t, s.agent, http.MethodPut, "http://agent/", url, nil)
}

// request asks and decodes the answer into reply, unless that is nil. Anything but 200 fails the test.
func request(t *testing.T, c *http.Client, method, url, body string, reply any) {
	t.Helper()
	if err := ask(c, method, url, body, reply); err != nil {
		t.Fatal(err)
	}
}

// ask is request for those who may try again.
func ask(c *http.Client, method, url, body string, reply any) error {
	req, err := http.NewRequest(method, url, strings.NewReader(body))
	if err != nil {
		return err
	}
	res, err := c.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	switch {
	case err != nil:
		return err
	case res.StatusCode != http.StatusOK:
		return fmt.Errorf("%s %s: status %d: %s", method, url, res.StatusCode, b)
	case reply == nil:
		return nil
	}
	if err := json.Unmarshal(b, reply); err != nil {
		return errors.Join(fmt.Errorf("%s %s: %.200s", method, url, b), err)
	}
	return nil
}
