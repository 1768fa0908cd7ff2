package page

import (
	"reflect"
	"strconv"

	"caucus/node/assess"
)

// heat is one cell of the table of agreement.
type heat struct {
	Self         bool
	Kappa, Agree string
	Shade        float64 // from 0, as chance would have it or worse, to 1, always the same
}

func (v *view) heat(r *assess.Report) {
	n := len(r.Members)
	place := map[string]int{}
	for i := range r.Members {
		v.Names = append(v.Names, r.Members[i].Name)
		place[r.Members[i].Node] = i
		row := make([]heat, n)
		row[i].Self = true
		v.Heat = append(v.Heat, row)
	}
	for _, p := range r.Pairs {
		h := heat{Kappa: "-", Agree: "-"}
		if p.Rows > 0 {
			h.Agree = percent(p.Agree)
		}
		if p.Kappa != nil {
			h.Kappa, h.Shade = decimals(*p.Kappa, 2), max(0, *p.Kappa)
		}
		i, j := place[p.A], place[p.B]
		v.Heat[i][j], v.Heat[j][i] = h, h
	}
}

// matrix is one confusion matrix.
type matrix struct {
	Name, Accuracy string
	Asked          bool
	Labels         []string
	Rows           []matrixRow
	confusion      [][]int
}

type matrixRow struct {
	Label, Recall string
	Cells         []matrixCell
}

type matrixCell struct {
	Rows  string
	Shade float64 // share of the row
	Kind  string  // hit, miss, or none
}

func (v *view) matrices(r *assess.Report) {
	add := func(name string, asked, method bool, x *assess.Score) {
		if x.Answered == 0 {
			return
		}
		// Methods that come to the same are shown once.
		for i := range v.Matrices {
			if m := &v.Matrices[i]; method && i >= len(r.Members) && reflect.DeepEqual(m.confusion, x.Confusion) {
				m.Name += ", " + name
				m.Asked = m.Asked || asked
				return
			}
		}
		v.Matrices = append(v.Matrices, newMatrix(name, asked, r.Labels, x))
	}
	for i := range r.Members {
		add(r.Members[i].Name, false, false, &r.Members[i].Score)
	}
	for i := range r.Methods {
		add(r.Methods[i].Method, r.Methods[i].Asked, true, &r.Methods[i].Score)
	}
}

func newMatrix(name string, asked bool, labels []string, x *assess.Score) matrix {
	m := matrix{Name: name, Accuracy: percent(x.Accuracy), Asked: asked, Labels: labels, confusion: x.Confusion}
	for i, row := range x.Confusion {
		sum := 0
		for _, n := range row {
			sum += n
		}
		line := matrixRow{Label: labels[i], Recall: "-"}
		if sum > 0 {
			line.Recall = percent(float64(row[i]) / float64(sum))
		}
		for j, n := range row {
			c := matrixCell{Rows: strconv.Itoa(n), Kind: "none"}
			if n > 0 {
				c.Shade = float64(n) / float64(sum)
				if c.Kind = "miss"; i == j {
					c.Kind = "hit"
				}
			}
			line.Cells = append(line.Cells, c)
		}
		m.Rows = append(m.Rows, line)
	}
	return m
}
