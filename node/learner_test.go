package node

import (
	"context"
	"fmt"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/oklog/ulid/v2"

	"caucus/cluster"
	"caucus/cluster/evidence"
	"caucus/cluster/identity"
	"caucus/cluster/session"
	"caucus/ml"
	"caucus/node/api"
	"caucus/node/consensus"
)

// school is a bench whose engine learns from a log of its own; its members can sign.
type school struct {
	*bench
	log  *evidence.Log
	keys []*identity.Key // by place among the invited
}

// newSchool makes an engine with n members whose fingerprints differ.
func newSchool(t *testing.T, n int) *school {
	t.Helper()
	s := &school{bench: newBench(t, n)}
	self, err := identity.Generate()
	if err != nil {
		t.Fatal(err)
	}
	byID := map[identity.ID]*identity.Key{}
	s.bench.cluster.change(func(v *cluster.View) {
		for i := range v.Members {
			key := self
			if i > 0 {
				if key, err = identity.Generate(); err != nil {
					t.Fatal(err)
				}
			}
			v.Members[i].ID, v.Members[i].PublicKey, v.Members[i].Fingerprint = key.ID(), key.Public(), [32]byte{byte(i + 1)}
			byID[key.ID()] = key
		}
	})
	s.self = self.ID()
	task := ml.Iris().Task.Digest()
	if s.log, err = evidence.Open(evidence.Config{Key: self, Task: task, Classes: 3}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.log.Close(); err != nil {
			t.Error(err)
		}
	})
	s.learner.log = s.log
	for _, p := range s.invitedOf().peers {
		s.keys = append(s.keys, byID[p.id])
	}
	return s
}

// label records row i as being of a class; says has each member's vote, -1 for none.
func (s *school) label(t *testing.T, i, class int, says ...int) {
	t.Helper()
	key := evidence.Key{Features: session.FeaturesDigest([]float64{float64(i)})}
	var votes []evidence.Vote
	for j, label := range says {
		if label >= 0 {
			votes = append(votes, s.vote(j, key, label))
		}
	}
	if _, err := s.log.Append(evidence.Labelling{Key: key, Label: class, Votes: votes}); err != nil {
		t.Fatal(err)
	}
}

func (s *school) vote(j int, key evidence.Key, label int) evidence.Vote {
	k, p := s.keys[j], s.invitedOf().peers[j]
	st := session.Statement{
		Requester: s.self, Voter: p.id, Round: key.Round, Features: key.Features, Task: s.local.digest,
		Fingerprint: p.fingerprint, Label: uint16(label), Classes: 3,
	}
	return evidence.Vote{Voter: p.id, PublicKey: k.Public(), Fingerprint: p.fingerprint, Label: uint16(label), Signature: st.Sign(k)}
}

func TestARoundCountsByWhatTheEvidenceSays(t *testing.T) {
	s := newSchool(t, 3)
	for i := range 20 { // the first is always right, the others hardly ever
		s.label(t, i, i%3, i%3, (i+1)%3, (i+2)%3)
	}
	first := s.invitedOf().peers[0].id
	for j, p := range s.invitedOf().peers {
		label := 1
		if j == 0 {
			label = 2
		}
		s.courier.peers[p.id] = votesFor(label, 0)
	}
	if s.invitedOf().self == 0 {
		s.local = newLocal(&constant{task: ml.Iris().Task, quick: true, label: 2}, false, nil, s.engine.log)
	} else {
		s.local = newLocal(&constant{task: ml.Iris().Task, quick: true, label: 1}, false, nil, s.engine.log)
	}
	all := func(method string) func(*api.Question) {
		return func(q *api.Question) { q.Wait, q.Method = api.WaitAll, method }
	}
	r, _, p := s.ask(t, all("auto"))
	if p != nil || r.Prediction != 2 || r.Method != "auto" || r.Rule == "majority" || r.Evidence == "" ||
		!strings.HasPrefix(r.Reason, "least loss on 20 labelled rows: 0") {
		t.Errorf("%+v %v", r, p)
	}
	r, _, p = s.ask(t, all("weighted"))
	if p != nil || r.Prediction != 2 || r.Rule != "weighted" || !strings.Contains(r.Reason, "20 labelled rows") {
		t.Errorf("%+v %v", r, p)
	}
	for _, v := range r.Votes {
		if (v.Node == string(first)) != (v.Weight > 0) {
			t.Errorf("%+v", v)
		}
	}
	if r, _, p = s.ask(t, all("majority")); p != nil || r.Prediction != 1 || r.Rule != "majority" || r.Votes[0].Weight != 1e6 {
		t.Errorf("%+v %v", r, p)
	}
}

func TestVotesOfAnEarlierModelTeachNothingOfTheOneThatAMemberHasNow(t *testing.T) {
	s := newSchool(t, 3)
	for i := range 12 {
		s.label(t, i, 0, 0, 0, 1)
	}
	before := s.learner.of(s.invitedOf())
	if before.basis.Members[2].Total != 12 || before.basis.Members[2].Correct != 0 {
		t.Fatalf("%+v", before.basis.Members)
	}
	id := s.invitedOf().peers[2].id
	s.bench.cluster.change(func(v *cluster.View) {
		for i := range v.Members {
			if v.Members[i].ID == id {
				v.Members[i].Fingerprint = [32]byte{99}
			}
		}
	})
	after := s.learner.of(s.invitedOf())
	if after.basis.Members[2].Total != 0 || after.basis.Members[1].Total != 12 || after.digest == before.digest || after.evidence != before.evidence {
		t.Errorf("%+v", after.basis.Members)
	}
}

func TestSomeModelsHaveWeightsOfTheirOwn(t *testing.T) {
	s := newSchool(t, 4)
	for i := range 15 {
		s.label(t, i, 0, 0, 0, 1, 1)
	}
	whole := s.learner.of(s.invitedOf())
	part, err := s.invitedOf().ofModels([]string{"knn"}, s.local.task.Labels)
	if err != nil {
		t.Fatal(err)
	}
	x := s.learner.of(part)
	if len(x.basis.Members) != len(part.peers) || x.basis.Rows != 15 || x.evidence != whole.evidence || x == whole {
		t.Errorf("%+v", x.basis)
	}
	if again := s.learner.of(part); again != x {
		t.Error("it was learnt again")
	}
	if s.learner.of(s.invitedOf()) != whole {
		t.Error("the whole roster's was dropped")
	}
}

func TestWithTheBestMemberSilentEachVoteCountsOne(t *testing.T) {
	s := newSchool(t, 3)
	best := -1
	for j := range s.keys {
		if j != s.invitedOf().self {
			best = j
			break
		}
	}
	says := []int{1, 1, 1}
	for i := range 30 { // the one is always right, the others in turn hardly
		says[0], says[1], says[2] = (i+1)%3, (i+2)%3, (i+1)%3
		says[best] = i % 3
		s.label(t, i, i%3, says...)
	}
	plan := &s.learner.of(s.invitedOf()).plans[consensus.Auto]
	for j, p := range s.invitedOf().peers {
		s.courier.peers[p.id] = votesFor(1, 0)
		if j == best {
			s.courier.peers[p.id] = never
		}
	}
	r, _, p := s.ask(t, func(q *api.Question) { q.Wait, q.Timeout = api.WaitAll, 500*time.Millisecond })
	if p != nil || r.Rule != "majority" || !strings.Contains(r.Reason, "so each vote counts one") || r.Votes[(best+1)%3].Weight != 1e6 {
		t.Errorf("%+v %v; the plan was %+v", r, p, plan)
	}
}

func TestTheLearnerFollowsTheEvidenceAndLetsWait(t *testing.T) {
	s := newSchool(t, 3)
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	changed := make(chan struct{})
	wg.Go(func() { s.learner.run(ctx, func() <-chan struct{} { return changed }, s.invitedOf) })
	for i := range 5 {
		s.label(t, i, 0, 0, 0, 0)
		s.learner.caughtUp(t.Context())
		if x := s.learner.current.Load(); x.basis.Rows != i+1 {
			t.Errorf("%d rows after %d labels", x.basis.Rows, i+1)
		}
	}
	cancel()
	wg.Wait()
	s.label(t, 9, 0, 0, 0, 0)
	done, stop := context.WithCancel(t.Context())
	stop()
	s.learner.caughtUp(done) // nobody learns any more, and the waiting ends all the same
}

func TestNobodysDoubleFaceIsHidden(t *testing.T) {
	s := newSchool(t, 3)
	features := session.FeaturesDigest([]float64{7})
	for round, label := range map[byte]int{1: 0, 2: 1} { // one model, one row, two votes
		key := evidence.Key{Round: [16]byte{round}, Features: features}
		if _, err := s.log.Append(evidence.Labelling{Key: key, Label: 0, Votes: []evidence.Vote{s.vote(1, key, label)}}); err != nil {
			t.Fatal(err)
		}
	}
	for i, m := range s.learner.of(s.invitedOf()).basis.Members {
		if m.TwoFaced != (i == 1) {
			t.Errorf("%+v", m)
		}
	}
}

func TestTheResponderSignsWhatIsAskedForSigned(t *testing.T) {
	key, err := identity.Generate()
	if err != nil {
		t.Fatal(err)
	}
	asker := identity.ID(strings.Repeat("a", 32))
	s := newBench(t, 1)
	p := &responder{local: s.local, key: key, votes: s.engine.metrics.own, log: s.engine.log}
	for _, sign := range []bool{true, false} {
		q := session.Question{Task: s.local.digest, Columns: 4, Rows: []float64{1, 2, 3, 4, 5, 6, 7, 8}, Sign: sign}
		var a session.Answer
		if err := a.Decode(p.Answer(t.Context(), asker, q.Append(nil), nil)); err != nil {
			t.Fatal(err)
		}
		err := session.VerifyAnswer(key.Public(), asker, key.ID(), &q, &a)
		if (err == nil) != sign || len(a.Labels) != 2 || sign && a.Fingerprint != s.local.fingerprint {
			t.Errorf("sign %v: %+v %v", sign, a, err)
		}
		if _, err := signedAnswer(p.Answer(t.Context(), "somebody else", q.Append(nil), nil), key.Public(), asker, key.ID(), &q, 3); err == nil {
			t.Error("an answer to somebody else was taken")
		}
	}
	var a session.Answer
	much := session.Question{Task: s.local.digest, Columns: 4, Rows: make([]float64, 4*1001), Sign: true}
	if err := a.Decode(p.Answer(t.Context(), asker, much.Append(nil), nil)); err != nil || consensus.Outcome(a.Outcome) != consensus.TooLarge || len(a.Signature) > 0 {
		t.Errorf("1001 signatures: %+v %v", a, err)
	}
	long := session.Question{Task: s.local.digest, Columns: 4, Rows: make([]float64, 4*3), Sign: true}
	if p.Quick(long.Append(nil)) {
		t.Error("a session's reader would sign many rows")
	}
	long.Sign = false
	if !p.Quick(long.Append(nil)) {
		t.Error("three rows of a quick model are not quick")
	}
}

func TestEMDecidesABatchOrSaysWhyNot(t *testing.T) {
	for _, members := range []int{3, 5} {
		t.Run(fmt.Sprint(members), func(t *testing.T) {
			s := newBench(t, members)
			s.cluster.change(func(v *cluster.View) {
				for i := range v.Members {
					v.Members[i].Fingerprint = [32]byte{byte(i + 1)}
				}
			})
			const rows = 60
			// Member 0, this node, always says 0; the others say the truth but for one row in ten each.
			for i := 1; i < members; i++ {
				labels := make([]uint16, rows)
				for k := range labels {
					labels[k] = uint16(k % 3)
					if (k+i)%10 == 0 {
						labels[k] = uint16((k + 1) % 3)
					}
				}
				s.courier.peers[idOf(i)] = behaviour{answer: session.Answer{Outcome: byte(consensus.OK), Classes: 3, Labels: labels}}
			}
			q := &api.Question{Start: time.Now(), Rows: make([]float64, 4*rows), N: rows, Batch: true, Method: "em", Wait: api.WaitDecided}
			round, err := s.Consensus(t.Context(), q)
			if err != nil {
				t.Fatal(err)
			}
			defer round.Release()
			b := round.Batch()
			right := 0
			for k, y := range b.Predictions {
				if y == k%3 {
					right++
				}
			}
			if b.Counted != members || b.DecidedEarly || b.Method != "em" {
				t.Errorf("%+v", b)
			}
			switch {
			case members == 3 && (b.Rule != "majority" || !strings.Contains(b.Reason, "em needs 5 different models, 3 voted")):
				t.Errorf("%s: %s", b.Rule, b.Reason)
			case members == 5 && (b.Rule != "em" || !strings.Contains(b.Reason, "5 models estimated from 60 rows") || right < rows-1):
				t.Errorf("%s: %s; %d right", b.Rule, b.Reason, right)
			case members == 5 && !(b.VotesByNode[1].Weight > b.VotesByNode[0].Weight):
				t.Errorf("skills %+v", b.VotesByNode)
			}
		})
	}
}

func TestFeaturesOfRoundsAreRecalledUntilTheRingIsFull(t *testing.T) {
	m := newRecall(2)
	ids := make([]ulid.ULID, recallRounds+5)
	for i := range ids {
		ids[i] = ulid.Make()
		m.put(ids[i], []float64{float64(i), -float64(i)})
	}
	for i, want := range map[int]bool{0: false, 4: false, 5: true, recallRounds + 4: true} {
		row := m.row(ids[i])
		if (row != nil) != want || want && !reflect.DeepEqual(row, []float64{float64(i), -float64(i)}) {
			t.Errorf("round %d: %v", i, row)
		}
	}
	if wide := newRecall(1 << 20); cap(wide.ids) != 1 {
		t.Errorf("%d rounds of a million features", cap(wide.ids))
	}
}

// BenchmarkLearn learns weights from the evidence that one labeller may have at most.
func BenchmarkLearn(b *testing.B) {
	key, err := identity.Generate()
	if err != nil {
		b.Fatal(err)
	}
	s := newBench(b, 5)
	log, err := evidence.Open(evidence.Config{Key: key, Task: s.local.digest, Classes: 3})
	if err != nil {
		b.Fatal(err)
	}
	defer log.Close()
	var all []evidence.Labelling
	for i := range evidence.MaxKept {
		all = append(all, evidence.Labelling{Key: evidence.Key{Features: session.FeaturesDigest([]float64{float64(i)})}, Label: i % 3})
	}
	if _, err := log.Append(all...); err != nil {
		b.Fatal(err)
	}
	log.Snapshot().Rows()
	for b.Loop() {
		learn(3, s.invitedOf(), log.Snapshot())
	}
}
