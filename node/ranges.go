package node

import (
	"math"
	"slices"
	"strconv"

	"caucus/ml"
	"caucus/node/api"
)

// rangesOf tells of each feature where its values lie, so that who asks from outside has
// an idea of them. Anybody may read a card, so the numbers are shortened: they say
// where the data lie and give no row's values away to the last digit.
func rangesOf(d *ml.Dataset) []api.FeatureRange {
	n, columns := d.Len(), len(d.Task.Features)
	if n == 0 {
		return nil
	}
	out := make([]api.FeatureRange, columns)
	column := make([]float64, n)
	for j := range columns {
		for i := range n {
			column[i] = d.X[i*columns+j]
		}
		slices.Sort(column)
		out[j] = api.FeatureRange{Min: short(column[0]), Max: short(column[n-1]), Typical: short(column[n/2])}
	}
	return out
}

// short keeps four significant digits.
func short(x float64) float64 {
	y, err := strconv.ParseFloat(strconv.FormatFloat(x, 'g', 4, 64), 64)
	if err != nil || math.IsInf(y, 0) { // rounded up beyond the largest float
		return x
	}
	return y
}
