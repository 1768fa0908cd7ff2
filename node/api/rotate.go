package api

import (
	"crypto/subtle"
	"encoding/json"
	"io"
	"net/http"
	"time"

	"github.com/gin-gonic/gin"

	"caucus/cluster/identity"
)

// RotateReply answers POST /invite/rotate.
type RotateReply struct {
	OldUntil time.Time `json:"old_until"` // when the tokens until now cease to be good
}

const (
	defaultKeep = 24 * time.Hour
	maxKeep     = 30 * 24 * time.Hour
)

// SetBearers says which keys open the local routes from elsewhere from now on, after the
// cluster's token was replaced. None: all who reach the node may enter.
func (a *API) SetBearers(keys []string) { a.bearers.Store(&keys) }

// tokenless reports whether the node has no token.
func (a *API) tokenless() bool { return len(*a.bearers.Load()) == 0 }

// isBearer reports whether a key is one of the cluster's. It takes as long for any.
func (a *API) isBearer(given string) bool {
	found := 0
	for _, key := range *a.bearers.Load() {
		found |= subtle.ConstantTimeCompare([]byte(given), []byte(key))
	}
	return found == 1
}

// keyed lets in who has the key, also on this machine: other users of it may look, and not
// give themselves a way in.
func (a *API) keyed(c *gin.Context) {
	if a.tokenless() {
		a.fail(c, NewProblem(BadInput, "this cluster is open: it has no token that could be replaced"))
		return
	}
	if given, ok := bearerOf(c.Request); !ok || !a.isBearer(given) {
		a.fail(c, NewProblem(Unauthorized, "this takes the cluster's key, also on the node's own machine: Authorization: Bearer (caucus invite --rotate sends it)"))
	}
}

// rotate takes {"token":"..."}, in "keep" for how long the old one is good, and in
// "members_only" whether that is for those alone who are or were members.
func (a *API) rotate(c *gin.Context) (any, error) {
	const want = `send {"token":"the new one, 43 characters","keep":"24h"}`
	if a.rotateToken == nil {
		return nil, NewProblem(NotFound, "this node cannot replace the token")
	}
	if err := jsonContent(c.Request.Header.Get("Content-Type")); err != nil {
		return nil, err
	}
	var body struct {
		Token       string  `json:"token"`
		Keep        *string `json:"keep"`
		MembersOnly bool    `json:"members_only"`
	}
	dec := json.NewDecoder(io.LimitReader(http.MaxBytesReader(c.Writer, c.Request.Body, maxBody), maxBody))
	dec.DisallowUnknownFields()
	if dec.Decode(&body) != nil { // its error could repeat a secret
		return nil, NewProblem(BadInput, "the body cannot be read; "+want)
	}
	token, err := identity.ParseToken(body.Token)
	if err != nil {
		return nil, Problemf(BadInput, "%v; %s", err, want)
	}
	keep := defaultKeep
	if body.Keep != nil {
		if keep, err = time.ParseDuration(*body.Keep); err != nil || keep < 0 || keep > maxKeep {
			return nil, Problemf(BadInput, "keep is %q; it takes a time from 0s to %v; %s", shown(*body.Keep), maxKeep, want)
		}
	}
	until := time.Now().Add(keep).UTC()
	if err := a.rotateToken(token, keep, body.MembersOnly); err != nil {
		return nil, err
	}
	return RotateReply{OldUntil: until}, nil
}
