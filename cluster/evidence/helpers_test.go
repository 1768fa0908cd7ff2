package evidence

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"caucus/cluster/identity"
	"caucus/cluster/session"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var testTask = sha256.Sum256([]byte("task of the tests"))

const testClasses = 3

func newKey(t testing.TB) *identity.Key {
	t.Helper()
	k, err := identity.Generate()
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// outbox gathers broadcasts.
type outbox struct {
	mu   sync.Mutex
	msgs [][]byte
}

func (o *outbox) add(m []byte) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.msgs = append(o.msgs, slices.Clone(m))
}

func (o *outbox) take() [][]byte {
	o.mu.Lock()
	defer o.mu.Unlock()
	m := o.msgs
	o.msgs = nil
	return m
}

// node is a log with its key.
type node struct {
	*Log
	key *identity.Key
	out *outbox
}

// open opens a log for key; mod may be nil. It is closed when the test ends.
func open(t testing.TB, key *identity.Key, mod func(*Config)) *node {
	t.Helper()
	n := &node{key: key, out: &outbox{}}
	cfg := Config{Key: key, Task: testTask, Classes: testClasses, Broadcast: n.out.add}
	if mod != nil {
		mod(&cfg)
	}
	l, err := Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	n.Log = l
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	return n
}

func newNode(t testing.TB) *node { return open(t, newKey(t), nil) }

// key makes the key of a row, of a round if round is not 0.
func rowKey(round, row int) Key {
	k := Key{Features: session.FeaturesDigest([]float64{float64(row), 1.5})}
	binary.BigEndian.PutUint64(k.Round[8:], uint64(round))
	return k
}

// vote has voter sign a vote that requester asked for.
func vote(voter *identity.Key, requester identity.ID, key Key, label int, probabilities ...uint32) Vote {
	v := Vote{
		Voter: voter.ID(), PublicKey: voter.Public(), Fingerprint: sha256.Sum256(voter.Public()),
		Label: uint16(label), Probabilities: probabilities,
	}
	s := session.Statement{
		Requester: requester, Voter: v.Voter, Round: key.Round, Features: key.Features, Task: testTask,
		Fingerprint: v.Fingerprint, Label: v.Label, Classes: testClasses, Probabilities: probabilities,
	}
	v.Signature = s.Sign(voter)
	return v
}

// label appends one label without votes and returns the record.
func (n *node) label(t testing.TB, key Key, label int, votes ...Vote) *Record {
	t.Helper()
	out, err := n.Append(Labelling{Key: key, Label: label, Votes: votes})
	if err != nil {
		t.Fatal(err)
	}
	return out[0].Record
}

// labels appends labels for rows from..to-1, in one go.
func (n *node) labels(t testing.TB, from, to int) []*Record {
	t.Helper()
	var in []Labelling
	for row := from; row < to; row++ {
		in = append(in, Labelling{Key: rowKey(0, row), Label: row % testClasses})
	}
	out, err := n.Append(in...)
	if err != nil {
		t.Fatal(err)
	}
	records := make([]*Record, len(out))
	for i := range out {
		records[i] = out[i].Record
	}
	return records
}

func (n *node) receive(t testing.TB, r *Record, want Outcome) {
	t.Helper()
	if got, err := n.Receive(r.Raw); got != want {
		t.Fatalf("record %d of %s came out as %v (%v), want %v", r.Sequence, r.Origin, got, err, want)
	}
}

// exchange syncs two logs over a pipe.
func trySync(a, b *node) (Exchanged, Exchanged, error, error) {
	ca, cb := net.Pipe()
	var wg sync.WaitGroup
	var xb Exchanged
	var eb error
	wg.Go(func() { xb, eb = b.Serve(context.Background(), cb) })
	xa, ea := a.Sync(context.Background(), ca)
	wg.Wait()
	return xa, xb, ea, eb
}

func syncLogs(t testing.TB, a, b *node) (Exchanged, Exchanged) {
	t.Helper()
	xa, xb, ea, eb := trySync(a, b)
	if ea != nil || eb != nil {
		t.Fatalf("exchange: %v; %v", ea, eb)
	}
	return xa, xb
}

func equalEvidence(t testing.TB, nodes ...*node) {
	t.Helper()
	first := nodes[0].Snapshot()
	for i, n := range nodes[1:] {
		s := n.Snapshot()
		if s.Digest() != first.Digest() {
			t.Fatalf("log %d has digest %x, log 0 has %x", i+1, s.Digest(), first.Digest())
		}
		if a, b := replayText(first), replayText(s); a != b {
			t.Fatalf("log %d replays\n%s\nlog 0\n%s", i+1, b, a)
		}
	}
}

func replayText(s *Snapshot) string {
	var b []byte
	for _, e := range s.Replay() {
		b = fmt.Appendf(b, "%d %s %d %d %x %d\n", e.Lamport, e.Origin, e.Epoch, e.Sequence, e.Hash, e.Label)
	}
	return string(b)
}

// forge signs a record with any fields, as a hostile origin may; from nil begins a chain.
func forge(t testing.TB, k *identity.Key, from *Record, change func(*Record)) *Record {
	t.Helper()
	r := &Record{Epoch: 7, Sequence: 1, Kept: 1, Lamport: 1, Task: testTask, Classes: testClasses, Features: rowKey(0, 1).Features}
	if from != nil {
		r.Epoch, r.Sequence, r.Previous, r.Lamport = from.Epoch, from.Sequence+1, from.Hash, from.Lamport+1
		r.Kept = min(from.Kept+1, MaxKept)
		r.Total = from.Total
	}
	r.Total += uint64(r.Size())
	if change != nil {
		change(r)
	}
	if err := r.Sign(k); err != nil {
		t.Fatal(err)
	}
	return r
}

// seal signs a record without looking at its fields and returns its bytes.
func seal(k *identity.Key, r *Record) []byte {
	r.Origin, r.PublicKey = k.ID(), k.Public()
	b := r.appendBody([]byte(recordContext))
	return append(b, k.Sign(b)...)[len(recordContext):]
}

// playedConn is a connection on which the peer says b and closes, and hears nothing.
func playedConn(b []byte) net.Conn { return &played{r: bytes.NewReader(b)} }

type played struct{ r *bytes.Reader }

func (p *played) Read(b []byte) (int, error)       { return p.r.Read(b) }
func (p *played) Write(b []byte) (int, error)      { return len(b), nil }
func (p *played) Close() error                     { return nil }
func (p *played) LocalAddr() net.Addr              { return nil }
func (p *played) RemoteAddr() net.Addr             { return nil }
func (p *played) SetDeadline(time.Time) error      { return nil }
func (p *played) SetReadDeadline(time.Time) error  { return nil }
func (p *played) SetWriteDeadline(time.Time) error { return nil }
