package evidence

import (
	"crypto/ed25519"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"caucus/cluster/identity"
)

func TestEveryNodeLetsTheSameRecordsGo(t *testing.T) {
	a, steady, away, late := newNode(t), newNode(t), newNode(t), newNode(t)
	a.labels(t, 0, 300)
	syncLogs(t, steady, a)
	syncLogs(t, away, a)
	for from := 300; from < 1900; from += 400 { // the last 1,000 of 1,900 remain
		a.labels(t, from, from+400)
		syncLogs(t, steady, a)
	}
	xa, _ := syncLogs(t, away, a) // all it had is let go by now, and 601 to 900 it never sees
	if xa.Stored != MaxKept || xa.Received != MaxKept {
		t.Fatalf("%+v", xa)
	}
	syncLogs(t, late, steady)
	equalEvidence(t, a, steady, away, late)
	for i, n := range []*node{a, steady, away, late} {
		replay := n.Snapshot().Replay()
		if len(replay) != MaxKept || replay[0].Sequence != 901 || replay[MaxKept-1].Sequence != 1900 {
			t.Fatalf("log %d: %d records from %d", i, len(replay), replay[0].Sequence)
		}
	}
	// The chain goes on at each alike.
	last := a.label(t, rowKey(0, 5000), 1)
	for _, n := range []*node{steady, away, late} {
		n.receive(t, last, Stored)
	}
	equalEvidence(t, a, steady, away, late)
	// A row whose label is let go can be labelled again.
	if a.label(t, rowKey(0, 0), 0) == nil {
		t.Fatal("a label that no longer counts is still a repetition")
	}
}

func TestMoreLabelsAtOnceThanAreKept(t *testing.T) {
	key := newKey(t)
	dir := t.TempDir()
	a, b := open(t, key, func(c *Config) { c.StateDir = dir }), newNode(t)
	a.labels(t, 0, 1005)
	syncLogs(t, b, a)
	equalEvidence(t, a, b)
	if n := a.Snapshot().Records(); n != MaxKept {
		t.Fatalf("%d records", n)
	}
	a.Close()
	equalEvidence(t, open(t, key, func(c *Config) { c.StateDir = dir }), b)
}

// bigVotes makes votes that fill a record to about 60 KB. They are not signed by
// anybody, so such a record is only good where votes are not checked.
func bigVotes(t testing.TB, k *identity.Key) []Vote {
	t.Helper()
	var votes []Vote
	for range MaxVotes {
		v := newKey(t)
		p := make([]uint32, 26)
		p[0] = One
		votes = append(votes, Vote{Voter: v.ID(), PublicKey: v.Public(), Probabilities: p, Signature: make([]byte, ed25519.SignatureSize)})
	}
	return votes
}

func TestAChainKeepsNoMoreBytesThanTheLimit(t *testing.T) {
	k := newKey(t)
	n := open(t, k, func(c *Config) { c.Classes = 26 })
	votes := bigVotes(t, k)
	var size int
	for i := range 80 {
		r := &Record{Task: testTask, Classes: 26, Features: rowKey(0, i).Features, Votes: votes}
		// As Append does, but without checking the votes, whose signatures are none.
		if _, _, err := n.append([]*Record{r}); err != nil {
			t.Fatal(err)
		}
		size = len(r.Raw)
	}
	s := n.Snapshot()
	if want := MaxChainBytes / size; s.Records() != want || want >= 80 {
		t.Fatalf("%d records of %d bytes are kept, want %d", s.Records(), size, want)
	}
	if s.Bytes() > MaxChainBytes || s.Bytes() <= MaxChainBytes-uint64(size) {
		t.Fatalf("%d bytes", s.Bytes())
	}
}

// TestAChainOfMoreBytesThanTheLimitIsNotPutTogether: no two neighbours in it contradict each other, and yet a log
// would take its first and last records as a proof against its origin.
func TestAChainOfMoreBytesThanTheLimitIsNotPutTogether(t *testing.T) {
	k := newKey(t)
	votes := bigVotes(t, k)
	var last *Record
	var build, within chainBuilder
	for total := uint64(0); total <= MaxChainBytes; total = last.Total {
		before := last
		last = forge(t, k, before, func(r *Record) {
			r.Classes, r.Votes = 26, votes
			if r.Total = uint64(r.Size()); before != nil {
				r.Total += before.Total
			}
		})
		if err := build.add(entryOf(last)); err != nil {
			t.Fatal(err)
		}
		if last.Total <= MaxChainBytes {
			if err := within.add(entryOf(last)); err != nil {
				t.Fatal(err)
			}
		}
	}
	if _, err := within.finish(); err != nil {
		t.Errorf("a chain within the limit: %v", err)
	}
	if c, err := build.finish(); err == nil || !strings.Contains(err.Error(), "bytes") {
		t.Errorf("a chain of %d bytes, and the limit is %d: %v, %v", last.Total, MaxChainBytes, c, err)
	}
}

func TestANodeThatLostItsEvidenceGoesOnWithoutAFork(t *testing.T) {
	key := newKey(t)
	now := time.UnixMilli(1_800_000_000_000)
	clock := func(c *Config) { c.Now = func() time.Time { return now } }
	a, b := open(t, key, clock), newNode(t)
	a.labels(t, 0, 5)
	syncLogs(t, a, b)
	for loss := range 2 {
		now = now.Add(time.Second)
		a = open(t, key, clock)                 // nothing is left
		a.label(t, rowKey(0, 10+loss), 1)       // and it labels before it has met anybody
		syncLogs(t, a, b)                       // its peers give it all back
		a.label(t, rowKey(0, 20+loss), 1)       // and its chain goes on
		if a.label(t, rowKey(0, 1), 1) != nil { // and it knows what it had said
			t.Fatal("a label from before the loss was given again")
		}
		syncLogs(t, a, b)
		equalEvidence(t, a, b)
	}
	if s := b.Snapshot(); s.Records() != 9 || s.Proof(key.ID()) != nil || s.Labellers()[0].Epochs != 3 {
		t.Fatalf("%d records, %+v", s.Records(), s.Labellers())
	}
}

func TestOfAnOriginsManyChainsTheNewestCountEverywhere(t *testing.T) {
	k := newKey(t)
	var chains []*Record
	for epoch := range uint64(MaxEpochs + 3) {
		chains = append(chains, forge(t, k, nil, func(r *Record) { r.Epoch = 100 + epoch }))
	}
	up, down := newNode(t), newNode(t)
	for i := range chains {
		up.receive(t, chains[i], Stored)
		want := Stored
		if i >= MaxEpochs {
			want = Old
		}
		down.receive(t, chains[len(chains)-1-i], want)
	}
	equalEvidence(t, up, down)
	if s := up.Snapshot(); s.Records() != MaxEpochs || s.Replay()[0].Epoch != 103 {
		t.Fatalf("%s", replayText(s))
	}
}

func TestANewChainIsAboveAllThatItsOriginIsKnownToHaveHad(t *testing.T) {
	key := newKey(t)
	a := open(t, key, func(c *Config) { c.Now = func() time.Time { return time.UnixMilli(5) } }) // a clock that is wrong
	for epoch := range uint64(MaxEpochs) {
		a.receive(t, forge(t, key, nil, func(r *Record) { r.Epoch = 1<<60 + epoch }), Stored)
	}
	r := a.label(t, rowKey(0, 3), 1)
	if r.Epoch != 1<<60+MaxEpochs || a.label(t, rowKey(0, 4), 1).Sequence != 2 {
		t.Fatalf("epoch %d", r.Epoch)
	}
}

func TestOriginsAreBoundedAndThoseWhoLeftMakeRoom(t *testing.T) {
	n := newNode(t)
	var ids []identity.ID
	for range MaxOrigins {
		k := newKey(t)
		ids = append(ids, k.ID())
		n.receive(t, forge(t, k, nil, func(r *Record) { r.Lamport = uint64(len(ids)) }), Stored)
	}
	heads := n.Snapshot().Heads()
	if len(heads) != headsFixed+MaxOrigins*headSize || len(heads) > 17<<10 {
		t.Fatalf("heads of %d origins have %d bytes", MaxOrigins, len(heads))
	}
	newcomer := forge(t, newKey(t), nil, nil)
	if outcome, err := n.Receive(newcomer.Raw); outcome != Refused || !errors.Is(err, ErrRefused) || !strings.Contains(err.Error(), "256") {
		t.Fatalf("%v, %v", outcome, err)
	}
	// Two leave; the one that was silent longest makes room.
	n.SetMembers(append(ids[:MaxOrigins:MaxOrigins][2:], newcomer.Origin))
	n.receive(t, newcomer, Stored)
	held := map[identity.ID]bool{}
	for _, l := range n.Snapshot().Labellers() {
		held[l.ID] = true
	}
	if len(held) != MaxOrigins || held[ids[0]] || !held[ids[1]] || !held[newcomer.Origin] {
		t.Fatalf("%d origins, held %v %v %v", len(held), held[ids[0]], held[ids[1]], held[newcomer.Origin])
	}
}

func TestAFullLogTakesNothingMoreOfOthersButItsOwnLabels(t *testing.T) {
	k, other := newKey(t), newKey(t)
	n := open(t, newKey(t), func(c *Config) { c.MaxBytes = 1000 })
	var last *Record
	for range 5 { // 249 bytes each: the fifth goes over
		last = forge(t, k, last, nil)
		n.receive(t, last, Stored)
	}
	next := forge(t, k, last, nil)
	if outcome, err := n.Receive(next.Raw); outcome != Refused || !errors.Is(err, ErrRefused) || !strings.Contains(err.Error(), "1000 bytes") {
		t.Fatalf("%v, %v", outcome, err)
	}
	if !n.Snapshot().Full() {
		t.Fatal("it does not say that it is full")
	}
	heads := open(t, other, nil)
	heads.label(t, rowKey(0, 1), 1)
	if d, err := n.Snapshot().Compare(heads.Snapshot().Heads()); err != nil || d.Behind {
		t.Fatalf("%+v, %v: it would fetch what it refuses", d, err)
	}
	n.label(t, rowKey(0, 2), 1)
	// Who is no member any more makes room.
	n.SetMembers([]identity.ID{other.ID()})
	if n.Snapshot().Full() {
		t.Fatal("full, though there is something to let go")
	}
	syncLogs(t, n, heads)
	if l := n.Snapshot().Labellers(); len(l) != 2 || n.Snapshot().Records() != 2 {
		t.Fatalf("%+v", l)
	}
}

func TestHeadsOfFiveMembersAreSmall(t *testing.T) {
	n := newNode(t)
	for range 5 {
		n.receive(t, forge(t, newKey(t), nil, nil), Stored)
	}
	if got := len(n.Snapshot().Heads()); got != 357 {
		t.Fatalf("%d bytes", got)
	}
}

func TestCompareSaysWhoLacksWhat(t *testing.T) {
	a, b := newNode(t), newNode(t)
	compare := func(x, y *node) Difference {
		t.Helper()
		d, err := x.Snapshot().Compare(y.Snapshot().Heads())
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	if d := compare(a, b); d != (Difference{}) {
		t.Fatalf("both empty: %+v", d)
	}
	a.label(t, rowKey(0, 1), 1)
	if d := compare(a, b); d != (Difference{Ahead: true}) {
		t.Fatalf("%+v", d)
	}
	if d := compare(b, a); d != (Difference{Behind: true}) {
		t.Fatalf("%+v", d)
	}
	b.label(t, rowKey(0, 1), 1)
	if d := compare(b, a); d != (Difference{Behind: true, Ahead: true}) {
		t.Fatalf("%+v", d)
	}
	foreign := open(t, newKey(t), func(c *Config) { c.Task[0]++ })
	if _, err := a.Snapshot().Compare(foreign.Snapshot().Heads()); !errors.Is(err, ErrTask) {
		t.Fatal(err)
	}
	heads := b.Snapshot().Heads()
	for i := range heads {
		if i >= 1 && i < 33 || i >= 37+32 {
			continue // the task is refused above; epoch, sequence and hash have no wrong form
		}
		bad := append([]byte{}, heads...)
		bad[i] ^= 0x80
		if _, err := a.Snapshot().Compare(bad); !errors.Is(err, ErrHeads) {
			t.Fatalf("byte %d: %v", i, err)
		}
	}
	binary.BigEndian.PutUint64(heads[37+40:], 0)
	if _, err := a.Snapshot().Compare(heads); !errors.Is(err, ErrHeads) {
		t.Fatal(err)
	}
}

func TestAPartOfAChainIsAdoptedOverWhatIsHere(t *testing.T) {
	k := newKey(t)
	chain := []*Record{forge(t, k, nil, nil)}
	for i := range 9 {
		chain = append(chain, forge(t, k, chain[i], func(r *Record) { r.Kept = min(r.Kept, 5) }))
	}
	for name, disk := range map[string]bool{"in memory": false, "on disk": true} {
		for have := range 10 {
			t.Run(fmt.Sprintf("%s, %d here", name, have), func(t *testing.T) {
				n := open(t, newKey(t), func(c *Config) {
					if disk {
						c.StateDir = t.TempDir()
					}
				})
				for _, r := range chain[:have] {
					n.receive(t, r, Stored)
				}
				for range 2 {
					want := Stored
					if n.Snapshot().Records() > 0 && n.Snapshot().Replay()[0].Sequence == 6 {
						want = Duplicate
					}
					got, err := n.change(func(t *tx) (Outcome, error) { return t.adopt(chain[5:]) })
					if got != want || err != nil {
						t.Fatalf("%v, %v", got, err)
					}
				}
				whole := newNode(t)
				for _, r := range chain {
					whole.receive(t, r, Stored)
				}
				equalEvidence(t, n, whole)
				copied := newNode(t)
				syncLogs(t, copied, n)
				equalEvidence(t, n, copied)
			})
		}
	}
}
