package api

import (
	"fmt"
	"net/http"
	"reflect"
	"strings"
	"testing"
)

func TestLabelsAreRead(t *testing.T) {
	row := []float64{5.1, 3.5, 1.4, 0.2}
	two := append(append([]float64{}, row...), 6.3, 2.8, 5.1, 1.5)
	for name, c := range map[string]struct {
		body string
		want Labels
	}{
		"of a round":        {`{"round":"01JQZ8V5M3K4N6P7R8S9T0V1W2","label":"virginica"}`, Labels{Round: "01JQZ8V5M3K4N6P7R8S9T0V1W2", Rows: []float64{}, Labels: []int{2}}},
		"of a row":          {`{"features":[5.1,3.5,1.4,0.2],"label":"setosa"}`, Labels{Rows: row, Labels: []int{0}}},
		"label before":      {`{"label":"setosa","features":[5.1,3.5,1.4,0.2]}`, Labels{Rows: row, Labels: []int{0}}},
		"of a row by name":  {`{"sepal_width":3.5,"petal_length":1.4,"label":"setosa","sepal_length":5.1,"petal_width":0.2}`, Labels{Rows: row, Labels: []int{0}}},
		"of many rows":      {`{"instances":[[5.1,3.5,1.4,0.2],[6.3,2.8,5.1,1.5]],"labels":["setosa","virginica"]}`, Labels{Rows: two, Labels: []int{0, 2}}},
		"labels before":     {`{"labels":["setosa"],"instances":[[5.1,3.5,1.4,0.2]]}`, Labels{Rows: row, Labels: []int{0}}},
		"of a row, spaced ": {" {\n \"features\" : [5.1, 3.5, 1.4, 0.2] , \"label\" : \"set\\u006fsa\" } ", Labels{Rows: row, Labels: []int{0}}},
	} {
		t.Run(name, func(t *testing.T) {
			var got *Labels
			node := &fakeNode{feedback: func(q *Labels) (*FeedbackReply, error) {
				copied := *q
				copied.Rows = append([]float64{}, q.Rows...) // they belong to the caller
				got = &copied
				return &FeedbackReply{Rows: []FeedbackRow{}}, nil
			}}
			w := serve(newAPI(t, node), "POST", "/feedback", c.body)
			if w.Code != http.StatusOK {
				t.Fatal(w.Body)
			}
			if got.RequestID == "" {
				t.Error("no request id")
			}
			got.RequestID = ""
			if !reflect.DeepEqual(*got, c.want) {
				t.Errorf("%+v, want %+v", *got, c.want)
			}
		})
	}
}

func TestNumbersDoAsLabelsWhereNamesAreNumbers(t *testing.T) {
	info := irisInfo()
	info.Labels = []string{"1", "2", "3"}
	var got []int
	node := &fakeNode{info: info, feedback: func(q *Labels) (*FeedbackReply, error) {
		got = q.Labels
		return &FeedbackReply{}, nil
	}}
	if w := serve(newAPI(t, node), "POST", "/feedback", `{"features":[1,2,3,4],"label":3}`); w.Code != 200 || len(got) != 1 || got[0] != 2 {
		t.Errorf("%v %s", got, w.Body)
	}
}

func TestLabelsThatCannotBeTakenAreRefused(t *testing.T) {
	const features = `"features":[5.1,3.5,1.4,0.2]`
	for name, c := range map[string]struct{ body, says string }{
		"nothing":              {``, "not a JSON object"},
		"a list":               {`[]`, "not a JSON object"},
		"nothing labelled":     {`{"label":"setosa"}`, "does not say what is labelled"},
		"no label":             {`{` + features + `}`, "the label is missing"},
		"no labels":            {`{"instances":[[1,2,3,4]],"label":"setosa"}`, "the label is missing"},
		"both":                 {`{` + features + `,"label":"setosa","labels":["setosa"]}`, "both given"},
		"two things":           {`{"round":"x",` + features + `,"label":"setosa"}`, "more than one thing"},
		"row and rows":         {`{` + features + `,"instances":[[1,2,3,4]],"labels":["setosa"]}`, "instances"},
		"an unknown label":     {`{` + features + `,"label":"rose"}`, `label is "rose", which is no label of this task; its labels are setosa, versicolor, virginica`},
		"an index for a label": {`{` + features + `,"label":0}`, `label is "0", which is no label`},
		"null for a label":     {`{` + features + `,"label":null}`, "give its name"},
		"a label twice":        {`{` + features + `,"label":"setosa","label":"setosa"}`, "label is given twice"},
		"features twice":       {`{` + features + `,` + features + `,"label":"setosa"}`, "features is given twice"},
		"too few features":     {`{"features":[1,2],"label":"setosa"}`, "2 numbers"},
		"a missing feature":    {`{"sepal_length":1,"label":"setosa"}`, "missing"},
		"mixed":                {`{` + features + `,"sepal_length":1,"label":"setosa"}`, "both as a list and one by one"},
		"mixed, the other way": {`{"sepal_length":1,` + features + `,"label":"setosa"}`, "both as a list and one by one"},
		"no number":            {`{"features":[1,2,3,"x"],"label":"setosa"}`, `"x"`},
		"an unknown member":    {`{` + features + `,"label":"setosa","who":1}`, `unknown member "who"`},
		"more rows":            {`{"instances":[[1,2,3,4],[1,2,3,4]],"labels":["setosa"]}`, "2 instances and 1 labels"},
		"an empty round":       {`{"round":"","label":"setosa"}`, "round is empty"},
		"no rows":              {`{"instances":[],"labels":[]}`, "no rows"},
		"the wrong one of two": {`{"instances":[[1,2,3,4],[1,2,3,4]],"labels":["setosa","rose"]}`, `labels[1] is "rose"`},
		"cut off":              {`{"features":[1,2,3,4],"lab`, "JSON"},
		"more behind":          {`{` + features + `,"label":"setosa"} {}`, "the end"},
	} {
		t.Run(name, func(t *testing.T) {
			node := &fakeNode{}
			w := serve(newAPI(t, node), "POST", "/feedback", c.body)
			p := problemIn(t, w)
			if w.Code != http.StatusBadRequest || node.asked > 0 {
				t.Errorf("%d: %s", w.Code, p.Message)
			}
			if !strings.Contains(p.Message, c.says) && name != "cut off" {
				t.Errorf("it says %q, not %q", p.Message, c.says)
			}
		})
	}
	labels := strings.TrimSuffix(strings.Repeat(`"setosa",`, 1001), ",")
	rows := strings.TrimSuffix(strings.Repeat(`[1,2,3,4],`, 1001), ",")
	w := serve(newAPI(t, &fakeNode{}), "POST", "/feedback", fmt.Sprintf(`{"instances":[%s],"labels":[%s]}`, rows, labels))
	if p := problemIn(t, w); w.Code != http.StatusRequestEntityTooLarge || !strings.Contains(p.Message, "1000") {
		t.Errorf("%d %s", w.Code, p.Message)
	}
	if w := serve(newAPI(t, &fakeNode{}), "POST", "/feedback?x=1", `{}`); w.Code != http.StatusBadRequest {
		t.Errorf("an unknown parameter gets %d", w.Code)
	}
	if w := serve(newAPI(t, &fakeNode{}), "GET", "/feedback", ""); w.Code != http.StatusMethodNotAllowed || w.Header().Get("Allow") != "POST" {
		t.Errorf("GET gets %d, Allow %q", w.Code, w.Header().Get("Allow"))
	}
}

func TestReviewIsLimited(t *testing.T) {
	a := newAPI(t, &fakeNode{})
	for query, want := range map[string]int{"": 200, "?limit=1": 200, "?limit=0": 400, "?limit=x": 400, "?limit=1&limit=2": 400, "?a=1": 400} {
		if w := serve(a, "GET", "/review"+query, ""); w.Code != want {
			t.Errorf("%q gets %d", query, w.Code)
		}
	}
	if w := serve(a, "GET", "/review?limit=1", ""); strings.Count(w.Body.String(), `"round":`) != 1 {
		t.Error(w.Body)
	}
}

func FuzzLabels(f *testing.F) {
	f.Add(`{"features":[5.1,3.5,1.4,0.2],"label":"setosa"}`)
	f.Add(`{"instances":[[5.1,3.5,1.4,0.2]],"labels":["setosa"]}`)
	f.Add(`{"round":"01JQZ8V5M3K4N6P7R8S9T0V1W2","label":0}`)
	schema, names := newSchema(irisInfo().Features), irisInfo().Labels
	f.Fuzz(func(t *testing.T, body string) {
		var in input
		in.reset(schema, false)
		in.body = append(in.body, body...)
		q, err := in.labels(names)
		if err != nil {
			return
		}
		if len(q.Labels) == 0 || q.Round == "" && len(q.Rows) != 4*len(q.Labels) || q.Round != "" && (len(q.Labels) != 1 || len(q.Rows) > 0) {
			t.Errorf("%q came out as %+v", body, q)
		}
	})
}
