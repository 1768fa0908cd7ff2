package evidence

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"caucus/cluster/identity"
	"caucus/cluster/session"
)

func TestGivingTheSameLabelAgainChangesNothing(t *testing.T) {
	n := newNode(t)
	key := rowKey(3, 1)
	if n.label(t, key, 1) == nil {
		t.Fatal("no record")
	}
	before := n.Snapshot()
	out, err := n.Append(Labelling{Key: key, Label: 1}, Labelling{Key: key, Label: 1})
	if err != nil || out[0].Record != nil || out[1].Record != nil {
		t.Fatalf("%+v, %v", out, err)
	}
	if n.Snapshot() != before {
		t.Fatal("a new snapshot without a change")
	}
	if got, ok := n.Snapshot().Labelled(key); !ok || got != 1 {
		t.Fatalf("labelled %d, %v", got, ok)
	}
	if _, ok := n.Snapshot().Labelled(rowKey(4, 1)); ok {
		t.Fatal("the row of another round is labelled")
	}
}

func TestAnotherLabelBySameLabellerSupersedesTheFirst(t *testing.T) {
	a, b := newNode(t), newNode(t)
	key := rowKey(3, 1)
	out, err := a.Append(Labelling{Key: key, Label: 1}, Labelling{Key: key, Label: 2}, Labelling{Key: key, Label: 2}, Labelling{Key: rowKey(0, 2), Label: 0})
	if err != nil {
		t.Fatal(err)
	}
	if out[0].Supersedes || !out[1].Supersedes || out[2].Record != nil || out[3].Supersedes {
		t.Fatalf("%+v", out)
	}
	syncLogs(t, a, b)
	for _, n := range []*node{a, b} {
		rows := n.Snapshot().Rows()
		if len(rows) != 2 || rows[0].Key != key || rows[0].Label != 2 || rows[0].Labellers != 1 {
			t.Fatalf("%+v", rows)
		}
	}
	if got, ok := a.Snapshot().Labelled(key); !ok || got != 2 {
		t.Fatalf("labelled %d, %v", got, ok)
	}
}

func TestAppendRefusesWhatOthersWouldRefuse(t *testing.T) {
	n, v := newNode(t), newKey(t)
	key := rowKey(3, 1)
	good := vote(v, n.key.ID(), key, 1)
	short := good
	short.Signature = short.Signature[:10]
	wrong := good
	wrong.Voter = newKey(t).ID()
	outside := vote(v, n.key.ID(), key, 3)
	for name, l := range map[string]Labelling{
		"a label outside":        {Key: key, Label: testClasses},
		"a label below":          {Key: key, Label: -1},
		"half a signature":       {Key: key, Votes: []Vote{short}},
		"a key of another voter": {Key: key, Votes: []Vote{wrong}},
		"a vote outside":         {Key: key, Votes: []Vote{outside}},
		"a voter twice":          {Key: key, Votes: []Vote{good, good}},
	} {
		t.Run(name, func(t *testing.T) {
			// All or nothing: the good one before it is not kept either.
			if _, err := n.Append(Labelling{Key: key, Label: 1, Votes: []Vote{good}}, l); !errors.Is(err, ErrRecord) {
				t.Fatal(err)
			}
			if n.Snapshot().Records() != 0 || len(n.out.take()) != 0 {
				t.Fatal("something was kept or told")
			}
		})
	}
	if n.label(t, key, 1, good) == nil {
		t.Fatal("the good one is refused too")
	}
}

func TestNewVoteTakesARowOutOfASignedAnswer(t *testing.T) {
	n, v := newNode(t), newKey(t)
	q := &session.Question{Task: testTask, Columns: 2, Rows: []float64{1, 1.5, 2, 1.5}, Sign: true}
	q.Round[3] = 9
	a := &session.Answer{Classes: testClasses, Labels: []uint16{2, 1}, Probabilities: []uint32{0, 0, One, 0, One, 0}}
	a.Fingerprint[0] = 4
	if err := session.SignAnswer(v, n.key.ID(), q, a); err != nil {
		t.Fatal(err)
	}
	for row := range 2 {
		key := Key{Round: q.Round, Features: session.FeaturesDigest(q.Row(row))}
		n.label(t, key, 1, NewVote(v.Public(), a, row))
	}
	rows := n.Snapshot().Rows()
	if len(rows) != 2 || rows[1].Votes[0].Label != 1 || rows[1].Votes[0].Voter != v.ID() || rows[1].Votes[0].Probabilities[1] != One {
		t.Fatalf("%+v", rows)
	}
	a.Signature = nil
	if _, err := n.Append(Labelling{Key: rowKey(1, 1), Votes: []Vote{NewVote(v.Public(), a, 0)}}); !errors.Is(err, ErrRecord) {
		t.Fatal(err)
	}
}

func TestASmallRecordTravelsWholeAndALargeOneIsAnnounced(t *testing.T) {
	a, b := newNode(t), newNode(t)
	key := rowKey(3, 1)
	var votes []Vote
	for range 2 {
		votes = append(votes, vote(newKey(t), a.key.ID(), key, 1, 0, One, 0))
	}
	small := a.label(t, key, 1, votes[:1]...)
	msgs := a.out.take()
	if len(msgs) != 1 || len(msgs[0]) != 1+len(small.Raw) {
		t.Fatalf("%d broadcasts of %d bytes", len(msgs), len(msgs[0]))
	}
	if h, err := b.HandleBroadcast(msgs[0]); err != nil || h.Outcome != Stored || h.Fetch {
		t.Fatalf("%+v, %v", h, err)
	}
	if h, err := b.HandleBroadcast(msgs[0]); err != nil || h.Outcome != Duplicate || h.Fetch {
		t.Fatalf("again: %+v, %v", h, err)
	}
	a.label(t, key, 2, votes...)
	msgs = a.out.take()
	if len(msgs) != 1 || len(msgs[0]) != 97 {
		t.Fatalf("%d broadcasts of %d bytes", len(msgs), len(msgs[0]))
	}
	if h, err := b.HandleBroadcast(msgs[0]); err != nil || !h.Fetch {
		t.Fatalf("%+v, %v", h, err)
	}
	syncLogs(t, b, a)
	if h, err := b.HandleBroadcast(msgs[0]); err != nil || h.Fetch {
		t.Fatalf("once fetched: %+v, %v", h, err)
	}
	equalEvidence(t, a, b)
	a.labels(t, 10, 20)
	if msgs = a.out.take(); len(msgs) != 1 {
		t.Fatalf("%d broadcasts for ten labels at once, want one announcement", len(msgs))
	}
	// A record that was missed shows as a gap.
	a.label(t, rowKey(9, 9), 0)
	if h, err := b.HandleBroadcast(a.out.take()[0]); err != nil || h.Outcome != Gap || !h.Fetch {
		t.Fatalf("%+v, %v", h, err)
	}
}

func TestBroadcastsThatAreNoneAreRefused(t *testing.T) {
	n := newNode(t)
	head := append([]byte{messageHead}, make([]byte, 32+headSize)...)
	foreign := append([]byte{messageProof}, make([]byte, 64)...)
	for _, m := range [][]byte{nil, {0}, {messageRecord}, {messageHead}, {messageProof, 1}, {9, 9}, head, foreign, make([]byte, MaxBroadcast+1)} {
		if h, err := n.HandleBroadcast(m); err == nil || h.Fetch {
			t.Errorf("%d bytes of kind %v: %+v, %v", len(m), m[:min(1, len(m))], h, err)
		}
	}
}

func TestLabelsAreDecidedByMostLabellers(t *testing.T) {
	voter := newKey(t)
	var nodes []*node
	for range 5 {
		nodes = append(nodes, newNode(t))
	}
	clear, split, three := rowKey(0, 1), rowKey(0, 2), rowKey(0, 3)
	for i, n := range nodes {
		n.label(t, clear, i%2, vote(voter, n.key.ID(), clear, i%3)) // 3 say 0, 2 say 1
		if i < 4 {
			n.label(t, split, i%2)
		}
		n.label(t, three, i%3) // 2, 2, 1
		if i > 0 {
			syncLogs(t, n, nodes[0])
		}
	}
	for _, n := range nodes {
		syncLogs(t, n, nodes[0])
	}
	equalEvidence(t, nodes...)
	for _, n := range nodes {
		s := n.Snapshot()
		rows := s.Rows()
		if len(rows) != 1 || s.Disputed() != 2 {
			t.Fatalf("%d rows, %d disputed", len(rows), s.Disputed())
		}
		r := rows[0]
		if r.Key != clear || r.Label != 0 || r.Agree != 3 || r.Labellers != 5 || len(r.Votes) != 1 {
			t.Fatalf("%+v", r)
		}
		// The voter said something else to each; what it said first stands, and it is flagged.
		if r.Votes[0].Label != s.Replay()[0].Votes[0].Label {
			t.Fatal("not the first vote stands")
		}
		e := s.Equivocations()
		if len(e) != 1 || e[0].Voter != voter.ID() || e[0].A == e[0].B {
			t.Fatalf("%+v", e)
		}
	}
}

func TestANodeThatRefittedDoesNotEquivocate(t *testing.T) {
	n, voter := newNode(t), newKey(t)
	n.label(t, rowKey(1, 1), 0, vote(voter, n.key.ID(), rowKey(1, 1), 0))
	n.label(t, rowKey(2, 1), 0, vote(voter, n.key.ID(), rowKey(2, 1), 0)) // the same again
	key := rowKey(3, 1)
	refit := Vote{Voter: voter.ID(), PublicKey: voter.Public(), Label: 1}
	refit.Fingerprint[0] = 1
	s := session.Statement{
		Requester: n.key.ID(), Voter: refit.Voter, Round: key.Round, Features: key.Features, Task: testTask,
		Fingerprint: refit.Fingerprint, Label: 1, Classes: testClasses,
	}
	refit.Signature = s.Sign(voter)
	n.label(t, key, 0, refit)
	if e := n.Snapshot().Equivocations(); len(e) != 0 {
		t.Fatalf("%+v", e)
	}
	n.label(t, rowKey(4, 1), 0, vote(voter, n.key.ID(), rowKey(4, 1), 2))
	if e := n.Snapshot().Equivocations(); len(e) != 1 {
		t.Fatalf("%+v", e)
	}
}

func TestPolicySaysWhoseLabelsCount(t *testing.T) {
	a, b, c := newKey(t), newKey(t), newKey(t)
	policies := map[string]Policy{
		"members": FromMembers(), "self": FromSelf(), "b and c": FromIDs(c.ID(), b.ID(), b.ID()), "nobody": FromIDs(),
	}
	digests := map[string][2][32]byte{}
	for name, p := range policies {
		t.Run(name, func(t *testing.T) {
			again, err := ParsePolicy(p.String())
			if (err != nil) != (name == "nobody") || err == nil && fmt.Sprint(again) != fmt.Sprint(p) {
				t.Fatalf("%q gave %v, %v", p.String(), again, err)
			}
			from := func(cfg *Config) { cfg.From = p }
			na, nb, nc := open(t, a, from), open(t, b, from), open(t, c, from)
			for i, n := range []*node{na, nb, nc} {
				n.SetMembers([]identity.ID{a.ID(), b.ID(), c.ID()})
				n.label(t, rowKey(0, 1), i)
			}
			for range 2 {
				syncLogs(t, na, nb)
				syncLogs(t, nb, nc)
			}
			counts := map[string]int{"members": 3, "self": 1, "b and c": 2, "nobody": 0}[name]
			for _, n := range []*node{na, nb, nc} {
				if got := n.Snapshot().Records(); got != counts {
					t.Fatalf("%d records count, want %d", got, counts)
				}
				if l := n.Snapshot().Labellers(); len(l) != 3 {
					t.Fatalf("all three are held, whoever counts: %+v", l)
				}
			}
			digests[name] = [2][32]byte{na.Snapshot().Digest(), nb.Snapshot().Digest()}
			if same := digests[name][0] == digests[name][1]; same != (name != "self") {
				t.Fatalf("equal digests: %v", same)
			}
		})
	}
	for _, bad := range []string{"selfish", "members,self", string(a.ID()) + ",x", ","} {
		if _, err := ParsePolicy(bad); err == nil {
			t.Errorf("%q was read", bad)
		}
	}
}

func TestRecordsOfWhoIsNoMemberAreNeitherTakenNorCounted(t *testing.T) {
	a, b, stranger := newNode(t), newNode(t), newNode(t)
	r := stranger.label(t, rowKey(0, 1), 1)
	fork := forge(t, stranger.key, nil, nil)
	twin := forge(t, stranger.key, nil, func(r *Record) { r.Label = 1 })
	a.SetMembers([]identity.ID{b.key.ID()})
	if outcome, err := a.Receive(r.Raw); outcome != Refused || !errors.Is(err, ErrRefused) || !strings.Contains(err.Error(), "no member") {
		t.Fatalf("%v, %v", outcome, err)
	}
	if outcome, err := a.ReceiveProof(mustProof(t, fork, twin).Raw); outcome != Refused || !errors.Is(err, ErrRefused) {
		t.Fatalf("%v, %v", outcome, err)
	}
	if d, err := a.Snapshot().Compare(stranger.Snapshot().Heads()); err != nil || d.Behind {
		t.Fatalf("%+v, %v: it would fetch what it refuses", d, err)
	}
	changed := a.Changed()
	empty := a.Snapshot().Digest()
	a.SetMembers([]identity.ID{b.key.ID(), stranger.key.ID()})
	select {
	case <-changed:
	case <-time.After(10 * time.Second):
		t.Fatal("a change of members is no change")
	}
	a.receive(t, r, Stored)
	with := a.Snapshot().Digest()
	before := a.Snapshot()
	a.SetMembers([]identity.ID{stranger.key.ID(), b.key.ID()})
	if a.Snapshot() != before {
		t.Fatal("a new snapshot for the same members")
	}
	a.SetMembers([]identity.ID{b.key.ID()})
	if a.Snapshot().Digest() != empty || with == empty || a.Snapshot().Records() != 0 {
		t.Fatal("labels of one who is no member any more count")
	}
	if l := a.Snapshot().Labellers(); len(l) != 1 || l[0].Counts || l[0].Records != 1 {
		t.Fatalf("%+v", l)
	}
}

func TestChangedTellsOfEveryChange(t *testing.T) {
	n := newNode(t)
	for i := range 3 {
		c := n.Changed()
		n.label(t, rowKey(0, i), 0)
		select {
		case <-c:
		default:
			t.Fatal("not told")
		}
		if c2 := n.Changed(); c2 == c {
			t.Fatal("the channel is the old one")
		}
	}
}

func TestReplayIsByTimeThenOriginThenSequence(t *testing.T) {
	var nodes []*node
	for range 3 {
		nodes = append(nodes, newNode(t))
	}
	for i := range 12 {
		nodes[i%3].label(t, rowKey(0, i), 0)
		if i%4 == 3 {
			syncLogs(t, nodes[0], nodes[1])
			syncLogs(t, nodes[1], nodes[2])
		}
	}
	syncLogs(t, nodes[0], nodes[1])
	syncLogs(t, nodes[1], nodes[2])
	syncLogs(t, nodes[0], nodes[1])
	equalEvidence(t, nodes...)
	replay := nodes[0].Snapshot().Replay()
	if len(replay) != 12 || !slices.IsSortedFunc(replay, func(a, b *Entry) int {
		switch {
		case a.Lamport != b.Lamport:
			return int(a.Lamport) - int(b.Lamport)
		case a.Origin != b.Origin:
			return strings.Compare(string(a.Origin), string(b.Origin))
		}
		return int(a.Sequence) - int(b.Sequence)
	}) {
		t.Fatalf("%d records, or out of order", len(replay))
	}
	// Whatever was labelled after an exchange comes after all that the exchange brought.
	if replay[len(replay)-1].Lamport <= replay[0].Lamport {
		t.Fatal("the clock stands still")
	}
}
