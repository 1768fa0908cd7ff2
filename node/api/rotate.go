package api

import (
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
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

// RotateAbout is what a sealed token of /invite/rotate is bound to, so that nobody on the way
// can change what goes with it.
func RotateAbout(keep time.Duration, membersOnly bool) string {
	return fmt.Sprintf("caucus v1 rotate keep=%v members_only=%t", keep, membersOnly)
}

// rotate takes {"sealed":"..."}, the new token under the present one (see RotateAbout): a
// token never crosses the wire, and the key, which does, must not be enough to replace it. In
// "keep" it has for how long the old one is good, and in
// "members_only" whether that is for those alone who are or were members.
func (a *API) rotate(c *gin.Context) (any, error) {
	const want = `caucus invite --rotate sends {"sealed":"the new token under the present one","keep":"24h0m0s","members_only":false}`
	if a.rotateToken == nil {
		return nil, NewProblem(NotFound, "this node cannot replace the token")
	}
	if err := jsonContent(c.Request.Header.Get("Content-Type")); err != nil {
		return nil, err
	}
	var body struct {
		Sealed      string  `json:"sealed"`
		Keep        *string `json:"keep"`
		MembersOnly bool    `json:"members_only"`
	}
	dec := json.NewDecoder(io.LimitReader(http.MaxBytesReader(c.Writer, c.Request.Body, maxBody), maxBody))
	dec.DisallowUnknownFields()
	if dec.Decode(&body) != nil { // its error could repeat a secret
		return nil, NewProblem(BadInput, "the body cannot be read; "+want)
	}
	keep := defaultKeep
	if body.Keep != nil {
		var err error
		if keep, err = time.ParseDuration(*body.Keep); err != nil || keep < 0 || keep > maxKeep {
			return nil, Problemf(BadInput, "keep is %q; it takes a time from 0s to %v; %s", shown(*body.Keep), maxKeep, want)
		}
	}
	until := time.Now().Add(keep).UTC()
	switch err := a.rotateToken(body.Sealed, keep, body.MembersOnly); {
	case errors.Is(err, identity.ErrToken):
		p := NewProblem(Unauthorized, "the new token is not sealed with the present one; take a current invite (caucus invite on a node's machine) and try again")
		p.Cause = err
		return nil, p
	case err != nil:
		return nil, err
	}
	return RotateReply{OldUntil: until}, nil
}
