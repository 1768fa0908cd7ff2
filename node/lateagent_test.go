package node_test

import (
	"encoding/json"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"caucus/cluster/identity"
	"caucus/node"
	"caucus/node/nodetest"
)

// An ngrok agent is started after a node that has no token.
func TestAnAgentThatComesLateMakesALoneNodeGetAToken(t *testing.T) {
	const public = "https://ab12.example"
	var tunnel atomic.Value // of the node's address, once there is one
	agent := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		list := []map[string]any{}
		if to, ok := tunnel.Load().(string); ok {
			list = append(list, map[string]any{"name": "n", "public_url": public, "proto": "https", "config": map[string]string{"addr": to}})
		}
		if r.URL.Path != "/api/tunnels" {
			http.NotFound(w, r)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(map[string]any{"tunnels": list, "uri": "/api/tunnels"})
	}))
	t.Cleanup(agent.Close)
	made := make(chan identity.Token, 1)
	dir := t.TempDir()
	n := nodetest.StartOne(t, 0, func(_ int, cfg *node.Config) {
		cfg.WatchAgent, cfg.AgentAPI, cfg.StateDir = true, agent.URL, dir
		cfg.OnToken = func(url string, token identity.Token) {
			if url != public {
				t.Errorf("told of the URL %s", url)
			}
			made <- token
		}
	})
	if len(n.Cluster().Tokens()) != 0 {
		t.Fatal("it has a token from the start")
	}
	_, port, err := net.SplitHostPort(n.Addr())
	if err != nil {
		t.Fatal(err)
	}
	tunnel.Store("http://localhost:" + port)
	token := <-made
	if all := n.Cluster().Tokens(); len(all) != 1 || all[0] != token {
		t.Errorf("it proves %d tokens, and not the one it told of", len(all))
	}
	n.Wait("the card has the tunnel's URL", func() bool {
		c, err := n.Client.Card(t.Context())
		return err == nil && c.URL == public
	})
	if b, err := os.ReadFile(filepath.Join(dir, "token")); err != nil || strings.TrimSpace(string(b)) != token.String() {
		t.Errorf("what caucus invite reads is another token: %v", err)
	}
	// Who comes through the tunnel is let in where everybody is, and nowhere else.
	for path, want := range map[string]int{"/healthz": 200, "/members": 401} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, n.URL+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("X-Forwarded-For", "203.0.113.7")
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if res.StatusCode != want {
			t.Errorf("%s through the tunnel: %d, want %d", path, res.StatusCode, want)
		}
	}
	http.DefaultClient.CloseIdleConnections()
}
