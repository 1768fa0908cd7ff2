//go:build unix

package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"syscall"
	"testing"
)

func TestServeInFrontOfAModelServer(t *testing.T) {
	app := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var x float64
		if _, err := fmt.Sscan(r.URL.Query().Get("petalLength"), &x); err != nil || r.URL.Path != "/predict" {
			http.Error(w, "KeyError", http.StatusInternalServerError)
			return
		}
		label := "Iris-setosa"
		if x > 2.5 {
			label = "Iris-virginica"
		}
		fmt.Fprintf(w, `{"species": %q}`, label)
	}))
	defer app.Close()
	p := start(t, "serve", "--upstream", app.URL, "--listen", "127.0.0.1:0", "--state-dir", "none", "--name", "ana")
	address := p.untilSaid(`address +(http://127\.0\.0\.1:\d+)`)[1]
	p.untilSaid(`model +a server asked by GET byName`)
	p.untilSaid(`upstream +` + app.URL)

	code, out, errs := caucus(t, "", "consensus", "--node", address, "6.3", "3.3", "6.0", "2.5")
	if code != 0 || !strings.HasPrefix(out, "virginica") {
		t.Errorf("%d %q %q", code, out, errs)
	}
	code, out, errs = caucus(t, "", "members", "--node", address)
	if code != 0 || !strings.Contains(out, "upstream (GET byName)") {
		t.Errorf("%d %q %q", code, out, errs)
	}

	app.Close()
	code, _, errs = caucus(t, "", "consensus", "--node", address, "6.3", "3.3", "6.0", "2.5")
	if code != 3 || !strings.Contains(errs, "connect") && !strings.Contains(errs, "refused") {
		t.Errorf("without its server: %d %q", code, errs)
	}
	if code, _ := p.end(syscall.SIGTERM); code != 0 {
		t.Errorf("ended with %d", code)
	}
}

func TestServeRefusesAnUpstreamThatCannotBe(t *testing.T) {
	for _, args := range [][]string{{"--upstream", "ftp://a"}, {"--upstream", "http://a", "--model", "knn"}, {"--task", "t.yaml"}, {"--upstream", "http://127.0.0.1:1", "--task", "nowhere.yaml"}} {
		code, _, errs := caucus(t, "", append([]string{"serve", "--state-dir", "none", "--listen", "127.0.0.1:0"}, args...)...)
		if code == 0 || !strings.HasPrefix(errs, "caucus: ") || !strings.Contains(errs, "Try: ") {
			t.Errorf("%v: %d %q", args, code, errs)
		}
	}
}
