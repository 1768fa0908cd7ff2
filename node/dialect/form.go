package dialect

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"caucus/ml"
)

// Form is one way of putting a row to a model server. A new dialect is a new entry
// in Forms; answers need no entry, since one reader knows all of their shapes.
type Form struct {
	// Name is what people see of it, such as "GET feature0=".
	Name string
	// Request builds the question. base has no trailing slash. It is called from
	// many goroutines and must not keep row.
	Request func(ctx context.Context, base *url.URL, task ml.Task, row []float64) (*http.Request, error)
}

// numbered is the old apps' form, and that of our own nodes:
// GET /predict?feature0=5.1&feature1=3.5&feature2=1.4&feature3=0.2
var numbered = Form{
	Name: "GET feature0=",
	Request: func(ctx context.Context, base *url.URL, _ ml.Task, row []float64) (*http.Request, error) {
		var q strings.Builder
		for i, x := range row {
			if i > 0 {
				q.WriteByte('&')
			}
			q.WriteString("feature")
			q.WriteString(strconv.Itoa(i))
			q.WriteByte('=')
			// In order and without rounding; 'g' may write e+20, whose plus must be escaped.
			q.WriteString(url.QueryEscape(strconv.FormatFloat(x, 'g', -1, 64)))
		}
		u := *base
		u.Path += "/predict"
		u.RawQuery = q.String()
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
		if err != nil {
			return nil, fmt.Errorf("cannot ask %s: %w", u.Redacted(), err)
		}
		return req, nil
	},
}

// Numbered returns the form of the old Flask apps and of our own nodes: GET /predict
// with feature0, feature1 and so on.
func Numbered() Form { return numbered }

// Forms returns every form, the likeliest first: the order in which an unknown
// server is tried.
func Forms() []Form { return []Form{numbered} }
