// Package page writes a report of package assess as one HTML file: no script, no request to
// anywhere, light or dark as the reader's system is. Every figure that is drawn is also there
// as text. It is pure; nothing of a member's words reaches the page unescaped.
package page

import (
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"math"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"caucus/node/assess"
)

//go:embed page.html
var source string

//go:embed page.css
var style string

var parsed = template.Must(template.New("page").Parse(source))

// Head is what the page says of the run besides the report.
type Head struct {
	Data    string  // the file that was asked about
	Seconds float64 // that asking took
	Made    time.Time
	Version string // of the program
}

// view is what the template shows: all texts and places worked out.
type view struct {
	Style template.CSS // ours, embedded

	Title, Data, Sub  string
	Verdict, Tone     string
	Notes             []string
	Axis              axis
	Strips            []strip
	BestName          string
	Best              float64 // place of the best member's accuracy on the axis
	Against           []against
	AgainstAxis       axis
	Zero              float64 // place of no difference on AgainstAxis
	Figures           []figures
	Names             []string // of the members, for the heat map
	Heat              [][]heat
	Panels            []panel
	Matrices          []matrix
	Bins              int
	Resamples         int
	Seed              uint64
	Made, Version     string
	Wilson, Recounted bool
}

// figures is a line of the table with everything.
type figures struct {
	Name, What, Note                        string
	Best, Asked, FirstMethod                bool
	Right, Accuracy, Interval               string
	Precision, Recall, F1, Brier, ECE, Ties string
}

// Write writes the page. The error is w's.
func Write(w io.Writer, h Head, r *assess.Report) error {
	return parsed.Execute(w, newView(h, r))
}

func newView(h Head, r *assess.Report) *view {
	v := &view{
		Style: template.CSS(style), Title: filepath.Base(h.Data), Data: h.Data,
		Verdict: r.Verdict, Tone: toneOf(r), Notes: r.Notes, Bins: assess.Bins,
		Resamples: r.Bootstrap.Resamples, Seed: r.Bootstrap.Seed,
		Made: h.Made.UTC().Format("2006-01-02 15:04 UTC"), Version: h.Version,
		Recounted: r.Recount.Done && r.Recount.Differ == 0,
	}
	v.Sub = fmt.Sprintf("%s, %s, task %s, asked in %s", count(r.Rows, "row"), count(len(r.Members), "member"), r.Task, seconds(h.Seconds))
	v.strips(r)
	v.against(r)
	v.figures(r)
	v.heat(r)
	v.panels(r)
	v.matrices(r)
	return v
}

func toneOf(r *assess.Report) string {
	tone := "plain"
	for _, c := range r.Comparisons {
		switch c.Verdict {
		case assess.Better:
			return "good"
		case assess.Worse:
			tone = "warn"
		}
	}
	return tone
}

func (v *view) figures(r *assess.Report) {
	for i := range r.Members {
		m := &r.Members[i]
		f := figuresOf(&m.Score, r.Rows)
		f.Name, f.What, f.Best, f.Note = m.Name, m.Model, m.Node == r.BestMember && len(r.Members) > 1, m.Reason
		if m.Answered < r.Rows && f.Note == "" {
			f.Note = "did not vote on all rows"
		}
		v.Figures = append(v.Figures, f)
	}
	for i := range r.Methods {
		m := &r.Methods[i]
		f := figuresOf(&m.Score, r.Rows)
		f.Name, f.Asked, f.FirstMethod, f.Ties, f.Note = m.Method, m.Asked, i == 0, strconv.Itoa(m.Ties), m.Reason
		f.What = "counts by " + m.Rule
		if m.Follows != "" {
			f.What = "follows " + nameOf(r, m.Follows)
		}
		v.Figures = append(v.Figures, f)
	}
	for _, f := range v.Figures {
		v.Wilson = v.Wilson || strings.HasPrefix(f.Interval, "~")
	}
}

func figuresOf(x *assess.Score, rows int) figures {
	f := figures{Right: "-", Accuracy: "-", Interval: between(x.Interval), Precision: "-", Recall: "-", F1: "-", Brier: "-", ECE: "-"}
	if x.Answered == 0 {
		return f
	}
	f.Right = strconv.Itoa(x.Correct)
	if x.Answered < rows {
		f.Right = fmt.Sprintf("%d of %d", x.Correct, x.Answered)
	}
	f.Accuracy = percent(x.Accuracy)
	f.Precision, f.Recall, f.F1 = decimals(x.Macro.Precision, 3), decimals(x.Macro.Recall, 3), decimals(x.Macro.F1, 3)
	if c := x.Calibration; c != nil {
		f.Brier, f.ECE = decimals(c.Brier, 3), decimals(c.ECE, 3)
	}
	return f
}

// nameOf returns the name of a member by its id.
func nameOf(r *assess.Report, id string) string {
	for i := range r.Members {
		if r.Members[i].Node == id {
			return r.Members[i].Name
		}
	}
	return id
}

func between(i *assess.Interval) string {
	if i == nil {
		return "-"
	}
	text := decimals(100*i.Low, 1) + " to " + decimals(100*i.High, 1)
	if i.Kind == assess.Wilson {
		return "~" + text
	}
	return text
}

func percent(x float64) string { return decimals(100*x, 1) + " %" }

func decimals(x float64, n int) string { return strconv.FormatFloat(x, 'f', n, 64) }

func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return strconv.Itoa(n) + " " + noun + "s"
}

func seconds(s float64) string {
	if s < 1 {
		return strconv.Itoa(int(math.Round(1000*s))) + " ms"
	}
	return decimals(s, 1) + " s"
}
