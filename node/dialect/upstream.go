package dialect

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"caucus/ml"
	"caucus/node/consensus"
)

// Kind is the kind of model that an upstream is.
const Kind ml.Kind = "upstream"

const (
	// probeAfter failures in a row the server is asked anew how it wants to be asked: it may have been
	// replaced by another.
	probeAfter = 3
	// atOnce bounds the requests under way for one batch.
	atOnce = 8
	// probeWithin bounds a probe, which may be two dozen requests.
	probeWithin = 20 * time.Second
	// waitFirst and waitMost: how long nobody probes again after a probe that failed, doubling.
	waitFirst = time.Second
	waitMost  = 30 * time.Second
)

// Failure is the error of an upstream that gave no vote.
type Failure struct{ Reply Reply }

// Error returns the sentence for people.
func (f *Failure) Error() string { return f.Reason() }

// Reason says what was seen and what to do.
func (f *Failure) Reason() string { return "its upstream: " + f.Reply.Reason }

// UpstreamConfig says which server, and what it predicts.
type UpstreamConfig struct {
	URL     string  // as typed
	Subject Subject // what it predicts; zero: Iris
	Options Options // of the client
	// OnForm, when not nil, is called when the server is asked in another way than before. It must not block.
	OnForm func()
	Log    *slog.Logger
}

// Upstream is a model that another server holds. It answers as an ml.Model does, but takes its time.
// It finds out at the first question how the server wants to be asked, remembers it, and finds out
// again after three failures in a row. All methods may be called from many goroutines.
type Upstream struct {
	base        *url.URL
	subject     Subject
	target      Target
	client      *Client
	chunk       int // rows in one request
	log         *slog.Logger
	now         func() time.Time
	fingerprint [32]byte
	onForm      func()

	life   context.Context // ends with Close
	cancel context.CancelFunc
	wg     sync.WaitGroup

	mu       sync.Mutex // guards what follows
	dialect  *Dialect   // nil: to be found out
	last     string     // the name of the one known last
	probe    *probing   // under way, or nil
	failure  *Failure   // what the last question or probe met; nil: it answered
	fails    int        // in a row
	wait     time.Duration
	quiet    time.Time // not probed before
	shed     time.Time // not asked at all before
	answered time.Time // when it was heard of last
}

type probing struct{ done chan struct{} }

var _ ml.Model = (*Upstream)(nil)

// NewUpstream reads the URL and calls nobody. Close it.
func NewUpstream(cfg UpstreamConfig) (*Upstream, error) {
	base, err := ParseBase(cfg.URL)
	if err != nil {
		return nil, err
	}
	s := cfg.Subject
	if len(s.Task.Features) == 0 {
		s = IrisSubject()
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Options.MaxAnswer <= 0 {
		cfg.Options.MaxAnswer = DefaultMaxAnswer
	}
	if cfg.Options.MaxIdle <= 0 {
		cfg.Options.MaxIdle = atOnce
	}
	u := &Upstream{
		base: base, subject: s, client: NewClient(cfg.Options), log: cfg.Log, now: time.Now,
		target: Target{Base: base, Task: s.Task, Names: s.Names, Means: s.Means},
		// A row's answer has a label and perhaps a number of some 20 digits for each class.
		chunk:       min(256, max(1, cfg.Options.MaxAnswer/2/(32+24*len(s.Task.Labels)))),
		fingerprint: fingerprint(base, s), onForm: cfg.OnForm,
	}
	u.life, u.cancel = context.WithCancel(context.Background())
	return u, nil
}

// Close gives up all questions under way.
func (u *Upstream) Close() {
	u.mu.Lock() // no question begins after this
	u.cancel()
	u.mu.Unlock()
	u.wg.Wait()
	u.client.Close()
}

// Kind implements ml.Model.
func (u *Upstream) Kind() ml.Kind { return Kind }

// Task implements ml.Model.
func (u *Upstream) Task() ml.Task { return u.subject.Task }

// Fingerprint implements ml.Model.
func (u *Upstream) Fingerprint() [32]byte { return u.fingerprint }

// Probabilistic implements ml.Model. Whether a server gives probabilities shows in its answers;
// PredictRows reports it for each.
func (u *Upstream) Probabilistic() bool { return true }

// Params implements ml.Model: how the server is asked. Its address is not told: a card is public,
// and what runs on a machine is nobody's business.
func (u *Upstream) Params() map[string]any {
	p := map[string]any{}
	if form := u.Form(); form != "" {
		p["form"] = form
	}
	return p
}

// Form returns how the server is asked, or was last; empty until it has understood something.
func (u *Upstream) Form() string {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.last
}

// GivesProbabilities reports whether the server gave some when it was tried; true while nothing is known.
func (u *Upstream) GivesProbabilities() bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.dialect == nil || u.dialect.Probabilities
}

// URL returns the server's address without secrets.
func (u *Upstream) URL() string { return u.base.Redacted() }

// Predict implements ml.Model, without a caller who can give up.
func (u *Upstream) Predict(row, probs []float64) (int, error) {
	label := [1]int{}
	gave, err := u.PredictRows(u.life, row, label[:], probs)
	if err == nil && !gave {
		// The contract wants some where there are none: all on the label.
		clear(probs)
		if len(probs) > 0 {
			probs[label[0]] = 1
		}
	}
	return label[0], err
}

// PredictRows asks the server about rows (row-major), one place a row in labels and, if probs is not
// nil, one a row and class there. gave: probs was filled. A server's failure is a *Failure.
func (u *Upstream) PredictRows(ctx context.Context, rows []float64, labels []int, probs []float64) (gave bool, err error) {
	width := len(u.subject.Task.Features)
	if len(rows) != width*len(labels) || len(labels) == 0 {
		return false, fmt.Errorf("%w: %d values for %d rows of %d features", ml.ErrShape, len(rows), len(labels), width)
	}
	split := make([][]float64, len(labels))
	for i := range split {
		split[i] = rows[i*width : (i+1)*width]
		if err := u.subject.Task.Check(split[i]); err != nil {
			return false, err
		}
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(u.life, cancel)()
	d, err := u.known(ctx)
	if err != nil {
		return false, err
	}
	gave, err = u.ask(ctx, d, split, labels, probs)
	u.note(d, err)
	return gave && probs != nil, err
}

// ask splits the rows into requests that the server understands, a few at once.
func (u *Upstream) ask(ctx context.Context, d *Dialect, rows [][]float64, labels []int, probs []float64) (bool, error) {
	t, size := d.One, 1
	if d.Many != nil && len(rows) > 1 {
		t, size = *d.Many, u.chunk
	}
	k := len(u.subject.Task.Labels)
	gave := make([]bool, (len(rows)+size-1)/size)
	group, within := errgroup.WithContext(ctx)
	group.SetLimit(atOnce)
	for part := range gave {
		if within.Err() != nil {
			break // one has failed, and the rest would be for nothing
		}
		from := part * size
		to := min(from+size, len(rows))
		group.Go(func() error {
			r := u.client.AskRows(within, t, rows[from:to])
			if r.Outcome != consensus.OK {
				return &Failure{r}
			}
			copy(labels[from:to], r.Labels)
			if r.Probabilities != nil && probs != nil {
				copy(probs[from*k:to*k], r.Probabilities)
			}
			gave[part] = r.Probabilities != nil
			return nil
		})
	}
	err := group.Wait()
	if err == nil {
		err = ctx.Err() // else rows may be missing
	}
	return err == nil && !slices.Contains(gave, false), err
}

// known returns the dialect, which it finds out first if need be.
func (u *Upstream) known(ctx context.Context) (*Dialect, error) {
	u.mu.Lock()
	now := u.now()
	switch {
	case now.Before(u.shed):
		f := &Failure{Reply{Outcome: consensus.Shed, Label: -1, Reason: fmt.Sprintf(
			"it has too much to do and wants to be left alone for another %v", u.shed.Sub(now).Round(time.Second))}}
		u.mu.Unlock()
		return nil, f
	case u.dialect != nil:
		defer u.mu.Unlock()
		return u.dialect, nil
	case u.probe == nil && now.Before(u.quiet) && u.failure != nil:
		defer u.mu.Unlock()
		return nil, u.failure
	case u.life.Err() != nil:
		defer u.mu.Unlock()
		return nil, &Failure{Reply{Outcome: consensus.ConnectError, Label: -1, Reason: "this node is shutting down"}}
	case u.probe == nil:
		p := &probing{make(chan struct{})}
		u.probe = p
		u.wg.Go(func() { u.findOut(p) })
	}
	p := u.probe
	u.mu.Unlock()
	select {
	case <-p.done:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	switch {
	case u.dialect != nil:
		return u.dialect, nil
	case u.failure != nil:
		return nil, u.failure
	}
	// It was understood, and given up again before this caller woke.
	return nil, &Failure{Reply{Outcome: consensus.Shed, Label: -1, Reason: "it is being asked anew how it wants to be asked; try again"}}
}

// findOut probes, beside whoever asks: one who gives up does not spoil it for the others.
func (u *Upstream) findOut(p *probing) {
	defer close(p.done)
	ctx, cancel := context.WithTimeout(u.life, probeWithin)
	defer cancel()
	d, r := u.client.Probe(ctx, u.target, u.subject.Trial)
	if u.found(d, r) && u.onForm != nil {
		u.onForm()
	}
}

// found takes what a probe found. It reports whether the form is another one than before.
func (u *Upstream) found(d *Dialect, r Reply) (changed bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.probe = nil
	now := u.now()
	if d != nil {
		changed = d.String() != u.last
		u.dialect, u.last, u.failure, u.fails, u.wait, u.answered = d, d.String(), nil, 0, 0, now
		u.log.Info("the upstream is understood", "url", u.URL(), "form", u.last, "probabilities", d.Probabilities)
		return changed
	}
	before := u.failure
	u.failure, u.fails = &Failure{r}, max(u.fails, probeAfter)
	u.wait = min(max(2*u.wait, waitFirst), waitMost)
	u.quiet = now.Add(u.wait)
	u.sent(r, now)
	if before == nil || before.Reply.Reason != r.Reason { // said once, not at each try
		u.log.Warn("the upstream does not answer as a model", "url", u.URL(), "outcome", r.Outcome.String(), "reason", r.Reason)
	}
	return false
}

// sent takes note of being sent away. The caller holds mu.
func (u *Upstream) sent(r Reply, now time.Time) {
	if r.Outcome == consensus.Shed && r.RetryAfter > 0 {
		u.shed = now.Add(r.RetryAfter)
	}
}

// note takes what came of a question asked in dialect d.
func (u *Upstream) note(d *Dialect, err error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	now := u.now()
	var f *Failure
	switch {
	case err == nil:
		u.failure, u.fails, u.answered = nil, 0, now
	case !errors.As(err, &f), f.Reply.Outcome == consensus.Pending:
		// The one who asked gave up, which says nothing of the server.
	case f.Reply.Outcome == consensus.Shed:
		u.failure = f // busy, which is not broken
		u.sent(f.Reply, now)
	default:
		u.failure = f
		u.fails++
		if u.fails >= probeAfter && u.dialect == d {
			u.dialect, u.quiet, u.wait = nil, time.Time{}, 0
			u.log.Warn("the upstream failed several times in a row and is asked anew how it wants to be asked",
				"url", u.URL(), "outcome", f.Reply.Outcome.String(), "reason", f.Reply.Reason)
		}
	}
}

// Ready returns nil while the server answers, else a sentence that says what it does instead.
func (u *Upstream) Ready() error {
	u.mu.Lock()
	defer u.mu.Unlock()
	switch {
	case u.now().Before(u.shed):
		return fmt.Errorf("the upstream %s has too much to do and wants to be left alone until %s",
			u.URL(), u.shed.UTC().Format(time.TimeOnly))
	case u.failure != nil && (u.dialect == nil || u.fails >= probeAfter):
		return fmt.Errorf("the upstream %s does not answer: %s", u.URL(), u.failure.Reply.Reason)
	case u.dialect == nil:
		return fmt.Errorf("the upstream %s has not answered yet", u.URL())
	}
	return nil
}

// Try asks the server about a row that it should know, finding out its dialect if need be.
func (u *Upstream) Try(ctx context.Context) error {
	_, err := u.PredictRows(ctx, u.subject.Trial.Rows[0], make([]int, 1), nil)
	return err
}

// Watch looks after the server until ctx ends: every so often while it answers and nobody else asks it,
// more often once it has failed. every is the time between two looks at a server that answers.
func (u *Upstream) Watch(ctx context.Context, every time.Duration) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-timer.C:
		case <-ctx.Done():
			return
		}
		u.mu.Lock()
		idle := u.now().Sub(u.answered)
		fine := u.dialect != nil && u.failure == nil
		u.mu.Unlock()
		if fine && idle < every {
			timer.Reset(every - idle)
			continue
		}
		_ = u.Try(ctx) // what came of it is noted
		u.mu.Lock()
		next := every
		if u.failure != nil {
			next = min(every, max(u.quiet.Sub(u.now()), u.shed.Sub(u.now()), every/5))
		}
		u.mu.Unlock()
		timer.Reset(next)
	}
}
