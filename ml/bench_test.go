package ml_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strconv"
	"testing"

	"caucus/ml"
)

// fitIris fits on 105 rows of Iris, the size that the targets are stated for.
func fitIris(b *testing.B, o ml.FitOptions) (ml.Model, *ml.Dataset) {
	b.Helper()
	train, test, err := ml.Iris().Split(0.3, 1)
	if err != nil {
		b.Fatal(err)
	}
	m, err := ml.Fit(b.Context(), train, o)
	if err != nil {
		b.Fatal(err)
	}
	return m, test
}

func BenchmarkPredict(b *testing.B) {
	for _, o := range []ml.FitOptions{
		{Kind: ml.KNN}, {Kind: ml.Forest}, {Kind: ml.SVM}, {Kind: ml.SVM, Kernel: "rbf"}, {Kind: ml.Tree},
	} {
		for _, with := range []string{"label", "probabilities"} {
			b.Run(fmt.Sprintf("%s%s/%s", o.Kind, o.Kernel, with), func(b *testing.B) {
				m, test := fitIris(b, o)
				var probs []float64
				if with == "probabilities" {
					probs = make([]float64, 3)
				}
				b.ReportAllocs()
				i := 0
				for b.Loop() {
					if _, err := m.Predict(test.Row(i), probs); err != nil {
						b.Fatal(err)
					}
					if i++; i == test.Len() {
						i = 0
					}
				}
			})
		}
	}
}

func BenchmarkPredictBatch(b *testing.B) {
	m, _ := fitIris(b, ml.FitOptions{Kind: ml.KNN})
	const rows = 10_000
	iris := ml.Iris()
	x := make([]float64, 0, rows*4)
	for i := range rows {
		x = append(x, iris.Row(i%150)...)
	}
	labels := make([]int, rows)
	for b.Loop() {
		if err := ml.PredictBatch(b.Context(), m, x, labels, nil); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/rows, "ns/row")
}

// bigData is 50,000 rows x 50 columns of which 10 tell 3 classes apart, with noise, so
// that trees grow deep.
func bigData(b *testing.B) *ml.Dataset {
	b.Helper()
	const rows, cols = 50_000, 50
	rng := rand.New(rand.NewPCG(1, 2))
	names := make([]string, cols)
	for j := range names {
		names[j] = "f" + strconv.Itoa(j)
	}
	task, err := ml.NewTask("big", names, []string{"a", "b", "c"})
	if err != nil {
		b.Fatal(err)
	}
	d := &ml.Dataset{Task: task, X: make([]float64, rows*cols), Y: make([]int, rows)}
	for i := range rows {
		d.Y[i] = rng.IntN(3)
		row := d.Row(i)
		for j := range row {
			row[j] = rng.NormFloat64()
			if j < 10 {
				row[j] += float64(d.Y[i]) * 0.4
			}
		}
	}
	return d
}

func BenchmarkForestGrow50000x50(b *testing.B) {
	d := bigData(b)
	for b.Loop() {
		if _, err := ml.Fit(b.Context(), d, ml.FitOptions{Kind: ml.Forest}); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkReadCSV50000x50(b *testing.B) {
	d := bigData(b)
	var f bytes.Buffer
	for _, n := range d.Task.Features {
		f.WriteString(n + ",")
	}
	f.WriteString("label\n")
	for i := range d.Len() {
		for _, v := range d.Row(i) {
			f.WriteString(strconv.FormatFloat(v, 'g', 8, 64) + ",")
		}
		f.WriteString(d.Task.Labels[d.Y[i]] + "\n")
	}
	b.SetBytes(int64(f.Len()))
	for b.Loop() {
		if _, err := ml.ReadCSV(bytes.NewReader(f.Bytes()), ml.CSVOptions{}); err != nil {
			b.Fatal(err)
		}
	}
}
