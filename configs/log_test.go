package configs

import (
	"bytes"
	"regexp"
	"strings"
	"testing"
)

func TestLogsAreForWhoReadsThem(t *testing.T) {
	for _, tt := range []struct {
		name     string
		logging  Logging
		terminal bool
		want     string
	}{
		{"a person at a terminal", Logging{Format: "text"}, true, `^time=\d\d:\d\d:\d\d level=INFO msg=ready members=3\n$`},
		{"a file", Logging{Format: "text"}, false, `^time=\d{4}-\d\d-\d\dT\S+ level=INFO msg=ready members=3\n$`},
		{"a machine", Logging{Format: "json"}, true, `^\{"time":"\d{4}-\d\d-\d\dT[^"]+","level":"INFO","msg":"ready","members":3\}\n$`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var b bytes.Buffer
			log := tt.logging.Logger(&b, tt.terminal)
			log.Info("ready", "members", 3)
			log.Debug("not asked for")
			if !regexp.MustCompile(tt.want).MatchString(b.String()) || strings.Contains(b.String(), "asked") {
				t.Errorf("%q does not match %s", b.String(), tt.want)
			}
		})
	}
}
