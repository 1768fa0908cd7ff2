package cluster

import (
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hashicorp/memberlist"

	"caucus/cluster/memnet"
	"caucus/internal/testlog"
)

// lossy drops gossip's packets, and delivers the others late.
type lossy struct {
	memberlist.NodeAwareTransport
	loss          float64
	jitter        time.Duration
	sent, dropped *atomic.Int64
}

func (l *lossy) WriteToAddress(b []byte, to memberlist.Address) (time.Time, error) {
	l.sent.Add(1)
	if rand.Float64() < l.loss {
		l.dropped.Add(1)
		return time.Now(), nil
	}
	b = append([]byte(nil), b...)
	time.AfterFunc(rand.N(l.jitter+1), func() { _, _ = l.NodeAwareTransport.WriteToAddress(b, to) })
	return time.Now(), nil
}

// lossRun holds a cluster of five for a while on links that lose packets, and tells how often somebody who
// lives was suspected, and taken for dead.
func lossRun(t *testing.T, profile Profile, loss float64, d time.Duration) (suspicions, deaths int, sent, dropped int64) {
	t.Helper()
	memnet.Bubble(t, func(t *testing.T) {
		n := newNetwork(t)
		n.memory = memnet.New()
		var packets, lost atomic.Int64
		log := &testlog.Buffer{}
		nodes := n.cluster(5, func(c *Config) {
			c.Log = slog.New(slog.NewTextHandler(log, nil))
			c.TimeScale, c.RejoinMin, c.RejoinMax, c.Profile = 1, 0, 0, profile
			c.transport = func(inner memberlist.NodeAwareTransport) memberlist.NodeAwareTransport {
				return &lossy{inner, loss, 200 * time.Millisecond, &packets, &lost}
			}
		})
		time.Sleep(d)
		for _, x := range nodes {
			x.stop()
		}
		for line := range strings.Lines(log.String()) {
			switch {
			case strings.Contains(line, "member changed") && strings.Contains(line, "state=suspect"):
				suspicions++
			case strings.Contains(line, "member changed") && strings.Contains(line, "state=failed was="):
				deaths++
			}
		}
		time.Sleep(time.Minute)
		sent, dropped = packets.Load(), lost.Load()
	})
	return suspicions, deaths, sent, dropped
}

// TestF23PacketLoss: at a tenth of all packets lost, and the others up to 200 ms late, nobody who lives is taken for
// dead within ten minutes (of simulated time). What is lost are gossip's packets; on a session they
// could only come late, but memberlist is made for networks that lose them. CAUCUS_SOAK=1 also tries a fifth and a third.
func TestF23PacketLoss(t *testing.T) {
	if !memnet.Alone(t) {
		return
	}
	for _, c := range []struct {
		profile Profile
		loss    float64
		d       time.Duration
		soak    bool
	}{
		{LAN, 0.1, 2 * time.Minute, false},
		{Tunnel, 0.1, 10 * time.Minute, false},
		{LAN, 0.1, 10 * time.Minute, true},
		{LAN, 0.2, 10 * time.Minute, true},
		{LAN, 0.3, 10 * time.Minute, true},
		{Tunnel, 0.2, 10 * time.Minute, true},
		{Tunnel, 0.3, 10 * time.Minute, true},
	} {
		if c.soak && os.Getenv("CAUCUS_SOAK") == "" {
			continue
		}
		t.Run(fmt.Sprintf("%s, %.0f%% for %v", c.profile, 100*c.loss, c.d), func(t *testing.T) {
			suspicions, deaths, sent, dropped := lossRun(t, c.profile, c.loss, c.d)
			t.Logf("soak: %s: %.0f %% of gossip's packets lost, the others up to 200 ms late, %v | %d of %d lost: %d suspicions, %d false deaths", c.profile, 100*c.loss, c.d, dropped, sent, suspicions, deaths)
			if c.loss <= 0.1 && deaths > 0 {
				t.Errorf("%d times somebody alive was taken for dead", deaths)
			}
		})
	}
}
