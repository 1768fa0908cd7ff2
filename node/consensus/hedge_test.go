package consensus

import (
	"math"
	"testing"
)

// plainHedge is the table once more, as its definition reads: floating-point losses, all
// weights from scratch on every row.
func plainHedge(experts int, rows [][]int8) (mixture float64, loss []float64) {
	loss = make([]float64, experts)
	spoken := make([]bool, experts)
	t := 0.0
	for _, did := range rows {
		mean, n := 0.0, 0.0
		for r := range loss {
			if spoken[r] {
				mean, n = mean+loss[r], n+1
			}
		}
		var lost, all float64
		for r, d := range did {
			if d != silent && !spoken[r] && n > 0 {
				loss[r] = mean / n
			}
		}
		if min(did[0], did[len(did)-1]) == silent && all == 0 {
			someone := false
			for _, d := range did {
				someone = someone || d != silent
			}
			if !someone {
				continue
			}
		}
		t++
		eta := math.Sqrt(8 * math.Log(float64(experts)) / t)
		for r, d := range did {
			if d != silent {
				w := math.Exp(-eta * loss[r])
				all += w
				lost += w * float64(d)
			}
		}
		mixture += lost / all
		for r, d := range did {
			switch {
			case d != silent:
				loss[r] += float64(d)
				spoken[r] = true
			case spoken[r]:
				loss[r] += lost / all
			}
		}
	}
	return mixture, loss
}

// TestRegretStaysUnderItsBound: 200 random runs (seeds 1 to 200), of good and bad experts,
// of experts that sleep and that come late, and of losses chosen against the mixture. The
// table must also agree with the plain one.
func TestRegretStaysUnderItsBound(t *testing.T) {
	worst := 0.0
	for seed := uint64(1); seed <= 200; seed++ {
		r := newRandom(seed)
		experts, rows := 3+r.IntN(9), 1+r.IntN(600)
		h := newHedge(experts)
		skill, late, sleeps := make([]float64, experts), make([]int, experts), r.Float64()*0.5
		for e := range skill {
			skill[e] = r.Float64()
			if e > 2 && r.IntN(3) == 0 {
				late[e] = r.IntN(rows)
			}
		}
		hostile := r.IntN(4) == 0
		var all [][]int8
		for row := range rows {
			did := make([]int8, experts)
			for e := range did {
				switch {
				case row < late[e] || (e > 2 && r.Float64() < sleeps):
					did[e] = silent
				case hostile && r.IntN(3) > 0: // whoever leads is wrong
					if e == max(h.best(), 0) {
						did[e] = wrong
					}
				case r.Float64() > skill[e]:
					did[e] = wrong
				}
			}
			all = append(all, did)
			h.learn(did)
			if regret := h.regret().Float(); regret > h.bound() {
				t.Fatalf("seed %d, row %d: regret %g over the bound %g", seed, row, regret, h.bound())
			}
		}
		worst = max(worst, h.regret().Float()/h.bound())
		mixture, loss := plainHedge(experts, all)
		tolerance := 1e-5 * float64(rows)
		if math.Abs(mixture-Millionths(h.mixture).Float()) > tolerance {
			t.Fatalf("seed %d: the mixture lost %g, plainly %g", seed, Millionths(h.mixture).Float(), mixture)
		}
		var sum Millionths
		for _, s := range h.shares() {
			sum += s
		}
		if sum < One-Millionths(experts) || sum > One+Millionths(experts) {
			t.Fatalf("seed %d: shares sum to %d", seed, sum)
		}
		for e := range loss {
			if h.awake[e] > 0 && math.Abs(loss[e]-Millionths(h.loss[e]).Float()) > tolerance {
				t.Fatalf("seed %d: expert %d lost %g, plainly %g", seed, e, Millionths(h.loss[e]).Float(), loss[e])
			}
		}
	}
	t.Logf("largest regret: %.2f of its bound", worst)
	if worst < 0.1 {
		t.Error("the runs are too easy to try the bound")
	}
}

func TestHedgeTable(t *testing.T) {
	h := newHedge(3)
	if h.best() != -1 || h.regret() != 0 || h.bound() != 0 {
		t.Errorf("a table without rows: best %d, regret %d, bound %g", h.best(), h.regret(), h.bound())
	}
	h.learn([]int8{silent, silent, silent})
	if h.rows != 0 {
		t.Error("a row on which nobody spoke was counted")
	}
	h.learn([]int8{wrong, right, silent}) // equal weights: the mixture loses a half
	if h.mixture != int64(One)/2 || h.loss[0] != int64(One) || h.loss[1] != 0 || h.loss[2] != 0 {
		t.Errorf("%+v", h)
	}
	h.learn([]int8{silent, wrong, right}) // the third starts at the mean loss of the others, a half
	eta := math.Sqrt(8 * math.Log(3) / 2)
	mixture := 1 / (1 + math.Exp(-eta/2))
	if math.Abs(float64(h.loss[0])-1e6*(1+mixture)) > 1 || h.loss[1] != int64(One) || h.loss[2] != int64(One)/2 {
		t.Errorf("%+v, want the first charged %g", h, mixture)
	}
	if h.best() != 2 {
		t.Errorf("best is %d", h.best())
	}
}
