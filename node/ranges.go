package node

import (
	"math"
	"strconv"

	"caucus/ml"
	"caucus/node/api"
)

// rangesOf tells of each feature where its values lie, so that who asks from outside has
// an idea of them. Anybody may read a card, so the numbers are shortened: they say
// where the data lie and give no row's values away to the last digit.
func rangesOf(ranges []ml.Range) []api.FeatureRange {
	if ranges == nil {
		return nil
	}
	out := make([]api.FeatureRange, len(ranges))
	for i, r := range ranges {
		out[i] = api.FeatureRange{Min: short(r.Min), Max: short(r.Max), Typical: short(r.Typical)}
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
