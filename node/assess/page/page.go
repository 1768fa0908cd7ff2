// Package page writes a report of package assess as one HTML file.
package page

import (
	"io"
	"time"

	"caucus/node/assess"
)

// Head is what the page says of the run besides the report.
type Head struct {
	Data    string
	Seconds float64
	Made    time.Time
	Version string
}

// Write writes the page.
func Write(w io.Writer, h Head, r *assess.Report) error { return nil }
