package session

import (
	"context"
	"errors"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

func TestWhatAnswersInPlaceOfANodeIsExplained(t *testing.T) {
	var seen atomic.Value
	a := start(t, func(c *Config) {
		c.Explain = func(status int, h http.Header, body []byte) (string, bool) {
			seen.Store(body)
			return "the tunnel is \x1b[31moffline", status == 404 && h.Get("X-Code") == "3200"
		}
	})
	offline := answering(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X-Code", "3200")
		w.WriteHeader(404)
		_, _ = w.Write([]byte("<html>page"))
	})
	_, err := a.Dial(t.Context(), offline, "", nil)
	if err == nil || !strings.Contains(err.Error(), "the tunnel is ?[31moffline") || !strings.Contains(err.Error(), offline) {
		t.Errorf("got %v", err)
	}
	if b, _ := seen.Load().([]byte); string(b) != "<html>page" {
		t.Errorf("it was shown %q", b)
	}
	// What it does not know is said as without it.
	_, err = a.Dial(t.Context(), answering(t, http.NotFound), "", nil)
	if err == nil || !strings.Contains(err.Error(), "no /gossip (HTTP 404)") {
		t.Errorf("got %v", err)
	}
}

func TestMeetLearnsWhoIsThereAndMakesNoSession(t *testing.T) {
	a, b, c := start(t, nil), start(t, nil), start(t, nil)
	if err := a.Meet(t.Context(), b.url(), b.id); err != nil {
		t.Fatal(err)
	}
	var other *IdentityError
	if err := a.Meet(t.Context(), b.url(), c.id); !errors.Is(err, ErrIdentity) || !errors.As(err, &other) || other.Got != b.id || other.Want != c.id {
		t.Errorf("somebody else: %v", err)
	}
	if err := a.Meet(t.Context(), a.url(), b.id); !errors.Is(err, ErrSelf) {
		t.Errorf("itself: %v", err)
	}
	if err := a.Meet(t.Context(), answering(t, http.NotFound), b.id); err == nil {
		t.Error("a web server passed for a node")
	}
	if a.Connected(b.id) || b.Connected(a.id) {
		t.Error("there is a session")
	}
}

func TestProbeEndsSessionsThatHangAndKeepsThoseThatLive(t *testing.T) {
	var hang atomic.Bool
	a := start(t, func(c *Config) {
		c.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
			conn, err := (&net.Dialer{}).DialContext(ctx, network, address)
			return &swallower{Conn: conn, on: &hang}, err
		}
	})
	live, lost := start(t, nil), start(t, nil)
	join(t, live, a) // inbound at a, so not through the dialer
	join(t, a, lost)
	hang.Store(true)
	a.Probe(200*time.Millisecond, func(p Peer) bool {
		if p.ID == lost.id && p.URL != lost.url() || p.ID == live.id && p.URL != "" {
			t.Errorf("%+v", p)
		}
		return true
	})
	eventually(t, "the one that hangs has ended", func() bool { return !a.Connected(lost.id) })
	if !a.Connected(live.id) {
		t.Error("the one that lives has ended")
	}
}

// swallower loses what is written while on is set, as a half-open connection does.
type swallower struct {
	net.Conn
	on *atomic.Bool
}

func (s *swallower) Write(b []byte) (int, error) {
	if s.on.Load() {
		return len(b), nil
	}
	return s.Conn.Write(b)
}
