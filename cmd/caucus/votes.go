package main

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"caucus/node/api"
)

// votesTable shows every vote: whose, what for, how sure, how long it took.
func votesTable(votes []api.Vote, decided, indent string, s style) *table {
	// Nodes list votes by id; people look for a name.
	votes = slices.SortedStableFunc(slices.Values(votes), func(a, b api.Vote) int { return strings.Compare(a.Name, b.Name) })
	t := &table{indent: indent, head: []string{"NODE", "MODEL", "VOTE", "SURE", "WEIGHT", "TIME", "NOTE"}}
	names := tellApart(votes)
	weighted, models := false, false
	for _, v := range votes {
		weighted = weighted || v.Outcome == "ok" && v.Weight != 1e6
		models = models || v.Model != v.Name
	}
	for i, v := range votes {
		model := oneLine(v.Model)
		if !models {
			model = "" // the column would say the names again
		}
		took := ""
		if v.Outcome != "pending" && v.Ms > 0 {
			took = millis(v.Ms.Float())
		}
		if v.Outcome != "ok" {
			t.add(text(names[i]), text(model), painted("- "+oneLine(v.Outcome), s.yellow), number(""), number(""), number(took), painted(oneLine(v.Reason), s.dim))
			continue
		}
		sure, weight := "", ""
		if !v.Probabilities.IsZero() {
			sure = share(v.Probabilities.Of(v.Label).Float())
		}
		if weighted {
			weight = fmt.Sprintf("%.2f", v.Weight.Float())
		}
		paint := s.green
		if v.Label != decided {
			paint = s.yellow
		}
		t.add(text(names[i]), text(model), painted(oneLine(v.Label), paint), number(sure), number(weight), number(took), text(""))
	}
	return t
}

// tellApart adds the beginning of the id to names that occur twice.
func tellApart(votes []api.Vote) []string {
	count := map[string]int{}
	for _, v := range votes {
		count[v.Name]++
	}
	names := make([]string, len(votes))
	for i, v := range votes {
		names[i] = oneLine(v.Name)
		if count[v.Name] > 1 || v.Name == "" {
			names[i] = strings.TrimSpace(names[i] + " (" + shortID(v.Node) + ")")
		}
	}
	return names
}

// showConsensus writes the joint answer as a person reads it.
func showConsensus(w io.Writer, r *api.ConsensusReply, indent string, s style) {
	fmt.Fprintf(w, "%s%s   %s\n", indent, s.bold(oneLine(r.Label)), oneLine(r.Summary))
	var notes []string
	switch {
	case r.Follows != "":
		fmt.Fprintf(w, "%s%s\n", indent, s.dim("the vote of "+voterName(r.Votes, r.Follows)+" decides: "+oneLine(r.Reason)))
	case r.Rule == "weighted" || r.Rule == "soft":
		fmt.Fprintf(w, "%s%s\n", indent, s.dim("counted by "+r.Rule+" votes: "+oneLine(r.Reason)))
	}
	if r.Tie {
		notes = append(notes, "it is a tie, decided by "+oneLine(r.TieBreak))
	}
	switch r.Status {
	case "minority":
		notes = append(notes, fmt.Sprintf("fewer votes than the %d that an answer needs: do not rely on it", r.Quorum))
	case "single":
		notes = append(notes, "this node knows no other, so it answered alone")
	}
	for _, n := range notes {
		fmt.Fprintf(w, "%s%s\n", indent, s.yellow(n))
	}
	fmt.Fprintln(w)
	votesTable(r.Votes, r.Label, indent+"  ", s).write(w, s)
}

// voterName is what the member of an id is called.
func voterName(votes []api.Vote, id string) string {
	for _, v := range votes {
		if v.Node == id {
			return oneLine(v.Name)
		}
	}
	return shortID(id)
}
