package node

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"caucus/cluster"
	"caucus/cluster/identity"
	"caucus/ml"
	"caucus/node/api"
)

// description is what a member tells of itself on request; other nodes show it.
type description struct {
	Task       ml.Task        `json:"task"`
	Params     map[string]any `json:"params"`
	Evaluation *ml.Evaluation `json:"evaluation,omitempty"`
	Version    string         `json:"version"`
}

// encode shortens what does not fit: a task with thousands of features must not keep a
// node from starting.
func (d description) encode() ([]byte, error) {
	b, err := json.Marshal(d)
	if err != nil {
		return nil, fmt.Errorf("node: describe the model: %w", err)
	}
	if len(b) <= cluster.MaxDescription {
		return b, nil
	}
	return json.Marshal(description{Task: ml.Task{Name: d.Task.Name}, Version: d.Version})
}

// about is this node's description as it is now.
func (n *Node) about() ([]byte, error) {
	return description{
		Task: n.local.task, Params: n.local.model.Params(), Evaluation: n.evaluation, Version: n.cfg.Version,
	}.encode()
}

// probabilistic reports whether answers of /predict have probabilities. Of an upstream it is what the
// first answer showed.
func (n *Node) probabilistic() bool {
	if n.upstream != nil {
		return n.upstream.GivesProbabilities()
	}
	return n.local.probs
}

// maxDiffs is how many differences between two tasks are told.
const maxDiffs = 4

// Members implements api.Node.
func (n *Node) Members() *api.MembersReply {
	v := n.cluster.View()
	out := &api.MembersReply{
		Self: string(n.id), Profile: string(n.cfg.Profile), Roster: rosterDigest(v.Digest),
		Members: make([]api.Member, 0, len(v.Members)),
	}
	x := n.engine.learner.of(n.engine.invitedOf())
	moved := n.cluster.Traffic()
	connected := map[identity.ID]string{n.id: ""} // to the relay in between, if there is one
	for _, p := range n.cluster.Sessions() {
		relay, err := identity.ParseID(p.Remote) // of a relayed session the other end is its relay
		if err != nil {
			relay = ""
		}
		connected[p.ID] = string(relay)
	}
	for i := range v.Members {
		m := &v.Members[i]
		line := n.member(m)
		line.Weight = n.weightOf(x, m.ID)
		line.Through, line.Connected = connected[m.ID]
		line.Traffic = trafficOf(moved[m.ID])
		out.Members = append(out.Members, line)
	}
	return out
}

func (n *Node) member(m *cluster.Member) api.Member {
	line := api.Member{
		ID: string(m.ID), Name: m.Name, Model: m.Model, TaskDigest: hex.EncodeToString(m.Task[:]), URL: m.URL,
		State: m.State.String(), Since: m.Since.UTC(), RTT: millis(m.RTT), Via: string(m.Via), Reason: clean(m.Reason),
		Voter: votes(m, n.local.digest), Self: m.Self, Removed: m.Removed,
	}
	for _, id := range m.Carries {
		line.Carries = append(line.Carries, string(id))
	}
	var d description
	described := len(m.Description) > 0 && json.Unmarshal(m.Description, &d) == nil
	if described {
		line.Task = clean(d.Task.Name)
		if form, ok := d.Params["form"].(string); ok {
			line.Form = clean(form)
		}
		if e := d.Evaluation; e != nil && e.Accuracy >= 0 && e.Accuracy <= 1 {
			a := api.Millionths(e.Accuracy*1e6 + 0.5)
			line.Accuracy = &a
		}
	}
	if m.Task != n.local.digest && line.Reason == "" {
		line.Reason = n.difference(&d.Task, described)
	}
	return line
}

// difference says why a member of another task is not asked, column by column.
func (n *Node) difference(other *ml.Task, described bool) string {
	if !described {
		return "it has another task, of which it has not told more yet"
	}
	diffs := n.local.task.Diff(*other)
	if len(diffs) == 0 {
		return "it has another task"
	}
	more := ""
	if len(diffs) > maxDiffs {
		more = fmt.Sprintf("; and %d more", len(diffs)-maxDiffs)
		diffs = diffs[:maxDiffs]
	}
	told := make([]string, len(diffs))
	for i, d := range diffs {
		told[i] = clean(d)
	}
	return fmt.Sprintf("it has another task (%s): %s%s", clean(other.Name), strings.Join(told, "; "), more)
}

// Card implements api.Node.
func (n *Node) Card() *api.CardReply {
	t := n.local.task
	out := &api.CardReply{
		ID: string(n.id), Name: n.cfg.Name, Model: string(n.local.model.Kind()), Params: n.local.model.Params(),
		Task:    api.TaskReply{Name: t.Name, Features: t.Features, Labels: t.Labels, Digest: hex.EncodeToString(n.local.digest[:]), Ranges: n.ranges},
		Version: n.cfg.Version,
	}
	if e := n.evaluation; e != nil {
		out.Evaluation = &api.EvaluationReply{
			Accuracy: e.Accuracy, Rows: e.Rows, Confusion: e.Confusion,
			Precision: e.Precision, Recall: e.Recall, Folds: e.Folds,
		}
	}
	v := n.cluster.View()
	if i := slices.IndexFunc(v.Members, func(m cluster.Member) bool { return m.Self }); i >= 0 {
		m := &v.Members[i]
		out.URL, out.Sequence, out.Card = m.URL, m.Sequence, base64.StdEncoding.EncodeToString(m.Signed)
	}
	return out
}
