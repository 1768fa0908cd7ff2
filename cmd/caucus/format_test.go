package main

import (
	"bytes"
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestTablesAlignAndLeaveEmptyColumnsOut(t *testing.T) {
	tab := &table{indent: "  ", head: []string{"NAME", "GONE", "MS", "NOTE"}}
	tab.add(text("knn"), text(""), number("0.20 ms"), text(""))
	tab.add(text("forêt"), text(""), number("31 ms"), text("slow"))
	want := "" +
		"  NAME        MS  NOTE\n" +
		"  knn    0.20 ms\n" +
		"  forêt    31 ms  slow\n"
	var plain bytes.Buffer
	tab.write(&plain, style{})
	if plain.String() != want {
		t.Errorf("got\n%s\nwant\n%s", plain.String(), want)
	}
	t.Run("colours do not shift columns", func(t *testing.T) {
		s := style{on: true}
		tab.rows[0][0].paint = s.green
		var coloured bytes.Buffer
		tab.write(&coloured, s)
		if !strings.Contains(coloured.String(), "\x1b[32mknn\x1b[0m") {
			t.Errorf("no colour in %q", coloured.String())
		}
		if got := uncoloured(coloured.String()); got != want {
			t.Errorf("got\n%s\nwant\n%s", got, want)
		}
	})
}

func uncoloured(s string) string {
	for _, code := range []string{"0", "1", "2", "31", "32", "33", "36"} {
		s = strings.ReplaceAll(s, "\x1b["+code+"m", "")
	}
	return s
}

func TestColourNeedsATerminalAndNoObjection(t *testing.T) {
	env := func(pairs ...string) func(string) (string, bool) {
		return func(k string) (string, bool) {
			for i := 0; i < len(pairs); i += 2 {
				if pairs[i] == k {
					return pairs[i+1], true
				}
			}
			return "", false
		}
	}
	tests := []struct {
		name     string
		terminal bool
		env      func(string) (string, bool)
		want     bool
	}{
		{"a terminal", true, env("TERM", "xterm"), true},
		{"a pipe", false, env("TERM", "xterm"), false},
		{"NO_COLOR", true, env("TERM", "xterm", "NO_COLOR", "1"), false},
		{"an empty NO_COLOR is none", true, env("TERM", "xterm", "NO_COLOR", ""), true},
		{"a dumb terminal", true, env("TERM", "dumb"), false},
	}
	for _, tt := range tests {
		if got := styleFor(tt.terminal, tt.env).on; got != tt.want {
			t.Errorf("%s: colour %v, want %v", tt.name, got, tt.want)
		}
	}
}

func TestNumbersForPeople(t *testing.T) {
	for _, c := range []struct{ got, want string }{
		{percent(0.9778), "97.8 %"},
		{percent(1), "100 %"},
		{percent(0), "0 %"},
		{percent(0.98), "98 %"},
		{millis(0.2), "0.20 ms"},
		{millis(3.14159), "3.1 ms"},
		{millis(31.4), "31 ms"},
		{millis(1500), "1.5 s"},
		{ago(12 * time.Second), "12 s"},
		{ago(90 * time.Second), "1 min"},
		{ago(3 * time.Hour), "3 h"},
		{ago(72 * time.Hour), "3 d"},
		{ago(-time.Second), "0 s"},
		{list(nil, "and"), ""},
		{list([]string{"a"}, "and"), "a"},
		{list([]string{"a", "b", "c"}, "or"), "a, b or c"},
		{plural(1, "member"), "1 member"},
		{plural(3, "member"), "3 members"},
		{oneLine("a\x1b[31m\nb\u009b"), "a.[31m b."},
	} {
		if c.got != c.want {
			t.Errorf("%q, want %q", c.got, c.want)
		}
	}
}

func TestFeaturesByNameComeInTheTasksOrder(t *testing.T) {
	features := []string{"sepal_length", "sepal_width", "petal length"}
	row, err := namedRow(features, []string{"Petal-Length=3", "sepal_length=1", "feature1=2"})
	if err != nil || fmt.Sprint(row) != "[1 2 3]" {
		t.Errorf("%v, %v", row, err)
	}
	for name, args := range map[string][]string{
		"no feature \"colour\"":        {"colour=1", "sepal_length=1", "feature1=2"},
		"given twice":                  {"feature0=1", "sepal_length=1", "feature1=2"},
		"no value for petal length":    {"sepal_length=1", "feature1=2"},
		"\"x\" is not a number":        {"sepal_length=x", "feature1=2", "feature2=3"},
		"sepal_width and petal length": {"sepal_length=1"},
	} {
		if _, err := namedRow(features, args); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%q: %v, want %q", args, err, name)
		}
	}
}

func TestATakenPortGivesWayToOneThatNobodyWants(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	taken := portOf(l.Addr().String())
	if free(taken) {
		t.Fatalf("port %d is taken and was said to be free", taken)
	}
	wanted := []int{taken + 1, taken, taken + 2}
	got := choosePorts(wanted)
	if got[1] == taken || slices.Contains([]int{got[0], got[2]}, got[1]) {
		t.Errorf("wanted %v, got %v", wanted, got)
	}
	if got[1] != 0 && got[1] <= taken+2 {
		t.Errorf("the moved node took port %d, which another of the three wants", got[1])
	}
	if got := choosePorts([]int{0, 0, 0}); fmt.Sprint(got) != "[0 0 0]" {
		t.Errorf("any port became %v", got)
	}
}

func TestAnInvitationNamesAModelThatIsMissing(t *testing.T) {
	i := invitation{url: "https://ab12.example", kinds: []string{"knn"}, task: "iris"}
	if want := `caucus serve --model svm --join "https://ab12.example"`; i.line() != want {
		t.Errorf("%s, want %s", i.line(), want)
	}
	if n := i.notes(); len(n) != 0 {
		t.Errorf("notes %q", n)
	}
	i = invitation{url: "http://127.0.0.1:5001", kinds: []string{"svm", "knn"}, task: "wine"}
	if !strings.Contains(i.line(), "--model randforest") {
		t.Errorf("%s", i.line())
	}
	if n := strings.Join(i.notes(), " "); !strings.Contains(n, "this machine only") || !strings.Contains(n, "--data") {
		t.Errorf("notes %q", n)
	}
}

func TestTheAddressForOthers(t *testing.T) {
	for _, c := range []struct{ card, listen, want string }{
		{"https://ab12.example", ":5001", "https://ab12.example"},
		{"", "127.0.0.1:5001", "http://127.0.0.1:5001"},
		{"", "10.0.0.5:5001", "http://10.0.0.5:5001"},
	} {
		if got := outsideURL(c.card, c.listen); got != c.want {
			t.Errorf("outsideURL(%q, %q) = %s, want %s", c.card, c.listen, got, c.want)
		}
	}
	for listen, want := range map[string]string{
		":5001": "127.0.0.1:5001", "0.0.0.0:5001": "127.0.0.1:5001", "[::]:5001": "127.0.0.1:5001", "10.0.0.5:1": "10.0.0.5:1",
	} {
		if got := dialable(listen); got != want {
			t.Errorf("dialable(%q) = %s, want %s", listen, got, want)
		}
	}
}
