package api

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strconv"

	"github.com/gin-gonic/gin"
)

func (a *API) healthz(*gin.Context) (any, error) {
	return HealthReply{Status: "ok", Node: a.info.ID, Name: a.info.Name}, nil
}

func (a *API) readyz(*gin.Context) (any, error) {
	if a.closing.Load() {
		return nil, NewProblem(ShuttingDown, "this node is shutting down")
	}
	return a.node.Readiness()
}

func (a *API) card(*gin.Context) (any, error) { return a.node.Card(), nil }

func (a *API) members(*gin.Context) (any, error) { return a.node.Members(), nil }

// maxRounds is more than are kept.
const maxRounds = 10_000

// limitOf reads limit=, the only parameter of the routes that list rounds.
func limitOf(c *gin.Context) (int, error) {
	q, err := onlyKnown(c.Request.URL.RawQuery, "limit")
	if err != nil || !q.Has("limit") {
		return maxRounds, err
	}
	limit, err := strconv.Atoi(q.Get("limit"))
	if err != nil || limit < 1 || limit > maxRounds {
		return 0, Problemf(BadInput, "limit is %q; it takes a whole number from 1 to %d", shown(q.Get("limit")), maxRounds)
	}
	return limit, nil
}

func (a *API) rounds(c *gin.Context) {
	a.fails(func(c *gin.Context) error {
		limit, err := limitOf(c)
		if err != nil {
			return err
		}
		rounds := a.node.Rounds(limit)
		if rounds == nil {
			rounds = []RoundSummary{}
		}
		return a.send(c, RoundsReply{Rounds: rounds})
	})(c)
}

func (a *API) round(c *gin.Context) (any, error) {
	id := c.Param("id")
	r, ok := a.node.Round(id)
	if !ok {
		return nil, Problemf(NotFound, "round %q is not among the recent ones; /rounds lists them", shown(id))
	}
	return r, nil
}

// forget takes {"names":["ana"]} or {"failed":true}.
func (a *API) forget(c *gin.Context) (any, error) {
	if err := jsonContent(c.Request.Header.Get("Content-Type")); err != nil {
		return nil, err
	}
	var body struct {
		Names  []string `json:"names"`
		Failed bool     `json:"failed"`
	}
	dec := json.NewDecoder(http.MaxBytesReader(c.Writer, c.Request.Body, maxBody))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&body); err != nil {
		var tooLarge *http.MaxBytesError
		if errors.As(err, &tooLarge) {
			return nil, err
		}
		return nil, Problemf(BadInput, `the body cannot be read (%s); send {"names":["ana"]} or {"failed":true}`, shown(err.Error()))
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, NewProblem(BadInput, `there is something after the JSON object; send {"names":["ana"]} or {"failed":true} alone`)
	}
	if body.Failed == (len(body.Names) > 0) {
		return nil, NewProblem(BadInput, `say either which members, {"names":["ana"]}, or all that have failed, {"failed":true}`)
	}
	gone, err := a.node.Forget(c.Request.Context(), body.Names, body.Failed)
	if err != nil {
		return nil, err
	}
	if gone == nil {
		gone = []string{}
	}
	return ForgetReply{Forgotten: gone}, nil
}
