package api

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/gin-gonic/gin"
)

// marshal encodes v with a newline at its end, for terminals.
func marshal(v any, pretty bool) ([]byte, error) {
	var b []byte
	var err error
	if pretty {
		b, err = json.MarshalIndent(v, "", "  ")
	} else {
		b, err = json.Marshal(v)
	}
	return append(b, '\n'), err
}

// write sends a reply that is JSON already.
func write(c *gin.Context, body []byte, pretty bool) {
	if pretty {
		var out bytes.Buffer
		if json.Indent(&out, body, "", "  ") == nil {
			body = out.Bytes()
		}
	}
	h := c.Writer.Header()
	h["Content-Type"] = headerJSON
	// Below 2 KiB net/http finds the length by itself.
	if len(body) >= 2048 {
		h["Content-Length"] = []string{strconv.Itoa(len(body))}
	}
	c.Writer.WriteHeader(http.StatusOK)
	_, _ = c.Writer.Write(body)
}

// plain makes a handler of one that returns what to encode and takes no parameter but pretty.
func (a *API) plain(h func(*gin.Context) (any, error)) gin.HandlerFunc {
	return a.fails(func(c *gin.Context) error {
		if _, err := onlyKnown(c.Request.URL.RawQuery); err != nil {
			return err
		}
		v, err := h(c)
		if err != nil {
			return err
		}
		return a.send(c, v)
	})
}

func (a *API) send(c *gin.Context, v any) error {
	b, err := marshal(v, wantsPretty(c.Request.URL.RawQuery))
	if err != nil {
		return err
	}
	write(c, b, false)
	return nil
}

// onlyKnown parses a query and refuses every parameter but pretty and those named.
func onlyKnown(raw string, names ...string) (url.Values, error) {
	if raw == "" {
		return nil, nil
	}
	q, err := url.ParseQuery(raw)
	if err != nil {
		return nil, Problemf(BadInput, "the query %q cannot be read; write it as name=value&name=value", shown(raw))
	}
	known := append(names, "pretty")
	for key, values := range q {
		found := false
		for _, k := range known {
			found = found || k == key
		}
		if !found {
			return nil, Problemf(BadInput, "unknown parameter %q; known are %s", shown(key), strings.Join(known, ", ")).withKnown(known)
		}
		if len(values) > 1 {
			return nil, Problemf(BadInput, "%s is given twice; give it once", key)
		}
		if key == "pretty" {
			if _, err := parseBool(key, values[0]); err != nil {
				return nil, err
			}
		}
	}
	return q, nil
}

// wantsPretty looks for pretty=true where the query may be broken otherwise.
func wantsPretty(raw string) bool {
	if raw == "" || !strings.Contains(raw, "pretty=") {
		return false
	}
	for _, pair := range strings.Split(raw, "&") {
		if pair == "pretty=true" || pair == "pretty=1" {
			return true
		}
	}
	return false
}

// shownLong is shown for causes in the log, which may be longer.
func shownLong(s string) string {
	if len(s) > 400 {
		s = s[:400] + "..."
	}
	q := strconv.QuoteToGraphic(strings.ToValidUTF8(s, "?"))
	return q[1 : len(q)-1]
}
