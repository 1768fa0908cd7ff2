package page

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"caucus/node/assess"
)

// Places in plots are percentages of the plot's width or height, so that plots fit any screen
// while lines, dots and letters keep their size.

// axis maps values to places.
type axis struct {
	low, high float64
	Ticks     []tick
}

type tick struct {
	X    float64
	Text string
}

// edge is how much of a plot's width stays free at each end, so that dots are not cut.
const edge = 4

func (a *axis) at(x float64) float64 {
	return edge + (100-2*edge)*(x-a.low)/(a.high-a.low)
}

// newAxis spans the values, rounded outwards to ticks of which there are at most six.
func newAxis(low, high float64, text func(float64) string) axis {
	step := 0.001
	for _, s := range []float64{0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5} {
		if (high-low)/step <= 5 {
			break
		}
		step = s
	}
	// Ticks are whole multiples of the step, counted rather than added up.
	from, to := math.Floor(low/step+1e-9), math.Ceil(high/step-1e-9)
	if to <= from {
		to = from + 1
	}
	a := axis{low: from * step, high: to * step}
	for i := from; i <= to; i++ {
		a.Ticks = append(a.Ticks, tick{X: a.at(i * step), Text: text(i * step)})
	}
	return a
}

// strip is the line of one member or method in the plot of accuracies.
type strip struct {
	Name, Accuracy, Interval, Title string
	Kind                            string // member or method
	Asked, FirstMethod, Known       bool
	X, Low, High                    float64
}

func (v *view) strips(r *assess.Report) {
	low, high := 1.0, 0.0
	see := func(x *assess.Score) {
		if x.Interval != nil {
			low, high = min(low, x.Interval.Low), max(high, x.Interval.High)
		}
	}
	for i := range r.Members {
		see(&r.Members[i].Score)
	}
	for i := range r.Methods {
		see(&r.Methods[i].Score)
	}
	if low > high {
		low, high = 0, 1
	}
	v.Axis = newAxis(low, high, func(x float64) string { return short(100 * x) })
	add := func(s strip, x *assess.Score) {
		s.Accuracy, s.Interval = "-", between(x.Interval)
		if s.Known = x.Interval != nil; s.Known {
			s.Accuracy = percent(x.Accuracy)
			s.X, s.Low, s.High = v.Axis.at(x.Accuracy), v.Axis.at(x.Interval.Low), v.Axis.at(x.Interval.High)
			s.Title = fmt.Sprintf("%s: %s, 95 %% interval %s", s.Name, s.Accuracy, s.Interval)
		}
		v.Strips = append(v.Strips, s)
	}
	for i := range r.Members {
		m := &r.Members[i]
		if m.Node == r.BestMember && len(r.Members) > 1 {
			v.BestName, v.Best = m.Name, v.Axis.at(m.Accuracy)
		}
		add(strip{Name: m.Name, Kind: "member"}, &m.Score)
	}
	for i := range r.Methods {
		m := &r.Methods[i]
		add(strip{Name: m.Method, Kind: "method", Asked: m.Asked, FirstMethod: i == 0}, &m.Score)
	}
}

// against is the line of one method in the plot of differences.
type against struct {
	Name, Difference, Interval, Only, P, Verdict, Tone, Title string
	Known                                                     bool
	X, Low, High                                              float64
}

func (v *view) against(r *assess.Report) {
	low, high := -0.005, 0.005 // so that there is something to see on both sides of 0
	for _, c := range r.Comparisons {
		low, high = min(low, c.Difference), max(high, c.Difference)
		if c.Interval != nil {
			low, high = min(low, c.Interval.Low), max(high, c.Interval.High)
		}
	}
	v.AgainstAxis = newAxis(low, high, func(x float64) string { return signed(100 * x) })
	v.Zero = v.AgainstAxis.at(0)
	words := map[string]string{assess.Better: "better", assess.Worse: "worse", assess.Indistinguishable: "may be chance", assess.Same: "right on the same rows"}
	tones := map[string]string{assess.Better: "good", assess.Worse: "warn"}
	for _, c := range r.Comparisons {
		a := against{
			Name: c.Method, Difference: assess.Points(c.Difference), Interval: "-",
			Only: fmt.Sprintf("%d / %d", c.OnlyMethod, c.OnlyMember), P: assess.PValue(c.PHolm),
			Verdict: words[c.Verdict], Tone: tones[c.Verdict], X: v.AgainstAxis.at(c.Difference),
		}
		if c.Interval != nil {
			a.Known = true
			a.Low, a.High = v.AgainstAxis.at(c.Interval.Low), v.AgainstAxis.at(c.Interval.High)
			a.Interval = assess.Signed(c.Interval.Low) + " to " + assess.Signed(c.Interval.High)
		}
		a.Title = fmt.Sprintf("%s less %s: %s, 95 %% interval %s; %s", c.Method, nameOf(r, c.Member), a.Difference, a.Interval, a.Verdict)
		v.Against = append(v.Against, a)
	}
}

// panel is one reliability curve.
type panel struct {
	Name, ECE, Brier, Title string
	Kind                    string
	Dots                    []dot
	Lines                   []line
	Bins                    []bin
}

type (
	dot  struct{ X, Y, R float64 }
	line struct{ X1, Y1, X2, Y2 float64 }
	bin  struct {
		From, To, Confidence, Accuracy string
		Rows                           int
		X, Y, Width, Height            float64 // of its bar
	}
)

// The frame of a panel, in percent.
const (
	panelLeft, panelRight  = 12, 96
	panelTop, panelBottom  = 5, 86
	panelBar               = 16 // the highest bar of rows
	smallestDot, dotGrowth = 3, 4
)

func panelX(x float64) float64 { return panelLeft + (panelRight-panelLeft)*x }
func panelY(y float64) float64 { return panelBottom - (panelBottom-panelTop)*y }

func (v *view) panels(r *assess.Report) {
	add := func(name, kind string, c *assess.Calibration) {
		if c == nil {
			return
		}
		p := newPanel(name, kind, c)
		// Methods that come to the same are one panel.
		i := slices.IndexFunc(v.Panels, func(q panel) bool {
			return q.Kind == kind && kind == "method" && slices.Equal(q.Bins, p.Bins) && q.Brier == p.Brier
		})
		if i >= 0 {
			v.Panels[i].Name += ", " + name
			return
		}
		v.Panels = append(v.Panels, p)
	}
	for i := range r.Members {
		add(r.Members[i].Name, "member", r.Members[i].Calibration)
	}
	for i := range r.Methods {
		add(r.Methods[i].Method, "method", r.Methods[i].Calibration)
	}
}

func newPanel(name, kind string, c *assess.Calibration) panel {
	p := panel{
		Name: name, Kind: kind, ECE: decimals(c.ECE, 3), Brier: decimals(c.Brier, 3),
		Title: fmt.Sprintf("Reliability curve: expected calibration error %.3f over %s", c.ECE, count(c.Rows, "row")),
	}
	most := 0
	for _, b := range c.Bins {
		most = max(most, b.Rows)
	}
	for i, b := range c.Bins {
		d := dot{panelX(b.Confidence), panelY(b.Accuracy), smallestDot + dotGrowth*math.Sqrt(float64(b.Rows)/float64(most))}
		if i > 0 {
			before := p.Dots[i-1]
			p.Lines = append(p.Lines, line{before.X, before.Y, d.X, d.Y})
		}
		p.Dots = append(p.Dots, d)
		height := panelBar * float64(b.Rows) / float64(most)
		p.Bins = append(p.Bins, bin{
			From: short(100 * b.From), To: short(100 * b.To), Rows: b.Rows, Confidence: percent(b.Confidence), Accuracy: percent(b.Accuracy),
			X: panelX(b.From) + 0.5, Y: panelBottom - height, Width: panelX(b.To) - panelX(b.From) - 1, Height: height,
		})
	}
	return p
}

// short writes a number without zeros at its end.
func short(x float64) string {
	s := decimals(x, 1)
	return strings.TrimSuffix(s, ".0")
}

// signed is short with a sign.
func signed(x float64) string {
	s := short(x)
	switch {
	case s == "-0":
		return "0"
	case x > 0 && s != "0":
		return "+" + s
	}
	return s
}
