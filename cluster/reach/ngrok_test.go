package reach

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"strings"
	"testing"
	"time"

	"golang.ngrok.com/ngrok/v2"

	"caucus/internal/testlog"
)

const testToken = "2abcDEFghiJKLmnoPQRstuVWXyz_authtoken"

// fakeSDK is ngrok's SDK as far as Open uses it.
type fakeSDK struct {
	ngrok.Agent // nil: calls that Open does not make panic
	listen      func(context.Context) (ngrok.EndpointListener, error)
	handler     ngrok.EventHandler
	log         *slog.Logger
	gone        bool
}

func (f *fakeSDK) Listen(ctx context.Context, _ ...ngrok.EndpointOption) (ngrok.EndpointListener, error) {
	return f.listen(ctx)
}

func (f *fakeSDK) Disconnect() error {
	f.gone = true
	return nil
}

type fakeListener struct {
	ngrok.EndpointListener
	net.Listener
}

func (f fakeListener) URL() *url.URL {
	return &url.URL{Scheme: "https", Host: "ab12.ngrok-free.app"}
}
func (f fakeListener) Accept() (net.Conn, error) { return f.Listener.Accept() }
func (f fakeListener) Addr() net.Addr            { return f.Listener.Addr() }
func (f fakeListener) Close() error              { return f.Listener.Close() }

// coded is an error as ngrok's service gives it: the code in a link at the end.
type coded struct{ code string }

func (c coded) ErrorCode() string { return c.code }
func (c coded) Error() string {
	return "authentication failed: Your authtoken: " + testToken + "\n\nhttps://ngrok.com/docs/errors/" + strings.ToLower(c.code)
}

func ngrokWith(t *testing.T, f *fakeSDK, log *slog.Logger) *Ngrok {
	t.Helper()
	n, err := NewNgrok(" "+testToken+"\n", log)
	if err != nil {
		t.Fatal(err)
	}
	n.newAgent = func(token string, log *slog.Logger, h ngrok.EventHandler) (ngrok.Agent, error) {
		if token != testToken {
			t.Errorf("the SDK got the token %q", token)
		}
		f.handler, f.log = h, log
		return f, nil
	}
	return n
}

func TestNgrokWithoutAnAuthtokenSaysWhatToDo(t *testing.T) {
	for _, token := range []string{"", " \n"} {
		_, err := NewNgrok(token, nil)
		if !errors.Is(err, ErrNoAuthtoken) || !strings.Contains(err.Error(), "NGROK_AUTHTOKEN") || !strings.Contains(err.Error(), "https://dashboard.ngrok.com") {
			t.Errorf("%q: %v", token, err)
		}
	}
}

func TestNgrokOpensAnEndpointAndTellsItsEvents(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	sdk := &fakeSDK{listen: func(context.Context) (ngrok.EndpointListener, error) { return fakeListener{Listener: l}, nil }}
	var told []string
	ep, err := ngrokWith(t, sdk, nil).Open(t.Context(), func(err error) { told = append(told, fmt.Sprint(err)) })
	if err != nil {
		t.Fatal(err)
	}
	if ep.URL() != "https://ab12.ngrok-free.app" {
		t.Errorf("URL %q", ep.URL())
	}
	sdk.handler(&ngrok.EventAgentConnectSucceeded{})
	sdk.handler(&ngrok.EventAgentHeartbeatReceived{})
	sdk.handler(&ngrok.EventAgentDisconnected{Error: errors.New("heartbeat timed out for " + testToken)})
	sdk.handler(&ngrok.EventAgentDisconnected{}) // the end
	if len(told) != 2 || told[0] != "<nil>" || !strings.Contains(told[1], "heartbeat timed out") || strings.Contains(told[1], testToken) {
		t.Errorf("told %q", told)
	}
	if err := ep.Close(); err != nil {
		t.Error(err)
	}
	if _, err := ep.Accept(); err == nil || !sdk.gone {
		t.Errorf("after Close: accept %v, disconnected %v", err, sdk.gone)
	}
}

func TestNgrokRefusalsAreSentencesAndFinal(t *testing.T) {
	for code, final := range map[string]bool{"ERR_NGROK_105": true, "ERR_NGROK_107": true, "ERR_NGROK_4018": true, "ERR_NGROK_120": true, "ERR_NGROK_108": false, "ERR_NGROK_334": false, "ERR_NGROK_9999": false} {
		// As an event, while the SDK goes on trying for ever.
		sdk := &fakeSDK{}
		var told error
		sdk.listen = func(ctx context.Context) (ngrok.EndpointListener, error) {
			for range 3 {
				sdk.handler(&ngrok.EventAgentDisconnected{Error: fmt.Errorf("authentication failed: %w", coded{code})})
			}
			if !final {
				return nil, coded{code}
			}
			<-ctx.Done()
			return nil, ctx.Err()
		}
		_, err := ngrokWith(t, sdk, nil).Open(t.Context(), func(err error) { told = err })
		if errors.Is(err, ErrTunnelRefused) != final || (told == nil) != final {
			t.Errorf("%s as an event: %v, told %v", code, err, told)
		}
		// As the answer to Listen.
		sdk.listen = func(context.Context) (ngrok.EndpointListener, error) { return nil, coded{code} }
		_, again := ngrokWith(t, sdk, nil).Open(t.Context(), func(error) {})
		if errors.Is(again, ErrTunnelRefused) != final {
			t.Errorf("%s as an answer: %v", code, again)
		}
		for _, e := range []error{err, again, told} {
			if e == nil {
				continue
			}
			if strings.Contains(e.Error(), testToken) || strings.Contains(e.Error(), "\n") {
				t.Errorf("%s: %q", code, e)
			}
			if code != "ERR_NGROK_9999" && !strings.Contains(e.Error(), code) {
				t.Errorf("%s: %q does not name it", code, e)
			}
		}
	}
}

func TestNgrokNeverLogsTheAuthtoken(t *testing.T) {
	var log testlog.Buffer
	sdk := &fakeSDK{listen: func(context.Context) (ngrok.EndpointListener, error) { return nil, errors.New("no network") }}
	if _, err := ngrokWith(t, sdk, log.Logger(slog.LevelDebug)).Open(t.Context(), func(error) {}); err == nil {
		t.Fatal("opened")
	}
	sdk.log.Error("failed to reconnect session for "+testToken, "err", coded{"ERR_NGROK_105"}, "n", 7)
	sdk.log.With("auth", testToken).WithGroup("g").Info("hello", slog.Group("deep", "auth", testToken), "url", "https://ab12.ngrok-free.app")
	text := log.String()
	if strings.Contains(text, testToken) || strings.Count(text, redacted) < 4 || !strings.Contains(text, "n=7") || !strings.Contains(text, "https://ab12.ngrok-free.app") {
		t.Errorf("log:\n%s", text)
	}
}

// The real SDK, with nobody to connect to: it must end with its context, in silence about the token.
func TestNgrokSDKEndsWithItsContext(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	nowhere := l.Addr().String()
	l.Close()
	var log testlog.Buffer
	n, err := NewNgrok(testToken, log.Logger(slog.LevelDebug))
	if err != nil {
		t.Fatal(err)
	}
	n.newAgent = func(token string, log *slog.Logger, h ngrok.EventHandler) (ngrok.Agent, error) {
		return ngrok.NewAgent(ngrok.WithAuthtoken(token), ngrok.WithLogger(log), ngrok.WithEventHandler(h), ngrok.WithAgentConnectURL(nowhere))
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	var told error
	_, err = n.Open(ctx, func(err error) {
		if told == nil {
			told = err
		}
		cancel()
	})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("Open: %v", err)
	}
	if told == nil || !strings.Contains(told.Error(), nowhere) {
		t.Errorf("told %v", told)
	}
	if strings.Contains(log.String(), testToken) {
		t.Errorf("log:\n%s", &log)
	}
}
