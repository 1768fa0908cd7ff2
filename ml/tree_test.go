package ml

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/sjwhitworth/golearn/base"
	"github.com/sjwhitworth/golearn/trees"
)

// fitCART is golearn's tree as golearn means it to be used, with labels from 0.
func fitCART(t *testing.T, d *Dataset) (*trees.CARTDecisionTreeClassifier, *base.DenseInstances) {
	t.Helper()
	table := cartTable(d)
	labels := make([]int64, len(d.Task.Labels))
	for i := range labels {
		labels[i] = int64(i)
	}
	c := trees.NewDecisionTreeClassifier(trees.GINI, -1, labels)
	if err := c.Fit(table); err != nil {
		t.Fatal(err)
	}
	return c, table
}

func cartTable(d *Dataset) *base.DenseInstances {
	class := base.NewFloatAttribute(className(d.Task))
	return d.instances(class, func(y int) []byte { return base.PackFloatToBytes(float64(y)) })
}

func TestCompiledTreeAnswersAsGolearnDoes(t *testing.T) {
	for _, name := range []string{"iris", "wine", "breast_cancer"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := Iris()
			if name != "iris" {
				var err error
				if d, err = OpenCSV("testdata/"+name+".csv", CSVOptions{}); err != nil {
					t.Fatal(err)
				}
			}
			train, test, err := d.Split(0.3, 3)
			if err != nil {
				t.Fatal(err)
			}
			m, err := Fit(t.Context(), train, FitOptions{Kind: Tree})
			if err != nil {
				t.Fatal(err)
			}
			cart, _ := fitCART(t, train)
			right := 0
			for i, want := range cart.Predict(cartTable(test)) {
				got, err := m.Predict(test.Row(i), nil)
				if err != nil || got != int(want) {
					t.Fatalf("row %d: %d, golearn %d, %v", i, got, want, err)
				}
				if got == test.Y[i] {
					right++
				}
			}
			if share := float64(right) / float64(test.Len()); share < 0.85 {
				t.Errorf("accuracy %v", share)
			}
		})
	}
}

// golearn answers 0 where no feature tells the classes apart and the first value is not
// negative; the compiled tree must answer the commonest class.
func TestTreeDoesNotKeepGolearnsAnswerOnConstantFeatures(t *testing.T) {
	task, err := NewTask("t", []string{"a"}, []string{"x", "y", "z"})
	if err != nil {
		t.Fatal(err)
	}
	d := &Dataset{Task: task, X: []float64{7, 7, 7, 7, 7}, Y: []int{0, 2, 2, 2, 1}}
	cart, table := fitCART(t, d)
	if got := cart.Predict(table); got[0] != 0 {
		t.Errorf("golearn answers %v; it has mended this, and so may we", got)
	}
	m, err := Fit(t.Context(), d, FitOptions{Kind: Tree})
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range []float64{7, 0, -7, 1e9} {
		if y, err := m.Predict([]float64{v}, nil); y != 2 || err != nil {
			t.Errorf("%v: %d, %v", v, y, err)
		}
	}
}

// golearn keeps at most 511 floats in one group; beyond, the order of features is no
// longer obvious.
func TestTreeKnowsItsFeaturesHoweverMany(t *testing.T) {
	const features = 1200
	names := make([]string, features)
	for i := range names {
		names[i] = fmt.Sprint("f", i)
	}
	task, err := NewTask("wide", names, []string{"x", "y"})
	if err != nil {
		t.Fatal(err)
	}
	for _, tells := range []int{0, 511, 512, 1199} {
		rng := rand.New(rand.NewPCG(1, uint64(tells)))
		d := &Dataset{Task: task, X: make([]float64, 40*features), Y: make([]int, 40)}
		for i := range d.Y {
			d.Y[i] = i % 2
			for j := range features {
				d.X[i*features+j] = float64(rng.IntN(2)) // noise in two values
			}
			d.X[i*features+tells] = float64(10*d.Y[i] + rng.IntN(3))
		}
		m, err := Fit(t.Context(), d, FitOptions{Kind: Tree})
		if err != nil {
			t.Fatal(err)
		}
		if s := m.(*treeModel).splits; len(s) != 1 || int(s[0].feature) != tells {
			t.Errorf("feature %d tells the classes apart, the tree asks %+v", tells, s)
		}
	}
}

func TestTreeRefusesWhatGolearnWouldTakeTooLongFor(t *testing.T) {
	task, err := NewTask("t", []string{"a"}, []string{"x", "y"})
	if err != nil {
		t.Fatal(err)
	}
	d := &Dataset{Task: task}
	for i := range 40_000 {
		d.X = append(d.X, float64(i))
		d.Y = append(d.Y, i%2)
	}
	if _, err := Fit(t.Context(), d, FitOptions{Kind: Tree}); err == nil || !strings.Contains(err.Error(), "use randforest") {
		t.Errorf("got %v", err)
	}
}

// A tree that cannot be interrupted must still let its caller go.
func TestTreeFitReturnsWhenItsContextEnds(t *testing.T) {
	task, err := NewTask("t", []string{"a"}, []string{"x", "y"})
	if err != nil {
		t.Fatal(err)
	}
	d := &Dataset{Task: task}
	for i := range 100 {
		d.X = append(d.X, float64(i))
		d.Y = append(d.Y, i*i%7%2)
	}
	ctx := &endsAtOnce{Context: t.Context(), done: make(chan struct{})}
	close(ctx.done)
	if _, err := Fit(ctx, d, FitOptions{Kind: Tree}); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

// endsAtOnce ends after Fit has looked once.
type endsAtOnce struct {
	context.Context
	done chan struct{}
	asks int
}

func (c *endsAtOnce) Done() <-chan struct{} { return c.done }

func (c *endsAtOnce) Err() error {
	if c.asks++; c.asks == 1 {
		return nil
	}
	return context.Canceled
}

func TestInstancesHoldTheDataInOrder(t *testing.T) {
	d := Iris()
	g := d.Instances()
	if _, rows := g.Size(); rows != d.Len() {
		t.Fatalf("%d rows", rows)
	}
	for j, name := range d.Task.Features {
		spec, err := g.GetAttribute(base.GetAttributeByName(g, name))
		if err != nil {
			t.Fatal(err)
		}
		for i := range d.Len() {
			if got := base.UnpackBytesToFloat(g.Get(spec, i)); got != d.Row(i)[j] {
				t.Fatalf("row %d, %s: %v, want %v", i, name, got, d.Row(i)[j])
			}
		}
	}
	for i, y := range d.Y {
		if got := base.GetClass(g, i); got != d.Task.Labels[y] {
			t.Fatalf("row %d: class %q, want %q", i, got, d.Task.Labels[y])
		}
	}
	task, err := NewTask("t", []string{"class", "class_"}, []string{"x", "y"})
	if err != nil {
		t.Fatal(err)
	}
	if name := className(task); name != "class__" {
		t.Errorf("the class column is named %q, like a feature", name)
	}
}
