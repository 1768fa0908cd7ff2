package reach

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// AgentConfig says which ngrok agent to watch and for which tunnel.
type AgentConfig struct {
	// API is the base URL of the agent's local API, default http://127.0.0.1:4040.
	API string
	// Port is our listening port: the tunnel wanted is the one that leads to it.
	Port int
	// OnURL is called from Run with the tunnel's URL whenever it changes, with "" when
	// there is none any more.
	OnURL func(url string)
	// Interval is the time between two readings, default 2 s: with it a new URL is
	// known here well within the five seconds in which every member shall have it.
	Interval time.Duration
	Timeout  time.Duration // of one reading, default 1 s
	Log      *slog.Logger  // nil: discard
}

// Agent watches a running ngrok agent for the tunnel that leads to this node. No agent
// is the usual case and no trouble: it goes on looking, and says so only at debug level.
type Agent struct {
	cfg    AgentConfig
	api    *url.URL
	client *http.Client
	log    *slog.Logger

	// What Run has seen last; only its goroutine touches them.
	current string // the URL told last
	missed  int    // readings in a row without a tunnel
	said    string // what the log had last, so that it has each thing once
}

// Found is one reading of the agent.
type Found struct {
	URL    string        // of the tunnel to our port, "" when there is none
	Others []AgentTunnel // tunnels that lead elsewhere, for telling a person about them
}

// missesToForget is how many readings in a row must find nothing before a URL that was
// there is given up: one may fail because the machine is busy.
const missesToForget = 2

const maxAgentAnswer = 64 << 10

// ErrNoAgent says that no ngrok agent answered at the address of its API.
var ErrNoAgent = errors.New("no ngrok agent answers")

// NewAgent returns a watcher that has not looked yet.
func NewAgent(cfg AgentConfig) (*Agent, error) {
	if cfg.API == "" {
		cfg.API = fmt.Sprintf("http://127.0.0.1:%d", AgentPort)
	}
	if cfg.Interval <= 0 {
		cfg.Interval = 2 * time.Second
	}
	if cfg.Timeout <= 0 {
		cfg.Timeout = time.Second
	}
	if cfg.OnURL == nil {
		cfg.OnURL = func(string) {}
	}
	if cfg.Port < 1 || cfg.Port > 65535 {
		return nil, fmt.Errorf("reach: the port to find a tunnel for is %d; a port is a number from 1 to 65535", cfg.Port)
	}
	api, err := url.Parse(strings.TrimSuffix(cfg.API, "/"))
	if err != nil || api.Scheme != "http" && api.Scheme != "https" || api.Host == "" {
		return nil, fmt.Errorf("reach: the address of ngrok's agent API %q is no URL; write http://127.0.0.1:4040", cut(cfg.API, 80))
	}
	return &Agent{
		cfg:    cfg,
		api:    api,
		client: &http.Client{Transport: Policy{Timeout: cfg.Timeout}.Transport(Typed), CheckRedirect: NoRedirects},
		log:    logger(cfg.Log),
	}, nil
}

// Run reads the agent's API again and again until ctx ends.
func (a *Agent) Run(ctx context.Context) {
	defer a.client.CloseIdleConnections()
	tick := time.NewTicker(a.cfg.Interval)
	defer tick.Stop()
	for {
		a.look(ctx)
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

func (a *Agent) look(ctx context.Context) {
	found, err := a.find(ctx, a.current)
	if ctx.Err() != nil {
		return
	}
	a.tell(found, err)
	if found.URL == "" {
		a.missed++
		if a.current == "" || a.missed < missesToForget {
			return
		}
	}
	a.missed = 0
	if found.URL != a.current {
		if found.URL == "" {
			a.log.Info("the ngrok agent's tunnel to this node ended", "url", a.current)
		}
		a.current = found.URL
		a.cfg.OnURL(found.URL)
	}
}

// tell logs what is new in a reading.
func (a *Agent) tell(found Found, err error) {
	var what string
	switch {
	case errors.Is(err, ErrNoAgent):
		what = ErrNoAgent.Error() // without the port numbers of one attempt
	case err != nil:
		what = err.Error()
	case found.URL == "":
		what = fmt.Sprint(found.Others)
	default:
		what = found.URL
	}
	if what == a.said {
		return
	}
	a.said = what
	switch {
	case errors.Is(err, ErrNoAgent):
		a.log.Debug("no ngrok agent is running here", "api", a.api.String(), "error", err)
	case err != nil:
		a.log.Info("something else than an ngrok agent answers where one would", "api", a.api.String(), "error", err)
	case found.URL != "":
		a.log.Info("an ngrok agent has a tunnel to this node", "url", found.URL)
	default:
		a.log.Info("an ngrok agent is running, but none of its tunnels leads to this node",
			"tunnels", fmt.Sprint(found.Others), "start_one_with", fmt.Sprintf("ngrok http %d", a.cfg.Port))
	}
}

// Find reads the agent's API once. ErrNoAgent when nothing answers there; another error
// when the answer is not an agent's.
func (a *Agent) Find(ctx context.Context) (Found, error) { return a.find(ctx, "") }

// find prefers the newer form of the API and falls back to the older; an agent that has
// both may list a tunnel in only one of them.
func (a *Agent) find(ctx context.Context, keep string) (Found, error) {
	ctx, cancel := context.WithTimeout(ctx, a.cfg.Timeout)
	defer cancel()
	var all []AgentTunnel
	var failed error
	understood := false
	for _, form := range agentForms {
		body, err := a.get(ctx, form.path)
		if errors.Is(err, ErrNoAgent) {
			return Found{}, err
		}
		var list []AgentTunnel
		if err == nil {
			list, err = form.read(body)
		}
		if err != nil {
			failed = cmp.Or(failed, err)
			continue
		}
		understood = true
		found := choose(list, a.cfg.Port, isLocalHost(a.api.Hostname()), keep)
		if found.URL != "" {
			return found, nil
		}
		all = append(all, found.Others...)
	}
	if !understood {
		return Found{}, failed
	}
	return Found{Others: unique(all)}, nil
}

// get returns the body of one GET of the agent's API.
func (a *Agent) get(ctx context.Context, path string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, a.api.String()+path, nil)
	if err != nil {
		return nil, err
	}
	resp, err := a.client.Do(req)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNoAgent, err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAgentAnswer+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("%w: %w", ErrNoAgent, err)
	case resp.StatusCode != http.StatusOK:
		return nil, fmt.Errorf("reach: %s%s answered status %d", a.api, path, resp.StatusCode)
	case len(body) > maxAgentAnswer:
		return nil, fmt.Errorf("reach: %s%s answered more than %d bytes", a.api, path, maxAgentAnswer)
	}
	return body, nil
}
