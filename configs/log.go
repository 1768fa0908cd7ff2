package configs

import (
	"io"
	"log/slog"
)

// Logger makes the logger that the settings ask for.
func (l Logging) Logger(w io.Writer) *slog.Logger {
	o := &slog.HandlerOptions{Level: l.Level}
	if l.Format == "json" {
		return slog.New(slog.NewJSONHandler(w, o))
	}
	return slog.New(slog.NewTextHandler(w, o))
}
