package reach

import (
	"encoding/json"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"caucus/cluster/identity"
)

// AgentTunnel is one tunnel of an ngrok agent: a public URL and where it leads.
type AgentTunnel struct{ URL, Upstream string }

func (t AgentTunnel) String() string { return cut(t.URL, 120) + " -> " + cut(t.Upstream, 120) }

// agentForms are the two forms of the agent's API, the newer first.
var agentForms = []struct {
	path string
	read func([]byte) ([]AgentTunnel, error)
}{
	{"/api/endpoints", readEndpoints},
	{"/api/tunnels", readTunnels},
}

func readEndpoints(body []byte) ([]AgentTunnel, error) {
	var answer struct {
		Endpoints *[]struct {
			URL      string `json:"url"`
			Upstream struct {
				URL string `json:"url"`
			} `json:"upstream"`
		} `json:"endpoints"`
	}
	if err := json.Unmarshal(body, &answer); err != nil || answer.Endpoints == nil {
		return nil, fmt.Errorf("reach: /api/endpoints answered no list of endpoints: %q", cut(string(body), 80))
	}
	var all []AgentTunnel
	for _, e := range *answer.Endpoints {
		all = append(all, AgentTunnel{e.URL, e.Upstream.URL})
	}
	return all, nil
}

func readTunnels(body []byte) ([]AgentTunnel, error) {
	var answer struct {
		Tunnels *[]struct {
			PublicURL string `json:"public_url"`
			Config    struct {
				Addr string `json:"addr"`
			} `json:"config"`
		} `json:"tunnels"`
	}
	if err := json.Unmarshal(body, &answer); err != nil || answer.Tunnels == nil {
		return nil, fmt.Errorf("reach: /api/tunnels answered no list of tunnels: %q", cut(string(body), 80))
	}
	var all []AgentTunnel
	for _, t := range *answer.Tunnels {
		all = append(all, AgentTunnel{t.PublicURL, t.Config.Addr})
	}
	return all, nil
}

// choose picks the tunnel that leads to our port: https before http, the one that we
// have already (keep) before others of its scheme, else the order of the list.
//
// A tunnel that leads to our port on another machine is somebody else's node. Only an
// agent that is itself elsewhere (in a container beside ours) may name us by a host.
func choose(list []AgentTunnel, port int, agentIsLocal bool, keep string) Found {
	var found Found
	for _, t := range list {
		u, err := identity.ParseURL(t.URL) // also refuses tcp:// and tls://, which carry no HTTP for us
		host, p := upstream(t.Upstream)
		if err != nil || p != port || agentIsLocal && !isOurs(host) || notPublic(u) {
			found.Others = append(found.Others, t)
			continue
		}
		better := found.URL == "" ||
			strings.HasPrefix(u, "https:") && !strings.HasPrefix(found.URL, "https:") ||
			u == keep && strings.HasPrefix(u, "https:") == strings.HasPrefix(found.URL, "https:")
		if better {
			found.URL = u
		}
	}
	return found
}

// notPublic reports whether a URL is one of ngrok's internal endpoints, which only other
// endpoints of the account reach.
func notPublic(u string) bool {
	parsed, err := url.Parse(u)
	return err != nil || strings.HasSuffix(parsed.Hostname(), ".internal")
}

// upstream reads where a tunnel leads: http://localhost:5001, localhost:5001, :5001, or
// 5001. The port is 0 where there is none to read.
func upstream(s string) (host string, port int) {
	if n, err := strconv.ParseUint(s, 10, 16); err == nil {
		return "", int(n)
	}
	if !strings.Contains(s, "://") {
		s = "http://" + s
	}
	u, err := url.Parse(s)
	if err != nil {
		return "", 0
	}
	n, _ := strconv.ParseUint(u.Port(), 10, 16)
	switch {
	case n != 0 || u.Port() != "":
	case u.Scheme == "http":
		n = 80
	case u.Scheme == "https":
		n = 443
	}
	return u.Hostname(), int(n)
}

// isLocalHost reports whether a host names this machine whatever its networks.
func isLocalHost(host string) bool {
	if host == "" || strings.EqualFold(strings.TrimSuffix(host, "."), "localhost") {
		return true
	}
	a, err := netip.ParseAddr(host)
	return err == nil && (a.Unmap().IsLoopback() || a.Unmap().IsUnspecified())
}

// isOurs reports whether a host is this machine: loopback, or an address of an interface.
func isOurs(host string) bool {
	if isLocalHost(host) {
		return true
	}
	ip := net.ParseIP(host)
	if ip == nil {
		return false
	}
	addrs, err := net.InterfaceAddrs()
	return err == nil && slices.ContainsFunc(addrs, func(a net.Addr) bool {
		n, ok := a.(*net.IPNet)
		return ok && n.IP.Equal(ip)
	})
}

func unique(list []AgentTunnel) []AgentTunnel {
	var out []AgentTunnel
	for _, t := range list {
		if !slices.Contains(out, t) {
			out = append(out, t)
		}
	}
	return out
}
