package node

import (
	"strings"
	"testing"
	"time"

	"caucus/node/api"
)

func TestTheDoctorSaysWhatAMonthComesTo(t *testing.T) {
	cfg := DefaultConfig()
	cfg.Listen, cfg.PublicURL = "127.0.0.1:0", "https://ab12.ngrok-free.app"
	n, err := New(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = n.Close() })
	p := &patient{Node: n}
	says := func(severity string, words ...string) {
		t.Helper()
		all := p.quota()
		if len(all) != 1 || all[0].Severity != severity {
			t.Fatalf("%+v", all)
		}
		for _, w := range words {
			if !strings.Contains(all[0].Sentence, w) {
				t.Errorf("%q does not say %q", all[0].Sentence, w)
			}
		}
	}
	ago := func(d time.Duration) { n.traffic.pace.samples = []paced{{at: time.Now().Add(-d)}} }
	requests := uint64(0)
	n.traffic.requests = func() uint64 { return requests }
	ago(3 * time.Minute)
	requests = 50 // a month of that would be 720,000, and nobody is frightened by three minutes
	says(api.SeverityOK, "50 requests", "3 min", "too short", "20,000 requests and 1 GB")
	ago(30 * time.Minute)
	says(api.SeverityOK, "72,000 requests") // said, but half an hour makes no habit
	ago(3 * time.Hour)
	says(api.SeverityOK, "12,000 requests", "last 3 h")
	requests = 500
	says(api.SeverityWarn, "120,000 requests")
	requests = 0
	n.traffic.meter.tunnel.out.Add(10_000_000)
	says(api.SeverityWarn, "2.4 GB", "10.0 MB")
	if err := n.cluster.SetURL("https://four-words.trycloudflare.com"); err != nil {
		t.Fatal(err)
	}
	if all := p.quota(); len(all) != 0 {
		t.Errorf("of another tunnel: %+v", all)
	}
}
