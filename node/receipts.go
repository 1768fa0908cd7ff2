package node

import (
	"encoding/json"
	"fmt"
	"slices"
	"sync"

	"github.com/oklog/ulid/v2"

	"caucus/node/api"
	"caucus/node/consensus"
	"caucus/node/receipt"
)

// receiptsKept is how many receipts can be fetched later.
const receiptsKept = 1000

// receipts is a ring of those that were given. The zero value is empty.
type receipts struct {
	mu   sync.Mutex // guards the rest
	ring []proof
	next int
}

// proof is one receipt, and what its weights were learnt from.
type proof struct {
	round  ulid.ULID
	text   []byte
	learnt *learnt
}

func (p *receipts) put(x proof) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.ring) < receiptsKept {
		p.ring = append(p.ring, x)
		return
	}
	p.ring[p.next] = x
	p.next = (p.next + 1) % receiptsKept
}

func (p *receipts) of(round ulid.ULID) (proof, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	i := slices.IndexFunc(p.ring, func(x proof) bool { return x.round == round })
	if i < 0 {
		return proof{}, false
	}
	return p.ring[i], true
}

// prove makes the receipt of a closed round that has an answer, if one was asked for.
func (r *round) prove() error {
	if !r.sign || r.result.Status == consensus.NoQuorum || r.result.Status == consensus.Undecided {
		return nil
	}
	e := r.e
	doc := &receipt.Receipt{
		Version: receipt.Version, Round: r.idText, Asked: string(e.self),
		Task:   receipt.Task{Name: e.local.task.Name, Features: e.local.task.Features, Labels: e.local.task.Labels, Digest: e.local.digest},
		Row:    r.rows,
		Rule:   receipt.Rule{Method: r.plan.Method.String(), Quorum: r.rule.Quorum, Full: r.rule.Full, Minority: r.rule.Minority, Alone: r.rule.Alone},
		Roster: make([]receipt.Bytes, len(r.asks)), Votes: make([]receipt.Vote, len(r.asks)),
		Evidence: receipt.Evidence{Digest: receipt.DigestOf(r.learnt.snapshot)},
		Weights:  receipt.Planned(r.plan), Outcome: receipt.Counted(&r.result),
	}
	for i := range r.asks {
		a, p := &r.asks[i], &r.inv.peers[i]
		o := r.result.Outcomes[i]
		doc.Roster[i] = p.card
		doc.Votes[i] = receipt.Vote{Voter: string(p.id), Outcome: o.String(), Label: -1}
		if o == consensus.OK {
			v := &doc.Votes[i]
			v.Label, v.Probabilities = a.vote.Label, a.answer.RowProbabilities(0)
			if i == r.inv.self {
				continue // its vote is signed with the receipt
			}
			v.Signature = a.answer.Signature
			if in := &a.answer.Inclusion; !in.Alone() {
				v.Inclusion = &receipt.Inclusion{Index: in.Index, Size: in.Size, Path: in.Path}
			}
		}
	}
	text, err := doc.Encode(e.key)
	if err != nil {
		return fmt.Errorf("node: make a receipt: %w", err)
	}
	r.reply.Receipt = string(text)
	e.proofs.put(proof{r.id, text, r.learnt})
	return nil
}

// Receipt implements api.Node.
func (n *Node) Receipt(id string, withEvidence bool) ([]byte, error) {
	round, err := ulid.ParseStrict(id)
	if err != nil {
		return nil, api.Problemf(api.NotFound, "%q is no round's id", clean(id))
	}
	p, ok := n.engine.proofs.of(round)
	switch {
	case !ok:
		return nil, api.Problemf(api.NotFound, "there is no receipt of round %s here; ask with receipt=true, at this node, and fetch it soon", round)
	case !withEvidence || p.learnt.snapshot == nil || p.learnt.snapshot.Records() == 0:
		return p.text, nil
	}
	var doc receipt.Receipt
	if err := json.Unmarshal(p.text, &doc); err != nil {
		return nil, fmt.Errorf("node: read a receipt of this node's own: %w", err)
	}
	raws, err := n.cluster.Evidence().Raw(p.learnt.snapshot)
	if err != nil {
		problem := api.Problemf(api.NotFound, "some of the evidence behind round %s has been let go since; the receipt without evidence=true is still there", round)
		problem.Cause = err
		return nil, problem
	}
	for _, raw := range raws {
		doc.Evidence.Records = append(doc.Evidence.Records, raw)
	}
	return doc.Encode(n.engine.key)
}
