package consensus

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// TestRoundsToldInWords runs the rounds of testdata/*.txt; majority.txt says how they are written.
func TestRoundsToldInWords(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no testdata: %v", err)
	}
	for _, file := range files {
		for _, r := range readRounds(t, file) {
			t.Run(filepath.Base(file)+"/"+r.title, r.run)
		}
	}
}

// told is one round as a file tells it.
type told struct {
	where   string
	title   string
	labels  []string
	rule    Rule
	invited []string
	votes   []Vote
	expect  [][2]string // what, value
}

func readRounds(t *testing.T, file string) []*told {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var all []*told
	in := bufio.NewScanner(f)
	for n := 1; in.Scan(); n++ {
		line := strings.TrimSpace(in.Text())
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		if title, ok := strings.CutPrefix(line, "== "); ok {
			all = append(all, &told{title: title, where: fmt.Sprintf("%s:%d", file, n)})
			continue
		}
		if err := all[len(all)-1].read(line); err != nil {
			t.Fatalf("%s:%d: %v", file, n, err)
		}
	}
	if err := in.Err(); err != nil {
		t.Fatal(err)
	}
	return all
}

// read takes one line of a round.
func (r *told) read(line string) error {
	if rest, ok := strings.CutPrefix(line, "labels "); ok {
		r.labels = strings.Fields(rest)
		r.rule.Classes = len(r.labels)
		return nil
	}
	if rest, ok := strings.CutPrefix(line, "rule "); ok {
		return r.readRule(strings.Fields(rest))
	}
	if rest, ok := strings.CutPrefix(line, "= "); ok {
		what, value, _ := strings.Cut(rest, " ")
		r.expect = append(r.expect, [2]string{what, value})
		return nil
	}
	name, rest, ok := strings.Cut(line, ":")
	if !ok {
		return fmt.Errorf("not understood: %q", line)
	}
	name, stranger := strings.CutPrefix(name, "stranger ")
	if !stranger {
		r.invited = append(r.invited, name)
	}
	return r.readVote(name, strings.Fields(rest))
}

func (r *told) readRule(words []string) (err error) {
	if r.rule.Method, err = ParseMethod(words[0]); err != nil {
		return err
	}
	for i := 1; i < len(words); i++ {
		switch words[i] {
		case "full":
			r.rule.Full = true
		case "minority":
			r.rule.Minority = true
		case "alone":
			r.rule.Alone = true
		case "quorum":
			i++
			if r.rule.Quorum, err = strconv.Atoi(words[i]); err != nil {
				return err
			}
		default:
			return fmt.Errorf("unknown rule %q", words[i])
		}
	}
	return nil
}

func (r *told) readVote(name string, words []string) error {
	if len(words) == 0 {
		return nil // invited, and nothing is known of it
	}
	v := Vote{Voter: name, Weight: One}
	switch label := slices.Index(r.labels, words[0]); {
	case label >= 0:
		v.Outcome, v.Label = OK, label
	case words[0] == "label":
		v.Outcome = OK
		n, err := strconv.Atoi(words[1])
		if err != nil {
			return err
		}
		v.Label = n
		words = words[1:]
	default:
		if err := v.Outcome.UnmarshalText([]byte(words[0])); err != nil {
			return err
		}
	}
	for i := 1; i < len(words); i++ {
		var numbers []Millionths
		j := i + 1
		for ; j < len(words); j++ {
			x, err := strconv.ParseFloat(words[j], 64)
			if err != nil {
				break
			}
			numbers = append(numbers, ToMillionths(x))
		}
		if len(numbers) == 0 {
			return fmt.Errorf("no number after %q", words[i])
		}
		switch words[i] {
		case "p":
			v.Probabilities = numbers
		case "weight":
			v.Weight = numbers[0]
		case "skill":
			v.Skill = numbers[0]
		case "voice":
			v.Voice = int(numbers[0] / One)
		default:
			return fmt.Errorf("unknown word %q", words[i])
		}
		i = j - 1
	}
	r.votes = append(r.votes, v)
	return nil
}

func (r *told) run(t *testing.T) {
	got, err := Tally(r.rule, r.invited, r.votes)
	if (err == ErrNoQuorum) != (got.Status == NoQuorum) || (err != nil && err != ErrNoQuorum) {
		t.Fatalf("%s: status %s with error %v", r.where, got.Status, err)
	}
	if len(r.expect) == 0 {
		t.Fatalf("%s: expects nothing", r.where)
	}
	for _, e := range r.expect {
		if have := r.show(t, &got, e[0]); have != e[1] {
			t.Errorf("%s: %s is %q, want %q", r.where, e[0], have, e[1])
		}
	}
}

// show returns one thing of a result in the words of the files.
func (r *told) show(t *testing.T, got *Result, what string) string {
	label := func(k int) string {
		if k < 0 {
			return "none"
		}
		return r.labels[k]
	}
	yes := func(b bool) string {
		if b {
			return "yes"
		}
		return "no"
	}
	number := func(x float64) string { return strconv.FormatFloat(ToMillionths(x).Float(), 'f', -1, 64) }
	switch what {
	case "label":
		return label(got.Label)
	case "status":
		return got.Status.String()
	case "method":
		return got.Method.String()
	case "counted":
		return strconv.Itoa(got.Counted)
	case "quorum":
		return strconv.Itoa(got.Quorum)
	case "certain":
		return yes(got.Certain)
	case "unanimous":
		return yes(got.Unanimous)
	case "tie":
		return strings.TrimSpace(yes(got.Tie) + " " + got.TieBreak)
	case "margin":
		return number(got.Margin.Float())
	case "entropy":
		return number(got.Entropy)
	case "disagreement":
		return number(got.Disagreement)
	case "effective":
		return number(got.Effective)
	case "sums":
		var all []string
		for _, s := range got.Sums {
			all = append(all, number(Millionths(s).Float()))
		}
		return strings.Join(all, " ")
	case "shares":
		var all []string
		for _, s := range got.Shares {
			all = append(all, number(s.Float()))
		}
		return strings.Join(all, " ")
	case "dissenters":
		if len(got.Dissenters) == 0 {
			return "none"
		}
		return strings.Join(got.Dissenters, " ")
	case "says":
		return Summary(got, r.labels, r.lines(got))
	}
	t.Fatalf("%s: nothing is called %q", r.where, what)
	return ""
}

// lines names the members as they stand in the file, with the outcomes of the result.
func (r *told) lines(got *Result) []Line {
	sorted := slices.Compact(slices.Sorted(slices.Values(r.invited)))
	var lines []Line
	var named []string
	for _, id := range r.invited {
		if slices.Contains(named, id) {
			continue
		}
		named = append(named, id)
		l := Line{Name: id, Outcome: got.Outcomes[slices.Index(sorted, id)]}
		if at := slices.IndexFunc(r.votes, func(v Vote) bool { return v.Voter == id }); at >= 0 {
			l.Label = r.votes[at].Label
		}
		lines = append(lines, l)
	}
	return lines
}
