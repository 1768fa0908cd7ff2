package api

import (
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/gin-gonic/gin"
)

// maxLabels bounds one request: each label asks every member for a signature, and a
// labeller's newest thousand are all that counts.
const maxLabels = 1000

// mountLearning adds what labels go in by, and what is learnt from them comes out by.
func (a *API) mountLearning() {
	a.engine.POST("/feedback", a.local, a.takeLabels)
	for _, m := range []string{http.MethodGet, http.MethodHead} {
		a.engine.Handle(m, "/weights", a.local, a.weights)
		a.engine.Handle(m, "/review", a.local, a.review)
		a.engine.Handle(m, "/rounds/:id/receipt", a.local, a.receipt)
	}
}

// takeLabels answers POST /feedback.
func (a *API) takeLabels(c *gin.Context) {
	if err := a.begin(); err != nil {
		a.fail(c, err)
		return
	}
	defer a.end()
	a.fails(func(c *gin.Context) error {
		if _, err := onlyKnown(c.Request.URL.RawQuery); err != nil {
			return err
		}
		k := a.calls.Get().(*call)
		defer func() {
			if k.recycle() {
				a.calls.Put(k)
			}
		}()
		k.in.reset(a.schema, false)
		k.in.q.Start = time.Now()
		if err := k.in.readBody(c.Writer, c.Request); err != nil {
			return err
		}
		q, err := k.in.labels(a.info.Labels)
		if err != nil {
			return err
		}
		q.RequestID = idOf(c)
		reply, err := a.node.Feedback(c.Request.Context(), q)
		if err != nil {
			return err
		}
		return a.send(c, reply)
	})(c)
}

// shape of the body, for complaints.
const feedbackWants = `send {"round":"01J...","label":"..."}, {"features":[...],"label":"..."} or {"instances":[[...],[...]],"labels":["...","..."]}`

// labels decodes the body of /feedback. Features may also be given by name, as to /predict.
func (in *input) labels(names []string) (*Labels, error) {
	s := scanner{b: in.body}
	if s.peek() != '{' {
		return nil, Problemf(BadInput, "the body is not a JSON object; %s", feedbackWants)
	}
	q := &Labels{}
	var texts []string
	var seen []string
	err := s.object(1, func(key string) error {
		switch key {
		case "round", "label", "labels", "features", "instances":
			if slices.Contains(seen, key) {
				return Problemf(BadInput, "%s is given twice; give it once", key)
			}
			seen = append(seen, key)
		}
		switch key {
		case "round":
			id, err := s.str()
			q.Round = id
			return err
		case "label":
			text, err := labelText(&s)
			texts = append(texts, text)
			return err
		case "labels":
			if s.peek() != '[' {
				return NewProblem(BadInput, `labels must be a list, one a row: {"instances":[[...]],"labels":["..."]}`)
			}
			_, err := s.list(2, func(i int) error {
				if i >= maxLabels {
					return Problemf(TooLarge, "labels has more than %d; send fewer at once", maxLabels)
				}
				text, err := labelText(&s)
				texts = append(texts, text)
				return err
			})
			return err
		case "features":
			if in.nset > 0 {
				return in.mixed()
			}
			return in.jsonRow(&s, "features")
		case "instances":
			return in.instances(&s)
		}
		i, ok := in.s.slot(key)
		if !ok {
			return Problemf(BadInput, "there is an unknown member %q; %s", shown(key), feedbackWants)
		}
		if slices.Contains(seen, "features") {
			return in.mixed()
		}
		return in.jsonPut(&s, i, func() string { return in.s.name(i) })
	})
	if err == nil {
		err = s.end()
	}
	if err != nil {
		return nil, err
	}
	if err := in.whole(q, seen, len(texts)); err != nil {
		return nil, err
	}
	for i, text := range texts {
		label := slices.Index(names, text)
		if label < 0 {
			return nil, Problemf(BadInput, "%s is %q, which is no label of this task; its labels are %s", labelPlace(seen, i), shown(text), shownAll(names[:min(len(names), 24)]))
		}
		q.Labels = append(q.Labels, label)
	}
	return q, nil
}

// whole checks that the members given make one of the three forms.
func (in *input) whole(q *Labels, seen []string, labels int) error {
	has := func(key string) bool { return slices.Contains(seen, key) }
	row := has("features") || in.nset > 0
	switch {
	case has("label") && has("labels"):
		return Problemf(BadInput, "label and labels are both given; %s", feedbackWants)
	case has("round") && (row || has("instances")), row && has("instances"):
		return Problemf(BadInput, "the body names more than one thing to label; %s", feedbackWants)
	case !has("round") && !row && !has("instances"):
		return Problemf(BadInput, "the body does not say what is labelled; %s", feedbackWants)
	case has("instances") && !has("labels"), !has("instances") && !has("label"):
		return Problemf(BadInput, "the label is missing; %s", feedbackWants)
	}
	if row {
		if err := in.finish(""); err != nil {
			return err
		}
	}
	if has("round") && q.Round == "" {
		return Problemf(BadInput, "round is empty; %s", feedbackWants)
	}
	q.Rows = in.q.Rows
	if has("instances") && in.q.N != labels {
		return Problemf(BadInput, "there are %d instances and %d labels; give one label for each row", in.q.N, labels)
	}
	return nil
}

func labelPlace(seen []string, i int) string {
	if slices.Contains(seen, "labels") {
		return "labels[" + strconv.Itoa(i) + "]"
	}
	return "label"
}

// labelText reads a label: its name, or a number where names are numbers.
func labelText(s *scanner) (string, error) {
	if s.peek() == '"' {
		return s.str()
	}
	text, err := s.skip(2)
	if err != nil {
		return "", err
	}
	switch text[0] {
	case '[', '{', 't', 'f', 'n':
		return "", Problemf(BadInput, "the label is %s; give its name, such as %q", shown(string(text)), "setosa")
	}
	return string(text), nil
}

// weights answers GET /weights.
func (a *API) weights(c *gin.Context) {
	a.fails(func(c *gin.Context) error {
		rows, err := flagOf(c, "rows")
		if err != nil {
			return err
		}
		reply, err := a.node.Weights(rows)
		if err != nil {
			return err
		}
		return a.send(c, reply)
	})(c)
}

// flagOf reads a parameter that is true or false, the only one of its route; false without it.
func flagOf(c *gin.Context, name string) (bool, error) {
	q, err := onlyKnown(c.Request.URL.RawQuery, name)
	if err != nil || !q.Has(name) {
		return false, err
	}
	return parseBool(name, q.Get(name))
}

// review answers GET /review.
func (a *API) review(c *gin.Context) {
	a.fails(func(c *gin.Context) error {
		limit, err := limitOf(c)
		if err != nil {
			return err
		}
		rounds := a.node.Review(limit)
		if rounds == nil {
			rounds = []ReviewRound{}
		}
		return a.send(c, ReviewReply{Features: a.info.Features, Labels: a.info.Labels, Rounds: rounds})
	})(c)
}

// receipt answers GET /rounds/{id}/receipt with the very bytes that were signed.
func (a *API) receipt(c *gin.Context) {
	a.fails(func(c *gin.Context) error {
		if wantsPretty(c.Request.URL.RawQuery) {
			return NewProblem(BadInput, "a receipt is signed byte for byte, so it cannot be indented; leave out pretty")
		}
		evidence, err := flagOf(c, "evidence")
		if err != nil {
			return err
		}
		b, err := a.node.Receipt(c.Param("id"), evidence)
		if err != nil {
			return err
		}
		write(c, b, false)
		return nil
	})(c)
}
