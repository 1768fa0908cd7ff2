package ml

import (
	"context"
	"math"
	"math/rand/v2"
)

// grownTree is one tree before it joins the forest: indexes are its own.
type grownTree struct {
	splits []split
	root   int32
	shares []float64
}

// grower grows one tree after another in the same memory. It belongs to one goroutine.
type grower struct {
	data    *ranked
	weight  []uint32 // by row: how often the bootstrap drew it
	rows    []uint32 // the rows drawn, in the order of the nodes
	spare   []uint32
	mark    []uint32 // by row: class << weightBits | weight, one word to fetch
	keys    sorter
	order   []int   // features, permuted a bit further at each draw
	total   []int64 // by class: weights in the node, and on the sides of a cut
	left    []int64
	right   []int64
	pending []node
}

// node is rows[from:to], waiting to be split or closed. Its number is to be written to
// next[side] of split parent, or to the root if parent is -1.
type node struct {
	from, to     int
	parent, side int32
}

// weightBits leaves 10 bits for the class (MaxLabels). A row would have to be drawn four
// million times to overflow.
const (
	weightBits = 22
	weightMask = 1<<weightBits - 1
)

func newGrower(d *ranked) *grower {
	classes := len(d.task.Labels)
	g := &grower{
		data: d, weight: make([]uint32, d.rows), rows: make([]uint32, 0, d.rows),
		spare: make([]uint32, d.rows), mark: make([]uint32, d.rows), keys: newSorter(d.rows),
		order: make([]int, len(d.task.Features)),
		total: make([]int64, classes), left: make([]int64, classes), right: make([]int64, classes),
	}
	return g
}

// grow draws a bootstrap sample and splits it until every leaf holds one class, or rows
// that no feature tells apart. It stops early, with half a tree, when ctx ends.
func (g *grower) grow(ctx context.Context, rng *rand.Rand) grownTree {
	var t grownTree
	d := g.data
	clear(g.weight)
	for range d.rows {
		g.weight[rng.IntN(d.rows)]++
	}
	g.rows = g.rows[:0]
	for i, w := range g.weight {
		if w > 0 {
			g.rows = append(g.rows, uint32(i))
			g.mark[i] = d.y[i]<<weightBits | min(w, weightMask)
		}
	}
	for i := range g.order {
		g.order[i] = i // the same start for every tree, whichever goroutine grows it
	}
	g.pending = append(g.pending[:0], node{from: 0, to: len(g.rows), parent: -1})
	for steps := 0; len(g.pending) > 0; steps++ {
		if steps%1024 == 1023 && ctx.Err() != nil {
			break
		}
		n := g.pending[len(g.pending)-1]
		g.pending = g.pending[:len(g.pending)-1]
		at := g.close(n, rng, &t)
		if n.parent < 0 {
			t.root = at
		} else {
			t.splits[n.parent].next[n.side] = at
		}
	}
	return t
}

// close makes a leaf or a split of the node and returns its number.
func (g *grower) close(n node, rng *rand.Rand, t *grownTree) int32 {
	total := g.total
	clear(total)
	weight := int64(0)
	for _, r := range g.rows[n.from:n.to] {
		m := g.mark[r]
		total[m>>weightBits] += int64(m & weightMask)
		weight += int64(m & weightMask)
	}
	first := g.mark[g.rows[n.from]] >> weightBits
	if total[first] == weight {
		return ^int32(first)
	}
	best := g.choose(n, weight, rng)
	if best.feature < 0 {
		at := len(t.shares)
		for _, w := range total {
			t.shares = append(t.shares, float64(w)/float64(weight))
		}
		return ^int32(at + len(total))
	}
	mid := g.partition(n, best)
	at := int32(len(t.splits))
	t.splits = append(t.splits, split{
		threshold: g.data.threshold(best.feature, best.lower, best.upper),
		feature:   int32(best.feature),
	})
	g.pending = append(g.pending, node{mid, n.to, at, 1}, node{n.from, mid, at, 0})
	return at
}

// cut is a split of a node: rows whose rank is at most lower go left, the others have at
// least upper.
type cut struct {
	feature      int
	lower, upper uint32
	score        float64
}

// choose draws features without replacement and returns the best cut among them. It
// draws sqrt(features), and goes on while all that it drew were constant in this node,
// so that a node is closed only if nothing can split it.
func (g *grower) choose(n node, weight int64, rng *rand.Rand) cut {
	best := cut{feature: -1, score: math.Inf(-1)}
	found := false
	for drawn := range g.order {
		if drawn >= g.data.drawn && found {
			break
		}
		j := drawn + rng.IntN(len(g.order)-drawn)
		g.order[drawn], g.order[j] = g.order[j], g.order[drawn]
		if g.scan(g.order[drawn], n, weight, &best) {
			found = true
		}
	}
	return best
}

// scan tries every cut of one feature, and reports whether there is any. The Gini
// impurity of both sides together, weighted, is least where
// sum(left^2)/|left| + sum(right^2)/|right| over the classes is largest; the sums of
// squares are kept up to date in whole numbers as rows move from right to left.
func (g *grower) scan(feature int, n node, weight int64, best *cut) bool {
	d := g.data
	rank := d.rank[feature*d.rows : (feature+1)*d.rows]
	keys := g.keys.sort(rank, g.mark, g.rows[n.from:n.to])
	if keys == nil {
		return false
	}
	left, right := g.left, g.right
	clear(left)
	copy(right, g.total)
	var leftSq, rightSq, moved int64
	for _, w := range g.total {
		rightSq += w * w
	}
	last := uint32(keys[0] >> 32)
	for _, key := range keys {
		at := uint32(key >> 32)
		if at != last {
			score := float64(leftSq)/float64(moved) + float64(rightSq)/float64(weight-moved)
			if score > best.score {
				*best = cut{feature, last, at, score}
			}
			last = at
		}
		class, w := uint32(key)>>weightBits, int64(key&weightMask)
		l, r := left[class], right[class]
		leftSq += w * (2*l + w)
		rightSq += w * (w - 2*r)
		left[class], right[class] = l+w, r-w
		moved += w
	}
	return true
}

// partition moves the rows of the left side before those of the right, keeping their
// order (memory is then read forwards), and returns where the right begins.
func (g *grower) partition(n node, c cut) int {
	rank := g.data.rank[c.feature*g.data.rows : (c.feature+1)*g.data.rows]
	rows, spare := g.rows[n.from:n.to], g.spare
	left, right := 0, 0
	for _, r := range rows {
		if rank[r] <= c.lower {
			rows[left] = r
			left++
		} else {
			spare[right] = r
			right++
		}
	}
	copy(rows[left:], spare[:right])
	return n.from + left
}
