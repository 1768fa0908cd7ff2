package api

import "caucus/node/consensus"

// Learnt returns what the reply says of the members as package consensus holds it, so that
// whoever has the votes of a round can carry a method out as the nodes do: Learnt, then Plan,
// then a Counter. Only what counting needs is in it: weights, skills, voices and the Hedge
// table, not who recognises what or who errs together.
func (w *WeightsReply) Learnt(classes int) *consensus.Basis {
	b := &consensus.Basis{Classes: classes, Rows: w.Labels, Disputed: w.Disputed, Best: -1}
	for _, m := range w.Members {
		b.Members = append(b.Members, consensus.Learnt{
			ID: m.ID, Correct: m.Correct, Total: m.Total,
			Score: consensus.Millionths(m.Score), Weight: consensus.Millionths(m.Weight), Voice: m.Voice,
		})
	}
	for i, r := range w.Rules {
		x := consensus.Expert{Member: r.Member, Rows: r.Rows, Loss: consensus.Millionths(r.Loss), Share: consensus.Millionths(r.Share)}
		if r.Member == "" {
			if m, err := consensus.ParseMethod(r.Rule); err == nil {
				x.Rule = m
			}
		}
		b.Experts = append(b.Experts, x)
		// The first of those that have lost least, as Basis.Best says.
		if x.Rows > 0 && (b.Best < 0 || x.Loss < b.Experts[b.Best].Loss) {
			b.Best = i
		}
	}
	return b
}
