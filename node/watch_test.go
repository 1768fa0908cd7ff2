package node

import (
	"context"
	"slices"
	"testing"

	"github.com/oklog/ulid/v2"

	"caucus/ml"
	"caucus/node/api"
)

func TestWatchersAreWokenByEachRoundAndNeverHoldOneUp(t *testing.T) {
	h := newHistory()
	play := func() { h.put(past{id: ulid.Make(), short: &summary{}}) }
	play() // nobody watches
	quick, slow := h.watchers.add(), h.watchers.add()
	play()
	<-quick
	play() // the slow one has not looked yet
	<-quick
	<-slow
	select {
	case <-slow:
		t.Error("two rounds left two tokens; one look sees both")
	default:
	}
	h.watchers.remove(slow)
	play()
	<-quick
	select {
	case <-slow:
		t.Error("it was woken after it had gone")
	default:
	}
	h.watchers.remove(quick)
	if n := h.watchers.count.Load(); n != 0 || len(h.watchers.set) != 0 {
		t.Errorf("%d watchers are left", n)
	}
}

func TestANodeIsWatchedForRoundsUntilTheContextEnds(t *testing.T) {
	cfg := DefaultConfig()
	cfg.Listen, cfg.Name = "127.0.0.1:0", "watched"
	n, err := New(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := n.Close(); err != nil {
			t.Error(err)
		}
	}()
	ctx, cancel := context.WithCancel(t.Context())
	looks, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		n.Watch(ctx, func() { looks <- struct{}{} })
	}()
	<-looks // at once
	n.engine.history.put(past{id: ulid.Make(), short: &summary{}})
	<-looks
	cancel()
	<-ended
}

func TestRangesOfIrisAreThoseOfItsColumns(t *testing.T) {
	want := []api.FeatureRange{{Min: 4.3, Max: 7.9, Typical: 5.8}, {Min: 2, Max: 4.4, Typical: 3}, {Min: 1, Max: 6.9, Typical: 4.4}, {Min: 0.1, Max: 2.5, Typical: 1.3}}
	if got := rangesOf(ml.Iris().Ranges()); !slices.Equal(got, want) {
		t.Errorf("%v", got)
	}
	if got := rangesOf((&ml.Dataset{}).Ranges()); got != nil {
		t.Errorf("of no rows: %v", got)
	}
}

func TestRangesKeepFourDigits(t *testing.T) {
	for x, want := range map[float64]float64{
		0: 0, 123456: 123500, -0.00123456: -0.001235, 5.1: 5.1,
		1.7976931348623157e308: 1.7976931348623157e308, // rounding up would overflow
	} {
		if got := short(x); got != want {
			t.Errorf("%v became %v, not %v", x, got, want)
		}
	}
}
