package node

import (
	"fmt"

	"caucus/node/consensus"
)

// emBatch is what method=em makes of a batch. The zero value is that of another method.
type emBatch struct {
	fit *consensus.EMFit
	err error
}

// used reports whether the fit decides; else the votes are counted.
func (b *emBatch) used() bool { return b.fit != nil && b.fit.Gate == "" }

// fitEM weighs the votes of a closed batch, if that is asked for.
func (r *round) fitEM() *emBatch {
	b := &emBatch{}
	if r.plan.Method != consensus.EM {
		return b
	}
	columns := make([]consensus.Column, len(r.asks))
	for i := range r.asks {
		p := &r.inv.peers[i]
		columns[i].Peer = consensus.Peer{ID: string(p.id), Fingerprint: string(p.fingerprint[:])}
		if r.asks[i].final != consensus.OK {
			continue
		}
		columns[i].Labels = make([]int, r.n)
		for row, y := range r.asks[i].answer.Labels {
			columns[i].Labels[row] = int(y)
		}
	}
	b.fit, b.err = consensus.FitEM(r.rule.Classes, columns)
	return b
}

// why says why the rule that decided a batch did.
func (b *emBatch) why(r *round) string {
	switch {
	case b.err != nil:
		return b.err.Error() + "; so each vote counts one"
	case b.fit == nil:
		return r.why()
	case b.fit.Gate != "":
		return b.fit.Gate + "; so each vote counts one"
	}
	return fmt.Sprintf("asked for; skills of %d models estimated from %d rows without labels", b.fit.Voices, b.fit.Rows)
}
