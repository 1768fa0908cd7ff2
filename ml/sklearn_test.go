package ml_test

import (
	"encoding/json"
	"os"
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
// against scikit-learn's, on every test row, raw and standardised. No row is exempt,
// because none differs, not even where neighbours are equally far.
func TestLabelsAreThoseOfScikitLearn(t *testing.T) {
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
			if raceEnabled && name == "breast_cancer" && c.model == "svc_linear" {
				continue // twenty million steps on raw values; under -race the other cases walk the same code
			}
			t.Run(name+"/"+c.model, func(t *testing.T) {
				t.Parallel()
				train, test := set.load(t, name)
				sameLabels(t, train, test, c.o, set.Models[c.model].Predictions, set.Labels)
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
			got := forestMean(t, train, test)
			want := set.Models["random_forest_100"].Mean
			t.Logf("mean accuracy %.4f, scikit-learn %.4f", got, want)
			if got < want-0.02 {
				t.Errorf("mean accuracy %.4f, want at least %.4f", got, want-0.02)
			}
		})
	}
}
