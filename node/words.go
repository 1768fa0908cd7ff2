package node

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// spoken writes a span of time for people: 40 s, 12 min, 3 h, 2 d.
func spoken(d time.Duration) string {
	switch {
	case d < 0:
		return "0 s"
	case d < 2*time.Minute:
		return fmt.Sprintf("%d s", int(d.Seconds()+0.5))
	case d < 2*time.Hour:
		return fmt.Sprintf("%d min", int(d.Minutes()+0.5))
	case d < 48*time.Hour:
		return fmt.Sprintf("%d h", int(d.Hours()+0.5))
	}
	return fmt.Sprintf("%d d", int(d.Hours()/24+0.5))
}

// brief writes a small span of time: 0.4 ms, 12 ms, 1.5 s.
func brief(d time.Duration) string {
	ms := float64(d.Abs()) / float64(time.Millisecond)
	switch {
	case ms >= 1000:
		return strconv.FormatFloat(ms/1000, 'f', 1, 64) + " s"
	case ms < 0.1:
		return "0.1 ms" // nobody's clock is better than that
	case ms >= 10:
		return strconv.FormatFloat(ms, 'f', 0, 64) + " ms"
	}
	return strconv.FormatFloat(ms, 'f', 1, 64) + " ms"
}

// counted writes a number with its noun: 1 request, 20,400 requests.
func counted(x float64, noun string) string {
	n := strconv.FormatFloat(x, 'f', 0, 64)
	for i := len(n) - 3; i > 0; i -= 3 {
		n = n[:i] + "," + n[i:]
	}
	if n == "1" {
		return "1 " + noun
	}
	return n + " " + noun + "s"
}

// bytesOf writes a number of bytes as providers count them, in powers of a thousand.
func bytesOf(x float64) string {
	for _, unit := range []struct {
		of   float64
		name string
	}{{1e9, "GB"}, {1e6, "MB"}, {1e3, "kB"}} {
		if x >= unit.of {
			return strconv.FormatFloat(x/unit.of, 'f', 1, 64) + " " + unit.name
		}
	}
	return counted(x, "byte")
}

// enumerate joins names as a sentence does: a, b and c.
func enumerate(names []string) string {
	if len(names) < 2 {
		return strings.Join(names, "")
	}
	return strings.Join(names[:len(names)-1], ", ") + " and " + names[len(names)-1]
}
