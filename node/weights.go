package node

import (
	"cmp"
	"encoding/hex"
	"slices"

	"github.com/oklog/ulid/v2"

	"caucus/cluster/evidence"
	"caucus/cluster/identity"
	"caucus/cluster/session"
	"caucus/node/api"
	"caucus/node/consensus"
)

// Weights implements api.Node.
func (n *Node) Weights(rows bool) (*api.WeightsReply, error) {
	inv := n.engine.invitedOf()
	x := n.engine.learner.of(inv)
	b := x.basis
	names := map[string]string{}
	for i := range inv.view.Members {
		m := &inv.view.Members[i]
		names[string(m.ID)] = m.Name
	}
	auto := x.plans[consensus.Auto]
	out := &api.WeightsReply{
		Asked: string(n.id), Basis: x.digest, Roster: inv.roster, Evidence: x.evidence, From: n.policy.String(),
		Labels: b.Rows, Disputed: b.Disputed,
		Auto:    api.AutoRule{Rule: auto.Rule.String(), Follows: auto.Follow, Reason: auto.Reason},
		Members: make([]api.MemberWeight, len(b.Members)), Rules: make([]api.RuleWeight, len(b.Experts)),
		Mixture: api.Millionths(b.Mixture), Regret: api.Millionths(b.Regret), Bound: api.Millionths(consensus.ToMillionths(b.Bound)),
		Together: make([]api.ErrorPair, len(b.Together)), Labellers: []api.Labeller{},
	}
	for i := range b.Members {
		out.Members[i] = n.weight(&b.Members[i], &inv.peers[i])
	}
	for i, e := range b.Experts {
		line := api.RuleWeight{Rule: e.Rule.String(), Rows: e.Rows, Loss: api.Millionths(e.Loss), Share: api.Millionths(e.Share)}
		if e.Member != "" {
			line.Rule, line.Member, line.Name = "member", e.Member, names[e.Member]
		}
		out.Rules[i] = line
	}
	for i, p := range b.Together {
		out.Together[i] = api.ErrorPair{
			Members: [2]string{p.A, p.B}, Rows: p.Rows, Together: p.Together,
			Expected: api.Millionths(consensus.ToMillionths(p.Expected)), Z: api.Millionths(consensus.ToMillionths(p.Z)),
		}
	}
	if x.snapshot != nil {
		for _, l := range x.snapshot.Labellers() {
			out.Labellers = append(out.Labellers, api.Labeller{
				ID: string(l.ID), Name: names[string(l.ID)], Records: l.Records, Counts: l.Counts, Excluded: l.Excluded,
			})
		}
	}
	if rows {
		out.Rows = labelledRows(x.snapshot)
	}
	return out, nil
}

// labelledRows names the rows that the weights rest on.
func labelledRows(s *evidence.Snapshot) []string {
	if s == nil {
		return nil
	}
	replay := s.Replay()
	out := make([]string, len(replay))
	for i, e := range replay {
		out[i] = hex.EncodeToString(e.Key.Features[:])
	}
	slices.Sort(out)
	return slices.Compact(out)
}

func (n *Node) weight(m *consensus.Learnt, p *peer) api.MemberWeight {
	w := api.MemberWeight{
		ID: m.ID, Name: p.name, Model: p.model, Correct: m.Correct, Total: m.Total,
		Score: api.Millionths(m.Score), Weight: api.Millionths(m.Weight), Voice: m.Voice,
		Recall: make([]api.Recall, len(m.Recall)), TwoFaced: m.TwoFaced,
	}
	for k, r := range m.Recall {
		w.Recall[k] = api.Recall{Label: n.local.task.Labels[k], Correct: r.Correct, Total: r.Total}
	}
	return w
}

// Review implements api.Node: this node's own recent rounds of one row that nobody here
// has labelled, those first on which the voters differ most.
func (n *Node) Review(limit int) []api.ReviewRound {
	var given map[evidence.Key]int
	if n.feedback.log != nil {
		given = n.feedback.log.Snapshot().LabelledAll()
	}
	e := n.engine
	var out []api.ReviewRound
	e.history.newest(func(p *past) bool {
		r := p.own
		if r == nil {
			return true
		}
		features := session.FeaturesDigest(r.rows)
		_, byRound := given[evidence.Key{Round: p.id, Features: features}]
		_, byRow := given[evidence.Key{Features: features}]
		if byRound || byRow || r.result.Label < 0 {
			return true
		}
		out = append(out, api.ReviewRound{
			Round: r.idText, At: ulid.Time(p.id.Time()).UTC(), Label: e.local.task.Labels[r.result.Label],
			Features: slices.Clone(r.rows), Votes: e.shortVotes(p),
			Disagreement: api.Millionths(consensus.ToMillionths(r.result.Disagreement)), Margin: api.Millionths(r.result.Margin),
		})
		return true
	})
	slices.SortStableFunc(out, func(a, b api.ReviewRound) int {
		return cmp.Or(cmp.Compare(b.Disagreement, a.Disagreement), cmp.Compare(a.Margin, b.Margin))
	})
	return out[:min(limit, len(out))]
}

// weightOf returns what the evidence says of a member, for the roster; nil while there is no label.
func (n *Node) weightOf(x *learnt, id identity.ID) *api.Millionths {
	if x.basis.Rows == 0 {
		return nil
	}
	i, found := slices.BinarySearchFunc(x.basis.Members, string(id), func(m consensus.Learnt, id string) int { return cmp.Compare(m.ID, id) })
	if !found {
		return nil
	}
	w := api.Millionths(x.basis.Members[i].Weight)
	return &w
}
