package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
)

const typePrefix = "urn:caucus:problem:"

// Error returns the sentence.
func (p *Problem) Error() string { return p.Message }

// Unwrap returns what the sentence hides from strangers.
func (p *Problem) Unwrap() error { return p.Cause }

// Is reports whether target is a Problem of the same kind, so that
// errors.Is(err, NewProblem(QuorumNotReached, "")) works.
func (p *Problem) Is(target error) bool {
	t, ok := target.(*Problem)
	return ok && t.Kind() == p.Kind()
}

// Kind returns the last part of the type, one of the constants.
func (p *Problem) Kind() string { return strings.TrimPrefix(p.Type, typePrefix) }

// kinds says status and title of each problem type: the one table from error to status.
var kinds = map[string]struct {
	status int
	title  string
	retry  int // seconds, for Retry-After
}{
	BadInput:         {http.StatusBadRequest, "The input is not usable", 0},
	Unauthorized:     {http.StatusUnauthorized, "A key is needed from here", 0},
	HostNotAllowed:   {http.StatusForbidden, "This host name is not this node's", 0},
	CrossOrigin:      {http.StatusForbidden, "Another site may not do this", 0},
	NotFound:         {http.StatusNotFound, "There is nothing at this address", 0},
	MethodNotAllowed: {http.StatusMethodNotAllowed, "This address does not take this method", 0},
	TooLarge:         {http.StatusRequestEntityTooLarge, "The request is too large", 0},
	UnsupportedMedia: {http.StatusUnsupportedMediaType, "Send JSON", 0},
	RateLimited:      {http.StatusTooManyRequests, "Too many requests", 1},
	InternalError:    {http.StatusInternalServerError, "Something broke in this node", 0},
	Overloaded:       {http.StatusServiceUnavailable, "This node has too much to do", 1},
	ShuttingDown:     {http.StatusServiceUnavailable, "This node is shutting down", 5},
	Joining:          {http.StatusServiceUnavailable, "This node has not found the others yet", 1},
	QuorumNotReached: {http.StatusServiceUnavailable, "Too few votes", 2},
	NoMajority:       {http.StatusServiceUnavailable, "This node cannot take a member out now", 5},
	Removed:          {http.StatusServiceUnavailable, "This node was removed from its cluster", 60},
	ModelTimeout:     {http.StatusServiceUnavailable, "The model did not answer in time", 2},
	NotReady:         {http.StatusServiceUnavailable, "This node is not ready", 1},
	UpstreamFailed:   {http.StatusServiceUnavailable, "The server behind this node gave no answer", 2},
	NoEvidence:       {http.StatusConflict, "Labels do not count at this node", 0},
	NotWritten:       {http.StatusServiceUnavailable, "The label could not be written down", 30},
}

// NewProblem makes a problem of a kind; detail is the sentence that people read.
func NewProblem(kind, detail string) *Problem {
	k, ok := kinds[kind]
	if !ok {
		kind, k = InternalError, kinds[InternalError]
	}
	return &Problem{
		Type: typePrefix + kind, Title: k.title, Status: k.status,
		Detail: detail, Message: detail, RetryAfter: k.retry,
	}
}

// Problemf is NewProblem with a format.
func Problemf(kind, format string, args ...any) *Problem {
	return NewProblem(kind, fmt.Sprintf(format, args...))
}

// problemOf is the only place where an error becomes a status. What is not a
// Problem is a bug or a broken machine: its text is for the log, not for strangers.
func problemOf(err error) *Problem {
	var p *Problem
	if errors.As(err, &p) {
		return p
	}
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return Problemf(TooLarge, "the body is larger than %d bytes; send fewer rows at once", tooLarge.Limit)
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		p = NewProblem(ModelTimeout, "the answer was not there in time; try again")
	default:
		p = NewProblem(InternalError, "internal error; the node's log has the details under the request id")
	}
	p.Cause = err
	return p
}

// parseProblem reads a reply that is not a success, whoever sent it: a tunnel or
// a proxy answers with HTML.
func parseProblem(status int, contentType string, body []byte) *Problem {
	var p Problem
	if strings.Contains(contentType, "json") && json.Unmarshal(body, &p) == nil && (p.Message != "" || p.Detail != "") {
		if p.Message == "" {
			p.Message = p.Detail
		}
		if p.Status == 0 {
			p.Status = status
		}
		return &p
	}
	text := strings.Join(strings.Fields(strings.ToValidUTF8(string(body), "?")), " ")
	if len(text) > 200 {
		text = text[:200] + "..."
	}
	p = Problem{Type: "about:blank", Title: http.StatusText(status), Status: status}
	p.Message = fmt.Sprintf("HTTP status %d (%s), which does not look like a caucus node: %q", status, p.Title, text)
	p.Detail = p.Message
	return &p
}
