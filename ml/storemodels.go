package ml

import (
	"math"

	"github.com/sjwhitworth/golearn/trees"
)

// What each kind of model adds to a file. Whatever follows from the rest is computed, not
// stored: there is nothing to contradict.

func (m *knnModel) encode(e *encoder) {
	e.u32(uint32(m.k))
	e.scaler(m.scale)
	e.u32(uint32(len(m.y)))
	e.floats(m.x)
	e.int32s(m.y)
}

func (d *decoder) knn(t Task) Model {
	k := d.number("k", 1, math.MaxInt32)
	m := &knnModel{task: t, k: k, scale: d.scaler(len(t.Features))}
	rows := d.count("rows", 8*len(t.Features)+4, 1)
	m.x = d.floats("the rows", rows, len(t.Features))
	m.y = d.classes("the rows' classes", rows, len(t.Labels))
	if d.err == nil && k > rows {
		d.fail("it asks %d neighbours of %d rows", k, rows)
	}
	if d.err != nil {
		return nil
	}
	m.seal()
	return m
}

func (m *forestModel) encode(e *encoder) {
	e.u64(m.seed)
	e.u32(uint32(m.drawn))
	e.u32(uint32(len(m.roots)))
	e.int32s(m.roots)
	e.splits(m.splits)
	e.u32(uint32(len(m.shares) / len(m.task.Labels)))
	e.floats(m.shares)
}

func (d *decoder) forest(t Task) Model {
	k := len(t.Labels)
	m := &forestModel{task: t, seed: d.u64("the seed"), drawn: d.number("the number of features drawn", 1, len(t.Features))}
	n := d.number("the number of trees", 1, maxTrees)
	roots := d.take(4*n, "the roots")
	m.splits = d.splits(len(t.Features))
	mixed := d.count("mixed leaves", 8*k, 0)
	m.shares = d.floats("the leaves' shares", mixed, k)
	if d.err != nil {
		return nil
	}
	m.roots = make([]int32, n)
	for i := range m.roots {
		m.roots[i] = int32(uint32(roots[4*i]) | uint32(roots[4*i+1])<<8 | uint32(roots[4*i+2])<<16 | uint32(roots[4*i+3])<<24)
	}
	d.forestShape(m.roots, m.splits, func(leaf int) bool {
		return leaf < k || (leaf-k)%k == 0 && (leaf-k)/k < mixed
	})
	for i := range mixed {
		sum := 0.0
		for _, s := range m.shares[i*k : (i+1)*k] {
			if !(s >= 0 && s <= 1) {
				d.fail("leaf %d has a share of %v", i, s)
			}
			sum += s
		}
		if math.Abs(sum-1) > 1e-9 {
			d.fail("the shares of leaf %d make %v, not 1", i, sum)
		}
	}
	if d.err != nil {
		return nil
	}
	m.seal()
	return m
}

func (m *treeModel) encode(e *encoder) {
	e.text(m.criterion)
	e.int32s([]int32{m.root})
	e.splits(m.splits)
}

func (d *decoder) tree(t Task) Model {
	m := &treeModel{task: t, criterion: d.text("the criterion", maxName)}
	if d.err == nil && m.criterion != trees.GINI {
		d.fail("its criterion is %q, not %q", m.criterion, trees.GINI)
	}
	m.root = int32(d.u32("the root"))
	m.splits = d.splits(len(t.Features))
	d.forestShape([]int32{m.root}, m.splits, func(leaf int) bool { return leaf < len(t.Labels) })
	if d.err != nil {
		return nil
	}
	m.seal()
	return m
}

func (m *svmModel) encode(e *encoder) {
	e.u64(m.seed)
	e.floats([]float64{m.c})
	e.flag(m.converged)
	e.u32(uint32(m.supports))
	e.u32(uint32(len(m.classes)))
	e.int32s(m.classes)
	for i := range m.pairs {
		p := &m.pairs[i]
		e.floats([]float64{p.bias, p.sigmoid.a, p.sigmoid.b})
	}
	e.flag(m.kernel.rbf)
	if !m.kernel.rbf {
		e.flag(m.scaled)
		e.floats(m.weights)
		return
	}
	e.floats([]float64{m.kernel.gamma})
	e.scaler(m.scale)
	e.u32(uint32(len(m.owner)))
	e.floats(m.vectors)
	e.int32s(m.owner)
	e.floats(m.coef)
}

func (d *decoder) svm(t Task) Model {
	m := &svmModel{task: t, seed: d.u64("the seed"), c: d.float("C"), converged: d.flag("whether it converged")}
	if d.err == nil && !(m.c > 0 && m.c <= maxC) {
		d.fail("C is %v", m.c)
	}
	m.supports = d.number("the number of support vectors", 0, math.MaxInt32)
	k := d.number("the number of classes", 2, min(maxSVMLabels, len(t.Labels)))
	m.classes = d.classes("classes", k, len(t.Labels))
	for i := 1; i < len(m.classes); i++ {
		if m.classes[i] <= m.classes[i-1] {
			d.fail("class %d comes after %d", m.classes[i], m.classes[i-1])
		}
	}
	machines := d.floats("the machines", k*(k-1)/2, 3)
	if d.err != nil {
		return nil
	}
	// Always every two classes, in order, as svmFit.deal makes them.
	m.pairs = make([]svmPair, 0, k*(k-1)/2)
	for i := range k {
		for j := i + 1; j < k; j++ {
			v := machines[3*len(m.pairs):]
			m.pairs = append(m.pairs, svmPair{first: int32(i), second: int32(j), bias: v[0], sigmoid: sigmoid{v[1], v[2]}})
		}
	}
	if m.kernel.rbf = d.flag("whether its kernel is radial"); m.kernel.rbf {
		d.radial(m)
	} else {
		m.scaled = d.flag("whether it standardises")
		m.weights = d.floats("the weights", len(m.pairs), len(t.Features))
	}
	if d.err != nil {
		return nil
	}
	m.seal()
	return m
}

// radial reads what only a radial kernel has.
func (d *decoder) radial(m *svmModel) {
	features, k := len(m.task.Features), len(m.classes)
	m.kernel.gamma = d.float("gamma")
	if d.err == nil && !(m.kernel.gamma >= 0) {
		d.fail("gamma is %v", m.kernel.gamma)
	}
	m.scale = d.scaler(features)
	m.scaled = m.scale != nil
	n := d.count("support vectors", 8*features+4+8*k, 0)
	m.vectors = d.floats("the support vectors", n, features)
	m.owner = d.classes("the support vectors' classes", n, k)
	m.coef = d.floats("the coefficients", n, k)
	if d.err == nil && n != m.supports {
		d.fail("it says that it has %d support vectors, and here are %d", m.supports, n)
	}
	if d.err != nil {
		return
	}
	for i, own := range m.owner {
		if i > 0 && own < m.owner[i-1] {
			d.fail("support vector %d is out of order", i)
			return
		}
		// No machine tells a class from itself.
		if c := m.coef[i*k+int(own)]; math.Float64bits(c) != 0 {
			d.fail("support vector %d stands against its own class, with %v", i, c)
			return
		}
	}
	m.pairMachines()
}
