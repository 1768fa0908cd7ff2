package api

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// fakeRelay carries one member, "b", by a function.
type fakeRelay struct {
	member func(*http.Request) (*http.Response, error)
	gossip int
}

func (f *fakeRelay) Carries(id string) error {
	if id != "b" {
		return errors.New("not here")
	}
	return nil
}
func (f *fakeRelay) RelayTransport() http.RoundTripper                 { return f }
func (f *fakeRelay) RoundTrip(r *http.Request) (*http.Response, error) { return f.member(r) }
func (f *fakeRelay) ServeVia(w http.ResponseWriter, _ *http.Request, id string) error {
	if err := f.Carries(id); err != nil {
		return err
	}
	f.gossip++
	w.WriteHeader(http.StatusTeapot)
	return nil
}

func TestARelayPassesOnWhatOutsidersMayAskAndNothingElse(t *testing.T) {
	relay := &fakeRelay{member: func(r *http.Request) (*http.Response, error) {
		if r.Body != nil {
			if _, err := io.ReadAll(r.Body); err != nil {
				return nil, err
			}
		}
		if r.URL.Query().Get("feature0") == "dead" {
			return nil, errors.New("its session ended")
		}
		return &http.Response{
			StatusCode: http.StatusAccepted,
			Header:     http.Header{"Content-Type": {"text/x"}, "X-Request-Id": {"its own"}, "X-More": {"1"}},
			Body: io.NopCloser(strings.NewReader(fmt.Sprintf("%s %s://%s%s for %s, key %q", r.Method, r.URL.Scheme, r.URL.Host, r.URL.RequestURI(),
				r.Header.Get("X-Forwarded-For"), r.Header.Get("Authorization")))),
		}, nil
	}}
	a := newAPI(t, &fakeNode{}, func(cfg *Config) { cfg.Relay, cfg.Bearer = relay, "key" })
	outside := func(r *http.Request) {
		*r = *r.WithContext(t.Context()) // a server's has an end too
		r.RemoteAddr = "203.0.113.9:1234"
		r.Header.Set("Authorization", "Bearer key")
	}
	for _, test := range []struct {
		method, path, body string
		status             int
		want               string
	}{
		{"GET", "/via/b/predict?feature0=5", "", 202, `GET http://b/predict?feature0=5 for 203.0.113.9, key ""`},
		{"POST", "/via/b/predict", `{"features":[1]}`, 202, `POST http://b/predict`},
		{"GET", "/via/b/card", "", 202, `GET http://b/card`},
		{"GET", "/via/b/gossip", "", http.StatusTeapot, ""},
		{"GET", "/via/x/gossip", "", 404, "its card has its present address"},
		{"GET", "/via/x/predict", "", 404, "its card has its present address"},
		{"GET", "/via/b/predict?feature0=dead", "", 503, "does not answer"},
		{"POST", "/via/b/predict", strings.Repeat("x", maxBatch+1), 413, "larger than"},
		{"POST", "/via/b/card", "", 405, "does not take POST"},
		{"GET", "/via/b/members", "", 404, "there is nothing at"},
		{"GET", "/via/b/consensus", "", 404, "there is nothing at"},
		{"GET", "/via/b/predict/../members", "", 404, "there is nothing at"},
		{"GET", "/via/b", "", 404, "there is nothing at"},
	} {
		w := serve(a, test.method, test.path, test.body, outside)
		if w.Code != test.status || !strings.Contains(w.Body.String(), test.want) {
			t.Errorf("%s %s: %d %.200s, want %d %q", test.method, test.path, w.Code, w.Body, test.status, test.want)
		}
		if ids := w.Header().Values(requestIDHeader); len(ids) != 1 || ids[0] == "its own" {
			t.Errorf("%s %s: request ids %q", test.method, test.path, ids)
		}
	}
	if relay.gossip != 1 {
		t.Errorf("%d requests for a session were passed on", relay.gossip)
	}
}

func TestWhatARelayBringsIsOnlyModelAndCard(t *testing.T) {
	a := newAPI(t, &fakeNode{}) // without a token all is open to who reaches it; a relay's outsiders do not
	h := a.Relayed().Handler
	for path, want := range map[string]int{
		"/predict?feature0=1&feature1=2&feature2=3&feature3=4": 200, "/card": 200,
		"/members": 404, "/metrics": 404, "/consensus?feature0=1": 404, "/": 404, "/rounds": 404, "/gossip": 404, "/via/b/card": 404,
	} {
		r := httptest.NewRequest("GET", path, &bytes.Buffer{})
		r.RemoteAddr = strings.Repeat("k", 32) // the relay's id
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code != want {
			t.Errorf("%s: %d %.100s, want %d", path, w.Code, w.Body, want)
		}
	}
}
