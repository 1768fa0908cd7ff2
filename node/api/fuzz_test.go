package api

import (
	"encoding/json"
	"errors"
	"math"
	"strings"
	"testing"
	"time"
)

func fuzzInput(s *schema, consensus bool) *input {
	in := new(input)
	in.reset(s, consensus)
	return in
}

// checkDecoded: what was decoded is whole and finite, and what was refused says so in a
// sentence that is fit for a terminal and is not our fault.
func checkDecoded(t *testing.T, in *input, err error) {
	t.Helper()
	if err == nil {
		err = in.check(3 * time.Second)
	}
	if err == nil {
		if in.q.N < 1 || len(in.q.Rows) != in.q.N*len(in.s.features) {
			t.Fatalf("%d rows with %d numbers", in.q.N, len(in.q.Rows))
		}
		for _, x := range in.q.Rows {
			if math.IsNaN(x) || math.IsInf(x, 0) {
				t.Fatalf("%v got through", x)
			}
		}
		return
	}
	var p *Problem
	if !errors.As(err, &p) || p.Status < 400 || p.Status > 499 {
		t.Fatalf("not the client's fault: %v", err)
	}
	for _, r := range p.Message {
		if r < ' ' || r == 0x7f {
			t.Fatalf("control character in %q", p.Message)
		}
	}
	if len(p.Message) > 2000 {
		t.Fatalf("%d bytes of complaint", len(p.Message))
	}
}

func FuzzQuery(f *testing.F) {
	for _, s := range []string{
		"feature0=5.1&feature1=3.5&feature2=1.4&feature3=0.2", "features=5.1,3.5,1.4,0.2", "sepal_length=%35.1&a;b",
		"features=nan&features=1e400", "method=soft&quorum=2&timeout=1e9&models=a,,b&wait=all", "%", "=&=&", "features=1e+3,+1,-0,.5",
	} {
		f.Add(s)
	}
	s := newSchema(irisInfo().Features)
	f.Fuzz(func(t *testing.T, raw string) {
		in := fuzzInput(s, true)
		checkDecoded(t, in, in.query(raw, true))
	})
}

func FuzzJSON(f *testing.F) {
	for _, s := range []string{
		`{"features":[5.1,3.5,1.4,0.2]}`, `{"instances":[[1,2,3,4],{"sepal_length":1}],"method":"em"}`, `{"a":[[[{}]]]}`,
		`{"sepal_length":1e400}`, `{"features":["\ud800",null,NaN,-]}`, "{\"\x00\":1}", `{"models":["knn",1]}`, `{}{}`,
	} {
		f.Add([]byte(s))
	}
	s := newSchema(irisInfo().Features)
	f.Fuzz(func(t *testing.T, body []byte) {
		in := fuzzInput(s, true)
		in.body = append(in.body, body...)
		err := in.json()
		checkDecoded(t, in, err)
		if err == nil && !json.Valid(body) {
			t.Fatalf("taken, but not JSON: %q", body)
		}
	})
}

// FuzzScan holds the scanner against encoding/json.
func FuzzScan(f *testing.F) {
	for _, s := range []string{`{}`, `[1,2.5e-3,"\u00e9\n"]`, `-0`, `01`, `1.`, `"a`, "\"\xff\"", ` [ ] `, `tru`, `{"a":{"b":[null,true,false]}}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if strings.Count(string(b), "[")+strings.Count(string(b), "{") > maxDepth {
			return // deeper than we go
		}
		s := scanner{b: b}
		_, err := s.skip(0)
		if err == nil {
			err = s.end()
		}
		if ours, theirs := err == nil, json.Valid(b); ours != theirs {
			t.Fatalf("%q: ours %v (%v), encoding/json %v", b, ours, err, theirs)
		}
	})
}
