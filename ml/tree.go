package ml

import (
	"context"
	"fmt"
	"math"

	"github.com/sjwhitworth/golearn/base"
	"github.com/sjwhitworth/golearn/trees"
)

// treeModel is golearn's CART classifier (Breiman and others 1984), compiled to a flat
// array. It knows the label of a leaf and no probabilities.
//
// golearn sends a row left if its feature is below the threshold.
type treeModel struct {
	task        Task
	criterion   string
	splits      []split // next: a split, or ^class
	root        int32
	fingerprint [32]byte
}

// maxCARTWork bounds rows x thresholds. golearn counts all labels of a node anew for
// every threshold of every feature, and cannot be interrupted; this is about half a minute.
const maxCARTWork = 1e9

func fitTree(ctx context.Context, task Task, d *Dataset, o FitOptions) (Model, error) {
	thresholds := 0
	for _, v := range rankRows(task, d.X, d.Y).values {
		thresholds += len(v)
	}
	if float64(d.Len())*float64(thresholds) > maxCARTWork {
		return nil, fmt.Errorf("ml: golearn's tree would take too long on %d rows with %d different values in %s: its time is quadratic; use randforest",
			d.Len(), thresholds, count(len(task.Features), "feature"))
	}
	for i, v := range d.X {
		// golearn adds two values before it halves the sum; infinity would crash it.
		if math.Abs(v) > math.MaxFloat64/2 {
			f := i % len(task.Features)
			return nil, fmt.Errorf("%w: %s: %s is %v, too large for a tree; scale the column down",
				ErrData, d.place(i/len(task.Features)), task.Features[f], v)
		}
	}
	// golearn's CART wants the class as a float. Classes are numbered from 1, because it
	// leaves the right label of a root that it could not split at 0.
	class := base.NewFloatAttribute(className(task))
	data := d.instances(class, func(y int) []byte { return base.PackFloatToBytes(float64(y + 1)) })
	numbers := make([]int64, len(task.Labels))
	for i := range numbers {
		numbers[i] = int64(i + 1)
	}
	m := &treeModel{task: task, criterion: trees.GINI}
	cart := trees.NewDecisionTreeClassifier(m.criterion, -1, numbers) // -1: until leaves are pure
	// It cannot be interrupted, so it is left to end by itself (within maxCARTWork).
	fitted := make(chan error, 1)
	go func() {
		defer func() { // what we know to crash golearn is refused above; the rest must not end the node
			if r := recover(); r != nil {
				fitted <- fmt.Errorf("panic: %v", r)
			}
		}()
		fitted <- cart.Fit(data)
	}()
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case err := <-fitted:
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if err != nil {
			return nil, fmt.Errorf("ml: golearn cannot fit the tree: %w", err)
		}
	}
	m.compile(cart, golearnOrder(task, data))
	o.progress(1, 1)
	return m, nil
}

// golearnOrder returns our feature number for each of golearn's. golearn numbers the
// features in the order in which it resolves the attributes, which it sorts with a
// comparison that is always false; that order is asked for, not assumed.
func golearnOrder(t Task, data *base.DenseInstances) []int32 {
	at := places(t.Features)
	specs := base.ResolveAttributes(data, base.NonClassFloatAttributes(data))
	order := make([]int32, len(specs))
	for i := range specs {
		order[i] = int32(at[specs[i].GetAttribute().GetName()])
	}
	return order
}

// compile walks golearn's nodes, whose type has no name outside its package.
func (m *treeModel) compile(cart *trees.CARTDecisionTreeClassifier, order []int32) {
	leaf := func(label int64) int32 { return ^int32(label - 1) }
	root := cart.RootNode
	if root.RightLabel == 0 {
		// No feature tells the classes apart: the root's left label is the commonest one.
		// golearn itself would answer 0 for half of all rows.
		m.root = leaf(root.LeftLabel)
	} else {
		nodes := sliceOf(root)
		m.splits = append(m.splits, split{})
		for at := 0; at < len(nodes); at++ {
			n := nodes[at]
			s := split{threshold: n.Threshold, feature: order[n.Feature]}
			s.next[0], s.next[1] = leaf(n.LeftLabel), leaf(n.RightLabel)
			if n.Left != nil {
				s.next[0] = int32(len(nodes))
				nodes = append(nodes, n.Left)
				m.splits = append(m.splits, split{})
			}
			if n.Right != nil {
				s.next[1] = int32(len(nodes))
				nodes = append(nodes, n.Right)
				m.splits = append(m.splits, split{})
			}
			m.splits[at] = s
		}
	}
	m.seal()
}

// seal fills in what follows from the rest.
func (m *treeModel) seal() {
	fp := newFingerprint(Tree, m.task)
	fp.ints(int(m.root), len(m.splits))
	for i := range m.splits {
		fp.split(&m.splits[i])
	}
	m.fingerprint = fp.sum()
}

// sliceOf makes a slice of a type that cannot be named here.
func sliceOf[T any](first T) []T { return []T{first} }

func (m *treeModel) Kind() Kind            { return Tree }
func (m *treeModel) Task() Task            { return m.task }
func (m *treeModel) Fingerprint() [32]byte { return m.fingerprint }
func (m *treeModel) Probabilistic() bool   { return false }

func (m *treeModel) Params() map[string]any {
	return map[string]any{"criterion": m.criterion, "splits": len(m.splits), "library": "golearn"}
}

// Predict gives the label of the leaf; probs is checked and left alone.
func (m *treeModel) Predict(row, probs []float64) (int, error) {
	if err := checkCall(&m.task, row, probs); err != nil {
		return 0, err
	}
	at := m.root
	for at >= 0 {
		s := &m.splits[at]
		if row[s.feature] < s.threshold {
			at = s.next[0]
		} else {
			at = s.next[1]
		}
	}
	return int(^at), nil
}

var _ Model = (*treeModel)(nil)
