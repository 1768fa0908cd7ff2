package api

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gin-gonic/gin"
)

// oipAnswer is what the two models have in common.
type oipAnswer struct {
	model  string
	id     string
	n      int
	labels []int        // class index, one a row
	shares []Millionths // rows x classes
	round  *oipRound    // nil: the node's own model
}

// oipRound is what a round says besides, as parameters of the response.
type oipRound struct {
	status          string
	answered, known int
	margin          Millionths // of a batch: the smallest of its rows
}

// oipInfer answers POST /v2/models/{model}/infer.
func (a *API) oipInfer(c *gin.Context) {
	name, together, err := a.oipTarget(c)
	if err == nil {
		err = a.open()
	}
	if err != nil {
		a.fail(c, err)
		return
	}
	if together {
		if a.limited(c); c.IsAborted() {
			return
		}
	}
	k := a.calls.Get().(*call)
	if err := a.oipAdmit(c, k, name, together); err != nil {
		a.fail(c, err)
	}
	if k.recycle() {
		a.calls.Put(k)
	}
}

// oipAdmit reads the request, and counts it among those under way only then.
func (a *API) oipAdmit(c *gin.Context, k *call, name string, together bool) error {
	k.in.reset(a.schema, together)
	k.in.q.Start = time.Now()
	k.in.q.RequestID = idOf(c)
	if _, err := onlyKnown(c.Request.URL.RawQuery); err != nil {
		return err
	}
	if err := k.in.readOIP(c.Writer, c.Request); err != nil {
		return err
	}
	req, err := k.in.oip(a.info.Deadline)
	if err != nil {
		return err
	}
	if err := k.in.check(a.info.Deadline); err != nil {
		return err
	}
	outputs, err := a.oipWanted(req, name, together)
	if err != nil {
		return err
	}
	if err := a.begin(); err != nil {
		return err
	}
	defer a.end()
	ans := oipAnswer{model: name, id: req.id, n: k.in.q.N}
	if ans.id == "" {
		ans.id = k.in.q.RequestID
	}
	if together {
		err = a.oipConsensus(c, k, &ans)
	} else {
		err = a.oipPredict(c, k, &ans)
	}
	if err != nil {
		return err
	}
	k.out = append(a.appendOIP(k.out[:0], &ans, outputs), '\n')
	write(c, k.out, wantsPretty(c.Request.URL.RawQuery))
	return nil
}

// oipWanted returns the outputs to give, all if none was asked for.
func (a *API) oipWanted(req *oipRequest, name string, together bool) ([]oipOutput, error) {
	names := a.oipOutputs(together)
	if len(req.outputs) == 0 {
		all := make([]oipOutput, len(names))
		for i, n := range names {
			all[i].name = n
		}
		return all, nil
	}
	for _, o := range req.outputs {
		switch {
		case !slices.Contains(names, o.name):
			return nil, Problemf(BadInput, "model %q has no output %q; it has %s", shown(name), shown(o.name), strings.Join(names, ", "))
		case o.top > 0 && o.name == oipLabels:
			return nil, Problemf(BadInput, "classification goes with %s; %s is the label as it is", oipShares, oipLabels)
		}
	}
	return req.outputs, nil
}

// oipPredict asks the local model.
func (a *API) oipPredict(c *gin.Context, k *call, ans *oipAnswer) error {
	k.labels = slices.Grow(k.labels[:0], ans.n)[:ans.n]
	var probs []float64
	if a.info.Probabilistic {
		k.probs = slices.Grow(k.probs[:0], ans.n*len(a.info.Labels))[:ans.n*len(a.info.Labels)]
		probs = k.probs
	}
	if err := a.node.Predict(c.Request.Context(), k.in.q.Rows, k.labels, probs); err != nil {
		return err
	}
	if len(given(probs)) < len(probs) {
		return NewProblem(UpstreamFailed, "the server behind this node gave no probabilities this time; ask for the output "+oipLabels+" alone at /predict, or try again")
	}
	k.shares = k.shares[:0]
	for _, p := range probs {
		k.shares = append(k.shares, toMillionths(p))
	}
	for _, l := range k.labels {
		a.metrics.predicted[l].Inc()
	}
	ans.labels, ans.shares = k.labels, k.shares
	return nil
}

// oipConsensus plays a round.
func (a *API) oipConsensus(c *gin.Context, k *call, ans *oipAnswer) error {
	round, err := a.node.Consensus(c.Request.Context(), &k.in.q)
	if err != nil {
		return err
	}
	defer round.Release()
	k.labels, k.shares = k.labels[:0], k.shares[:0]
	if r := round.Reply(); r != nil {
		k.labels = append(k.labels, r.Prediction)
		k.shares = append(k.shares, r.Shares.Shares...)
		ans.round = &oipRound{status: r.Status, answered: r.Counted, known: r.Invited, margin: r.Margin}
	} else {
		b := round.Batch()
		ans.round = &oipRound{status: b.Status, answered: b.Counted, known: b.Invited, margin: 1_000_000}
		for i := range b.Results {
			k.labels = append(k.labels, b.Results[i].Prediction)
			k.shares = append(k.shares, b.Results[i].Shares...)
			ans.round.margin = min(ans.round.margin, b.Results[i].Margin)
		}
	}
	ans.labels, ans.shares = k.labels, k.shares
	return nil
}

// appendOIP writes the response. By hand, as the replies of /predict are: a batch of
// 10,000 rows through reflection costs more than the votes on it.
func (a *API) appendOIP(dst []byte, ans *oipAnswer, outputs []oipOutput) []byte {
	dst = append(dst, `{"model_name":`...)
	dst = appendString(dst, ans.model)
	dst = append(dst, `,"model_version":"`+oipVersion+`","id":`...)
	dst = appendString(dst, ans.id)
	if r := ans.round; r != nil {
		dst = append(dst, `,"parameters":{"status":`...)
		dst = appendString(dst, r.status)
		dst = append(dst, `,"answered":`...)
		dst = strconv.AppendInt(dst, int64(r.answered), 10)
		dst = append(dst, `,"known":`...)
		dst = strconv.AppendInt(dst, int64(r.known), 10)
		dst = append(dst, `,"margin":`...)
		dst = r.margin.AppendJSON(dst)
		dst = append(dst, '}')
	}
	dst = append(dst, `,"outputs":[`...)
	for i, o := range outputs {
		if i > 0 {
			dst = append(dst, ',')
		}
		switch {
		case o.name == oipLabels:
			dst = a.appendOIPLabels(dst, ans)
		case o.top > 0:
			dst = a.appendOIPTop(dst, ans, o.top)
		default:
			dst = a.appendOIPShares(dst, ans)
		}
	}
	return append(dst, "]}"...)
}

func (a *API) appendOIPLabels(dst []byte, ans *oipAnswer) []byte {
	dst = append(dst, `{"name":"`+oipLabels+`","shape":[`...)
	dst = strconv.AppendInt(dst, int64(ans.n), 10)
	dst = append(dst, `,1],"datatype":"BYTES","data":[`...)
	for i, l := range ans.labels {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendString(dst, a.info.Labels[l])
	}
	return append(dst, "]}"...)
}

func (a *API) appendOIPShares(dst []byte, ans *oipAnswer) []byte {
	dst = append(dst, `{"name":"`+oipShares+`","shape":[`...)
	dst = strconv.AppendInt(dst, int64(ans.n), 10)
	dst = append(dst, ',')
	dst = strconv.AppendInt(dst, int64(len(a.info.Labels)), 10)
	dst = append(dst, `],"datatype":"FP64","data":`...)
	dst = appendMillionths(dst, ans.shares)
	dst = append(dst, `,"parameters":{"labels":`...)
	dst = appendString(dst, a.oipLabelList())
	return append(dst, "}}"...)
}

// appendOIPTop writes the likeliest classes of each row as value:index:label. Equal ones
// are in class order.
func (a *API) appendOIPTop(dst []byte, ans *oipAnswer, top int) []byte {
	classes := len(a.info.Labels)
	top = min(top, classes)
	dst = append(dst, `{"name":"`+oipShares+`","shape":[`...)
	dst = strconv.AppendInt(dst, int64(ans.n), 10)
	dst = append(dst, ',')
	dst = strconv.AppendInt(dst, int64(top), 10)
	dst = append(dst, `],"datatype":"BYTES","data":[`...)
	order := make([]int, classes)
	var text []byte
	for i := range ans.n {
		row := ans.shares[i*classes : (i+1)*classes]
		for k := range order {
			order[k] = k
		}
		slices.SortStableFunc(order, func(x, y int) int { return cmp.Compare(row[y], row[x]) })
		for k, c := range order[:top] {
			if i+k > 0 {
				dst = append(dst, ',')
			}
			text = append(row[c].AppendJSON(text[:0]), ':')
			text = append(strconv.AppendInt(text, int64(c), 10), ':')
			dst = appendString(dst, string(append(text, a.info.Labels[c]...)))
		}
	}
	return append(dst, "]}"...)
}
