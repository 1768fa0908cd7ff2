package evidence

import (
	"fmt"
	"slices"
	"strings"

	"caucus/cluster/identity"
)

// Policy says whose labels count. The zero value is all members.
type Policy struct {
	self bool
	ids  []identity.ID // when not nil: these and no others
}

// FromMembers is the policy of all members of the roster.
func FromMembers() Policy { return Policy{} }

// FromSelf is the policy of the labels given at this node and no others.
func FromSelf() Policy { return Policy{self: true} }

// FromIDs is the policy of a list: these labellers and no others, this node only if
// it is on the list.
func FromIDs(ids ...identity.ID) Policy {
	own := append([]identity.ID{}, ids...) // never nil: an empty list is nobody
	slices.Sort(own)
	return Policy{ids: slices.Compact(own)}
}

// ParsePolicy reads "members", "self" or ids parted by commas.
func ParsePolicy(s string) (Policy, error) {
	switch s {
	case "", "members":
		return FromMembers(), nil
	case "self":
		return FromSelf(), nil
	}
	var ids []identity.ID
	for part := range strings.SplitSeq(s, ",") {
		id, err := identity.ParseID(strings.TrimSpace(part))
		if err != nil {
			return Policy{}, fmt.Errorf("evidence: labels are taken from members, self, or ids parted by commas; %q is none of these", part)
		}
		ids = append(ids, id)
	}
	return FromIDs(ids...), nil
}

// String returns the form that ParsePolicy reads; "nobody", which it does not read,
// for FromIDs of none.
func (p Policy) String() string {
	switch {
	case p.self:
		return "self"
	case p.ids == nil:
		return "members"
	case len(p.ids) == 0:
		return "nobody"
	}
	var b strings.Builder
	for i, id := range p.ids {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(string(id))
	}
	return b.String()
}

// lists reports whether the policy names a labeller.
func (p Policy) lists(id identity.ID) bool {
	_, found := slices.BinarySearch(p.ids, id)
	return found
}

// counts reports whether labels by id count at node self. members nil: everybody is one.
func (p Policy) counts(id, self identity.ID, members map[identity.ID]bool) bool {
	switch {
	case p.self:
		return id == self
	case p.ids != nil:
		return p.lists(id)
	}
	return id == self || members == nil || members[id]
}

// admits reports whether records by id are taken and passed on, counted or not.
func (p Policy) admits(id, self identity.ID, members map[identity.ID]bool) bool {
	return id == self || members == nil || members[id] || p.lists(id)
}
