// Package dialect asks model servers that are not Caucus nodes: the Flask apps of
// a course, and whatever else answers a row of numbers over HTTP.
//
// A Form is one way of putting the question; forms are entries of a table, and all
// answers are read by one reader, because servers mix the two freely. Nothing that
// such a server does can fail a round: every failure is a Reply with the Outcome
// that names it and a Reason that a person can act on.
//
// The client is guarded. It looks at the address that a name resolved to at the
// moment of dialling, follows no redirect, uses no proxy from the environment, asks
// for no compression, and reads at most 64 KiB of an answer.
package dialect

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"syscall"
	"time"

	"caucus/ml"
	"caucus/node/consensus"
)

// The client's limits, and the defaults of Options.
const (
	DefaultDialTimeout   = time.Second
	DefaultHeaderTimeout = 1500 * time.Millisecond
	DefaultTimeout       = 3 * time.Second
	DefaultMaxAnswer     = 64 << 10
)

// Options says how patient and how careful a Client is. Zero values mean defaults.
type Options struct {
	DialTimeout   time.Duration // to connect, default 1 s
	HeaderTimeout time.Duration // from the question to the answer's first line, default 1.5 s
	Timeout       time.Duration // for the whole exchange, default 3 s; a context may end it earlier
	MaxAnswer     int           // bytes of an answer, default 64 KiB
	MaxIdle       int           // connections to one server that are kept open, default 4
	Guard         Guard         // which addresses may be dialled, default Typed
}

// Client asks model servers. Its methods may be called from many goroutines.
type Client struct {
	http      *http.Client
	timeout   time.Duration
	maxAnswer int
}

// NewClient makes a client. Close it when done, so that idle connections end.
func NewClient(o Options) *Client {
	if o.DialTimeout <= 0 {
		o.DialTimeout = DefaultDialTimeout
	}
	if o.HeaderTimeout <= 0 {
		o.HeaderTimeout = DefaultHeaderTimeout
	}
	if o.Timeout <= 0 {
		o.Timeout = DefaultTimeout
	}
	if o.MaxAnswer <= 0 {
		o.MaxAnswer = DefaultMaxAnswer
	}
	if o.MaxIdle <= 0 {
		o.MaxIdle = 4
	}
	if o.Guard == nil {
		o.Guard = Typed
	}
	dialer := &net.Dialer{
		Timeout: o.DialTimeout,
		// Here the name is resolved already, so a name that leads somewhere
		// forbidden, now or only at the second look, is caught.
		Control: func(_, address string, _ syscall.RawConn) error { return check(o.Guard, address) },
	}
	return &Client{
		timeout:   o.Timeout,
		maxAnswer: o.MaxAnswer,
		http: &http.Client{
			Transport: &http.Transport{
				Proxy:                  nil, // never from the environment
				DialContext:            dialer.DialContext,
				TLSHandshakeTimeout:    o.HeaderTimeout,
				ResponseHeaderTimeout:  o.HeaderTimeout,
				DisableCompression:     true, // 64 KiB must mean 64 KiB
				MaxResponseHeaderBytes: 16 << 10,
				MaxIdleConnsPerHost:    o.MaxIdle,
				IdleConnTimeout:        30 * time.Second,
			},
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}
}

// Close ends idle connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Target is one model server: where it is, how to ask it, and what the answer may be.
type Target struct {
	Base *url.URL // see ParseBase
	Form Form
	Task ml.Task // labels give answers their meaning
	// Names is how the server spells the features, in the task's order; nil: as the task does.
	Names []string
	// Means says what the server's answers mean where they are neither a class number nor a
	// label: class index by the answer's text. nil: nothing.
	Means map[string]int

	path   string   // of the URL that is asked; empty: the form's first
	inputs []tensor // of the Open Inference Protocol
}

// spelt returns the features as they are sent.
func (t *Target) spelt() []string {
	if t.Names != nil {
		return t.Names
	}
	return t.Task.Features
}

// Reply is what became of one question.
type Reply struct {
	Outcome       consensus.Outcome
	Label         int           // class index, of the first row, when Outcome is OK
	Labels        []int         // of all rows
	Probabilities []float64     // one a row and class in [0,1], adding up to 1 in each row; or nil
	Status        int           // HTTP status, 0 if there was no answer
	Reason        string        // what went wrong and what to do; empty when Outcome is OK
	RetryAfter    time.Duration // what an overloaded server asked for; 0: nothing
	Elapsed       time.Duration

	astray bool // it was sent to the same address with, or without, a slash at the end
	tunnel bool // a tunnel answered, whatever was asked
}

// Ask puts one row to the target. It does not return an error: a server's failure
// is data. len(row) is what the form sends; checking it is the caller's business.
func (c *Client) Ask(ctx context.Context, t Target, row []float64) Reply {
	return c.AskRows(ctx, t, [][]float64{row})
}

// AskRows is Ask for many rows in one request, which the target's form must be able to carry.
func (c *Client) AskRows(ctx context.Context, t Target, rows [][]float64) Reply {
	start := time.Now()
	var r Reply
	switch {
	case len(rows) != 1 && !t.Form.Batch, len(rows) == 0:
		r = Reply{Outcome: consensus.Internal, Reason: fmt.Sprintf("%s carries one row, and here are %d", t.Form.Name, len(rows))}
	default:
		r = c.ask(ctx, &t, rows)
	}
	r.Elapsed = time.Since(start)
	if r.Outcome != consensus.OK {
		r.Label, r.Labels, r.Probabilities = -1, nil, nil
	}
	return r
}

func (c *Client) ask(ctx context.Context, t *Target, rows [][]float64) Reply {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	req, err := t.Form.request(ctx, t, rows)
	if err != nil {
		return Reply{Outcome: consensus.Internal, Reason: err.Error()}
	}
	body, r := c.exchange(req)
	if r.Outcome != consensus.OK {
		return r
	}
	read := reader{task: &t.Task, means: t.Means}
	a, err := read.body(body, len(rows))
	if err == nil {
		r.Label, r.Labels, r.Probabilities = a.labels[0], a.labels, a.probs
		return r
	}
	var bad *answerError
	if errors.As(err, &bad) {
		r.Outcome = bad.outcome
	} else {
		r.Outcome = consensus.BadSchema
	}
	r.Reason = err.Error()
	return r
}

// exchange sends a request and returns the body of a good answer; else the reply says
// what came instead.
func (c *Client) exchange(req *http.Request) ([]byte, Reply) {
	req.Header.Set("Accept", "application/json")
	req.Header.Set("User-Agent", "caucus")
	// A free ngrok tunnel shows unknown clients an HTML page first; this skips it.
	req.Header.Set("ngrok-skip-browser-warning", "1")

	resp, err := c.http.Do(req)
	if err != nil {
		return nil, failed(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode >= 300 && resp.StatusCode < 400 {
		return nil, Reply{
			Outcome: consensus.RefusedRedirect, Status: resp.StatusCode,
			Reason: redirected(req.URL, resp.Header.Get("Location")),
			astray: sameBut(req.URL, resp.Header.Get("Location")),
		}
	}
	// One byte over the limit tells a long answer from one that just fits.
	body, err := io.ReadAll(io.LimitReader(resp.Body, int64(c.maxAnswer)+1))
	if err != nil && resp.StatusCode < 300 {
		r := failed(err)
		r.Status = resp.StatusCode
		return nil, r
	}
	return body, c.classify(resp, body)
}

// classify says whether an answer is one to read.
func (c *Client) classify(resp *http.Response, body []byte) Reply {
	r := Reply{Status: resp.StatusCode}
	if o, why, ok := tunnelTrouble(resp.StatusCode, resp.Header, body); ok {
		r.Outcome, r.Reason, r.tunnel = o, why, true
		return r
	}
	switch {
	case resp.StatusCode == http.StatusTooManyRequests, resp.StatusCode == http.StatusServiceUnavailable:
		r.Outcome, r.Reason = consensus.Shed, statusReason(resp.StatusCode, body)
		r.RetryAfter = retryAfter(resp.Header, time.Now())
	case resp.StatusCode >= 400:
		r.Outcome, r.Reason = consensus.HTTPError, statusReason(resp.StatusCode, body)
	case len(body) > c.maxAnswer:
		r.Outcome = consensus.TooLarge
		r.Reason = fmt.Sprintf("its answer is longer than %d KiB; is this a model's /predict?", c.maxAnswer>>10)
	case resp.Header.Get("Content-Encoding") != "" && !strings.EqualFold(resp.Header.Get("Content-Encoding"), "identity"):
		// It was asked for none. Unpacking could make anything of 64 KiB.
		r.Outcome = consensus.BadJSON
		r.Reason = fmt.Sprintf("its answer is packed (%s), and packed answers are not read; switch compression off there", show(resp.Header.Get("Content-Encoding")))
	default:
		r.Outcome = consensus.OK
	}
	return r
}

// ParseBase reads the address of a model server as people type it: with or without
// http:// or /predict. A slash at the end of a path is kept, since there are servers that
// answer nowhere else; at the end of a host it means nothing. What follows a # (an invite's
// token) is dropped here and never sent anywhere.
func ParseBase(s string) (*url.URL, error) {
	s, _, _ = strings.Cut(strings.TrimSpace(s), "#")
	if s == "" {
		return nil, errors.New("the URL is empty; write it like http://127.0.0.1:5001")
	}
	if !strings.Contains(s, "://") {
		s = "http://" + s
	}
	u, err := url.Parse(s)
	if err != nil {
		return nil, fmt.Errorf("%s is not a URL; write it like http://127.0.0.1:5001", show(s))
	}
	if u.Scheme != "http" && u.Scheme != "https" {
		return nil, fmt.Errorf("%s starts with %s://, and only http:// and https:// can be asked", show(s), u.Scheme)
	}
	if u.Hostname() == "" || strings.ContainsAny(u.Hostname(), " \t") {
		return nil, fmt.Errorf("%s names no host; write it like http://127.0.0.1:5001", show(s))
	}
	path := strings.TrimRight(u.Path, "/")
	switch {
	case path == "":
	case path != u.Path && !strings.Contains(path, servingPath) && !strings.Contains(path, inferPath):
		path += "/"
	default:
		path = strings.TrimRight(strings.TrimSuffix(path, predictPath), "/")
	}
	u.Path, u.RawPath, u.RawQuery, u.Fragment = path, "", "", ""
	return u, nil
}

// rootOf is the path below which a server has its others: what was typed, less what belongs to /predict.
func rootOf(base *url.URL) string {
	return strings.TrimSuffix(strings.TrimRight(base.Path, "/"), predictPath)
}
