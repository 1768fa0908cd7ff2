package api

import (
	"context"
	"net/http"
	"time"

	"github.com/gin-gonic/gin"
)

// How bad a finding is.
const (
	SeverityOK   = "ok"
	SeverityWarn = "warn" // it works, but not as it should, or not for long
	SeverityFail = "fail" // it does not work
)

// Finding is one thing that was looked at.
type Finding struct {
	ID       string `json:"id"`              // what was looked at, such as url.reach; several findings may have one
	Severity string `json:"severity"`        // ok, warn, fail
	About    string `json:"about,omitempty"` // the name of the member, or the address, that it is about
	Sentence string `json:"sentence"`
	Remedy   string `json:"remedy,omitempty"` // what to do, where there is anything to do
}

// DoctorReply answers GET /doctor.
type DoctorReply struct {
	Node     string    `json:"node"`
	Name     string    `json:"name"`
	Version  string    `json:"version"`
	At       time.Time `json:"at"`
	Status   string    `json:"status"` // the worst of the findings
	Findings []Finding `json:"findings"`
}

// Worst returns the severity of the worst finding, ok if there is none.
func Worst(findings []Finding) string {
	worst := SeverityOK
	for _, f := range findings {
		switch {
		case f.Severity == SeverityFail:
			return SeverityFail
		case f.Severity == SeverityWarn:
			worst = SeverityWarn
		}
	}
	return worst
}

func (a *API) doctor(c *gin.Context) (any, error) {
	if a.closing.Load() {
		return nil, NewProblem(ShuttingDown, "this node is shutting down")
	}
	return a.node.Doctor(c.Request.Context())
}

// Doctor asks the node what is wrong with it. It takes some seconds, for peers are asked.
func (c *Client) Doctor(ctx context.Context) (*DoctorReply, error) {
	return ask[DoctorReply](ctx, c, http.MethodGet, "/doctor", nil, nil)
}
