package node

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/oklog/ulid/v2"

	"caucus/cluster/evidence"
	"caucus/cluster/identity"
	"caucus/cluster/session"
	"caucus/node/api"
	"caucus/node/consensus"
)

// learnWithin is how long a label's giver waits for it to be learnt from, so that the next
// round uses it.
const learnWithin = time.Second

// feedback takes labels: it asks the members for their signed votes on the rows and puts
// both into the evidence.
type feedback struct {
	key     *identity.Key
	log     *evidence.Log // nil: none is kept
	engine  *engine
	carrier carrier
}

// carrier carries a question and waits for the answer.
type carrier interface {
	Ask(ctx context.Context, id identity.ID, ask, dst []byte) ([]byte, error)
}

// errNoEvidence says why there is none, to the one who gives a label.
func errNoEvidence() error {
	return api.Problemf(api.NoEvidence, "this node keeps no evidence, because its task has more than %d labels; weights cannot be learnt for it, and /consensus counts by majority or soft", evidence.MaxClasses)
}

// take records labels and says what became of each.
func (f *feedback) take(ctx context.Context, q *api.Labels) (*api.FeedbackReply, error) {
	if f.log == nil {
		return nil, errNoEvidence()
	}
	inv := f.engine.invitedOf()
	if err := f.engine.open(inv); err != nil {
		return nil, err
	}
	rows, round, err := f.rows(q)
	if err != nil {
		return nil, err
	}
	keys, news := f.known(rows, round, q.Labels)
	out := &api.FeedbackReply{Rows: make([]api.FeedbackRow, len(keys)), RequestID: q.RequestID}
	for i := range out.Rows {
		out.Rows[i] = api.FeedbackRow{Label: f.engine.local.task.Labels[q.Labels[i]], Status: api.LabelKnown}
	}
	if len(news) > 0 {
		if err := f.record(ctx, q, inv, round, rows, keys, news, out); err != nil {
			return nil, err
		}
	}
	for _, r := range out.Rows {
		switch r.Status {
		case api.LabelRecorded:
			out.Recorded++
		case api.LabelReplaced:
			out.Replaced++
		default:
			out.Known++
		}
	}
	f.engine.metrics.feedback(out)
	waiting, cancel := context.WithTimeout(ctx, learnWithin)
	defer cancel()
	f.engine.learner.caughtUp(waiting)
	x := f.engine.learner.of(inv)
	out.Labels, out.Evidence = x.basis.Rows, x.evidence
	return out, nil
}

// rows returns the features that are labelled, and the round if one was named.
func (f *feedback) rows(q *api.Labels) (rows []float64, round ulid.ULID, err error) {
	if q.Round == "" {
		return q.Rows, round, nil
	}
	round, err = ulid.ParseStrict(q.Round)
	if err != nil {
		return nil, round, api.Problemf(api.BadInput, "round %q is no round's id; /rounds lists them", clean(q.Round))
	}
	if row := f.engine.recall.row(round); row != nil {
		return row, round, nil
	}
	r, ok := f.engine.Round(q.Round)
	switch {
	case ok && r.Rows != 1:
		return nil, round, api.Problemf(api.NotFound, `round %s was a batch, of which no features are kept; send {"instances":[..],"labels":[..]} instead`, round)
	case ok && r.Asked != string(f.engine.self):
		return nil, round, api.Problemf(api.NotFound, `round %s was asked for at node %s, which alone has its features; label it there, or send {"features":[..],"label":".."} here`, round, r.Asked)
	}
	return nil, round, api.Problemf(api.NotFound, `round %s is not, or no longer, known here; send {"features":[..],"label":".."} instead`, round)
}

// known names the rows, and lists those whose labels are news to this node.
func (f *feedback) known(rows []float64, round ulid.ULID, labels []int) (keys []evidence.Key, news []int) {
	columns := f.engine.local.columns
	keys = make([]evidence.Key, len(labels))
	given := f.log.Snapshot().LabelledAll()
	for i, label := range labels {
		keys[i] = evidence.Key{Round: round, Features: session.FeaturesDigest(rows[i*columns : (i+1)*columns])}
		if had, ok := given[keys[i]]; !ok || had != label {
			news = append(news, i)
			given[keys[i]] = label // the same row twice in a batch is one label
		}
	}
	return keys, news
}

// record asks for votes on the rows that are news and appends the labels.
func (f *feedback) record(ctx context.Context, q *api.Labels, inv *invited, round ulid.ULID, rows []float64, keys []evidence.Key, news []int, out *api.FeedbackReply) error {
	columns := f.engine.local.columns
	ask := session.Question{
		Round: round, RequestID: q.RequestID, Task: f.engine.local.digest, Columns: columns,
		Rows: make([]float64, 0, len(news)*columns), Sign: true,
	}
	for _, i := range news {
		ask.Rows = append(ask.Rows, rows[i*columns:(i+1)*columns]...)
	}
	votes := f.votes(ctx, inv, &ask)
	labellings := make([]evidence.Labelling, len(news))
	for k, i := range news {
		labellings[k] = evidence.Labelling{Key: keys[i], Label: q.Labels[i], Votes: fit(votes[k], f.engine.local.classes)}
	}
	appended, err := f.log.Append(labellings...)
	switch {
	case errors.Is(err, evidence.ErrExcluded):
		p := api.NewProblem(api.NoEvidence, "this node's labels count nowhere any more: an old copy of its evidence was put back, or its key is in use twice; move the key out of its state folder and start it again as a new node")
		p.Cause = err
		return p
	case errors.Is(err, evidence.ErrClosed):
		return api.NewProblem(api.ShuttingDown, "this node is shutting down; give the labels to another one")
	case err != nil:
		p := api.NewProblem(api.NotWritten, "the labels could not be written down, so none of them counts; is the disk full? the node's log has the details under the request id")
		p.Cause = err
		return p
	}
	for k, i := range news {
		out.Rows[i].Votes = len(labellings[k].Votes)
		switch a := appended[k]; {
		case a.Record == nil: // another request was quicker
		case a.Supersedes:
			out.Rows[i].Status = api.LabelReplaced
		default:
			out.Rows[i].Status = api.LabelRecorded
		}
	}
	return nil
}

// fit leaves out votes beyond what a record holds, which only a task of very many labels meets.
func fit(votes []evidence.Vote, classes int) []evidence.Vote {
	const head, fixed = 249, 132 // see cluster/evidence/DESIGN.md
	return votes[:min(len(votes), evidence.MaxVotes, (evidence.MaxRecord-head)/(fixed+4*classes))]
}

// votes asks every member to vote on the rows and sign, and returns the valid votes by
// row, in the order of ids. Who does not answer has no vote there: it is neither right nor wrong.
func (f *feedback) votes(ctx context.Context, inv *invited, q *session.Question) [][]evidence.Vote {
	ctx, cancel := context.WithTimeout(ctx, f.engine.times.deadline)
	defer cancel()
	wire := q.Append(nil)
	answers := make([]*session.Answer, len(inv.peers))
	var wg sync.WaitGroup
	for i := range inv.peers {
		wg.Go(func() {
			p := &inv.peers[i]
			var err error
			if i == inv.self {
				answers[i], err = f.own(ctx, q)
			} else {
				answers[i], err = f.ask(ctx, p, wire, q)
			}
			if err != nil {
				f.engine.log.Debug("no signed vote for a label", "peer", string(p.id), "request_id", clean(q.RequestID), "error", err)
			}
		})
	}
	wg.Wait()
	out := make([][]evidence.Vote, q.Len())
	for i, a := range answers {
		if a == nil {
			continue
		}
		for row := range out {
			if validRow(a, row) {
				out[row] = append(out[row], evidence.NewVote(inv.peers[i].key, a, row))
			}
		}
	}
	return out
}

// ask gets a peer's signed answer and checks it.
func (f *feedback) ask(ctx context.Context, p *peer, wire []byte, q *session.Question) (*session.Answer, error) {
	b, err := f.carrier.Ask(ctx, p.id, wire, nil)
	if err != nil {
		return nil, err
	}
	return signedAnswer(b, p.key, f.engine.self, p.id, q, f.engine.local.classes)
}

// signedAnswer decodes a voter's answer and checks its form and signatures.
func signedAnswer(b []byte, key ed25519.PublicKey, requester, voter identity.ID, q *session.Question, classes int) (*session.Answer, error) {
	a := new(session.Answer)
	if err := a.Decode(b); err != nil {
		return nil, err
	}
	if o := consensus.Outcome(a.Outcome); o != consensus.OK {
		return nil, fmt.Errorf("it did not vote: %s: %s", o, clean(a.Reason))
	}
	if a.Classes != classes {
		return nil, fmt.Errorf("its answer is for %d labels, the task has %d", a.Classes, classes)
	}
	return a, session.VerifyAnswer(key, requester, voter, q, a)
}

// own is this node's own signed answer.
func (f *feedback) own(ctx context.Context, q *session.Question) (*session.Answer, error) {
	l := f.engine.local
	n := q.Len()
	labels := make([]int, n)
	var probs []float64
	if l.probs {
		probs = make([]float64, n*l.classes)
	}
	if err := l.predict(ctx, q.Rows, labels, probs); err != nil {
		return nil, err
	}
	a := &session.Answer{Classes: l.classes, Outcome: byte(consensus.OK), Fingerprint: l.fingerprint}
	for _, y := range labels {
		a.Labels = append(a.Labels, uint16(y))
	}
	a.Probabilities = appendMillionths(nil, given(probs))
	return a, session.SignAnswer(f.key, f.engine.self, q, a)
}

// validRow reports whether the vote on a row is one that counts.
func validRow(a *session.Answer, row int) bool {
	v := consensus.Vote{Outcome: consensus.OK, Label: int(a.Labels[row])}
	for _, p := range a.RowProbabilities(row) {
		v.Probabilities = append(v.Probabilities, consensus.Millionths(p))
	}
	return v.Check(a.Classes) == consensus.OK
}

// Feedback implements api.Node.
func (n *Node) Feedback(ctx context.Context, q *api.Labels) (*api.FeedbackReply, error) {
	return n.feedback.take(ctx, q)
}
