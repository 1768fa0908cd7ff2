package node

import (
	"log/slog"
	"testing"

	"caucus/ml"
)

func TestAStoredModelIsAskedLikeOneThatWasFittedHere(t *testing.T) {
	d := ml.Iris()
	m, eval, err := ml.Train(t.Context(), d, ml.FitOptions{Kind: ml.KNN}, 0.3)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name   string
		meta   ml.Meta
		ranges int
	}{
		{"with all that is known of it", ml.Meta{Ranges: d.Ranges(), Evaluation: eval}, 4},
		{"with nothing", ml.Meta{}, 0},
	} {
		n := &Node{cfg: Config{Model: m, Stored: &c.meta}, log: slog.New(slog.DiscardHandler)}
		if err := n.fit(t.Context()); err != nil {
			t.Fatal(err)
		}
		if n.evaluation != c.meta.Evaluation || len(n.ranges) != c.ranges {
			t.Errorf("%s: evaluation %v, ranges %v", c.name, n.evaluation, n.ranges)
		}
		if !n.local.fitted || n.local.perRow <= 0 {
			t.Errorf("%s: fitted %v, %v a row", c.name, n.local.fitted, n.local.perRow)
		}
	}
}
