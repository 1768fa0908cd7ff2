package dialect

import (
	"fmt"
	"math"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
)

func TestEveryDialectIsFoundOutAndAnsweredRightly(t *testing.T) {
	cm := []string{"sepal length (cm)", "sepal width (cm)", "petal length (cm)", "petal width (cm)"}
	tests := []struct {
		name   string
		server http.HandlerFunc
		typed  string // after the server's address
		form   string
		probs  bool
	}{
		{name: "the old Flask apps", server: queryModel([4]string{"feature0", "feature1", "feature2", "feature3"}, asPrediction), form: "GET feature0="},
		{name: "their address with /predict", server: queryModel([4]string{"feature0", "feature1", "feature2", "feature3"}, asPrediction), typed: "/predict", form: "GET feature0="},
		{name: "by name", server: queryModel([4]string{"sepal_length", "sepal_width", "petal_length", "petal_width"}, func(y int) any { return iris.Labels[y] }), form: "GET by name"},
		{name: "in camels", server: queryModel([4]string{"sepalLength", "sepalWidth", "petalLength", "petalWidth"}, func(y int) any { return map[string]any{"class": float64(y)} }), form: "GET byName"},
		{name: "by initials", server: queryModel([4]string{"sl", "sw", "pl", "pw"}, func(y int) any { return map[string]any{"class": iris.Labels[y], "class_id": y} }), form: "GET by initials"},
		{name: "features repeated", server: repeatedModel(false), form: "GET features= repeated"},
		{name: "features as a list", server: repeatedModel(true), form: "GET features= list"},
		{name: "counting from one", server: queryModel([4]string{"feature1", "feature2", "feature3", "feature4"}, asPrediction), form: "GET feature1="},
		{name: "f1", server: queryModel([4]string{"f1", "f2", "f3", "f4"}, func(y int) any { return map[string]any{"result": map[string]any{"species": iris.Labels[y]}} }), form: "GET f1="},
		{name: "f0", server: queryModel([4]string{"f0", "f1", "f2", "f3"}, asPrediction), form: "GET f0="},
		{name: "POST features", server: bodyModel("/predict", oneUnder("features"), asFirst), form: "POST features"},
		{name: "POST by name", server: bodyModel("/predict", byNames("sepal_length", "sepal_width", "petal_length", "petal_width"), asNames), form: "POST by name"},
		{name: "POST in camels", server: bodyModel("/predict", byNames("sepalLength", "sepalWidth", "petalLength", "petalWidth"), asFirst), form: "POST byName"},
		{name: "POST by initials", server: bodyModel("/predict", byNames("sl", "sw", "pl", "pw"), asFirst), form: "POST by initials"},
		{name: "POST data", server: bodyModel("/predict", under("data"), asNames), form: "POST data"},
		{name: "POST instances", server: bodyModel("/predict", under("instances"), asList), form: "POST instances"},
		{name: "POST rows of features", server: bodyModel("/predict", under("features"), asList), form: "POST features rows"},
		{name: "a path of its own", server: bodyModel("/api/classify", under("data"), asList), typed: "/api/classify", form: "POST data"},
		{name: "MLflow", server: bodyModel("/invocations", under("inputs"), asList), form: "MLflow inputs"},
		{name: "MLflow by its path", server: bodyModel("/invocations", under("inputs"), asList), typed: "/invocations", form: "MLflow inputs"},
		{name: "MLflow with columns", server: bodyModel("/invocations", frame(iris.Features...), asList), form: "MLflow dataframe_split"},
		{name: "MLflow with scikit-learn's columns", server: bodyModel("/invocations", frame(cm...), asList), form: "MLflow dataframe_split (cm)"},
		{name: "TF Serving", server: bodyModel("/v1/models/iris:predict", under("instances"), asShares), form: "TF Serving instances", probs: true},
		{name: "TF Serving by its path", server: bodyModel("/v1/models/blossom:predict", under("instances"), asShares), typed: "/v1/models/blossom", form: "TF Serving instances", probs: true},
		{name: "Open Inference Protocol", server: triton(false, tritonShares), form: "Open Inference Protocol", probs: true},
		{name: "Open Inference Protocol by its path", server: triton(false, tritonNames), typed: "/v2/models/flowers/infer", form: "Open Inference Protocol"},
		{name: "Open Inference Protocol, a tensor a feature", server: triton(true, tritonNames), form: "Open Inference Protocol"},
		{name: "one that takes rows besides", server: both(queryModel([4]string{"feature0", "feature1", "feature2", "feature3"}, asPrediction), bodyModel("/predict", under("instances"), asList)), form: "GET feature0=, batches by POST instances"},
	}
	seen := map[string]bool{}
	for _, tt := range tests {
		for _, f := range forms() {
			if strings.HasPrefix(tt.form, f.Name) {
				seen[f.Name] = true
			}
		}
		t.Run(tt.name, func(t *testing.T) {
			srv, count := serve(t, tt.server)
			changed := 0
			u := before(t, srv.URL+tt.typed, func(c *UpstreamConfig) { c.OnForm = func() { changed++ } })
			if u.Ready() == nil {
				t.Error("ready before it has answered")
			}
			probs := make([]float64, 3)
			for i, x := range flowers {
				y := [1]int{}
				gave, err := u.PredictRows(t.Context(), x, y[:], probs)
				if err != nil || y[0] != kinds[i] || gave != tt.probs {
					t.Fatalf("row %d: %d %v %v, want %d; form %q", i, y[0], gave, err, kinds[i], u.Form())
				}
				if gave && probs[y[0]] != 0.9/(0.9+0.05+0.05) && math.Abs(probs[y[0]]-0.9) > 1e-9 {
					t.Errorf("probabilities %v", probs)
				}
			}
			if u.Form() != tt.form || u.Params()["form"] != tt.form || changed != 1 || u.Ready() != nil {
				t.Errorf("form %q (told %d times), want %q; %v", u.Form(), changed, tt.form, u.Ready())
			}
			asked := count.Load()
			labels, _, gave, err := predictAll(t, u)
			if err != nil || !slices.Equal(labels, kinds) || gave != tt.probs {
				t.Errorf("a batch: %v %v %v", labels, gave, err)
			}
			want := int64(len(flowers))
			if u.dialect.Many != nil {
				want = 1
			}
			if n := count.Load() - asked; n != want {
				t.Errorf("%d requests for a batch of %d, want %d", n, len(flowers), want)
			}
		})
	}
	for _, f := range forms() {
		if !seen[f.Name] {
			t.Errorf("no test server speaks %q", f.Name)
		}
	}
}

// both lets the second handler have what is posted.
func both(get, post http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			post(w, r)
			return
		}
		get(w, r)
	}
}

func TestAServerThatAnswersFromDefaultsIsFoundOut(t *testing.T) {
	// request.args.get("sepal_length", 0): whatever else is asked, it is setosa.
	srv, _ := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		x := make([]float64, 4)
		for i, name := range iris.Features {
			_, _ = fmt.Sscan(r.URL.Query().Get(name), &x[i])
		}
		reply(w, asPrediction(flower(x)))
	}))
	u := before(t, srv.URL)
	labels, _, _, err := predictAll(t, u)
	if err != nil || !slices.Equal(labels, kinds) || u.Form() != "GET by name" {
		t.Errorf("%v %v by %q", labels, err, u.Form())
	}
}

func TestAServerThatFillsGapsWithDefaultsIsFoundOut(t *testing.T) {
	// It counts from one, so that three of feature0 to feature3 reach it, each in the wrong place.
	srv, _ := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		x := make([]float64, 4)
		for i := range x {
			_, _ = fmt.Sscan(r.URL.Query().Get(fmt.Sprintf("feature%d", i+1)), &x[i])
		}
		y := 1
		if x[0] > 3.4 {
			y = 2 // what it makes of the first row, shifted, differs from what it makes of the second
		}
		if x[3] > 0 {
			y = flower(x)
		}
		reply(w, asPrediction(y))
	}))
	u := before(t, srv.URL)
	labels, _, _, err := predictAll(t, u)
	if err != nil || !slices.Equal(labels, kinds) || u.Form() != "GET feature1=" {
		t.Errorf("%v %v by %q", labels, err, u.Form())
	}
}

func TestAConstantModelIsAModel(t *testing.T) {
	srv, _ := serve(t, queryModel([4]string{"feature0", "feature1", "feature2", "feature3"}, func(int) any { return map[string]any{"prediction": 1} }))
	u := before(t, srv.URL)
	labels, _, _, err := predictAll(t, u)
	if err != nil || !slices.Equal(labels, []int{1, 1, 1, 1, 1}) || u.Form() != "GET feature0=" {
		t.Errorf("%v %v by %q", labels, err, u.Form())
	}
}

func TestTwoInFrontOfOneServerAreOneVoice(t *testing.T) {
	of := func(typed string) [32]byte { return before(t, typed).Fingerprint() }
	if of("http://127.0.0.1:5001") != of("127.0.0.1:5001/predict") {
		t.Error("the same server, two voices")
	}
	if of("http://127.0.0.1:5001") == of("http://127.0.0.1:5000") {
		t.Error("two servers, one voice")
	}
	if of("https://ana:secret@a.example") != of("https://a.example") {
		t.Error("the fingerprint depends on a secret")
	}
	for host, own := range map[string]bool{"localhost": true, "127.0.0.1": true, "::1": true, "192.168.1.5": false, "a.example": false} {
		if ownOnly(host) != own {
			t.Errorf("ownOnly(%s) is %v", host, !own)
		}
	}
}

func TestSameAddress(t *testing.T) {
	for typed, want := range map[string]bool{
		"http://127.0.0.1:5001": true, "http://localhost:5001/predict": true, "http://127.0.0.1:5000": false, "http://10.0.0.1:5001": false,
	} {
		u, err := ParseBase(typed)
		if err != nil || SameAddress(u, "127.0.0.1:5001") != want || SameAddress(u, "127.0.0.1:0") {
			t.Errorf("%s: %v", typed, err)
		}
	}
	if portOf(&url.URL{Scheme: "https", Host: "a"}) != "443" || portOf(&url.URL{Scheme: "http", Host: "a"}) != "80" {
		t.Error("the ports that a scheme implies")
	}
}
