package api

import (
	"net/http"
	"os"
	"regexp"
	"strings"
	"testing"
)

func TestThePageShowsEveryRouteAndEverySchema(t *testing.T) {
	w := serve(newAPI(t, &fakeNode{}), "GET", "/docs", "")
	if w.Code != 200 || w.Header().Get("Content-Type") != "text/html; charset=utf-8" {
		t.Fatalf("%d %v %s", w.Code, w.Header(), w.Body)
	}
	page := w.Body.String()
	p, err := newDocsPage()
	if err != nil {
		t.Fatal(err)
	}
	operations := 0
	for _, s := range p.Sections {
		operations += len(s.Operations)
		for _, o := range s.Operations {
			if !strings.Contains(page, `id="`+o.ID+`"`) {
				t.Errorf("%s %s is not on the page", o.Method, o.Path)
			}
		}
	}
	want := 0
	for _, path := range p.Paths {
		if path.Value.Get != nil {
			want++
		}
		if path.Value.Post != nil {
			want++
		}
	}
	if operations != want {
		t.Errorf("%d operations of %d have a tag that is known", operations, want)
	}
	for _, s := range p.Schemas {
		if !strings.Contains(page, `id="schema-`+s.Name+`"`) {
			t.Errorf("%s is not on the page", s.Name)
		}
	}
	for _, m := range regexp.MustCompile(`href="#([^"]+)"`).FindAllStringSubmatch(page, -1) {
		if id := strings.ReplaceAll(m[1], "%20", " "); !strings.Contains(page, `id="`+id+`"`) {
			t.Errorf("a link leads to #%s, which is nowhere", id)
		}
	}
}

func TestThePageNeedsNothingFromElsewhereAndNoScript(t *testing.T) {
	a := newAPI(t, &fakeNode{})
	page := serve(a, "GET", "/docs", "").Body.String()
	for _, m := range regexp.MustCompile(`(?:src|href|action)="([^"]*)"`).FindAllStringSubmatch(page, -1) {
		if strings.Contains(m[1], "//") {
			t.Errorf("it refers to %s", m[1])
		}
	}
	for _, bad := range []string{"<script", "style=", "<style", " onclick", "javascript:"} {
		if strings.Contains(page, bad) {
			t.Errorf("it has %q, which the policy would block", bad)
		}
	}
	w := serve(a, "GET", "/docs/style.css", "")
	if w.Code != 200 || w.Header().Get("Content-Type") != "text/css; charset=utf-8" || strings.Contains(w.Body.String(), "url(") || strings.Contains(w.Body.String(), "@import") {
		t.Errorf("%d %v", w.Code, w.Header())
	}
}

func TestCurlLinesHaveTheReadersAddress(t *testing.T) {
	a := newAPI(t, &fakeNode{}, func(cfg *Config) { cfg.Bearer, cfg.Hosts = "key", []string{"ab12.example"} })
	for _, c := range []struct {
		name, host, want string
		change           func(*http.Request)
	}{
		{"on this machine", "localhost:6001", "curl 'http://localhost:6001/consensus?feature0=5.1&amp;feature1=3.5&amp;feature2=1.4&amp;feature3=0.2'", nil},
		{"through a tunnel", "ab12.example", "https://ab12.example/predict", func(r *http.Request) {
			r.Header.Set("X-Forwarded-Proto", "https")
			r.Header.Set("Authorization", "Bearer key")
		}},
		{"under an odd name", "x';rm -rf ~;'", "http://localhost:5001/predict", func(r *http.Request) { r.Header.Set("Authorization", "Bearer key") }},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := serve(a, "GET", "/docs", "", func(r *http.Request) {
				r.Host = c.host
				if c.change != nil {
					c.change(r)
				}
			})
			if !strings.Contains(w.Body.String(), c.want) || strings.Contains(w.Body.String(), "rm -rf") {
				t.Errorf("%d: no %q on the page", w.Code, c.want)
			}
		})
	}
	if w := serve(a, "GET", "/docs", "", func(r *http.Request) { r.RemoteAddr = "203.0.113.9:1" }); w.Code != http.StatusUnauthorized {
		t.Errorf("a stranger gets %d", w.Code)
	}
	if w := serve(a, "GET", "/docs?x=1", ""); w.Code != http.StatusBadRequest {
		t.Errorf("an unknown parameter gets %d", w.Code)
	}
}

// The page for people must not forget a route, nor an option of a round.
func TestTheGuideNamesEveryRouteAndOption(t *testing.T) {
	guide, err := os.ReadFile("../../docs/api.md")
	if err != nil {
		t.Fatal(err)
	}
	p, err := newDocsPage()
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range p.Paths {
		name := path.Key
		if rest, ok := strings.CutPrefix(name, "/v2/models/{model}/"); ok {
			name = "/" + rest[strings.LastIndexByte("/"+rest, '/'):]
		}
		if name = strings.TrimSuffix(name, "/"); !strings.Contains(string(guide), name) {
			t.Errorf("docs/api.md does not name %s", path.Key)
		}
	}
	for _, option := range consensusOptions {
		if !strings.Contains(string(guide), "`"+option+"`") {
			t.Errorf("docs/api.md does not name the option %s", option)
		}
	}
	for kind := range kinds {
		if !strings.Contains(string(guide), "`"+kind+"`") {
			t.Errorf("docs/api.md does not name the problem %s", kind)
		}
	}
}
