package node_test

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"caucus/cluster/evidence"
	"caucus/cluster/identity"
	"caucus/cluster/session"
	"caucus/ml"
	"caucus/node"
	"caucus/node/api"
	"caucus/node/nodetest"
)

// keep gives every node a state folder of its own.
func keep(t *testing.T) nodetest.Option {
	root := t.TempDir()
	return func(i int, cfg *node.Config) { cfg.StateDir = filepath.Join(root, fmt.Sprint(i)) }
}

// irisLabels returns n rows of Iris spread over all of it, and their labels.
func irisLabels(n int) (rows [][]float64, labels []string) {
	d := ml.Iris()
	for k := range n {
		i := k * d.Len() / n
		rows = append(rows, slices.Clone(d.Row(i)))
		labels = append(labels, d.Task.Labels[d.Y[i]])
	}
	return rows, labels
}

// weights returns a node's weights without the asker.
func weights(t testing.TB, m *nodetest.Member) *api.WeightsReply {
	t.Helper()
	w, err := m.Client.Weights(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	w.Asked = ""
	return w
}

// even waits until all nodes give the weights of so many labelled rows, and the same.
func even(t testing.TB, labels int, nodes ...*nodetest.Member) {
	t.Helper()
	for _, m := range nodes {
		m.Wait(fmt.Sprintf("%d labels, and the weights of all", labels), func() bool {
			own := weights(t, m)
			return own.Labels == labels && reflect.DeepEqual(own, weights(t, nodes[0]))
		})
	}
}

func TestLabelsGivenAtOneNodeTeachAllAndOutliveRestarts(t *testing.T) {
	nodes := nodetest.Start(t, 3, keep(t))
	rows, labels := irisLabels(30)
	r, err := nodes[0].Client.Feedback(t.Context(), rows, labels)
	if err != nil {
		t.Fatal(err)
	}
	if r.Recorded != 30 || r.Labels != 30 || r.Evidence == "" || r.Rows[29].Votes != 3 || r.Rows[0].Label != "setosa" {
		t.Fatalf("%+v", r)
	}
	// The labeller has learnt by the time it answers; the next round says so.
	c, err := nodes[0].Client.Consensus(t.Context(), rows[0], api.ConsensusOptions{Wait: "all"})
	if err != nil || c.Evidence != r.Evidence || !strings.HasPrefix(c.Reason, "least loss on 30 labelled rows") {
		t.Fatalf("%+v %v", c, err)
	}
	even(t, 30, nodes...)

	// Two die; one of them loses its evidence as well.
	config := [3]node.Config{nodes[0].Config, nodes[1].Config, nodes[2].Config}
	address := [3]string{nodes[0].Addr(), nodes[1].Addr(), nodes[2].Addr()}
	nodes[1].Kill()
	nodes[2].Kill()
	if err := os.Remove(filepath.Join(config[2].StateDir, "evidence.db")); err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	for i := 1; i < 3; i++ {
		nodes[i] = nodetest.Launch(t, i, func(_ int, cfg *node.Config) { *cfg = config[i]; cfg.Listen = address[i] })
	}
	even(t, 30, nodes...)
	t.Logf("all three gave equal weights %v after two of them began to start again, one without its evidence", time.Since(start))
	for _, m := range nodes {
		m.WaitInvited(3)
	}
	sameForAllOfIris(t, nodes)
}

// sameForAllOfIris asks every node about all rows, in a batch and one by one.
func sameForAllOfIris(t *testing.T, nodes []*nodetest.Member) {
	t.Helper()
	type answer struct{ label, rule, reason, follows, shares, weights, roster, evidence string }
	var first []answer
	for k, m := range nodes {
		for i, row := range nodetest.IrisRows() {
			r, err := m.Client.Consensus(t.Context(), row, api.ConsensusOptions{Wait: "all"})
			if err != nil {
				t.Fatal(err)
			}
			var weights strings.Builder
			for _, v := range r.Votes {
				fmt.Fprintf(&weights, "%s=%d ", v.Node, v.Weight)
			}
			got := answer{r.Label, r.Rule, r.Reason, r.Follows, fmt.Sprint(r.Shares), weights.String(), r.Roster, r.Evidence}
			if k == 0 {
				first = append(first, got)
			} else if got != first[i] {
				t.Fatalf("row %d: %s says %+v, %s says %+v", i, m.Name(), got, nodes[0].Name(), first[i])
			}
		}
	}
}

func TestALabelIsIdempotentByRoundAndLabeller(t *testing.T) {
	nodes := nodetest.Start(t, 3)
	r, err := nodes[1].Client.Consensus(t.Context(), setosa, api.ConsensusOptions{Wait: "all"})
	if err != nil {
		t.Fatal(err)
	}
	give := func(m *nodetest.Member, label string) *api.FeedbackReply {
		t.Helper()
		f, err := m.Client.FeedbackRound(t.Context(), r.Round, label)
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
	if f := give(nodes[1], "setosa"); f.Recorded != 1 || f.Rows[0].Votes != 3 || f.Labels != 1 {
		t.Errorf("%+v", f)
	}
	before := weights(t, nodes[1])
	if f := give(nodes[1], "setosa"); f.Known != 1 || f.Recorded != 0 || f.Evidence != before.Evidence {
		t.Errorf("given again: %+v", f)
	}
	if got := weights(t, nodes[1]); !reflect.DeepEqual(got, before) {
		t.Errorf("giving a label again changed %+v to %+v", before, got)
	}
	if f := give(nodes[1], "virginica"); f.Replaced != 1 || f.Labels != 1 {
		t.Errorf("mended: %+v", f)
	}
	if w := weights(t, nodes[1]); w.Members[0].Correct != 0 || w.Members[0].Total != 1 {
		t.Errorf("the slip still counts: %+v", w)
	}
	// Others have not the features of that round, and say where they are.
	nodes[0].Wait("the round is heard of", func() bool {
		_, err := nodes[0].Client.Round(t.Context(), r.Round)
		return err == nil
	})
	_, err = nodes[0].Client.FeedbackRound(t.Context(), r.Round, "setosa")
	if p := problem(t, err); p.Kind() != api.NotFound || !strings.Contains(p.Message, string(nodes[1].ID())) {
		t.Errorf("%+v", p)
	}
	// A row given twice in one request is one label, and rows with and without a round are two.
	f, err := nodes[1].Client.Feedback(t.Context(), [][]float64{setosa, setosa}, []string{"setosa", "setosa"})
	if err != nil || f.Recorded != 1 || f.Known != 1 || f.Labels != 2 {
		t.Errorf("%+v %v", f, err)
	}
}

func TestAMemberThatWasAwayWhenALabelCameIsNeitherRightNorWrong(t *testing.T) {
	nodes := nodetest.Start(t, 3, func(_ int, cfg *node.Config) { cfg.NoRejoin = true })
	gone := string(nodes[2].ID())
	nodes[2].Kill()
	nodes[0].WaitState(nodes[2].Name(), "failed")
	f, err := nodes[0].Client.Feedback(t.Context(), [][]float64{setosa}, []string{"setosa"})
	if err != nil || f.Rows[0].Votes != 2 {
		t.Fatalf("%+v %v", f, err)
	}
	for _, m := range weights(t, nodes[0]).Members {
		want := 1
		if m.ID == gone {
			want = 0
		}
		if m.Total != want {
			t.Errorf("%+v", m)
		}
	}
}

// loadKey reads the key of a node with a state folder.
func loadKey(t *testing.T, m *nodetest.Member) *identity.Key {
	t.Helper()
	key, err := identity.LoadOrCreate(m.Config.StateDir)
	if err != nil || key.ID() != m.ID() {
		t.Fatal(err)
	}
	return key
}

func TestForgedVotesAreRefused(t *testing.T) {
	nodes := nodetest.Start(t, 3, keep(t))
	for _, m := range nodes {
		m.WaitInvited(3)
	}
	key, victim := loadKey(t, nodes[1]), loadKey(t, nodes[2])
	task := ml.Iris().Task.Digest()
	features := session.FeaturesDigest(setosa)
	forge := func(signer *identity.Key, requester identity.ID) []byte {
		s := session.Statement{Requester: requester, Voter: signer.ID(), Features: features, Task: task, Label: 2, Classes: 3}
		r := &evidence.Record{
			Epoch: 1, Sequence: 1, Kept: 1, Lamport: 1, Task: task, Features: features, Label: 0, Classes: 3,
			Votes: []evidence.Vote{{Voter: victim.ID(), PublicKey: victim.Public(), Label: 2, Signature: s.Sign(signer)}},
		}
		r.Total = uint64(r.Size())
		if err := r.Sign(key); err != nil {
			t.Fatal(err)
		}
		return r.Raw
	}
	log := nodes[0].Cluster().Evidence()
	// Signed by the labeller in the victim's name; and a true vote that was given to another labeller.
	for what, raw := range map[string][]byte{"by the labeller": forge(key, key.ID()), "for another labeller": forge(victim, nodes[0].ID())} {
		if outcome, err := log.Receive(raw); outcome != evidence.Refused || !errors.Is(err, evidence.ErrRecord) || !strings.Contains(err.Error(), "signature") {
			t.Errorf("%s: %v, %v", what, outcome, err)
		}
	}
	if w := weights(t, nodes[0]); w.Labels != 0 || len(w.Labellers) != 0 {
		t.Errorf("%+v", w)
	}
	// The same record with a vote that the victim did sign for this labeller is taken.
	if outcome, err := log.Receive(forge(victim, key.ID())); outcome != evidence.Stored {
		t.Errorf("%v, %v", outcome, err)
	}
}

func TestFeedbackFromSelfHeedsNobodyElse(t *testing.T) {
	nodes := nodetest.Start(t, 3, func(i int, cfg *node.Config) {
		if i == 2 {
			cfg.FeedbackFrom = "self"
		}
	})
	rows, labels := irisLabels(12)
	if _, err := nodes[0].Client.Feedback(t.Context(), rows, labels); err != nil {
		t.Fatal(err)
	}
	even(t, 12, nodes[:2]...)
	nodes[2].Wait("the others' labels are held", func() bool {
		w := weights(t, nodes[2])
		return len(w.Labellers) == 1 && w.Labellers[0].Records == 12
	})
	w := weights(t, nodes[2])
	if w.Labels != 0 || w.Evidence != "" || w.Labellers[0].Counts || w.Members[0].Total != 0 || w.From != "self" {
		t.Errorf("%+v", w)
	}
	if f, err := nodes[2].Client.Feedback(t.Context(), rows[:1], labels[:1]); err != nil || f.Labels != 1 {
		t.Errorf("%+v %v", f, err)
	}
}

func TestLabelsThroughATunnelNeedTheBearer(t *testing.T) {
	token, err := identity.NewToken()
	if err != nil {
		t.Fatal(err)
	}
	n := nodetest.StartOne(t, 0, func(_ int, cfg *node.Config) { cfg.Token = &token })
	post := func(change func(http.Header)) int {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, n.URL+"/feedback", strings.NewReader(`{"features":[5.1,3.5,1.4,0.2],"label":"setosa"}`))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/json")
		change(req.Header)
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		return res.StatusCode
	}
	t.Cleanup(http.DefaultClient.CloseIdleConnections)
	tunnel := func(h http.Header) { h.Set("X-Forwarded-For", "203.0.113.9") }
	if code := post(tunnel); code != http.StatusUnauthorized {
		t.Errorf("through a tunnel without the bearer: %d", code)
	}
	if code := post(func(h http.Header) { tunnel(h); h.Set("Authorization", "Bearer "+token.Bearer()) }); code != http.StatusOK {
		t.Errorf("through a tunnel with the bearer: %d", code)
	}
	if code := post(func(http.Header) {}); code != http.StatusOK {
		t.Errorf("on this machine: %d", code)
	}
}

// swapped is a model that takes every label for the next one.
type swapped struct{ ml.Model }

func (m swapped) Fingerprint() [32]byte {
	f := m.Model.Fingerprint()
	return sha256.Sum256(append([]byte("swapped"), f[:]...))
}

func (m swapped) Predict(row, probs []float64) (int, error) {
	y, err := m.Model.Predict(row, probs)
	if n := len(probs); n > 0 {
		last := probs[n-1]
		copy(probs[1:], probs[:n-1])
		probs[0] = last
	}
	return (y + 1) % len(m.Task().Labels), err
}

func (m swapped) Quick() bool { return true }

// TestOnWineWithTwoSwappedNodes takes the Wine data as they are, not standardised, which leaves knn
// and svm weak, all the more since they learn from three rows in ten: with two of five nodes label-swapped the
// majority is often wrong. The seeds are the first that there are; voting_test.go has means of twenty.
func TestOnWineWithTwoSwappedNodesLabelsMakeAutoBetterThanTheMajority(t *testing.T) {
	d, err := ml.OpenCSV("../ml/testdata/wine.csv", ml.CSVOptions{})
	if err != nil {
		t.Fatal(err)
	}
	seeds := 3
	if underRace {
		seeds = 1
	}
	gain := 0.0
	for seed := range uint64(seeds) {
		models, test := team{healthy: 3, swapped: 2}.members(t, d, 0.7, seed)
		nodes := nodetest.Start(t, 5, func(i int, cfg *node.Config) {
			cfg.Model, cfg.Name = models[i], fmt.Sprintf("n%d-%s", i, models[i].Kind())
		})
		var rows [][]float64
		var labels []string
		for _, i := range rand.New(rand.NewPCG(seed, 1)).Perm(test.Len()) {
			rows, labels = append(rows, slices.Clone(test.Row(i))), append(labels, test.Task.Labels[test.Y[i]])
		}
		if _, err := nodes[0].Client.Feedback(t.Context(), rows[:labelledFirst], labels[:labelledFirst]); err != nil {
			t.Fatal(err)
		}
		even(t, labelledFirst, nodes...)
		share := map[string]float64{}
		for _, method := range []string{"majority", "auto"} {
			r, err := nodes[3].Client.ConsensusBatch(t.Context(), rows[labelledFirst:], api.ConsensusOptions{Method: method, Wait: "all"})
			if err != nil {
				t.Fatal(err)
			}
			for i, l := range r.Labels {
				if l == labels[labelledFirst+i] {
					share[method] += 1 / float64(len(r.Labels))
				}
			}
			t.Logf("seed %d: %s is right on %.3f of the other %d rows (rule %s: %s)", seed, method, share[method], len(r.Labels), r.Rule, r.Reason)
		}
		gain += (share["auto"] - share["majority"]) / float64(seeds)
		for _, m := range nodes {
			if err := m.Stop(); err != nil {
				t.Error(err)
			}
		}
	}
	if gain < 0.05 {
		t.Errorf("auto is only %.3f above the majority", gain)
	}
}
