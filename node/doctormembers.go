package node

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"caucus/cluster"
	"caucus/node/api"
)

// toldOneByOne is how many findings of one kind are told one by one.
const toldOneByOne = 12

// skewTold is from which difference on a clock is called wrong. Nothing breaks by it: times that are
// shown differ, and tokens that were replaced are good for a little longer or shorter.
const skewTold = 2 * time.Second

// skewHour is where more than the display suffers: a new token of a node whose clock is that far ahead is not taken.
const skewHour = time.Hour

// members says who cannot be reached, or does not vote, and why.
func (p *patient) members() []api.Finding {
	var out []api.Finding
	urls := map[string]string{}
	for i := range p.view.Members {
		m := &p.view.Members[i]
		if m.Self {
			if m.State == cluster.Refused && !m.Removed { // which is said where it is said whether this node is ready
				out = append(out, one("member.refused", api.SeverityFail, m.Name, "This node is not counted: "+clean(m.Reason)+".",
					"start the members that are missing, or have the others forget them: caucus forget --failed")...)
			}
			continue
		}
		_, up := p.up[m.ID]
		name, since := p.called(m), spoken(p.cfg.Now().Sub(m.Since))
		switch m.State {
		case cluster.Failed:
			out = append(out, one("member.failed", api.SeverityWarn, name, withReason(fmt.Sprintf("%s has failed, %s ago", name, since), strings.TrimPrefix(m.Reason, "no session: ")),
				"start it again; if it is gone for good: caucus forget "+m.Name)...)
			continue
		case cluster.Left:
			continue
		case cluster.Refused:
			if m.Name != "" && !m.Removed { // strangers come later, and who was removed is out on purpose
				out = append(out, one("member.refused", api.SeverityWarn, name, withReason(fmt.Sprintf("%s is seen and does not count", name), m.Reason), "")...)
			}
			continue
		}
		if !up {
			out = append(out, one("member.session", api.SeverityWarn, name, withReason(fmt.Sprintf("There is no session with %s, so it is not asked", name), strings.TrimPrefix(m.Reason, "no session: ")),
				"if it lasts, look at its own caucus doctor")...)
		}
		if m.Task != p.local.digest {
			line := p.member(m)
			out = append(out, one("member.task", api.SeverityWarn, name, withReason(fmt.Sprintf("%s is there, but does not vote with this node", name), line.Reason),
				"for one vote all need the same columns and labels, in the same data format: start one of the two with the other's data")...)
		}
		if m.URL != "" && !strings.Contains(m.URL, "/via/") {
			if other := urls[m.URL]; other != "" {
				out = append(out, one("member.url", api.SeverityWarn, name, fmt.Sprintf("%s and %s say that they are at one URL, %s, and only one of them can be.", other, name, m.URL),
					"a free ngrok account has one domain for all its agents: one account for each of you who runs a tunnel")...)
			}
			urls[m.URL] = name
		}
	}
	return limited(out, "members")
}

// withReason ends a sentence with its reason, if there is one.
func withReason(sentence, reason string) string {
	if reason == "" {
		return sentence + "."
	}
	return sentence + ": " + strings.TrimSuffix(clean(reason), ".") + "."
}

// limited keeps a report readable where very many have the same trouble.
func limited(all []api.Finding, what string) []api.Finding {
	if len(all) <= toldOneByOne {
		return all
	}
	rest := all[toldOneByOne:]
	return append(all[:toldOneByOne:toldOneByOne], api.Finding{ID: "more", Severity: api.Worst(rest), Sentence: fmt.Sprintf("There is as much to say of %d more %s; caucus members lists them.", len(rest), what)})
}

// turnedAway says who came and was not let in.
func (p *patient) turnedAway() []api.Finding {
	var out []api.Finding
	for i := range p.view.Members {
		m := &p.view.Members[i]
		if m.State != cluster.Refused || m.Name != "" || m.Self || m.Removed {
			continue
		}
		remedy := "if it is a friend's, make sure that both have the same version of caucus"
		if strings.Contains(m.Reason, "token") {
			remedy = "if it is a friend's, send a new line: caucus invite"
		}
		out = append(out, one("refused", api.SeverityWarn, m.ID.Short(), withReason(fmt.Sprintf("A node that nobody knows (%s) is not let in", m.ID.Short()), strings.TrimPrefix(m.Reason, "turned away: ")), remedy)...)
	}
	return limited(out, "nodes that are not let in")
}

// versions says who runs another version than this node.
func (p *patient) versions() []api.Finding {
	others := map[string][]string{}
	n := 0
	for i := range p.view.Members {
		m := &p.view.Members[i]
		var d description
		if m.Self || len(m.Description) == 0 || m.State == cluster.Left || json.Unmarshal(m.Description, &d) != nil {
			continue
		}
		n++
		if d.Version != p.cfg.Version {
			others[clean(d.Version)] = append(others[clean(d.Version)], p.called(m))
		}
	}
	var out []api.Finding
	for version, names := range others {
		slices.Sort(names)
		out = append(out, one("version", api.SeverityWarn, names[0], fmt.Sprintf("%s runs version %s, and this node %s.", enumerate(names), named(version), named(p.cfg.Version)),
			"they work together as long as nothing here says otherwise; update the older of the two when it suits you")...)
	}
	slices.SortFunc(out, func(a, b api.Finding) int { return strings.Compare(a.Sentence, b.Sentence) })
	if len(out) == 0 && n > 0 {
		out = one("version", api.SeverityOK, "", fmt.Sprintf("All run version %s, as far as they have said.", named(p.cfg.Version)), "")
	}
	return limited(out, "versions")
}

func named(version string) string {
	if version == "" {
		return "unknown"
	}
	return version
}

// measured is one peer's clock.
type measured struct {
	member *cluster.Member
	clock  cluster.Clock
	err    error
}

// clocks compares the clocks of all peers with this node's.
func (p *patient) clocks(ctx context.Context) []api.Finding {
	var all []*measured
	for i := range p.view.Members {
		m := &p.view.Members[i]
		if _, up := p.up[m.ID]; up {
			all = append(all, &measured{member: m})
		}
	}
	var wait sync.WaitGroup
	places := make(chan struct{}, 16)
	for _, x := range all {
		wait.Go(func() {
			places <- struct{}{}
			defer func() { <-places }()
			x.clock, x.err = p.cluster.Clock(ctx, x.member.ID)
		})
	}
	wait.Wait()
	return p.skews(all)
}

// skews tells of clocks that differ. Where most of them agree with one another and not with this node's,
// it is this node's that is wrong.
func (p *patient) skews(all []*measured) []api.Finding {
	var out []api.Finding
	var good, off []*measured
	for _, x := range all {
		switch {
		case x.err != nil:
			continue // it has no session any more, or is older: both are told of elsewhere
		case x.clock.Ahead.Abs()-x.clock.Error > skewTold:
			off = append(off, x)
		default:
			good = append(good, x)
		}
	}
	agree := len(off) > 1 && len(good) == 0
	for _, x := range off {
		agree = agree && (x.clock.Ahead-off[0].clock.Ahead).Abs() <= 2*skewTold
	}
	const remedy = "set the clock by the network (on Linux: timedatectl set-ntp true); votes and membership do not depend on it, the times that are shown do"
	if agree {
		return one("clock", api.SeverityWarn, p.cfg.Name, fmt.Sprintf("This node's clock is %s those of all %d peers.", aheadOf(-off[0].clock.Ahead), len(off)), remedy)
	}
	for _, x := range off {
		name := p.called(x.member)
		why := remedy
		if x.clock.Ahead > skewHour {
			why = "a new token that it makes is not taken here until its clock is right; " + remedy
		}
		out = append(out, one("clock", api.SeverityWarn, name,
			fmt.Sprintf("The clock of %s is %s this node's (give or take %s).", name, aheadOf(x.clock.Ahead), brief(x.clock.Error)), why)...)
	}
	if len(good) > 0 {
		largest := good[0].clock.Ahead.Abs()
		for _, x := range good {
			largest = max(largest, x.clock.Ahead.Abs())
		}
		whose := "the clock of 1 peer"
		if len(good) > 1 {
			whose = fmt.Sprintf("the clocks of %d peers", len(good))
		}
		out = append(out, one("clock", api.SeverityOK, "", fmt.Sprintf("This node's clock and %s are at most %s apart.", whose, brief(largest)), "")...)
	}
	return limited(out, "clocks")
}

func aheadOf(d time.Duration) string {
	if d < 0 {
		return spoken(-d) + " behind"
	}
	return spoken(d) + " ahead of"
}
