package ml

import (
	"github.com/sjwhitworth/golearn/base"
)

// Instances returns the data set as golearn holds it: one FloatAttribute a feature, in
// the task's order, and one class attribute whose values are the labels in order.
// It copies.
func (d *Dataset) Instances() *base.DenseInstances {
	class := classAttribute(d.Task)
	return d.instances(class, func(y int) []byte { return base.PackU64ToBytes(uint64(y)) })
}

// instances fills golearn's table with the features and a class column that class
// describes and pack writes.
func (d *Dataset) instances(class base.Attribute, pack func(y int) []byte) *base.DenseInstances {
	g := base.NewDenseInstances()
	specs := make([]base.AttributeSpec, len(d.Task.Features))
	for i, name := range d.Task.Features {
		specs[i] = g.AddAttribute(base.NewFloatAttribute(name))
	}
	spec := addClass(g, class)
	g.Extend(d.Len())
	for i, y := range d.Y {
		for j, v := range d.Row(i) {
			g.Set(specs[j], i, base.PackFloatToBytes(v))
		}
		g.Set(spec, i, pack(y))
	}
	return g
}

// classInstances returns a table of nothing but the class column: what golearn's
// classifiers return as predictions.
func classInstances(t Task, y []int) *base.DenseInstances {
	g := base.NewDenseInstances()
	spec := addClass(g, classAttribute(t))
	g.Extend(len(y))
	for i, c := range y {
		g.Set(spec, i, base.PackU64ToBytes(uint64(c)))
	}
	return g
}

// classAttribute registers the labels in order, so that golearn's number of a value is
// our class index.
func classAttribute(t Task) *base.CategoricalAttribute {
	a := base.NewCategoricalAttribute()
	a.SetName(className(t))
	for _, l := range t.Labels {
		a.GetSysValFromString(l)
	}
	return a
}

// className is a name for the class column that no feature has: golearn tells
// attributes apart by name.
func className(t Task) string {
	taken := places(t.Features)
	name := "class"
	for has(taken, name) {
		name += "_"
	}
	return name
}

func addClass(g *base.DenseInstances, class base.Attribute) base.AttributeSpec {
	spec := g.AddAttribute(class)
	// It fails only for an attribute that was not added; we added it just now.
	_ = g.AddClassAttribute(class)
	return spec
}
