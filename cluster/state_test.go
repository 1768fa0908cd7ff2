package cluster

import (
	"bytes"
	"encoding/binary"
	"errors"
	"strings"
	"testing"
	"time"

	"caucus/cluster/identity"
)

func TestStateOfAFullRosterFitsItsLimit(t *testing.T) {
	p := newPerson(t, strings.Repeat("n", 63))
	r := newRoster(p.id(), 256)
	c := p.card(t, 1, func(c *identity.Card) {
		c.Model = strings.Repeat("m", 32)
		c.URL = "http://" + strings.Repeat("h", 200) + ":1"
	})
	for i := range 256 {
		id := identity.ID(strings.Repeat("a", 29) + string(rune('a'+i%26)) + string(rune('a'+i/26%26)) + "a")
		r.entries[id] = &entry{card: c, enrolled: 1}
	}
	for i := range maxTombstones {
		r.bury(identity.ID(strings.Repeat("a", 29)+string(rune('a'+i%26))+string(rune('a'+i/26%26))+string(rune('a'+i/676))), 1, time.Now())
	}
	b := r.appendState(nil)
	raw, tombs, err := parseState(b)
	if err != nil || len(raw) != 256 || len(tombs) != maxTombstones {
		t.Fatalf("%d bytes, %d cards, %d tombstones, %v", len(b), len(raw), len(tombs), err)
	}
}

func TestMalformedStateIsRefused(t *testing.T) {
	p := newPerson(t, "ana")
	r := rosterOf(t, []*person{p, newPerson(t, "bo")})
	r.forget("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", 9, time.Now())
	good := r.appendState(nil)
	if _, _, err := parseState(good); err != nil {
		t.Fatal(err)
	}
	for name, b := range map[string][]byte{
		"nothing":              {},
		"another version":      append([]byte{9}, good[1:]...),
		"cut short":            good[:len(good)-1],
		"a byte too many":      append(bytes.Clone(good), 0),
		"too long":             make([]byte, maxState+1),
		"half a card's head":   {1, sectionCards, 0, 0, 0, 3, 0, 0, 0},
		"half a tombstone":     {1, sectionTombstones, 0, 0, 0, 1, 0},
		"a card over the cap":  {1, sectionCards, 0, 0, 0, 10, 0, 0, 0, 0, 0, 0, 0, 1, 0xff, 0xff},
		"an id of other signs": append([]byte{1, sectionTombstones, 0, 0, 0, 40}, bytes.Repeat([]byte{'A'}, 40)...),
		"an endless sequence":  append(append([]byte{1, sectionTombstones, 0, 0, 0, 40}, bytes.Repeat([]byte{'a'}, 32)...), bytes.Repeat([]byte{0xff}, 8)...),
	} {
		if _, _, err := parseState(b); !errors.Is(err, errState) {
			t.Errorf("%s: got %v, want errState", name, err)
		}
	}
	unknown := append(bytes.Clone(good), 77, 0, 0, 0, 2, 1, 2)
	if _, _, err := parseState(unknown); err != nil {
		t.Errorf("a section of a later version was not skipped: %v", err)
	}
}

func FuzzParseState(f *testing.F) {
	r := rosterOf(f, people(f, 3))
	r.forget("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", 9, time.Now())
	f.Add(r.appendState(nil))
	f.Add([]byte{1})
	f.Add([]byte{1, 77, 0, 0, 0, 1, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		cards, tombs, err := parseState(b)
		if err != nil {
			return
		}
		var all []remoteCard
		for _, c := range cards {
			if parsed, err := identity.ParseCard(c.signed); err == nil {
				all = append(all, remoteCard{parsed, c.enrolled})
			}
		}
		r := newRoster("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab", 8)
		r.merge(all, tombs, time.Now())
		r.enrol()
		if len(r.entries) > 8 || len(r.tombs) > maxTombstones {
			t.Fatal("the bounds do not hold")
		}
		if _, _, err := parseState(r.appendState(nil)); err != nil {
			t.Fatalf("what was merged cannot be read: %v", err)
		}
	})
}

func TestMessagesAreReadStrictly(t *testing.T) {
	id := strings.Repeat("a", 32)
	good := map[byte][]byte{
		messageBroadcast: append(append([]byte{messageBroadcast}, id...), make([]byte, 8+5)...),
		messageForget:    binary.BigEndian.AppendUint64(append([]byte{messageForget}, id...), 7),
		messageCard:      append([]byte{messageCard}, newPerson(t, "ana").card(t, 1).Signed...),
		messageRemoval:   append([]byte{messageRemoval}, newPerson(t, "ana").says(t, newPerson(t, "bo"), 1, false).Signed...),
	}
	for kind, b := range good {
		msg, err := parseMessage(b)
		if err != nil || msg.kind != kind {
			t.Errorf("kind %d: %v", kind, err)
		}
	}
	for name, b := range map[string][]byte{
		"nothing":             {},
		"an unknown kind":     {99, 1, 2},
		"half a broadcast":    good[messageBroadcast][:20],
		"a long broadcast":    make([]byte, longestMessage+1),
		"half a tombstone":    good[messageForget][:40],
		"a tombstone too big": append(bytes.Clone(good[messageForget]), 0),
		"a card too long":     append([]byte{messageCard}, make([]byte, 513)...),
		"a removal too long":  append([]byte{messageRemoval}, make([]byte, identity.MaxRemoval+1)...),
	} {
		if _, err := parseMessage(b); !errors.Is(err, errMessage) {
			t.Errorf("%s: got %v, want errMessage", name, err)
		}
	}
}

func FuzzParseMessage(f *testing.F) {
	f.Add([]byte{messageBroadcast})
	f.Add(append(append([]byte{messageBroadcast}, strings.Repeat("a", 32)...), make([]byte, 13)...))
	f.Add(binary.BigEndian.AppendUint64(append([]byte{messageForget}, strings.Repeat("a", 32)...), 7))
	f.Add(append([]byte{messageCard}, newPerson(f, "ana").card(f, 1).Signed...))
	f.Fuzz(func(t *testing.T, b []byte) {
		msg, err := parseMessage(b)
		if err != nil {
			if !errors.Is(err, errMessage) {
				t.Fatalf("an error that is no errMessage: %v", err)
			}
			return
		}
		if len(msg.content) > identity.MaxCard {
			t.Fatalf("content of %d bytes", len(msg.content))
		}
	})
}
