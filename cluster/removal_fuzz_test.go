package cluster

import (
	"bytes"
	"testing"
	"time"

	"caucus/cluster/identity"
)

// What a peer sends around removals: the list behind a token or in a state, and the hello with one.
func FuzzRemovals(f *testing.F) {
	who := people(f, 2)
	x := who[0].says(f, who[1], 7, false)
	list := appendRemovals(nil, map[identity.ID]removal{x.ID: {Removal: x}})
	rot := rotation{epoch: 1, held: []heldToken{{token: newToken(f)}, {token: newToken(f), until: time.Unix(9, 0), membersOnly: true}}}
	f.Add(list)
	f.Add(append(rot.encode(), list...))
	card := who[0].card(f, 1).Signed
	f.Add(append(append([]byte{helloRemoval, byte(len(card) >> 8), byte(len(card))}, card...), x.Signed...))
	f.Fuzz(func(t *testing.T, b []byte) {
		if raw, err := splitRemovals(b); err == nil {
			n := 0
			for _, r := range raw {
				n += 2 + len(r)
			}
			if n != len(b) || len(raw) > maxRemovals {
				t.Errorf("%d bytes read as %d removals of %d", len(b), len(raw), n)
			}
		}
		if r, rest, err := parseRotation(b); err == nil && b[0] == rotationVersion && !bytes.Equal(append(r.encode(), rest...), b) {
			t.Error("a rotation is written otherwise than it was read")
		}
		if card, removal, err := splitHello(b); err == nil && len(card)+len(removal) > len(b) {
			t.Error("more than there is")
		}
	})
}
