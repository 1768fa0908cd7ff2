package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"caucus/cluster"
	"caucus/cluster/reach"
	"caucus/configs"
	"caucus/node/api"
)

// usualPorts are where nodes listen unless they are told otherwise.
var usualPorts = []int{5000, 5001, 5002}

// examineMachine says what can be said where no node answered at base.
func (a *app) examineMachine(ctx context.Context, base string, failed error) []api.Finding {
	var out []api.Finding
	add := func(severity, id, about, sentence, remedy string) {
		out = append(out, api.Finding{ID: id, Severity: severity, About: about, Sentence: sentence, Remedy: remedy})
	}
	u, err := url.Parse(base)
	if err != nil {
		u = &url.URL{}
	}
	if !isLoopback(base) {
		severity, sentence, remedy := elsewhere(base, failed)
		add(severity, "target", base, sentence, remedy)
		return append(out, a.settings()...)
	}
	port, _ := strconv.Atoi(u.Port())
	switch who := whoAnswers(ctx, u.Host); {
	case errors.Is(failed, syscall.ECONNREFUSED):
		add(api.SeverityFail, "target", base, fmt.Sprintf("No node answers at %s: nothing listens on port %d.", base, port),
			"caucus up   (three nodes, to see how it works), or: caucus serve --model knn"+listenFlag(port))
	case who != "":
		remedy := fmt.Sprintf("stop it, or start the node on another port: caucus serve --model knn --listen 127.0.0.1:%d", port+10)
		if port == 5000 {
			remedy += "; on macOS, AirPlay holds 5000 (System Settings, General, AirDrop & Handoff, AirPlay Receiver)"
		}
		add(api.SeverityFail, "target", base, fmt.Sprintf("No node answers at %s: something else has port %d (%s%s).", base, port, who, processOn(port)), remedy)
	default:
		add(api.SeverityFail, "target", base, fmt.Sprintf("No node answers at %s: something has port %d%s, but does not answer.", base, port, processOn(port)),
			"if it is a node, look at its log, and start it again; else give the node another port with --listen")
	}
	out = append(out, a.otherNodes(ctx, port)...)
	out = append(out, a.agentWithoutNode(ctx, port)...)
	out = append(out, a.settings()...)
	return append(out, a.stateFolders()...)
}

func listenFlag(port int) string {
	if port == 5001 || port == 0 {
		return ""
	}
	return fmt.Sprintf(" --listen 127.0.0.1:%d", port)
}

// elsewhere says why a node on another machine did not answer.
func elsewhere(base string, failed error) (severity, sentence, remedy string) {
	var dns *net.DNSError
	var problem *api.Problem
	switch {
	case errors.As(failed, &problem): // something answered that is no node, such as a tunnel in its words
		return api.SeverityFail, fmt.Sprintf("No node answers at %s: %s", base, sentenceOf(problem.Error())), "ask its owner to start the node and its tunnel, or for a new address"
	case errors.As(failed, &dns):
		return api.SeverityFail, fmt.Sprintf("There is no machine called %s, or this one cannot look names up.", dns.Name), "check the address; a tunnel's changes each time that it is started anew"
	case errors.Is(failed, syscall.ECONNREFUSED):
		return api.SeverityFail, fmt.Sprintf("No node answers at %s: that machine is there, and nothing listens on the port.", base), "start the node there, with --listen :PORT, since by default it listens on its own machine alone"
	case errors.Is(failed, context.DeadlineExceeded):
		return api.SeverityFail, fmt.Sprintf("No node answers at %s in time.", base), "a firewall may be in between; check the address and the port"
	}
	return api.SeverityFail, fmt.Sprintf("No node answers at %s: %s", base, sentenceOf(failed.Error())), "check the address"
}

func sentenceOf(s string) string { return strings.TrimSuffix(oneLine(s), ".") + "." }

// whoAnswers describes what answers HTTP at an address, "" if nothing does.
func whoAnswers(ctx context.Context, host string) string {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+host+"/", nil)
	if err != nil {
		return ""
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, CheckRedirect: reach.NoRedirects}
	res, err := client.Do(req)
	if err != nil {
		return ""
	}
	defer res.Body.Close()
	who := fmt.Sprintf("it answers HTTP %d", res.StatusCode)
	if server := oneLine(res.Header.Get("Server")); server != "" {
		who = fmt.Sprintf("%.60s, which answers HTTP %d", server, res.StatusCode)
		if strings.Contains(server, "AirTunes") {
			who = "AirPlay of this Mac"
		}
	}
	return who
}

// otherNodes looks for nodes on the usual ports, and where the environment has one listen.
func (a *app) otherNodes(ctx context.Context, but int) []api.Finding {
	ports := slices.Clone(usualPorts)
	if listen, err := configs.Listen(a.env); err == nil {
		ports = append(ports, portOf(listen))
	}
	slices.Sort(ports)
	var out []api.Finding
	for _, port := range slices.Compact(ports) {
		if port == but || port == 0 {
			continue
		}
		address := "http://localhost:" + strconv.Itoa(port)
		if name := nodeAt(ctx, address); name != "" {
			out = append(out, api.Finding{ID: "node", Severity: api.SeverityOK, About: address, Sentence: fmt.Sprintf("A node, %s, answers at %s.", name, address), Remedy: "caucus doctor --node " + address})
		}
	}
	return out
}

// nodeAt returns the name of the node at an address, "" if none answers.
func nodeAt(ctx context.Context, address string) string {
	c, err := api.NewClient(address, "")
	if err != nil {
		return ""
	}
	defer c.Close()
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	card, err := c.Card(ctx)
	if err != nil || card.ID == "" {
		return ""
	}
	return oneLine(card.Name)
}

// agentWithoutNode says where an ngrok agent on this machine leads.
func (a *app) agentWithoutNode(ctx context.Context, port int) []api.Finding {
	finding := func(severity, about, sentence, remedy string) []api.Finding {
		return []api.Finding{{ID: "tunnel", Severity: severity, About: about, Sentence: sentence, Remedy: remedy}}
	}
	token := "NGROK_AUTHTOKEN is not set, which only caucus serve --ngrok needs"
	if s, _ := a.env("NGROK_AUTHTOKEN"); s != "" {
		token = "NGROK_AUTHTOKEN is set, for caucus serve --ngrok"
	}
	agent, err := reach.NewAgent(reach.AgentConfig{API: a.agentAPI, Port: max(port, 1)})
	if err != nil {
		return nil
	}
	found, err := agent.Find(ctx)
	switch {
	case errors.Is(err, reach.ErrNoAgent):
		return finding(api.SeverityOK, "", fmt.Sprintf("No ngrok agent runs on this machine; %s.", token), "")
	case err != nil:
		return finding(api.SeverityWarn, "", "Something else than an ngrok agent answers on port 4040, where one would.", "")
	case found.URL != "":
		return finding(api.SeverityWarn, found.URL, fmt.Sprintf("An ngrok agent leads from %s to port %d, where no node is: who calls it sees an error page.", found.URL, port),
			"caucus serve --model knn"+listenFlag(port))
	case len(found.Others) > 0:
		others := make([]string, 0, len(found.Others))
		for _, t := range found.Others {
			others = append(others, oneLine(t.String()))
		}
		return finding(api.SeverityWarn, "", fmt.Sprintf("An ngrok agent runs on this machine and leads elsewhere than to port %d: %s.", port, list(others, "and")),
			fmt.Sprintf("ngrok http %d   (or start the node on the port that the tunnel leads to, with --listen)", port))
	}
	return finding(api.SeverityWarn, "", "An ngrok agent runs on this machine and has no tunnel.", fmt.Sprintf("ngrok http %d", port))
}

// settings says if what the environment sets would keep a node from starting.
func (a *app) settings() []api.Finding {
	_, err := configs.Load(configs.Input{Env: a.env})
	if err == nil {
		return nil
	}
	return []api.Finding{{ID: "settings", Severity: api.SeverityFail, Sentence: "With the environment as it is, no node starts: " + sentenceOf(err.Error()), Remedy: "caucus serve --help   (lists all settings)"}}
}

// stateFolders looks at the folders in which nodes of this user keep their state.
func (a *app) stateFolders() []api.Finding {
	var dirs []string
	if dir, ok := a.env("CAUCUS_STATE_DIR"); ok && dir != "" {
		if dir == "none" {
			return nil
		}
		dirs = []string{dir}
	} else if any, err := configs.StateDir("any", a.env); err == nil {
		root := filepath.Dir(any)
		entries, err := os.ReadDir(root)
		switch {
		case errors.Is(err, os.ErrNotExist):
			return []api.Finding{{ID: "state", Severity: api.SeverityOK, About: root, Sentence: fmt.Sprintf("No node of this user has kept any state yet (it would be in %s).", root)}}
		case err != nil:
			return []api.Finding{{ID: "state", Severity: api.SeverityFail, About: root, Sentence: fmt.Sprintf("The folder of state, %s, cannot be read: %v.", root, errors.Unwrap(err)), Remedy: "give this user the folder, or keep state elsewhere: --state-dir DIR"}}
		}
		for _, e := range entries {
			if e.IsDir() {
				dirs = append(dirs, filepath.Join(root, e.Name()))
			}
		}
	}
	var out []api.Finding
	var fine []string
	for _, dir := range dirs {
		if _, err := os.Stat(dir); errors.Is(err, os.ErrNotExist) {
			continue // it is made at the first start
		}
		switch r := cluster.InspectState(dir); {
		case r.Err != nil:
			out = append(out, api.Finding{ID: "state", Severity: api.SeverityFail, About: dir, Sentence: fmt.Sprintf("No node can use the state folder %s: %s", dir, sentenceOf(r.Err.Error())), Remedy: "mend what it says, or keep the state elsewhere: --state-dir DIR, as a new member"})
		case r.InUse:
			out = append(out, api.Finding{ID: "state", Severity: api.SeverityOK, About: dir, Sentence: fmt.Sprintf("A process has the state folder %s open: a node of that name runs, perhaps on another port.", dir)})
		default:
			fine = append(fine, filepath.Base(dir))
		}
	}
	if len(fine) > 0 {
		out = append(out, api.Finding{ID: "state", Severity: api.SeverityOK, Sentence: fmt.Sprintf("The state of %s is there and can be used.", list(fine, "and"))})
	}
	return out
}
