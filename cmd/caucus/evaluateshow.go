package main

import (
	"cmp"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"caucus/node/assess"
)

// terminalWidth is what tables and sentences are made for.
const terminalWidth = 80

// showEvaluation writes the report for a terminal of 80 columns.
func (a *app) showEvaluation(e *evaluation) {
	s := a.outStyle
	fmt.Fprintf(a.out, "%s of %s, asked in %s\n\n", plural(e.Rows, "row"), oneLine(filepath.Base(e.Data)), millis(1000*e.Seconds))
	a.showScores(e.Report)
	fmt.Fprintf(a.out, "\n%s\n", a.verdict(e.Report))
	for _, n := range e.Notes {
		fmt.Fprintf(a.out, "%s\n", s.yellow(wrapWords("Note: "+oneLine(n)+".", terminalWidth)))
	}
	a.showPairs(e.Report)
	for i := range e.Methods {
		if m := &e.Methods[i]; m.Asked {
			fmt.Fprintf(a.out, "\nWhat %s says (across) of rows that are (down)%s\n\n", m.Method, ties(m.Ties))
			a.showConfusion(e.Labels, m.Confusion)
		}
	}
	fmt.Fprintf(a.out, "\n%s\n", s.dim(wrapWords(legend(e.Report)+fmt.Sprintf("Intervals hold the true accuracy in 95 of 100 such samples: %s. F1: mean over labels. "+
		"BRIER: 0 perfect, 2 worst. ECE: how far confidence is from accuracy, %d bins. Rows that a member was trained on flatter it; nodes do not tell which those were.",
		howFound(e.Report), assess.Bins), terminalWidth)))
}

func ties(n int) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprintf("; %s among them", plural(n, "tie"))
}

// legend explains the marks.
func legend(r *assess.Report) string {
	var text string
	wilson := false
	see := func(x *assess.Score) { wilson = wilson || x.Interval != nil && x.Interval.Kind == assess.Wilson }
	for i := range r.Members {
		see(&r.Members[i].Score)
	}
	for i := range r.Methods {
		see(&r.Methods[i].Score)
	}
	if len(r.Members) > 1 {
		text = "*: the best single member, picked on these very rows, which flatters it. "
	}
	text += ">: the method asked for. "
	if wilson {
		text += "~: Wilson's interval, as all rows are right or all wrong. "
	}
	return text
}

// howFound says how the intervals were found.
func howFound(r *assess.Report) string {
	return fmt.Sprintf("bootstrap (BCa), %d draws, seed %d", r.Bootstrap.Resamples, r.Bootstrap.Seed)
}

// showScores writes a line for each member and each method.
func (a *app) showScores(r *assess.Report) {
	s := a.outStyle
	t := &table{head: []string{"", "MEMBER", "MODEL", "RIGHT", "ACCURACY", "95 % INTERVAL", "F1", "BRIER", "ECE"}}
	var notes []string
	for i := range r.Members {
		m := &r.Members[i]
		mark := ""
		if m.Node == r.BestMember && len(r.Members) > 1 {
			mark = "*"
		}
		t.add(append([]cell{painted(mark, s.bold), text(shorten(oneLine(m.Name), 12)), text(shorten(oneLine(m.Model), 10))}, scoreCells(&m.Score, nil)...)...)
		if m.Answered < r.Rows {
			notes = append(notes, fmt.Sprintf("%s has no vote on %s (%s)", oneLine(m.Name), plural(r.Rows-m.Answered, "row"), oneLine(m.Reason)))
		}
	}
	t.add(make([]cell, len(t.head))...)
	t.add(text(""), painted("METHOD", s.dim), painted("COUNTS BY", s.dim), text(""), text(""), text(""), text(""), text(""), text(""))
	for i := range r.Methods {
		m := &r.Methods[i]
		paint := func(s string) string { return s }
		mark := ""
		if m.Asked {
			paint = s.bold
			mark = ">"
		}
		counts := m.Rule
		if m.Follows != "" {
			counts = "one member"
		}
		t.add(append([]cell{painted(mark, s.bold), painted(m.Method, paint), painted(shorten(counts, 10), paint)}, scoreCells(&m.Score, paint)...)...)
	}
	t.write(a.out, s)
	for i := range r.Methods {
		m := &r.Methods[i]
		if m.Method == m.Rule || m.Reason == "" {
			continue
		}
		why := m.Method
		if m.Follows != "" {
			why += " follows " + nameIn(r, m.Follows)
		}
		why += ": "
		if strings.HasPrefix(m.Reason, why[:len(why)-2]+" ") {
			why = "" // "em needs 5 different models" names the method itself
		}
		fmt.Fprintf(a.out, "   %s\n", s.dim(shorten(why+oneLine(m.Reason), terminalWidth-3)))
	}
	for _, n := range notes {
		fmt.Fprintf(a.out, "%s\n", s.yellow(wrapWords("Note: "+n+".", terminalWidth)))
	}
}

// scoreCells are the figures of one line.
func scoreCells(x *assess.Score, paint func(string) string) []cell {
	right, accuracy, between, f1, brier, ece := "-", "-", "-", "-", "-", "-"
	if x.Answered > 0 {
		right, accuracy, f1 = strconv.Itoa(x.Correct), share(x.Accuracy), decimals(x.Macro.F1, 3)
	}
	if x.Interval != nil {
		between = fmt.Sprintf("%.1f to %.1f", 100*x.Interval.Low, 100*x.Interval.High)
		if x.Interval.Kind == assess.Wilson {
			between = "~" + between
		}
	}
	if c := x.Calibration; c != nil {
		brier, ece = decimals(c.Brier, 3), decimals(c.ECE, 3)
	}
	var cells []cell
	for _, text := range []string{right, accuracy, between, f1, brier, ece} {
		cells = append(cells, cell{text: text, right: true, paint: paint})
	}
	return cells
}

func decimals(x float64, n int) string { return strconv.FormatFloat(x, 'f', n, 64) }

// verdict is the report's, in the colour of what it says.
func (a *app) verdict(r *assess.Report) string {
	paint := a.outStyle.bold
	for _, c := range r.Comparisons {
		switch c.Verdict {
		case assess.Better:
			paint = a.outStyle.green
		case assess.Worse:
			paint = a.outStyle.yellow
		}
	}
	return paint(wrapWords(oneLine(r.Verdict), terminalWidth))
}

// mostPairs is how many members fit into a table of pairs.
const mostPairs = 7

// showPairs writes how often members agree, and Cohen's kappa.
func (a *app) showPairs(r *assess.Report) {
	n := len(r.Members)
	switch {
	case n < 2:
		return
	case n > mostPairs:
		a.showExtremePairs(r)
		return
	}
	fmt.Fprintf(a.out, "\nHow often two members agree (left below), and Cohen's kappa (right above)\n\n")
	head := []string{"", ""}
	cells := make([][]cell, n)
	for i := range r.Members {
		head = append(head, strconv.Itoa(i+1))
		cells[i] = make([]cell, n)
		cells[i][i] = number(".")
	}
	for k, p := range r.Pairs {
		i, j := pairPlace(n, k)
		cells[j][i], cells[i][j] = number("-"), number("-")
		if p.Rows > 0 {
			cells[j][i] = number(share(p.Agree))
		}
		if p.Kappa != nil {
			cells[i][j] = number(decimals(*p.Kappa, 2))
		}
	}
	t := &table{indent: "  ", head: head}
	for i := range r.Members {
		t.add(append([]cell{number(strconv.Itoa(i + 1)), text(shorten(oneLine(r.Members[i].Name), 14))}, cells[i]...)...)
	}
	t.write(a.out, a.outStyle)
}

// pairPlace returns the members of the k-th pair of n: 0 and 1, 0 and 2, ...
func pairPlace(n, k int) (i, j int) {
	for i = 0; k >= n-1-i; i++ {
		k -= n - 1 - i
	}
	return i, i + 1 + k
}

// showExtremePairs names the pairs that are most and least alike, where a table would be too wide.
func (a *app) showExtremePairs(r *assess.Report) {
	known := slices.DeleteFunc(slices.Clone(r.Pairs), func(p assess.Pair) bool { return p.Kappa == nil })
	slices.SortStableFunc(known, func(x, y assess.Pair) int { return cmp.Compare(*y.Kappa, *x.Kappa) })
	fmt.Fprintf(a.out, "\nThe pairs of members that are most and least alike, by Cohen's kappa\n\n")
	const shown = 3
	t := &table{indent: "  ", head: []string{"MEMBER", "MEMBER", "AGREE", "KAPPA"}}
	for i, p := range known {
		if i >= shown && i < len(known)-shown {
			continue
		}
		t.add(text(shorten(nameIn(r, p.A), 24)), text(shorten(nameIn(r, p.B), 24)), number(share(p.Agree)), number(decimals(*p.Kappa, 2)))
	}
	t.write(a.out, a.outStyle)
}

// nameIn returns the name of a member by its id.
func nameIn(r *assess.Report, id string) string {
	for i := range r.Members {
		if r.Members[i].Node == id {
			return oneLine(r.Members[i].Name)
		}
	}
	return shortID(id)
}

// showConfusion writes the confusion matrix, its diagonal in green and mistakes in yellow; of
// one too wide for a terminal the most frequent mistakes.
func (a *app) showConfusion(labels []string, confusion [][]int) {
	s := a.outStyle
	head := []string{""}
	width := 2 + 8
	for i, l := range labels {
		head = append(head, shorten(oneLine(l), 12))
		widest := utf8.RuneCountInString(head[i+1])
		for _, row := range confusion {
			widest = max(widest, len(strconv.Itoa(row[i])))
		}
		width += 2 + widest
	}
	for _, l := range head {
		width = max(width, utf8.RuneCountInString(l)) // the first column is as wide as the widest label
	}
	if width > terminalWidth {
		a.showMistakes(labels, confusion)
		return
	}
	t := &table{indent: "  ", head: append(head, "RIGHT")}
	for i, row := range confusion {
		cells := []cell{text(head[i+1])}
		sum := 0
		for j, n := range row {
			sum += n
			paint := s.dim
			switch {
			case n > 0 && i == j:
				paint = s.green
			case n > 0:
				paint = s.yellow
			}
			cells = append(cells, cell{text: strconv.Itoa(n), paint: paint, right: true})
		}
		right := "-"
		if sum > 0 {
			right = share(float64(row[i]) / float64(sum))
		}
		t.add(append(cells, number(right))...)
	}
	t.write(a.out, s)
}

// showMistakes lists which labels are taken for which most often.
func (a *app) showMistakes(labels []string, confusion [][]int) {
	type mistake struct{ actual, said, rows int }
	var all []mistake
	for i, row := range confusion {
		for j, n := range row {
			if i != j && n > 0 {
				all = append(all, mistake{i, j, n})
			}
		}
	}
	slices.SortStableFunc(all, func(x, y mistake) int { return cmp.Compare(y.rows, x.rows) })
	if len(all) == 0 {
		fmt.Fprintf(a.out, "  no mistakes\n")
		return
	}
	const shown = 10
	t := &table{indent: "  ", head: []string{"IT IS", "IT SAYS", "ROWS"}}
	for _, m := range all[:min(shown, len(all))] {
		t.add(text(shorten(oneLine(labels[m.actual]), 24)), text(shorten(oneLine(labels[m.said]), 24)), cell{text: strconv.Itoa(m.rows), paint: a.outStyle.yellow, right: true})
	}
	t.write(a.out, a.outStyle)
	if rest := len(all) - shown; rest > 0 {
		fmt.Fprintf(a.out, "  and %s more of other kinds; --html shows the whole matrix\n", strconv.Itoa(rest))
	}
}

// shorten cuts a text to so many characters.
func shorten(s string, most int) string {
	if utf8.RuneCountInString(s) <= most {
		return s
	}
	return string([]rune(s)[:most-1]) + "…"
}

// wrapWords breaks a sentence between words.
func wrapWords(s string, width int) string {
	var b strings.Builder
	at := 0
	for i, word := range strings.Fields(s) {
		n := utf8.RuneCountInString(word)
		switch {
		case i == 0:
		case at+1+n > width:
			b.WriteByte('\n')
			at = 0
		default:
			b.WriteByte(' ')
			at++
		}
		b.WriteString(word)
		at += n
	}
	return b.String()
}
