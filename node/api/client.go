package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"syscall"
	"time"

	"caucus/cluster/identity"
	"caucus/cluster/reach"
	"caucus/internal/neterror"
)

// maxReply bounds what a client reads; a batch over 4 MiB of input answers in less.
const maxReply = 64 << 20

// Client asks one of our own nodes. It is safe for concurrent use. Errors are
// *Problem when the node answered, with its sentence, status and kind; otherwise
// they name the address and what to do.
type Client struct {
	base   string
	bearer string
	http   *http.Client
}

// ConsensusOptions are the parameters of /consensus. Zero values are left to the node.
type ConsensusOptions struct {
	Method   string        // majority, weighted, soft, em, auto
	Quorum   int           // wanted votes
	Timeout  time.Duration // caps the round's and the peers' deadlines
	Models   []string      // ask only these kinds of model
	Full     bool          // every invited member must vote
	Wait     string        // decided, all
	Minority bool          // answer below the quorum too
	Receipt  bool          // the reply is to carry a receipt
	// Probabilities: the reply to a batch is to carry those of every vote.
	Probabilities bool
}

// NewClient returns a client of the node at base: an origin, with or without a
// path in front of the routes, or host:port. bearer may be empty.
func NewClient(base, bearer string) (*Client, error) {
	text := strings.TrimSpace(base)
	if !strings.Contains(text, "://") {
		text = "http://" + text
	}
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") {
		return nil, fmt.Errorf("%q is not a node's address; write it as http://localhost:5001", base)
	}
	u.RawQuery, u.Fragment = "", ""
	return &Client{
		base:   strings.TrimSuffix(u.String(), "/"),
		bearer: bearer,
		http: &http.Client{
			Transport: &http.Transport{
				Proxy:               http.ProxyFromEnvironment,
				DialContext:         (&net.Dialer{Timeout: 3 * time.Second}).DialContext,
				MaxIdleConnsPerHost: 8,
				IdleConnTimeout:     30 * time.Second,
			},
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}, nil
}

// Base returns the address that the client asks.
func (c *Client) Base() string { return c.base }

// Close closes idle connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Predict asks the node's own model for one row.
func (c *Client) Predict(ctx context.Context, row []float64) (*PredictReply, error) {
	return ask[PredictReply](ctx, c, http.MethodPost, "/predict", nil, map[string]any{"features": row})
}

// PredictBatch asks the node's own model for many rows.
func (c *Client) PredictBatch(ctx context.Context, rows [][]float64) (*PredictBatchReply, error) {
	return ask[PredictBatchReply](ctx, c, http.MethodPost, "/predict", nil, map[string]any{"instances": rows})
}

// Consensus asks the cluster for one row. A quorum that was not reached is a
// *Problem of kind QuorumNotReached, with the votes.
func (c *Client) Consensus(ctx context.Context, row []float64, o ConsensusOptions) (*ConsensusReply, error) {
	return ask[ConsensusReply](ctx, c, http.MethodPost, "/consensus", o.query(), map[string]any{"features": row})
}

// ConsensusBatch asks the cluster for many rows in one round.
func (c *Client) ConsensusBatch(ctx context.Context, rows [][]float64, o ConsensusOptions) (*ConsensusBatchReply, error) {
	return ask[ConsensusBatchReply](ctx, c, http.MethodPost, "/consensus", o.query(), map[string]any{"instances": rows})
}

// Members lists the roster as the node sees it.
func (c *Client) Members(ctx context.Context) (*MembersReply, error) {
	return ask[MembersReply](ctx, c, http.MethodGet, "/members", nil, nil)
}

// Rotate gives the cluster another token. The client must have the key of the present one.
func (c *Client) Rotate(ctx context.Context, present, next identity.Token, keep time.Duration, membersOnly bool) (*RotateReply, error) {
	return ask[RotateReply](ctx, c, http.MethodPost, "/invite/rotate", nil, map[string]any{
		"sealed": present.Seal(next, RotateAbout(keep, membersOnly)), "keep": keep.String(), "members_only": membersOnly,
	})
}

// Card returns the node's card with its task.
func (c *Client) Card(ctx context.Context) (*CardReply, error) {
	return ask[CardReply](ctx, c, http.MethodGet, "/card", nil, nil)
}

// Rounds lists recent rounds of the cluster, newest first; limit 0 means all that are kept.
func (c *Client) Rounds(ctx context.Context, limit int) (*RoundsReply, error) {
	q := url.Values{}
	if limit > 0 {
		q.Set("limit", strconv.Itoa(limit))
	}
	return ask[RoundsReply](ctx, c, http.MethodGet, "/rounds", q, nil)
}

// Round returns one recent round.
func (c *Client) Round(ctx context.Context, id string) (*RoundReply, error) {
	return ask[RoundReply](ctx, c, http.MethodGet, "/rounds/"+url.PathEscape(id), nil, nil)
}

// Healthy returns nil if the node is alive.
func (c *Client) Healthy(ctx context.Context) error {
	_, err := ask[HealthReply](ctx, c, http.MethodGet, "/healthz", nil, nil)
	return err
}

// Ready returns how many members the node would invite, or a *Problem that says why it is not ready.
func (c *Client) Ready(ctx context.Context) (*ReadyReply, error) {
	return ask[ReadyReply](ctx, c, http.MethodGet, "/readyz", nil, nil)
}

// Forget takes members that have failed out of the roster, by name or id.
func (c *Client) Forget(ctx context.Context, names ...string) (*ForgetReply, error) {
	return ask[ForgetReply](ctx, c, http.MethodPost, "/members/forget", nil, map[string]any{"names": names})
}

// ForgetFailed takes all members that have failed out of the roster.
func (c *Client) ForgetFailed(ctx context.Context) (*ForgetReply, error) {
	return ask[ForgetReply](ctx, c, http.MethodPost, "/members/forget", nil, map[string]any{"failed": true})
}

// Remove takes a node out of the cluster for good, by name or id; with undo it takes that back.
func (c *Client) Remove(ctx context.Context, name string, undo bool) (*RemoveReply, error) {
	return ask[RemoveReply](ctx, c, http.MethodPost, "/members/remove", nil, map[string]any{"name": name, "undo": undo})
}

// Feedback says what rows really are, at most 1,000 at once.
func (c *Client) Feedback(ctx context.Context, rows [][]float64, labels []string) (*FeedbackReply, error) {
	return ask[FeedbackReply](ctx, c, http.MethodPost, "/feedback", nil, map[string]any{"instances": rows, "labels": labels})
}

// FeedbackRound says what the row of a round that this node was asked for really is.
func (c *Client) FeedbackRound(ctx context.Context, round, label string) (*FeedbackReply, error) {
	return ask[FeedbackReply](ctx, c, http.MethodPost, "/feedback", nil, map[string]any{"round": round, "label": label})
}

// FeedbackOne sends one label: {"round":..,"label":..} or {"features":..,"label":..}.
func (c *Client) FeedbackOne(ctx context.Context, body map[string]any) (*FeedbackReply, error) {
	return ask[FeedbackReply](ctx, c, http.MethodPost, "/feedback", nil, body)
}

// Weights tells what the labels so far say of the members.
func (c *Client) Weights(ctx context.Context) (*WeightsReply, error) {
	return ask[WeightsReply](ctx, c, http.MethodGet, "/weights", nil, nil)
}

// WeightsAndRows is Weights with the digests of the rows that have a label.
func (c *Client) WeightsAndRows(ctx context.Context) (*WeightsReply, error) {
	return ask[WeightsReply](ctx, c, http.MethodGet, "/weights", url.Values{"rows": {"true"}}, nil)
}

// Receipt returns the receipt of a round that was asked for with one, byte for byte; with
// evidence, the records that its weights come from are in it.
func (c *Client) Receipt(ctx context.Context, round string, evidence bool) ([]byte, error) {
	q := url.Values{}
	if evidence {
		q.Set("evidence", "true")
	}
	return c.do(ctx, http.MethodGet, "/rounds/"+url.PathEscape(round)+"/receipt", q, nil)
}

// Review lists the node's recent rounds that most need a label; limit 0 means all that are kept.
func (c *Client) Review(ctx context.Context, limit int) (*ReviewReply, error) {
	q := url.Values{}
	if limit > 0 {
		q.Set("limit", strconv.Itoa(limit))
	}
	return ask[ReviewReply](ctx, c, http.MethodGet, "/review", q, nil)
}

// Raw sends a request and returns the body of a success as it came, for --json.
func (c *Client) Raw(ctx context.Context, method, path string, query url.Values, body any) ([]byte, error) {
	return c.do(ctx, method, path, query, body)
}

// Query returns the options as URL parameters.
func (o ConsensusOptions) Query() url.Values { return o.query() }

func (o ConsensusOptions) query() url.Values {
	q := url.Values{}
	set := func(name, value string, on bool) {
		if on {
			q.Set(name, value)
		}
	}
	set("method", o.Method, o.Method != "")
	set("quorum", strconv.Itoa(o.Quorum), o.Quorum != 0)
	set("timeout", o.Timeout.String(), o.Timeout != 0)
	set("models", strings.Join(o.Models, ","), len(o.Models) > 0)
	set("require", "full", o.Full)
	set("wait", o.Wait, o.Wait != "")
	set("minority", "true", o.Minority)
	set("receipt", "true", o.Receipt)
	set(probabilitiesOption, "true", o.Probabilities)
	return q
}

func ask[T any](ctx context.Context, c *Client, method, path string, query url.Values, body any) (*T, error) {
	b, err := c.do(ctx, method, path, query, body)
	if err != nil {
		return nil, err
	}
	out := new(T)
	if err := json.Unmarshal(b, out); err != nil {
		if err := c.inTheWay(http.StatusOK, nil, b); err != nil {
			return nil, err
		}
		return nil, fmt.Errorf("%s answered %s with something that is not a caucus node's reply (%v); is the address right?", c.base, path, err)
	}
	return out, nil
}

func (c *Client) do(ctx context.Context, method, path string, query url.Values, body any) ([]byte, error) {
	target := c.base + path
	if len(query) > 0 {
		target += "?" + query.Encode()
	}
	var reader io.Reader
	if body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			return nil, fmt.Errorf("encode the request: %w", err)
		}
		reader = bytes.NewReader(b)
	}
	req, err := http.NewRequestWithContext(ctx, method, target, reader)
	if err != nil {
		return nil, fmt.Errorf("request to %s: %w", c.base, err)
	}
	req.Header.Set("Accept", "application/json")
	// A free ngrok tunnel answers with a page for browsers unless it sees this.
	req.Header.Set("Ngrok-Skip-Browser-Warning", "1")
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if c.bearer != "" {
		req.Header.Set("Authorization", "Bearer "+c.bearer)
	}
	res, err := c.http.Do(req)
	if err != nil {
		return nil, c.unreachable(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(io.LimitReader(res.Body, maxReply+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("%s broke off while answering %s: %w", c.base, path, err)
	case len(b) > maxReply:
		return nil, fmt.Errorf("%s answered %s with more than %d MiB; ask for fewer rows at once", c.base, path, maxReply>>20)
	case res.StatusCode/100 != 2:
		if err := c.inTheWay(res.StatusCode, res.Header, b); err != nil {
			return nil, err
		}
		return nil, parseProblem(res.StatusCode, res.Header.Get("Content-Type"), b)
	}
	return b, nil
}

// inTheWay says in words that a tunnel answered in place of the node, if one did.
func (c *Client) inTheWay(status int, h http.Header, body []byte) error {
	t, ok := reach.ExplainPage(status, h, body)
	if !ok || t.Code == "" && t.Kind == reach.OtherPage { // some page: the error for what is no node says as much
		return nil
	}
	return fmt.Errorf("no node answers at %s: %w", c.base, t)
}

// UnreachableError is the error of a request that no node answered.
type UnreachableError struct {
	Base string // the address that was asked
	Why  string // in words
	Err  error
}

func (e *UnreachableError) Error() string {
	return fmt.Sprintf("no node answers at %s (%s); start one with `caucus up`, or name one with --node URL", e.Base, e.Why)
}
func (e *UnreachableError) Unwrap() error { return e.Err }

// unreachable turns a transport error into a sentence with a remedy.
func (c *Client) unreachable(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		err = u.Err
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("%s did not answer in time: %w", c.base, err)
	}
	if errors.Is(err, context.Canceled) {
		return err
	}
	var (
		dns *net.DNSError
		why = err.Error()
	)
	switch {
	case neterror.Is(err, syscall.ECONNREFUSED):
		why = "nothing listens there"
	case errors.As(err, &dns) && dns.IsNotFound:
		why = "there is no host of that name"
	case errors.Is(err, http.ErrSchemeMismatch):
		why = "it does not speak https; try http://"
	}
	return &UnreachableError{Base: c.base, Why: why, Err: err}
}
