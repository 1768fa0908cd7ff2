package dialect

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"caucus/node/consensus"
)

var numberedNames = [4]string{"feature0", "feature1", "feature2", "feature3"}

// always answers every request alike.
func always(status int, contentType, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", contentType)
		w.WriteHeader(status)
		fmt.Fprint(w, body)
	}
}

// met asks about one row and returns the label, or what was met instead.
func met(t *testing.T, u *Upstream) (int, bool, Reply) {
	t.Helper()
	y := [1]int{-1}
	gave, err := u.PredictRows(t.Context(), flowers[2], y[:], make([]float64, 3))
	if err == nil {
		return y[0], gave, Reply{Outcome: consensus.OK}
	}
	var f *Failure
	if !errors.As(err, &f) {
		t.Fatalf("%T %v is no failure of the upstream", err, err)
	}
	return -1, gave, f.Reply
}

// impatient makes a client that gives up at once where nothing comes.
func impatient(c *UpstreamConfig) {
	c.Options = Options{HeaderTimeout: 50 * time.Millisecond, Timeout: 100 * time.Millisecond}
}

// pack makes 4 MiB of zeros fit into 4 KiB.
func pack(t *testing.T) []byte {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	if _, err := z.Write(make([]byte, 4<<20)); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestServersThatMisbehaveAreRefusedInWords(t *testing.T) {
	bomb := pack(t)
	tests := []struct {
		name    string
		server  http.HandlerFunc
		change  func(*UpstreamConfig)
		outcome consensus.Outcome
		says    string // part of the reason
	}{
		{name: "errors with status 200", server: always(200, "application/json", `{"error":"model.pkl not found"}`), outcome: consensus.BadSchema, says: "“model.pkl not found”"},
		{name: "HTML", server: always(200, "text/html", "<!doctype html><title>It works!</title>"), outcome: consensus.BadJSON, says: "“It works!”"},
		{name: "a tunnel's warning page", server: always(200, "text/html", "<!doctype html><html><body>ERR_NGROK_6024</body></html>"), outcome: consensus.BadJSON, says: "warning page"},
		{name: "a tunnel that is offline", server: func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Ngrok-Error-Code", "ERR_NGROK_3200")
			http.Error(w, "The endpoint ab12.ngrok-free.app is offline.\n\nERR_NGROK_3200", http.StatusNotFound)
		}, outcome: consensus.ConnectError, says: "the ngrok tunnel is offline"},
		{name: "a tunnel whose app is gone", server: always(502, "text/html", "<html>ERR_NGROK_8012</html>"), outcome: consensus.ConnectError, says: "8012"},
		{name: "a label of no class", server: queryModel(numberedNames, func(int) any { return map[string]any{"prediction": 99} }), outcome: consensus.BadLabel, says: "99"},
		{name: "another task's label", server: queryModel(numberedNames, func(int) any { return map[string]any{"prediction": "barolo"} }), outcome: consensus.BadLabel, says: "“barolo”"},
		{name: "nothing but 500", server: always(500, "text/plain", "boom"), outcome: consensus.HTTPError, says: "status 500"},
		{name: "400 in words", server: always(400, "application/json", `{"error":"petal_colour is missing"}`), outcome: consensus.HTTPError, says: "“petal_colour is missing”"},
		{name: "nothing there", server: http.NotFound, outcome: consensus.HTTPError, says: "status 404"},
		{name: "2 s late, to one who waits less", server: func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }, change: impatient, outcome: consensus.Timeout, says: "in time"},
		{name: "it hangs in the middle", server: func(w http.ResponseWriter, r *http.Request) {
			fmt.Fprint(w, `{"predic`)
			_ = http.NewResponseController(w).Flush()
			<-r.Context().Done()
		}, change: impatient, outcome: consensus.Timeout, says: "in time"},
		{name: "an answer without end", server: func(w http.ResponseWriter, _ *http.Request) {
			block := []byte(strings.Repeat("[", 4096))
			for range 1 << 14 { // 64 MiB, if anybody read them
				if _, err := w.Write(block); err != nil {
					return
				}
			}
		}, outcome: consensus.TooLarge, says: "64 KiB"},
		{name: "a gzip bomb", server: func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Accept-Encoding") != "" {
				t.Error("it was asked for compression")
			}
			w.Header().Set("Content-Encoding", "gzip")
			_, _ = w.Write(bomb)
		}, outcome: consensus.BadJSON, says: "gzip"},
		{name: "a redirect", server: http.RedirectHandler("http://127.0.0.1:4040/api", http.StatusFound).ServeHTTP, outcome: consensus.RefusedRedirect, says: "127.0.0.1:4040"},
		{name: "overloaded", server: always(503, "application/json", `{"detail":"warming up"}`), outcome: consensus.Shed, says: "“warming up”"},
		{name: "garbage", server: always(200, "application/octet-stream", "\x00\x01\x1b[31m"), outcome: consensus.BadJSON, says: "not JSON"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			srv, count := serve(t, tt.server)
			change := tt.change
			if change == nil {
				change = func(*UpstreamConfig) {}
			}
			u := before(t, srv.URL, change)
			y, _, r := met(t, u)
			if r.Outcome != tt.outcome || !strings.Contains(r.Reason, tt.says) || y != -1 {
				t.Errorf("%v %q, want %v with %q", r.Outcome, r.Reason, tt.outcome, tt.says)
			}
			if strings.ContainsAny(r.Reason, "\x1b\n\x00") {
				t.Errorf("%q could repaint a terminal", r.Reason)
			}
			if err := u.Ready(); err == nil || !strings.Contains(err.Error(), tt.says) || !strings.Contains(err.Error(), srv.URL) {
				t.Errorf("readiness: %v", err)
			}
			asked := count.Load()
			// What no other way of asking would change is asked once: a tunnel counts requests.
			if (tt.outcome == consensus.RefusedRedirect || strings.Contains(r.Reason, "ERR_NGROK")) && asked != 1 {
				t.Errorf("%d requests, want 1", asked)
			}
			// What was found is not found out again for every question.
			if _, _, again := met(t, u); again.Outcome != tt.outcome || count.Load() != asked {
				t.Errorf("asked again at once: %v, %d requests more", again.Outcome, count.Load()-asked)
			}
		})
	}
}

func TestServersOfOtherHabitsAreUnderstood(t *testing.T) {
	const rare = 0.9
	tests := []struct {
		name   string
		answer func(y int) any
		gave   bool
	}{
		{"probabilities under three names", func(y int) any {
			return map[string]any{"prediction": y, "probabilities": shares(y), "proba": shares(y), "confidences": map[string]any{"setosa": shares(y)[0], "versicolor": shares(y)[1], "virginica": shares(y)[2]}}
		}, true},
		{"probabilities alone", func(y int) any { return map[string]any{"predict_proba": [][]float64{shares(y)}} }, true},
		{"per cent", func(y int) any {
			p := shares(y)
			return map[string]any{"label": iris.Labels[y], "scores": []float64{100 * p[0], 100 * p[1], 100 * p[2]}}
		}, true},
		{"the share of the label alone", func(y int) any { return map[string]any{"class": iris.Labels[y], "probability": rare} }, false},
		{"a label as text", func(y int) any { return iris.Labels[y] }, false},
		{"a class as float", func(y int) any { return map[string]any{"class": float64(y) + 0.0} }, false},
		{"a list", func(y int) any { return []int{y} }, false},
		{"a success beside it", func(y int) any {
			return map[string]any{"result": "success", "status": "ok", "data": nil, "prediction": []any{[]int{y}}}
		}, false},
		{"a list of objects", func(y int) any {
			return map[string]any{"predictions": []any{map[string]any{"class": iris.Labels[y], "probs": shares(y)}}}
		}, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			srv, _ := serve(t, queryModel(numberedNames, tt.answer))
			u := before(t, srv.URL)
			labels, probs, gave, err := predictAll(t, u)
			if err != nil || !slices.Equal(labels, kinds) || gave != tt.gave {
				t.Fatalf("%v %v %v", labels, gave, err)
			}
			for i, y := range labels {
				if p := probs[3*i : 3*i+3]; gave && !(p[y] > 0.89 && p[0]+p[1]+p[2] < 1.000001 && p[0]+p[1]+p[2] > 0.999999) {
					t.Errorf("probabilities %v", p)
				}
			}
		})
	}
}

func TestA500AtEveryThirdCallIsNoEndOfTheServer(t *testing.T) {
	var calls atomic.Int64
	model := queryModel(numberedNames, asPrediction)
	srv, _ := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet && calls.Add(1)%3 == 0 {
			http.Error(w, "boom", http.StatusInternalServerError)
			return
		}
		model(w, r)
	}))
	u := before(t, srv.URL)
	good, bad := 0, 0
	for range 12 {
		switch y, _, r := met(t, u); {
		case r.Outcome == consensus.OK && y == 2:
			good++
		case r.Outcome == consensus.HTTPError && strings.Contains(r.Reason, "500"):
			bad++
		default:
			t.Fatalf("%d %v %q", y, r.Outcome, r.Reason)
		}
		if err := u.Ready(); err != nil {
			t.Error(err)
		}
	}
	if good != 8 || bad != 4 || u.Form() != "GET feature0=" {
		t.Errorf("%d good, %d bad, by %q", good, bad, u.Form())
	}
}

func TestASelfSignedCertificateIsRefused(t *testing.T) {
	var asked atomic.Int64
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked.Add(1) }))
	srv.Config.ErrorLog = quiet()
	srv.StartTLS()
	t.Cleanup(srv.Close)
	_, _, r := met(t, before(t, srv.URL))
	if r.Outcome != consensus.TLSError || !strings.Contains(r.Reason, "certificate") || asked.Load() != 0 {
		t.Errorf("%v %q, %d requests", r.Outcome, r.Reason, asked.Load())
	}
}

func TestTheMetadataAddressIsNoUpstream(t *testing.T) {
	_, _, r := met(t, before(t, "http://169.254.169.254/"))
	if r.Outcome != consensus.BlockedAddress || !strings.Contains(r.Reason, "credentials") {
		t.Errorf("%v %q", r.Outcome, r.Reason)
	}
}

// clock is a time that tests set.
type clock struct{ now atomic.Pointer[time.Time] }

func newClock(u *Upstream) *clock {
	c := &clock{}
	start := time.Unix(1_700_000_000, 0)
	c.now.Store(&start)
	u.now = func() time.Time { return *c.now.Load() }
	return c
}

func (c *clock) add(d time.Duration) {
	later := c.now.Load().Add(d)
	c.now.Store(&later)
}

func TestRetryAfterIsKeptTo(t *testing.T) {
	for _, tt := range []struct {
		header string
		away   time.Duration
	}{{"7", 7 * time.Second}, {"86400", time.Minute}, {time.Now().Add(time.Hour).UTC().Format(http.TimeFormat), time.Minute}} {
		t.Run(tt.header, func(t *testing.T) {
			var busy atomic.Bool
			model := queryModel(numberedNames, asPrediction)
			srv, count := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if busy.Load() {
					w.Header().Set("Retry-After", tt.header)
					w.WriteHeader(http.StatusTooManyRequests)
					return
				}
				model(w, r)
			}))
			u := before(t, srv.URL)
			c := newClock(u)
			if y, _, r := met(t, u); y != 2 {
				t.Fatal(r)
			}
			busy.Store(true)
			if _, _, r := met(t, u); r.Outcome != consensus.Shed || !strings.Contains(r.Reason, "429") {
				t.Errorf("%v %q", r.Outcome, r.Reason)
			}
			asked := count.Load()
			c.add(tt.away - time.Second)
			if _, _, r := met(t, u); r.Outcome != consensus.Shed || !strings.Contains(r.Reason, "left alone") {
				t.Errorf("%v %q", r.Outcome, r.Reason)
			}
			if err := u.Ready(); err == nil || !strings.Contains(err.Error(), "left alone") {
				t.Errorf("readiness: %v", err)
			}
			if count.Load() != asked {
				t.Error("it was called before its time")
			}
			busy.Store(false)
			c.add(2 * time.Second)
			if y, _, r := met(t, u); y != 2 || u.Ready() != nil {
				t.Errorf("after its time: %v %q, %v", r.Outcome, r.Reason, u.Ready())
			}
		})
	}
}

func TestAServerThatWasReplacedIsAskedAnew(t *testing.T) {
	var now atomic.Pointer[http.HandlerFunc]
	set := func(h http.HandlerFunc) { now.Store(&h) }
	set(queryModel(numberedNames, asPrediction))
	srv, _ := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { (*now.Load())(w, r) }))
	u := before(t, srv.URL)
	if y, _, r := met(t, u); y != 2 {
		t.Fatal(r)
	}
	set(bodyModel("/invocations", under("inputs"), asList))
	for i := range probeAfter {
		if u.Ready() != nil {
			t.Errorf("given up after %d failures", i)
		}
		if _, _, r := met(t, u); r.Outcome != consensus.HTTPError || !strings.Contains(r.Reason, "404") {
			t.Errorf("%v %q", r.Outcome, r.Reason)
		}
	}
	if u.Ready() == nil {
		t.Error("ready after three failures in a row")
	}
	if y, _, r := met(t, u); y != 2 || u.Form() != "MLflow inputs" || u.Ready() != nil {
		t.Errorf("%d %v %q by %q, %v", y, r.Outcome, r.Reason, u.Form(), u.Ready())
	}
}

func TestAServerThatStartsLateIsNoticed(t *testing.T) {
	var up atomic.Bool
	model := queryModel(numberedNames, asPrediction)
	seen := make(chan struct{}, 1)
	srv, _ := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !up.Load() {
			select {
			case seen <- struct{}{}:
			default:
			}
			http.Error(w, "starting", http.StatusInternalServerError)
			return
		}
		model(w, r)
	}))
	understood := make(chan struct{}, 1)
	u := before(t, srv.URL, func(c *UpstreamConfig) { c.OnForm = func() { understood <- struct{}{} } })
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); u.Watch(ctx, 10*time.Millisecond) }()
	defer func() { cancel(); <-done }()
	<-seen
	up.Store(true)
	// Nobody asks; the watch alone finds out.
	select {
	case <-understood:
	case <-time.After(time.Minute):
		t.Fatal("it was not noticed")
	}
	if err := u.Ready(); err != nil {
		t.Error(err)
	}
}

func TestOneBadRowFailsTheBatch(t *testing.T) {
	srv, count := serve(t, queryModel(numberedNames, func(y int) any {
		if y == 1 {
			return map[string]any{"error": "no versicolor today"}
		}
		return map[string]any{"prediction": y}
	}))
	u := before(t, srv.URL)
	if _, _, _, err := predictAll(t, u); err == nil || !strings.Contains(err.Error(), "versicolor today") {
		t.Errorf("%v", err)
	}
	asked := count.Load()
	rows := slices.Repeat(flat(flowers[1:2]), 1000)
	if _, err := u.PredictRows(t.Context(), rows, make([]int, 1000), nil); err == nil {
		t.Error("no error")
	}
	if n := count.Load() - asked; n > 3*atOnce {
		t.Errorf("%d requests of a batch that had failed", n)
	}
}

func TestABatchIsSplitWithBoundedConcurrency(t *testing.T) {
	var now, most atomic.Int64
	model := queryModel(numberedNames, asPrediction)
	srv, count := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n := now.Add(1)
		defer now.Add(-1)
		for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
		}
		model(w, r)
	}))
	u := before(t, srv.URL)
	if _, _, r := met(t, u); r.Outcome != consensus.OK {
		t.Fatal(r)
	}
	asked := count.Load()
	labels := make([]int, 200)
	if _, err := u.PredictRows(t.Context(), slices.Repeat(flat(flowers[:2]), 100), labels, nil); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(labels, slices.Repeat(kinds[:2], 100)) || count.Load()-asked != 200 || most.Load() > atOnce {
		t.Errorf("%d requests, at most %d at once", count.Load()-asked, most.Load())
	}
}

func TestALargeBatchGoesInPartsWhoseAnswersFit(t *testing.T) {
	srv, count := serve(t, bodyModel("/predict", under("instances"), asShares))
	u := before(t, srv.URL)
	if _, _, r := met(t, u); r.Outcome != consensus.OK {
		t.Fatal(r)
	}
	asked := count.Load()
	const n = 2000
	labels, probs := make([]int, n), make([]float64, 3*n)
	gave, err := u.PredictRows(t.Context(), slices.Repeat(flat(flowers[:2]), n/2), labels, probs)
	if err != nil || !gave || !slices.Equal(labels, slices.Repeat(kinds[:2], n/2)) {
		t.Fatalf("%v %v", gave, err)
	}
	if got, want := count.Load()-asked, int64((n+u.chunk-1)/u.chunk); got != want {
		t.Errorf("%d requests, want %d", got, want)
	}
}
