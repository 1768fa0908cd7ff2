package ml

import "errors"

// Sentinels that callers branch on.
var (
	ErrShape     = errors.New("ml: wrong number of features")
	ErrNotFinite = errors.New("ml: not a finite number")
	ErrData      = errors.New("ml: bad data") // wrapped by every complaint about data
	ErrModelFile = errors.New("ml: not a usable model file")
)
