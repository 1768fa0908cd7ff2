package node_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"

	"caucus/node/api"
	"caucus/node/nodetest"
)

// family is one metric as a node shows it.
type family struct {
	name, kind, help string
	labels           []string // of its series; without le
}

// exposed reads /metrics: its families, and the labels of each series name, such as those of
// a histogram's buckets.
func exposed(t *testing.T, text string) (families []family, series map[string][]string) {
	t.Helper()
	series = map[string][]string{}
	line := regexp.MustCompile(`^(\w+)(?:\{(.*)\})? \S+$`)
	label := regexp.MustCompile(`(\w+)="(?:[^"\\]|\\.)*"`)
	for l := range strings.Lines(text) {
		l = strings.TrimSuffix(l, "\n")
		if rest, ok := strings.CutPrefix(l, "# HELP "); ok {
			name, help, _ := strings.Cut(rest, " ")
			families = append(families, family{name: name, help: help})
			continue
		}
		if rest, ok := strings.CutPrefix(l, "# TYPE "); ok {
			families[len(families)-1].kind = strings.Fields(rest)[1]
			continue
		}
		m := line.FindStringSubmatch(l)
		if m == nil {
			t.Fatalf("cannot read the line %q", l)
		}
		f := &families[len(families)-1]
		for _, found := range label.FindAllStringSubmatch(m[2], -1) {
			if !slices.Contains(series[m[1]], found[1]) {
				series[m[1]] = append(series[m[1]], found[1])
			}
			if found[1] != "le" && found[1] != "quantile" && !slices.Contains(f.labels, found[1]) {
				f.labels = append(f.labels, found[1])
			}
		}
		if series[m[1]] == nil {
			series[m[1]] = []string{}
		}
	}
	return families, series
}

// busy starts three nodes of which one contradicts the others, has them answer and learn, and
// returns what the first one's /metrics says then.
func busy(t *testing.T) string {
	t.Helper()
	nodes := nodetest.Start(t, 3, keep(t), patient, nodetest.ModelOf(2, nodetest.Constant("contrary", 2)))
	for range 3 {
		if _, err := nodes[0].Client.Consensus(t.Context(), setosa, api.ConsensusOptions{Wait: "all"}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := nodes[0].Client.Predict(t.Context(), setosa); err != nil {
		t.Fatal(err)
	}
	rows, labels := irisLabels(12)
	if _, err := nodes[0].Client.Feedback(t.Context(), rows, labels); err != nil {
		t.Fatal(err)
	}
	var text string
	nodes[0].Wait("the round trip times are measured", func() bool {
		b, err := nodes[0].Client.Raw(t.Context(), http.MethodGet, "/metrics", nil, nil)
		text = string(b)
		return err == nil && strings.Contains(text, "\ncaucus_peer_rtt_seconds{")
	})
	return text
}

// query is a PromQL expression and where it stands.
type query struct{ where, expr string }

// asked returns the queries of the dashboard and of the alerts.
func asked(t *testing.T) (all []query, alerts []string) {
	t.Helper()
	board, err := os.ReadFile("../deploy/grafana/caucus.json")
	if err != nil {
		t.Fatal(err)
	}
	var dashboard struct {
		Panels []struct {
			Title   string
			Type    string
			Targets []struct{ Expr string }
		}
		Templating struct {
			List []struct{ Type, Definition string }
		}
	}
	if err := json.Unmarshal(board, &dashboard); err != nil {
		t.Fatal("caucus.json: ", err)
	}
	for _, p := range dashboard.Panels {
		if p.Type != "row" && len(p.Targets) == 0 {
			t.Errorf("the panel %q asks nothing", p.Title)
		}
		for _, q := range p.Targets {
			all = append(all, query{"the panel " + p.Title, q.Expr})
		}
	}
	for _, v := range dashboard.Templating.List {
		if v.Type == "query" {
			all = append(all, query{"a variable of the dashboard", v.Definition})
		}
	}
	text, err := os.ReadFile("../deploy/prometheus/caucus.rules.yml")
	if err != nil {
		t.Fatal(err)
	}
	var rules struct {
		Groups []struct {
			Rules []struct {
				Alert, Expr         string
				Labels, Annotations map[string]string
			}
		}
	}
	if err := yaml.Unmarshal(text, &rules); err != nil {
		t.Fatal("caucus.rules.yml: ", err)
	}
	for _, g := range rules.Groups {
		for _, r := range g.Rules {
			all = append(all, query{"the alert " + r.Alert, r.Expr})
			alerts = append(alerts, r.Alert)
			if r.Annotations["summary"] == "" || r.Annotations["description"] == "" || r.Labels["severity"] == "" {
				t.Errorf("the alert %s lacks a summary, a description that says the remedy, or a severity", r.Alert)
			}
		}
	}
	if len(all) < 50 || len(alerts) < 15 {
		t.Errorf("%d queries and %d alerts were found", len(all), len(alerts))
	}
	return all, alerts
}

var (
	selector  = regexp.MustCompile(`(\w+)\{([^}]*)\}`)
	grouping  = regexp.MustCompile(`\b(?:by|on|group_left|without|ignoring)\s*\(([^)]*)\)`)
	quoted    = regexp.MustCompile(`"(?:[^"\\]|\\.)*"`)
	window    = regexp.MustCompile(`\[[^\]]*\]`)
	matcher   = regexp.MustCompile(`(\w+)\s*(?:=~|!~|!=|=)`)
	word      = regexp.MustCompile(`[A-Za-z_]\w*`)
	functions = strings.Fields("sum max min avg count rate increase histogram_quantile label_values and or unless group_left instance")
	scraped   = []string{"instance", "job", "le"} // what Prometheus adds
)

// complaints names the metrics and labels of an expression that no node has.
func complaints(expr string, series map[string][]string) (all []string) {
	// Prometheus's own, and what a process tells of itself on Linux alone.
	elsewhere := func(name string) bool {
		return name == "up" || runtime.GOOS != "linux" && strings.HasPrefix(name, "process_")
	}
	expr = quoted.ReplaceAllString(expr, `""`)
	for _, m := range selector.FindAllStringSubmatch(expr, -1) {
		for _, l := range matcher.FindAllStringSubmatch(m[2], -1) {
			if !slices.Contains(scraped, l[1]) && !slices.Contains(series[m[1]], l[1]) {
				all = append(all, fmt.Sprintf("%s has no label %s", m[1], l[1]))
			}
		}
	}
	expr = selector.ReplaceAllString(expr, "$1")
	for _, m := range grouping.FindAllStringSubmatch(expr, -1) {
		for _, l := range word.FindAllString(m[1], -1) {
			known := slices.Contains(scraped, l)
			for _, name := range word.FindAllString(expr, -1) {
				known = known || slices.Contains(series[name], l)
			}
			if !known {
				all = append(all, "no metric in it has the label "+l)
			}
		}
	}
	found := false
	for _, name := range word.FindAllString(window.ReplaceAllString(grouping.ReplaceAllString(expr, ""), ""), -1) {
		switch {
		case slices.Contains(functions, name):
		case series[name] != nil || elsewhere(name):
			found = true
		default:
			all = append(all, "no node has the metric "+name)
		}
	}
	if !found {
		all = append(all, "it asks for no metric")
	}
	return all
}

func TestDashboardAndAlertsAskForWhatNodesShow(t *testing.T) {
	text := busy(t)
	families, series := exposed(t, text)
	queries, alerts := asked(t)
	for _, q := range queries {
		for _, c := range complaints(q.expr, series) {
			t.Errorf("%s: %s", q.where, c)
		}
	}
	for wrong, says := range map[string]string{
		`sum(caucus_nothing)`:                                        "no node has the metric caucus_nothing",
		`rate(caucus_consensus_total{stat=~"ok|tie"}[5m])`:           "caucus_consensus_total has no label stat",
		`sum by (peers) (caucus_peer_weight)`:                        "no metric in it has the label peers",
		`caucus_peer_weight * on (peer) group_left (colour) go_info`: "no metric in it has the label colour",
		`1 > 2`: "it asks for no metric",
	} {
		if got := complaints(wrong, series); !slices.Contains(got, says) {
			t.Errorf("%s: %q, want %q", wrong, got, says)
		}
	}

	manual, err := os.ReadFile("../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	tests, err := os.ReadFile("../deploy/prometheus/caucus.rules.test.yml")
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range alerts {
		if !bytes.Contains(tests, []byte(a)) {
			t.Errorf("no unit test in caucus.rules.test.yml sees the alert %s", a)
		}
		if !bytes.Contains(manual, []byte("`"+a+"`")) {
			t.Errorf("docs/operations.md says nothing of the alert %s", a)
		}
	}
	var want []string
	for _, f := range families {
		if strings.HasPrefix(f.name, "caucus_") {
			labels := ""
			if len(f.labels) > 0 {
				slices.Sort(f.labels)
				labels = "`" + strings.Join(f.labels, "`, `") + "`"
			}
			want = append(want, fmt.Sprintf("| `%s` | %s | %s | %s |", f.name, f.kind, labels, f.help))
		}
	}
	var have []string
	for l := range strings.Lines(string(manual)) {
		if strings.HasPrefix(l, "| `caucus_") {
			have = append(have, strings.TrimSpace(l))
		}
	}
	if !slices.Equal(have, want) {
		t.Errorf("the table of metrics in docs/operations.md should be\n%s", strings.Join(want, "\n"))
	}
}

func TestPromtoolFindsNothingToSay(t *testing.T) {
	tool, err := exec.LookPath("promtool")
	if err != nil {
		t.Skip("promtool is not installed (Debian: apt-get install --no-install-recommends prometheus)")
	}
	run := func(stdin string, args ...string) {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), tool, args...)
		cmd.Dir, cmd.Stdin = "../deploy/prometheus", strings.NewReader(stdin)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("promtool %s: %v\n%s", strings.Join(args, " "), err, out)
		}
	}
	run(busy(t), "check", "metrics")
	run("", "check", "rules", "caucus.rules.yml")
	run("", "check", "config", "--syntax-only", "prometheus.yml")
	run("", "test", "rules", "caucus.rules.test.yml")
}
