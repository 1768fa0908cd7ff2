package main

import (
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// cell is one place of a table: its text, and how to paint it once it is padded.
type cell struct {
	text  string
	paint func(string) string // nil: as it is
	right bool                // numbers stand at the right
}

func text(s string) cell   { return cell{text: s} }
func number(s string) cell { return cell{text: s, right: true} }
func painted(s string, paint func(string) string) cell {
	return cell{text: s, paint: paint}
}

// table is aligned columns. Padding is counted before painting, so that colours do
// not shift columns.
type table struct {
	indent string
	head   []string
	rows   [][]cell
}

func (t *table) add(cells ...cell) { t.rows = append(t.rows, cells) }

// write prints the table; columns that are empty in every row are left out.
func (t *table) write(w io.Writer, s style) {
	width := make([]int, len(t.head))
	used := make([]bool, len(t.head))
	right := make([]bool, len(t.head))
	for _, row := range t.rows {
		for i := range row {
			row[i].text = printable(row[i].text) // most of it is somebody else's word
			c := row[i]
			width[i] = max(width[i], utf8.RuneCountInString(c.text))
			used[i] = used[i] || c.text != ""
			right[i] = right[i] || c.right
		}
	}
	head := make([]cell, len(t.head))
	for i, h := range t.head {
		h = printable(h)
		width[i] = max(width[i], utf8.RuneCountInString(h))
		head[i] = cell{text: h, paint: s.dim, right: right[i]}
	}
	for _, row := range append([][]cell{head}, t.rows...) {
		var line strings.Builder
		line.WriteString(t.indent)
		gap := 0 // owed to the next cell, so that no line ends in spaces
		for i, c := range row {
			if !used[i] {
				continue
			}
			pad := width[i] - utf8.RuneCountInString(c.text)
			if c.right {
				gap += pad
				pad = 0
			}
			if c.text != "" {
				line.WriteString(strings.Repeat(" ", gap))
				gap = 0
				shown := c.text
				if c.paint != nil {
					shown = c.paint(c.text)
				}
				line.WriteString(shown)
			}
			gap += pad + 2
		}
		fmt.Fprintln(w, strings.TrimRight(line.String(), " "))
	}
}
