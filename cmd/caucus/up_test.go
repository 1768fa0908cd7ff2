//go:build unix

package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"caucus/ml"
	"caucus/node/api"
)

func TestUpShowsThreeNodesAnAnswerAndALineToPaste(t *testing.T) {
	// Somebody holds the port that the forest wants, as AirPlay does on a Mac.
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	taken := portOf(l.Addr().String())

	p := start(t, "up", "--ports", fmt.Sprintf("0,%d,0", taken))
	printed := p.until("Ctrl-C")
	for _, want := range []string{"Three nodes are up", "knn", "randforest", "svm", "all 3 say setosa", "caucus consensus"} {
		if !strings.Contains(printed, want) {
			t.Errorf("did not print %q\n%s", want, printed)
		}
	}
	if !strings.Contains(p.stderr.String(), fmt.Sprintf("port %d is taken", taken)) {
		t.Errorf("did not say that port %d is taken: %s", taken, p.stderr)
	}

	curl := regexp.MustCompile(`curl '([^']+)'`).FindStringSubmatch(printed)
	if curl == nil {
		t.Fatalf("no line to paste in\n%s", printed)
	}
	address, query, _ := strings.Cut(curl[1], "/consensus")
	nodes := regexp.MustCompile(`http://(localhost:\d+)`).FindAllStringSubmatch(printed, 3)
	if len(nodes) != 3 || address != nodes[0][1] {
		t.Fatalf("addresses %v, curl asks %s", nodes, address)
	}
	var first api.ConsensusReply
	for i, n := range nodes {
		r := askConsensus(t, "http://"+n[1]+"/consensus"+query+"&wait=all")
		if r.Prediction != 0 || r.Label != "setosa" || r.Status != "ok" || len(r.Votes) != 3 {
			t.Errorf("%s: %+v", n[1], r)
		}
		models := map[string]bool{}
		for _, v := range r.Votes {
			models[v.Model] = true
		}
		if len(models) != 3 {
			t.Errorf("%s: votes of %v", n[1], models)
		}
		if i == 0 {
			first = r
		} else if r.Roster != first.Roster || fmt.Sprint(r.Shares) != fmt.Sprint(first.Shares) {
			t.Errorf("%s sees roster %s and shares %v, another %s and %v", n[1], r.Roster, r.Shares, first.Roster, first.Shares)
		}
	}

	sameForAllOfIris(t, nodes)

	code, took := p.end(syscall.SIGINT)
	if code != 0 {
		t.Errorf("Ctrl-C: exit code %d\n%s", code, p.stderr)
	}
	if took > 3*time.Second {
		t.Errorf("Ctrl-C took %v", took)
	}
	if s := p.stderr.String(); strings.Contains(s, "level=ERROR") || strings.Contains(s, "panic") {
		t.Errorf("standard error:\n%s", s)
	}
}

// sameForAllOfIris holds that label, rule, shares and roster are equal whoever is asked.
func sameForAllOfIris(t *testing.T, nodes [][]string) {
	t.Helper()
	iris := ml.Iris()
	rows := make([][]float64, iris.Len())
	for i := range rows {
		rows[i] = iris.Row(i)
	}
	var first string
	for _, n := range nodes {
		c, err := api.NewClient(n[1], "")
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		r, err := c.ConsensusBatch(t.Context(), rows, api.ConsensusOptions{Wait: "all"})
		if err != nil {
			t.Fatal(err)
		}
		if len(r.Predictions) != len(rows) || r.Counted != 3 {
			t.Errorf("%s: %d rows, %d votes", n[1], len(r.Predictions), r.Counted)
		}
		what := fmt.Sprint(r.Labels, r.Rule, r.Roster, r.Evidence)
		for _, row := range r.Results {
			what += fmt.Sprint(row.Shares, row.Votes, row.Tie)
		}
		if first == "" {
			first = what
		} else if what != first {
			t.Errorf("%s answers otherwise than %s", n[1], nodes[0][1])
		}
	}
}

func askConsensus(t *testing.T, address string) api.ConsensusReply {
	t.Helper()
	resp, err := http.Get(address)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, _ := io.ReadAll(resp.Body)
	var r api.ConsensusReply
	if err := json.Unmarshal(body, &r); err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("%s: status %d, %s", address, resp.StatusCode, body)
	}
	return r
}

// trioForTest starts three nodes and returns the addresses that they print.
func trioForTest(t *testing.T) []string {
	t.Helper()
	printed := start(t, "up", "--ports", "0,0,0").until("Ctrl-C")
	addresses := regexp.MustCompile(`http://localhost:\d+`).FindAllString(printed, 3)
	if len(addresses) != 3 {
		t.Fatalf("addresses in\n%s", printed)
	}
	return addresses
}
