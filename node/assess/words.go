package assess

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// explain sets the verdict and the notes. Names are used as they are: whoever shows the
// sentences escapes them.
func (r *Report) explain(best int, mixed bool) {
	r.Verdict = r.verdict(best)
	note := func(format string, args ...any) { r.Notes = append(r.Notes, fmt.Sprintf(format, args...)) }
	switch {
	case r.Recount.Done && r.Recount.Differ > 0:
		note("counted again by %s, %s from the answer that the node gave; does it run the same version as this program?",
			r.Method, rowsVerb(r.Recount.Differ, "differs", "differ"))
	case !r.Recount.Done:
		note("the node did not say what the members weigh, so the other methods could not be counted; ask it on its own machine, or with the cluster's token")
	}
	if mixed {
		note("the weights could be read for some of the rows only")
	}
	if r.Copies*copiesMatter > r.Rows {
		note("%d of the %s %s of others, so the intervals are too narrow", r.Copies, rowsOf(r.Rows), verb(r.Copies, "is a copy", "are copies"))
	}
	switch o := r.Overlap; {
	case o.Known && o.Rows > 0:
		note("%d of the %s %s in the evidence: weights were learnt from them, which flatters weighted, soft and auto", o.Rows, rowsOf(r.Rows), verb(o.Rows, "is", "are"))
	case !o.Known:
		note("whether some of the rows are in the evidence, which would flatter weighted, soft and auto, is not known")
	}
}

// verdict says in words whether a method is better than the best single member.
func (r *Report) verdict(best int) string {
	if best < 0 {
		return "Nobody voted, so there is nothing to compare."
	}
	m := &r.Members[best]
	if len(r.Members) == 1 {
		return fmt.Sprintf("%s is the only member, so there is nothing to compare.", m.Name)
	}
	of := map[string][]string{} // methods by verdict
	for _, c := range r.Comparisons {
		of[c.Verdict] = append(of[c.Verdict], c.Method)
	}
	like := append(slices.Clone(of[Indistinguishable]), of[Same]...)
	var parts []string
	if better := of[Better]; len(better) > 0 {
		parts = append(parts, fmt.Sprintf("%s %s better than the best single member, %s, by more than chance: %s.",
			join(better), verb(len(better), "is", "are"), m.Name, r.tell(Better, m.Name)))
	}
	if worse := of[Worse]; len(worse) > 0 {
		parts = append(parts, fmt.Sprintf("%s %s worse than the best single member, %s, by more than chance: %s.",
			join(worse), verb(len(worse), "is", "are"), m.Name, r.tell(Worse, m.Name)))
	}
	switch {
	case len(parts) > 0 && len(like) > 0:
		parts = append(parts, fmt.Sprintf("%s cannot be told from it.", join(like)))
	case len(parts) > 0:
	case len(of[Indistinguishable]) == 0:
		parts = append(parts, fmt.Sprintf("No method is better than the best single member, %s: all are right on the same rows as it is.", m.Name))
	default:
		same := ""
		if s := of[Same]; len(s) > 0 {
			same = fmt.Sprintf("%s %s right on the same rows as it is; ", join(s), verb(len(s), "is", "are"))
		}
		parts = append(parts, fmt.Sprintf("No method can be told from the best single member, %s, on these %s: %s%s, which may be chance.",
			m.Name, rowsOf(r.Rows), same, r.tell(Indistinguishable, m.Name)))
	}
	return strings.Join(parts, " ")
}

// tell describes the best of the comparisons with a verdict, or the worst of those that are worse.
func (r *Report) tell(verdict, name string) string {
	var c *Comparison
	several := -1
	for i := range r.Comparisons {
		if r.Comparisons[i].Verdict != verdict {
			continue
		}
		several++
		if c == nil || (r.Comparisons[i].Difference > c.Difference) != (verdict == Worse) {
			c = &r.Comparisons[i]
		}
	}
	who := ""
	if several > 0 || verdict == Indistinguishable {
		who = c.Method + " is "
	}
	text := fmt.Sprintf("%sright on %s that %s has wrong, and wrong on %s that it has right (%s", who, rowsOf(c.OnlyMethod), name, some(c.OnlyMember), Points(c.Difference))
	if c.Interval != nil {
		text += fmt.Sprintf(", 95 %% interval %s to %s", Signed(c.Interval.Low), Signed(c.Interval.High))
	}
	return text + fmt.Sprintf(", p %s)", equals(PValue(c.PHolm)))
}

// Points writes a difference of shares in percentage points, such as +1.3 points.
func Points(x float64) string { return Signed(x) + " points" }

// Signed writes a difference of shares in percentage points, with its sign.
func Signed(x float64) string {
	s := strconv.FormatFloat(100*x, 'f', 1, 64)
	switch {
	case s == "0.0" || s == "-0.0":
		return "0.0"
	case x > 0:
		return "+" + s
	}
	return s
}

// PValue writes a p value to two digits, and no smaller than 0.0001.
func PValue(p float64) string {
	switch {
	case p < 0.0001:
		return "< 0.0001"
	case p >= 0.995:
		return "1"
	case p >= 0.1:
		return strconv.FormatFloat(p, 'f', 2, 64)
	}
	return strconv.FormatFloat(p, 'g', 2, 64)
}

// equals puts a sign before a number that has none.
func equals(s string) string {
	if strings.HasPrefix(s, "<") {
		return s
	}
	return "= " + s
}

func some(n int) string {
	if n == 0 {
		return "none"
	}
	return strconv.Itoa(n)
}

func rowsOf(n int) string {
	switch n {
	case 0:
		return "no row"
	case 1:
		return "1 row"
	}
	return strconv.Itoa(n) + " rows"
}

func rowsVerb(n int, one, several string) string { return rowsOf(n) + " " + verb(n, one, several) }

func verb(n int, one, several string) string {
	if n == 1 {
		return one
	}
	return several
}

func join(names []string) string {
	if len(names) < 2 {
		return strings.Join(names, "")
	}
	return strings.Join(names[:len(names)-1], ", ") + " and " + names[len(names)-1]
}
