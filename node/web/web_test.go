package web

import (
	"fmt"
	"math"
	"net/http/httptest"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

func site(t *testing.T) *Site {
	t.Helper()
	s, err := New()
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func text(t *testing.T, name string) string {
	t.Helper()
	f, ok := site(t).files[name]
	if !ok {
		t.Fatalf("there is no %s", name)
	}
	return string(f.content)
}

func TestFilesAreServedWithTheirTypeAndKeptByBrowsers(t *testing.T) {
	s := site(t)
	for name, kind := range map[string]string{
		Page: "text/html; charset=utf-8", "app.js": "text/javascript; charset=utf-8",
		"style.css": "text/css; charset=utf-8", "icon.svg": "image/svg+xml",
	} {
		w := httptest.NewRecorder()
		if !s.Serve(w, httptest.NewRequest("GET", "/", nil), name) || w.Code != 200 || w.Header().Get("Content-Type") != kind || w.Body.Len() == 0 {
			t.Errorf("%s: %d %v", name, w.Code, w.Header())
		}
		tag := w.Header().Get("ETag")
		r := httptest.NewRequest("GET", "/", nil)
		r.Header.Set("If-None-Match", tag)
		w = httptest.NewRecorder()
		if s.Serve(w, r, name); tag == "" || w.Code != 304 || w.Body.Len() != 0 {
			t.Errorf("%s with the tag %s: %d", name, tag, w.Code)
		}
		r = httptest.NewRequest("HEAD", "/", nil)
		w = httptest.NewRecorder()
		if s.Serve(w, r, name); w.Code != 200 || w.Body.Len() != 0 || w.Header().Get("Content-Length") == "" {
			t.Errorf("HEAD %s: %d, %d bytes", name, w.Code, w.Body.Len())
		}
	}
	for _, name := range []string{"", "nothing.js", "../web.go", "assets/app.js", "/app.js"} {
		if s.Serve(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil), name) {
			t.Errorf("%q was served", name)
		}
	}
}

// The policy that the page is served with refuses these; a browser only says so on its console.
func TestThePageHasNothingInlineAndAsksNoOtherHost(t *testing.T) {
	page := text(t, Page)
	for _, bad := range []string{`style=`, `<style`, ` onclick`, ` onload`, `javascript:`, `http://`, `https://`} {
		if strings.Contains(page, bad) {
			t.Errorf("the page has %s", bad)
		}
	}
	for _, m := range regexp.MustCompile(`(?s)<script[^>]*>(.*?)</script>`).FindAllStringSubmatch(page, -1) {
		if m[1] != "" {
			t.Errorf("an inline script: %s", m[0])
		}
	}
	s := site(t)
	for _, m := range regexp.MustCompile(`(?:src|href)="([^"]*)"`).FindAllStringSubmatch(page, -1) {
		if asset, ok := strings.CutPrefix(m[1], "/assets/"); ok {
			if _, there := s.files[asset]; !there {
				t.Errorf("the page wants %s, which is not embedded", m[1])
			}
		}
	}
	for _, name := range s.Names() {
		if name == Page || !strings.HasSuffix(name, ".js") && !strings.HasSuffix(name, ".css") {
			continue
		}
		code := text(t, name)
		for _, bad := range []string{"innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "new Function", "https://", "url(", "@import", `"style"`} {
			if strings.Contains(code, bad) {
				t.Errorf("%s has %s", name, bad)
			}
		}
		for _, m := range regexp.MustCompile(`from "\./([^"]+)"`).FindAllStringSubmatch(code, -1) {
			if _, there := s.files[m[1]]; !there {
				t.Errorf("%s imports %s, which is not embedded", name, m[1])
			}
		}
	}
}

func TestEveryControlHasAName(t *testing.T) {
	page := text(t, Page)
	for _, m := range regexp.MustCompile(`<(?:input|select)[^>]*\bid="([^"]+)"`).FindAllStringSubmatch(page, -1) {
		if !strings.Contains(page, fmt.Sprintf(`<label for="%s">`, m[1])) {
			t.Errorf("#%s has no label", m[1])
		}
	}
	for _, m := range regexp.MustCompile(`<button[^>]*>([^<]*)</button>`).FindAllStringSubmatch(page, -1) {
		if strings.TrimSpace(m[1]) == "" {
			t.Errorf("a button without a name: %s", m[0])
		}
	}
	for _, m := range regexp.MustCompile(`aria-labelledby="([^"]+)"`).FindAllStringSubmatch(page, -1) {
		if !strings.Contains(page, fmt.Sprintf(`id="%s"`, m[1])) {
			t.Errorf("nothing is called %s", m[1])
		}
	}
}

// palette reads the colours of a theme from the style sheet; the dark one builds on the light one.
func palette(t *testing.T, selector string) map[string]string {
	t.Helper()
	css := text(t, "style.css")
	_, rest, ok := strings.Cut(css, selector+" {")
	block, _, closed := strings.Cut(rest, "}")
	if !ok || !closed {
		t.Fatalf("no block for %s", selector)
	}
	colours := map[string]string{}
	for _, m := range regexp.MustCompile(`--([a-z0-9-]+): (#[0-9a-f]{6});`).FindAllStringSubmatch(block, -1) {
		colours[m[1]] = m[2]
	}
	return colours
}

// luminance and contrast are as WCAG 2.2 defines them.
func luminance(hex string) float64 {
	var sum float64
	for i, weight := range []float64{0.2126, 0.7152, 0.0722} {
		n, _ := strconv.ParseUint(hex[1+2*i:3+2*i], 16, 8)
		c := float64(n) / 255
		if c <= 0.04045 {
			c /= 12.92
		} else {
			c = math.Pow((c+0.055)/1.055, 2.4)
		}
		sum += weight * c
	}
	return sum
}

func contrast(a, b string) float64 {
	x, y := luminance(a), luminance(b)
	return (max(x, y) + 0.05) / (min(x, y) + 0.05)
}

// mixed returns a part of the first colour and the rest of the second, as color-mix does in srgb.
func mixed(a, b string, part float64) string {
	out := "#"
	for i := 1; i < 7; i += 2 {
		x, _ := strconv.ParseUint(a[i:i+2], 16, 8)
		y, _ := strconv.ParseUint(b[i:i+2], 16, 8)
		out += fmt.Sprintf("%02x", int(math.Round(float64(x)*part+float64(y)*(1-part))))
	}
	return out
}

func TestTheStyleSheetMixesNoMoreThanIsCheckedForContrast(t *testing.T) {
	css := text(t, "style.css")
	if !strings.Contains(css, "color-mix(in srgb, var(--accent) calc(var(--n) * 3%), var(--card))") || !strings.Contains(css, ".heat-10 { --n: 10; }") || strings.Contains(css, "--n: 11") {
		t.Error("the ground of .heat is not what the contrast is checked for")
	}
}

func TestContrastIsEnoughInBothThemes(t *testing.T) {
	type pair struct {
		front, back string
		least       float64
	}
	pairs := []pair{
		{"text", "page", 7},
		{"text", "card", 7},
		{"muted", "page", 4.5},
		{"muted", "card", 4.5},
		{"accent", "card", 4.5},
		{"accent", "page", 4.5},
		{"on-accent", "accent", 4.5},
		{"on-good", "good", 4.5},
		{"on-warn", "warn", 4.5},
		{"on-bad", "bad", 4.5},
		{"on-bad", "card", 4.5},
		{"on-warn", "card", 4.5},
		{"on-good", "card", 4.5}, // who was right, and weights that rose
		{"edge", "card", 3},
		{"edge", "page", 3}, // outlines of controls
	}
	for k := range 10 { // marks of classes, and the icon on them
		c := fmt.Sprintf("class-%d", k)
		pairs = append(pairs, pair{c, "card", 3}, pair{c, "page", 3})
	}
	for _, theme := range []string{":root", `:root[data-theme="dark"]`} {
		colours := palette(t, theme)
		for _, p := range pairs {
			front, back := colours[p.front], colours[p.back]
			if front == "" || back == "" {
				t.Errorf("%s: --%s is %q, --%s is %q; both must be written as #rrggbb", theme, p.front, front, p.back, back)
			} else if got := contrast(front, back); got < p.least {
				t.Errorf("%s: %s %s on %s %s has contrast %.2f; it takes %.1f", theme, p.front, front, p.back, back, got, p.least)
			}
		}
		// The deepest ground of a cell of recall, as style.css mixes it.
		if deepest := mixed(colours["accent"], colours["card"], 0.3); contrast(colours["text"], deepest) < 4.5 {
			t.Errorf("%s: text on %s has contrast %.2f", theme, deepest, contrast(colours["text"], deepest))
		}
	}
}
