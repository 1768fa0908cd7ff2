package node

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"time"

	"caucus/ml"
	"caucus/node/api"
	"caucus/node/dialect"
)

const (
	// An upstream that is idle is looked after this often: on this machine or in its networks, and
	// elsewhere, where requests may be counted (a free tunnel has 20,000 a month).
	lookNear = 10 * time.Second
	lookFar  = 2 * time.Minute
	// evaluateWithin and evaluateRows bound what an upstream is asked at the start.
	evaluateWithin = 30 * time.Second
	evaluateRows   = 1000
)

// rowsModel is a model that takes its time: it is given all rows at once and a caller who may give up.
type rowsModel interface {
	PredictRows(ctx context.Context, rows []float64, labels []int, probs []float64) (gave bool, err error)
}

var _ rowsModel = (*dialect.Upstream)(nil)

// withoutProbs marks probabilities that the model did not give this time.
func withoutProbs(probs []float64) {
	if len(probs) > 0 {
		probs[0] = math.NaN()
	}
}

// given returns the probabilities, or none if the model gave none this time.
func given(probs []float64) []float64 {
	if len(probs) > 0 && math.IsNaN(probs[0]) {
		return probs[:0]
	}
	return probs
}

// LeadsTo reports whether the address of an upstream, as typed, is where a node listens on this machine.
func LeadsTo(upstream, listen string) bool {
	u, err := dialect.ParseBase(upstream)
	return err == nil && dialect.SameAddress(u, listen)
}

// openUpstream puts a server in the place of a model. It need not answer yet: the node is not
// ready until it does, and its votes say why.
func (n *Node) openUpstream(ctx context.Context) error {
	log := n.log.With("component", "upstream")
	subject, data, err := n.subject()
	if err != nil {
		return err
	}
	n.formChanged = make(chan struct{}, 1)
	u, err := dialect.NewUpstream(dialect.UpstreamConfig{
		URL: n.cfg.Upstream, Subject: subject, Log: log,
		// Who gives peers more time has a slow server, perhaps this one.
		Options: dialect.Options{Timeout: n.cfg.Deadline, HeaderTimeout: max(dialect.DefaultHeaderTimeout, n.cfg.PeerTimeout)},
		OnForm: func() {
			select {
			case n.formChanged <- struct{}{}:
			default:
			}
		},
	})
	if err != nil {
		return fmt.Errorf("node: upstream: %w", err)
	}
	n.upstream = u
	n.onClose("the upstream", func() error { u.Close(); return nil })
	n.local = newLocal(u, false, nil, log)
	n.ranges = rangesOf(subject.Ranges)

	first, cancel := context.WithTimeout(ctx, n.cfg.Deadline)
	defer cancel()
	if err := u.Try(first); err != nil {
		// The reason is in the log already, from the upstream itself, unless time was too short for one.
		if errors.Is(err, context.DeadlineExceeded) {
			log.Warn("the upstream has not answered yet; it is asked again", "url", u.URL())
		}
		return ctx.Err()
	}
	if data != nil {
		n.evaluateUpstream(ctx, data)
	}
	return nil
}

// subject is what the upstream predicts: what the task file says, else what the data are of, else Iris.
func (n *Node) subject() (dialect.Subject, *ml.Dataset, error) {
	var data *ml.Dataset
	var err error
	if n.cfg.Data != "" || n.cfg.Label != "" {
		if data, err = n.data(); err != nil {
			return dialect.Subject{}, nil, err
		}
	}
	if n.cfg.TaskFile == "" {
		s := dialect.IrisSubject()
		if data != nil {
			s = dialect.SubjectOf(data)
		}
		return s, data, nil
	}
	s, err := dialect.ReadSubject(n.cfg.TaskFile)
	if err != nil {
		return s, nil, fmt.Errorf("node: %w", err)
	}
	if data == nil {
		return s, nil, nil
	}
	if data.Task.Digest() != s.Task.Digest() {
		return s, nil, fmt.Errorf("node: the data %s are of another task than the task file %s: %s; correct one of the two",
			n.cfg.Data, n.cfg.TaskFile, strings.Join(s.Task.Diff(data.Task), "; "))
	}
	if s.Ranges == nil {
		s.Ranges = data.Ranges()
	}
	return s, data, nil
}

// evaluateUpstream measures how often the upstream is right on rows of which the label is known. Whether
// it has learnt from them nobody knows here.
func (n *Node) evaluateUpstream(ctx context.Context, data *ml.Dataset) {
	if data.Len() > evaluateRows {
		if _, part, err := data.Split(float64(evaluateRows)/float64(data.Len()), n.cfg.Fit.Seed); err == nil {
			data = part
		}
	}
	ctx, cancel := context.WithTimeout(ctx, evaluateWithin)
	defer cancel()
	labels := make([]int, data.Len())
	_, err := n.upstream.PredictRows(ctx, data.X, labels, nil)
	if err == nil {
		var e ml.Evaluation
		if e, err = ml.EvaluateLabels(data.Task, data.Y, labels); err == nil {
			n.evaluation = &e
			n.log.Info("the upstream is measured", "rows", e.Rows, "accuracy", e.Accuracy)
			return
		}
	}
	n.log.Warn("the upstream could not be measured on the data, so no accuracy is shown", "error", clean(err.Error()))
}

// followUpstream looks after the upstream, and tells the others when it wants to be asked in another
// way than before, until ctx ends.
func (n *Node) followUpstream(ctx context.Context) {
	every := lookFar
	if n.upstream.Near() {
		every = lookNear
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		n.upstream.Watch(ctx, scaled(every, n.cfg.TimeScale))
	}()
	defer func() { <-done }()
	for {
		select {
		case <-n.formChanged:
		case <-ctx.Done():
			return
		}
		about, err := n.about()
		if err == nil {
			err = n.cluster.Describe(about)
		}
		if err != nil && ctx.Err() == nil {
			n.log.Warn("the others could not be told how the upstream is asked", "error", clean(err.Error()))
		}
	}
}

// upstreamReady is the part of readiness that the upstream decides.
func (n *Node) upstreamReady() error {
	if n.upstream == nil {
		return nil
	}
	if err := n.upstream.Ready(); err != nil {
		return api.NewProblem(api.NotReady, cleanTo(err.Error(), ownWords))
	}
	return nil
}
