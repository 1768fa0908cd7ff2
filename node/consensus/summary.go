package consensus

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Line is one invited member as a Summary names it.
type Line struct {
	Name    string
	Outcome Outcome
	Label   int // class index, when Outcome is OK
}

// Limits that keep a summary one sentence.
const (
	namesShown  = 3 // of those who did the same thing, and one more if it is the last
	groupsShown = 3 // things that are told of the others
)

// Summary tells the outcome in one plain sentence without a full stop, such as
//
//	2 of 3 say setosa; svm did not answer in time
//
// labels are the task's, by class; lines are the invited members, in the order in which
// they are to be named. Names and labels are used as they are: whoever shows the
// sentence escapes it.
func Summary(r *Result, labels []string, lines []Line) string {
	say := func(k int) string {
		if k >= 0 && k < len(labels) {
			return labels[k]
		}
		return "class " + strconv.Itoa(k)
	}
	parts := append([]string{headline(r, say, lines)}, remarks(r, say, lines)...)
	return strings.Join(parts, "; ")
}

// headline tells the label and who is behind it.
func headline(r *Result, say func(int) string, lines []Line) string {
	needed := fmt.Sprintf("%d %s needed", r.Quorum, verb(r.Quorum, "is", "are"))
	switch {
	case r.Invited == 0:
		return "no quorum: nobody was asked"
	case r.Counted == 0 && r.Status == Undecided:
		return "nobody has voted yet and " + needed
	case r.Counted == 0:
		return "no quorum: nobody voted and " + needed
	}
	switch r.Status {
	case Undecided:
		return fmt.Sprintf("%d of %d voted so far and %s; %s", r.Counted, r.Invited, needed, they(r, say))
	case NoQuorum:
		return fmt.Sprintf("no quorum: %d of %d voted and %s; %s", r.Counted, r.Invited, needed, they(r, say))
	case Minority:
		return fmt.Sprintf("only %d of %d voted and %s; %s", r.Counted, r.Invited, needed, they(r, say))
	case Single:
		return alone(lines) + " says " + say(r.Label) + "; it has no peers yet"
	}
	if r.Tie {
		return tieHeadline(r, say)
	}
	return agreement(r, say, lines)
}

// agreement is the headline of a round with quorum and without a tie.
func agreement(r *Result, say func(int) string, lines []Line) string {
	label := say(r.Label)
	switch {
	case r.Agreeing == 0:
		return fmt.Sprintf("together the probabilities favour %s, though nobody says it", label)
	case r.Agreeing < r.Invited:
		head := fmt.Sprintf("%d of %d %s %s", r.Agreeing, r.Invited, verb(r.Agreeing, "says", "say"), label)
		if r.Agreeing > mostOthers(r.Label, lines) {
			return head
		}
		if r.Method == Soft {
			return head + " and the probabilities favour it"
		}
		return head + " and " + verb(r.Agreeing, "outweighs", "outweigh") + " the others"
	case r.Agreeing == 1:
		return alone(lines) + " says " + label
	case r.Agreeing == 2:
		return "both say " + label
	}
	return fmt.Sprintf("all %d say %s", r.Agreeing, label)
}

// they tells what those who voted say, in a round below quorum.
func they(r *Result, say func(int) string) string {
	label := say(r.Label)
	switch {
	case r.Counted == 1 && r.Agreeing == 1:
		return "it says " + label
	case r.Agreeing == r.Counted:
		return "they say " + label
	case r.Tie:
		return "they tie and " + tieReason(r, label)
	case r.Agreeing == 0:
		return "together the probabilities favour " + label
	}
	return fmt.Sprintf("%d of them %s %s", r.Agreeing, verb(r.Agreeing, "says", "say"), label)
}

// tieHeadline names the labels that tie, and why one was taken.
func tieHeadline(r *Result, say func(int) string) string {
	names := make([]string, len(r.Tied))
	for i, k := range r.Tied {
		names[i] = say(k)
	}
	how := "with equal weights"
	switch r.Method {
	case Majority:
		how = fmt.Sprintf("with %d of %d votes each", r.Sums[r.Label]/int64(One), r.Invited)
	case Soft:
		how = "with equal sums of probabilities"
	}
	return fmt.Sprintf("%s tie %s; %s", list(names), how, tieReason(r, say(r.Label)))
}

func tieReason(r *Result, label string) string {
	switch r.TieBreak {
	case ByProbabilities:
		return label + " is taken for its higher probabilities"
	case ByHeaviest:
		return label + " is taken because the heaviest voter says it"
	}
	return label + " is taken as the first in class order"
}

// remark is a thing that one or several members did.
type remark struct {
	outcome Outcome
	label   int
	names   []string
}

// remarks tells what those did who are not behind the label: those with other labels
// first, the most frequent first, then those who did not vote, by outcome.
func remarks(r *Result, say func(int) string, lines []Line) []string {
	var votes, silences []remark
	for _, l := range lines {
		switch {
		case l.Outcome != OK:
			silences = gather(silences, l.Outcome, 0, l.Name)
		case l.Label != r.Label:
			votes = gather(votes, OK, l.Label, l.Name)
		}
	}
	slices.SortFunc(votes, func(a, b remark) int {
		return cmp.Or(cmp.Compare(len(b.names), len(a.names)), cmp.Compare(a.label, b.label))
	})
	slices.SortFunc(silences, func(a, b remark) int { return cmp.Compare(a.outcome, b.outcome) })

	var told []string
	var otherwise, silent int // members that are only counted
	for i, m := range append(votes, silences...) {
		switch {
		case i >= groupsShown && m.outcome == OK:
			otherwise += len(m.names)
		case i >= groupsShown:
			silent += len(m.names)
		case m.outcome == OK:
			told = append(told, list(m.names)+verb(len(m.names), " says ", " say ")+say(m.label))
		default:
			told = append(told, list(m.names)+" "+phrase(m.outcome, len(m.names), r.Certain))
		}
	}
	if otherwise > 0 {
		told = append(told, fmt.Sprintf("%d more %s otherwise", otherwise, verb(otherwise, "says", "say")))
	}
	if silent > 0 {
		told = append(told, fmt.Sprintf("%d more did not vote", silent))
	}
	return told
}

// gather adds name to the remark of that outcome and label.
func gather(to []remark, o Outcome, label int, name string) []remark {
	for i := range to {
		if to[i].outcome == o && to[i].label == label {
			to[i].names = append(to[i].names, name)
			return to
		}
	}
	return append(to, remark{outcome: o, label: label, names: []string{name}})
}

// phrase says what n members did whose outcome is o.
func phrase(o Outcome, n int, certain bool) string {
	switch o {
	case Pending:
		if certain {
			return verb(n, "was not waited for", "were not waited for")
		}
		return verb(n, "has not answered yet", "have not answered yet")
	case Abstain:
		return "abstained"
	case Timeout:
		return "did not answer in time"
	case ConnectError:
		return "could not be reached"
	case BadSchema:
		return "answered in a form that does not fit the task"
	case BadLabel:
		return "gave a label that is not of the task"
	case BadSignature:
		return "sent a signature that does not hold"
	case WrongIdentity:
		return verb(n, "has another node at its address", "have other nodes at their addresses")
	case Ejected:
		return verb(n, "was", "were") + " not asked after failing repeatedly"
	case Shed:
		return verb(n, "was", "were") + " too busy"
	case Internal:
		return verb(n, "had an error in its model", "had errors in their models")
	case HTTPError:
		return "answered with an HTTP error"
	case TooLarge:
		return "sent too large an answer"
	case BadJSON:
		return "sent an answer that is not JSON"
	case TLSError:
		return verb(n, "has a certificate that does not hold", "have certificates that do not hold")
	case RefusedRedirect:
		return "tried to redirect the call"
	case BlockedAddress:
		return verb(n, "has an address that must not be called", "have addresses that must not be called")
	}
	return "failed"
}

// verb picks the form for one or for several.
func verb(n int, one, several string) string {
	if n == 1 {
		return one
	}
	return several
}

// list joins names: "a", "a and b", "a, b and c", "a, b, c and 4 more".
func list(names []string) string {
	if len(names) > namesShown+1 {
		return fmt.Sprintf("%s and %d more", strings.Join(names[:namesShown], ", "), len(names)-namesShown)
	}
	if len(names) < 2 {
		return strings.Join(names, "")
	}
	last := len(names) - 1
	return strings.Join(names[:last], ", ") + " and " + names[last]
}

// alone returns the name of the only member that was asked.
func alone(lines []Line) string {
	if len(lines) == 0 {
		return "the only node"
	}
	return lines[0].Name
}

// mostOthers returns the largest number of votes that a label other than this one has.
func mostOthers(label int, lines []Line) int {
	heads := map[int]int{}
	most := 0
	for _, l := range lines {
		if l.Outcome == OK && l.Label != label {
			heads[l.Label]++
			most = max(most, heads[l.Label])
		}
	}
	return most
}
