package receipt

import (
	"bytes"
	"fmt"
	"slices"
	"testing"

	"caucus/cluster/evidence"
	"caucus/cluster/identity"
	"caucus/cluster/session"
	"caucus/internal/testkey"
	"caucus/ml"
	"caucus/node/consensus"
)

// BenchmarkLearn learns from all that five labellers may have: 1,000 rows each, with the
// votes of five members, who are right on 19 to 15 rows in 20.
func BenchmarkLearn(b *testing.B) {
	const members, each = 5, evidence.MaxKept
	task := ml.Iris().Task.Digest()
	var keys []*identity.Key
	for i := range byte(members) {
		keys = append(keys, testkey.OfSeed(b, i+1))
	}
	slices.SortFunc(keys, func(a, b *identity.Key) int { return bytes.Compare([]byte(a.ID()), []byte(b.ID())) })
	var peers []consensus.Peer
	for i, k := range keys {
		print := [32]byte{byte(i + 1)}
		peers = append(peers, consensus.Peer{ID: string(k.ID()), Fingerprint: string(print[:])})
	}
	var raws [][]byte
	for origin, labeller := range keys {
		last := &evidence.Record{}
		for i := range each {
			row := []float64{float64(origin), float64(i)}
			r := &evidence.Record{
				Epoch: 5, Sequence: uint64(i + 1), Kept: uint16(i + 1), Lamport: uint64(i + 1), Previous: last.Hash,
				Task: task, Features: session.FeaturesDigest(row), Label: uint16(i % 3), Classes: 3,
			}
			for j, k := range keys {
				label, print := uint16(i%3), [32]byte{byte(j + 1)}
				if (i*7+j*5+origin)%20 <= j {
					label = uint16((i + 1) % 3)
				}
				probabilities := []uint32{100_000, 100_000, 100_000}
				probabilities[label] = 800_000
				s := session.Statement{
					Requester: labeller.ID(), Voter: k.ID(), Features: r.Features, Task: task, Fingerprint: print,
					Label: label, Classes: 3, Probabilities: probabilities,
				}
				r.Votes = append(r.Votes, evidence.Vote{
					Voter: k.ID(), PublicKey: k.Public(), Fingerprint: print, Label: label, Probabilities: probabilities, Signature: s.Sign(k),
				})
			}
			r.Total = last.Total + uint64(r.Size())
			if err := r.Sign(labeller); err != nil {
				b.Fatal(err)
			}
			raws, last = append(raws, r.Raw), r
		}
	}
	log, err := evidence.Open(evidence.Config{Key: keys[0], Task: task, Classes: 3})
	if err != nil {
		b.Fatal(err)
	}
	defer log.Close()
	labellers := []identity.ID{"somebody else"}
	for _, k := range keys {
		labellers = append(labellers, k.ID())
	}
	log.SetMembers(labellers)
	for _, raw := range raws {
		if outcome, err := log.Receive(raw); outcome != evidence.Stored {
			b.Fatal(outcome, err)
		}
	}
	b.Run(fmt.Sprint(members*each), func(b *testing.B) {
		for i := 0; b.Loop(); i++ {
			log.SetMembers(labellers[i%2:]) // makes a new snapshot, for one remembers its rows
			basis, err := Learn(3, peers, log.Snapshot())
			if err != nil || basis.Rows != members*each {
				b.Fatalf("%d rows, %v", basis.Rows, err)
			}
		}
	})
}
