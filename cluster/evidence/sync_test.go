package evidence

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"caucus/cluster/identity"
)

func TestTwoLogsAreEqualAfterOneExchange(t *testing.T) {
	a, b := newNode(t), newNode(t)
	a.labels(t, 0, 30)
	b.labels(t, 10, 25)
	xa, xb := syncLogs(t, a, b)
	if xa.Stored != 15 || xb.Stored != 30 || xa.Sent != 30 || xb.Sent != 15 {
		t.Fatalf("%+v %+v", xa, xb)
	}
	equalEvidence(t, a, b)
	if xa, xb := syncLogs(t, b, a); xa != (Exchanged{}) || xb != (Exchanged{}) {
		t.Fatalf("a second exchange moved %+v %+v", xa, xb)
	}
}

func TestThreeNodesOverTCPWithOneThatWasAway(t *testing.T) {
	var nodes []*node
	for range 3 {
		nodes = append(nodes, newNode(t))
	}
	overTCP := func(a, b *node) {
		t.Helper()
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer ln.Close()
		served := make(chan error, 1)
		go func() {
			conn, err := ln.Accept()
			if err == nil {
				_, err = b.Serve(context.Background(), conn)
			}
			served <- err
		}()
		conn, err := net.Dial("tcp", ln.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := a.Sync(context.Background(), conn); err != nil {
			t.Fatal(err)
		}
		if err := <-served; err != nil {
			t.Fatal(err)
		}
	}
	voter := newKey(t)
	for i := range 150 { // several frames, with votes
		k := rowKey(i+1, i)
		nodes[i%2].label(t, k, i%3, vote(voter, nodes[i%2].key.ID(), k, i%3, 0, One, 0))
		if i%50 == 49 {
			overTCP(nodes[0], nodes[1])
		}
	}
	equalEvidence(t, nodes[0], nodes[1])
	nodes[2].labels(t, 0, 10) // alone
	overTCP(nodes[2], nodes[1])
	equalEvidence(t, nodes[1], nodes[2])
	overTCP(nodes[0], nodes[2])
	equalEvidence(t, nodes...)
	if n := nodes[0].Snapshot().Records(); n != 160 {
		t.Fatalf("%d records", n)
	}
}

func TestLogsThatChangeWhileTheyExchange(t *testing.T) {
	a, b := newNode(t), newNode(t)
	a.labels(t, 0, 300)
	var wg sync.WaitGroup
	wg.Go(func() {
		for i := range 20 {
			if _, err := a.Append(Labelling{Key: rowKey(1, i), Label: 1}); err != nil {
				t.Error(err)
			}
		}
	})
	for range 3 {
		wg.Go(func() {
			for range 2 {
				if _, _, ea, eb := trySync(b, a); ea != nil || eb != nil {
					t.Error(ea, eb)
				}
			}
		})
	}
	wg.Go(func() {
		for range 50 {
			s := b.Snapshot()
			if len(s.Replay()) != s.Records() || len(s.Rows()) > s.Records() {
				t.Error("a snapshot that does not hold together")
			}
		}
	})
	wg.Wait()
	syncLogs(t, b, a)
	equalEvidence(t, a, b)
}

func TestAPeerOfAnotherTaskIsToldApart(t *testing.T) {
	a, b := newNode(t), open(t, newKey(t), func(c *Config) { c.Task[0]++ })
	a.label(t, rowKey(0, 1), 1)
	b.label(t, rowKey(0, 1), 1)
	_, _, ea, eb := trySync(a, b)
	if !errors.Is(ea, ErrTask) && !errors.Is(eb, ErrTask) {
		t.Fatalf("%v; %v", ea, eb)
	}
	if a.Snapshot().Records() != 1 || b.Snapshot().Records() != 1 {
		t.Fatal("records crossed")
	}
}

func TestAPeerThatSaysNothingIsLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t)
		for _, f := range []func(context.Context, net.Conn) (Exchanged, error){n.Sync, n.Serve} {
			ours, theirs := net.Pipe()
			begin := time.Now()
			if _, err := f(t.Context(), ours); !errors.Is(err, ErrSync) {
				t.Fatal(err)
			}
			if took := time.Since(begin); took != defaultIdleTimeout {
				t.Fatalf("after %v", took)
			}
			theirs.Close()
		}
	})
}

func TestAPeerThatTricklesIsLeftInTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t)
		ours, theirs := net.Pipe()
		var wg sync.WaitGroup
		wg.Go(func() { _, _ = io.Copy(io.Discard, theirs) })
		wg.Go(func() {
			head := binary.BigEndian.AppendUint32([]byte{frameHeads}, 1000)
			for b := byte(0); ; b++ {
				if _, err := theirs.Write(append(head, b)[min(int(b), 5):][:1]); err != nil {
					return
				}
				time.Sleep(5 * time.Second) // the bubble's clock
			}
		})
		begin := time.Now()
		_, err := n.Sync(t.Context(), ours)
		if !errors.Is(err, ErrSync) {
			t.Fatal(err)
		}
		if took := time.Since(begin); took > defaultSyncTimeout {
			t.Fatalf("after %v", took)
		}
		theirs.Close()
		wg.Wait()
	})
}

func TestAnExchangeEndsWithItsContext(t *testing.T) {
	n := newNode(t)
	ours, theirs := net.Pipe()
	defer theirs.Close()
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := n.Sync(ctx, ours); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
}

func TestABusyNodeSaysSo(t *testing.T) {
	a, b := newNode(t), newNode(t)
	a.label(t, rowKey(0, 1), 1)
	for range maxServed {
		b.syncs <- struct{}{}
	}
	_, _, ea, eb := trySync(a, b)
	if !errors.Is(ea, ErrBusy) || !errors.Is(eb, ErrBusy) {
		t.Fatalf("%v; %v", ea, eb)
	}
	<-b.syncs
	syncLogs(t, a, b)
	equalEvidence(t, a, b)
}

// script plays a peer: it answers heads and wants with those given, then sends frames.
func script(t *testing.T, n *node, heads []byte, w wants, frames func(*wire)) error {
	t.Helper()
	ours, theirs := net.Pipe()
	var wg sync.WaitGroup
	wg.Go(func() {
		defer theirs.Close()
		p := newWire(theirs, time.Minute)
		left := make(chan struct{})
		go func() { // what the node says is of no interest, but that it closes
			_, _ = io.Copy(io.Discard, theirs)
			close(left)
		}()
		_ = p.write(frameHeads, heads)
		_ = p.write(frameWants, w.encode())
		frames(p)
		_ = p.flush()
		<-left
	})
	_, err := n.Serve(context.Background(), ours)
	wg.Wait()
	return err
}

func records(rs ...*Record) []byte {
	var b []byte
	for _, r := range rs {
		b = append(binary.BigEndian.AppendUint32(b, uint32(len(r.Raw))), r.Raw...)
	}
	return b
}

func TestPeersThatBreakTheRulesAreLeftAndHarmNothing(t *testing.T) {
	k := newKey(t)
	source := newNode(t)
	r1 := forge(t, k, nil, nil)
	r2 := forge(t, k, r1, nil)
	source.receive(t, r1, Stored)
	source.receive(t, r2, Stored)
	heads := source.Snapshot().Heads()
	bad := bytes.Clone(r1.Raw)
	bad[len(bad)-1] ^= 1
	tampered := &Record{Raw: bad}
	forgedVote := forge(t, k, nil, func(r *Record) {
		r.Votes = []Vote{vote(newKey(t), newKey(t).ID(), rowKey(0, 1), 1)}
		r.Total = uint64(r.Size())
	})
	for name, tc := range map[string]struct {
		heads  []byte
		frames func(*wire)
		say    string
	}{
		"heads that are none":        {[]byte("nonsense"), func(*wire) {}, "heads"},
		"a record with a bad seal":   {heads, func(w *wire) { _ = w.write(frameRecords, records(tampered)) }, "signature of its origin"},
		"a record with a false vote": {heads, func(w *wire) { _ = w.write(frameRecords, records(forgedVote)) }, "signature of voter"},
		"a record nobody asked for":  {heads, func(w *wire) { _ = w.write(frameRecords, records(forge(t, newKey(t), nil, nil))) }, "not asked for"},
		"half a frame of records":    {heads, func(w *wire) { _ = w.write(frameRecords, records(r1)[:100]) }, "too early"},
		"a proof nobody asked for":   {heads, func(w *wire) { _ = w.write(frameProof, []byte{1}) }, "unexpected frame"},
		"an unknown frame":           {heads, func(w *wire) { _ = w.write(99) }, "unexpected frame"},
		"a frame without end":        {heads, func(w *wire) { _, _ = w.w.Write([]byte{frameRecords, 0xff, 0xff, 0xff, 0xff}) }, "limit"},
		"an end in mid-sentence":     {heads, func(w *wire) { _, _ = w.w.Write([]byte{frameRecords, 0, 0, 1}); _ = w.flush(); w.conn.Close() }, "exchange failed"}, // either half may notice first
		"the same records for ever": {heads, func(w *wire) {
			for {
				if w.write(frameRecords, records(r1, r2)) != nil {
					return
				}
			}
		}, "more records than"},
	} {
		t.Run(name, func(t *testing.T) {
			n := newNode(t)
			own := n.label(t, rowKey(0, 1), 1)
			err := script(t, n, tc.heads, wants{}, tc.frames)
			if !errors.Is(err, ErrSync) || !strings.Contains(err.Error(), tc.say) {
				t.Fatalf("got %v, want a sentence with %q", err, tc.say)
			}
			n.receive(t, own, Duplicate)
			syncLogs(t, n, source) // and an honest peer gives what there is
			equalEvidence(t, n, source)
		})
	}
}

func TestWantsThatRepeatThemselvesAreRefused(t *testing.T) {
	n := newNode(t)
	r := n.label(t, rowKey(0, 1), 1)
	twice := wants{chains: []want{{chainID{r.Origin, r.Epoch}, 1}, {chainID{r.Origin, r.Epoch}, 1}}}
	proofs := wants{proofs: []identity.ID{r.Origin, r.Origin}}
	for _, w := range []wants{twice, proofs} {
		if err := script(t, n, newNode(t).Snapshot().Heads(), w, func(*wire) {}); !errors.Is(err, ErrSync) || !strings.Contains(err.Error(), "order") {
			t.Fatal(err)
		}
	}
	if _, err := decodeWants(twice.encode()[:20]); err == nil {
		t.Fatal("cut wants were read")
	}
}

func TestAPeerThatHidesTheBeginningOfAChainHidesTheChain(t *testing.T) {
	k, source := newKey(t), newNode(t)
	var chain []*Record
	for range 5 {
		var last *Record
		if len(chain) > 0 {
			last = chain[len(chain)-1]
		}
		chain = append(chain, forge(t, k, last, nil))
		source.receive(t, chain[len(chain)-1], Stored)
	}
	n := newNode(t)
	err := script(t, n, source.Snapshot().Heads(), wants{}, func(w *wire) {
		_ = w.write(frameRecords, records(chain[2:]...))
		_ = w.write(frameDone)
	})
	if err != nil {
		t.Fatal(err)
	}
	if n.Snapshot().Records() != 0 {
		t.Fatal("a part of a chain counts, so equal heads are not equal evidence")
	}
	syncLogs(t, n, source)
	equalEvidence(t, n, source)
}

func TestAPartOfAChainThatContradictsItselfIsProof(t *testing.T) {
	k, source := newKey(t), newNode(t)
	far := forge(t, k, nil, func(r *Record) { r.Sequence, r.Previous[0], r.Total, r.Kept = 50, 1, 20_000, 3 })
	next := forge(t, k, far, func(r *Record) { r.Previous[0] ^= 1 })
	source.label(t, rowKey(0, 1), 1)
	var v headVector
	v.chains = []headLine{{id: chainID{k.ID(), 7}, sequence: 51}}
	heads := append([]byte{headsVersion}, testTask[:]...)
	heads = append(heads, 0, 1, 0, 0)
	heads = append(heads, k.ID()...)
	heads = binary.BigEndian.AppendUint64(heads, 7)
	heads = binary.BigEndian.AppendUint64(heads, 51)
	heads = append(heads, next.Hash[:headHash]...)
	err := script(t, source, heads, wants{}, func(w *wire) {
		_ = w.write(frameRecords, records(far))
		_ = w.write(frameRecords, records(next))
		_ = w.write(frameDone)
	})
	if err != nil {
		t.Fatal(err)
	}
	if source.Snapshot().Proof(k.ID()) == nil {
		t.Fatal("not excluded")
	}
}

// TestAnyOrderOfDeliveryGivesEqualEvidence hands the same records, of honest and of
// forking origins, of several epochs and with windows that move on, to several logs in
// any order, some over exchanges.
func TestAnyOrderOfDeliveryGivesEqualEvidence(t *testing.T) {
	for round := range 4 {
		rng := rand.New(rand.NewPCG(uint64(round), 7))
		var all []*Record
		for origin := range 4 {
			k := newKey(t)
			for epoch := range uint64(1 + rng.IntN(MaxEpochs+2)) {
				var last *Record
				for i := range 1 + rng.IntN(12) {
					change := func(r *Record) {
						r.Epoch, r.Label = epoch+1, uint16(i%testClasses)
						r.Features = rowKey(0, rng.IntN(6)).Features
						r.Lamport += uint64(rng.IntN(3))
						r.Kept = 1 + uint16(rng.IntN(int(r.Kept)))
					}
					r := forge(t, k, last, change)
					all = append(all, r)
					if origin == 3 && rng.IntN(8) == 0 {
						all = append(all, forge(t, k, last, func(r *Record) { change(r); r.Label = (r.Label + 1) % testClasses }))
					}
					last = r
				}
			}
		}
		var nodes []*node
		for range 3 {
			n := newNode(t)
			nodes = append(nodes, n)
			// Each hears a part, in its own order, some of it more than once; gaps stay gaps.
			for range 2 {
				for _, i := range rng.Perm(len(all)) {
					if rng.IntN(3) > 0 {
						if outcome, err := n.Receive(all[i].Raw); err != nil {
							t.Fatalf("round %d: %v, %v", round, outcome, err)
						}
					}
				}
			}
		}
		// One hears all in order, so that somebody has all that there is.
		for _, r := range all {
			if _, err := nodes[0].Receive(r.Raw); err != nil {
				t.Fatal(err)
			}
		}
		for range 3 { // proofs take as many steps as there are links
			syncLogs(t, nodes[1], nodes[0])
			syncLogs(t, nodes[2], nodes[1])
		}
		equalEvidence(t, nodes...)
		for i, n := range nodes {
			if d, err := n.Snapshot().Compare(nodes[0].Snapshot().Heads()); err != nil || d != (Difference{}) {
				t.Fatalf("round %d: log %d: %+v, %v", round, i, d, err)
			}
			if n.Snapshot().Records() == 0 {
				t.Fatalf("round %d: nothing counts", round)
			}
		}
	}
}

func TestALogMayBeClosedInAnExchange(t *testing.T) {
	source := open(t, newKey(t), onDisk(t.TempDir()))
	source.labels(t, 0, 400)
	for i := range 5 {
		key, dir := newKey(t), t.TempDir()
		n := open(t, key, onDisk(dir))
		n.labels(t, 500, 500+200*(i+1))
		before, came := n.Snapshot().Records(), n.Changed()
		var wg sync.WaitGroup
		wg.Go(func() { _, _, _, _ = trySync(n, source) }) // it may succeed or fail, as it comes
		if i%2 == 0 {
			<-came // some of the source's records
		}
		n.Close()
		wg.Wait()
		again := open(t, key, onDisk(dir))
		if again.SetAside() != "" || again.Snapshot().Records() < before {
			t.Fatalf("%d records were %d", again.Snapshot().Records(), before)
		}
	}
}
