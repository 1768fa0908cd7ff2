package node

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"caucus/cluster"
	"caucus/cluster/identity"
	"caucus/cluster/reach"
	"caucus/node/api"
)

// callers is how many peers are asked to call this node's URL: where two say the same, it is not the peer.
const callers = 2

// address says under which URL this node is reached, and where that comes from.
func (p *patient) address() []api.Finding {
	choice, _ := p.cluster.Chooser().Current()
	host, port := p.listens()
	switch {
	case choice.URL == "" && p.listensLocally() && len(p.cfg.Join) == 0:
		return one("url", api.SeverityOK, "", fmt.Sprintf("This node listens on %s alone, so it is reached on this machine alone.", p.Addr()),
			fmt.Sprintf("to let others in: ngrok http %d, or any other tunnel (docs/team.md)", port))
	case choice.URL == "":
		return one("url", api.SeverityWarn, "", fmt.Sprintf("This node has no URL: it listens on %s, nobody could call it there, and no member relays for it.", p.Addr()),
			fmt.Sprintf("it votes on the sessions that it opens itself; for others to reach it: ngrok http %d, --public-url URL, or a member that has a tunnel", port))
	}
	from := ""
	switch choice.Source {
	case reach.FromFlag:
		from = "as --public-url says"
	case reach.FromAgent:
		from = "by the tunnel of the ngrok agent on this machine"
	case reach.FromTunnel:
		from = "by a tunnel of its own (--ngrok)"
	case reach.FromDialBack:
		from = "where a peer found it"
		if loopbackURL(choice.URL) {
			return one("url", api.SeverityOK, choice.URL, fmt.Sprintf("Nodes on this machine reach this one at %s; others do not, since it listens on %s.", choice.URL, host), "")
		}
	case reach.FromRelay:
		relay := "a relay"
		if p.self != nil && p.self.Via != "" {
			relay = p.calledID(p.self.Via)
		}
		from = fmt.Sprintf("through %s, for it has no address of its own that others could call", relay)
	}
	return one("url", api.SeverityOK, choice.URL, fmt.Sprintf("Others reach this node at %s, %s.", choice.URL, from), "")
}

func loopbackURL(s string) bool {
	host := strings.TrimPrefix(strings.TrimPrefix(s, "http://"), "https://")
	return strings.HasPrefix(host, "127.") || strings.HasPrefix(host, "localhost") || strings.HasPrefix(host, "[::1]")
}

// reach has peers call this node's URL, or this node itself where there are none. d.busy is held.
func (d *doctor) reach(ctx context.Context, p *patient) []api.Finding {
	if p.self == nil || p.self.URL == "" {
		return nil
	}
	url := p.self.URL
	asked := d.peersToAsk(p)
	var ok, bad, apart, later []string
	var why error
	for _, c := range d.ask(ctx, url, asked) {
		switch {
		case c.err == nil:
			ok = append(ok, p.calledID(c.id))
		case errors.Is(c.err, reach.ErrNotReached) && strings.Contains(c.err.Error(), cluster.Blocked):
			apart = append(apart, p.calledID(c.id)) // it is on another network than this private address
		case errors.Is(c.err, reach.ErrNotReached):
			bad, why = append(bad, p.calledID(c.id)), c.err
		default:
			later = append(later, p.calledID(c.id))
		}
	}
	const id = "url.reach"
	reason := ""
	if why != nil {
		reason = strings.TrimPrefix(why.Error(), reach.ErrNotReached.Error()+": ")
	}
	switch {
	case len(ok) > 0 && len(bad) == 0:
		return one(id, api.SeverityOK, url, fmt.Sprintf("%s called %s just now and met this node.", enumerate(ok), url), "")
	case len(ok) > 0:
		return one(id, api.SeverityWarn, url, withReason(fmt.Sprintf("%s met this node at %s, but %s did not", enumerate(ok), url, enumerate(bad)), reason),
			"it may be the network of "+enumerate(bad)+"; what it cannot call it reaches through a relay")
	case len(bad) > 0:
		return one(id, api.SeverityFail, url, withReason(fmt.Sprintf("%s called %s and did not meet this node", enumerate(bad), url), reason), p.unreachableRemedy(reason))
	case len(apart) > 0:
		return one(id, api.SeverityOK, url, fmt.Sprintf("%s cannot call %s, which is of a network that only this machine is on; they talk on a session that this node opened, or through a relay.", enumerate(apart), url), "")
	case len(later) > 0:
		return one(id, api.SeverityOK, url, fmt.Sprintf("%s did not call %s this time: a peer does it every ten seconds at most.", enumerate(later), url), "ask again in ten seconds")
	}
	return d.reachSelf(ctx, url)
}

// reachSelf has this node call its own URL, in want of a peer.
func (d *doctor) reachSelf(ctx context.Context, url string) []api.Finding {
	err := d.n.cluster.ReachesItself(ctx)
	if err == nil {
		return one("url.reach", api.SeverityOK, url, fmt.Sprintf("No other node is here to call %s; this one called it and met itself.", url), "")
	}
	reason, remedy := err.Error(), fmt.Sprintf("check that the tunnel runs and leads to port %d", d.n.port())
	if words, refused := strings.CutPrefix(reason, "refused by the other node: "); refused { // by this very node
		if why, what, told := strings.Cut(words, ": "); told {
			reason, remedy = why, what
		}
	}
	return one("url.reach", api.SeverityFail, url, withReason(fmt.Sprintf("This node called its own URL, %s, and did not meet itself", url), reason), remedy)
}

func (p *patient) unreachableRemedy(reason string) string {
	switch choice, _ := p.cluster.Chooser().Current(); {
	case strings.Contains(reason, "another node answers"):
		return "two tunnels share one URL (a free ngrok account has one domain for all its agents), or --public-url is another node's: use one account for each tunnel"
	case isNgrok(choice.URL) && choice.Direct():
		return fmt.Sprintf("start the tunnel again, and see what it prints: ngrok http %d", p.port())
	case choice.Source == reach.FromFlag:
		return fmt.Sprintf("check that what --public-url names leads to port %d of this machine, and passes WebSockets on", p.port())
	case choice.Source == reach.FromRelay:
		name := "the relay"
		if p.self.Via != "" {
			name = p.calledID(p.self.Via)
		}
		return "the trouble is that of " + name + ", which relays for this node: run caucus doctor there"
	case choice.Source == reach.FromDialBack:
		return fmt.Sprintf("a firewall may be in between: open port %d, or use a tunnel: ngrok http %d", p.port(), p.port())
	}
	return fmt.Sprintf("start the tunnel again; it has to lead to port %d", p.port())
}

// peersToAsk returns those to ask, who have a session of their own with this node first.
func (d *doctor) peersToAsk(p *patient) []identity.ID {
	var ids []identity.ID
	for id := range p.up {
		m, ok := p.view.Find(id)
		if ok && (m.State == cluster.Alive || m.State == cluster.Suspect) {
			ids = append(ids, id)
		}
	}
	slices.SortFunc(ids, func(a, b identity.ID) int {
		// Who was asked longest ago first, so that asking twice asks others.
		if x, y := d.calls[a].at, d.calls[b].at; !x.Equal(y) {
			return x.Compare(y)
		}
		return strings.Compare(string(a), string(b))
	})
	return ids
}

// answered is what one peer said.
type answered struct {
	id  identity.ID
	err error
}

// ask has the first peers call, and further ones in the place of those that cannot.
func (d *doctor) ask(ctx context.Context, url string, ids []identity.ID) []answered {
	var out, useless []answered
	for len(ids) > 0 && len(out) < callers && len(out)+len(useless) < 3*callers && ctx.Err() == nil {
		now := ids[:min(len(ids), callers-len(out))]
		ids = ids[len(now):]
		said := make([]answered, len(now))
		var wait sync.WaitGroup
		for i, id := range now {
			wait.Go(func() {
				_, err := d.n.cluster.Reached(ctx, id)
				said[i] = answered{id, err}
			})
		}
		wait.Wait()
		for _, a := range said {
			if a.err == nil || errors.Is(a.err, reach.ErrNotReached) {
				d.remember(a, url)
				out = append(out, a)
				continue
			}
			if c, known := d.calls[a.id]; known && c.url == url && time.Since(c.at) < examined {
				out = append(out, answered{a.id, c.err}) // what it said a moment ago
				continue
			}
			useless = append(useless, a)
		}
	}
	if len(out) == 0 {
		return useless
	}
	return out
}

func (d *doctor) remember(a answered, url string) {
	if d.calls == nil {
		d.calls = map[identity.ID]call{}
	}
	for id, c := range d.calls {
		if time.Since(c.at) > time.Hour {
			delete(d.calls, id)
		}
	}
	d.calls[a.id] = call{at: time.Now(), url: url, err: a.err}
}

// agent looks for an ngrok agent on this machine that leads elsewhere, or here and is not used.
func (p *patient) agent(ctx context.Context) []api.Finding {
	if !p.cfg.WatchAgent {
		return nil
	}
	choice, _ := p.cluster.Chooser().Current()
	if choice.Source == reach.FromFlag || choice.Source == reach.FromTunnel || choice.Source == reach.FromAgent {
		return nil // the URL says it all
	}
	watch, err := reach.NewAgent(reach.AgentConfig{API: p.cfg.AgentAPI, Port: p.port()})
	if err != nil {
		return nil
	}
	found, err := watch.Find(ctx)
	switch {
	case err != nil:
		return nil // none is the usual case
	case found.URL != "" && len(p.cluster.Tokens()) == 0 && !p.cfg.Open:
		return one("tunnel", api.SeverityWarn, found.URL, fmt.Sprintf("An ngrok agent leads to this node from %s, but the node has no token to tell friends from strangers, so it does not use it.", found.URL),
			"start the node again: with the agent running it makes a token")
	case found.URL != "":
		return one("tunnel", api.SeverityOK, found.URL, fmt.Sprintf("An ngrok agent leads to this node from %s, which it takes up within seconds.", found.URL), "")
	case len(found.Others) > 0:
		others := make([]string, 0, len(found.Others))
		for _, t := range found.Others {
			others = append(others, t.String())
		}
		return one("tunnel", api.SeverityWarn, "", fmt.Sprintf("An ngrok agent runs on this machine, but leads elsewhere (%s), not to port %d.", clean(strings.Join(others, ", ")), p.port()),
			fmt.Sprintf("ngrok http %d", p.port()))
	}
	return one("tunnel", api.SeverityWarn, "", "An ngrok agent runs on this machine and has no tunnel.", fmt.Sprintf("ngrok http %d", p.port()))
}

// tunnelState says how the tunnel does that this node opens itself.
func (p *patient) tunnelState() []api.Finding {
	if p.tunnel == nil {
		return nil
	}
	switch s := p.tunnelled.Load(); {
	case s == nil:
		return one("tunnel", api.SeverityWarn, "", "The tunnel that --ngrok asks for is being opened.", "ask again in some seconds")
	case !s.Up && s.Err != nil:
		return one("tunnel", api.SeverityFail, s.URL, withReason("The tunnel that --ngrok asks for is down", s.Err.Error()), "check NGROK_AUTHTOKEN, the network, and which tunnels the account has open; it is tried again and again")
	case !s.Up:
		return one("tunnel", api.SeverityFail, s.URL, "The tunnel that --ngrok asks for is down.", "it is opened again and again; check the network")
	}
	return nil // the URL says it all
}

// relays says who carries this node and whom it carries.
func (p *patient) relays() []api.Finding {
	if p.self == nil {
		return nil
	}
	var out []api.Finding
	if p.self.Via != "" {
		name := p.calledID(p.self.Via)
		out = append(out, one("relay.via", api.SeverityOK, name, fmt.Sprintf("%s relays for this node; without it another member that can be called takes over.", name), "")...)
	} else if choice, _ := p.cluster.Chooser().Current(); choice.Source == reach.FromRelay {
		out = append(out, one("relay.via", api.SeverityWarn, choice.URL, fmt.Sprintf("The member that relays for this node at %s is not known here at the moment.", choice.URL), "")...)
	}
	if len(p.self.Carries) > 0 {
		names := make([]string, 0, len(p.self.Carries))
		for _, id := range p.self.Carries {
			names = append(names, p.calledID(id))
		}
		out = append(out, one("relay.carries", api.SeverityOK, "", fmt.Sprintf("This node relays for %s: what they say passes through its tunnel, encrypted.", enumerate(names)), "")...)
	}
	return out
}
