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
		`{"predictions":[0,1,2],"proba":[[1,0,0],[0,100,0],[0.33,0.33,0.33]]}`, `{"outputs":[{"name":"p","data":[[0],[1]]}]}`, `[[0.9,0.05,0.05],[0,0,1]]`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		r := reader{task: &iris, means: map[string]int{"yes": 1}}
		for _, n := range []int{1, 2, 3} {
			a, err := r.body(body, n)
			if err != nil {
				var ae *answerError
				if !errors.As(err, &ae) || a.labels != nil || err.Error() == "" {
					t.Errorf("%+v, %T %v", a, err, err)
				}
				continue
			}
			if len(a.labels) != n || len(a.probs) != 0 && len(a.probs) != n*len(iris.Labels) {
				t.Fatalf("%d rows: %+v", n, a)
			}
			for _, y := range a.labels {
				if y < 0 || y >= len(iris.Labels) {
					t.Errorf("label %d", y)
				}
			}
			for i := 0; i < len(a.probs); i += len(iris.Labels) {
				if sum := a.probs[i] + a.probs[i+1] + a.probs[i+2]; !(math.Abs(sum-1) < 1e-6) {
					t.Errorf("probabilities %v", a.probs)
				}
			}
		}
	})
}
