package receipt

import (
	"bytes"
	"encoding/base64"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/oklog/ulid/v2"

	"caucus/cluster/evidence"
	"caucus/cluster/identity"
	"caucus/cluster/session"
	"caucus/internal/testkey"
	"caucus/ml"
	"caucus/node/consensus"
)

var update = flag.Bool("update", false, "write testdata anew; only for a new version of the format")

// stage is a cluster of three keys that needs no network.
type stage struct {
	keys  []*identity.Key // in id order
	cards []identity.Card
	task  ml.Task
	round ulid.ULID
}

func newStage(t testing.TB) *stage {
	s := &stage{task: ml.Iris().Task, round: ulid.MustParseStrict("01JQZ8V5M3K4N6P7R8S9T0V1W2")}
	for b := range byte(3) {
		s.keys = append(s.keys, testkey.OfSeed(t, b+1))
	}
	slices.SortFunc(s.keys, func(a, b *identity.Key) int { return strings.Compare(string(a.ID()), string(b.ID())) })
	for i, k := range s.keys {
		c, err := k.SignCard(identity.Card{
			Name: []string{"ana", "bo", "cy"}[i], Model: []string{"knn", "randforest", "svm"}[i],
			Fingerprint: [32]byte{byte(i + 1)}, Task: s.task.Digest(), Sequence: 7,
		})
		if err != nil {
			t.Fatal(err)
		}
		s.cards = append(s.cards, c)
	}
	return s
}

// vote is member i's vote for the first member, signed alone.
func (s *stage) vote(i int, round ulid.ULID, row []float64, label int, probabilities ...uint32) []byte {
	st := session.Statement{
		Requester: s.cards[0].ID, Voter: s.cards[i].ID, Round: round, Features: session.FeaturesDigest(row), Task: s.task.Digest(),
		Fingerprint: s.cards[i].Fingerprint, Label: uint16(label), Classes: 3, Probabilities: probabilities,
	}
	return st.Sign(s.keys[i])
}

// joint is the same vote, signed together with six that the first member asked for in the same moment.
func (s *stage) joint(t testing.TB, i int, round ulid.ULID, row []float64, label int, probabilities ...uint32) ([]byte, *Inclusion) {
	t.Helper()
	const index, size = 4, 7
	var questions []*session.Question
	var answers []*session.Answer
	for k := range size {
		q := &session.Question{Round: ulid.ULID{byte(k)}, Task: s.task.Digest(), Columns: len(row), Rows: []float64{1, 2, 3, float64(k)}}
		a := &session.Answer{Classes: 3, Labels: []uint16{0}, Probabilities: []uint32{1_000_000, 0, 0}, Fingerprint: s.cards[i].Fingerprint}
		if k == index {
			q.Round, q.Rows, a.Labels[0], a.Probabilities = round, row, uint16(label), probabilities
		}
		questions, answers = append(questions, q), append(answers, a)
	}
	var signer session.JointSigner
	if err := signer.Sign(s.keys[i], s.cards[0].ID, questions, answers); err != nil {
		t.Fatal(err)
	}
	a := answers[index]
	return a.Signature, &Inclusion{Index: a.Inclusion.Index, Size: a.Inclusion.Size, Path: a.Inclusion.Path}
}

// records are those of n labelled rows, on which the first member is right, the second wrong and the third away.
func (s *stage) records(t testing.TB, n int) [][]byte {
	t.Helper()
	var raws [][]byte
	last := &evidence.Record{}
	for i := range n {
		row := []float64{float64(i), 1, 2, 3}
		r := &evidence.Record{
			Epoch: 5, Sequence: uint64(i + 1), Kept: uint16(i + 1), Lamport: uint64(i + 1), Previous: last.Hash,
			Task: s.task.Digest(), Features: session.FeaturesDigest(row), Label: uint16(i % 3), Classes: 3,
		}
		for j, label := range []int{i % 3, (i + 1) % 3} {
			r.Votes = append(r.Votes, evidence.Vote{
				Voter: s.cards[j].ID, PublicKey: s.cards[j].PublicKey, Fingerprint: s.cards[j].Fingerprint,
				Label: uint16(label), Signature: s.vote(j, ulid.ULID{}, row, label),
			})
		}
		r.Total = last.Total + uint64(r.Size())
		if err := r.Sign(s.keys[0]); err != nil {
			t.Fatal(err)
		}
		raws, last = append(raws, r.Raw), r
	}
	return raws
}

// receipt is one of a round in which the first two members vote differently and the third
// does not answer. The second one's vote may be signed together with others.
func (s *stage) receipt(t testing.TB, method consensus.Method, records [][]byte, together bool) []byte {
	t.Helper()
	b, err := s.document(t, method, records, together).Encode(s.keys[0])
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// document is that receipt before it is signed.
func (s *stage) document(t testing.TB, method consensus.Method, records [][]byte, together bool) *Receipt {
	t.Helper()
	row := []float64{5.1, 3.5, 1.4, 0.2}
	var snapshot *evidence.Snapshot
	if records != nil {
		var err error
		if snapshot, err = evidence.Assemble(s.task.Digest(), 3, records); err != nil {
			t.Fatal(err)
		}
	}
	var peers []consensus.Peer
	for i := range s.cards {
		peers = append(peers, consensus.Peer{ID: string(s.cards[i].ID), Fingerprint: string(s.cards[i].Fingerprint[:])})
	}
	basis, err := Learn(3, peers, snapshot)
	if err != nil {
		t.Fatal(err)
	}
	plan, err := basis.Plan(method)
	if err != nil {
		t.Fatal(err)
	}
	x := &Receipt{
		Version: Version, Round: s.round.String(), Asked: string(s.cards[0].ID), Row: row,
		Task:     Task{Name: s.task.Name, Features: s.task.Features, Labels: s.task.Labels, Digest: s.task.Digest()},
		Rule:     Rule{Method: method.String()},
		Evidence: Evidence{Digest: DigestOf(snapshot)}, Weights: Planned(&plan),
	}
	for _, raw := range records {
		x.Evidence.Records = append(x.Evidence.Records, raw)
	}
	var c consensus.Counter
	if err := c.Reset(consensus.Rule{Method: plan.Rule, Classes: 3}, plan.Members); err != nil {
		t.Fatal(err)
	}
	for i, probabilities := range [][]uint32{{900_000, 100_000, 0}, {100_000, 600_000, 300_000}, nil} {
		x.Roster = append(x.Roster, s.cards[i].Signed)
		v := Vote{Voter: string(s.cards[i].ID), Outcome: "timeout", Label: -1}
		counted := consensus.Vote{Outcome: consensus.Timeout}
		if probabilities != nil {
			v = Vote{Voter: v.Voter, Outcome: "ok", Label: i, Probabilities: probabilities}
			switch {
			case i == 0: // signs its vote with the receipt
			case together:
				v.Signature, v.Inclusion = s.joint(t, i, s.round, row, i, probabilities...)
			default:
				v.Signature = s.vote(i, s.round, row, i, probabilities...)
			}
			counted = consensus.Vote{Outcome: consensus.OK, Label: i}
			for _, p := range probabilities {
				counted.Probabilities = append(counted.Probabilities, consensus.Millionths(p))
			}
		}
		x.Votes = append(x.Votes, v)
		c.AddAt(i, &counted)
	}
	var res consensus.Result
	c.Result(&res)
	x.Outcome = Counted(&res)
	return x
}

// TestVectors holds the format to testdata: signatures are deterministic (RFC 8032), so a receipt is.
func TestVectors(t *testing.T) {
	s := newStage(t)
	for name, b := range map[string][]byte{
		"majority.json": s.receipt(t, consensus.Majority, nil, false),
		"together.json": s.receipt(t, consensus.Majority, nil, true),
		"auto.json":     s.receipt(t, consensus.Auto, s.records(t, 12), false),
	} {
		path := filepath.Join("testdata", name)
		if *update {
			if err := os.WriteFile(path, b, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(b, want) {
			t.Errorf("%s is now\n%s", path, b)
		}
		rep, err := Verify(want)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if !rep.Recomputed || rep.Receipt.Outcome.Status != map[string]string{"majority.json": "tie", "together.json": "tie", "auto.json": "degraded"}[name] {
			t.Errorf("%s: %+v", name, rep.Receipt.Outcome)
		}
	}
}

func TestNoByteOfAReceiptCanBeChangedUnseen(t *testing.T) {
	for _, together := range []bool{false, true} {
		noByteCanBeChanged(t, newStage(t).receipt(t, consensus.Majority, nil, together))
	}
}

func noByteCanBeChanged(t *testing.T, b []byte) {
	t.Helper()
	for i := 0; i < len(b); i += stride {
		for _, to := range []byte{b[i] ^ 1, b[i] ^ 0x20, ' ', '"', '0'} {
			if to == b[i] {
				continue
			}
			changed := bytes.Clone(b)
			changed[i] = to
			_, err := Verify(changed)
			var f *Fault
			if !errors.As(err, &f) || f.Where == "" || f.What == "" {
				t.Fatalf("byte %d from %q to %q: %v", i, b[i], to, err)
			}
		}
		if _, err := Verify(append(bytes.Clone(b[:i]), b[i+1:]...)); err == nil {
			t.Fatalf("byte %d can be left out", i)
		}
		if _, err := Verify(append(append(bytes.Clone(b[:i]), ' '), b[i:]...)); err == nil {
			t.Fatalf("a space can be put in at %d", i)
		}
	}
}

func TestEvidenceInAReceiptMustBeWholeAndTrue(t *testing.T) {
	s := newStage(t)
	records := s.records(t, 12)
	for name, c := range map[string]struct {
		records func() [][]byte
		says    string
	}{
		"the first left out": {func() [][]byte { return records[1:] }, "begins with record 2"},
		"one in the middle":  {func() [][]byte { return append(slices.Clone(records[:4]), records[5:]...) }, "record 6 comes after record 4"},
		"out of order":       {func() [][]byte { return append([][]byte{records[1]}, records[0]) }, "record 1 comes after record 2"},
		"a byte changed": {func() [][]byte {
			b := bytes.Clone(records[3])
			b[len(b)-1] ^= 1
			return append(slices.Clone(records[:3]), b)
		}, "signature"},
		"a vote changed": {func() [][]byte {
			b := bytes.Clone(records[0])
			b[249-64+64] ^= 1 // within the first vote
			return [][]byte{b}
		}, "record 0"},
		"twice": {func() [][]byte { return append(slices.Clone(records), records...) }, ""},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := evidence.Assemble(s.task.Digest(), 3, c.records()); err == nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("%v, want something with %q", err, c.says)
			}
		})
	}
	whole, err := evidence.Assemble(s.task.Digest(), 3, records)
	if err != nil || whole.Records() != 12 || len(whole.Rows()) != 12 {
		t.Fatalf("%v", err)
	}
	// Fewer than the digest speaks of: whole in itself, and yet not that evidence.
	b := s.receipt(t, consensus.Auto, records, false)
	cut := strings.Index(string(b), base64.StdEncoding.EncodeToString(records[11]))
	short := append(bytes.Clone(b[:cut-2]), b[cut+len(base64.StdEncoding.EncodeToString(records[11]))+1:]...)
	var f *Fault
	if _, err := Verify(short); !errors.As(err, &f) || f.Where != "evidence.digest" {
		t.Errorf("%v", err)
	}
}

func FuzzVerify(f *testing.F) {
	s := newStage(f)
	good, joint := s.receipt(f, consensus.Majority, nil, false), s.receipt(f, consensus.Majority, nil, true)
	f.Add(good)
	f.Add(joint)
	f.Add([]byte(`{"version":1}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		rep, err := Verify(b)
		if err == nil && !bytes.Equal(b, good) && !bytes.Equal(b, joint) {
			t.Errorf("%s holds: %+v", b, rep)
		}
	})
}

func BenchmarkVerify(b *testing.B) {
	receipt := newStage(b).receipt(b, consensus.Majority, nil, false)
	for b.Loop() {
		if _, err := Verify(receipt); err != nil {
			b.Fatal(err)
		}
	}
}
