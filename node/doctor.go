package node

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"time"

	"caucus/cluster"
	"caucus/cluster/identity"
	"caucus/cluster/session"
	"caucus/node/api"
	"caucus/node/consensus"
)

// examineWithin bounds one examination; it has something to say of all that did not answer by then.
const examineWithin = 9 * time.Second

// examined is how long what peers said of this node's URL is good: they call it rarely.
const examined = 15 * time.Second

// doctor looks at all that a person needs to know when something does not work. One examination
// runs at a time, for each makes peers work.
type doctor struct {
	n *Node

	busy  sync.Mutex // held during an examination, also guards calls
	calls map[identity.ID]call
}

// call is what a peer said of this node's URL.
type call struct {
	at  time.Time
	url string // that was on the card then
	err error  // nil: it met this node there
}

// patient is what an examination looks at: the node at one moment.
type patient struct {
	*Node
	view  *cluster.View
	self  *cluster.Member
	up    map[identity.ID]session.Peer
	names map[string]int
	out   []api.Finding
}

// Doctor implements api.Node.
func (n *Node) Doctor(ctx context.Context) (*api.DoctorReply, error) {
	n.doctor.busy.Lock()
	defer n.doctor.busy.Unlock()
	ctx, cancel := context.WithTimeout(ctx, examineWithin)
	defer cancel()
	p := &patient{Node: n, view: n.cluster.View(), up: map[identity.ID]session.Peer{}, names: map[string]int{}}
	for _, s := range n.cluster.Sessions() {
		p.up[s.ID] = s
	}
	for i := range p.view.Members {
		m := &p.view.Members[i]
		p.names[m.Name]++
		if m.Self {
			p.self = m
		}
	}
	// What takes time runs beside the rest; the order of the report is that of the lines below.
	var wait sync.WaitGroup
	var reach, clocks, agent []api.Finding
	wait.Go(func() { reach = n.doctor.reach(ctx, p) })
	wait.Go(func() { clocks = p.clocks(ctx) })
	wait.Go(func() { agent = p.agent(ctx) })
	wait.Wait()
	for _, part := range []func() []api.Finding{
		p.ready, p.key, p.joins, p.address, is(reach), is(agent), p.tunnelState, p.relays, p.members, p.turnedAway,
		is(clocks), p.versions, p.storage, p.quota,
	} {
		p.out = append(p.out, part()...)
	}
	return &api.DoctorReply{
		Node: string(n.id), Name: n.cfg.Name, Version: n.cfg.Version, At: n.cfg.Now().UTC(), Status: api.Worst(p.out), Findings: p.out,
	}, nil
}

func is(f []api.Finding) func() []api.Finding { return func() []api.Finding { return f } }

// one makes a report of one finding.
func one(id, severity, about, sentence, remedy string) []api.Finding {
	return []api.Finding{{ID: id, Severity: severity, About: about, Sentence: sentence, Remedy: remedy}}
}

// called is how a member is told from the others.
func (p *patient) called(m *cluster.Member) string {
	switch {
	case m.Name == "":
		return "a node " + m.ID.Short()
	case p.names[m.Name] > 1:
		return m.Name + "#" + m.ID.Short()
	}
	return m.Name
}

func (p *patient) calledID(id identity.ID) string {
	if m, ok := p.view.Find(id); ok {
		return p.called(&m)
	}
	return "a node " + id.Short()
}

// ready says whether this node answers, and of how many a quorum can be had.
func (p *patient) ready() []api.Finding {
	inv := p.engine.invitedOf()
	reached := 0
	for i := range inv.peers {
		if _, up := p.up[inv.peers[i].id]; up || inv.peers[i].id == p.id {
			reached++
		}
	}
	need := consensus.QuorumOf(len(inv.peers), p.cfg.Quorum, false)
	_, err := p.Readiness()
	var problem *api.Problem
	switch {
	case errors.As(err, &problem) && problem.Kind() == api.Joining && len(p.cluster.Invites()) > 0:
		return one("ready", api.SeverityFail, "", "This node does not answer /consensus yet: it has reached nobody at the addresses that it was told to join.",
			"see to what is said of them below")
	case errors.As(err, &problem):
		remedy := strings.Join(problem.WhatToDo, "; ")
		if remedy == "" {
			remedy = "ask again in a moment; if it stays so, the node's log says more"
		}
		return one("ready", api.SeverityFail, "", withReason("This node does not answer /consensus", problem.Detail), remedy)
	case err != nil:
		return one("ready", api.SeverityFail, "", withReason("This node does not answer /consensus", err.Error()), "the node's log says more")
	case len(inv.peers) == 1 && reached == 1:
		return one("ready", api.SeverityOK, "", "This node answers /consensus, by itself: nobody else is in the cluster.", "")
	case reached < need:
		return one("ready", api.SeverityFail, "", fmt.Sprintf("/consensus fails here: %d of the %d members can be reached, and a quorum is %d.", reached, len(inv.peers), need),
			"start those that are missing (they are named below); if they are gone for good: caucus forget --failed")
	case reached < len(inv.peers):
		return one("ready", api.SeverityOK, "", fmt.Sprintf("This node answers /consensus: %d of the %d members can be reached, and a quorum is %d.", reached, len(inv.peers), need), "")
	}
	return one("ready", api.SeverityOK, "", fmt.Sprintf("This node answers /consensus; all %d members can be reached, and a quorum is %d.", len(inv.peers), need), "")
}

// key says whether this node is alone in being this node.
func (p *patient) key() []api.Finding {
	var out []api.Finding
	if why := p.cluster.KeyConflict(); why != "" {
		out = append(out, one("key", api.SeverityFail, "", "Another process uses this node's key, and the two count as one.", "stop one of them, or give it a state folder of its own: --state-dir DIR")...)
	}
	if p.cfg.Token == nil && len(p.cluster.Tokens()) == 0 && !p.listensLocally() {
		out = append(out, one("token", api.SeverityWarn, "", "This cluster has no token: whoever reaches this node may join it and vote.",
			"for friends alone: set CAUCUS_TOKEN on every node, and leave out --open")...)
	}
	return out
}

// joins says what became of the addresses that this node was told to join.
func (p *patient) joins() []api.Finding {
	var out []api.Finding
	alone := true
	for id := range p.up {
		if m, ok := p.view.Find(id); ok && m.State == cluster.Alive {
			alone = false
		}
	}
	for _, s := range p.cluster.Invites() {
		severity := api.SeverityWarn
		if alone {
			severity = api.SeverityFail
		}
		switch {
		case s.Joined:
			out = append(out, one("join", api.SeverityOK, s.Address, fmt.Sprintf("This node has joined at %s.", s.Address), "")...)
		case s.Refused:
			why, remedy, told := strings.Cut(s.Reason, ": ") // refusals say what to do
			if !told {
				remedy = "ask a member for a new line (caucus invite prints it), and paste all of it, in quotes"
			}
			out = append(out, one("join", severity, s.Address, withReason(fmt.Sprintf("The node at %s refuses this one", s.Address), why), clean(remedy))...)
		case s.Reason == "":
			out = append(out, one("join", api.SeverityWarn, s.Address, fmt.Sprintf("This node is trying to join at %s, and has no answer yet.", s.Address), "ask again in some seconds")...)
		default:
			out = append(out, one("join", severity, s.Address, fmt.Sprintf("This node could not join at %s: %s.", s.Address, clean(s.Reason)),
				"check that a node and its tunnel run there, or ask a member for a new line (caucus invite prints it); this node goes on trying")...)
		}
	}
	return out
}

// storage says whether the state is kept.
func (p *patient) storage() []api.Finding {
	switch why := p.notKept(); {
	case why != "":
		return one("storage", api.SeverityFail, p.cfg.StateDir, fmt.Sprintf("The state of this node cannot be written to %s: %s.", p.cfg.StateDir, why),
			"make room on that disk, or make the folder writable for this user; it is tried again and again")
	case p.cfg.StateDir == "":
		return one("storage", api.SeverityOK, "", "This node keeps nothing: its next start is a new member.", "")
	}
	return one("storage", api.SeverityOK, p.cfg.StateDir, fmt.Sprintf("The state of this node is kept in %s.", p.cfg.StateDir), "")
}

// quota says what a month through this node's tunnel comes to.
func (p *patient) quota() []api.Finding {
	choice, _ := p.cluster.Chooser().Current()
	if !isNgrok(choice.URL) || !choice.Direct() {
		return nil
	}
	x := p.traffic.pace.project(time.Now(), p.traffic.tunnelled())
	const plan = "ngrok's free plan has 20,000 requests and 1 GB out a month"
	seen := fmt.Sprintf("%s and %s out went through this node's tunnel in the last %s", counted(float64(x.seen.requests), "request"), bytesOf(float64(x.seen.bytes)), spoken(x.Over))
	if x.Over < quotaLeast {
		return one("quota", api.SeverityOK, choice.URL, fmt.Sprintf("%s, which is too short to say what a month comes to; %s.", seen, plan), "")
	}
	whole := fmt.Sprintf("%s: a month at that pace is %s and %s; %s.", seen, counted(x.requests, "request"), bytesOf(x.bytes), plan)
	if (x.requests > 0.8*ngrokRequests || x.bytes > 0.8*ngrokBytes) && x.Over >= time.Hour {
		return one("quota", api.SeverityWarn, choice.URL, whole,
			"keep the URL among friends (everybody who has it may ask /predict and /consensus), have a second member with a tunnel of its own, or take another plan")
	}
	return one("quota", api.SeverityOK, choice.URL, whole, "")
}

// host is where this node listens, for sentences.
func (p *patient) listens() (host string, port int) {
	host, _, _ = net.SplitHostPort(p.Addr())
	return host, p.port()
}
