package node

import (
	"caucus/cluster/identity"
	"caucus/cluster/session"
)

// asyncAsker is how the cluster carries questions.
type asyncAsker interface {
	AskAsync(id identity.ID, ask []byte, done session.Asker) (session.Ticket, error)
}

// sessionCourier sends questions on the sessions of the cluster.
type sessionCourier struct{ cluster asyncAsker }

var _ session.Asker = (*ask)(nil)

// Send implements courier.
func (c sessionCourier) Send(id identity.ID, question []byte, a *ask) error {
	t, err := c.cluster.AskAsync(id, question, a)
	// The ticket is read by reap alone, which starts after the round was closed.
	a.ticket = t
	return err
}

// Recall implements courier.
func (c sessionCourier) Recall(a *ask) bool { return a.ticket.Cancel() }
