package configs

import (
	"fmt"
	"net"
	"strconv"

	"caucus/node"
)

// checkUpstream refuses what has no meaning for a node that stands in front of a server: silence
// would let a person believe that it did something. What stands in a place that goes after
// that of upstream is overruled, as settings are. With data the server is measured.
func (b *builder) checkUpstream() error {
	if b.Node.Upstream == "" {
		return nil
	}
	place := rank(b.source("upstream"))
	for _, name := range []string{"model-file", "model", "holdout", "standardise", "param"} {
		if v, ok := b.found[name]; ok && rank(v.source) >= place {
			return &Error{Source: v.source, Err: fmt.Errorf(
				"%s says which model this node has, and upstream names a server that has one; take one of the two away", name)}
		}
	}
	if _, ok := b.found["listen"]; !ok {
		// The server may well be where a node listens by default: the old apps are on 5000 to 5002.
		b.Node.NextPort = true
		if node.LeadsTo(b.Node.Upstream, b.Node.Listen) {
			host, port, _ := net.SplitHostPort(b.Node.Listen)
			n, _ := strconv.Atoi(port)
			b.Node.Listen = net.JoinHostPort(host, strconv.Itoa(n+1))
		}
	}
	b.params = nil
	b.Node.Model, b.Node.Stored = nil, nil
	return nil
}
