package ml

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

func TestSorterSortsByRank(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	for _, different := range []int{2, 7, 256, 257, 70_000} {
		for _, n := range []int{2, 12, 13, radixFrom - 1, radixFrom, 1000, 5000} {
			rank, mark, rows := make([]uint32, n), make([]uint32, n), make([]uint32, n)
			for i := range rank {
				rank[i] = uint32(rng.IntN(different)) + 3
				mark[i] = uint32(i)
				rows[i] = uint32(i)
			}
			rank[0], rank[1] = 3, 4
			rng.Shuffle(n, func(i, j int) { rows[i], rows[j] = rows[j], rows[i] })
			keys := newSorter(n).sort(rank, mark, rows)
			if len(keys) != n {
				t.Fatalf("%d of %d keys", len(keys), n)
			}
			seen := make([]bool, n)
			for i, k := range keys {
				row := uint32(k)
				if uint32(k>>32) != rank[row] || seen[row] {
					t.Fatalf("key %d is not that of its row, or is there twice", i)
				}
				seen[row] = true
				if i > 0 && keys[i-1]>>32 > k>>32 {
					t.Fatalf("%d of %d keys are not ascending (%d different)", i, n, different)
				}
			}
		}
	}
	if keys := newSorter(3).sort([]uint32{5, 5, 5}, make([]uint32, 3), []uint32{0, 1, 2}); keys != nil {
		t.Error("equal ranks cannot be cut, but there are keys")
	}
}

// The best cut of a node, found by trying every value of every feature and computing
// Gini anew from the definition.
func TestCutIsTheBestByGini(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 3))
	for round := range 60 {
		rows, features, classes := 5+rng.IntN(60), 1+rng.IntN(4), 2+rng.IntN(4)
		task := Task{Features: make([]string, features), Labels: make([]string, classes)}
		x, y := make([]float64, rows*features), make([]int, rows)
		for i := range x {
			x[i] = float64(rng.IntN(8))
		}
		for i := range y {
			y[i] = rng.IntN(classes)
		}
		d := rankRows(task, x, y)
		d.drawn = features // all of them, so that the best is the best of all
		g := newGrower(d)
		weight := int64(0)
		for i := range rows {
			w := uint32(rng.IntN(3))
			if w == 0 {
				continue
			}
			g.rows = append(g.rows, uint32(i))
			g.mark[i] = d.y[i]<<weightBits | w
			g.total[y[i]] += int64(w)
			weight += int64(w)
		}
		if len(g.rows) < 2 {
			continue
		}
		for i := range g.order {
			g.order[i] = i
		}
		got := g.choose(node{from: 0, to: len(g.rows)}, weight, rng)
		want := math.Inf(1)
		for f := range features {
			for cut := range 8 {
				if gini, ok := slowGini(g, x, y, features, classes, f, float64(cut)); ok {
					want = min(want, gini)
				}
			}
		}
		if got.feature < 0 {
			if !math.IsInf(want, 1) {
				t.Fatalf("round %d: no cut, but there is one with %v", round, want)
			}
			continue
		}
		gini, ok := slowGini(g, x, y, features, classes, got.feature, d.values[got.feature][got.lower])
		if !ok || gini > want+1e-12 {
			t.Fatalf("round %d: a cut with %v (%v), the best has %v", round, gini, ok, want)
		}
	}
}

// slowGini is the impurity of both sides, weighted, when rows with x <= cut go left.
func slowGini(g *grower, x []float64, y []int, features, classes, f int, cut float64) (float64, bool) {
	var side [2][]float64
	var total [2]float64
	side[0], side[1] = make([]float64, classes), make([]float64, classes)
	for _, r := range g.rows {
		s := 0
		if x[int(r)*features+f] > cut {
			s = 1
		}
		w := float64(g.mark[r] & weightMask)
		side[s][y[r]] += w
		total[s] += w
	}
	if total[0] == 0 || total[1] == 0 {
		return 0, false
	}
	gini := 0.0
	for s := range side {
		impurity := 1.0
		for _, n := range side[s] {
			impurity -= (n / total[s]) * (n / total[s])
		}
		gini += total[s] * impurity
	}
	return gini / (total[0] + total[1]), true
}

func TestThresholdLiesBetween(t *testing.T) {
	big := math.MaxFloat64
	for _, v := range [][2]float64{{1, 2}, {-big, big}, {big / 2, big}, {-big, -big / 2}, {1, math.Nextafter(1, 2)}, {0, 5e-324}, {-5e-324, 0}} {
		d := &ranked{values: [][]float64{{v[0], v[1]}}}
		if th := d.threshold(0, 0, 1); !(v[0] <= th && th < v[1]) {
			t.Errorf("between %v and %v: %v", v[0], v[1], th)
		}
	}
}

// Every row that the bootstrap drew ends in a leaf that holds its class, and nothing but
// its class if some feature tells it from the other classes.
func TestGrownTreeFitsItsSample(t *testing.T) {
	iris := Iris()
	d := rankRows(iris.Task, iris.X, iris.Y)
	g := newGrower(d)
	for seed := range uint64(20) {
		tree := g.grow(t.Context(), newRand(seed, streamTree, 0))
		for i := range iris.Len() {
			if !slices.Contains(g.rows, uint32(i)) {
				continue
			}
			at := tree.root
			for at >= 0 {
				s := tree.splits[at]
				if iris.Row(i)[s.feature] > s.threshold {
					at = s.next[1]
				} else {
					at = s.next[0]
				}
			}
			// Iris has no two equal rows of different species, so all leaves are pure.
			if int(^at) != iris.Y[i] {
				t.Fatalf("seed %d: row %d of class %d is in leaf %d", seed, i, iris.Y[i], ^at)
			}
		}
	}
}
