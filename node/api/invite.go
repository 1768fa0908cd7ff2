package api

import (
	"net/url"
	"slices"

	"github.com/gin-gonic/gin"
)

// InviteReply answers GET /invite: what the line says that a newcomer pastes, but for the
// token. The node does not give that away to whoever looks at it: other users of its
// machine may look, and holders of the key know it already.
type InviteReply struct {
	URL    string `json:"url"`    // of the node, as on its card; empty: it has none
	Open   bool   `json:"open"`   // there is no token: who reaches the URL can join
	Here   bool   `json:"here"`   // the URL leads to the reader's own machine, whoever follows it
	Model  string `json:"model"`  // a kind of model that the cluster has not yet
	Task   string `json:"task"`   // its name
	Iris   bool   `json:"iris"`   // newcomers need no data of their own
	Member string `json:"member"` // name of this node
}

// invite answers GET /invite.
func (a *API) invite(*gin.Context) (any, error) {
	card := a.node.Card()
	out := &InviteReply{URL: card.URL, Open: a.tokenless(), Task: card.Task.Name, Iris: card.Task.Name == "iris", Member: card.Name, Model: "svm"}
	if u, err := url.Parse(card.URL); err == nil {
		out.Here = loopbackHost(u.Host)
	}
	kinds := []string{card.Model}
	for _, m := range a.node.Members().Members {
		if m.State == "alive" {
			kinds = append(kinds, m.Model)
		}
	}
	for _, k := range []string{"svm", "randforest", "knn", "tree"} {
		if !slices.Contains(kinds, k) {
			out.Model = k
			break
		}
	}
	return out, nil
}
