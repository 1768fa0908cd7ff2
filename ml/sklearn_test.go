package ml_test

import (
	"encoding/json"
	"os"
	"slices"
	"testing"

	"caucus/ml"
)

// reference is testdata/sklearn.json.
type reference struct {
	MadeWith string                  `json:"made_with"`
	Data     map[string]referenceSet `json:"data"`
}

type referenceSet struct {
	Rows      int      `json:"rows"`
	Labels    []string `json:"labels"`
	TrainRows []int    `json:"train_rows"`
	TestRows  []int    `json:"test_rows"`
	Models    map[string]struct {
		Accuracy    float64 `json:"accuracy"`
		Mean        float64 `json:"accuracy_mean_20_seeds"`
		Predictions []int   `json:"predictions"`
	} `json:"models"`
}

var referenceSets = []string{"iris", "wine", "breast_cancer"}

func readReference(t *testing.T) reference {
	t.Helper()
	b, err := os.ReadFile("testdata/sklearn.json")
	if err != nil {
		t.Fatal(err)
	}
	var r reference
	if err := json.Unmarshal(b, &r); err != nil {
		t.Fatal(err)
	}
	return r
}

// load reads a reference set and splits it as scikit-learn did.
func (s referenceSet) load(t *testing.T, name string) (train, test *ml.Dataset) {
	t.Helper()
	d := ml.Iris()
	if name != "iris" {
		var err error
		if d, err = ml.OpenCSV("testdata/"+name+".csv", ml.CSVOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	if d.Len() != s.Rows {
		t.Fatalf("%s has %d rows, the reference %d", name, d.Len(), s.Rows)
	}
	return d.Subset(s.TrainRows), d.Subset(s.TestRows)
}

// TestLabelsAreThoseOfScikitLearn holds every label of KNN and of the linear machine
// against scikit-learn's, on every test row, raw and standardised.
func TestLabelsAreThoseOfScikitLearn(t *testing.T) {
	// Rows (of the file) that may differ, and why. Empty: none needs to.
	exempt := map[string]map[int]string{}
	yes, no := true, false
	ref := readReference(t)
	for _, name := range referenceSets {
		set := ref.Data[name]
		for _, c := range []struct {
			model string
			o     ml.FitOptions
		}{
			{"knn5", ml.FitOptions{Kind: ml.KNN, K: 5, Standardise: &no}},
			{"knn5_standardised", ml.FitOptions{Kind: ml.KNN, K: 5, Standardise: &yes}},
			{"svc_linear", ml.FitOptions{Kind: ml.SVM, Standardise: &no}},
			{"svc_linear_standardised", ml.FitOptions{Kind: ml.SVM, Standardise: &yes}},
		} {
			t.Run(name+"/"+c.model, func(t *testing.T) {
				t.Parallel()
				train, test := set.load(t, name)
				m, err := ml.Fit(t.Context(), train, c.o)
				if err != nil {
					t.Fatal(err)
				}
				want := set.Models[c.model].Predictions
				if len(want) != test.Len() {
					t.Fatalf("the reference has %d predictions for %d rows", len(want), test.Len())
				}
				for i, w := range want {
					got, err := m.Predict(test.Row(i), nil)
					if err != nil {
						t.Fatal(err)
					}
					if g := m.Task().Labels[got]; g != set.Labels[w] {
						row := set.TestRows[i]
						if why := exempt[name+"/"+c.model][row]; why != "" {
							t.Logf("row %d: %s, scikit-learn %s: %s", row, g, set.Labels[w], why)
							continue
						}
						t.Errorf("row %d: %s, scikit-learn %s", row, g, set.Labels[w])
					}
				}
				if p := m.Params(); p["converged"] == false {
					t.Error("the machine did not converge")
				}
			})
		}
	}
}

func TestForestIsAsGoodAsScikitLearns(t *testing.T) {
	ref := readReference(t)
	for _, name := range referenceSets {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			set := ref.Data[name]
			train, test := set.load(t, name)
			sum := 0.0
			var each []float64
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
				each = append(each, e.Accuracy)
			}
			want := set.Models["random_forest_100"].Mean - 0.02
			t.Logf("accuracy %.4f, mean %.4f, scikit-learn's mean %.4f", each, sum/5, want+0.02)
			if sum/5 < want {
				t.Errorf("mean accuracy %.4f, want at least %.4f", sum/5, want)
			}
			if slices.Min(each) < 0.8 {
				t.Errorf("accuracies %.4f", each)
			}
		})
	}
}
