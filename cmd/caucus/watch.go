package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"caucus/node/api"
)

// watchEvery is how often --watch asks.
const watchEvery = time.Second

// watchMembers shows the members until ctx ends: on a screen in place, elsewhere again
// whenever something has changed. A node that is gone for a while is waited for, but not
// one that never answered.
func (a *app) watchMembers(ctx context.Context, r *reader) error {
	c, err := r.client()
	if err != nil {
		return err
	}
	defer c.Close()
	screen := &screen{w: a.out, on: a.outTTY && !r.json}
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	before, seen := "", false
	for {
		reply, raw, err := members(ctx, c)
		err = reached(err)
		switch {
		case ctx.Err() != nil:
			return nil // Ctrl-C is how watching ends
		case err != nil && !seen:
			return err
		case err != nil:
			if now := "gone"; now != before {
				before = now
				fmt.Fprintf(a.err, "%s; still trying, Ctrl-C ends\n", oneLine(err.Error()))
			}
		default:
			seen = true
			if now := whatChanges(reply); screen.on || now != before {
				before = now
				a.showWatched(screen, reply, raw, r.json)
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// members asks once, for the reply and its own words.
func members(ctx context.Context, c *api.Client) (*api.MembersReply, []byte, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	raw, err := c.Raw(ctx, http.MethodGet, "/members", nil, nil)
	if err != nil {
		return nil, nil, err
	}
	reply := &api.MembersReply{}
	if err := json.Unmarshal(raw, reply); err != nil {
		return nil, nil, fmt.Errorf("%s did not answer as a node does: %w", c.Base(), err)
	}
	return reply, raw, nil
}

// whatChanges is what makes a reply worth another look: all but the times.
func whatChanges(r *api.MembersReply) string {
	var b strings.Builder
	for _, m := range r.Members {
		fmt.Fprintf(&b, "%q %q %q %q %q %q %q %v %q\n", m.ID, m.Name, m.Model, m.State, m.URL, m.Via, m.Reason, m.Voter, m.Carries)
	}
	return b.String()
}

func (a *app) showWatched(to *screen, reply *api.MembersReply, raw []byte, asJSON bool) {
	if asJSON {
		a.printJSONBytes(raw)
		return
	}
	var page bytes.Buffer
	now := time.Now().Format(time.TimeOnly)
	fmt.Fprintf(&page, "%s\n\n", a.outStyle.dim(now))
	line := a.showMembers(&page, reply)
	if to.on {
		line += "; Ctrl-C ends"
	}
	fmt.Fprintf(&page, "\n%s\n", a.outStyle.dim(line))
	to.show(page.Bytes())
}

// screen shows one page after another in the same place, if the cursor can move.
type screen struct {
	w    io.Writer
	on   bool
	used bool
}

func (s *screen) show(page []byte) {
	if !s.on {
		if s.used {
			page = append([]byte("\n"), page...)
		}
		s.used = true
		_, _ = s.w.Write(page)
		return
	}
	var b bytes.Buffer
	if !s.used {
		b.WriteString("\x1b[2J") // once; clearing at each turn would flicker
		s.used = true
	}
	b.WriteString("\x1b[H")
	b.Write(bytes.ReplaceAll(page, []byte("\n"), []byte("\x1b[K\n"))) // what an earlier page left on the line
	b.WriteString("\x1b[J")                                           // and below
	_, _ = s.w.Write(b.Bytes())
}
