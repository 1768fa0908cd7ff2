package api

import (
	"net/http"
	"slices"
	"time"

	"github.com/gin-gonic/gin"
)

// call is what one question needs; it is pooled.
type call struct {
	in     input
	out    []byte
	labels []int
	probs  []float64
	shares []Millionths
}

// keepAtMost is the largest buffer that goes back to the pool: one batch must not make
// the node's memory grow for good.
const keepAtMost = 256 << 10

func (k *call) recycle() bool {
	return cap(k.out) <= keepAtMost && cap(k.in.body) <= keepAtMost && cap(k.in.q.Rows)*8 <= keepAtMost && cap(k.probs)*8 <= keepAtMost
}

// question admits, decodes and answers /predict and /consensus.
func (a *API) question(answer func(*gin.Context, *call) error) gin.HandlerFunc {
	return func(c *gin.Context) {
		k := a.calls.Get().(*call)
		if err := a.admit(c, k, answer); err != nil {
			a.fail(c, err)
		}
		if k.recycle() {
			a.calls.Put(k)
		}
	}
}

// admit counts a question among those under way only once it has been read: somebody who
// sends slowly must not keep others out.
func (a *API) admit(c *gin.Context, k *call, answer func(*gin.Context, *call) error) error {
	if err := a.open(); err != nil {
		return err
	}
	if err := a.decode(c, k); err != nil {
		return err
	}
	if err := a.begin(); err != nil {
		return err
	}
	defer a.end()
	return answer(c, k)
}

func (a *API) decode(c *gin.Context, k *call) error {
	r := c.Request
	k.in.reset(a.schema, c.FullPath() == "/consensus")
	k.in.q.Start = time.Now()
	k.in.q.RequestID = idOf(c)
	if r.Method == http.MethodPost {
		if err := k.in.query(r.URL.RawQuery, false); err != nil {
			return err
		}
		if err := k.in.readBody(c.Writer, r); err != nil {
			return err
		}
		if err := k.in.json(); err != nil {
			return err
		}
	} else if err := k.in.query(r.URL.RawQuery, true); err != nil {
		return err
	}
	return k.in.check(a.info.Deadline)
}

// predict answers by the local model alone.
func (a *API) predict(c *gin.Context, k *call) error {
	q := &k.in.q
	classes := len(a.info.Labels)
	k.labels = slices.Grow(k.labels[:0], q.N)[:q.N]
	k.probs = k.probs[:0]
	if a.info.Probabilistic {
		k.probs = slices.Grow(k.probs, q.N*classes)[:q.N*classes]
	}
	var probs []float64
	if a.info.Probabilistic {
		probs = k.probs
	}
	if err := a.node.Predict(c.Request.Context(), q.Rows, k.labels, probs); err != nil {
		return err
	}
	probs = given(probs)
	k.shares = slices.Grow(k.shares[:0], len(probs))[:len(probs)]
	for i, p := range probs {
		k.shares[i] = toMillionths(p)
	}
	for _, l := range k.labels {
		a.metrics.predicted[l].Inc()
	}
	if q.Batch {
		k.out = a.predictBatch(k).AppendJSON(k.out[:0])
	} else {
		reply := PredictReply{
			Prediction: k.labels[0], Label: a.info.Labels[k.labels[0]],
			Probabilities: Distribution{a.info.Labels, k.shares},
			Model:         a.info.Model, Node: a.info.ID, Name: a.info.Name, RequestID: q.RequestID,
		}
		k.out = reply.AppendJSON(k.out[:0])
	}
	k.out = append(k.out, '\n')
	write(c, k.out, k.in.pretty)
	return nil
}

func (a *API) predictBatch(k *call) *PredictBatchReply {
	classes := len(a.info.Labels)
	reply := &PredictBatchReply{
		Predictions: k.labels, Labels: make([]string, len(k.labels)), Classes: a.info.Labels,
		Model: a.info.Model, Node: a.info.ID, Name: a.info.Name, RequestID: k.in.q.RequestID,
	}
	for i, l := range k.labels {
		reply.Labels[i] = a.info.Labels[l]
	}
	if len(k.shares) > 0 {
		reply.Probabilities = make([][]Millionths, len(k.labels))
		for i := range k.labels {
			reply.Probabilities[i] = k.shares[i*classes : (i+1)*classes]
		}
	}
	return reply
}

// consensus plays a round.
func (a *API) consensus(c *gin.Context, k *call) error {
	round, err := a.node.Consensus(c.Request.Context(), &k.in.q)
	if err != nil {
		return err
	}
	if reply := round.Reply(); reply != nil {
		k.out = reply.AppendJSON(k.out[:0])
	} else {
		k.out = round.Batch().AppendJSON(k.out[:0])
	}
	round.Release()
	k.out = append(k.out, '\n')
	write(c, k.out, k.in.pretty)
	return nil
}
