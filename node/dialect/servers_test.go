package dialect

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
)

// flower is the model of all test servers: good enough to tell the three apart.
func flower(x []float64) int {
	switch {
	case x[2] < 2.5:
		return 0
	case x[3] < 1.7:
		return 1
	}
	return 2
}

// flowers are rows of all three, and what flower says of them.
var (
	flowers = [][]float64{{5.1, 3.5, 1.4, 0.2}, {6.4, 3.2, 4.5, 1.5}, {6.3, 3.3, 6.0, 2.5}, {4.9, 3.0, 1.4, 0.2}, {7.0, 3.2, 4.7, 1.4}}
	kinds   = []int{0, 1, 2, 0, 1}
)

// shares of a row: nine tenths for its label.
func shares(y int) []float64 {
	p := []float64{0.05, 0.05, 0.05}
	p[y] = 0.9
	return p
}

// queryModel is a server that reads its four features under these names, and fails without them.
func queryModel(names [4]string, answer func(y int) any) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet || r.URL.Path != "/predict" {
			http.NotFound(w, r)
			return
		}
		x := make([]float64, 4)
		for i, name := range names {
			v, err := strconv.ParseFloat(r.URL.Query().Get(name), 64)
			if err != nil {
				w.WriteHeader(http.StatusBadRequest)
				fmt.Fprintf(w, `{"error":"%s is missing"}`, name)
				return
			}
			x[i] = v
		}
		reply(w, answer(flower(x)))
	}
}

// bodyModel is a server that reads JSON at a path; read returns nil if it is not what it wants.
func bodyModel(path string, read func(body map[string]any) [][]float64, answer func(ys []int) any) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != path {
			http.NotFound(w, r)
			return
		}
		if r.Method != http.MethodPost {
			w.WriteHeader(http.StatusMethodNotAllowed)
			return
		}
		var body map[string]any
		if json.NewDecoder(r.Body).Decode(&body) != nil || r.Header.Get("Content-Type") != "application/json" {
			w.WriteHeader(http.StatusUnsupportedMediaType)
			return
		}
		rows := read(body)
		if rows == nil {
			w.WriteHeader(http.StatusInternalServerError) // KeyError
			return
		}
		ys := make([]int, len(rows))
		for i, x := range rows {
			ys[i] = flower(x)
		}
		reply(w, answer(ys))
	}
}

func reply(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v)
}

// matrix reads rows of four numbers, or nil.
func matrix(v any) [][]float64 {
	list, ok := v.([]any)
	if !ok || len(list) == 0 {
		return nil
	}
	var rows [][]float64
	for _, item := range list {
		x := vector(item)
		if x == nil {
			return nil
		}
		rows = append(rows, x)
	}
	return rows
}

func vector(v any) []float64 {
	list, ok := v.([]any)
	if !ok || len(list) != 4 {
		return nil
	}
	x := make([]float64, 4)
	for i := range list {
		if x[i], ok = list[i].(float64); !ok {
			return nil
		}
	}
	return x
}

func under(key string) func(map[string]any) [][]float64 {
	return func(body map[string]any) [][]float64 { return matrix(body[key]) }
}

func oneUnder(key string) func(map[string]any) [][]float64 {
	return func(body map[string]any) [][]float64 {
		if x := vector(body[key]); x != nil {
			return [][]float64{x}
		}
		return nil
	}
}

func byNames(names ...string) func(map[string]any) [][]float64 {
	return func(body map[string]any) [][]float64 {
		x := make([]float64, 4)
		for i, n := range names {
			var ok bool
			if x[i], ok = body[n].(float64); !ok {
				return nil
			}
		}
		return [][]float64{x}
	}
}

func frame(columns ...string) func(map[string]any) [][]float64 {
	return func(body map[string]any) [][]float64 {
		split, _ := body["dataframe_split"].(map[string]any)
		got, _ := split["columns"].([]any)
		if !slices.Equal(got, asAny(columns)) {
			return nil
		}
		return matrix(split["data"])
	}
}

// The ways of answering one row and several.
var (
	asPrediction = func(y int) any { return map[string]any{"prediction": y} }
	asFirst      = func(ys []int) any { return map[string]any{"prediction": ys[0]} }
	asList       = func(ys []int) any { return map[string]any{"predictions": ys} }
	asNames      = func(ys []int) any {
		out := make([]string, len(ys))
		for i, y := range ys {
			out[i] = "Iris-" + iris.Labels[y]
		}
		return map[string]any{"prediction": out}
	}
	asShares = func(ys []int) any {
		out := make([][]float64, len(ys))
		for i, y := range ys {
			out[i] = shares(y)
		}
		return map[string]any{"predictions": out}
	}
)

// repeatedModel reads features=, repeated or as a list.
func repeatedModel(list bool) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		texts := r.URL.Query()["features"]
		if list && len(texts) == 1 {
			texts = strings.Split(texts[0], ",")
		} else if list {
			texts = nil
		}
		x := make([]float64, len(texts))
		for i, s := range texts {
			var err error
			if x[i], err = strconv.ParseFloat(s, 64); err != nil {
				texts = nil
				break
			}
		}
		if len(texts) != 4 || r.URL.Path != "/predict" {
			http.Error(w, "Bad Request", http.StatusBadRequest)
			return
		}
		reply(w, []int{flower(x)})
	}
}

// triton is a server of the Open Inference Protocol with one model called flowers.
func triton(perFeature bool, answer func(ys []int) any) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		switch r.Method + " " + r.URL.Path {
		case "POST /v2/repository/index":
			reply(w, []any{map[string]any{"name": "flowers", "state": "READY"}})
		case "GET /v2/models/flowers":
			inputs := []any{map[string]any{"name": "X", "datatype": "FP32", "shape": []int{-1, 4}}}
			if perFeature {
				inputs = nil
				for _, i := range []int{2, 0, 3, 1} { // in an order of its own
					inputs = append(inputs, map[string]any{"name": iris.Features[i], "datatype": "FP32", "shape": []int{-1, 1}})
				}
			}
			reply(w, map[string]any{"name": "flowers", "inputs": inputs})
		case "POST /v2/models/flowers/infer":
			var q struct {
				Inputs []struct {
					Name, Datatype string
					Shape          []int
					Data           []float64
				}
			}
			if json.NewDecoder(r.Body).Decode(&q) != nil || len(q.Inputs) == 0 || q.Inputs[0].Datatype != "FP32" {
				w.WriteHeader(http.StatusBadRequest)
				return
			}
			n := q.Inputs[0].Shape[0]
			rows := make([][]float64, n)
			for i := range rows {
				rows[i] = make([]float64, 4)
				for _, in := range q.Inputs {
					if !perFeature {
						if in.Name != "X" || !slices.Equal(in.Shape, []int{n, 4}) {
							w.WriteHeader(http.StatusBadRequest)
							return
						}
						copy(rows[i], in.Data[4*i:])
						continue
					}
					rows[i][slices.Index(iris.Features, in.Name)] = in.Data[i]
				}
			}
			ys := make([]int, n)
			for i := range rows {
				ys[i] = flower(rows[i])
			}
			reply(w, answer(ys))
		default:
			http.NotFound(w, r)
		}
	}
}

func tritonShares(ys []int) any {
	var flat []float64
	for _, y := range ys {
		flat = append(flat, shares(y)...)
	}
	return map[string]any{"model_name": "flowers", "outputs": []any{
		map[string]any{"name": "label", "datatype": "INT64", "shape": []int{len(ys)}, "data": ys},
		map[string]any{"name": "probabilities", "datatype": "FP32", "shape": []int{len(ys), 3}, "data": flat},
	}}
}

func tritonNames(ys []int) any {
	rows := make([][]string, len(ys))
	for i, y := range ys {
		rows[i] = []string{iris.Labels[y]}
	}
	return map[string]any{"model_name": "flowers", "outputs": []any{map[string]any{"name": "predict", "datatype": "BYTES", "shape": []int{len(ys), 1}, "data": rows}}}
}

// serve starts a server and counts its requests.
func serve(t *testing.T, h http.Handler) (*httptest.Server, *atomic.Int64) {
	t.Helper()
	var n atomic.Int64
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n.Add(1)
		h.ServeHTTP(w, r)
	}))
	t.Cleanup(srv.Close)
	return srv, &n
}

// before returns an upstream for what was typed. It ends with the test, before its server does.
func before(t *testing.T, typed string, change ...func(*UpstreamConfig)) *Upstream {
	t.Helper()
	cfg := UpstreamConfig{URL: typed}
	for _, c := range change {
		c(&cfg)
	}
	u, err := NewUpstream(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(u.Close)
	return u
}

// flat lays rows end to end.
func flat(rows [][]float64) []float64 { return slices.Concat(rows...) }

// predictAll asks about all flowers at once.
func predictAll(t *testing.T, u *Upstream) (labels []int, probs []float64, gave bool, err error) {
	t.Helper()
	labels, probs = make([]int, len(flowers)), make([]float64, 3*len(flowers))
	gave, err = u.PredictRows(t.Context(), flat(flowers), labels, probs)
	return labels, probs, gave, err
}
