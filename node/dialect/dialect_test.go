package dialect

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"caucus/ml"
	"caucus/node/consensus"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var iris = ml.Task{
	Name:     "iris",
	Features: []string{"sepal_length", "sepal_width", "petal_length", "petal_width"},
	Labels:   []string{"setosa", "versicolor", "virginica"},
}

var row = []float64{5.1, 3.5, 1.4, 0.2}

// ask puts one row to a server made of h and returns the reply.
func ask(t *testing.T, o Options, h http.HandlerFunc) Reply {
	t.Helper()
	srv := httptest.NewServer(h)
	defer srv.Close()
	return askURL(t, o, srv.URL)
}

func askURL(t *testing.T, o Options, address string) Reply {
	t.Helper()
	base, err := ParseBase(address)
	if err != nil {
		t.Fatal(err)
	}
	c := NewClient(o)
	defer c.Close()
	return c.Ask(t.Context(), Target{Base: base, Form: forms()[0], Task: iris}, row)
}

func TestTheQuestionIsTheOldApps(t *testing.T) {
	var got *http.Request
	ask(t, Options{}, func(w http.ResponseWriter, r *http.Request) {
		got = r
		fmt.Fprint(w, `{"prediction":0}`)
	})
	if got.Method != http.MethodGet || got.URL.Path != "/predict" {
		t.Errorf("asked %s %s", got.Method, got.URL.Path)
	}
	if want := "feature0=5.1&feature1=3.5&feature2=1.4&feature3=0.2"; got.URL.RawQuery != want {
		t.Errorf("query %q, want %q", got.URL.RawQuery, want)
	}
	if got.Header.Get("ngrok-skip-browser-warning") != "1" {
		t.Error("a free ngrok tunnel would answer with its warning page")
	}
	if enc := got.Header.Get("Accept-Encoding"); enc != "" {
		t.Errorf("asked for compression %q: 64 KiB could unfold to anything", enc)
	}
}

func TestWhatServersAnswer(t *testing.T) {
	const page = `<!doctype html><html><head><title>%s</title></head><body>%s</body></html>`
	big := strings.Repeat(" ", DefaultMaxAnswer) + `{"prediction":0}`
	tests := []struct {
		name    string
		status  int
		header  [2]string
		body    string
		outcome consensus.Outcome
		label   int
		reason  string // part of it
	}{
		{name: "an index", body: `{"prediction":0}`, outcome: consensus.OK},
		{name: "as Flask indents it", body: "{\n  \"prediction\": 2\n}\n", outcome: consensus.OK, label: 2},
		{name: "a list of one", body: `[1]`, outcome: consensus.OK, label: 1},
		{name: "a list in an object", body: `{"prediction":[1]}`, outcome: consensus.OK, label: 1},
		{name: "a list of lists", body: `{"predictions":[[2]]}`, outcome: consensus.OK, label: 2},
		{name: "a bare number", body: `1`, outcome: consensus.OK, label: 1},
		{name: "a float that is whole", body: `{"prediction":1.0}`, outcome: consensus.OK, label: 1},
		{name: "a label's name", body: `"setosa"`, outcome: consensus.OK},
		{name: "a name in an object", body: `{"prediction":"virginica"}`, outcome: consensus.OK, label: 2},
		{name: "the name that UCI's file has", body: `{"class":"Iris-versicolor"}`, outcome: consensus.OK, label: 1},
		{name: "index and name that agree", body: `{"prediction":1,"label":"versicolor"}`, outcome: consensus.OK, label: 1},
		{name: "an error that is none", body: `{"prediction":1,"error":null}`, outcome: consensus.OK, label: 1},
		{name: "status 201", status: 201, body: `{"prediction":1}`, outcome: consensus.OK, label: 1},

		{name: "index and name that differ", body: `{"prediction":1,"label":"setosa"}`, outcome: consensus.BadLabel, reason: "contradicts"},
		{name: "label 99", body: `{"prediction":99}`, outcome: consensus.BadLabel, reason: "classes 0 to 2"},
		{name: "a negative label", body: `{"prediction":-1}`, outcome: consensus.BadLabel, reason: "-1"},
		{name: "half a class", body: `{"prediction":0.5}`, outcome: consensus.BadLabel, reason: "no class number"},
		{name: "a number beyond all numbers", body: `{"prediction":1e400}`, outcome: consensus.BadLabel, reason: "1e400"},
		{name: "a digit as text is no label of iris", body: `{"prediction":"0"}`, outcome: consensus.BadLabel, reason: "setosa, versicolor, virginica"},
		{name: "another task's label", body: `{"prediction":"cabernet"}`, outcome: consensus.BadLabel, reason: "cabernet"},
		{name: "a truth value", body: `{"prediction":true}`, outcome: consensus.BadSchema, reason: "true"},
		{name: "nothing", body: `{"prediction":null}`, outcome: consensus.BadSchema, reason: "no \"prediction\""},
		{name: "another object", body: `{"status":"up"}`, outcome: consensus.BadSchema, reason: "no \"prediction\""},
		{name: "several rows", body: `[0,1]`, outcome: consensus.BadSchema, reason: "2 values"},
		{name: "an empty list", body: `{"prediction":[]}`, outcome: consensus.BadSchema, reason: "0 values"},
		{name: "an error with status 200", body: `{"error":"model not loaded"}`, outcome: consensus.BadSchema, reason: "model not loaded"},
		{name: "an error beside a prediction", body: `{"prediction":0,"error":"bad input"}`, outcome: consensus.BadSchema, reason: "bad input"},

		{name: "an HTML page", body: fmt.Sprintf(page, "Welcome", ""), outcome: consensus.BadJSON, reason: "“Welcome”"},
		{name: "Python's NaN", body: `{"prediction":NaN}`, outcome: consensus.BadJSON, reason: "not JSON"},
		{name: "JSON and more", body: `{"prediction":0} trailing`, outcome: consensus.BadJSON, reason: "goes on"},
		{name: "an empty answer", body: ``, outcome: consensus.BadJSON, reason: "empty"},
		{name: "terminal codes", body: "\x1b[31mred\x1b[0m", outcome: consensus.BadJSON, reason: ".[31mred"},
		{name: "a huge answer", body: big, outcome: consensus.TooLarge, reason: "64 KiB"},
		{name: "the longest answer that fits", body: big[len(`{"prediction":0}`):], outcome: consensus.OK},

		{name: "status 500", status: 500, body: `boom`, outcome: consensus.HTTPError, reason: "status 500 (Internal Server Error)"},
		{name: "status 400 in words", status: 400, body: `{"error":"feature3 is missing"}`, outcome: consensus.HTTPError, reason: "feature3 is missing"},
		{name: "status 404", status: 404, body: fmt.Sprintf(page, "Not found", ""), outcome: consensus.HTTPError, reason: "404"},
		{name: "too many requests", status: 429, outcome: consensus.Shed, reason: "429"},
		{name: "overloaded", status: 503, body: `{"detail":"try later"}`, outcome: consensus.Shed, reason: "try later"},
		{name: "a redirect", status: 302, header: [2]string{"Location", "http://127.0.0.1:4040/"}, outcome: consensus.RefusedRedirect, reason: "127.0.0.1:4040"},
		{name: "a redirect to nowhere", status: 307, outcome: consensus.RefusedRedirect, reason: "without saying where"},

		{name: "an ngrok tunnel that is offline", status: 404, header: [2]string{"Ngrok-Error-Code", "ERR_NGROK_3200"}, outcome: consensus.ConnectError, reason: "offline"},
		{name: "an ngrok page without the header", status: 404, body: fmt.Sprintf(page, "ngrok", "ERR_NGROK_3200"), outcome: consensus.ConnectError, reason: "ERR_NGROK_3200"},
		{name: "ngrok's agent without its app", status: 502, body: fmt.Sprintf(page, "", "ERR_NGROK_8012"), outcome: consensus.ConnectError, reason: "nothing listens behind it"},
		{name: "ngrok over its rate", status: 429, body: fmt.Sprintf(page, "", "ERR_NGROK_734"), outcome: consensus.Shed, reason: "wait a minute"},
		{name: "ngrok's warning page", body: fmt.Sprintf(page, "", "ERR_NGROK_6024"), outcome: consensus.BadJSON, reason: "warning page"},
		{name: "an ngrok code that we do not know", status: 400, header: [2]string{"Ngrok-Error-Code", "ERR_NGROK_9999"}, outcome: consensus.HTTPError, reason: "ERR_NGROK_9999"},
		{name: "localtunnel's reminder", status: 200, body: fmt.Sprintf(page, "localtunnel", ""), outcome: consensus.BadJSON, reason: "localtunnel"},
		{name: "a model that mentions ngrok in JSON", body: `{"prediction":0,"note":"ERR_NGROK_3200"}`, outcome: consensus.OK},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := ask(t, Options{}, func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Connection", "close") // as Flask's own server does
				if tt.header[0] != "" {
					w.Header().Set(tt.header[0], tt.header[1])
				}
				if tt.status != 0 {
					w.WriteHeader(tt.status)
				}
				_, _ = w.Write([]byte(tt.body))
			})
			if r.Outcome != tt.outcome {
				t.Fatalf("outcome %v (%s), want %v", r.Outcome, r.Reason, tt.outcome)
			}
			if r.Outcome == consensus.OK && r.Label != tt.label {
				t.Errorf("label %d, want %d", r.Label, tt.label)
			}
			if r.Outcome != consensus.OK && r.Label != -1 {
				t.Errorf("label %d without a vote", r.Label)
			}
			if !strings.Contains(r.Reason, tt.reason) || (r.Outcome == consensus.OK) != (r.Reason == "") {
				t.Errorf("reason %q, want it to say %q", r.Reason, tt.reason)
			}
			if want := max(tt.status, 200); r.Status != want {
				t.Errorf("status %d, want %d", r.Status, want)
			}
			if strings.ContainsAny(r.Reason, "\x1b\n") {
				t.Errorf("reason %q could repaint a terminal", r.Reason)
			}
		})
	}
}

func TestProbabilitiesAreTakenOnlyWhenTheyAreADistribution(t *testing.T) {
	tests := []struct {
		name, body string
		want       []float64
	}{
		{"by name", `{"prediction":0,"probabilities":{"versicolor":0.25,"setosa":0.75,"virginica":0}}`, []float64{0.75, 0.25, 0}},
		{"in class order", `{"prediction":0,"proba":[0.8,0.1,0.1]}`, []float64{0.8, 0.1, 0.1}},
		{"one row of several", `{"prediction":0,"probability":[[0.8,0.1,0.1]]}`, []float64{0.8, 0.1, 0.1}},
		{"rounded", `{"prediction":0,"probs":[0.33,0.33,0.33]}`, []float64{1. / 3, 1. / 3, 1. / 3}},
		{"of a hundred", `{"prediction":0,"confidences":{"setosa":75,"versicolor":25,"virginica":0}}`, []float64{0.75, 0.25, 0}},
		{"in the server's own order", `{"prediction":"setosa","proba":[0.1,0.2,0.7],"classes":["virginica","versicolor","setosa"]}`, []float64{0.7, 0.2, 0.1}},
		{"too few", `{"prediction":0,"proba":[0.9,0.1]}`, nil},
		{"not adding up", `{"prediction":0,"proba":[0.9,0.9,0.9]}`, nil},
		{"over one", `{"prediction":0,"proba":[2,-1,0]}`, nil},
		{"of other labels", `{"prediction":0,"probabilities":{"a":1,"b":0,"c":0}}`, nil},
		{"not numbers", `{"prediction":0,"proba":["1","0","0"]}`, nil},
		{"none", `{"prediction":0}`, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := ask(t, Options{}, func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, tt.body) })
			if r.Outcome != consensus.OK || fmt.Sprintf("%.9f", r.Probabilities) != fmt.Sprintf("%.9f", tt.want) {
				t.Errorf("%v %v, want %v", r.Outcome, r.Probabilities, tt.want)
			}
		})
	}
}

func TestServersThatDoNotAnswer(t *testing.T) {
	hurry := Options{HeaderTimeout: 30 * time.Millisecond, Timeout: 60 * time.Millisecond}

	t.Run("nobody listens", func(t *testing.T) {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		address := l.Addr().String()
		l.Close()
		want(t, askURL(t, Options{}, address), consensus.ConnectError, "refused")
	})
	t.Run("no such host", func(t *testing.T) {
		r := askURL(t, Options{}, "http://nobody.invalid:5001")
		want(t, r, consensus.ConnectError, "nobody.invalid")
	})
	t.Run("it never begins to answer", func(t *testing.T) {
		r := ask(t, hurry, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
		want(t, r, consensus.Timeout, "in time")
	})
	t.Run("it stops half way", func(t *testing.T) {
		r := ask(t, hurry, func(w http.ResponseWriter, r *http.Request) {
			fmt.Fprint(w, `{"predic`)
			w.(http.Flusher).Flush()
			<-r.Context().Done()
		})
		want(t, r, consensus.Timeout, "in time")
	})
	t.Run("it hangs up", func(t *testing.T) {
		r := ask(t, Options{}, func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
		want(t, r, consensus.ConnectError, "closed")
	})
	t.Run("it hangs up half way", func(t *testing.T) {
		r := ask(t, Options{}, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "100")
			fmt.Fprint(w, `{"prediction":0}`)
		})
		want(t, r, consensus.ConnectError, "closed")
	})
	t.Run("it speaks no HTTP", func(t *testing.T) {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		done := make(chan struct{})
		go func() {
			defer close(done)
			c, err := l.Accept()
			if err != nil {
				return
			}
			defer c.Close()
			_, _ = c.Read(make([]byte, 4096))
			fmt.Fprint(c, "220 mail ready\r\n")
		}()
		r := askURL(t, Options{}, l.Addr().String())
		l.Close()
		<-done
		want(t, r, consensus.BadSchema, "HTTP")
	})
	t.Run("TLS where there is none", func(t *testing.T) {
		srv := httptest.NewServer(http.NotFoundHandler())
		defer srv.Close()
		want(t, askURL(t, Options{}, strings.Replace(srv.URL, "http:", "https:", 1)), consensus.TLSError, "http://")
	})
	t.Run("a certificate that nobody signed", func(t *testing.T) {
		srv := httptest.NewUnstartedServer(http.NotFoundHandler())
		srv.Config.ErrorLog = quiet()
		srv.StartTLS()
		defer srv.Close()
		want(t, askURL(t, Options{}, srv.URL), consensus.TLSError, "certificate")
	})
	t.Run("the asker gave up", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		srv := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			cancel()
			<-r.Context().Done()
		}))
		defer srv.Close()
		base, _ := ParseBase(srv.URL)
		c := NewClient(Options{})
		defer c.Close()
		want(t, c.Ask(ctx, Target{Base: base, Form: forms()[0], Task: iris}, row), consensus.Pending, "interrupted")
	})
}

func want(t *testing.T, r Reply, o consensus.Outcome, reason string) {
	t.Helper()
	if r.Outcome != o || !strings.Contains(r.Reason, reason) {
		t.Errorf("%v: %q, want %v with %q", r.Outcome, r.Reason, o, reason)
	}
	if strings.Contains(r.Reason, "feature0") {
		t.Errorf("reason %q repeats the features", r.Reason)
	}
}

func TestARedirectIsNotFollowed(t *testing.T) {
	hits := make(chan string, 4)
	r := ask(t, Options{}, func(w http.ResponseWriter, r *http.Request) {
		hits <- r.URL.Path
		http.Redirect(w, r, "/elsewhere", http.StatusFound)
	})
	want(t, r, consensus.RefusedRedirect, "/elsewhere")
	if len(hits) != 1 {
		t.Errorf("%d requests were made, want 1", len(hits))
	}
}

func TestTheMetadataServiceIsNeverDialled(t *testing.T) {
	for _, address := range []string{"http://169.254.169.254", "http://[::ffff:169.254.169.254]", "http://[64:ff9b::a9fe:a9fe]:80"} {
		want(t, askURL(t, Options{}, address), consensus.BlockedAddress, "credentials")
	}
}

func TestTheGuardSeesTheAddressThatANameResolvedTo(t *testing.T) {
	seen := make(chan netip.Addr, 4)
	o := Options{Guard: func(a netip.Addr) error {
		seen <- a
		return fmt.Errorf("%w: not today", ErrBlocked)
	}}
	want(t, askURL(t, o, "http://localhost:1"), consensus.BlockedAddress, "not today")
	if a := <-seen; !a.IsLoopback() {
		t.Errorf("the guard saw %v", a)
	}
}

func TestParseBase(t *testing.T) {
	good := map[string]string{
		"http://127.0.0.1:5001":                   "http://127.0.0.1:5001",
		" 127.0.0.1:5001 ":                        "http://127.0.0.1:5001",
		"localhost:5001/":                         "http://localhost:5001",
		"http://host/predict":                     "http://host",
		"http://host/predict?feature0=1":          "http://host",
		"https://ab12.ngrok-free.app/":            "https://ab12.ngrok-free.app",
		"https://ab12.ngrok-free.app#SECRETTOKEN": "https://ab12.ngrok-free.app",
		"http://host/via/abc":                     "http://host/via/abc",
		"http://host/via/abc/predict":             "http://host/via/abc",
		"http://host/via/abc/":                    "http://host/via/abc/",
		"http://host/predict/":                    "http://host/predict/",
		"http://host/predict//?feature0=1":        "http://host/predict/",
		"http://host//":                           "http://host",
		"http://host/invocations/":                "http://host/invocations/",
		"http://host/v2/models/iris/":             "http://host/v2/models/iris",
		"http://host/v1/models/iris:predict/":     "http://host/v1/models/iris:predict",
		"http://[::1]:5001":                       "http://[::1]:5001",
	}
	for in, want := range good {
		if u, err := ParseBase(in); err != nil || u.String() != want {
			t.Errorf("ParseBase(%q) = %v, %v, want %s", in, u, err, want)
		}
	}
	for _, in := range []string{"", "  ", "#TOKEN", "ftp://host", "http://", "http://a b", "http://host:port", "://", "file:///etc/passwd"} {
		if u, err := ParseBase(in); err == nil {
			t.Errorf("ParseBase(%q) = %v, want an error", in, u)
		}
	}
}
