package api

import "strconv"

// The two replies of the hot path, and their batches, are written by hand: through
// reflection they cost more than the vote itself. A test holds each equal to what
// encoding/json makes of the same struct.

// AppendJSON appends the reply to dst.
func (r *PredictReply) AppendJSON(dst []byte) []byte {
	dst = append(dst, `{"prediction":`...)
	dst = strconv.AppendInt(dst, int64(r.Prediction), 10)
	dst = append(dst, `,"label":`...)
	dst = appendString(dst, r.Label)
	if !r.Probabilities.IsZero() {
		dst = append(dst, `,"probabilities":`...)
		dst = r.Probabilities.AppendJSON(dst)
	}
	dst = appendAnswerer(dst, r.Model, r.Node, r.Name, r.RequestID)
	return append(dst, '}')
}

// AppendJSON appends the reply to dst.
func (r *PredictBatchReply) AppendJSON(dst []byte) []byte {
	dst = append(dst, `{"predictions":`...)
	dst = appendInts(dst, r.Predictions)
	dst = append(dst, `,"labels":`...)
	dst = appendStrings(dst, r.Labels)
	if len(r.Probabilities) > 0 {
		dst = append(dst, `,"probabilities":`...)
		dst = appendRows(dst, r.Probabilities)
	}
	dst = append(dst, `,"classes":`...)
	dst = appendStrings(dst, r.Classes)
	dst = appendAnswerer(dst, r.Model, r.Node, r.Name, r.RequestID)
	return append(dst, '}')
}

// AppendJSON appends the vote to dst.
func (v *Vote) AppendJSON(dst []byte) []byte {
	dst = appendVoter(dst, v.Node, v.Name, v.Model, v.Outcome)
	if v.Label != "" {
		dst = append(dst, `,"label":`...)
		dst = appendString(dst, v.Label)
	}
	if !v.Probabilities.IsZero() {
		dst = append(dst, `,"probabilities":`...)
		dst = v.Probabilities.AppendJSON(dst)
	}
	dst = appendWorth(dst, v.Weight, v.Ms, v.Reason)
	return append(dst, '}')
}

// AppendJSON appends the reply to dst.
func (r *ConsensusReply) AppendJSON(dst []byte) []byte {
	dst = append(dst, `{"prediction":`...)
	dst = strconv.AppendInt(dst, int64(r.Prediction), 10)
	dst = append(dst, `,"label":`...)
	dst = appendString(dst, r.Label)
	dst = append(dst, `,"status":`...)
	dst = appendString(dst, r.Status)
	dst = append(dst, `,"summary":`...)
	dst = appendString(dst, r.Summary)
	dst = appendRule(dst, r.Method, r.Rule, r.Reason, r.Follows)
	dst = appendCounts(dst, r.Invited, r.Counted, r.Quorum)
	dst = append(dst, `,"decided_early":`...)
	dst = strconv.AppendBool(dst, r.DecidedEarly)
	dst = append(dst, `,"tie":`...)
	dst = strconv.AppendBool(dst, r.Tie)
	if r.TieBreak != "" {
		dst = append(dst, `,"tie_break":`...)
		dst = appendString(dst, r.TieBreak)
	}
	dst = append(dst, `,"shares":`...)
	dst = r.Shares.AppendJSON(dst)
	dst = append(dst, `,"margin":`...)
	dst = r.Margin.AppendJSON(dst)
	dst = append(dst, `,"entropy":`...)
	dst = r.Entropy.AppendJSON(dst)
	dst = append(dst, `,"unanimous":`...)
	dst = strconv.AppendBool(dst, r.Unanimous)
	if len(r.Dissenters) > 0 {
		dst = append(dst, `,"dissenters":`...)
		dst = appendStrings(dst, r.Dissenters)
	}
	dst = append(dst, `,"effective_voters":`...)
	dst = r.EffectiveVoters.AppendJSON(dst)
	dst = append(dst, `,"votes":`...)
	if r.Votes == nil {
		dst = append(dst, "null"...)
	} else {
		dst = append(dst, '[')
		for i := range r.Votes {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = r.Votes[i].AppendJSON(dst)
		}
		dst = append(dst, ']')
	}
	dst = appendTail(dst, r.Round, r.Asked, r.Roster, r.Evidence, r.ElapsedMs, r.RequestID)
	if r.Receipt != "" {
		dst = append(dst, `,"receipt":`...)
		dst = appendString(dst, r.Receipt)
	}
	return append(dst, '}')
}

// AppendJSON appends the reply to dst.
func (r *ConsensusBatchReply) AppendJSON(dst []byte) []byte {
	dst = append(dst, `{"predictions":`...)
	dst = appendInts(dst, r.Predictions)
	dst = append(dst, `,"labels":`...)
	dst = appendStrings(dst, r.Labels)
	dst = append(dst, `,"classes":`...)
	dst = appendStrings(dst, r.Classes)
	dst = append(dst, `,"status":`...)
	dst = appendString(dst, r.Status)
	dst = append(dst, `,"summary":`...)
	dst = appendString(dst, r.Summary)
	dst = appendRule(dst, r.Method, r.Rule, r.Reason, r.Follows)
	dst = appendCounts(dst, r.Invited, r.Counted, r.Quorum)
	dst = append(dst, `,"decided_early":`...)
	dst = strconv.AppendBool(dst, r.DecidedEarly)
	dst = append(dst, `,"results":`...)
	dst = appendList(dst, r.Results, func(dst []byte, b *BatchRow) []byte { return b.AppendJSON(dst) })
	dst = append(dst, `,"votes_by_node":`...)
	dst = appendList(dst, r.VotesByNode, func(dst []byte, v *NodeVotes) []byte { return v.AppendJSON(dst) })
	dst = appendTail(dst, r.Round, r.Asked, r.Roster, r.Evidence, r.ElapsedMs, r.RequestID)
	return append(dst, '}')
}

// AppendJSON appends the row to dst.
func (b *BatchRow) AppendJSON(dst []byte) []byte {
	dst = append(dst, `{"prediction":`...)
	dst = strconv.AppendInt(dst, int64(b.Prediction), 10)
	dst = append(dst, `,"label":`...)
	dst = appendString(dst, b.Label)
	dst = append(dst, `,"status":`...)
	dst = appendString(dst, b.Status)
	dst = append(dst, `,"tie":`...)
	dst = strconv.AppendBool(dst, b.Tie)
	dst = append(dst, `,"shares":`...)
	dst = appendMillionths(dst, b.Shares)
	dst = append(dst, `,"margin":`...)
	dst = b.Margin.AppendJSON(dst)
	dst = append(dst, `,"entropy":`...)
	dst = b.Entropy.AppendJSON(dst)
	dst = append(dst, `,"unanimous":`...)
	dst = strconv.AppendBool(dst, b.Unanimous)
	dst = append(dst, `,"votes":`...)
	dst = appendInts(dst, b.Votes)
	return append(dst, '}')
}

// AppendJSON appends the member's part to dst.
func (v *NodeVotes) AppendJSON(dst []byte) []byte {
	dst = appendVoter(dst, v.Node, v.Name, v.Model, v.Outcome)
	dst = append(dst, `,"labels":`...)
	dst = appendInts(dst, v.Labels)
	dst = appendWorth(dst, v.Weight, v.Ms, v.Reason)
	if len(v.Probabilities) > 0 {
		dst = append(dst, `,"probabilities":`...)
		dst = appendRows(dst, v.Probabilities)
	}
	return append(dst, '}')
}

// appendAnswerer ends an answer of /predict: who gave it, and to which request.
func appendAnswerer(dst []byte, model, node, name, requestID string) []byte {
	dst = append(dst, `,"model":`...)
	dst = appendString(dst, model)
	dst = append(dst, `,"node":`...)
	dst = appendString(dst, node)
	dst = append(dst, `,"name":`...)
	dst = appendString(dst, name)
	dst = append(dst, `,"request_id":`...)
	return appendString(dst, requestID)
}

// appendVoter begins a vote: whose it is, and what became of it.
func appendVoter(dst []byte, node, name, model, outcome string) []byte {
	dst = append(dst, `{"node":`...)
	dst = appendString(dst, node)
	dst = append(dst, `,"name":`...)
	dst = appendString(dst, name)
	dst = append(dst, `,"model":`...)
	dst = appendString(dst, model)
	dst = append(dst, `,"outcome":`...)
	return appendString(dst, outcome)
}

// appendWorth goes on with what a vote weighs, how long it took, and why there is none.
func appendWorth(dst []byte, weight Millionths, ms Millis, reason string) []byte {
	dst = append(dst, `,"weight":`...)
	dst = weight.AppendJSON(dst)
	dst = append(dst, `,"ms":`...)
	dst = ms.AppendJSON(dst)
	if reason == "" {
		return dst
	}
	dst = append(dst, `,"reason":`...)
	return appendString(dst, reason)
}

func appendRule(dst []byte, method, rule, reason, follows string) []byte {
	dst = append(dst, `,"method":`...)
	dst = appendString(dst, method)
	dst = append(dst, `,"rule":`...)
	dst = appendString(dst, rule)
	dst = append(dst, `,"reason":`...)
	dst = appendString(dst, reason)
	if follows == "" {
		return dst
	}
	dst = append(dst, `,"follows":`...)
	return appendString(dst, follows)
}

func appendCounts(dst []byte, invited, counted, quorum int) []byte {
	dst = append(dst, `,"invited":`...)
	dst = strconv.AppendInt(dst, int64(invited), 10)
	dst = append(dst, `,"counted":`...)
	dst = strconv.AppendInt(dst, int64(counted), 10)
	dst = append(dst, `,"quorum":`...)
	return strconv.AppendInt(dst, int64(quorum), 10)
}

func appendTail(dst []byte, round, asked, roster, evidence string, elapsed Millis, requestID string) []byte {
	dst = append(dst, `,"round":`...)
	dst = appendString(dst, round)
	dst = append(dst, `,"asked":`...)
	dst = appendString(dst, asked)
	dst = append(dst, `,"roster":`...)
	dst = appendString(dst, roster)
	dst = append(dst, `,"evidence":`...)
	dst = appendString(dst, evidence)
	dst = append(dst, `,"elapsed_ms":`...)
	dst = elapsed.AppendJSON(dst)
	dst = append(dst, `,"request_id":`...)
	return appendString(dst, requestID)
}

// appendList writes a nil slice as null, as encoding/json does.
func appendList[T any](dst []byte, s []T, each func([]byte, *T) []byte) []byte {
	if s == nil {
		return append(dst, "null"...)
	}
	dst = append(dst, '[')
	for i := range s {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = each(dst, &s[i])
	}
	return append(dst, ']')
}

func appendInts(dst []byte, s []int) []byte {
	return appendList(dst, s, func(dst []byte, v *int) []byte { return strconv.AppendInt(dst, int64(*v), 10) })
}

func appendStrings(dst []byte, s []string) []byte {
	return appendList(dst, s, func(dst []byte, v *string) []byte { return appendString(dst, *v) })
}

func appendMillionths(dst []byte, s []Millionths) []byte {
	return appendList(dst, s, func(dst []byte, v *Millionths) []byte { return v.AppendJSON(dst) })
}

func appendRows(dst []byte, s [][]Millionths) []byte {
	return appendList(dst, s, func(dst []byte, v *[]Millionths) []byte { return appendMillionths(dst, *v) })
}
