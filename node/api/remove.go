package api

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"

	"github.com/gin-gonic/gin"
)

// RemoveReply answers POST /members/remove: one of the two is there.
type RemoveReply struct {
	Removed   string `json:"removed,omitempty"`    // name (id)
	TakenBack string `json:"taken_back,omitempty"` // name (id)
}

// remove takes {"name":"bo"}, with "undo":true to take a removal back.
func (a *API) remove(c *gin.Context) (any, error) {
	const want = `send {"name":"bo"}, or {"name":"bo","undo":true}`
	if err := jsonContent(c.Request.Header.Get("Content-Type")); err != nil {
		return nil, err
	}
	var body struct {
		Name string `json:"name"`
		Undo bool   `json:"undo"`
	}
	dec := json.NewDecoder(http.MaxBytesReader(c.Writer, c.Request.Body, maxBody))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&body); err != nil {
		var tooLarge *http.MaxBytesError
		if errors.As(err, &tooLarge) {
			return nil, err
		}
		return nil, Problemf(BadInput, "the body cannot be read (%s); %s", shown(err.Error()), want)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, NewProblem(BadInput, "there is something after the JSON object; "+want)
	}
	if body.Name == "" {
		return nil, NewProblem(BadInput, "say whom by name or id; "+want)
	}
	done, err := a.node.Remove(c.Request.Context(), body.Name, body.Undo)
	if err != nil {
		return nil, err
	}
	if body.Undo {
		return RemoveReply{TakenBack: done}, nil
	}
	return RemoveReply{Removed: done}, nil
}
