package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"
)

// taskNode is a fakeNode whose card names its task.
type taskNode struct {
	*fakeNode
	task string
}

func (n taskNode) Card() *CardReply { return &CardReply{ID: "k3f", Task: TaskReply{Name: n.task}} }

func newOIP(t testing.TB, node *fakeNode, change ...func(*Config)) *API {
	t.Helper()
	change = append([]func(*Config){func(cfg *Config) { cfg.Node = taskNode{node, "iris"} }}, change...)
	return newAPI(t, node, change...)
}

const (
	irisInfer      = "/v2/models/iris/infer"
	consensusInfer = "/v2/models/consensus/infer"
)

func TestEveryShapeOfTensorsBecomesRows(t *testing.T) {
	two := append(slices.Clone(flower), 6.7, 3, 5.2, 2.3)
	columns := `{"name":"sepal_length","shape":[2],"datatype":"FP64","data":[5.1,6.7]},
		{"name":"sepal_width","shape":[2,1],"datatype":"FP32","data":[3.5,3]},
		{"name":"petal_width","shape":[2,1],"datatype":"FP64","data":[[0.2],[2.3]]},
		{"name":"feature2","shape":[2],"datatype":"FP64","data":[[1.4],[5.2]]}`
	for _, c := range []struct {
		name, body string
		want       []float64
	}{
		{"flat", `{"inputs":[{"name":"input-0","shape":[1,4],"datatype":"FP64","data":[5.1,3.5,1.4,0.2]}]}`, flower},
		{"nested", `{"inputs":[{"name":"input-0","shape":[2,4],"datatype":"FP32","data":[[5.1,3.5,1.4,0.2],[6.7,3,5.2,2.3]]}]}`, two},
		{"flat rows follow one another", `{"inputs":[{"name":"x","shape":[2,4],"datatype":"FP64","data":[5.1,3.5,1.4,0.2,6.7,3,5.2,2.3]}]}`, two},
		{"one row without its dimension", `{"inputs":[{"name":"x","shape":[4],"datatype":"FP64","data":[5.1,3.5,1.4,0.2]}]}`, flower},
		{"data before shape, as MLServer's guide writes it", `{"inputs":[{"name":"foo","parameters":{"content_type":"np"},"data":[5.1,3.5,1.4,0.2],"datatype":"FP64","shape":[1,4]}]}`, flower},
		{"a data frame by columns", `{"parameters":{"content_type":"pd"},"inputs":[` + columns + `]}`, two},
		{"a data frame with scikit-learn's columns, as MLServer's codec sends it", `{"parameters":{"content_type":"pd"},"inputs":[
			{"name":"sepal length (cm)","shape":[2,1],"datatype":"FP64","parameters":{"content_type":"np"},"data":[5.1,6.7]},
			{"name":"sepal width (cm)","shape":[2,1],"datatype":"FP64","data":[3.5,3]},
			{"name":"petal length (cm)","shape":[2,1],"datatype":"FP64","data":[1.4,5.2]},
			{"name":"petal width (cm)","shape":[2,1],"datatype":"FP64","data":[0.2,2.3]}]}`, two},
		{"columns of several types", `{"inputs":[{"name":"Petal-Width","shape":[1,1],"datatype":"INT64","data":[[2]]},{"name":"petal.length","shape":[1],"datatype":"FP32","data":[1.5]},
			{"name":"SEPAL WIDTH","shape":[1],"datatype":"UINT8","data":[3]},{"name":"sepal_length","shape":[1],"datatype":"FP16","data":[5.5]}]}`, []float64{5.5, 3, 1.5, 2}},
		{"content type of the whole request, as MLServer has it", `{"id":"a","parameters":{"content_type":"np","headers":{"accept":"*/*"}},"inputs":[{"name":"predict","shape":[2,4],"datatype":"FP32","data":[[5.1,3.5,1.4,0.2],[6.7,3,5.2,2.3]],"parameters":{"content_type":"np"}}],"outputs":[{"name":"predict"}]}`, two},
		{"Triton's priority, and an output with the classes", `{"id":"b","parameters":{"priority":3,"timeout":900000},"inputs":[{"name":"INPUT__0","shape":[1,4],"datatype":"FP64","data":[5.1,3.5,1.4,0.2],"parameters":{"binary_data":false}}],
			"outputs":[{"name":"predict_proba","parameters":{"classification":3,"binary_data":true}}]}`, flower},
		{"whole numbers", `{"inputs":[{"name":"x","shape":[1,4],"datatype":"INT32","data":[5,3,-1,0]}]}`, []float64{5, 3, -1, 0}},
		{"whole numbers with exponents", `{"inputs":[{"name":"x","shape":[1,4],"datatype":"UINT64","data":[5e0,30e-1,1,0]}]}`, []float64{5, 3, 1, 0}},
		{"bool columns", `{"inputs":[{"name":"feature0","shape":[1],"datatype":"BOOL","data":[true]},{"name":"feature1","shape":[1],"datatype":"BOOL","data":[false]},
			{"name":"feature2","shape":[1],"datatype":"BOOL","data":[1]},{"name":"feature3","shape":[1],"datatype":"INT8","data":[-128]}]}`, []float64{1, 0, 1, -128}},
		{"a whole row under a feature's name", `{"inputs":[{"name":"sepal_length","shape":[1,4],"datatype":"FP64","data":[5.1,3.5,1.4,0.2]}]}`, flower},
		{"Triton's parameters and a body's own model name", `{"model_name":"mymodel","id":"42","parameters":{"sequence_id":7,"sequence_start":true,"priority":1,"timeout":0,"my_custom_parameter":42,"binary_data_output":true},
			"inputs":[{"name":"input0","shape":[1,4],"datatype":"FP32","data":[5.1,3.5,1.4,0.2]}],"outputs":[{"name":"predict","parameters":{"binary_data":false}}]}`, flower},
		{"nulls where nothing is", `{"id":null,"parameters":null,"inputs":[{"name":"x","shape":[1,4],"datatype":"FP64","data":[5.1,3.5,1.4,0.2],"parameters":null}],"outputs":null}`, flower},
	} {
		for _, target := range []string{irisInfer, "/v2/models/iris/versions/1/infer", consensusInfer} {
			t.Run(c.name+" to "+target, func(t *testing.T) {
				var got []float64
				rows := 0
				node := &fakeNode{predict: func(_ context.Context, x []float64, labels []int, _ []float64) error {
					got, rows = slices.Clone(x), len(labels)
					return nil
				}, consensus: func(_ context.Context, q *Question) (Round, error) {
					got, rows = slices.Clone(q.Rows), q.N
					return oipFakeRound(q), nil
				}}
				w := serve(newOIP(t, node), "POST", target, c.body)
				if w.Code != http.StatusOK {
					t.Fatalf("%d %s", w.Code, w.Body)
				}
				if !slices.Equal(got, c.want) || rows != len(c.want)/4 {
					t.Errorf("%d rows %v, want %v", rows, got, c.want)
				}
			})
		}
	}
}

// oipFakeRound answers a question with the classes in turn.
func oipFakeRound(q *Question) *fakeRound {
	labels := irisInfo().Labels
	if !q.Batch {
		return &fakeRound{one: &ConsensusReply{
			Prediction: 0, Label: "setosa", Status: "degraded", Counted: 2, Invited: 3, Margin: 500_000,
			Shares: Distribution{labels, []Millionths{750_000, 250_000, 0}},
		}}
	}
	b := &ConsensusBatchReply{Status: "ok", Counted: 3, Invited: 3}
	for i := range q.N {
		shares := make([]Millionths, 3)
		shares[i%3] = 1_000_000
		b.Results = append(b.Results, BatchRow{Prediction: i % 3, Label: labels[i%3], Shares: shares, Margin: Millionths(1_000_000 - 1000*i)})
	}
	return &fakeRound{many: b}
}

func TestEveryTypeOfNumbersIsTaken(t *testing.T) {
	for _, datatype := range []string{"FP16", "BF16", "FP32", "FP64", "INT8", "INT16", "INT32", "INT64", "UINT8", "UINT16", "UINT32", "UINT64", "BOOL"} {
		for _, data := range []string{"[1,0,1,0,0,1,0,1]", "[[1,0,1,0],[0,1,0,1]]"} {
			var got []float64
			node := &fakeNode{predict: func(_ context.Context, x []float64, _ []int, _ []float64) error {
				got = slices.Clone(x)
				return nil
			}}
			w := serve(newOIP(t, node), "POST", irisInfer, fmt.Sprintf(`{"inputs":[{"name":"x","shape":[2,4],"datatype":%q,"data":%s}]}`, datatype, data))
			if w.Code != http.StatusOK || !slices.Equal(got, []float64{1, 0, 1, 0, 0, 1, 0, 1}) {
				t.Errorf("%s %s: %d %v %s", datatype, data, w.Code, got, w.Body)
			}
		}
	}
}

func TestColumnsThatWouldBeCalledAlikeNeedTheirOwnNames(t *testing.T) {
	s := newSchema([]string{"size (cm)", "size_(kg)", "age"})
	for name, want := range map[string]int{"size (cm)": 0, "size_(kg)": 1, "age": 2, "feature1": 1} {
		if i, ok := s.column(name); !ok || i != want {
			t.Errorf("%s: %d %v", name, i, ok)
		}
	}
	for _, name := range []string{"size", "Age", "SIZE (CM)"} {
		if i, ok := s.column(name); ok {
			t.Errorf("%s is taken for %d", name, i)
		}
	}
}

func TestWhatIsWrongWithTensorsIsSaid(t *testing.T) {
	one := func(fields string) string { return `{"inputs":[{` + fields + `}]}` }
	for _, c := range []struct{ name, body, want string }{
		{"nothing", ``, "body is empty"},
		{"a list", `[1]`, "not a JSON object"},
		{"broken off", `{"inputs":[{"name":"x","shape":[1,4],"datatype":"FP64","data":[1,2`, "ends too early"},
		{"something behind", `{"inputs":[{"name":"x","shape":[1,4],"datatype":"FP64","data":[1,2,3,4]}]} x`, "the end is wanted"},
		{"another protocol", `{"instances":[[1,2,3,4]]}`, "inputs is missing"},
		{"no tensor", `{"inputs":[]}`, "no tensor"},
		{"inputs as an object", `{"inputs":{"x":1}}`, "must be a list of tensors"},
		{"inputs twice", `{"inputs":[],"inputs":[]}`, "given twice"},
		{"no shape", one(`"name":"x","datatype":"FP64","data":[1,2,3,4]`), "inputs[0] (x) has no shape"},
		{"no name", one(`"shape":[1,4],"datatype":"FP64","data":[1,2,3,4]`), "has no name"},
		{"no datatype", one(`"name":"x","shape":[1,4],"data":[1,2,3,4]`), "has no datatype"},
		{"no data", one(`"name":"x","shape":[1,4],"datatype":"FP64"`), "has no data"},
		{"data twice", one(`"name":"x","shape":[1,4],"datatype":"FP64","data":[1],"data":[1]`), "inputs[0].data is given twice"},
		{"too few", one(`"name":"x","shape":[2,4],"datatype":"FP64","data":[1,2,3,4]`), "is 8 numbers, but 4 are"},
		{"a shape beyond all bounds", one(`"name":"x","shape":[1000000000000,1000000000000],"datatype":"FP64","data":[1,2,3,4]`), "but 4 are"},
		{"a negative size", one(`"name":"x","shape":[-1,4],"datatype":"FP64","data":[1,2,3,4]`), "inputs[0].shape[0] is not a whole number"},
		{"a fraction of a size", one(`"name":"x","shape":[1.5,4],"datatype":"FP64","data":[1,2,3,4]`), "not a whole number"},
		{"other columns", one(`"name":"x","shape":[1,3],"datatype":"FP64","data":[1,2,3]`), "rows have [rows,4]"},
		{"three dimensions", one(`"name":"x","shape":[1,4,1],"datatype":"FP64","data":[1,2,3,4]`), "rows have [rows,4]"},
		{"no rows", one(`"name":"x","shape":[0,4],"datatype":"FP64","data":[]`), "no rows"},
		{"ragged", one(`"name":"x","shape":[2,4],"datatype":"FP64","data":[[1,2,3,4],[1,2,3]]`), "of 4 and of 3 elements"},
		{"numbers beside lists", one(`"name":"x","shape":[1,4],"datatype":"FP64","data":[1,[2,3],4]`), "side by side"},
		{"lists beside numbers", one(`"name":"x","shape":[1,4],"datatype":"FP64","data":[[2,3],4]`), "side by side"},
		{"nested the other way round", one(`"name":"x","shape":[2,4],"datatype":"FP64","data":[[1,2],[3,4],[5,6],[7,8]]`), "nested as [4,2]"},
		{"texts", one(`"name":"x","shape":[1,4],"datatype":"BYTES","data":["a","b","c","d"]`), "inputs[0].data[0] is a text, as BYTES has; this model takes numbers"},
		{"bytes", one(`"name":"x","datatype":"BYTES","shape":[1,4],"data":[1,2,3,4]`), "BYTES; this model takes numbers"},
		{"an unknown type", one(`"name":"x","datatype":"FLOAT","shape":[1,4],"data":[1,2,3,4]`), `datatype "FLOAT"`},
		{"a column of texts in a data frame", `{"parameters":{"content_type":"pd"},"inputs":[{"name":"sepal_length","shape":[1],"datatype":"FP64","data":[5.1]},{"name":"sepal_width","shape":[1],"datatype":"BYTES","parameters":{"content_type":"str"},"data":["wide"]}]}`, "inputs[1].data[0] is a text, as BYTES has"},
		{"a column under two spellings", `{"inputs":[{"name":"feature0","datatype":"FP64","shape":[1],"data":[1]},{"name":"sepal length (cm)","datatype":"FP64","shape":[1],"data":[1]}]}`, "given twice"},
		{"a list of the scikit-learn name alone", one(`"name":"sepal length (cm)","datatype":"FP64","shape":[1,1],"data":[1]`), "are missing"},
		{"decimals among whole numbers", one(`"name":"x","datatype":"INT64","shape":[1,4],"data":[1,2.5,3,4]`), "2.5, at place 1 of its data, is no INT64"},
		{"too large for its type", one(`"name":"x","datatype":"UINT8","shape":[1,4],"data":[1,256,3,4]`), "256"},
		{"negative where it must not be", one(`"name":"x","datatype":"UINT8","shape":[1,4],"data":[-1,2,3,4]`), "-1"},
		{"two as a bool", one(`"name":"x","datatype":"BOOL","shape":[1,4],"data":[2,1,1,1]`), "no BOOL"},
		{"true as a number", one(`"name":"x","datatype":"FP64","shape":[1,4],"data":[true,1,1,1]`), "true or false"},
		{"a number in quotes", one(`"name":"x","datatype":"FP64","shape":[1,4],"data":["5.1",1,1,1]`), "without quotes"},
		{"NaN", one(`"name":"x","datatype":"FP64","shape":[1,4],"data":[NaN,1,1,1]`), "not finite"},
		{"an infinite number", one(`"name":"x","datatype":"FP64","shape":[1,4],"data":[1e999,1,1,1]`), "inputs[0].data[0]: the number is too large"},
		{"null as a number", one(`"name":"x","datatype":"FP64","shape":[1,4],"data":[null,1,1,1]`), "not a number"},
		{"one feature of four", one(`"name":"petal_length","datatype":"FP64","shape":[1],"data":[1]`), "are missing"},
		{"a feature twice", `{"inputs":[{"name":"feature0","datatype":"FP64","shape":[1],"data":[1]},{"name":"sepal_length","datatype":"FP64","shape":[1],"data":[1]}]}`, "given twice"},
		{"an unknown feature", `{"inputs":[{"name":"feature0","datatype":"FP64","shape":[1],"data":[1]},{"name":"stem","datatype":"FP64","shape":[1],"data":[1]}]}`, `"stem", which is no feature`},
		{"columns of two lengths", `{"inputs":[{"name":"feature0","datatype":"FP64","shape":[1],"data":[1]},{"name":"feature1","datatype":"FP64","shape":[2],"data":[1,2]}]}`, "has 2 rows, but those before it have 1"},
		{"a matrix as a feature", `{"inputs":[{"name":"feature0","datatype":"FP64","shape":[1],"data":[1]},{"name":"feature1","datatype":"FP64","shape":[1,2],"data":[1,2]}]}`, "[rows] or [rows,1]"},
		{"an unknown output", `{"outputs":[{"name":"logits"}],"inputs":[{"name":"x","shape":[1,4],"datatype":"FP64","data":[1,2,3,4]}]}`, `no output "logits"; it has predict, predict_proba`},
		{"an output without a name", `{"outputs":[{}],"inputs":[]}`, "outputs[0] has no name"},
		{"outputs as names", `{"outputs":["predict"],"inputs":[]}`, "outputs[0] is not a JSON object"},
		{"classification of labels", `{"outputs":[{"name":"predict","parameters":{"classification":2}}],"inputs":[{"name":"x","shape":[1,4],"datatype":"FP64","data":[1,2,3,4]}]}`, "classification goes with predict_proba"},
		{"no classes", `{"outputs":[{"name":"predict_proba","parameters":{"classification":0}}],"inputs":[]}`, "classification is not a whole number"},
		{"an output twice", `{"outputs":[{"name":"predict"},{"name":"predict"}],"inputs":[]}`, "ask for each output once"},
		{"an id that is a number", `{"id":42,"inputs":[]}`, "id is not a text"},
		{"shared memory", one(`"name":"x","datatype":"FP64","shape":[1,4],"parameters":{"shared_memory_region":"r"}`), "extension"},
		{"binary data", one(`"name":"x","datatype":"FP64","shape":[1,4],"parameters":{"binary_data_size":32}`), "extension"},
		{"brackets without end", `{"inputs":[{"data":` + strings.Repeat("[", 100), "nested deeper"},
	} {
		t.Run(c.name, func(t *testing.T) {
			node := &fakeNode{}
			w := serve(newOIP(t, node), "POST", irisInfer, c.body)
			if got := oipErrorIn(t, w); !strings.Contains(got, c.want) || w.Code/100 != 4 {
				t.Errorf("%d %q, want %q", w.Code, got, c.want)
			}
			if node.asked > 0 {
				t.Error("the model was asked")
			}
		})
	}
}

// oipErrorIn checks that a reply is an error of the protocol and returns its sentence.
func oipErrorIn(t testing.TB, w *httptest.ResponseRecorder) string {
	t.Helper()
	if ct := w.Header().Get("Content-Type"); ct != "application/json" || w.Code < 400 {
		t.Fatalf("%d, content type %q, body %s", w.Code, ct, w.Body)
	}
	var fields map[string]any
	if err := json.Unmarshal(w.Body.Bytes(), &fields); err != nil || len(fields) != 1 {
		t.Fatalf("%v in %s", err, w.Body)
	}
	text, _ := fields["error"].(string)
	if text == "" || strings.ContainsAny(text, "\n\x1b") {
		t.Fatalf("no sentence in %s", w.Body)
	}
	return text
}

func TestReplyIsLetterForLetterTheProtocols(t *testing.T) {
	node := &fakeNode{consensus: func(_ context.Context, q *Question) (Round, error) { return oipFakeRound(q), nil }}
	a := newOIP(t, node)
	one := `{"id":"42","inputs":[{"name":"input-0","shape":[1,4],"datatype":"FP64","data":[5.1,3.5,1.4,0.2]}]%s}`
	two := `{"id":"a\"b","inputs":[{"name":"input-0","shape":[2,4],"datatype":"FP64","data":[1,2,3,4,5,6,7,8]}]%s}`
	for _, c := range []struct{ name, target, body, want string }{
		{
			"the node's own model", irisInfer, fmt.Sprintf(one, ""),
			`{"model_name":"iris","model_version":"1","id":"42","outputs":[{"name":"predict","shape":[1,1],"datatype":"BYTES","data":["setosa"]},{"name":"predict_proba","shape":[1,3],"datatype":"FP64","data":[1,0,0],"parameters":{"labels":"setosa,versicolor,virginica"}}]}`,
		},
		{
			"outputs in the order asked for", irisInfer, fmt.Sprintf(two, `,"outputs":[{"name":"predict_proba"},{"name":"predict"}]`),
			`{"model_name":"iris","model_version":"1","id":"a\"b","outputs":[{"name":"predict_proba","shape":[2,3],"datatype":"FP64","data":[1,0,0,0,1,0],"parameters":{"labels":"setosa,versicolor,virginica"}},{"name":"predict","shape":[2,1],"datatype":"BYTES","data":["setosa","versicolor"]}]}`,
		},
		{
			"Triton's classification", consensusInfer, fmt.Sprintf(two, `,"outputs":[{"name":"predict_proba","parameters":{"classification":2}}]`),
			`{"model_name":"consensus","model_version":"1","id":"a\"b","parameters":{"status":"ok","answered":3,"known":3,"margin":0.999},"outputs":[{"name":"predict_proba","shape":[2,2],"datatype":"BYTES","data":["1:0:setosa","0:1:versicolor","1:1:versicolor","0:0:setosa"]}]}`,
		},
		{
			"more classes than there are", consensusInfer, fmt.Sprintf(one, `,"outputs":[{"name":"predict_proba","parameters":{"classification":9}}]`),
			`{"model_name":"consensus","model_version":"1","id":"42","parameters":{"status":"degraded","answered":2,"known":3,"margin":0.5},"outputs":[{"name":"predict_proba","shape":[1,3],"datatype":"BYTES","data":["0.75:0:setosa","0.25:1:versicolor","0:2:virginica"]}]}`,
		},
		{
			"the cluster, one row", consensusInfer, fmt.Sprintf(one, `,"outputs":[{"name":"predict"}]`),
			`{"model_name":"consensus","model_version":"1","id":"42","parameters":{"status":"degraded","answered":2,"known":3,"margin":0.5},"outputs":[{"name":"predict","shape":[1,1],"datatype":"BYTES","data":["setosa"]}]}`,
		},
		{
			"the cluster, two rows", consensusInfer, fmt.Sprintf(two, `,"outputs":[]`),
			`{"model_name":"consensus","model_version":"1","id":"a\"b","parameters":{"status":"ok","answered":3,"known":3,"margin":0.999},"outputs":[{"name":"predict","shape":[2,1],"datatype":"BYTES","data":["setosa","versicolor"]},{"name":"predict_proba","shape":[2,3],"datatype":"FP64","data":[1,0,0,0,1,0],"parameters":{"labels":"setosa,versicolor,virginica"}}]}`,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := serve(a, "POST", c.target, c.body)
			if got := strings.TrimSpace(w.Body.String()); got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
			if w.Header().Get("Content-Type") != "application/json" {
				t.Error(w.Header())
			}
		})
	}
}

func TestARequestWithoutIDGetsTheRequestsOwn(t *testing.T) {
	w := serve(newOIP(t, &fakeNode{}), "POST", irisInfer, `{"inputs":[{"name":"x","shape":[1,4],"datatype":"FP64","data":[1,2,3,4]}]}`)
	var got struct{ ID string }
	if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil || got.ID == "" || got.ID != w.Header().Get("X-Request-Id") {
		t.Errorf("%v %q %q", err, got.ID, w.Header().Get("X-Request-Id"))
	}
}

func TestOptionsOfARoundAreParameters(t *testing.T) {
	var got Question
	node := &fakeNode{consensus: func(_ context.Context, q *Question) (Round, error) {
		got = *q
		return oipFakeRound(q), nil
	}}
	a := newOIP(t, node)
	ask := func(parameters string) *httptest.ResponseRecorder {
		return serve(a, "POST", consensusInfer, `{"parameters":`+parameters+`,"inputs":[{"name":"x","shape":[1,4],"datatype":"FP64","data":[1,2,3,4]}]}`)
	}
	if w := ask(`{"method":"soft","quorum":2,"timeout":"800ms","models":["knn","svm"],"minority":true,"wait":"all","content_type":"np"}`); w.Code != 200 {
		t.Fatal(w.Body)
	}
	if got.Method != "soft" || got.Quorum != 2 || got.Timeout != 800*time.Millisecond || !slices.Equal(got.Models, []string{"knn", "svm"}) || !got.Minority || got.Wait != WaitAll {
		t.Errorf("%+v", got)
	}
	for text, want := range map[string]time.Duration{"0": 0, "1": minTimeout, "1500000": 1500 * time.Millisecond, "1e12": 3 * time.Second} {
		if w := ask(`{"timeout":` + text + `}`); w.Code != 200 || got.Timeout != want {
			t.Errorf("a timeout of %s µs: %v %s", text, got.Timeout, w.Body)
		}
	}
	for text, want := range map[string]string{
		`{"method":"best"}`: "it takes auto", `{"quorum":0}`: "quorum", `{"timeout":"9s"}`: "within 3s", `{"timeout":-1}`: "timeout",
		`{"method":"em"}`: "batch", `{"method":"soft","method":"soft"}`: "twice", `[]`: "not a JSON object",
	} {
		if msg := oipErrorIn(t, ask(text)); !strings.Contains(msg, want) {
			t.Errorf("%s: %s", text, msg)
		}
	}
	if w := serve(a, "POST", irisInfer, `{"parameters":{"method":"best"},"inputs":[{"name":"x","shape":[1,4],"datatype":"FP64","data":[1,2,3,4]}]}`); w.Code != 200 {
		t.Errorf("a parameter that the node's own model has no use for: %s", w.Body)
	}
}

func TestMetadataAndHealthAreTheProtocols(t *testing.T) {
	a := newOIP(t, &fakeNode{})
	model := `{"name":"%s","versions":["1"],"platform":"%s","inputs":[{"name":"input-0","datatype":"FP64","shape":[-1,4]}],"outputs":[{"name":"predict","datatype":"BYTES","shape":[-1,1]},{"name":"predict_proba","datatype":"FP64","shape":[-1,3]}]}`
	server := `{"name":"caucus","version":"test","extensions":["classification"]}`
	for target, want := range map[string]string{
		"/v2": server, "/v2/": server,
		"/v2/health/live":                    `{"live":true}`,
		"/v2/health/ready":                   `{"live":true,"ready":true}`,
		"/v2/models/iris":                    fmt.Sprintf(model, "iris", "golearn_knn"),
		"/v2/models/iris/versions/1":         fmt.Sprintf(model, "iris", "golearn_knn"),
		"/v2/models/consensus":               fmt.Sprintf(model, "consensus", "caucus_consensus"),
		"/v2/models/iris/ready":              `{"name":"iris","ready":true}`,
		"/v2/models/consensus/ready":         `{"name":"consensus","ready":true}`,
		"/v2/models/iris/versions/1/ready":   `{"name":"iris","ready":true}`,
		"/v2/models/iris/ready?pretty=false": `{"name":"iris","ready":true}`,
	} {
		if w := serve(a, "GET", target, ""); w.Code != 200 || strings.TrimSpace(w.Body.String()) != want {
			t.Errorf("%s: %d %s\nwant %s", target, w.Code, w.Body, want)
		}
		if w := serve(a, "HEAD", target, ""); w.Code != 200 {
			t.Errorf("HEAD %s: %d", target, w.Code)
		}
	}
}

func TestAModelWithoutProbabilitiesHasOneOutput(t *testing.T) {
	info := irisInfo()
	info.Model, info.Probabilistic = "tree", false
	node := &fakeNode{info: info, consensus: func(_ context.Context, q *Question) (Round, error) { return oipFakeRound(q), nil }}
	a := newOIP(t, node)
	body := `{"inputs":[{"name":"x","shape":[1,4],"datatype":"FP64","data":[1,2,3,4]}],"outputs":[{"name":"predict_proba"}]}`
	if msg := oipErrorIn(t, serve(a, "POST", irisInfer, body)); !strings.Contains(msg, "no output") {
		t.Error(msg)
	}
	if w := serve(a, "POST", consensusInfer, body); w.Code != 200 {
		t.Error(w.Body)
	}
	if w := serve(a, "GET", "/v2/models/iris", ""); strings.Contains(w.Body.String(), "predict_proba") {
		t.Error(w.Body)
	}
}

func TestATaskCalledConsensusGivesTheNameToTheCluster(t *testing.T) {
	node := &fakeNode{}
	a := newAPI(t, node, func(cfg *Config) { cfg.Node = taskNode{node, "consensus"} })
	if w := serve(a, "GET", "/v2/models/knn", ""); w.Code != 200 {
		t.Error(w.Body)
	}
	if w := serve(a, "GET", "/v2/models/consensus", ""); !strings.Contains(w.Body.String(), "caucus_consensus") {
		t.Error(w.Body)
	}
}

func TestErrorsUnderV2HaveTheProtocolsForm(t *testing.T) {
	body := `{"inputs":[{"name":"x","shape":[1,4],"datatype":"FP64","data":[1,2,3,4]}]}`
	quorum := NewProblem(QuorumNotReached, "1 of 3 answered")
	quorum.WhatToDo = []string{"start bo again"}
	node := &fakeNode{
		consensus: func(context.Context, *Question) (Round, error) { return nil, quorum },
		predict:   func(context.Context, []float64, []int, []float64) error { return errors.New("secret") },
		ready:     func() (*ReadyReply, error) { return nil, NewProblem(Joining, "not yet") },
	}
	a := newOIP(t, node, func(cfg *Config) { cfg.Rate, cfg.Burst = 0.001, 1 })
	outside := func(r *http.Request) { r.RemoteAddr = "203.0.113.9:1234" }
	for _, c := range []struct {
		name, method, target, body string
		status                     int
		want                       string
		change                     func(*http.Request)
	}{
		{"unknown model", "POST", "/v2/models/wine/infer", body, 404, `"iris"`, nil},
		{"unknown version", "GET", "/v2/models/iris/versions/2", "", 404, "version", nil},
		{"unknown path", "GET", "/v2/repository/index", "", 404, "nothing at", nil},
		{"wrong method", "GET", irisInfer, "", 405, "POST", nil},
		{"unknown parameter", "GET", "/v2?x=1", "", 400, "unknown parameter", nil},
		{"no quorum", "POST", consensusInfer, body, 503, "1 of 3 answered; start bo again", nil},
		{"a broken model", "POST", irisInfer, body, 500, "internal error", nil},
		{"not ready", "GET", "/v2/health/ready", "", 503, "not yet", nil},
		{"the cluster is not ready", "GET", "/v2/models/consensus/ready", "", 503, "not yet", nil},
		{"another type", "POST", irisInfer, body, 415, "text/plain", func(r *http.Request) { r.Header.Set("Content-Type", "text/plain") }},
		{"binary", "POST", irisInfer, body, 415, "binary", func(r *http.Request) { r.Header.Set("Inference-Header-Content-Length", "10") }},
		{"compressed", "POST", irisInfer, body, 415, "gzip", func(r *http.Request) { r.Header.Set("Content-Encoding", "gzip") }},
		{"too large", "POST", irisInfer, strings.Repeat(" ", maxBatch+1), 413, "fewer rows", nil},
		{"too large, without saying so", "POST", irisInfer, strings.Repeat(" ", maxBatch+1), 413, "fewer rows", func(r *http.Request) { r.ContentLength = -1 }},
		{"another site", "POST", irisInfer, body, 403, "another site", func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "cross-site") }},
		{"the first question of a stranger", "POST", consensusInfer, body, 503, "1 of 3", outside},
		{"the second question of a stranger", "POST", consensusInfer, body, 429, "questions a second", outside},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.change == nil {
				c.change = func(*http.Request) {}
			}
			w := serve(a, c.method, c.target, c.body, c.change)
			if msg := oipErrorIn(t, w); w.Code != c.status || !strings.Contains(msg, c.want) {
				t.Errorf("%d %s", w.Code, msg)
			}
			if (c.status == 503 || c.status == 429) && w.Header().Get("Retry-After") == "" {
				t.Error("no Retry-After")
			}
		})
	}
	if w := serve(a, "GET", "/v2/models/iris/ready", ""); w.Code != 200 {
		t.Errorf("the node's own model needs no cluster: %s", w.Body)
	}
	a.Close()
	for _, target := range []string{irisInfer, consensusInfer} {
		if msg := oipErrorIn(t, serve(a, "POST", target, body)); !strings.Contains(msg, "shutting down") {
			t.Error(msg)
		}
	}
}

func TestMoreRowsThanABatchMayHaveAreRefused(t *testing.T) {
	n := maxRows + 1
	body := fmt.Sprintf(`{"inputs":[{"name":"x","shape":[%d,4],"datatype":"INT8","data":[%s1]}]}`, n, strings.Repeat("1,", 4*n-1))
	w := serve(newOIP(t, &fakeNode{}), "POST", irisInfer, body)
	if msg := oipErrorIn(t, w); w.Code != 413 || !strings.Contains(msg, "50000 rows") {
		t.Errorf("%d %s", w.Code, msg)
	}
}

// oipClient is a client as one writes it from the protocol's public text alone.
type oipClient struct {
	base  string
	model string
}

type oipClientTensor struct {
	Name     string `json:"name"`
	Shape    []int  `json:"shape"`
	Datatype string `json:"datatype"`
	Data     any    `json:"data"`
}

func (c oipClient) get(path string, out any) error {
	res, err := http.Get(c.base + path)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if res.StatusCode != 200 {
		return fmt.Errorf("%s: %s", path, res.Status)
	}
	return json.NewDecoder(res.Body).Decode(out)
}

// predict asks the server what the model wants, sends rows in that form and returns labels.
func (c oipClient) predict(rows [][]float64) (labels []string, parameters map[string]any, err error) {
	var meta struct {
		Inputs []struct {
			Name, Datatype string
			Shape          []int
		}
	}
	if err := c.get("/v2/health/ready", new(any)); err != nil {
		return nil, nil, err
	}
	if err := c.get("/v2/models/"+c.model, &meta); err != nil {
		return nil, nil, err
	}
	in := meta.Inputs[0]
	body, err := json.Marshal(map[string]any{"id": "7", "inputs": []oipClientTensor{{in.Name, []int{len(rows), in.Shape[1]}, in.Datatype, rows}}})
	if err != nil {
		return nil, nil, err
	}
	res, err := http.Post(c.base+"/v2/models/"+c.model+"/infer", "application/json", bytes.NewReader(body))
	if err != nil {
		return nil, nil, err
	}
	defer res.Body.Close()
	var reply struct {
		ModelName  string `json:"model_name"`
		ID         string
		Error      string
		Parameters map[string]any
		Outputs    []oipClientTensor
	}
	if err := json.NewDecoder(res.Body).Decode(&reply); err != nil {
		return nil, nil, err
	}
	if reply.Error != "" || reply.ID != "7" || reply.ModelName != c.model {
		return nil, nil, fmt.Errorf("%s %+v", res.Status, reply)
	}
	for _, o := range reply.Outputs {
		if o.Datatype == "BYTES" {
			for _, v := range o.Data.([]any) {
				labels = append(labels, v.(string))
			}
		}
	}
	return labels, reply.Parameters, nil
}

func TestAClientWrittenFromTheProtocolsTextIsAnswered(t *testing.T) {
	node := &fakeNode{consensus: func(_ context.Context, q *Question) (Round, error) { return oipFakeRound(q), nil }}
	server := httptest.NewServer(newOIP(t, node))
	defer server.Close()
	defer http.DefaultClient.CloseIdleConnections()
	rows := [][]float64{flower, flower, flower}
	for _, model := range []string{"iris", "consensus"} {
		labels, parameters, err := oipClient{server.URL, model}.predict(rows)
		if err != nil || !slices.Equal(labels, irisInfo().Labels) {
			t.Errorf("%s: %v %v", model, labels, err)
		}
		if model == "consensus" && parameters["known"] != 3.0 {
			t.Errorf("%v", parameters)
		}
	}
}

func FuzzOIP(f *testing.F) {
	for _, s := range []string{
		`{"id":"42","inputs":[{"name":"input-0","shape":[1,4],"datatype":"FP64","data":[5.1,3.5,1.4,0.2]}],"outputs":[{"name":"predict"}]}`,
		`{"inputs":[{"name":"x","shape":[2,4],"datatype":"INT8","data":[[1,2,3,4],[5,6,7,8]],"parameters":{"content_type":"np"}}]}`,
		`{"parameters":{"timeout":5,"models":["knn"],"method":"em"},"inputs":[{"name":"feature0","shape":[1],"datatype":"BOOL","data":[true]}]}`,
		`{"inputs":[{"data":[[[]],[1]],"shape":[9e99,-0]}]}`, `{"inputs":[{"name":"sepal_length","shape":[],"datatype":"FP64","data":[1]}]}`,
		`{"inputs":null}`, `{"inputs":[null]}`, `{}{}`, `{"a":`,
	} {
		f.Add([]byte(s))
	}
	s := newSchema(irisInfo().Features)
	f.Fuzz(func(t *testing.T, body []byte) {
		in := fuzzInput(s, true)
		in.body = append(in.body, body...)
		req, err := in.oip(3 * time.Second)
		checkDecoded(t, in, err)
		if err == nil && !json.Valid(body) {
			t.Fatalf("taken, but not JSON: %q", body)
		}
		if err == nil && (req == nil || in.q.Batch == (in.q.N == 1)) {
			t.Fatalf("%+v %+v", req, in.q)
		}
	})
}
