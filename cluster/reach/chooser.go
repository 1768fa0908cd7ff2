package reach

import (
	"sync"
	"time"

	"caucus/cluster/identity"
)

// Source is where a URL of this node comes from.
type Source uint8

// The sources, in order of precedence: the first that has a URL applies.
const (
	FromNothing  Source = iota // no URL is known
	FromFlag                   // --public-url
	FromAgent                  // an ngrok agent's tunnel to our port
	FromTunnel                 // our own endpoint, by --ngrok
	FromDialBack               // our observed address, which the peer that we joined could dial
	FromRelay                  // URL/via/{id} of a member that carries us
	sources
)

var sourceNames = [sources]string{
	FromNothing:  "none",
	FromFlag:     "--public-url",
	FromAgent:    "a running ngrok agent",
	FromTunnel:   "--ngrok",
	FromDialBack: "dial-back",
	FromRelay:    "relay",
}

// String names the source as a person knows it.
func (s Source) String() string {
	if s < sources {
		return sourceNames[s]
	}
	return "unknown"
}

// Choice is the URL to advertise.
type Choice struct {
	URL    string // "" when there is none
	Source Source
	// Turn rises with each change, and with each Renew of the URL in use: what others
	// have of this node (sessions, cards) is stale since.
	Turn uint64
}

// Direct reports whether others reach this node without a relay, so that it may carry others.
func (c Choice) Direct() bool { return c.URL != "" && c.Source != FromRelay }

// Chooser keeps what each source says and tells which URL applies. A better source
// applies at once. When the one in use ends, the next applies only after a hold, so
// that a tunnel that restarts does not send this node to a relay and back.
// Its methods may be called from many goroutines.
type Chooser struct {
	hold time.Duration

	mu      sync.Mutex // guards all below
	urls    [sources]string
	current Choice
	timer   *time.Timer // runs while the source in use has no URL
	changed chan struct{}
	closed  bool
}

// DefaultHold is how long a URL whose source ended is kept.
const DefaultHold = 5 * time.Second

// NewChooser returns a chooser that knows no URL. hold 0 means DefaultHold, less than 0 none.
func NewChooser(hold time.Duration) *Chooser {
	if hold == 0 {
		hold = DefaultHold
	}
	return &Chooser{hold: hold, changed: make(chan struct{})}
}

// Set says which URL a source has now; "" takes it back. A URL that is no base URL of a
// node is an error of identity.ErrURL, and changes nothing.
func (c *Chooser) Set(s Source, url string) error {
	if url != "" {
		normal, err := identity.ParseURL(url)
		if err != nil {
			return err
		}
		url = normal
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if s == FromNothing || s >= sources || c.closed {
		return nil
	}
	c.urls[s] = url
	c.decide(false)
	return nil
}

// Renew says that a source's URL is the same but must be made known again, as after a
// tunnel was reconnected.
func (c *Chooser) Renew(s Source) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.closed && c.current.Source == s && c.current.URL != "" && c.urls[s] == c.current.URL {
		c.announce(c.current.Source, c.current.URL)
	}
}

// SetTunnel takes the states of a Tunnel (TunnelConfig.OnState). A connection that broke
// takes the URL back, so that the hold begins; one that was mended in time renews it.
func (c *Chooser) SetTunnel(s TunnelState) error {
	if !s.Up {
		return c.Set(FromTunnel, "")
	}
	before, _ := c.Current()
	if err := c.Set(FromTunnel, s.URL); err != nil {
		return err
	}
	if after, _ := c.Current(); after.Turn == before.Turn {
		c.Renew(FromTunnel)
	}
	return nil
}

// decide takes the first source with a URL. The caller holds mu. late: the hold is over.
func (c *Chooser) decide(late bool) {
	best := FromNothing
	for s := FromFlag; s < sources; s++ {
		if c.urls[s] != "" {
			best = s
			break
		}
	}
	worse := c.current.URL != "" && (best == FromNothing || best > c.current.Source)
	if worse && !late && c.hold > 0 {
		if c.timer == nil {
			var timer *time.Timer
			timer = time.AfterFunc(c.hold, func() {
				c.mu.Lock()
				defer c.mu.Unlock()
				if c.timer == timer { // else a stopped one that was already on its way
					c.timer = nil
					c.decide(true)
				}
			})
			c.timer = timer
		}
		return
	}
	if c.timer != nil {
		c.timer.Stop()
		c.timer = nil
	}
	if best != c.current.Source || c.urls[best] != c.current.URL {
		c.announce(best, c.urls[best])
	}
}

func (c *Chooser) announce(s Source, url string) {
	c.current = Choice{URL: url, Source: s, Turn: c.current.Turn + 1}
	close(c.changed)
	c.changed = make(chan struct{})
}

// Current returns the URL that applies, and a channel that is closed at the next change.
func (c *Chooser) Current() (Choice, <-chan struct{}) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.current, c.changed
}

// Close stops the hold's timer; nothing changes any more.
func (c *Chooser) Close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	if c.timer != nil {
		c.timer.Stop()
		c.timer = nil
	}
}
