package dialect

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"caucus/node/consensus"
)

// only serves a model at one path, and sends whoever asks at its like, with or without a slash at the
// end, there, as Django and FastAPI do.
func only(path string, model http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Path == path:
			q := r.Clone(r.Context())
			q.URL.Path = predictPath // where the model of the tests lives
			model(w, q)
		case strings.TrimRight(r.URL.Path, "/") == strings.TrimRight(path, "/"):
			http.Redirect(w, r, path+"?"+r.URL.RawQuery, http.StatusTemporaryRedirect)
		default:
			http.NotFound(w, r)
		}
	}
}

func TestASlashAtTheEndCanBeTyped(t *testing.T) {
	get := queryModel(numberedNames, asPrediction)
	post := bodyModel(predictPath, under("data"), asList)
	tests := []struct {
		name  string
		model http.HandlerFunc
		path  string // where it is
		typed string
		works bool
	}{
		{"the address of the server, for one that wants the slash", get, "/predict/", "", false},
		{"the slash", get, "/predict/", "/predict/", true},
		{"the slash, to one that is posted to", post, "/predict/", "/predict/", true},
		{"the slash by habit", get, "/predict", "/predict/", true},
		{"the slash by habit, to one that is posted to", post, "/predict", "/predict/", true},
		{"no slash at a path of its own", get, "/api/classify/", "/api/classify", false},
		{"a slash at a path of its own", get, "/api/classify/", "/api/classify/", true},
		{"a slash by habit at a path of its own", get, "/api/classify", "/api/classify/", true},
		{"a folder, with a slash by habit", get, "/api/predict", "/api/", true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			srv, count := serve(t, only(tt.path, tt.model))
			u := before(t, srv.URL+tt.typed)
			if tt.works {
				labels, _, _, err := predictAll(t, u)
				if err != nil || !slices.Equal(labels, kinds) {
					t.Fatalf("%v %v", labels, err)
				}
				return
			}
			_, _, r := met(t, u)
			if r.Outcome != consensus.RefusedRedirect || !strings.Contains(r.Reason, "give that address instead") {
				t.Fatalf("%v %q", r.Outcome, r.Reason)
			}
			if tt.typed == "" && count.Load() != 1 {
				t.Errorf("%d requests", count.Load())
			}
			// What the sentence says is what to type.
			_, address, _ := strings.Cut(r.Reason, "“")
			address, _, _ = strings.Cut(address, "”")
			if address != srv.URL+tt.path {
				t.Fatalf("it says to type %q, want %q", address, srv.URL+tt.path)
			}
			labels, _, _, err := predictAll(t, before(t, address))
			if err != nil || !slices.Equal(labels, kinds) {
				t.Errorf("as it says: %v %v", labels, err)
			}
		})
	}
}

func TestARedirectSaysWhatToType(t *testing.T) {
	tests := []struct{ asked, location, says string }{
		{"http://host:80/predict?feature0=5.1", "/predict/?feature0=5.1", "“http://host:80/predict/”, which differs in the slash"},
		{"http://host/predict?feature0=5.1", "http://host/login?next=%2Fpredict", "“http://host/login” on the same server"},
		{"http://host/predict", "https://host/predict", "https:// instead of http://"},
		{"http://host/predict", "http://elsewhere/predict?token=1", "“http://elsewhere/predict”; redirects are not followed: if you trust"},
		{"http://host/predict", "http://ana:secret@host/predict/", "“http://host/predict/”"},
		{"http://host/predict", "//elsewhere/predict/", "if you trust"},
		{"http://host/predict", "http://[", "no URL"},
		{"http://host/predict", "", "without saying where"},
		{"http://host/predict", "/predict/\x1b[31m", "no URL"},
	}
	for _, tt := range tests {
		asked, err := url.Parse(tt.asked)
		if err != nil {
			t.Fatal(err)
		}
		got := redirected(asked, tt.location)
		if !strings.Contains(got, tt.says) || !strings.Contains(got, "not followed") || strings.Contains(got, "5.1") || strings.Contains(got, "secret") || strings.ContainsAny(got, "\x1b\n") {
			t.Errorf("from %s to %q: %q, want %q in it", tt.asked, tt.location, got, tt.says)
		}
	}
}

func TestOneServerIsOneVoiceHoweverItIsTyped(t *testing.T) {
	first := before(t, "http://host.example:5001").Fingerprint()
	for _, typed := range []string{"host.example:5001/", "http://HOST.example:5001/predict", "http://host.example:5001/predict/", "http://ana:secret@host.example:5001"} {
		if before(t, typed).Fingerprint() != first {
			t.Errorf("%s counts as another server", typed)
		}
	}
	if before(t, "http://host.example:5001/other/").Fingerprint() == first {
		t.Error("another path counts as the same server")
	}
}
