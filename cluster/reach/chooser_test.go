package reach

import (
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"caucus/cluster/identity"
)

const (
	flagURL   = "https://typed.example"
	agentURL  = "https://agent.ngrok-free.app"
	agentURL2 = "https://agent2.ngrok-free.app"
	sdkURL    = "https://sdk.ngrok-free.app"
	dialURL   = "http://198.51.100.7:5001"
	relayURL  = "https://hub.example/via/abcdefghijklmnopqrstuvwxyz234567"
	relayURL2 = "https://hub2.example/via/abcdefghijklmnopqrstuvwxyz234567"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wantChoice(t *testing.T, c *Chooser, s Source, url string) Choice {
	t.Helper()
	got, _ := c.Current()
	if got.Source != s || got.URL != url {
		t.Fatalf("the choice is %v %q, want %v %q", got.Source, got.URL, s, url)
	}
	return got
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

func TestChooserTakesTheFirstSourceThatApplies(t *testing.T) {
	order := []struct {
		source Source
		url    string
	}{{FromRelay, relayURL}, {FromDialBack, dialURL}, {FromTunnel, sdkURL}, {FromAgent, agentURL}, {FromFlag, flagURL}}
	c := NewChooser(-1)
	defer c.Close()
	wantChoice(t, c, FromNothing, "")
	for _, o := range order { // each one better than those before
		_, changed := c.Current()
		must(t, c.Set(o.source, o.url))
		got := wantChoice(t, c, o.source, o.url)
		if !isClosed(changed) {
			t.Errorf("%v: the change was not told", o.source)
		}
		if got.Direct() != (o.source != FromRelay) {
			t.Errorf("%v: direct %v", o.source, got.Direct())
		}
	}
	for i := len(order) - 1; i > 0; i-- { // and back again
		must(t, c.Set(order[i].source, ""))
		wantChoice(t, c, order[i-1].source, order[i-1].url)
	}
	must(t, c.Set(FromRelay, ""))
	wantChoice(t, c, FromNothing, "")
}

func TestChooserTellsOnlyWhatChanges(t *testing.T) {
	c := NewChooser(-1)
	defer c.Close()
	must(t, c.Set(FromAgent, agentURL))
	_, changed := c.Current()
	must(t, c.Set(FromAgent, agentURL))
	must(t, c.Set(FromAgent, agentURL+"/")) // the same in normal form
	must(t, c.Set(FromRelay, relayURL))     // not the one in use
	must(t, c.Set(FromRelay, ""))
	c.Renew(FromTunnel) // not the one in use
	if isClosed(changed) {
		t.Error("a change was told where there was none")
	}
	before, _ := c.Current()
	c.Renew(FromAgent)
	after := wantChoice(t, c, FromAgent, agentURL)
	if !isClosed(changed) || after.Turn != before.Turn+1 {
		t.Errorf("a renewed URL is to be told again: turn %d, then %d", before.Turn, after.Turn)
	}
	_, changed = c.Current()
	if err := c.Set(FromAgent, "https://user@evil.example/path"); !errors.Is(err, identity.ErrURL) || isClosed(changed) {
		t.Errorf("a URL that is none: %v", err)
	}
}

func TestChooserHoldsAURLWhoseSourceEnded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := NewChooser(5 * time.Second)
		defer c.Close()
		must(t, c.Set(FromRelay, relayURL))
		must(t, c.Set(FromAgent, agentURL))
		wantChoice(t, c, FromAgent, agentURL)

		must(t, c.Set(FromAgent, "")) // ngrok restarts
		time.Sleep(4 * time.Second)
		wantChoice(t, c, FromAgent, agentURL)
		must(t, c.Set(FromAgent, agentURL2)) // with another URL
		turn := wantChoice(t, c, FromAgent, agentURL2).Turn
		time.Sleep(time.Minute)
		if got := wantChoice(t, c, FromAgent, agentURL2); got.Turn != turn {
			t.Error("the hold went on after the source was back")
		}

		must(t, c.Set(FromAgent, "")) // ngrok ends
		time.Sleep(5*time.Second - time.Nanosecond)
		wantChoice(t, c, FromAgent, agentURL2)
		time.Sleep(time.Nanosecond)
		synctest.Wait()
		wantChoice(t, c, FromRelay, relayURL)

		must(t, c.Set(FromRelay, relayURL2)) // another relay: at once, the first is dead
		wantChoice(t, c, FromRelay, relayURL2)

		must(t, c.Set(FromTunnel, sdkURL)) // a direct URL: at once
		wantChoice(t, c, FromTunnel, sdkURL)

		must(t, c.Set(FromTunnel, ""))
		time.Sleep(3 * time.Second)
		must(t, c.Set(FromDialBack, dialURL)) // what comes meanwhile does not begin the hold anew
		time.Sleep(2 * time.Second)
		synctest.Wait()
		wantChoice(t, c, FromDialBack, dialURL)

		must(t, c.Set(FromDialBack, ""))
		must(t, c.Set(FromFlag, flagURL)) // better than what is held: at once
		wantChoice(t, c, FromFlag, flagURL)
		must(t, c.Set(FromFlag, ""))
		must(t, c.Set(FromRelay, ""))
		time.Sleep(5 * time.Second)
		synctest.Wait()
		wantChoice(t, c, FromNothing, "")
	})
}

func TestChooserFollowsATunnel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := NewChooser(5 * time.Second)
		defer c.Close()
		must(t, c.Set(FromRelay, relayURL))
		must(t, c.SetTunnel(TunnelState{Err: errors.New("no network")}))
		wantChoice(t, c, FromRelay, relayURL)
		must(t, c.SetTunnel(TunnelState{URL: sdkURL, Up: true}))
		turn := wantChoice(t, c, FromTunnel, sdkURL).Turn

		must(t, c.SetTunnel(TunnelState{URL: sdkURL, Err: errors.New("broken")}))
		time.Sleep(2 * time.Second)
		must(t, c.SetTunnel(TunnelState{URL: sdkURL, Up: true})) // mended in time: the same URL, told again
		if got := wantChoice(t, c, FromTunnel, sdkURL); got.Turn != turn+1 {
			t.Errorf("turn %d after %d", got.Turn, turn)
		}

		must(t, c.SetTunnel(TunnelState{URL: sdkURL, Err: errors.New("broken")}))
		time.Sleep(6 * time.Second)
		turn = wantChoice(t, c, FromRelay, relayURL).Turn
		must(t, c.SetTunnel(TunnelState{URL: sdkURL, Up: true})) // mended late: one change, told once
		if got := wantChoice(t, c, FromTunnel, sdkURL); got.Turn != turn+1 {
			t.Errorf("turn %d after %d", got.Turn, turn)
		}

		must(t, c.Set(FromAgent, agentURL))
		turn = wantChoice(t, c, FromAgent, agentURL).Turn
		must(t, c.SetTunnel(TunnelState{URL: sdkURL, Up: true})) // not in use: nobody's business
		if got := wantChoice(t, c, FromAgent, agentURL); got.Turn != turn {
			t.Errorf("turn %d after %d", got.Turn, turn)
		}
		if err := c.SetTunnel(TunnelState{URL: "tcp://0.tcp.ngrok.io:1", Up: true}); !errors.Is(err, identity.ErrURL) {
			t.Errorf("a URL that is none: %v", err)
		}
	})
}

func TestAClosedChooserStaysAsItWas(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := NewChooser(0)
		must(t, c.Set(FromRelay, relayURL))
		must(t, c.Set(FromAgent, agentURL))
		must(t, c.Set(FromAgent, ""))
		c.Close()
		c.Close()
		time.Sleep(time.Hour)
		must(t, c.Set(FromFlag, flagURL))
		wantChoice(t, c, FromAgent, agentURL)
	})
}

func TestChooserFromManyGoroutines(t *testing.T) {
	c := NewChooser(time.Microsecond)
	var wg sync.WaitGroup
	for _, s := range []Source{FromAgent, FromTunnel, FromRelay} {
		wg.Go(func() {
			for i := range 200 {
				if i%2 == 0 {
					_ = c.Set(s, agentURL)
				} else {
					_ = c.Set(s, "")
				}
				c.Renew(s)
				c.Current()
			}
			_ = c.Set(s, "")
		})
	}
	wg.Wait()
	must(t, c.Set(FromFlag, flagURL))
	wantChoice(t, c, FromFlag, flagURL)
	c.Close()
}

func TestSourcesHaveNames(t *testing.T) {
	for s := FromNothing; s < sources; s++ {
		if s.String() == "" || s.String() == "unknown" {
			t.Errorf("source %d has no name", s)
		}
	}
}
