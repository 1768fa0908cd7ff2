package reach

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"strings"
	"time"

	"golang.ngrok.com/ngrok/v2"
)

// ErrNoAuthtoken says that --ngrok was asked for without an account to use.
var ErrNoAuthtoken = errors.New("reach: --ngrok needs the authtoken of an ngrok account: copy yours from " +
	"https://dashboard.ngrok.com/get-started/your-authtoken and set the environment variable NGROK_AUTHTOKEN to it")

// Ngrok opens endpoints with ngrok's Go SDK, so that no ngrok program has to run.
type Ngrok struct {
	token    string
	log      *slog.Logger
	newAgent func(token string, log *slog.Logger, handler ngrok.EventHandler) (ngrok.Agent, error) // newNgrokAgent, but in tests
}

var _ Opener = (*Ngrok)(nil)

// NewNgrok returns an opener for the account of an authtoken (NGROK_AUTHTOKEN). The
// token goes to ngrok alone. Without one it returns ErrNoAuthtoken.
func NewNgrok(authtoken string, log *slog.Logger) (*Ngrok, error) {
	authtoken = strings.TrimSpace(authtoken)
	if authtoken == "" {
		return nil, ErrNoAuthtoken
	}
	return &Ngrok{token: authtoken, log: logger(log), newAgent: newNgrokAgent}, nil
}

func newNgrokAgent(token string, log *slog.Logger, handler ngrok.EventHandler) (ngrok.Agent, error) {
	return ngrok.NewAgent(
		ngrok.WithAuthtoken(token),
		ngrok.WithLogger(log), // without one the SDK warns on slog's default logger
		ngrok.WithClientInfo("caucus", "1"),
		ngrok.WithEventHandler(handler),
	)
}

// Open implements Opener. The SDK tries for ever to connect, even with a token that
// ngrok does not know, and says why only in events; so refusals are looked for there.
func (n *Ngrok) Open(ctx context.Context, notify func(error)) (Endpoint, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	log := slog.New(scrub{n.log.Handler(), n.token}) // ngrok repeats a bad token in its errors, which the SDK logs
	agent, err := n.newAgent(n.token, log, func(e ngrok.Event) { n.onEvent(e, notify, cancel) })
	if err != nil {
		cancel(nil)
		return nil, fmt.Errorf("reach: ngrok's SDK does not start: %w", err)
	}
	listener, err := agent.Listen(ctx)
	if err != nil {
		_ = agent.Disconnect()
		defer cancel(nil)
		if cause := context.Cause(ctx); errors.Is(cause, ErrTunnelRefused) {
			return nil, cause
		}
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, n.explain(err, "ngrok gave no endpoint")
	}
	return &ngrokEndpoint{EndpointListener: listener, url: listener.URL().String(), agent: agent, cancel: cancel}, nil
}

// onEvent runs on the SDK's goroutines and must not block.
func (n *Ngrok) onEvent(e ngrok.Event, notify func(error), cancel context.CancelCauseFunc) {
	switch e := e.(type) {
	case *ngrok.EventAgentConnectSucceeded:
		notify(nil)
	case *ngrok.EventAgentDisconnected:
		if e.Error == nil { // the end, which Accept tells
			return
		}
		err := n.explain(e.Error, "the connection to ngrok broke")
		if errors.Is(err, ErrTunnelRefused) {
			cancel(err) // only the first cause counts; the SDK would go on trying
			return
		}
		notify(err)
	}
}

type ngrokEndpoint struct {
	ngrok.EndpointListener
	url    string
	agent  ngrok.Agent
	cancel context.CancelCauseFunc
}

// URL returns the public URL, which an endpoint of ngrok keeps through reconnects.
func (e *ngrokEndpoint) URL() string { return e.url }

// Close gives the endpoint back and ends the connection to ngrok. Giving it back asks
// the service, which may be out of reach; the SDK has no limit for that, so it gets one here.
func (e *ngrokEndpoint) Close() error {
	given := make(chan error, 1)
	go func() { given <- e.EndpointListener.Close() }()
	var err error
	limit := time.NewTimer(2 * time.Second)
	defer limit.Stop()
	select {
	case err = <-given:
	case <-limit.C:
	}
	err = cmp.Or(err, e.agent.Disconnect()) // which also ends the asking
	e.cancel(nil)
	return err
}

// explain makes one sentence of an error of the SDK, without the authtoken, which
// ngrok repeats in some. It wraps ErrTunnelRefused where another attempt is of no use.
func (n *Ngrok) explain(err error, what string) error {
	code := ngrokCodeOf(err.Error())
	var coded interface{ ErrorCode() string } // of the SDK's inner errors, in events
	var outer ngrok.Error
	switch {
	case errors.As(err, &outer) && outer.Code() != "":
		code = outer.Code()
	case errors.As(err, &coded) && coded.ErrorCode() != "":
		code = coded.ErrorCode()
	}
	answer, ok := ngrokAnswers[code]
	switch {
	case !ok:
		text, _, _ := strings.Cut(err.Error(), "\n")
		return fmt.Errorf("reach: %s: %s", what, strings.ReplaceAll(text, n.token, redacted))
	case answer.final:
		return fmt.Errorf("reach: %w: %s (%s)", ErrTunnelRefused, answer.say, code)
	default:
		return fmt.Errorf("reach: %s: %s (%s)", what, answer.say, code)
	}
}

const dashboard = "https://dashboard.ngrok.com/get-started/your-authtoken"

// ngrokAnswers says what ngrok's answers to an agent mean, those that a student meets.
// Final ones only a person can change.
var ngrokAnswers = map[string]struct {
	say   string
	final bool
}{
	"ERR_NGROK_105":  {"NGROK_AUTHTOKEN is no authtoken of ngrok; copy yours from " + dashboard + " (an API key is something else)", true},
	"ERR_NGROK_106":  {"NGROK_AUTHTOKEN is of ngrok's first version; copy a present one from " + dashboard, true},
	"ERR_NGROK_107":  {"NGROK_AUTHTOKEN is not valid any more, perhaps it was reset; copy the present one from " + dashboard, true},
	"ERR_NGROK_108":  {"this ngrok account already runs as many agents as its plan allows; stop another one, or use an account of your own", false},
	"ERR_NGROK_120":  {"ngrok no longer serves the version of its SDK in this program; update caucus, or run ngrok's own agent beside it", true},
	"ERR_NGROK_121":  {"ngrok no longer serves the version of its SDK in this program; update caucus, or run ngrok's own agent beside it", true},
	"ERR_NGROK_334":  {"another endpoint of this ngrok account is online under the same URL; stop it, or use an account of your own", false},
	"ERR_NGROK_4018": {"ngrok wants a verified account; copy your authtoken from " + dashboard + " into NGROK_AUTHTOKEN", true},
}

var ngrokCode = regexp.MustCompile(`(?i)\berr_ngrok_[0-9]{1,6}\b`)

// ngrokCodeOf finds an error code of ngrok in a text, in any case, and returns it in capitals.
func ngrokCodeOf(s string) string { return strings.ToUpper(ngrokCode.FindString(s)) }

const redacted = "[authtoken]"

// scrub is a log handler that takes the authtoken out of whatever passes.
type scrub struct {
	slog.Handler
	secret string
}

func (s scrub) Handle(ctx context.Context, r slog.Record) error {
	clean := slog.NewRecord(r.Time, r.Level, strings.ReplaceAll(r.Message, s.secret, redacted), r.PC)
	r.Attrs(func(a slog.Attr) bool {
		clean.AddAttrs(s.attr(a))
		return true
	})
	return s.Handler.Handle(ctx, clean)
}

func (s scrub) WithAttrs(attrs []slog.Attr) slog.Handler {
	clean := make([]slog.Attr, len(attrs))
	for i, a := range attrs {
		clean[i] = s.attr(a)
	}
	return scrub{s.Handler.WithAttrs(clean), s.secret}
}

func (s scrub) WithGroup(name string) slog.Handler { return scrub{s.Handler.WithGroup(name), s.secret} }

func (s scrub) attr(a slog.Attr) slog.Attr {
	// A group may hide it at any depth; as text it cannot.
	if text := a.Value.Resolve().String(); strings.Contains(text, s.secret) {
		return slog.String(a.Key, strings.ReplaceAll(text, s.secret, redacted))
	}
	return a
}
