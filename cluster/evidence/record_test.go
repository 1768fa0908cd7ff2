package evidence

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"

	"caucus/cluster/identity"
)

// sample makes a first record of k with votes by each of voters.
func sample(t testing.TB, k *identity.Key, voters ...*identity.Key) *Record {
	t.Helper()
	return forge(t, k, nil, func(r *Record) {
		key := rowKey(5, 1)
		r.Round, r.Features, r.Label = key.Round, key.Features, 2
		for i, v := range voters {
			if i%2 == 0 {
				r.Votes = append(r.Votes, vote(v, k.ID(), key, i%3, 250_000, 0, 750_000))
			} else {
				r.Votes = append(r.Votes, vote(v, k.ID(), key, i%3))
			}
		}
		r.Total = uint64(r.Size())
	})
}

func TestRecordSurvivesTheRoundTrip(t *testing.T) {
	k := newKey(t)
	for n := range 5 {
		voters := make([]*identity.Key, n)
		for i := range voters {
			voters[i] = newKey(t)
		}
		r := sample(t, k, voters...)
		if len(r.Raw) != r.Size() || r.Hash != sha256.Sum256(r.Raw) {
			t.Fatalf("%d bytes, said %d", len(r.Raw), r.Size())
		}
		got, err := ParseRecord(r.Raw)
		if err != nil {
			t.Fatal(err)
		}
		if err := got.Verify(); err != nil {
			t.Fatal(err)
		}
		if n == 0 {
			got.Votes, r.Votes = nil, nil
		}
		if !reflect.DeepEqual(got, r) {
			t.Fatalf("got %+v\nwant %+v", got, r)
		}
	}
}

func TestRecordWithTwoVotesOfThreeClassesIsSmall(t *testing.T) {
	if n := len(sample(t, newKey(t)).Raw); n != 249 {
		t.Fatalf("a record without votes has %d bytes", n)
	}
	if n := len(sample(t, newKey(t), newKey(t)).Raw); n != 249+143 {
		t.Fatalf("a record with a vote has %d bytes", n)
	}
}

func TestRecordIsRefusedWhenAnyByteChanges(t *testing.T) {
	r := sample(t, newKey(t), newKey(t), newKey(t))
	for i := range r.Raw {
		b := bytes.Clone(r.Raw)
		b[i] ^= 1
		got, err := ParseRecord(b)
		if err == nil {
			err = got.Verify()
		}
		if !errors.Is(err, ErrRecord) {
			t.Fatalf("byte %d changed: %v", i, err)
		}
	}
	for n := range r.Raw {
		if _, err := ParseRecord(r.Raw[:n]); !errors.Is(err, ErrRecord) {
			t.Fatalf("cut to %d bytes: %v", n, err)
		}
	}
	for _, b := range [][]byte{append(bytes.Clone(r.Raw), 0), make([]byte, MaxRecord+1)} {
		if _, err := ParseRecord(b); !errors.Is(err, ErrRecord) {
			t.Fatalf("%d bytes: %v", len(b), err)
		}
	}
}

func TestRecordWithABadFieldIsRefusedThoughItIsSigned(t *testing.T) {
	k, v, w := newKey(t), newKey(t), newKey(t)
	for name, tc := range map[string]struct {
		change func(*Record)
		say    string
	}{
		"number 0":                    {func(r *Record) { r.Sequence = 0 }, "sequence"},
		"a number too high":           {func(r *Record) { r.Sequence = maxCount }, "sequence"},
		"keeping none":                {func(r *Record) { r.Kept = 0 }, "keep"},
		"keeping more than there are": {func(r *Record) { r.Kept = 2 }, "keep 2"},
		"keeping too many":            {func(r *Record) { r.Sequence, r.Kept = 5000, 1001 }, "limit is 1000"},
		"time 0":                      {func(r *Record) { r.Lamport = 0 }, "Lamport"},
		"a time too high":             {func(r *Record) { r.Lamport = maxCount }, "Lamport"},
		"a total too high":            {func(r *Record) { r.Total = maxCount }, "total"},
		"a first record that follows": {func(r *Record) { r.Previous[3] = 1 }, "first"},
		"a total that counts less":    {func(r *Record) { r.Sequence, r.Total = 2, uint64(r.Size()) }, "total"},
		"no classes":                  {func(r *Record) { r.Classes, r.Votes = 0, nil }, "classes"},
		"too many classes":            {func(r *Record) { r.Classes, r.Votes = 1001, nil }, "classes"},
		"a label outside":             {func(r *Record) { r.Label = 3 }, "label 3"},
		"a vote for a label outside":  {func(r *Record) { r.Votes[0].Label = 3 }, "label 3"},
		"a probability over one":      {func(r *Record) { r.Votes[0].Probabilities = []uint32{One + 1, 0, 0} }, "millionths"},
		"probabilities of half":       {func(r *Record) { r.Votes[0].Probabilities = []uint32{One / 2, 0, 0} }, "sum"},
		"votes out of order":          {func(r *Record) { r.Votes[0], r.Votes[1] = r.Votes[1], r.Votes[0] }, "order"},
		"a voter twice":               {func(r *Record) { r.Votes[1] = r.Votes[0] }, "order"},
	} {
		t.Run(name, func(t *testing.T) {
			r := sample(t, k, v, w)
			r.Raw = nil
			tc.change(r)
			if r.Total < maxCount && !strings.Contains(name, "total") {
				r.Total = uint64(r.Size()) // so that it is refused for what the test is about
			}
			_, err := ParseRecord(seal(k, r))
			if !errors.Is(err, ErrRecord) || !strings.Contains(err.Error(), tc.say) {
				t.Fatalf("got %v, want a sentence with %q", err, tc.say)
			}
		})
	}
}

func TestForgedVotesAreRefused(t *testing.T) {
	labeller, voter, eve := newKey(t), newKey(t), newKey(t)
	key := rowKey(5, 1)
	for name, forged := range map[string]func() Vote{
		"by another key": func() Vote {
			v := vote(eve, labeller.ID(), key, 2)
			v.Voter, v.PublicKey = voter.ID(), voter.Public()
			return v
		},
		"given to another labeller": func() Vote { return vote(voter, eve.ID(), key, 2) },
		"given for another row":     func() Vote { return vote(voter, labeller.ID(), rowKey(5, 2), 2) },
		"given in another round":    func() Vote { return vote(voter, labeller.ID(), rowKey(6, 1), 2) },
		"given by another model": func() Vote {
			v := vote(voter, labeller.ID(), key, 2)
			v.Fingerprint[0] ^= 1
			return v
		},
		"with another label": func() Vote {
			v := vote(voter, labeller.ID(), key, 2)
			v.Label = 1
			return v
		},
		"with other probabilities": func() Vote {
			v := vote(voter, labeller.ID(), key, 2, 0, 0, One)
			v.Probabilities = []uint32{0, 1, One - 1}
			return v
		},
		"with its probabilities left out": func() Vote {
			v := vote(voter, labeller.ID(), key, 2, 0, 0, One)
			v.Probabilities = nil
			return v
		},
		"signed by nobody": func() Vote {
			v := vote(voter, labeller.ID(), key, 2)
			v.Signature = make([]byte, ed25519.SignatureSize)
			return v
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := forge(t, labeller, nil, func(r *Record) {
				r.Round, r.Features, r.Votes = key.Round, key.Features, []Vote{forged()}
				r.Total = uint64(r.Size())
			})
			n, own := newNode(t), open(t, labeller, nil)
			outcome, err := n.Receive(r.Raw)
			if outcome != Refused || !errors.Is(err, ErrRecord) || !strings.Contains(err.Error(), "signature") {
				t.Fatalf("received: %v, %v", outcome, err)
			}
			if n.Snapshot().Records() != 0 {
				t.Fatal("it counts")
			}
			if _, err := own.Append(Labelling{Key: key, Label: 1, Votes: []Vote{forged()}}); !errors.Is(err, ErrRecord) {
				t.Fatalf("appended: %v", err)
			}
		})
	}
}

func TestRecordTooLargeIsRefusedInWords(t *testing.T) {
	k := newKey(t)
	r := &Record{Sequence: 1, Kept: 1, Lamport: 1, Classes: 1000}
	for range 17 {
		v := newKey(t)
		p := make([]uint32, 1000)
		p[0] = One
		r.Votes = append(r.Votes, Vote{Voter: v.ID(), PublicKey: v.Public(), Probabilities: p, Signature: make([]byte, 64)})
	}
	r.Total = uint64(r.Size())
	err := r.Sign(k)
	if !errors.Is(err, ErrRecord) || !strings.Contains(err.Error(), "17 votes of 1000 classes") {
		t.Fatal(err)
	}
	r.Votes = r.Votes[:15]
	r.Total = uint64(r.Size())
	if err := r.Sign(k); err != nil {
		t.Fatal(err)
	}
}

func TestParsedRecordSharesNoMemoryWithItsInput(t *testing.T) {
	r := sample(t, newKey(t), newKey(t))
	b := slices.Clone(r.Raw)
	got, err := ParseRecord(b)
	if err != nil {
		t.Fatal(err)
	}
	clear(b)
	if err := got.Verify(); err != nil || !bytes.Equal(got.Raw, r.Raw) {
		t.Fatal("the record changed with the buffer that it was read from")
	}
}

func TestRowsOfDifferentRoundsHaveDifferentNames(t *testing.T) {
	bare, one, two, other := rowKey(0, 1), rowKey(1, 1), rowKey(2, 1), rowKey(1, 2)
	if bare.Digest() != bare.Features {
		t.Fatal("without a round the features are the name")
	}
	seen := map[[32]byte]bool{}
	for _, k := range []Key{bare, one, two, other} {
		seen[k.Digest()] = true
	}
	if len(seen) != 4 || one.Digest() != rowKey(1, 1).Digest() {
		t.Fatalf("%d names for 4 rows", len(seen))
	}
}
