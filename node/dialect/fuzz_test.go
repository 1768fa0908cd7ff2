package dialect

import (
	"errors"
	"math"
	"testing"
)

// FuzzAnswer holds that whatever a server answers, it is a label of the task or a
// complaint, never a panic, and that probabilities are a distribution or absent.
func FuzzAnswer(f *testing.F) {
	for _, s := range []string{
		`{"prediction":0}`, `[0]`, `"setosa"`, `{"prediction":[[1]],"probabilities":{"setosa":1,"versicolor":0,"virginica":0}}`,
		`{"error":"x"}`, `<html>`, `1e400`, `{"prediction":1e-400}`, `[[[[0]]]]`, `{"prediction":-0}`, "\xef\xbb\xbf1", `{"proba":[1,0,0],"class":"Iris-setosa"}`, `null`, ``,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		label, probs, err := readAnswer(iris, body)
		if err != nil {
			var ae *answerError
			if !errors.As(err, &ae) || label != -1 || err.Error() == "" {
				t.Errorf("%d, %T %v", label, err, err)
			}
			return
		}
		if label < 0 || label >= len(iris.Labels) {
			t.Errorf("label %d", label)
		}
		sum := 0.0
		for _, p := range probs {
			sum += p
		}
		if probs != nil && math.Abs(sum-1) > 0.1 {
			t.Errorf("probabilities %v", probs)
		}
	})
}
