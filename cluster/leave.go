package cluster

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Leave says goodbye: the leaving card first, then memberlist's leave. It waits until
// the others can have heard, or ctx ends.
func (m *Membership) Leave(ctx context.Context) error {
	m.mu.Lock()
	if m.stopped {
		m.mu.Unlock()
		return ErrStopped
	}
	first := !m.leaving
	m.leaving = true
	var err error
	if first {
		if err = m.signLocked(true); err == nil {
			m.publishLocked()
		}
	}
	m.mu.Unlock()
	if err != nil {
		return fmt.Errorf("cluster: %w", err)
	}
	within := func() time.Duration {
		d := 2 * m.timing.announce
		if end, ok := ctx.Deadline(); ok {
			d = min(d, time.Until(end))
		}
		return max(d, time.Millisecond)
	}
	done := make(chan error, 1)
	if !m.run(func() {
		// memberlist panics if Leave comes after its Shutdown, which it may where ctx ended first.
		defer func() {
			if p := recover(); p != nil {
				done <- ErrStopped
			}
		}()
		// Everybody with a session hears it now; the rest by gossip.
		m.tellAll(m.card.Load().Signed)
		err := m.gossip.UpdateNode(within())
		done <- errors.Join(err, m.gossip.Leave(within()))
	}) {
		return ErrStopped
	}
	select {
	case err := <-done:
		if err != nil {
			return fmt.Errorf("cluster: left, but perhaps not everybody heard it: %w", err)
		}
		return nil
	case <-ctx.Done():
		return fmt.Errorf("cluster: left, but perhaps not everybody heard it: %w", ctx.Err())
	}
}

// Shutdown closes sessions and files and waits for all goroutines. It may be called without Leave.
func (m *Membership) Shutdown() error {
	m.stopOnce.Do(func() {
		m.mu.Lock()
		m.stopped = true
		m.mu.Unlock()
		m.cancel() // dials and waits end first, for they call into what is closed next
		m.locator.chooser.Close()
		m.outside.CloseIdleConnections()
		m.stopErr = errors.Join(m.gossip.Shutdown(), m.sessions.Close())
		m.wg.Wait()
		m.kick(m.kickSave) // whatever the others left unsaved
		<-m.saved
		if m.evidence != nil {
			m.stopErr = errors.Join(m.stopErr, m.evidence.log.Close())
		}
		if m.store != nil {
			m.stopErr = errors.Join(m.stopErr, m.store.close())
		}
	})
	return m.stopErr
}
