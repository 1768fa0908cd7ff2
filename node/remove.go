package node

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"caucus/cluster"
	"caucus/cluster/identity"
	"caucus/node/api"
)

// Remove implements api.Node.
func (n *Node) Remove(_ context.Context, text string, undo bool) (string, error) {
	id, shown, err := whom(n.cluster.View(), text, undo)
	if err != nil {
		return "", err
	}
	do := n.cluster.Remove
	if undo {
		do = n.cluster.TakeBack
	}
	switch err := do(id); {
	case errors.Is(err, cluster.ErrNoMajority), errors.Is(err, cluster.ErrTooSoon):
		return "", api.NewProblem(api.NoMajority, words(err))
	case errors.Is(err, cluster.ErrStopped):
		return "", api.NewProblem(api.ShuttingDown, "this node is shutting down")
	case err != nil:
		return "", api.NewProblem(api.BadInput, words(err))
	}
	return shown, nil
}

// words is an error of the cluster's as a sentence for people.
func words(err error) string { return clean(strings.TrimPrefix(err.Error(), "cluster: ")) }

// whom returns the member that is meant by an id, a name, or name#id's start: one to be removed, or with removed one
// that is. The id of somebody who is no member (any more) will do too.
func whom(v *cluster.View, text string, removed bool) (id identity.ID, shown string, err error) {
	name, short, _ := strings.Cut(text, "#")
	var found []*cluster.Member
	var known []string
	for i := range v.Members {
		m := &v.Members[i]
		if m.Removed != removed || m.Self {
			if (string(m.ID) == text || m.Name == text) && m.Removed && !m.Self {
				return "", "", api.Problemf(api.BadInput, "%s is removed already (%s)", clean(text), clean(m.Reason))
			}
			if string(m.ID) == text && m.Self {
				return "", "", api.NewProblem(api.BadInput, "a node cannot remove itself; stop it, or ask another node to remove it (--node URL)")
			}
			continue
		}
		if m.Name != "" {
			known = append(known, m.Name)
		} else {
			known = append(known, string(m.ID))
		}
		if string(m.ID) == text || m.Name != "" && m.Name == name && strings.HasPrefix(string(m.ID), short) {
			found = append(found, m)
		}
	}
	switch {
	case len(found) == 1:
		return found[0].ID, nameAndID(found[0]), nil
	case len(found) > 1:
		each := make([]string, len(found))
		for i, m := range found {
			each[i] = fmt.Sprintf("%s#%s (%s)", m.Name, m.ID.Short(), m.State)
		}
		return "", "", api.Problemf(api.BadInput, "%d nodes are called %q; say which: %s", len(found), clean(text), strings.Join(each, ", "))
	}
	if id, err := identity.ParseID(text); err == nil && !removed {
		return id, text, nil
	}
	there := "there is nobody else"
	if removed {
		there = "nobody is removed"
	}
	if len(known) > 0 {
		slices.Sort(known)
		there = thereAre(known)
	}
	return "", "", api.Problemf(api.BadInput, "there is no %s %q to %s; %s",
		map[bool]string{false: "member", true: "removed node"}[removed], clean(text), map[bool]string{false: "remove", true: "take back"}[removed], there)
}

// thereAre lists what a person may name instead; there is at least one.
func thereAre(names []string) string {
	if len(names) == 1 {
		return "there is only " + names[0]
	}
	return "there are " + strings.Join(names, ", ")
}

func nameAndID(m *cluster.Member) string {
	if m.Name == "" {
		return string(m.ID)
	}
	return fmt.Sprintf("%s (%s)", m.Name, m.ID)
}
