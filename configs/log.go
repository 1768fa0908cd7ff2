package configs

import (
	"io"
	"log/slog"
	"time"
)

// Logger makes the logger that the settings ask for. On a terminal the time of day is
// enough: who watches knows the date.
func (l Logging) Logger(w io.Writer, terminal bool) *slog.Logger {
	o := &slog.HandlerOptions{Level: l.Level}
	if terminal && l.Format == "text" {
		o.ReplaceAttr = func(groups []string, a slog.Attr) slog.Attr {
			if a.Key == slog.TimeKey && len(groups) == 0 && a.Value.Kind() == slog.KindTime {
				a.Value = slog.StringValue(a.Value.Time().Format(time.TimeOnly))
			}
			return a
		}
	}
	if l.Format == "json" {
		return slog.New(slog.NewJSONHandler(w, o))
	}
	return slog.New(slog.NewTextHandler(w, o))
}
