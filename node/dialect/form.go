package dialect

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
)

// Form is one way of putting rows to a model server. A new dialect is a new entry in
// the table below; answers need no entry, since one reader knows all of their shapes.
type Form struct {
	// Name is what people see of it, such as "GET feature0=".
	Name string
	// Batch: one request may carry many rows.
	Batch bool

	place place
	query func(t *Target, row []float64) string                   // of a GET; nil: it is a POST
	body  func(t *Target, rows [][]float64) any                   // of a POST, as JSON
	names func(features []string) []string                        // how the features are spelt; nil: does not matter
	learn func(ctx context.Context, c *Client, t Target) []Target // what must be asked of the server first; nil: nothing
}

// forms returns every form, the likeliest first: the order in which an unknown server
// is tried. The first is that of the old Flask apps and of our own nodes. Of 37 public
// repositories of the exercise most that use the query number the features, and 12 name them.
func forms() []Form {
	return []Form{
		{Name: "GET feature0=", place: predict, query: counted("feature", 0)},
		{Name: "GET by name", place: predict, query: named, names: asTheyAre},
		{Name: "GET byName", place: predict, query: named, names: camel},
		{Name: "GET by initials", place: predict, query: named, names: initials},
		{Name: "GET features= repeated", place: predict, query: repeated},
		{Name: "GET features= list", place: predict, query: listed},
		{Name: "GET feature1=", place: predict, query: counted("feature", 1)},
		{Name: "GET f1=", place: predict, query: counted("f", 1)},
		{Name: "GET f0=", place: predict, query: counted("f", 0)},
		{Name: "POST features", place: predict, body: func(_ *Target, rows [][]float64) any { return map[string]any{"features": rows[0]} }},
		{Name: "POST by name", place: predict, body: byName, names: asTheyAre},
		{Name: "POST byName", place: predict, body: byName, names: camel},
		{Name: "POST by initials", place: predict, body: byName, names: initials},
		{Name: "POST data", Batch: true, place: predict, body: rowsUnder("data")},
		{Name: "POST instances", Batch: true, place: predict, body: rowsUnder("instances")},
		{Name: "POST features rows", Batch: true, place: predict, body: rowsUnder("features")},
		{Name: "MLflow inputs", Batch: true, place: invocations, body: rowsUnder("inputs")},
		{Name: "MLflow dataframe_split", Batch: true, place: invocations, body: dataframe, names: asTheyAre},
		{Name: "MLflow dataframe_split (cm)", Batch: true, place: invocations, body: dataframe, names: scikit},
		{Name: "TF Serving instances", Batch: true, place: serving, body: rowsUnder("instances")},
		{Name: "Open Inference Protocol", Batch: true, place: infer, body: tensors, learn: learnTensors},
	}
}

// request builds the question. rows must be of the task; it is not kept.
func (f Form) request(ctx context.Context, t *Target, rows [][]float64) (*http.Request, error) {
	u := *t.Base
	u.Path = t.path
	if u.Path == "" {
		u.Path = f.place(t)[0]
	}
	if f.query != nil {
		u.RawQuery = f.query(t, rows[0])
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
		if err != nil {
			return nil, fmt.Errorf("cannot ask %s: %w", u.Redacted(), err)
		}
		return req, nil
	}
	b, err := json.Marshal(f.body(t, rows))
	if err != nil {
		return nil, fmt.Errorf("cannot write the question to %s: %w", u.Redacted(), err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, u.String(), strings.NewReader(string(b)))
	if err != nil {
		return nil, fmt.Errorf("cannot ask %s: %w", u.Redacted(), err)
	}
	req.Header.Set("Content-Type", "application/json")
	return req, nil
}

// method is the HTTP method of the form.
func (f Form) method() string {
	if f.query != nil {
		return http.MethodGet
	}
	return http.MethodPost
}

// place says under which paths a form may be served, the likeliest first; none if what was
// typed is the path of another form.
type place func(t *Target) []string

// The paths that belong to one kind of server. Who types one of them means it.
const (
	predictPath     = "/predict"
	invocationsPath = "/invocations"
	servingPath     = "/v1/models/"
	inferPath       = "/v2/models/"
)

// special reports whether the typed path is that of a server with a protocol of its own.
func special(path string) bool {
	path = strings.TrimRight(path, "/")
	return strings.HasSuffix(path, invocationsPath) || strings.Contains(path, servingPath) || strings.Contains(path, inferPath)
}

// predict is /predict below what was typed, or what was typed: /classify is a path too. /predict/
// with its slash is meant as it stands, but many a slash is typed by habit.
func predict(t *Target) []string {
	p := t.Base.Path
	switch {
	case p == "":
		return []string{predictPath}
	case special(p):
		return nil
	case strings.HasSuffix(p, predictPath+"/"):
		return []string{p, strings.TrimRight(p, "/")}
	}
	bare := strings.TrimRight(p, "/")
	if bare != p {
		return []string{bare + predictPath, p, bare}
	}
	return []string{bare + predictPath, p}
}

func invocations(t *Target) []string {
	p := t.Base.Path
	switch {
	case strings.HasSuffix(strings.TrimRight(p, "/"), invocationsPath):
		return []string{p}
	case special(p):
		return nil
	}
	return []string{rootOf(t.Base) + invocationsPath}
}

func serving(t *Target) []string {
	p := t.Base.Path
	switch {
	case strings.Contains(p, servingPath) && strings.HasSuffix(p, ":predict"):
		return []string{p}
	case strings.Contains(p, servingPath):
		return []string{p + ":predict"}
	case special(p):
		return nil
	}
	root := rootOf(t.Base)
	paths := []string{root + servingPath + "model:predict"}
	if name := t.Task.Name; name != "" && name != "model" {
		paths = append([]string{root + servingPath + name + ":predict"}, paths...)
	}
	return paths
}

func infer(t *Target) []string {
	p := t.Base.Path
	switch {
	case strings.Contains(p, inferPath):
		return []string{strings.TrimSuffix(p, "/infer") + "/infer"}
	case special(p):
		return nil
	}
	return []string{rootOf(t.Base) + inferPath + t.Task.Name + "/infer"}
}

// The ways of writing a row into a query. Values go in order and without rounding.

func counted(prefix string, from int) func(*Target, []float64) string {
	return func(_ *Target, row []float64) string {
		var q strings.Builder
		for i, x := range row {
			param(&q, prefix+strconv.Itoa(i+from), x)
		}
		return q.String()
	}
}

func named(t *Target, row []float64) string {
	var q strings.Builder
	for i, name := range t.spelt() {
		param(&q, name, row[i])
	}
	return q.String()
}

func repeated(_ *Target, row []float64) string {
	var q strings.Builder
	for _, x := range row {
		param(&q, "features", x)
	}
	return q.String()
}

func listed(_ *Target, row []float64) string {
	texts := make([]string, len(row))
	for i, x := range row {
		texts[i] = strconv.FormatFloat(x, 'g', -1, 64)
	}
	return "features=" + url.QueryEscape(strings.Join(texts, ","))
}

func param(q *strings.Builder, name string, x float64) {
	if q.Len() > 0 {
		q.WriteByte('&')
	}
	q.WriteString(url.QueryEscape(name))
	q.WriteByte('=')
	// 'g' may write e+20, whose plus must be escaped.
	q.WriteString(url.QueryEscape(strconv.FormatFloat(x, 'g', -1, 64)))
}

// The ways of writing rows into a body.

func rowsUnder(key string) func(*Target, [][]float64) any {
	return func(_ *Target, rows [][]float64) any { return map[string]any{key: rows} }
}

func byName(t *Target, rows [][]float64) any {
	body := make(map[string]float64, len(rows[0]))
	for i, name := range t.spelt() {
		body[name] = rows[0][i]
	}
	return body
}

func dataframe(t *Target, rows [][]float64) any {
	return map[string]any{"dataframe_split": map[string]any{"columns": t.spelt(), "data": rows}}
}
