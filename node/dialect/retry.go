package dialect

import (
	"net/http"
	"strconv"
	"strings"
	"time"
)

// maxRetryAfter is the longest that a server may send us away for: it may be wrong, or well again.
const maxRetryAfter = 60 * time.Second

// retryAfter reads the header of that name, which holds seconds or a date. 0: none.
func retryAfter(h http.Header, now time.Time) time.Duration {
	text := strings.TrimSpace(h.Get("Retry-After"))
	if text == "" {
		return 0
	}
	var d time.Duration
	if n, err := strconv.ParseUint(text, 10, 64); err == nil {
		d = time.Duration(min(n, uint64(maxRetryAfter/time.Second))) * time.Second
	} else if at, err := http.ParseTime(text); err == nil {
		d = at.Sub(now)
	}
	return min(max(d, 0), maxRetryAfter)
}
