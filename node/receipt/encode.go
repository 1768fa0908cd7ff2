package receipt

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math"
	"strconv"

	"caucus/cluster/identity"
)

// signContext keeps a receipt's signature from being of use as any other.
const signContext = "caucus receipt v2\x00"

// end is what follows the signature.
const end = "\"}\n"

// Encode signs the receipt with the key of the node that was asked and returns its one
// form, a line of JSON with its line feed.
func (r *Receipt) Encode(key *identity.Key) ([]byte, error) {
	bare := *r
	bare.Signature = nil
	text, err := bare.append(make([]byte, 0, 4096))
	if err != nil {
		return nil, err
	}
	r.Signature = key.Sign(signed(text))
	// The signature is last and was empty: put into its place, the rest need not be encoded again.
	text = base64.StdEncoding.AppendEncode(text[:len(text)-len(end)], r.Signature)
	return append(text, end...), nil
}

// signed is what the signature is over: a context and the digest of the receipt with an
// empty signature. (Ed25519 reads what it signs twice, with a slower hash.)
func signed(bare []byte) []byte {
	digest := sha256.Sum256(bare)
	return append([]byte(signContext), digest[:]...)
}

// append appends the receipt's one form to dst. It is what encoding/json, without escapes
// for HTML, makes of the struct, and a test holds the two equal; written by hand, for it is
// on the way of every round with a receipt. The error is for numbers that JSON has not.
func (r *Receipt) append(dst []byte) ([]byte, error) {
	for _, x := range r.Row {
		if math.IsNaN(x) || math.IsInf(x, 0) {
			return nil, fmt.Errorf("encode a receipt: %v is no feature's value", x)
		}
	}
	dst = append(dst, `{"version":`...)
	dst = strconv.AppendInt(dst, int64(r.Version), 10)
	dst = appendString(append(dst, `,"round":`...), r.Round)
	dst = appendString(append(dst, `,"asked":`...), r.Asked)
	dst = r.Task.append(append(dst, `,"task":`...))
	dst = appendList(append(dst, `,"row":`...), r.Row, appendFloat)
	dst = r.Rule.append(append(dst, `,"rule":`...))
	dst = appendList(append(dst, `,"roster":`...), r.Roster, appendBytes)
	dst = appendList(append(dst, `,"votes":`...), r.Votes, appendVote)
	dst = append(dst, `,"evidence":{"digest":`...)
	dst = appendDigest(dst, r.Evidence.Digest)
	if len(r.Evidence.Records) > 0 {
		dst = appendList(append(dst, `,"records":`...), r.Evidence.Records, appendBytes)
	}
	dst = r.Weights.append(append(dst, `},"weights":`...))
	dst = r.Outcome.append(append(dst, `,"outcome":`...))
	dst = appendBytes(append(dst, `,"signature":`...), r.Signature)
	return append(dst, '}', '\n'), nil
}

func (t *Task) append(dst []byte) []byte {
	dst = appendString(append(dst, `{"name":`...), t.Name)
	dst = appendList(append(dst, `,"features":`...), t.Features, appendString)
	dst = appendList(append(dst, `,"labels":`...), t.Labels, appendString)
	dst = appendDigest(append(dst, `,"digest":`...), t.Digest)
	return append(dst, '}')
}

func (r *Rule) append(dst []byte) []byte {
	dst = appendString(append(dst, `{"method":`...), r.Method)
	dst = strconv.AppendInt(append(dst, `,"quorum":`...), int64(r.Quorum), 10)
	dst = strconv.AppendBool(append(dst, `,"full":`...), r.Full)
	dst = strconv.AppendBool(append(dst, `,"minority":`...), r.Minority)
	dst = strconv.AppendBool(append(dst, `,"alone":`...), r.Alone)
	return append(dst, '}')
}

func appendVote(dst []byte, v Vote) []byte {
	dst = appendString(append(dst, `{"voter":`...), v.Voter)
	dst = appendString(append(dst, `,"outcome":`...), v.Outcome)
	dst = strconv.AppendInt(append(dst, `,"label":`...), int64(v.Label), 10)
	if len(v.Probabilities) > 0 {
		dst = appendList(append(dst, `,"probabilities":`...), v.Probabilities, appendInt[uint32])
	}
	if len(v.Signature) > 0 {
		dst = appendBytes(append(dst, `,"signature":`...), v.Signature)
	}
	if in := v.Inclusion; in != nil {
		dst = strconv.AppendInt(append(dst, `,"inclusion":{"index":`...), int64(in.Index), 10)
		dst = strconv.AppendInt(append(dst, `,"size":`...), int64(in.Size), 10)
		dst = append(appendBytes(append(dst, `,"path":`...), in.Path), '}')
	}
	return append(dst, '}')
}

func (w *Weights) append(dst []byte) []byte {
	dst = appendString(append(dst, `{"rule":`...), w.Rule)
	if w.Follows != "" {
		dst = appendString(append(dst, `,"follows":`...), w.Follows)
	}
	dst = appendString(append(dst, `,"reason":`...), w.Reason)
	dst = appendList(append(dst, `,"members":`...), w.Members, func(dst []byte, m Member) []byte {
		dst = appendString(append(dst, `{"id":`...), m.ID)
		dst = strconv.AppendInt(append(dst, `,"weight":`...), m.Weight, 10)
		dst = strconv.AppendInt(append(dst, `,"skill":`...), m.Skill, 10)
		dst = strconv.AppendInt(append(dst, `,"voice":`...), int64(m.Voice), 10)
		return append(dst, '}')
	})
	return append(dst, '}')
}

func (o *Outcome) append(dst []byte) []byte {
	dst = appendString(append(dst, `{"status":`...), o.Status)
	dst = appendString(append(dst, `,"method":`...), o.Method)
	dst = strconv.AppendInt(append(dst, `,"label":`...), int64(o.Label), 10)
	dst = appendList(append(dst, `,"sums":`...), o.Sums, appendInt[int64])
	dst = appendList(append(dst, `,"shares":`...), o.Shares, appendInt[int64])
	dst = strconv.AppendInt(append(dst, `,"margin":`...), o.Margin, 10)
	dst = strconv.AppendInt(append(dst, `,"counted":`...), int64(o.Counted), 10)
	dst = strconv.AppendInt(append(dst, `,"quorum":`...), int64(o.Quorum), 10)
	dst = strconv.AppendBool(append(dst, `,"tie":`...), o.Tie)
	if o.TieBreak != "" {
		dst = appendString(append(dst, `,"tie_break":`...), o.TieBreak)
	}
	return append(dst, '}')
}

// appendList appends a list, or null for none at all, as encoding/json does.
func appendList[T any](dst []byte, list []T, one func([]byte, T) []byte) []byte {
	if list == nil {
		return append(dst, "null"...)
	}
	dst = append(dst, '[')
	for i := range list {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = one(dst, list[i])
	}
	return append(dst, ']')
}

func appendInt[T uint32 | int64](dst []byte, x T) []byte { return strconv.AppendInt(dst, int64(x), 10) }

func appendBytes(dst []byte, b Bytes) []byte {
	return append(base64.StdEncoding.AppendEncode(append(dst, '"'), b), '"')
}

func appendDigest(dst []byte, d Digest) []byte {
	return append(hex.AppendEncode(append(dst, '"'), d[:]), '"')
}

// appendString leaves all but plain ASCII to encoding/json.
func appendString(dst []byte, s string) []byte {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c > '~' || c == '"' || c == '\\' {
			return appendJSON(dst, s)
		}
	}
	return append(append(append(dst, '"'), s...), '"')
}

// appendFloat leaves all that is written with an exponent to encoding/json.
func appendFloat(dst []byte, x float64) []byte {
	if a := math.Abs(x); a != 0 && (a < 1e-6 || a >= 1e21) {
		return appendJSON(dst, x)
	}
	return strconv.AppendFloat(dst, x, 'f', -1, 64)
}

// appendJSON appends a string or a finite number.
func appendJSON(dst []byte, v any) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	_ = e.Encode(v) // has no error for these
	return append(dst, bytes.TrimSuffix(b.Bytes(), []byte("\n"))...)
}
