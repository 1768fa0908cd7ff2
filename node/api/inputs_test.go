package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"
)

var flower = []float64{5.1, 3.5, 1.4, 0.2}

func TestEveryFormOfInputIsUnderstood(t *testing.T) {
	batch := append(slices.Clone(flower), 6.7, 3, 5.2, 2.3)
	for _, c := range []struct {
		name, method, target, body string
		want                       []float64
	}{
		{"by position", "GET", "/predict?feature0=5.1&feature1=3.5&feature2=1.4&feature3=0.2", "", flower},
		{"by position in any order", "GET", "/predict?feature3=0.2&feature1=3.5&feature0=5.1&feature2=1.4", "", flower},
		{"by name", "GET", "/predict?sepal_length=5.1&sepal_width=3.5&petal_length=1.4&petal_width=0.2", "", flower},
		{"by name and position", "GET", "/predict?sepal_length=5.1&feature1=3.5&petal_length=1.4&feature3=0.2", "", flower},
		{"repeated", "GET", "/predict?features=5.1&features=3.5&features=1.4&features=0.2", "", flower},
		{"comma list", "GET", "/predict?features=5.1,3.5,1.4,0.2", "", flower},
		{"escaped comma list with spaces", "GET", "/predict?features=5.1%2C+3.5%2C%201.4%2C0.2", "", flower},
		{"exponents", "GET", "/predict?features=51e-1,.35e1,+1.4,2E-1", "", flower},
		{"a plus that nobody escaped", "GET", "/predict?features=0.51e+1,3.5,1.4,0.2", "", flower},
		{"pretty besides", "GET", "/predict?features=5.1,3.5,1.4,0.2&pretty=true", "", flower},
		{"empty pairs", "GET", "/predict?&features=5.1,3.5,1.4,0.2&&", "", flower},
		{"HEAD", "HEAD", "/predict?features=5.1,3.5,1.4,0.2", "", flower},
		{"JSON list", "POST", "/predict", `{"features":[5.1,3.5,1.4,0.2]}`, flower},
		{"JSON list with space", "POST", "/predict", " {\n \"features\" : [ 5.1 , 3.5,1.4 ,2e-1 ] }\n", flower},
		{"JSON by name", "POST", "/predict", `{"sepal_length":5.1,"sepal_width":3.5,"petal_length":1.4,"petal_width":0.2}`, flower},
		{"JSON by position", "POST", "/predict", `{"feature0":5.1,"feature1":3.5,"feature2":1.4,"feature3":0.2}`, flower},
		{"JSON with escapes in a key", "POST", "/predict", `{"\u0066eatures":[5.1,3.5,1.4,0.2]}`, flower},
		{"batch of lists", "POST", "/predict", `{"instances":[[5.1,3.5,1.4,0.2],[6.7,3,5.2,2.3]]}`, batch},
		{"batch of objects", "POST", "/predict", `{"instances":[{"sepal_length":5.1,"sepal_width":3.5,"petal_length":1.4,"petal_width":0.2},[6.7,3,5.2,2.3]]}`, batch},
		{"batch of one", "POST", "/consensus", `{"instances":[[5.1,3.5,1.4,0.2]],"method":"em"}`, flower},
		{"consensus by position", "GET", "/consensus?feature0=5.1&feature1=3.5&feature2=1.4&feature3=0.2&method=soft", "", flower},
	} {
		t.Run(c.name, func(t *testing.T) {
			var got []float64
			var rows int
			node := &fakeNode{
				predict: func(_ context.Context, x []float64, labels []int, _ []float64) error {
					got, rows = slices.Clone(x), len(labels)
					return nil
				},
				consensus: func(_ context.Context, q *Question) (Round, error) {
					got, rows = slices.Clone(q.Rows), q.N
					return &fakeRound{one: &ConsensusReply{}}, nil
				},
			}
			w := serve(newAPI(t, node), c.method, c.target, c.body)
			if w.Code != http.StatusOK {
				t.Fatalf("%d %s", w.Code, w.Body)
			}
			if !slices.Equal(got, c.want) || rows != len(c.want)/4 {
				t.Errorf("the node got %v as %d rows, want %v", got, rows, c.want)
			}
		})
	}
}

func TestBadInputIsRefusedInWordsBeforeAnybodyIsAsked(t *testing.T) {
	million := strings.Repeat("1,", 1_000_000) + "1"
	for _, c := range []struct {
		name, method, target, body string
		status                     int
		says                       []string
	}{
		{"nothing", "GET", "/predict", "", 400, []string{"no features", "4 numbers", "sepal_length"}},
		{"one missing", "GET", "/predict?feature0=5.1&feature1=3.5&feature3=0.2", "", 400, []string{"feature 2 (petal_length) is missing", "4 numbers"}},
		{"two missing", "GET", "/consensus?feature0=5.1&feature3=0.2", "", 400, []string{"feature 1 (sepal_width), feature 2 (petal_length) are missing"}},
		{"given twice", "GET", "/predict?feature0=5.1&feature0=5.2&feature1=3.5&feature2=1.4&feature3=0.2", "", 400, []string{"feature 0 (sepal_length) is given twice"}},
		{"given by position and by name", "GET", "/predict?feature0=5.1&sepal_length=5.1", "", 400, []string{"feature 0 (sepal_length) is given twice"}},
		{"empty", "GET", "/predict?feature0=&feature1=3.5&feature2=1.4&feature3=0.2", "", 400, []string{"feature 0 (sepal_length)", "is empty"}},
		{"nan", "GET", "/predict?feature0=nan&feature1=3.5&feature2=1.4&feature3=0.2", "", 400, []string{`"nan" is not finite`}},
		{"-inf", "GET", "/predict?features=5.1,-inf,1.4,0.2", "", 400, []string{"feature 1 (sepal_width)", `"-inf" is not finite`}},
		{"1e400", "GET", "/consensus?features=1e400,3.5,1.4,0.2", "", 400, []string{`"1e400" is too large`}},
		{"text", "GET", "/predict?features=wide,3.5,1.4,0.2", "", 400, []string{`"wide" is not a number`, "such as 5.1"}},
		{"a decimal comma", "GET", "/predict?feature0=5%2C1&feature1=3.5&feature2=1.4&feature3=0.2", "", 400, []string{"has a comma"}},
		{"hexadecimal", "GET", "/predict?features=0x1p2,3.5,1.4,0.2", "", 400, []string{"is not a number"}},
		{"list too long", "GET", "/predict?features=5.1,3.5,1.4,0.2,9", "", 400, []string{"features has 5 numbers", "wants 4"}},
		{"list too short", "GET", "/predict?features=5.1,3.5", "", 400, []string{"feature 2 (petal_length), feature 3 (petal_width) are missing"}},
		{"list and single", "GET", "/predict?features=5.1,3.5&feature2=1.4", "", 400, []string{"both as a list and one by one"}},
		{"feature4 of four", "GET", "/predict?feature4=1", "", 400, []string{"there is no feature4", "from 0 to 3"}},
		{"unknown parameter", "GET", "/predict?features=5.1,3.5,1.4,0.2&speed=9", "", 400, []string{`unknown parameter "speed"`, "sepal_length", "pretty"}},
		{"an option of a round at predict", "GET", "/predict?features=5.1,3.5,1.4,0.2&method=soft", "", 400, []string{`unknown parameter "method"`}},
		{"unknown method", "GET", "/consensus?features=5.1,3.5,1.4,0.2&method=dice", "", 400, []string{`method is "dice"`, "majority"}},
		{"em for one row", "GET", "/consensus?features=5.1,3.5,1.4,0.2&method=em", "", 400, []string{"batch"}},
		{"quorum zero", "GET", "/consensus?features=5.1,3.5,1.4,0.2&quorum=0", "", 400, []string{`quorum is "0"`, "1 to 256"}},
		{"quorum in words", "GET", "/consensus?features=5.1,3.5,1.4,0.2&quorum=two", "", 400, []string{"quorum"}},
		{"timeout too long", "GET", "/consensus?features=5.1,3.5,1.4,0.2&timeout=5s", "", 400, []string{"timeout is 5s", "within 3s"}},
		{"timeout in words", "GET", "/consensus?features=5.1,3.5,1.4,0.2&timeout=soon", "", 400, []string{"timeout", "800ms"}},
		{"negative timeout", "GET", "/consensus?features=5.1,3.5,1.4,0.2&timeout=-1s", "", 400, []string{"timeout"}},
		{"models empty", "GET", "/consensus?features=5.1,3.5,1.4,0.2&models=", "", 400, []string{"models"}},
		{"require half", "GET", "/consensus?features=5.1,3.5,1.4,0.2&require=half", "", 400, []string{"require", "full"}},
		{"wait for ever", "GET", "/consensus?features=5.1,3.5,1.4,0.2&wait=ever", "", 400, []string{"wait", "decided"}},
		{"minority perhaps", "GET", "/consensus?features=5.1,3.5,1.4,0.2&minority=perhaps", "", 400, []string{"minority", "true or false"}},
		{"an option twice", "GET", "/consensus?features=5.1,3.5,1.4,0.2&quorum=2&quorum=3", "", 400, []string{"quorum is given twice"}},
		{"a semicolon", "GET", "/predict?feature0=5.1;feature1=3.5", "", 400, []string{"semicolon"}},
		{"a broken escape", "GET", "/predict?feature0=%zz", "", 400, []string{"escape"}},
		{"features in the URL of a POST", "POST", "/predict?feature0=5.1", `{"features":[5.1,3.5,1.4,0.2]}`, 400, []string{"URL of a POST"}},
		{"empty body", "POST", "/predict", " ", 400, []string{"empty"}},
		{"not an object", "POST", "/predict", `[5.1,3.5,1.4,0.2]`, 400, []string{"not a JSON object"}},
		{"broken JSON", "POST", "/predict", `{"features":[5.1,3.5,1.4,0.2`, 400, []string{"ends too early"}},
		{"something after the JSON", "POST", "/predict", `{"features":[5.1,3.5,1.4,0.2]} x`, 400, []string{"not JSON", "the end"}},
		{"two objects", "POST", "/predict", `{"features":[5.1,3.5,1.4,0.2]}{}`, 400, []string{"the end"}},
		{"NaN in JSON", "POST", "/predict", `{"features":[NaN,3.5,1.4,0.2]}`, 400, []string{"feature 0 (sepal_length)", `"NaN" is not finite`}},
		{"1e400 in JSON", "POST", "/predict", `{"features":[1e400,3.5,1.4,0.2]}`, 400, []string{"feature 0 (sepal_length)", "too large"}},
		{"null", "POST", "/predict", `{"features":[null,3.5,1.4,0.2]}`, 400, []string{"null is not a number"}},
		{"text in JSON", "POST", "/predict", `{"features":["wide",3.5,1.4,0.2]}`, 400, []string{`"wide" is not a number`}},
		{"a number in quotes", "POST", "/predict", `{"features":["5.1",3.5,1.4,0.2]}`, 400, []string{"without quotes"}},
		{"a list in a list", "POST", "/predict", `{"features":[[5.1],3.5,1.4,0.2]}`, 400, []string{"[5.1] is not a number"}},
		{"too few in JSON", "POST", "/predict", `{"features":[5.1,3.5]}`, 400, []string{"features has 2 numbers", "wants 4"}},
		{"features is a number", "POST", "/predict", `{"features":5.1}`, 400, []string{"features must be a list"}},
		{"duplicate key", "POST", "/predict", `{"sepal_length":5.1,"sepal_length":5.2,"sepal_width":3.5,"petal_length":1.4,"petal_width":0.2}`, 400, []string{"given twice"}},
		{"features twice", "POST", "/predict", `{"features":[5.1,3.5,1.4,0.2],"features":[5.1,3.5,1.4,0.2]}`, 400, []string{"features is given twice"}},
		{"list and name in JSON", "POST", "/predict", `{"features":[5.1,3.5,1.4,0.2],"sepal_length":1}`, 400, []string{"both as a list"}},
		{"features and instances", "POST", "/predict", `{"features":[5.1,3.5,1.4,0.2],"instances":[[5.1,3.5,1.4,0.2]]}`, 400, []string{"instances alone"}},
		{"instances and features", "POST", "/predict", `{"instances":[[5.1,3.5,1.4,0.2]],"features":[5.1,3.5,1.4,0.2]}`, 400, []string{"instances alone"}},
		{"instances and one by name", "POST", "/predict", `{"instances":[[5.1,3.5,1.4,0.2]],"sepal_length":1}`, 400, []string{"instances alone"}},
		{"unknown key", "POST", "/predict", `{"features":[5.1,3.5,1.4,0.2],"speed":9}`, 400, []string{`unknown parameter "speed"`}},
		{"no rows", "POST", "/predict", `{"instances":[]}`, 400, []string{"no rows"}},
		{"a bad row", "POST", "/consensus", `{"instances":[[5.1,3.5,1.4,0.2],[5.1,3.5,1.4]]}`, 400, []string{"instances[1] has 3 numbers"}},
		{"a bad number in a row", "POST", "/consensus", `{"instances":[[5.1,3.5,1.4,0.2],[5.1,true,1.4,1]]}`, 400, []string{"instances[1], feature 1 (sepal_width): true is not a number"}},
		{"a row with a name missing", "POST", "/predict", `{"instances":[{"sepal_length":1}]}`, 400, []string{"instances[0]: feature 1 (sepal_width)", "are missing"}},
		{"a row with an unknown name", "POST", "/predict", `{"instances":[{"colour":1}]}`, 400, []string{"instances[0]", "colour"}},
		{"a row that is a number", "POST", "/predict", `{"instances":[1]}`, 400, []string{"instances[0] must be a list"}},
		{"instances is a number", "POST", "/predict", `{"instances":1}`, 400, []string{"instances must be a list"}},
		{"a bad option in JSON", "POST", "/consensus", `{"features":[5.1,3.5,1.4,0.2],"quorum":1.5}`, 400, []string{`quorum is "1.5"`}},
		{"a control character in a key", "POST", "/predict", "{\"a\x1b[31m\":1}", 400, []string{"not JSON"}},
		{"a million numbers", "POST", "/predict", `{"features":[` + million + `]}`, 413, []string{"65536 bytes"}},
		{"many numbers", "POST", "/predict", `{"features":[` + strings.Repeat("1,", 20_000) + `1]}`, 400, []string{"features has 20001 numbers"}},
		{"five megabytes", "POST", "/predict", strings.Repeat(" ", 5<<20), 413, []string{"larger than", "bytes"}},
		{"five megabytes of rows", "POST", "/consensus", `{"instances":[` + strings.Repeat("[5.1,3.5,1.4,0.2],", 300_000) + `[1,1,1,1]]}`, 413, []string{"fewer rows"}},
		{"rows without end", "POST", "/consensus", `{"instances":[` + strings.Repeat("[1,1,1,1],", 60_000) + `[1,1,1,1]]}`, 413, []string{"more than 50000 rows"}},
		{"brackets without end", "POST", "/predict", `{"features":[1,1,1,1,` + strings.Repeat("[", 20_000), 400, []string{"nested deeper"}},
		{"unknown path", "GET", "/predictions", "", 404, []string{"/predictions", "/predict"}},
		{"a slash too many", "GET", "/predict/", "", 404, []string{"nothing at"}},
		{"unknown method of HTTP", "DELETE", "/predict", "", 405, []string{"DELETE", "GET"}},
		{"a method that is none", "BREW", "/consensus", "", 405, []string{"BREW"}},
		{"unknown parameter elsewhere", "GET", "/members?deep=1", "", 400, []string{`unknown parameter "deep"`}},
		{"bad limit", "GET", "/rounds?limit=many", "", 400, []string{"limit"}},
		{"unknown round", "GET", "/rounds/01J", "", 404, []string{"01J", "/rounds"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			node := &fakeNode{}
			w := serve(newAPI(t, node), c.method, c.target, c.body)
			if w.Code != c.status {
				t.Fatalf("status is %d, want %d: %s", w.Code, c.status, w.Body)
			}
			p := problemIn(t, w)
			for _, s := range c.says {
				if !strings.Contains(p.Message, s) {
					t.Errorf("the sentence %q does not say %q", p.Message, s)
				}
			}
			if strings.ContainsAny(p.Message, "\x00\x1b\n") || len(p.Message) > 700 {
				t.Errorf("the sentence is not fit for a terminal: %q", p.Message)
			}
			if node.asked != 0 {
				t.Errorf("the node was asked all the same")
			}
			if c.status == 405 && w.Header().Get("Allow") == "" {
				t.Error("no Allow header")
			}
		})
	}
}

func TestTheContentTypeMustBeJSON(t *testing.T) {
	body := `{"features":[5.1,3.5,1.4,0.2]}`
	for contentType, want := range map[string]int{
		"application/json": 200, "application/json; charset=utf-8": 200, "application/vnd.iris+json": 200, "": 200,
		"text/plain": 415, "application/x-www-form-urlencoded": 415, "multipart/form-data; boundary=x": 415, "json": 415,
	} {
		w := serve(newAPI(t, &fakeNode{}), "POST", "/predict", body, func(r *http.Request) {
			r.Header.Set("Content-Type", contentType)
			if contentType == "" {
				r.Header.Del("Content-Type")
			}
		})
		if w.Code != want {
			t.Errorf("%q: %d, want %d", contentType, w.Code, want)
		}
		if want == 415 && !strings.Contains(problemIn(t, w).Message, "curl") {
			t.Errorf("%q: no remedy in %s", contentType, w.Body)
		}
	}
}

func TestOptionsReachTheNode(t *testing.T) {
	want := Question{
		Method: "soft", Quorum: 2, Timeout: 800 * time.Millisecond, Models: []string{"knn", "svm"},
		Full: true, Minority: true, Wait: WaitAll, N: 1,
	}
	query := "method=soft&quorum=2&timeout=800ms&models=knn,svm&require=full&minority=true&wait=all"
	for name, send := range map[string]func(*API) int{
		"in the query": func(a *API) int {
			return serve(a, "GET", "/consensus?features=5.1,3.5,1.4,0.2&"+query, "").Code
		},
		"in the URL of a POST": func(a *API) int {
			return serve(a, "POST", "/consensus?"+query, `{"features":[5.1,3.5,1.4,0.2]}`).Code
		},
		"in the body": func(a *API) int {
			return serve(a, "POST", "/consensus", `{"features":[5.1,3.5,1.4,0.2],"method":"soft","quorum":2,"timeout":0.8,`+
				`"models":["knn","svm"],"require":"full","minority":true,"wait":"all"}`).Code
		},
	} {
		t.Run(name, func(t *testing.T) {
			var got Question
			a := newAPI(t, &fakeNode{consensus: func(_ context.Context, q *Question) (Round, error) {
				got = *q
				return &fakeRound{one: &ConsensusReply{}}, nil
			}})
			if code := send(a); code != 200 {
				t.Fatal(code)
			}
			if !slices.Equal(got.Rows, flower) || got.RequestID == "" || got.Start.IsZero() {
				t.Errorf("%+v", got)
			}
			got.Rows, got.RequestID, got.Start = nil, "", time.Time{}
			if fmt.Sprint(got) != fmt.Sprint(want) {
				t.Errorf("got %+v, want %+v", got, want)
			}
		})
	}
}

func TestFeaturesNamedLikePositionsWinOverPositions(t *testing.T) {
	info := irisInfo()
	info.Features = []string{"feature1", "feature2"}
	var got []float64
	a := newAPI(t, &fakeNode{info: info, predict: func(_ context.Context, x []float64, _ []int, _ []float64) error {
		got = slices.Clone(x)
		return nil
	}})
	if w := serve(a, "GET", "/predict?feature1=10&feature2=20", ""); w.Code != 200 || !slices.Equal(got, []float64{10, 20}) {
		t.Errorf("%d %v %s", w.Code, got, w.Body)
	}
	if w := serve(a, "GET", "/predict?feature0=10&feature1=20", ""); w.Code != 400 {
		t.Errorf("feature0 was taken: %s", w.Body)
	}
}

func TestAnAwkwardFeatureNameIsEscaped(t *testing.T) {
	info := irisInfo()
	info.Features = []string{"size <m²>", "a&b=c"}
	var got []float64
	a := newAPI(t, &fakeNode{info: info, predict: func(_ context.Context, x []float64, _ []int, _ []float64) error {
		got = slices.Clone(x)
		return nil
	}})
	q := url.Values{"size <m²>": {"1"}, "a&b=c": {"2"}}
	if w := serve(a, "GET", "/predict?"+q.Encode(), ""); w.Code != 200 || !slices.Equal(got, []float64{1, 2}) {
		t.Errorf("%d %v %s", w.Code, got, w.Body)
	}
	if w := serve(a, "GET", "/predict?size+%3Cm%C2%B2%3E=1", ""); !strings.Contains(problemIn(t, w).Message, "feature 1 (a&b=c) is missing") {
		t.Errorf("%s", w.Body)
	}
}

func TestABodyThatBreaksOffIsTheClientsFault(t *testing.T) {
	w := serve(newAPI(t, &fakeNode{}), "POST", "/predict", "x", func(r *http.Request) { r.Body = brokenBody{} })
	if p := problemIn(t, w); w.Code != 400 || !strings.Contains(p.Message, "broke off") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

type brokenBody struct{}

func (brokenBody) Read([]byte) (int, error) { return 0, errors.New("gone") }
func (brokenBody) Close() error             { return nil }

func TestABatchOfManyLabelsHasFewerRows(t *testing.T) {
	info := irisInfo()
	info.Labels = make([]string, 1000)
	for i := range info.Labels {
		info.Labels[i] = fmt.Sprint(i)
	}
	a := newAPI(t, &fakeNode{info: info})
	rows := func(n int) string { return strings.TrimSuffix(strings.Repeat("[1,1,1,1],", n), ",") }
	flat := func(n int) string { return strings.TrimSuffix(strings.Repeat("1,1,1,1,", n), ",") }
	for n, want := range map[int]int{1000: 200, 1001: 413} {
		for target, body := range map[string]string{
			"/predict":                   `{"instances":[` + rows(n) + `]}`,
			"/consensus":                 `{"instances":[` + rows(n) + `]}`,
			"/v2/models/consensus/infer": fmt.Sprintf(`{"inputs":[{"name":"x","shape":[%d,4],"datatype":"FP64","data":[%s]}]}`, n, flat(n)),
		} {
			if w := serve(a, "POST", target, body); w.Code != want || want != 200 && !strings.Contains(w.Body.String(), "1000 rows") {
				t.Errorf("%d rows to %s: %d %.200s", n, target, w.Code, w.Body)
			}
		}
	}
}
