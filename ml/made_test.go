package ml_test

import (
	"encoding/json"
	"math"
	"os"
	"strconv"
	"testing"

	"caucus/ml"
)

// madeReference is testdata/made.json.
type madeReference struct {
	Data map[string]madeSet                 `json:"data"`
	RBF  map[string]map[string]madeAnswered `json:"reference_rbf"`
}

type madeAnswered struct {
	Mean        float64 `json:"accuracy_mean_5_seeds"`
	Predictions []int   `json:"predictions"`
}

type madeSet struct {
	Seed     uint64                  `json:"seed"`
	Features int                     `json:"features"`
	Classes  int                     `json:"classes"`
	Rows     int                     `json:"rows"`
	Train    int                     `json:"train"`
	Spread   float64                 `json:"spread"`
	Sum      float64                 `json:"sum"`
	Models   map[string]madeAnswered `json:"models"`
}

func readMade(t testing.TB) madeReference {
	t.Helper()
	b, err := os.ReadFile("testdata/made.json")
	if err != nil {
		t.Fatal(err)
	}
	var r madeReference
	if err := json.Unmarshal(b, &r); err != nil {
		t.Fatal(err)
	}
	return r
}

// splitMix64 is the generator of made.py.
type splitMix64 uint64

func (s *splitMix64) uniform() float64 {
	*s += 0x9E3779B97F4A7C15
	z := uint64(*s)
	z = (z ^ z>>30) * 0xBF58476D1CE4E5B9
	z = (z ^ z>>27) * 0x94D049BB133111EB
	return float64((z^z>>31)>>11) / (1 << 53)
}

// make does what made.py's make does, and checks that it got the same numbers.
func (s madeSet) make(t testing.TB) (train, test *ml.Dataset) {
	t.Helper()
	r := splitMix64(s.Seed)
	features, labels := make([]string, s.Features), make([]string, s.Classes)
	for j := range features {
		features[j] = "f" + strconv.Itoa(j)
	}
	for c := range labels {
		labels[c] = strconv.Itoa(c)
	}
	d := &ml.Dataset{Task: mustTask(t, features, labels)}
	centre := make([]float64, s.Classes*s.Features)
	for i := range centre {
		centre[i] = r.uniform()*2 - 1
	}
	sum := 0.0
	for i := range s.Rows {
		c := i % s.Classes
		for j := range s.Features {
			noise := r.uniform() + r.uniform() + r.uniform() + r.uniform() - 2
			v := (centre[c*s.Features+j] + float64(noise*s.Spread)) * float64(1+j%5)
			v = math.Floor(float64(v*1000)+0.5) / 1000
			d.X = append(d.X, v)
			sum += v
		}
		d.Y = append(d.Y, c)
	}
	if math.Abs(sum-s.Sum) > 1e-6 {
		t.Fatalf("made.py made other data: its sum is %v, ours %v", s.Sum, sum)
	}
	var in, out []int
	for i := range s.Rows {
		if i < s.Train {
			in = append(in, i)
		} else {
			out = append(out, i)
		}
	}
	return d.Subset(in), d.Subset(out)
}

func TestLabelsOnMadeDataAreThoseOfScikitLearn(t *testing.T) {
	yes, no := true, false
	for name, set := range readMade(t).Data {
		train, test := set.make(t)
		for _, c := range []struct {
			model string
			o     ml.FitOptions
		}{
			{"knn5", ml.FitOptions{Kind: ml.KNN, K: 5, Standardise: &no}},
			{"knn5_standardised", ml.FitOptions{Kind: ml.KNN, K: 5, Standardise: &yes}},
			{"svc_linear", ml.FitOptions{Kind: ml.SVM, Standardise: &no}},
			{"svc_linear_standardised", ml.FitOptions{Kind: ml.SVM, Standardise: &yes}},
			{"svc_rbf", ml.FitOptions{Kind: ml.SVM, Kernel: "rbf", Standardise: &no}},
			{"svc_rbf_standardised", ml.FitOptions{Kind: ml.SVM, Kernel: "rbf", Standardise: &yes}},
		} {
			t.Run(name+"/"+c.model, func(t *testing.T) {
				t.Parallel()
				sameLabels(t, train, test, c.o, set.Models[c.model].Predictions, test.Task.Labels)
			})
		}
	}
}

func TestRadialLabelsAreThoseOfScikitLearn(t *testing.T) {
	made, ref := readMade(t).RBF, readReference(t)
	for _, name := range referenceSets {
		for model, standardise := range map[string]bool{"svc_rbf": false, "svc_rbf_standardised": true} {
			t.Run(name+"/"+model, func(t *testing.T) {
				t.Parallel()
				set := ref.Data[name]
				train, test := set.load(t, name)
				o := ml.FitOptions{Kind: ml.SVM, Kernel: "rbf", Standardise: &standardise}
				sameLabels(t, train, test, o, made[name][model].Predictions, set.Labels)
			})
		}
	}
}

// sameLabels fits and wants exactly the labels that scikit-learn gave, as indexes into
// its own order of labels.
func sameLabels(t *testing.T, train, test *ml.Dataset, o ml.FitOptions, want []int, labels []string) {
	t.Helper()
	m, err := ml.Fit(t.Context(), train, o)
	if err != nil {
		t.Fatal(err)
	}
	if m.Params()["converged"] == false {
		t.Error("the machine did not converge")
	}
	if len(want) != test.Len() {
		t.Fatalf("the reference has %d predictions for %d rows", len(want), test.Len())
	}
	for i, w := range want {
		got, err := m.Predict(test.Row(i), nil)
		if err != nil {
			t.Fatal(err)
		}
		if g := m.Task().Labels[got]; g != labels[w] {
			t.Errorf("test row %d: %s, scikit-learn %s", i, g, labels[w])
		}
	}
}

func TestForestOnMadeDataIsAsGoodAsScikitLearns(t *testing.T) {
	for name, set := range readMade(t).Data {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			train, test := set.make(t)
			got := forestMean(t, train, test)
			want := set.Models["random_forest_100"].Mean
			t.Logf("mean accuracy %.4f, scikit-learn %.4f", got, want)
			if got < want-0.02 {
				t.Errorf("mean accuracy %.4f, want at least %.4f", got, want-0.02)
			}
		})
	}
}

// forestMean is the mean accuracy of five seeds.
func forestMean(t *testing.T, train, test *ml.Dataset) float64 {
	t.Helper()
	sum := 0.0
	for seed := range uint64(5) {
		m, err := ml.Fit(t.Context(), train, ml.FitOptions{Kind: ml.Forest, Seed: seed})
		if err != nil {
			t.Fatal(err)
		}
		e, err := ml.Evaluate(t.Context(), m, test)
		if err != nil {
			t.Fatal(err)
		}
		sum += e.Accuracy
	}
	return sum / 5
}
