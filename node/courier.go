package node

import (
	"context"

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

// blockingCourier is for a cluster that can only be waited for: a goroutine a question.
type blockingCourier struct {
	cluster interface {
		Ask(ctx context.Context, id identity.ID, ask, dst []byte) ([]byte, error)
	}
	within func() (context.Context, context.CancelFunc)
}

func (c blockingCourier) Send(id identity.ID, question []byte, a *ask) error {
	go func() {
		ctx, cancel := c.within()
		defer cancel()
		a.Answered(c.cluster.Ask(ctx, id, question, nil))
	}()
	return nil
}

func (c blockingCourier) Recall(*ask) bool { return false }

func courierOf(cluster any, within func() (context.Context, context.CancelFunc)) courier {
	if c, ok := cluster.(asyncAsker); ok {
		return sessionCourier{c}
	}
	return blockingCourier{cluster.(interface {
		Ask(ctx context.Context, id identity.ID, ask, dst []byte) ([]byte, error)
	}), within}
}
