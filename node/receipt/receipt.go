// Package receipt is what a round of /consensus leaves for those who trust no node: the
// votes with the voters' signatures, their cards, the weights and the evidence that they
// come from, the rule, the outcome. Verify recomputes all of it offline.
//
// A receipt is one line of JSON in the one form that Encode writes, so that a byte changed
// anywhere shows; docs/receipt.md describes it field by field. It is signed by the node
// that was asked. What that signature alone vouches for, and what voters vouch for
// themselves, is said there too.
package receipt

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"

	"caucus/node/consensus"
)

// Version is of the format.
const Version = 2

// MaxBytes is the most that Verify reads.
const MaxBytes = 512 << 20

// Receipt is one round. Millionths are written as whole numbers here, so that nothing is rounded.
type Receipt struct {
	Version   int       `json:"version"`
	Round     string    `json:"round"` // ULID
	Asked     string    `json:"asked"` // id of the node that was asked and signs the receipt
	Task      Task      `json:"task"`
	Row       []float64 `json:"row"`
	Rule      Rule      `json:"rule"`
	Roster    []Bytes   `json:"roster"` // signed cards of the invited, in id order
	Votes     []Vote    `json:"votes"`  // one for each card
	Evidence  Evidence  `json:"evidence"`
	Weights   Weights   `json:"weights"`
	Outcome   Outcome   `json:"outcome"`
	Signature Bytes     `json:"signature"` // by Asked, over all the rest
}

// Task says what was asked about.
type Task struct {
	Name     string   `json:"name"`
	Features []string `json:"features"`
	Labels   []string `json:"labels"`
	Digest   Digest   `json:"digest"` // of features and labels
}

// Rule is how the votes were to be counted.
type Rule struct {
	Method   string `json:"method"` // asked for
	Quorum   int    `json:"quorum"` // wanted; the strict majority applies anyway
	Full     bool   `json:"full"`
	Minority bool   `json:"minority"`
	Alone    bool   `json:"alone"` // the node had never been given a peer
}

// Vote is what became of one invited member. Only with the outcome ok is there more than that.
type Vote struct {
	Voter         string   `json:"voter"`
	Outcome       string   `json:"outcome"`
	Label         int      `json:"label"` // -1 unless ok
	Probabilities []uint32 `json:"probabilities,omitempty"`
	// Signature is the voter's. Absent for the node that was asked, whose vote is signed with
	// the receipt.
	Signature Bytes      `json:"signature,omitempty"`
	Inclusion *Inclusion `json:"inclusion,omitempty"` // absent: the signature is over this vote alone
}

// Inclusion is the vote's place among those that one signature is over; see session.Inclusion.
type Inclusion struct {
	Index uint16 `json:"index"`
	Size  uint16 `json:"size"`
	Path  Bytes  `json:"path"`
}

// Evidence is what the weights were learnt from.
type Evidence struct {
	Digest  Digest  `json:"digest"`            // of the labelled rows; zeros: there were none
	Records []Bytes `json:"records,omitempty"` // all of them; absent: they are not carried
}

// Weights is the plan of the count.
type Weights struct {
	Rule    string   `json:"rule"`              // majority, weighted or soft
	Follows string   `json:"follows,omitempty"` // id of the one member whose vote decides
	Reason  string   `json:"reason"`
	Members []Member `json:"members"` // in id order
}

// Member is what one member weighed, in millionths.
type Member struct {
	ID     string `json:"id"`
	Weight int64  `json:"weight"`
	Skill  int64  `json:"skill"`
	Voice  int    `json:"voice"`
}

// Outcome is what came of the round.
type Outcome struct {
	Status   string  `json:"status"`
	Method   string  `json:"method"` // that decided
	Label    int     `json:"label"`
	Sums     []int64 `json:"sums"`   // by class
	Shares   []int64 `json:"shares"` // by class, millionths
	Margin   int64   `json:"margin"` // millionths
	Counted  int     `json:"counted"`
	Quorum   int     `json:"quorum"`
	Tie      bool    `json:"tie"`
	TieBreak string  `json:"tie_break,omitempty"`
}

// Bytes is base64 in JSON, in its one form.
type Bytes []byte

// MarshalText implements encoding.TextMarshaler.
func (b Bytes) MarshalText() ([]byte, error) {
	return base64.StdEncoding.AppendEncode(nil, b), nil
}

// UnmarshalText implements encoding.TextUnmarshaler.
func (b *Bytes) UnmarshalText(text []byte) error {
	out, err := base64.StdEncoding.Strict().AppendDecode(nil, text)
	if err != nil {
		return &textError{text: string(text), why: "it is not base64: " + err.Error()}
	}
	*b = out
	return nil
}

// Digest is a SHA-256, in JSON as 64 hexadecimal digits.
type Digest [32]byte

// MarshalText implements encoding.TextMarshaler.
func (d Digest) MarshalText() ([]byte, error) { return hex.AppendEncode(nil, d[:]), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (d *Digest) UnmarshalText(text []byte) error {
	if len(text) != 64 {
		return &textError{text: string(text), why: fmt.Sprintf("a digest has 64 hexadecimal digits, got %d characters", len(text))}
	}
	if _, err := hex.Decode(d[:], text); err != nil {
		return &textError{text: string(text), why: "it is no digest: " + err.Error()}
	}
	return nil
}

// textError is a text that stands for bytes and has another form; encoding/json does not tell where.
type textError struct{ text, why string }

func (e *textError) Error() string { return e.why }

// Counted returns the outcome in the receipt's form.
func Counted(res *consensus.Result) Outcome {
	out := Outcome{
		Status: res.Status.String(), Method: res.Method.String(), Label: res.Label, Margin: int64(res.Margin),
		Sums: append([]int64{}, res.Sums...), Shares: make([]int64, len(res.Shares)),
		Counted: res.Counted, Quorum: res.Quorum, Tie: res.Tie, TieBreak: res.TieBreak,
	}
	for k, s := range res.Shares {
		out.Shares[k] = int64(s)
	}
	return out
}

// Planned returns a plan in the receipt's form.
func Planned(p *consensus.Plan) Weights {
	w := Weights{Rule: p.Rule.String(), Follows: p.Follow, Reason: p.Reason, Members: make([]Member, len(p.Members))}
	for i, m := range p.Members {
		w.Members[i] = Member{ID: m.ID, Weight: int64(m.Weight), Skill: int64(m.Skill), Voice: m.Voice}
	}
	return w
}
