package receipt

import (
	"bytes"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"reflect"
	"strings"

	"github.com/oklog/ulid/v2"

	"caucus/cluster/evidence"
	"caucus/cluster/identity"
	"caucus/cluster/merkle"
	"caucus/cluster/session"
	"caucus/ml"
	"caucus/node/consensus"
)

// Fault is the first thing in a receipt that does not hold.
type Fault struct {
	Where string // such as votes[2].signature, or byte 17
	What  string
}

func (f *Fault) Error() string { return f.Where + ": " + f.What }

func fault(where, format string, args ...any) error {
	return &Fault{Where: where, What: fmt.Sprintf(format, args...)}
}

// Report is what Verify found to hold.
type Report struct {
	Receipt *Receipt
	Cards   []identity.Card // of the invited, in id order
	// Recomputed is set when the weights were learnt anew from the evidence in the receipt, or
	// when there was none. Otherwise they are the word of the node that was asked.
	Recomputed bool
}

// Verify recomputes a receipt, with nothing but the receipt. The error is a *Fault.
func Verify(b []byte) (*Report, error) {
	v := verifier{}
	for _, step := range []func() error{
		func() error { return v.form(b) }, v.task, v.roster, v.row, v.votes, v.evidence, v.weights, v.tally, v.signature,
	} {
		if err := step(); err != nil {
			return nil, err
		}
	}
	return &Report{Receipt: &v.r, Cards: v.cards, Recomputed: v.recomputed}, nil
}

// verifier holds what the steps hand on.
type verifier struct {
	r          Receipt
	round      ulid.ULID
	digest     [32]byte // of the task
	cards      []identity.Card
	outcomes   []consensus.Outcome
	snapshot   *evidence.Snapshot
	recomputed bool
}

// form reads the receipt and holds it against its one form.
func (v *verifier) form(b []byte) error {
	if len(b) > MaxBytes {
		return fault("the file", "it has %d bytes, the limit is %d", len(b), MaxBytes)
	}
	var head struct {
		Version *int `json:"version"`
	}
	if err := json.Unmarshal(b, &head); err != nil {
		return jsonFault(err, b)
	}
	switch {
	case head.Version == nil:
		return fault("version", "it is missing; is this a receipt?")
	case *head.Version != Version:
		return fault("version", "it is %d and this program reads version %d", *head.Version, Version)
	}
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(&v.r); err != nil {
		return jsonFault(err, b)
	}
	again, err := v.r.append(make([]byte, 0, len(b)))
	if err != nil {
		return fault("the file", "%v", err)
	}
	for i := range max(len(again), len(b)) {
		if i >= len(b) || i >= len(again) || b[i] != again[i] {
			return fault(fmt.Sprintf("byte %d", i), "the receipt is not in its one form here (one line of JSON, without spaces, the fields in order, a line feed at the end); something was changed or added")
		}
	}
	if v.round, err = ulid.ParseStrict(v.r.Round); err != nil || v.round.String() != v.r.Round {
		return fault("round", "%q is no round's id", v.r.Round)
	}
	return nil
}

func jsonFault(err error, b []byte) error {
	var syntax *json.SyntaxError
	var kind *json.UnmarshalTypeError
	var text *textError
	switch {
	case errors.As(err, &syntax):
		return fault(fmt.Sprintf("byte %d", syntax.Offset-1), "%v", err)
	case errors.As(err, &kind):
		return fault(fmt.Sprintf("byte %d (%s)", kind.Offset, kind.Field), "a %s does not belong there", kind.Value)
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF):
		return fault(fmt.Sprintf("byte %d", len(b)), "the file ends too early")
	case errors.As(err, &text):
		// Were it written with escapes, it would not be found; then it is not in its one form either.
		return fault(fmt.Sprintf("byte %d", max(0, bytes.Index(b, []byte(text.text)))), "%v", err)
	}
	return fault("the file", "%v", err)
}

func (v *verifier) task() error {
	t, err := ml.NewTask(v.r.Task.Name, v.r.Task.Features, v.r.Task.Labels)
	if err != nil {
		return fault("task", "%v", err)
	}
	if !reflect.DeepEqual(t.Labels, v.r.Task.Labels) {
		return fault("task.labels", "they are not in order")
	}
	if v.digest = t.Digest(); v.digest != v.r.Task.Digest {
		return fault("task.digest", "it is not that of these features and labels")
	}
	return nil
}

func (v *verifier) roster() error {
	if len(v.r.Roster) == 0 {
		return fault("roster", "nobody was invited")
	}
	self := false
	for i, signed := range v.r.Roster {
		where := fmt.Sprintf("roster[%d]", i)
		c, err := identity.ParseCard(signed)
		switch {
		case err != nil:
			return fault(where, "%v", err)
		case c.Task != v.digest:
			return fault(where, "%s advertises another task", c.Name)
		case c.Leaving:
			return fault(where, "%s had left", c.Name)
		case i > 0 && c.ID <= v.cards[i-1].ID:
			return fault(where, "members are not in the order of their ids, each once")
		}
		self = self || string(c.ID) == v.r.Asked
		v.cards = append(v.cards, c)
	}
	if !self {
		return fault("asked", "%q is not among the invited", v.r.Asked)
	}
	return nil
}

func (v *verifier) row() error {
	if len(v.r.Row) != len(v.r.Task.Features) {
		return fault("row", "it has %d values, the task has %d features", len(v.r.Row), len(v.r.Task.Features))
	}
	for i, x := range v.r.Row {
		if math.IsNaN(x) || math.IsInf(x, 0) {
			return fault(fmt.Sprintf("row[%d]", i), "it is not finite")
		}
	}
	return nil
}

func (v *verifier) votes() error {
	if len(v.r.Votes) != len(v.cards) {
		return fault("votes", "there are %d for %d members", len(v.r.Votes), len(v.cards))
	}
	features := session.FeaturesDigest(v.r.Row)
	for i := range v.r.Votes {
		vote, card, where := &v.r.Votes[i], &v.cards[i], fmt.Sprintf("votes[%d]", i)
		var o consensus.Outcome
		switch {
		case vote.Voter != string(card.ID):
			return fault(where+".voter", "it is %q, and the member of that place is %s", vote.Voter, card.ID)
		case o.UnmarshalText([]byte(vote.Outcome)) != nil:
			return fault(where+".outcome", "there is no outcome %q", vote.Outcome)
		}
		v.outcomes = append(v.outcomes, o)
		if o != consensus.OK {
			if vote.Label != -1 || vote.Probabilities != nil || vote.Signature != nil || vote.Inclusion != nil {
				return fault(where, "%s did not vote, and yet there is a vote", card.Name)
			}
			continue
		}
		if vote.Label < 0 || vote.Label >= len(v.r.Task.Labels) {
			return fault(where+".label", "the task has no class %d", vote.Label)
		}
		if vote.Voter == v.r.Asked {
			if vote.Signature != nil || vote.Inclusion != nil {
				return fault(where+".signature", "%s was asked and signs its vote with the receipt, so there is none of its own", card.Name)
			}
			continue
		}
		var in session.Inclusion
		if i := vote.Inclusion; i != nil {
			in = session.Inclusion{Index: i.Index, Size: i.Size, Path: i.Path}
			if path := merkle.PathLength(int(in.Index), int(in.Size)); in.Size < 2 || path != len(in.Path) {
				return fault(where+".inclusion", "vote %d of %d has no path of %d bytes", in.Index, in.Size, len(in.Path))
			}
		}
		s := session.Statement{
			Requester: identity.ID(v.r.Asked), Voter: card.ID, Round: v.round, Features: features, Task: v.digest,
			Fingerprint: card.Fingerprint, Label: uint16(vote.Label), Classes: len(v.r.Task.Labels), Probabilities: vote.Probabilities,
		}
		if !s.VerifyIncluded(card.PublicKey, vote.Signature, &in) {
			return fault(where+".signature", "%s did not sign this vote on this row in this round with the model on its card, or not in that place", card.Name)
		}
	}
	return nil
}

func (v *verifier) evidence() error {
	e := &v.r.Evidence
	switch {
	case e.Digest == Digest{}:
		if len(e.Records) > 0 {
			return fault("evidence.records", "there are some, and the digest says there are none")
		}
		v.recomputed = true
		return nil
	case len(e.Records) == 0:
		return nil // the weights are the asked node's word
	}
	raws := make([][]byte, len(e.Records))
	for i, r := range e.Records {
		raws[i] = r
	}
	s, err := evidence.Assemble(v.digest, len(v.r.Task.Labels), raws)
	if err != nil {
		return fault("evidence.records", "%v", err)
	}
	if DigestOf(s) != e.Digest {
		return fault("evidence.digest", "it is not that of these records")
	}
	v.snapshot, v.recomputed = s, true
	return nil
}

func (v *verifier) weights() error {
	w := &v.r.Weights
	if len(w.Members) != len(v.cards) {
		return fault("weights.members", "there are %d for %d members", len(w.Members), len(v.cards))
	}
	for i := range w.Members {
		m, where := &w.Members[i], fmt.Sprintf("weights.members[%d]", i)
		switch {
		case m.ID != string(v.cards[i].ID):
			return fault(where+".id", "it is %q, and the member of that place is %s", m.ID, v.cards[i].ID)
		case m.Weight < 0 || m.Weight > int64(consensus.MaxWeight):
			return fault(where+".weight", "%d is no weight", m.Weight)
		}
	}
	var method consensus.Method
	if method.UnmarshalText([]byte(v.r.Rule.Method)) != nil {
		return fault("rule.method", "there is no method %q", v.r.Rule.Method)
	}
	if !v.recomputed {
		return nil
	}
	peers := make([]consensus.Peer, len(v.cards))
	for i := range v.cards {
		peers[i] = consensus.Peer{ID: string(v.cards[i].ID), Fingerprint: string(v.cards[i].Fingerprint[:])}
	}
	basis, err := Learn(len(v.r.Task.Labels), peers, v.snapshot)
	if err != nil {
		return fault("weights", "%v", err)
	}
	plan, err := basis.Plan(method)
	if err != nil {
		return fault("rule.method", "%v", err)
	}
	return compareWeights(w, Planned(&plan))
}

func compareWeights(got *Weights, want Weights) error {
	switch {
	case got.Rule != want.Rule:
		return fault("weights.rule", "it is %q; the evidence makes it %q", got.Rule, want.Rule)
	case got.Follows != want.Follows:
		return fault("weights.follows", "it is %q; the evidence makes it %q", got.Follows, want.Follows)
	case got.Reason != want.Reason:
		return fault("weights.reason", "it is %q; the evidence makes it %q", got.Reason, want.Reason)
	}
	for i := range want.Members {
		if got.Members[i] != want.Members[i] {
			return fault(fmt.Sprintf("weights.members[%d]", i), "it is %+v; the evidence makes it %+v", got.Members[i], want.Members[i])
		}
	}
	return nil
}

// tally counts the votes again.
func (v *verifier) tally() error {
	var method consensus.Method
	if method.UnmarshalText([]byte(v.r.Weights.Rule)) != nil {
		return fault("weights.rule", "there is no rule %q", v.r.Weights.Rule)
	}
	rule := consensus.Rule{
		Method: method, Classes: len(v.r.Task.Labels), Quorum: v.r.Rule.Quorum,
		Full: v.r.Rule.Full, Minority: v.r.Rule.Minority, Alone: v.r.Rule.Alone,
	}
	members := make([]consensus.Member, len(v.cards))
	for i, m := range v.r.Weights.Members {
		members[i] = consensus.Member{ID: m.ID, Weight: consensus.Millionths(m.Weight), Skill: consensus.Millionths(m.Skill), Voice: m.Voice}
	}
	var c consensus.Counter
	if err := c.Reset(rule, members); err != nil {
		return fault("weights.rule", "%v", err)
	}
	for i, vote := range v.r.Votes {
		if v.outcomes[i] == consensus.Pending {
			continue
		}
		x := consensus.Vote{Outcome: v.outcomes[i], Label: vote.Label}
		for _, p := range vote.Probabilities {
			x.Probabilities = append(x.Probabilities, consensus.Millionths(p))
		}
		if o := c.AddAt(i, &x); o != v.outcomes[i] {
			return fault(fmt.Sprintf("votes[%d]", i), "the vote is not valid: %s", o)
		}
	}
	var res consensus.Result
	c.Result(&res)
	if res.Outstanding > 0 && !res.Certain && res.Status != consensus.Minority {
		return fault("outcome", "votes were still out that could have changed the label")
	}
	return compareOutcomes(&v.r.Outcome, Counted(&res))
}

func compareOutcomes(got *Outcome, want Outcome) error {
	a, b := reflect.ValueOf(*got), reflect.ValueOf(want)
	for i := range a.NumField() {
		if !reflect.DeepEqual(a.Field(i).Interface(), b.Field(i).Interface()) {
			name, _, _ := strings.Cut(a.Type().Field(i).Tag.Get("json"), ",")
			return fault("outcome."+name, "it is %v; counting the votes gives %v", a.Field(i).Interface(), b.Field(i).Interface())
		}
	}
	return nil
}

// signature checks that the node that was asked vouches for the whole.
func (v *verifier) signature() error {
	bare := v.r
	bare.Signature = nil
	text, err := bare.append(nil)
	if err != nil {
		return fault("the file", "%v", err)
	}
	for i := range v.cards {
		if string(v.cards[i].ID) != v.r.Asked {
			continue
		}
		if len(v.r.Signature) != 64 || !ed25519.Verify(v.cards[i].PublicKey, signed(text), v.r.Signature) {
			return fault("signature", "%s did not sign this receipt as it stands: something that only its signature covers was changed (its own vote, names, the rule's options, what became of those who did not vote, weights without their evidence)", v.cards[i].Name)
		}
	}
	return nil
}
