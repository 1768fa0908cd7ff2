package evidence

import (
	"errors"
	"strings"
	"testing"

	"caucus/cluster/identity"
)

func TestReceiveTellsWhatBecameOfARecord(t *testing.T) {
	k, n := newKey(t), newNode(t)
	r1 := forge(t, k, nil, nil)
	r2 := forge(t, k, r1, nil)
	r3 := forge(t, k, r2, nil)
	r4 := forge(t, k, r3, func(r *Record) { r.Kept = 2 })
	r5 := forge(t, k, r4, nil)
	n.receive(t, r2, Gap)
	n.receive(t, r1, Stored)
	n.receive(t, r1, Duplicate)
	n.receive(t, r3, Gap)
	n.receive(t, r2, Stored)
	n.receive(t, r3, Stored)
	n.receive(t, r4, Stored)
	n.receive(t, r2, Old) // r4 has let r1 and r2 go
	n.receive(t, r1, Old)
	n.receive(t, r3, Duplicate)
	n.receive(t, r5, Stored)
	if got := n.Snapshot().Records(); got != 3 {
		t.Fatalf("%d records count, want r3, r4, r5", got)
	}
}

func TestRecordsOfAnotherTaskAreRefused(t *testing.T) {
	k, n := newKey(t), newNode(t)
	other := forge(t, k, nil, func(r *Record) { r.Task[0] ^= 1 })
	if outcome, err := n.Receive(other.Raw); outcome != Refused || !errors.Is(err, ErrTask) {
		t.Fatalf("%v, %v", outcome, err)
	}
	classes := forge(t, k, nil, func(r *Record) { r.Classes = 4 })
	if outcome, err := n.Receive(classes.Raw); outcome != Refused || !errors.Is(err, ErrRecord) || !strings.Contains(err.Error(), "4 classes") {
		t.Fatalf("%v, %v", outcome, err)
	}
	if outcome, err := n.Receive([]byte("nonsense")); outcome != Refused || !errors.Is(err, ErrRecord) {
		t.Fatalf("%v, %v", outcome, err)
	}
}

// misdeeds are pairs of records that no honest origin signs: what it does after the
// records given, as two records that contradict each other.
var misdeeds = map[string]func(t testing.TB, k *identity.Key, last *Record) (a, b *Record){
	"two records of one number": func(t testing.TB, k *identity.Key, last *Record) (a, b *Record) {
		return forge(t, k, last, nil), forge(t, k, last, func(r *Record) { r.Label = 1 })
	},
	"a record that follows on nothing": func(t testing.TB, k *identity.Key, last *Record) (a, b *Record) {
		a = forge(t, k, last, nil)
		return a, forge(t, k, a, func(r *Record) { r.Previous[0] ^= 1 })
	},
	"a time that stands still": func(t testing.TB, k *identity.Key, last *Record) (a, b *Record) {
		a = forge(t, k, last, nil)
		return a, forge(t, k, a, func(r *Record) { r.Lamport = a.Lamport })
	},
	"a total that is wrong": func(t testing.TB, k *identity.Key, last *Record) (a, b *Record) {
		a = forge(t, k, last, nil)
		return a, forge(t, k, a, func(r *Record) { r.Total++ })
	},
	"taking back what was let go": func(t testing.TB, k *identity.Key, last *Record) (a, b *Record) {
		a = forge(t, k, last, func(r *Record) { r.Kept = 1 })
		return a, forge(t, k, a, func(r *Record) { r.Kept = 3 })
	},
}

func TestAnOriginThatContradictsItselfIsExcludedEverywhere(t *testing.T) {
	for name, misdeed := range misdeeds {
		t.Run(name, func(t *testing.T) {
			k := newKey(t)
			n, other, late := newNode(t), newNode(t), newNode(t)
			r1 := forge(t, k, nil, nil)
			r2 := forge(t, k, r1, nil)
			a, b := misdeed(t, k, r2)
			honest := n.label(t, rowKey(0, 9), 1)
			for _, r := range []*Record{r1, r2, a} {
				n.receive(t, r, Stored)
				other.receive(t, r, Stored)
			}
			n.out.take()
			n.receive(t, b, Fork)
			n.receive(t, b, Excluded)
			n.receive(t, forge(t, k, a, func(r *Record) { r.Epoch = 8 }), Excluded)
			s := n.Snapshot()
			if s.Records() != 1 || s.Replay()[0].Hash != honest.Hash {
				t.Fatalf("%d records count, want the honest one", s.Records())
			}
			if p := s.Proof(k.ID()); p == nil || p.Reason == "" {
				t.Fatalf("proof %+v", p)
			}
			// The notice makes others fetch the proof; those who come late get it too.
			msgs := n.out.take()
			if len(msgs) != 1 {
				t.Fatalf("%d broadcasts", len(msgs))
			}
			if h, err := other.HandleBroadcast(msgs[0]); err != nil || !h.Fetch {
				t.Fatalf("%+v, %v", h, err)
			}
			syncLogs(t, other, n)
			syncLogs(t, late, other)
			equalEvidence(t, n, other, late)
			for _, x := range []*node{other, late} {
				if p := x.Snapshot().Proof(k.ID()); p == nil {
					t.Fatal("the proof did not spread")
				}
				x.receive(t, r1, Excluded)
			}
			if h, err := other.HandleBroadcast(msgs[0]); err != nil || h.Fetch {
				t.Fatalf("once known: %+v, %v", h, err)
			}
		})
	}
}

func TestForkIsFoundWhicheverEndHasWhichHalf(t *testing.T) {
	for name, depth := range map[string]int{"at the end": 1, "further on at one": 3} {
		t.Run(name, func(t *testing.T) {
			k := newKey(t)
			a, b, c := newNode(t), newNode(t), newNode(t)
			r1 := forge(t, k, nil, nil)
			left, right := forge(t, k, r1, nil), forge(t, k, r1, func(r *Record) { r.Label = 1 })
			a.receive(t, r1, Stored)
			b.receive(t, r1, Stored)
			a.receive(t, left, Stored)
			for range depth {
				b.receive(t, right, Stored)
				right = forge(t, k, right, nil)
			}
			c.label(t, rowKey(0, 1), 1)
			syncLogs(t, a, b)
			syncLogs(t, b, c)
			syncLogs(t, a, c)
			syncLogs(t, b, a) // who lacked the half finds the fork; the other learns of it the next time
			equalEvidence(t, a, b, c)
			for i, n := range []*node{a, b, c} {
				if n.Snapshot().Proof(k.ID()) == nil || n.Snapshot().Records() != 1 {
					t.Fatalf("log %d did not exclude the origin", i)
				}
			}
		})
	}
}

func TestAChainWithTooManyBytesIsProvenByTwoRecords(t *testing.T) {
	k := newKey(t)
	// Only the totals matter; nobody needs to have seen what lies between.
	a := forge(t, k, nil, func(r *Record) { r.Sequence, r.Previous[0], r.Total = 10, 1, 1000 })
	b := forge(t, k, a, func(r *Record) { r.Sequence, r.Kept, r.Total = 13, 4, 1000+MaxChainBytes })
	p, err := newProof(a, b)
	if err != nil || !strings.Contains(p.Reason, "bytes") {
		t.Fatalf("%+v, %v", p, err)
	}
	within := forge(t, k, a, func(r *Record) { r.Sequence, r.Kept, r.Total = 13, 4, 1000+MaxChainBytes-uint64(len(a.Raw)) })
	if _, err := newProof(a, within); !errors.Is(err, ErrProof) {
		t.Fatalf("records that go together: %v", err)
	}
}

func TestProofsAreCheckedBeforeAnybodyIsExcluded(t *testing.T) {
	k, eve, n := newKey(t), newKey(t), newNode(t)
	r1 := forge(t, k, nil, nil)
	r2 := forge(t, k, r1, nil)
	twin := forge(t, k, r1, func(r *Record) { r.Label = 1 })
	good, err := newProof(twin, r2)
	if err != nil {
		t.Fatal(err)
	}
	forged := func(a, b *Record) []byte {
		raw := append([]byte{proofVersion, 0, 0, byte(len(a.Raw) >> 8), byte(len(a.Raw))}, a.Raw...)
		return append(raw, b.Raw...)
	}
	stranger := forge(t, eve, nil, nil)
	foreign := forge(t, k, nil, func(r *Record) { r.Task[0] ^= 1 })
	foreignTwin := forge(t, k, nil, func(r *Record) { r.Task[0] ^= 1; r.Label = 1 })
	for name, raw := range map[string][]byte{
		"records that go together": forged(r1, r2),
		"one record twice":         forged(r1, r1),
		"two origins":              forged(r1, stranger),
		"records of another task":  mustProof(t, foreign, foreignTwin).Raw,
		"the wrong order":          forged(good.B, good.A),
		"nothing":                  {},
		"a byte more":              append(append([]byte{}, good.Raw...), 0),
	} {
		t.Run(name, func(t *testing.T) {
			if outcome, err := n.ReceiveProof(raw); outcome != Refused || err == nil {
				t.Fatalf("%v, %v", outcome, err)
			}
		})
	}
	for i := range good.Raw {
		b := append([]byte{}, good.Raw...)
		b[i] ^= 1
		if _, err := ParseProof(b); !errors.Is(err, ErrProof) {
			t.Fatalf("byte %d changed: %v", i, err)
		}
	}
	n.receive(t, r1, Stored)
	if outcome, err := n.ReceiveProof(good.Raw); outcome != Fork || err != nil {
		t.Fatalf("%v, %v", outcome, err)
	}
	if outcome, err := n.ReceiveProof(good.Raw); outcome != Duplicate || err != nil {
		t.Fatalf("%v, %v", outcome, err)
	}
}

func mustProof(t testing.TB, a, b *Record) *Proof {
	t.Helper()
	p, err := newProof(a, b)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestANodeWhoseOwnChainForkedIsToldSo(t *testing.T) {
	k := newKey(t)
	a, b := open(t, k, nil), newNode(t)
	first := a.label(t, rowKey(0, 1), 1)
	syncLogs(t, a, b)
	b.receive(t, forge(t, k, first, nil), Stored)
	a.label(t, rowKey(0, 2), 1) // as a node does after an old copy of its file was put back
	syncLogs(t, a, b)
	syncLogs(t, a, b)
	if _, err := a.Append(Labelling{Key: rowKey(0, 3), Label: 1}); !errors.Is(err, ErrExcluded) || !strings.Contains(err.Error(), "new identity") {
		t.Fatal(err)
	}
	equalEvidence(t, a, b)
}

func TestALabellerCannotDriveTheClockToItsEnd(t *testing.T) {
	k, n := newKey(t), newNode(t)
	n.receive(t, forge(t, k, nil, func(r *Record) { r.Lamport = maxCount - 1 }), Stored)
	r1, r2 := n.label(t, rowKey(0, 1), 1), n.label(t, rowKey(0, 2), 1)
	if r1.Lamport != believed+1 || r2.Lamport != believed+2 {
		t.Fatalf("%d, %d", r1.Lamport, r2.Lamport)
	}
}
