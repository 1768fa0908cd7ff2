package node_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"caucus/cluster/identity"
	"caucus/ml"
	"caucus/node"
	"caucus/node/api"
	"caucus/node/dialect"
	"caucus/node/nodetest"
)

// flask is one of the old apps, with a model of this program in the place of scikit-learn's. It can be
// made to do something else.
type flask struct {
	*httptest.Server
	right   http.HandlerFunc // what the app does
	instead atomic.Pointer[http.HandlerFunc]
}

func newFlask(t *testing.T, kind ml.Kind) *flask {
	t.Helper()
	model, err := ml.Fit(t.Context(), ml.Iris(), ml.FitOptions{Kind: kind, Trees: 20})
	if err != nil {
		t.Fatal(err)
	}
	f := &flask{}
	f.right = func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Server", "Werkzeug/3.0.1 Python/3.11.2")
		if r.URL.Path != "/predict" || r.Method != http.MethodGet {
			http.NotFound(w, r)
			return
		}
		row := make([]float64, 4)
		for i := range row {
			x, err := strconv.ParseFloat(r.URL.Query().Get(fmt.Sprintf("feature%d", i)), 64)
			if err != nil {
				http.Error(w, "Internal Server Error", http.StatusInternalServerError)
				return
			}
			row[i] = x
		}
		y, err := model.Predict(row, nil)
		if err != nil {
			t.Error(err)
		}
		fmt.Fprintf(w, "{\n  \"prediction\": %d\n}\n", y)
	}
	f.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if h := f.instead.Load(); h != nil {
			(*h)(w, r)
			return
		}
		f.right(w, r)
	}))
	t.Cleanup(f.Close)
	return f
}

func (f *flask) do(h http.HandlerFunc) { f.instead.Store(&h) }
func (f *flask) mend()                 { f.instead.Store(nil) }

// trio is the old three, each behind a node.
func trio(t *testing.T) ([]*flask, []*nodetest.Member) {
	t.Helper()
	apps := []*flask{newFlask(t, ml.KNN), newFlask(t, ml.Forest), newFlask(t, ml.SVM)}
	members := nodetest.Start(t, len(apps), func(i int, cfg *node.Config) {
		cfg.Upstream = apps[i].URL
		cfg.Name = fmt.Sprintf("n%d-upstream", i)
	})
	return apps, members
}

func TestTheOldFlaskTrioBehindThreeNodesIsACluster(t *testing.T) {
	_, members := trio(t)
	for _, flower := range []struct {
		row   []float64
		label string
	}{{[]float64{5.1, 3.5, 1.4, 0.2}, "setosa"}, {[]float64{6.3, 3.3, 6.0, 2.5}, "virginica"}} {
		for _, m := range members {
			r, err := m.Client.Consensus(t.Context(), flower.row, api.ConsensusOptions{Wait: "all"})
			if err != nil || r.Label != flower.label || r.Counted != 3 || r.Status != "ok" || !r.Unanimous {
				t.Fatalf("%s: %+v %v", m.Name(), r, err)
			}
			for _, v := range r.Votes {
				if v.Outcome != "ok" || v.Model != "upstream" || !v.Probabilities.IsZero() {
					t.Errorf("%+v", v)
				}
			}
		}
	}
	m := members[1]
	p, err := m.Client.Predict(t.Context(), []float64{5.1, 3.5, 1.4, 0.2})
	if err != nil || p.Label != "setosa" || !p.Probabilities.IsZero() {
		t.Errorf("/predict: %+v %v", p, err)
	}
	// How each is asked is told to all.
	m.Wait("everybody's form", func() bool {
		r, err := m.Client.Members(t.Context())
		return err == nil && !slices.ContainsFunc(r.Members, func(o api.Member) bool { return o.Form != "GET feature0=" })
	})
	card, err := m.Client.Card(t.Context())
	if err != nil || card.Params["form"] != "GET feature0=" || card.Model != "upstream" || card.Evaluation != nil {
		t.Errorf("card: %+v %v", card, err)
	}
	if b, _ := json.Marshal(card.Params); strings.Contains(string(b), "127.0.0.1") {
		t.Errorf("a public card tells what runs on the machine: %s", b)
	}
	// A batch, split by the nodes.
	batch, err := m.Client.ConsensusBatch(t.Context(), nodetest.IrisRows()[:30], api.ConsensusOptions{Wait: "all"})
	if err != nil {
		t.Fatal(err)
	}
	if batch.Counted != 3 || len(batch.Labels) != 30 || slices.ContainsFunc(batch.Labels, func(l string) bool { return l != "setosa" }) {
		t.Errorf("%+v", batch)
	}
}

func TestWhatAnUpstreamDoesReachesTheOneWhoAsked(t *testing.T) {
	apps, members := trio(t)
	sick, asker := apps[2], members[0]
	row := []float64{5.1, 3.5, 1.4, 0.2}
	voteOf := func(m *nodetest.Member) api.Vote {
		t.Helper()
		r, err := m.Client.Consensus(t.Context(), row, api.ConsensusOptions{Wait: "all"})
		if err != nil || r.Label != "setosa" {
			t.Fatalf("%+v %v", r, err)
		}
		for _, v := range r.Votes {
			if v.Node == string(members[2].ID()) {
				return v
			}
		}
		t.Fatal("it was not invited")
		return api.Vote{}
	}
	ready := func() {
		t.Helper()
		members[2].Wait("ready", func() bool {
			_, err := members[2].Client.Ready(t.Context())
			return err == nil
		})
	}
	for _, tt := range []struct {
		name, outcome, says string
		do                  http.HandlerFunc
	}{
		{"HTML", "bad_json", "HTML page", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "<html><title>hello</title>") }},
		{"a redirect", "refused_redirect", "redirects are not followed", http.RedirectHandler("http://127.0.0.1:1/", http.StatusFound).ServeHTTP},
	} {
		sick.do(tt.do)
		if v := voteOf(asker); v.Outcome != tt.outcome || !strings.Contains(v.Reason, tt.says) || !strings.Contains(v.Reason, "upstream") {
			t.Errorf("%s: %+v", tt.name, v)
		}
		if v := voteOf(members[2]); v.Outcome != tt.outcome || !strings.Contains(v.Reason, tt.says) { // its own vote
			t.Errorf("%s, at its own node: %+v", tt.name, v)
		}
		sick.mend()
		ready() // it may have been given up meanwhile
		if v := voteOf(asker); v.Outcome != "ok" {
			t.Errorf("mended: %+v", v)
		}
	}
	// Readiness follows, with nobody asking.
	sick.do(func(w http.ResponseWriter, _ *http.Request) { http.Error(w, `{"error":"out of memory"}`, 500) })
	members[2].Wait("not ready", func() bool {
		_, err := members[2].Client.Ready(t.Context())
		return err != nil && strings.Contains(err.Error(), "out of memory") && strings.Contains(err.Error(), sick.URL)
	})
	res := members[2].Get("/predict?features=5.1,3.5,1.4,0.2")
	defer res.Body.Close()
	var p api.Problem
	if err := json.NewDecoder(res.Body).Decode(&p); err != nil || res.StatusCode != http.StatusServiceUnavailable || p.Kind() != api.UpstreamFailed {
		t.Errorf("%d %+v %v", res.StatusCode, p, err)
	}
	sick.mend()
	ready()
}

func TestWhateverAnUpstreamDoesItsNodeAnswersOrSaysWhat(t *testing.T) {
	setosaIn := func(r *http.Request) bool {
		x, err := strconv.ParseFloat(r.URL.Query().Get("feature2"), 64)
		return err == nil && x < 2.5
	}
	// says answers with the class of the row, as a server of that habit puts it.
	says := func(answer func(y int) string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			switch {
			case r.Method != http.MethodGet || r.URL.Path != "/predict" || !r.URL.Query().Has("feature2"):
				http.NotFound(w, r)
			case setosaIn(r):
				fmt.Fprint(w, answer(0))
			default:
				fmt.Fprint(w, answer(2))
			}
		}
	}
	page := func(status int, contentType, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", contentType)
			w.WriteHeader(status)
			fmt.Fprint(w, body)
		}
	}
	late := func(d time.Duration) http.HandlerFunc {
		right := says(func(y int) string { return fmt.Sprintf(`{"prediction":%d}`, y) })
		return func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Query().Has("feature2") {
				select {
				case <-time.After(d):
				case <-r.Context().Done():
				}
			}
			right(w, r)
		}
	}
	labels := []string{"setosa", "versicolor", "virginica"}
	tests := []struct {
		name    string
		server  http.HandlerFunc
		slow    bool   // whoever takes more than the usual time is too late
		outcome string // "": it answers rightly
		says    string
	}{
		{name: "a class as an integer", server: says(func(y int) string { return fmt.Sprintf(`{"prediction":%d}`, y) })},
		{name: "a class as a float", server: says(func(y int) string { return fmt.Sprintf(`{"class":%d.0}`, y) })},
		{name: "a label as text", server: says(func(y int) string { return fmt.Sprintf(`{"prediction":%q}`, labels[y]) })},
		{name: "a label in the data set's words", server: says(func(y int) string { return fmt.Sprintf(`%q`, "Iris-"+labels[y]) })},
		{name: "a list", server: says(func(y int) string { return fmt.Sprintf(`{"prediction":[%d]}`, y) })},
		{name: "a bare list", server: says(func(y int) string { return fmt.Sprintf(`[%d]`, y) })},
		{name: "probabilities under three names", server: says(func(y int) string {
			p := []string{"[0.9,0.06,0.04]", "", "[0.04,0.06,0.9]"}[y]
			return fmt.Sprintf(`{"prediction":%d,"probabilities":%s,"proba":%s,"confidences":%s}`, y, p, p, p)
		})},
		{name: "errors with 200", server: page(200, "application/json", `{"error":"model.pkl not found"}`), outcome: "bad_schema", says: "“model.pkl not found”"},
		{name: "an error with 200 that is no JSON", server: page(200, "text/plain", "model.pkl not found"), outcome: "bad_json", says: "“model.pkl not found”"},
		{name: "HTML", server: page(200, "text/html", "<html><title>Iris app</title></html>"), outcome: "bad_json", says: "“Iris app”"},
		{name: "a tunnel's warning page", server: page(200, "text/html", "<!DOCTYPE html><html>ngrok: you are about to visit</html>"), outcome: "bad_json", says: "or a plan without that page"},
		{name: "a tunnel that is offline", server: page(404, "text/html", "<html>ERR_NGROK_3200</html>"), outcome: "connect_error", says: "(ERR_NGROK_3200)"},
		{name: "a class that there is not", server: says(func(int) string { return `{"prediction":7}` }), outcome: "bad_label", says: "classes 0 to 2"},
		{name: "a class between two", server: says(func(int) string { return `{"prediction":1.5}` }), outcome: "bad_label", says: "“1.5”"},
		{name: "null", server: says(func(int) string { return `{"prediction":null}` }), outcome: "bad_schema", says: "prediction"},
		{name: "nothing", server: page(200, "application/json", ""), outcome: "bad_json", says: "empty"},
		{name: "nothing but 500", server: page(500, "text/html", "<html><title>500 Internal Server Error</title></html>"), outcome: "http_error", says: "500"},
		{name: "too late", server: late(time.Hour), slow: true, outcome: "timeout", says: "in time"},
		{name: "late, and given the time", server: late(dialect.DefaultHeaderTimeout + 200*time.Millisecond), slow: true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			app := httptest.NewServer(tt.server)
			defer app.Close()
			m := nodetest.StartOne(t, 0, func(i int, cfg *node.Config) {
				cfg.Upstream = app.URL
				if !tt.slow || tt.outcome == "" {
					patient(i, cfg)
				}
			})
			defer m.Stop() // before its server
			for row, label := range map[[4]float64]string{{5.1, 3.5, 1.4, 0.2}: "setosa", {6.3, 3.3, 6.0, 2.5}: "virginica"} {
				p, err := m.Client.Predict(t.Context(), row[:])
				if tt.outcome == "" {
					if err != nil || p.Label != label {
						t.Fatalf("/predict: %+v %v", p, err)
					}
					if tt.slow {
						break // once is enough of a slow one
					}
					if r, err := m.Client.Consensus(t.Context(), row[:], api.ConsensusOptions{}); err != nil || r.Label != label {
						t.Errorf("/consensus: %+v %v", r, err)
					}
					continue
				}
				if err == nil || !strings.Contains(err.Error(), tt.says) {
					t.Errorf("/predict: %v, want %q in it", err, tt.says)
				}
				_, err = m.Client.Consensus(t.Context(), row[:], api.ConsensusOptions{})
				if p := problem(t, err); p.Kind() != api.QuorumNotReached || len(p.Votes) != 1 || p.Votes[0].Outcome != tt.outcome || !strings.Contains(p.Votes[0].Reason, tt.says) {
					t.Errorf("/consensus: %+v", p)
				}
			}
			_, err := m.Client.Ready(t.Context())
			if (err == nil) != (tt.outcome == "") || err != nil && !strings.Contains(err.Error(), tt.says) {
				t.Errorf("/readyz: %v", err)
			}
		})
	}
}

func TestAnUpstreamThatStumblesAtEveryThirdCallCostsThatVoteAlone(t *testing.T) {
	app := newFlask(t, ml.SVM)
	members := nodetest.Start(t, 3, patient, func(i int, cfg *node.Config) {
		if i == 2 {
			cfg.Upstream, cfg.Name = app.URL, "n2-upstream"
		}
	})
	members[2].Wait("understood", func() bool { _, err := members[2].Client.Ready(t.Context()); return err == nil })
	var calls atomic.Int64
	app.do(func(w http.ResponseWriter, r *http.Request) {
		if calls.Add(1)%3 == 0 {
			http.Error(w, `{"error":"worker timeout"}`, http.StatusInternalServerError)
			return
		}
		app.right(w, r)
	})
	// The node looks after its upstream now and then, so the third call is not always a vote's.
	seen := map[string]int{}
	for round := 0; round < 9 || seen["http_error"] == 0 && round < 100; round++ {
		r, err := members[0].Client.Consensus(t.Context(), setosa, api.ConsensusOptions{Wait: "all"})
		if err != nil || r.Label != "setosa" {
			t.Fatalf("%+v %v", r, err)
		}
		for _, v := range r.Votes {
			if v.Node != string(members[2].ID()) {
				continue
			}
			seen[v.Outcome]++
			if v.Outcome == "http_error" && (!strings.Contains(v.Reason, "worker timeout") || r.Status != "degraded" || r.Counted != 2) {
				t.Errorf("%+v, status %s, %d counted", v, r.Status, r.Counted)
			}
		}
		if _, err := members[2].Client.Ready(t.Context()); err != nil {
			t.Errorf("not ready: %v", err)
		}
	}
	if seen["ok"] == 0 || seen["http_error"] == 0 || len(seen) != 2 {
		t.Errorf("%v", seen)
	}
}

func TestANodeMayStartBeforeItsUpstream(t *testing.T) {
	app := newFlask(t, ml.KNN)
	app.do(func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "starting", http.StatusBadGateway) })
	first := nodetest.StartOne(t, 0)
	m := nodetest.StartOne(t, 1, func(_ int, cfg *node.Config) {
		cfg.Upstream, cfg.Name = app.URL, "late"
		cfg.Join = []identity.Invite{{Address: first.URL}}
	})
	first.WaitInvited(2)
	r, err := first.Client.Consensus(t.Context(), []float64{5.1, 3.5, 1.4, 0.2}, api.ConsensusOptions{Wait: "all", Minority: true})
	if err != nil || r.Label != "setosa" || r.Counted != 1 {
		t.Fatalf("%+v %v", r, err)
	}
	app.mend()
	m.WaitInvited(2) // it is ready
	// What it has found out since it joined is told to the others.
	first.Wait("its form", func() bool {
		r, err := first.Client.Members(t.Context())
		return err == nil && slices.ContainsFunc(r.Members, func(o api.Member) bool { return o.Name == "late" && o.Form == "GET feature0=" })
	})
}

func TestAnUpstreamIsMeasuredOnData(t *testing.T) {
	app := newFlask(t, ml.KNN)
	task := filepath.Join(t.TempDir(), "task.yaml")
	if err := os.WriteFile(task, []byte("name: iris\nfeatures: [sepal_length, sepal_width, petal_length, petal_width]\nlabels: [setosa, versicolor, virginica]\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	m := nodetest.StartOne(t, 0, func(_ int, cfg *node.Config) {
		cfg.Upstream, cfg.TaskFile, cfg.Data, cfg.Label = app.URL, task, "../ml/data/iris.csv", "label"
	})
	card, err := m.Client.Card(t.Context())
	if err != nil || card.Evaluation == nil || card.Evaluation.Rows != 150 || card.Evaluation.Accuracy < 0.9 || len(card.Task.Ranges) != 4 {
		t.Errorf("%+v %v", card, err)
	}
}

func TestSettingsOfAnUpstreamThatCannotBeAreRefused(t *testing.T) {
	for says, change := range map[string]func(*node.Config){
		"ftp://":                       func(c *node.Config) { c.Upstream = "ftp://host" },
		"give --upstream URL":          func(c *node.Config) { c.TaskFile = "task.yaml" },
		"where this node itself":       func(c *node.Config) { c.Upstream, c.Listen = "localhost:5999", "127.0.0.1:5999" },
		"take one of the two away":     func(c *node.Config) { c.Upstream, c.Model = "localhost:5999", nodetest.Constant("a", 0) },
		"cannot read the task file":    func(c *node.Config) { c.Upstream, c.TaskFile = "localhost:5999", "nowhere.yaml" },
		"there is no data file; give ": func(c *node.Config) { c.Upstream, c.Label = "localhost:5999", "species" },
	} {
		cfg := nodetest.Config(0)
		change(&cfg)
		n, err := node.New(t.Context(), cfg)
		if err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%v, want it to say %q", err, says)
		}
		if n != nil {
			_ = n.Close()
		}
	}
}
