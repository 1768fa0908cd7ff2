package dialect

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"caucus/node/consensus"
)

// Dialect is what a probe has found out about a server.
type Dialect struct {
	One           Target  // how it is asked about one row
	Many          *Target // how it is asked about several at once; nil: it cannot be
	Probabilities bool    // it gives them
}

// String names the dialect for people, such as "GET feature0=" or
// "GET feature0=, batches by POST instances".
func (d *Dialect) String() string {
	if d.Many != nil && d.Many.Form.Name != d.One.Form.Name {
		return d.One.Form.Name + ", batches by " + d.Many.Form.Name
	}
	return d.One.Form.Name
}

// Probe finds out how a server wants to be asked. t says where it is and what it predicts; its form is
// not looked at. A form that brings the expected answers to the trial's rows is taken, else the first that
// brings different ones, else the first that brings any: a server that ignores what it does not know, and answers
// from defaults, gives itself away. If no form was understood, the dialect is nil and the reply is the most telling of those that came.
func (c *Client) Probe(ctx context.Context, t Target, trial Trial) (*Dialect, Reply) {
	p, d := c.probe(ctx, t, trial)
	if d == nil {
		return nil, p.best
	}
	d.Many = p.many(ctx, d)
	return d, p.first
}

// ProbeOne is Probe for those who will ask about one row alone.
func (c *Client) ProbeOne(ctx context.Context, t Target, trial Trial) (*Dialect, Reply) {
	p, d := c.probe(ctx, t, trial)
	if d == nil {
		return nil, p.best
	}
	return d, p.first
}

func (c *Client) probe(ctx context.Context, t Target, trial Trial) (*prober, *Dialect) {
	p := &prober{c: c, t: t, rows: trial.Rows, want: trial.Labels, missing: map[string]bool{}}
	one := p.one(ctx)
	if one == nil {
		if p.best.Outcome != consensus.OK && !fatal(p.best.Outcome) && p.tried > 1 {
			p.best.Reason = fmt.Sprintf("none of %d ways of asking was understood; to %s, %s", p.tried, p.bestForm, p.best.Reason)
		}
		return p, nil
	}
	return p, &Dialect{One: *one, Probabilities: p.first.Probabilities != nil}
}

type prober struct {
	c       *Client
	t       Target
	rows    [2][]float64
	want    *[2]int
	missing map[string]bool // methods and paths that are not there

	first, second Reply // of the form that was chosen, to the two rows

	tried    int
	best     Reply // of those that failed
	bestForm string
	ended    bool // a failure that no other form would mend
}

// one finds the form for one row.
func (p *prober) one(ctx context.Context) *Target {
	var found *Target
	most := 0
	for _, f := range forms() {
		for _, t := range p.targets(ctx, f) {
			first, ok := p.try(ctx, t, p.rows[:1])
			second := first
			if ok {
				second, ok = p.try(ctx, t, p.rows[1:])
			}
			if p.ended {
				return found
			}
			if !ok {
				continue
			}
			if fit := p.fit(first.Label, second.Label); fit > most {
				found, most, p.first, p.second = &t, fit, first, second
			}
			if most == fits {
				return found
			}
		}
	}
	return found
}

// fits is the fit of answers that leave nothing to wish for.
const fits = 3

// fit says how well a form's answers to the two rows speak for it.
func (p *prober) fit(first, second int) int {
	switch {
	case p.want != nil && *p.want == [2]int{first, second}:
		return fits
	case first == second:
		return 1 // a constant model, or one that did not understand
	case p.want == nil:
		return fits
	}
	return 2 // a poor model, or one that misunderstood
}

// many finds a form that carries several rows and answers them as the form for one does.
func (p *prober) many(ctx context.Context, d *Dialect) *Target {
	right := func(t Target) bool {
		r, ok := p.try(ctx, t, p.rows[:])
		return ok && r.Labels[0] == p.first.Label && r.Labels[1] == p.second.Label
	}
	if d.One.Form.Batch && right(d.One) {
		t := d.One
		return &t
	}
	for _, f := range forms() {
		if !f.Batch || f.Name == d.One.Form.Name {
			continue
		}
		for _, t := range p.targets(ctx, f) {
			if right(t) {
				return &t
			}
			if p.ended {
				return nil
			}
		}
	}
	return nil
}

// targets returns the ways in which a form may be put to the server.
func (p *prober) targets(ctx context.Context, f Form) []Target {
	t := p.t
	t.Form, t.path, t.inputs = f, "", nil
	if f.names != nil {
		names := f.names(t.spelt())
		if names == nil {
			return nil
		}
		t.Names = names
	}
	paths := f.place(&t)
	if len(paths) == 0 {
		return nil
	}
	if f.learn != nil {
		ctx, cancel := context.WithTimeout(ctx, p.c.timeout)
		defer cancel()
		return f.learn(ctx, p.c, t)
	}
	out := make([]Target, 0, len(paths))
	for _, path := range paths {
		if !p.missing[f.method()+" "+path] {
			t.path = path
			out = append(out, t)
		}
	}
	return out
}

// try puts rows by one form. What fails is remembered if it tells more than what failed before.
func (p *prober) try(ctx context.Context, t Target, rows [][]float64) (Reply, bool) {
	p.tried++
	r := p.c.AskRows(ctx, t, rows)
	if r.Outcome == consensus.HTTPError && r.Status >= http.StatusInternalServerError && len(rows) == 1 {
		r = p.c.AskRows(ctx, t, rows) // a server may stumble once and know the form all the same
	}
	if r.Outcome == consensus.OK {
		return r, true
	}
	// Who typed a slash has two addresses tried; else the redirect's sentence says to type one.
	astray := r.astray && strings.HasSuffix(t.Base.Path, "/")
	if astray || r.Status == http.StatusNotFound || r.Status == http.StatusMethodNotAllowed {
		p.missing[t.Form.method()+" "+t.path] = true
	}
	if r.tunnel || fatal(r.Outcome) && !astray {
		p.best, p.bestForm, p.ended = r, t.Form.Name, true
		return r, false
	}
	if p.best.Outcome == consensus.Pending || rank(p.best) < rank(r) {
		p.best, p.bestForm = r, t.Form.Name
	}
	return r, false
}

// fatal reports whether asking in another way would meet the same.
func fatal(o consensus.Outcome) bool {
	return slices.Contains([]consensus.Outcome{
		consensus.ConnectError, consensus.TLSError, consensus.BlockedAddress, consensus.RefusedRedirect,
		consensus.Timeout, consensus.Shed, consensus.Pending,
	}, o)
}

// rank says how near to an answer a failure was.
func rank(r Reply) int {
	switch {
	case r.Outcome == consensus.BadLabel:
		return 6
	case r.Outcome == consensus.BadSchema:
		return 5
	case r.Outcome == consensus.TooLarge:
		return 4
	case r.Outcome == consensus.BadJSON:
		return 3
	case r.Status == http.StatusNotFound, r.Status == http.StatusMethodNotAllowed:
		return 1
	}
	return 2
}
