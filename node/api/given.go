package api

import "math"

// given returns the probabilities that a model gave, nil if it gave none this time.
func given(probs []float64) []float64 {
	if len(probs) > 0 && math.IsNaN(probs[0]) {
		return nil
	}
	return probs
}
