package gossip

import (
	"bytes"
	"context"
	"log"
	"log/slog"
	"strings"
	"unicode"
)

// NewLogger returns a logger for memberlist that writes to log with memberlist's
// own levels, but for the lines that tell of everyday events, which become debug.
// observe, if not nil, sees every line first; it must not block.
func NewLogger(to *slog.Logger, observe func(line string)) *log.Logger {
	return log.New(&bridge{to: to.With("component", "memberlist"), observe: observe}, "", 0)
}

type bridge struct {
	to      *slog.Logger
	observe func(line string)
}

// everyday are lines that a healthy cluster writes: a peer that went away, a message that came
// twice, a late join. What matters of them shows in the members' states.
var everyday = []string{
	"ignoring alive message",
	"Refuting a",
	"Suspect ",
	"Marking ",
	"Push/Pull with",
	"Failed fallback TCP ping",
	"Failed push/pull merge",
	"Failed to send",
	"Failed to receive",
	"failed to receive",
	"Was able to connect to",
	"UDP probes failed",
	"Got ping for unexpected node",
}

const longestLine = 400

// Write implements io.Writer: one call for each line.
func (b *bridge) Write(p []byte) (int, error) {
	level, line := splitLevel(string(bytes.TrimRight(p, "\n")))
	if b.observe != nil {
		b.observe(line)
	}
	if level > slog.LevelDebug {
		for _, s := range everyday {
			if strings.Contains(line, s) {
				level = slog.LevelDebug
				break
			}
		}
	}
	if b.to.Enabled(context.Background(), level) {
		b.to.Log(context.Background(), level, "memberlist", "line", printable(line))
	}
	return len(p), nil
}

// splitLevel takes "[WARN] memberlist: " off a line.
func splitLevel(line string) (slog.Level, string) {
	level := slog.LevelInfo
	if rest, ok := strings.CutPrefix(line, "["); ok {
		if name, text, ok := strings.Cut(rest, "] "); ok {
			line = text
			switch name {
			case "DEBUG", "TRACE":
				level = slog.LevelDebug
			case "WARN":
				level = slog.LevelWarn
			case "ERR", "ERROR":
				level = slog.LevelError
			}
		}
	} else if strings.HasPrefix(line, "Err: ") {
		level = slog.LevelError
	}
	return level, strings.TrimPrefix(line, "memberlist: ")
}

// printable replaces what could forge a line or move a cursor, and cuts the line: names and errors in it come
// from peers.
func printable(s string) string {
	if len(s) > longestLine {
		s = strings.ToValidUTF8(s[:longestLine], "") + "…"
	}
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return unicode.ReplacementChar
	}, s)
}
