package node

import (
	"crypto/ed25519"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"time"

	"caucus/cluster"
	"caucus/cluster/identity"
	"caucus/node/api"
	"caucus/node/consensus"
)

// invited is who is asked in a round: the roster's members of the task, whatever their
// state, but for those who left or were refused. It is derived once from each view and
// shared by all rounds, which only read it.
type invited struct {
	view    *cluster.View
	self    int                // place of this node, or -1
	members []consensus.Member // in id order
	peers   []peer             // likewise
	votes   []api.Vote         // likewise: what of a vote does not change from round to round
	roster  string             // digest, as replies show it
	digest  [32]byte           // of the members and their models: weights are learnt for just these
	part    bool               // not the whole roster of the task, but some kinds of model
	allSay  []string           // by class: the summary when everybody agrees
}

// peer is one invited member.
type peer struct {
	id      identity.ID
	name    string // with the id's start if another has the same name
	model   string
	state   cluster.State
	since   time.Time
	health  *health
	metrics *peerMetrics

	key         ed25519.PublicKey
	fingerprint [32]byte // of its model
	card        []byte   // signed
}

// votes reports whether a member counts in rounds of the task.
func votes(m *cluster.Member, task [32]byte) bool {
	switch m.State {
	case cluster.Alive, cluster.Suspect, cluster.Failed:
		return m.Task == task
	}
	return false
}

// rosterDigest is how replies show a digest: enough to see that two are equal.
func rosterDigest(d [32]byte) string { return hex.EncodeToString(d[:8]) }

// invitedOf returns those whom the current view invites.
func (e *engine) invitedOf() *invited {
	v := e.cluster.View()
	if inv := e.invited.Load(); inv != nil && inv.view == v {
		return inv
	}
	// Two rounds may build it at once; either result is good.
	inv := e.derive(v)
	e.invited.Store(inv)
	return inv
}

func (e *engine) derive(v *cluster.View) *invited {
	inv := &invited{view: v, self: -1, roster: rosterDigest(v.Digest)}
	var chosen []*cluster.Member
	names := map[string]int{}
	for i := range v.Members {
		if m := &v.Members[i]; votes(m, e.local.digest) {
			chosen = append(chosen, m)
			names[m.Name]++
		}
	}
	slices.SortFunc(chosen, func(a, b *cluster.Member) int { return strings.Compare(string(a.ID), string(b.ID)) })
	ids, sequences := make([]identity.ID, len(chosen)), make([]uint64, len(chosen))
	for i, m := range chosen {
		ids[i], sequences[i] = m.ID, m.Sequence
	}
	healths := e.healths.keep(ids, sequences)
	e.metrics.keepPeers(ids)
	for i, m := range chosen {
		if m.Self {
			inv.self = i
		}
		name := m.Name
		if names[name] > 1 {
			name += "#" + m.ID.Short()
		}
		inv.add(peer{
			id: m.ID, name: name, model: m.Model, state: m.State, since: m.Since,
			health: healths[i], metrics: e.metrics.peer(m.ID), key: m.PublicKey, fingerprint: m.Fingerprint, card: m.Signed,
		})
	}
	inv.digest = digestOf(inv.peers)
	inv.summaries(e.local.task.Labels)
	return inv
}

func (inv *invited) add(p peer) {
	inv.peers = append(inv.peers, p)
	inv.members = append(inv.members, consensus.Member{ID: string(p.id), Weight: consensus.One})
	inv.votes = append(inv.votes, api.Vote{Node: string(p.id), Name: p.name, Model: p.model})
}

// summaries writes the sentence for agreement of all, which most rounds end with.
func (inv *invited) summaries(labels []string) {
	var c consensus.Counter
	rule := consensus.Rule{Method: consensus.Majority, Classes: len(labels)}
	if len(inv.members) < 2 || c.Reset(rule, inv.members) != nil {
		return
	}
	lines := make([]consensus.Line, len(inv.peers))
	inv.allSay = make([]string, len(labels))
	var r consensus.Result
	for k := range labels {
		c.Clear()
		for i := range inv.peers {
			c.AddAt(i, &consensus.Vote{Outcome: consensus.OK, Label: k})
			lines[i] = consensus.Line{Name: inv.peers[i].name, Outcome: consensus.OK, Label: k}
		}
		c.Result(&r)
		inv.allSay[k] = consensus.Summary(&r, labels, lines)
	}
}

// ofModels returns those of the kinds named. n is then theirs alone: who asks for some
// models wants the majority of these, not of a cluster in which the others are silent.
func (inv *invited) ofModels(kinds, labels []string) (*invited, error) {
	out := &invited{view: inv.view, self: -1, roster: inv.roster, part: true}
	var there []string
	for i, p := range inv.peers {
		if !slices.Contains(there, p.model) {
			there = append(there, p.model)
		}
		if slices.Contains(kinds, p.model) {
			if i == inv.self {
				out.self = len(out.peers)
			}
			out.add(p)
		}
	}
	for _, k := range kinds {
		if !slices.Contains(there, k) {
			slices.Sort(there)
			return nil, api.Problemf(api.BadInput, "no member of this task has the model %q; %s", k, thereAre(there))
		}
	}
	out.digest = digestOf(out.peers)
	out.summaries(labels)
	return out, nil
}

// why says why a peer that was not reached could not be.
func (p *peer) why() string {
	if p.state == cluster.Failed {
		return fmt.Sprintf("failed since %s", p.since.UTC().Format(time.RFC3339))
	}
	return "there is no connection with it at the moment"
}
