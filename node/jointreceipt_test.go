package node_test

import (
	"context"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"caucus/cluster"
	"caucus/cluster/identity"
	"caucus/cluster/session"
	"caucus/ml"
	"caucus/node"
	"caucus/node/api"
	"caucus/node/nodetest"
	"caucus/node/receipt"
)

// patient is for rounds of which every vote has to be in time, however slow the machine is.
func patient(_ int, cfg *node.Config) { cfg.Deadline, cfg.PeerTimeout = time.Minute, time.Minute }

func TestReceiptsThatAreAskedForAtOnceShareSignaturesAndEachHolds(t *testing.T) {
	nodes := nodetest.Start(t, 3, patient)
	rows := nodetest.IrisRows()
	var mu sync.Mutex
	alone, together, signatures := 0, 0, map[string]int{}
	ask := func(row []float64) {
		r, err := nodes[0].Client.Consensus(t.Context(), row, api.ConsensusOptions{Wait: "all", Receipt: true})
		if err != nil {
			t.Error(err)
			return
		}
		rep, err := receipt.Verify([]byte(r.Receipt))
		if err != nil {
			t.Errorf("%v in %s", err, r.Receipt)
			return
		}
		mu.Lock()
		defer mu.Unlock()
		for _, v := range rep.Receipt.Votes {
			switch {
			case v.Inclusion != nil:
				together++
				signatures[string(v.Signature)]++
			case v.Signature != nil:
				alone++
			}
		}
	}
	// Which questions meet on their way is chance; that some do, among so many, is not.
	nodes[0].Wait("two votes under one signature", func() bool {
		var wg sync.WaitGroup
		for i := range 48 {
			wg.Go(func() { ask(rows[i%len(rows)]) })
		}
		wg.Wait()
		for _, n := range signatures {
			if n > 1 {
				return true
			}
		}
		return t.Failed()
	})
	t.Logf("%d votes signed alone, %d together with %d signatures", alone, together, len(signatures))
}

// forger is a member, built from the real parts, that votes as asked and whose signatures do not hold.
type forger struct {
	key   *identity.Key
	print [32]byte
	spoil atomic.Pointer[func(*session.Answer)]
}

func (*forger) Quick([]byte) bool { return true }

func (f *forger) Answer(_ context.Context, peer identity.ID, ask, dst []byte) []byte {
	var q session.Question
	if q.Decode(ask) != nil {
		return dst
	}
	a := session.Answer{Outcome: 1, Classes: 3, Labels: make([]uint16, q.Len()), Fingerprint: f.print} // 1: ok
	if q.Sign {
		if err := session.SignAnswer(f.key, peer, &q, &a); err != nil {
			return dst
		}
		(*f.spoil.Load())(&a)
	}
	return a.Append(dst)
}

// joinAs makes a member of Iris with a responder of its own, for as long as the test.
func joinAs(t *testing.T, key *identity.Key, name string, r session.Responder, fingerprint [32]byte, url string) *cluster.Membership {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	m, err := cluster.New(cluster.Config{
		Key: key, Name: name, Model: "knn", Task: ml.Iris().Task.Digest(), Fingerprint: fingerprint, Classes: 3,
		URL: "http://" + l.Addr().String(), ListenLocal: true, Responder: r, TimeScale: nodetest.TimeScale,
	})
	if err != nil {
		t.Fatal(err)
	}
	srv := &http.Server{Handler: m.Handler(), ReadHeaderTimeout: time.Minute}
	done := make(chan struct{})
	go func() { defer close(done); _ = srv.Serve(l) }()
	t.Cleanup(func() {
		if err := m.Shutdown(); err != nil {
			t.Error(err)
		}
		_ = srv.Close()
		<-done
	})
	if err := m.Join(t.Context(), []identity.Invite{{Address: url}}); err != nil {
		t.Fatal(err)
	}
	return m
}

func TestAVoteWhoseSignatureDoesNotHoldIsShownAndNotCounted(t *testing.T) {
	nodes := nodetest.Start(t, 2, patient)
	key, err := identity.Generate()
	if err != nil {
		t.Fatal(err)
	}
	f := &forger{key: key, print: [32]byte{9}}
	joinAs(t, key, "forger", f, f.print, nodes[0].URL)
	nodes[0].WaitInvited(3)
	for name, spoil := range map[string]func(*session.Answer){
		"a byte of it changed":   func(a *session.Answer) { a.Signature[10] ^= 1 },
		"a label changed":        func(a *session.Answer) { a.Labels[0] = 1 },
		"of another model":       func(a *session.Answer) { a.Fingerprint[0]++ },
		"none":                   func(a *session.Answer) { a.Signature = nil },
		"as if signed with more": func(a *session.Answer) { a.Inclusion = session.Inclusion{Size: 2, Path: make([]byte, 32)} },
	} {
		t.Run(name, func(t *testing.T) {
			f.spoil.Store(&spoil)
			r, err := nodes[0].Client.Consensus(t.Context(), setosa, api.ConsensusOptions{Wait: "all", Receipt: true})
			if err != nil {
				t.Fatal(err)
			}
			for _, v := range r.Votes {
				if v.Node == string(key.ID()) && (v.Outcome != "bad_signature" || v.Label != "") {
					t.Errorf("%+v", v)
				}
			}
			if r.Counted != 2 || r.Status != "degraded" {
				t.Errorf("%+v", r)
			}
			if rep, err := receipt.Verify([]byte(r.Receipt)); err != nil || rep.Receipt.Outcome.Counted != 2 {
				t.Errorf("%v", err)
			}
			f.ok(t, nodes[0])
		})
	}
}

// ok asks without a receipt, for which nobody signs, so that the forger is not ejected.
func (f *forger) ok(t *testing.T, m *nodetest.Member) {
	t.Helper()
	r, err := m.Client.Consensus(t.Context(), setosa, api.ConsensusOptions{Wait: "all"})
	if err != nil || r.Counted != 3 {
		t.Errorf("%+v %v", r, err)
	}
}
