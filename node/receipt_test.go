package node_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"

	"caucus/node/api"
	"caucus/node/nodetest"
	"caucus/node/receipt"
)

func TestAReceiptIsRecomputedOffline(t *testing.T) {
	nodes := nodetest.Start(t, 3)
	ask := func(method string) (*api.ConsensusReply, []byte) {
		t.Helper()
		r, err := nodes[0].Client.Consensus(t.Context(), setosa, api.ConsensusOptions{Method: method, Wait: "all", Receipt: true})
		if err != nil {
			t.Fatal(err)
		}
		b, err := nodes[0].Client.Receipt(t.Context(), r.Round, false)
		if err != nil {
			t.Fatal(err)
		}
		if string(b) != r.Receipt {
			t.Fatalf("the reply has %q, the address %q", r.Receipt, b)
		}
		return r, b
	}
	check := func(b []byte, r *api.ConsensusReply, recomputed bool) *receipt.Report {
		t.Helper()
		rep, err := receipt.Verify(b)
		if err != nil {
			t.Fatalf("%v in %s", err, b)
		}
		if rep.Recomputed != recomputed || rep.Receipt.Outcome.Label != r.Prediction || rep.Receipt.Round != r.Round || len(rep.Cards) != 3 || rep.Receipt.Outcome.Counted != 3 {
			t.Errorf("%+v of %+v", rep, r)
		}
		return rep
	}
	r, b := ask("auto")
	check(b, r, true) // without any evidence there is nothing to take on trust

	rows, labels := irisLabels(45)
	if _, err := nodes[1].Client.Feedback(t.Context(), rows, labels); err != nil {
		t.Fatal(err)
	}
	even(t, 45, nodes...)
	for _, method := range []string{"auto", "weighted", "soft", "majority"} {
		r, b := ask(method)
		check(b, r, false)
		whole, err := nodes[0].Client.Receipt(t.Context(), r.Round, true)
		if err != nil {
			t.Fatal(err)
		}
		rep := check(whole, r, true)
		if len(rep.Receipt.Evidence.Records) != 45 || rep.Receipt.Weights.Reason != r.Reason {
			t.Errorf("%d records, %q", len(rep.Receipt.Evidence.Records), rep.Receipt.Weights.Reason)
		}
	}
	if _, err := nodes[1].Client.Receipt(t.Context(), r.Round, false); problem(t, err).Kind() != api.NotFound {
		t.Error(err)
	}
	plain, err := nodes[0].Client.Consensus(t.Context(), setosa, api.ConsensusOptions{})
	if err != nil || plain.Receipt != "" {
		t.Errorf("%+v %v", plain, err)
	}
	if _, err := nodes[0].Client.Receipt(t.Context(), plain.Round, false); problem(t, err).Kind() != api.NotFound {
		t.Error(err)
	}
}

func TestAChangedByteAnywhereInAReceiptShows(t *testing.T) {
	nodes := nodetest.Start(t, 2)
	rows, labels := irisLabels(2)
	if _, err := nodes[0].Client.Feedback(t.Context(), rows, labels); err != nil {
		t.Fatal(err)
	}
	r, err := nodes[0].Client.Consensus(t.Context(), setosa, api.ConsensusOptions{Wait: "all", Receipt: true})
	if err != nil {
		t.Fatal(err)
	}
	whole, err := nodes[0].Client.Receipt(t.Context(), r.Round, true)
	if err != nil {
		t.Fatal(err)
	}
	places := map[string]int{}
	for what, b := range map[string][]byte{"without evidence": []byte(r.Receipt), "with": whole} {
		if _, err := receipt.Verify(b); err != nil {
			t.Fatal(err)
		}
		// Package receipt's own tests go through every byte, without nodes.
		for i := 0; i < len(b); i += 13 {
			for _, to := range []byte{b[i] ^ 1, ' '} {
				if to == b[i] {
					continue
				}
				changed := bytes.Clone(b)
				changed[i] = to
				_, err := receipt.Verify(changed)
				var f *receipt.Fault
				if !errors.As(err, &f) || f.Where == "" {
					t.Fatalf("%s, byte %d from %q to %q: %v", what, i, b[i], to, err)
				}
				place, _, _ := strings.Cut(f.Where, "[")
				place, _, _ = strings.Cut(place, " ")
				places[place]++
			}
		}
		for _, cut := range [][]byte{b[:len(b)-1], append(bytes.Clone(b), '\n'), b[:len(b)/2], nil, []byte("{}\n")} {
			if _, err := receipt.Verify(cut); err == nil {
				t.Error("a receipt of another length holds")
			}
		}
	}
	t.Logf("where it showed: %v", places)
}

func TestWhatTheAskedNodeMayNotWriteIntoAReceipt(t *testing.T) {
	nodes := nodetest.Start(t, 3, keep(t))
	r, err := nodes[0].Client.Consensus(t.Context(), setosa, api.ConsensusOptions{Wait: "all", Receipt: true})
	if err != nil {
		t.Fatal(err)
	}
	key := loadKey(t, nodes[0])
	self := 0
	for i, v := range r.Votes {
		if v.Node == string(nodes[0].ID()) {
			self = i
		}
	}
	other := (self + 1) % 3
	for name, c := range map[string]struct {
		change func(*receipt.Receipt)
		where  string
	}{
		"another label for a voter":        {func(x *receipt.Receipt) { x.Votes[other].Label = 1 }, "votes["},
		"a vote for another row":           {func(x *receipt.Receipt) { x.Row[0]++ }, "votes["},
		"another round":                    {func(x *receipt.Receipt) { x.Round = "01JQZ8V5M3K4N6P7R8S9T0V1W2" }, "votes["},
		"a member left out":                {func(x *receipt.Receipt) { x.Roster = slices.Delete(x.Roster, other, other+1) }, "votes"},
		"a weight":                         {func(x *receipt.Receipt) { x.Weights.Members[other].Weight *= 2 }, "weights.members["},
		"another reason":                   {func(x *receipt.Receipt) { x.Weights.Reason = "because" }, "weights.reason"},
		"another rule":                     {func(x *receipt.Receipt) { x.Weights.Rule = "weighted" }, "weights.rule"},
		"another outcome":                  {func(x *receipt.Receipt) { x.Outcome.Label = 2 }, "outcome.label"},
		"another status":                   {func(x *receipt.Receipt) { x.Outcome.Status = "tie" }, "outcome.status"},
		"a share":                          {func(x *receipt.Receipt) { x.Outcome.Shares[0]-- }, "outcome.shares"},
		"labels in another order":          {func(x *receipt.Receipt) { l := x.Task.Labels; l[0], l[1] = l[1], l[0] }, "task.labels"},
		"another label's name":             {func(x *receipt.Receipt) { x.Task.Labels[2] = "zinnia" }, "task.digest"},
		"evidence that there is not":       {func(x *receipt.Receipt) { x.Evidence.Records = []receipt.Bytes{{1}} }, "evidence.records"},
		"an asker that is not invited":     {func(x *receipt.Receipt) { x.Asked = strings.Repeat("a", 32) }, "asked"},
		"a later version":                  {func(x *receipt.Receipt) { x.Version++ }, "version"},
		"an earlier one":                   {func(x *receipt.Receipt) { x.Version = 1 }, "version"},
		"a signature of its own vote":      {func(x *receipt.Receipt) { x.Votes[self].Signature = x.Votes[other].Signature }, "votes["},
		"no signature for a voter":         {func(x *receipt.Receipt) { x.Votes[other].Signature = nil }, "votes["},
		"a place for a voter":              {func(x *receipt.Receipt) { x.Votes[other].Inclusion = &receipt.Inclusion{Size: 1} }, "votes["},
		"a vote of one who did not answer": {func(x *receipt.Receipt) { x.Votes[other].Outcome = "timeout" }, "votes["},
	} {
		t.Run(name, func(t *testing.T) {
			var x receipt.Receipt
			if err := json.Unmarshal([]byte(r.Receipt), &x); err != nil {
				t.Fatal(err)
			}
			c.change(&x)
			b, err := x.Encode(key) // it can always sign
			if err != nil {
				t.Fatal(err)
			}
			_, err = receipt.Verify(b)
			var f *receipt.Fault
			if !errors.As(err, &f) || !strings.HasPrefix(f.Where, c.where) {
				t.Errorf("%v, want something at %s", err, c.where)
			}
		})
	}
}
