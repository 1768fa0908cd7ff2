package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"caucus/node/api"
)

func (a *app) doctorCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Say what does not work, and what to do about it",
		Long: `Examine a node and its place in the cluster: whether it answers, whether others can call its
URL (a peer is asked to try) and which tunnel or relay it takes, whom it cannot reach, who
was not let in and why, whose clock is wrong, who has another version or other data, whether
its state is kept, and what a month through its tunnel comes to.

Where no node answers, this machine is examined: what holds the port, which other ports have
a node, where an ngrok agent leads, whether the state folders can be used.

It exits 1 if something fails; warnings alone are 0.`,
		Example: `  caucus doctor
  caucus doctor --node http://localhost:5002
  caucus doctor --json`,
		Args: arguments(0, 0, ""),
	}
	r := a.addReader(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		report, err := a.examine(cmd.Context(), r)
		if err != nil {
			return err
		}
		if r.json {
			if err := a.printJSON(report); err != nil {
				return err
			}
		} else {
			a.showReport(a.out, report, a.width())
			fmt.Fprintf(a.err, "\n%s\n", sumUp(report.Findings))
		}
		if report.Status == api.SeverityFail {
			return said(exitFailure)
		}
		return nil
	}
	return cmd
}

// doctorReport is what doctor --json prints: the node's own, if it answered, and what was found on this machine.
type doctorReport struct {
	Target  string `json:"target"`
	Reached bool   `json:"reached"`
	api.DoctorReply
}

// examine asks the node, and looks at this machine where that helps.
func (a *app) examine(ctx context.Context, r *reader) (*doctorReport, error) {
	report := &doctorReport{Target: r.address()}
	report.Target, _, _ = strings.Cut(report.Target, "#")
	c, err := r.client()
	if err != nil {
		return nil, err
	}
	defer c.Close()
	report.Target = c.Base()
	limited, cancel := context.WithTimeout(ctx, r.patience)
	defer cancel()
	reply, err := c.Doctor(limited)
	var problem *api.Problem
	switch {
	case ctx.Err() != nil:
		return nil, context.Canceled
	case err == nil:
		report.Reached, report.DoctorReply = true, *reply
		report.Findings = append(report.Findings, a.ownVersion(reply)...)
	case errors.As(err, &problem) && nodeAt(ctx, c.Base()) == "":
		report.Findings = append(report.Findings, a.examineMachine(ctx, c.Base(), err)...) // no node, whatever it is
	case errors.As(err, &problem) && problem.Status == http.StatusNotFound:
		report.Reached = true
		report.add(api.SeverityFail, "target", c.Base(), fmt.Sprintf("The node at %s does not know doctor: it is older than this program.", c.Base()), "start that node with this version of caucus")
	case errors.As(err, &problem):
		return nil, err // it answers, and says itself what is wrong with the question
	default:
		report.Findings = append(report.Findings, a.examineMachine(ctx, c.Base(), err)...)
	}
	if !report.Reached {
		report.At = time.Now().UTC()
	}
	report.Status = api.Worst(report.Findings)
	return report, nil
}

func (d *doctorReport) add(severity, id, about, sentence, remedy string) {
	d.Findings = append(d.Findings, api.Finding{ID: id, Severity: severity, About: about, Sentence: sentence, Remedy: remedy})
}

// ownVersion says if this program is another version than the node that it asked.
func (a *app) ownVersion(r *api.DoctorReply) []api.Finding {
	if own := thisBuild().Version; own != r.Version {
		return []api.Finding{{
			ID: "version.program", Severity: api.SeverityWarn, Sentence: fmt.Sprintf("This program is version %s, and the node that it asked %s.", own, oneLine(r.Version)),
			Remedy: "start the node again with this program, or ask with the other",
		}}
	}
	return nil
}

// width is how wide the screen is, 0 where there is none.
func (a *app) width() int {
	f, ok := a.out.(*os.File)
	if !ok || !a.outTTY {
		return 0
	}
	w, _, err := term.GetSize(int(f.Fd()))
	if err != nil {
		return 0
	}
	return w
}

// showReport writes a line for each finding, and its remedy below. On a screen lines are broken between words; elsewhere
// they are whole, for programs that look for something in them.
func (a *app) showReport(w io.Writer, r *doctorReport, width int) {
	s := a.outStyle
	if r.Name != "" {
		fmt.Fprintf(w, "%s at %s %s\n\n", s.bold(oneLine(r.Name)), r.Target, s.dim("version "+oneLine(r.Version)))
	}
	for _, f := range r.Findings {
		mark, paint := "ok  ", s.green
		switch f.Severity {
		case api.SeverityWarn:
			mark, paint = "warn", s.yellow
		case api.SeverityFail:
			mark, paint = "fail", func(t string) string { return s.bold(s.red(t)) }
		}
		const indent = "      "
		body := broken(oneLine(f.Sentence), width-len(indent))
		fmt.Fprintf(w, "%s  %s\n", paint(mark), body[0])
		for _, l := range body[1:] {
			fmt.Fprintf(w, "%s%s\n", indent, l)
		}
		if f.Remedy == "" || f.Severity == api.SeverityOK && !strings.HasPrefix(f.ID, "url") && f.ID != "node" {
			continue
		}
		for i, l := range broken(a.ownName(oneLine(f.Remedy)), width-len(indent)-4) {
			lead := "Try: "
			if i > 0 {
				lead = "     "
			}
			fmt.Fprintf(w, "%s%s%s\n", indent, s.bold(lead), s.cyan(l))
		}
	}
}

// ownName calls this program as it was called, in a remedy that is a command line.
func (a *app) ownName(remedy string) string {
	if rest, ok := strings.CutPrefix(remedy, "caucus "); ok {
		return a.self + " " + rest
	}
	return remedy
}

// broken breaks a text between words into lines of at most width characters; width 0 or less: one line.
func broken(text string, width int) []string {
	if width < 20 {
		return []string{text}
	}
	var lines []string
	line, n := "", 0
	for _, word := range strings.Fields(text) {
		size := len([]rune(word))
		if n > 0 && n+1+size > width {
			lines = append(lines, line)
			line, n = "", 0
		}
		if n > 0 {
			line += " "
			n++
		}
		line += word
		n += size
	}
	return append(lines, line)
}

// sumUp counts the findings by how bad they are.
func sumUp(findings []api.Finding) string {
	counts := map[string]int{}
	for _, f := range findings {
		counts[f.Severity]++
	}
	fail, warn := counts[api.SeverityFail], counts[api.SeverityWarn]
	switch {
	case fail+warn == 0:
		return "All is well."
	case fail == 0:
		return fmt.Sprintf("It works, with %s.", plural(warn, "warning"))
	case warn == 0:
		return plural(fail, "failure") + "."
	}
	return fmt.Sprintf("%s and %s.", plural(fail, "failure"), plural(warn, "warning"))
}
