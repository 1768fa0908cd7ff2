package ml

import (
	"sync"
)

// svmModel is a C-support vector machine (Cortes and Vapnik 1995), one machine for every
// two classes, compiled.
//
// The label is that of the vote: each machine names one of its two classes, most votes
// win, the first in label order among equals, as libsvm and scikit-learn's SVC.predict
// do. The probabilities are Platt's, from decision values on held-out rows, coupled. The
// two can disagree: near a border the most probable class need not be the label.
type svmModel struct {
	task    Task
	seed    uint64
	kernel  kernel
	c       float64
	scale   *scaler // rbf only; a linear machine has it in its weights
	scaled  bool
	classes []int32 // the classes that had rows; machines speak of indexes into this
	pairs   []svmPair

	// Linear: one weight vector a machine, features wide, in the units of the rows.
	weights []float64

	// RBF: the support vectors of all machines, each once. Vector i is of class owner[i]
	// and has one coefficient for each class that it stands against, len(classes) a row.
	vectors []float64
	owner   []int32
	coef    []float64
	pairOf  []int32 // len(classes)^2: the machine of two classes

	supports    int
	converged   bool
	fingerprint [32]byte
	scratch     sync.Pool // *svmScratch
}

// svmPair is one machine: above 0 it votes for first, else for second.
type svmPair struct {
	first, second int32
	bias          float64
	sigmoid       sigmoid
}

// svmScratch is the working memory of one Predict, for k classes.
type svmScratch struct {
	row      []float64 // features
	decision []float64 // k(k-1)/2
	votes    []int32   // k
	p, qp    []float64 // k
	r, q     []float64 // k*k
}

func newSVMScratch(features, classes int) *svmScratch {
	return &svmScratch{
		row: make([]float64, features), decision: make([]float64, classes*(classes-1)/2), votes: make([]int32, classes),
		p: make([]float64, classes), qp: make([]float64, classes),
		r: make([]float64, classes*classes), q: make([]float64, classes*classes),
	}
}

// compile lays the machines out for predicting.
func (s *svmFit) compile(task Task, fits []*pairFit, scale *scaler, seed uint64) *svmModel {
	m := &svmModel{
		task: task, seed: seed, kernel: s.kernel, c: s.c, scaled: scale != nil,
		pairs: make([]svmPair, len(fits)), converged: true,
	}
	for _, c := range s.classes {
		m.classes = append(m.classes, int32(c))
	}
	support := map[int]bool{}
	for i, p := range fits {
		m.pairs[i] = svmPair{first: int32(p.first), second: int32(p.second), bias: p.solution.bias, sigmoid: p.sigmoid}
		m.converged = m.converged && p.solution.converged
		for j, c := range p.solution.coef {
			if c != 0 {
				support[p.rows[j]] = true
			}
		}
	}
	m.supports = len(support)
	if s.kernel.rbf {
		m.scale = scale
		m.compileRBF(s, fits)
	} else {
		m.compileLinear(s, fits, scale)
	}
	m.seal()
	return m
}

// seal fills in what follows from the rest.
func (m *svmModel) seal() {
	m.fingerprint = m.hash()
	features, classes := len(m.task.Features), len(m.classes)
	m.scratch.New = func() any { return newSVMScratch(features, classes) }
}

// compileLinear takes the standardising into the weights: w.(x-mean)/sd = (w/sd).x - (w/sd).mean.
func (m *svmModel) compileLinear(s *svmFit, fits []*pairFit, scale *scaler) {
	for i, p := range fits {
		w := weights(p.solution.coef, p.x, s.features)
		if scale != nil {
			for j := range w {
				w[j] /= scale.sd[j]
			}
			m.pairs[i].bias -= dot(w, scale.mean)
		}
		m.weights = append(m.weights, w...)
	}
}

// compileRBF gathers the support vectors of all machines by class and row, so that the
// kernel of each is computed once.
func (m *svmModel) compileRBF(s *svmFit, fits []*pairFit) {
	k := len(m.classes)
	m.pairMachines()
	type vector struct {
		x    []float64
		coef []float64
	}
	found := make([]map[int]*vector, k) // by class, then row
	order := make([][]int, k)
	for i := range found {
		found[i] = map[int]*vector{}
	}
	for _, p := range fits {
		for j, c := range p.solution.coef {
			if c == 0 {
				continue
			}
			own, other := p.first, p.second
			if p.y[j] < 0 {
				own, other = other, own
			}
			v := found[own][p.rows[j]]
			if v == nil {
				v = &vector{x: p.x[j*s.features : (j+1)*s.features], coef: make([]float64, k)}
				found[own][p.rows[j]] = v
				order[own] = append(order[own], p.rows[j])
			}
			v.coef[other] = c
		}
	}
	for own, rows := range order {
		for _, r := range rows {
			v := found[own][r]
			m.vectors = append(m.vectors, v.x...)
			m.coef = append(m.coef, v.coef...)
			m.owner = append(m.owner, int32(own))
		}
	}
}

// pairMachines fills pairOf from pairs.
func (m *svmModel) pairMachines() {
	k := len(m.classes)
	m.pairOf = make([]int32, k*k)
	for n, p := range m.pairs {
		m.pairOf[int(p.first)*k+int(p.second)], m.pairOf[int(p.second)*k+int(p.first)] = int32(n), int32(n)
	}
}

func (m *svmModel) hash() [32]byte {
	fp := newFingerprint(SVM, m.task)
	rbf := 0
	if m.kernel.rbf {
		rbf = 1
	}
	fp.ints(rbf)
	fp.floats([]float64{m.kernel.gamma})
	fp.scaler(m.scale)
	fp.int32s(m.classes)
	fp.ints(len(m.pairs))
	for _, p := range m.pairs {
		fp.ints(int(p.first), int(p.second))
		fp.floats([]float64{p.bias, p.sigmoid.a, p.sigmoid.b})
	}
	fp.floats(m.weights)
	fp.floats(m.vectors)
	fp.floats(m.coef)
	fp.int32s(m.owner)
	return fp.sum()
}

func (m *svmModel) Kind() Kind            { return SVM }
func (m *svmModel) Task() Task            { return m.task }
func (m *svmModel) Fingerprint() [32]byte { return m.fingerprint }
func (m *svmModel) Probabilistic() bool   { return true }

func (m *svmModel) Params() map[string]any {
	p := map[string]any{
		"kernel": "linear", "C": m.c, "support_vectors": m.supports, "standardise": m.scaled, "seed": m.seed,
	}
	if m.kernel.rbf {
		p["kernel"], p["gamma"] = "rbf", m.kernel.gamma
	}
	if !m.converged {
		p["converged"] = false
	}
	return p
}
