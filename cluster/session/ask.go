package session

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"sync"
)

// Asker takes the answer to a question that was put by AskAsync.
type Asker interface {
	// Answered is called once, mostly on the session's reader, so it must be quick
	// and must not block. answer is only valid until it returns. err is a
	// *RemoteError when the peer could not answer, and wraps ErrNoSession or ErrClosed when
	// the session has ended.
	Answered(answer []byte, err error)
}

// Ticket stands for a question put by AskAsync. The zero Ticket stands for none.
type Ticket struct {
	l  *link
	c  *call
	id uint64
}

// Cancel forgets the question and tells the peer. It reports true if the Asker
// was not called and never will be, and false if it was called or is being called.
func (t Ticket) Cancel() bool {
	if t.l == nil || !t.l.abandon(t.id, t.c) {
		return false
	}
	t.c.release()
	return true
}

// call is a question that waits for its answer. While it is in link.pending the
// reader may write to it, under link.mu; whoever takes it out of there owns it.
type call struct {
	done  chan error // has room for one; sent to once, by whoever took it out of pending
	asker Asker      // called in place of that, if not nil
	dst   []byte
	base  int    // len(dst) when asked
	total int    // bytes of an answer in chunks; 0 before it begins
	end   uint32 // queue.written when the question is written
	pool  *sync.Pool
}

// newCall takes a call from the pool.
func (m *Manager) newCall(dst []byte, done Asker) *call {
	c, _ := m.calls.Get().(*call)
	if c == nil {
		c = &call{done: make(chan error, 1), pool: &m.calls}
	}
	c.dst, c.base, c.total, c.asker = dst, len(dst), 0, done
	return c
}

// release gives c back; it is out of pending and done is empty.
func (c *call) release() {
	c.dst, c.asker = nil, nil
	c.pool.Put(c)
}

// finish tells whoever waits for an answer that is not there, or stands in c.dst.
// c is out of pending, and must not be touched afterwards.
func (c *call) finish(err error) {
	if c.asker == nil {
		c.done <- err
		return
	}
	asker, answer := c.asker, c.dst
	if err != nil {
		answer = nil
	}
	c.release()
	asker.Answered(answer, err)
}

// maxPending is how many questions may wait for answers on one link.
const maxPending = 4096

// errElsewhere says that nothing new may be begun on this link; there may be another.
var errElsewhere = errors.New("session: nothing new is begun on this session")

// ask does what Manager.Ask says, on this link. errElsewhere means that nothing was sent.
func (l *link) ask(ctx context.Context, ask, dst []byte) ([]byte, error) {
	if len(ask) > MaxMessage {
		return dst, fmt.Errorf("%w: a question of %d bytes, the limit is %d", ErrTooLarge, len(ask), MaxMessage)
	}
	if err := ctx.Err(); err != nil {
		return dst, err
	}
	c := l.m.newCall(dst, nil)
	id, err := l.sendAsk(c, ask)
	if err != nil {
		c.release()
		return dst, err
	}
	select {
	case err = <-c.done:
	case <-ctx.Done():
		if l.abandon(id, c) {
			c.release()
			return dst, ctx.Err()
		}
		err = <-c.done // it was answered at this moment
	}
	out := c.dst
	c.release()
	if err != nil {
		return dst, err
	}
	return out, nil
}

// askAsync does what Manager.AskAsync says, on this link. errElsewhere means that
// nothing was sent.
func (l *link) askAsync(ask []byte, done Asker) (Ticket, error) {
	if len(ask) > MaxMessage {
		return Ticket{}, fmt.Errorf("%w: a question of %d bytes, the limit is %d", ErrTooLarge, len(ask), MaxMessage)
	}
	c := l.m.newCall(nil, done)
	if len(ask) > maxChunk {
		ask = slices.Clone(ask) // it is sent bit by bit, after this returns
	}
	id, err := l.sendAsk(c, ask)
	if err != nil {
		c.release()
		return Ticket{}, err
	}
	return Ticket{l, c, id}, nil
}

// sendAsk enters c in pending and queues the question.
func (l *link) sendAsk(c *call, ask []byte) (id uint64, err error) {
	l.mu.Lock()
	q := &l.queue
	switch {
	case l.ended != nil || l.leaving != nil || l.drain.sent:
		err = errElsewhere
	case len(l.pending) >= maxPending || q.asks > maxAsks:
		err = ErrBusy
	}
	if err != nil {
		l.mu.Unlock()
		return 0, err
	}
	l.used.Store(true)
	l.lastID++
	id = l.lastID
	l.pending[id] = c
	if len(ask) > maxChunk {
		q.bulk = append(q.bulk, &bulk{first: frameAskStart, more: frameAskMore, id: id, data: ask})
		c.end = q.written // says little; its answer comes late enough
		l.mu.Unlock()
		l.wakeWriter()
		return id, nil
	}
	start := len(q.out)
	q.out = binary.BigEndian.AppendUint64(beginFrame(q.out, frameAsk), id)
	q.out = binary.BigEndian.AppendUint32(q.out, l.read.Load())
	q.out = append(q.out, ask...)
	endFrame(q.out, start)
	q.asks += len(q.out) - start
	c.end = q.written + uint32(len(q.out))
	// A question that is the only one, as the last few were, is written at once, which spares the
	// writer a wake-up, if that cannot block: a peer that does not read must not hold the asker
	// beyond its deadline. Several are left to the writer, which takes them all in one go, and
	// where there were several lately there soon are again.
	if len(l.pending) > 1 {
		l.alone = 0
	} else if l.alone < aloneBefore {
		l.alone++
	} else if l.mayInline(0) {
		muxed := q.muxed
		b := q.take()
		l.mu.Unlock()
		if l.writeTaken(b, muxed) {
			l.wakeWriter()
		}
		return id, nil
	}
	l.mu.Unlock()
	l.wakeWriter()
	return id, nil
}

// abandon takes c out of pending, because its asker waits no longer, and tells
// the peer. It reports false if c is being finished.
func (l *link) abandon(id uint64, c *call) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.pending[id] != c {
		return false
	}
	delete(l.pending, id)
	if _, unsent := l.recall(id); !unsent {
		l.queueCancel(id)
	}
	return true
}

// recall stops sending a long question, whose buffer is the asker's again; l.mu
// is held. It reports whether any of it was still to be sent, and all of it.
func (l *link) recall(id uint64) (some, all bool) {
	q := &l.queue
	i := slices.IndexFunc(q.bulk, func(b *bulk) bool { return b.first == frameAskStart && b.id == id })
	if i < 0 {
		return false, false
	}
	all = q.bulk[i].sent == 0
	q.dropBulk(i)
	return true, all
}

// queueCancel tells the peer that nobody waits for an answer; l.mu is held.
func (l *link) queueCancel(id uint64) {
	var payload [8]byte
	binary.BigEndian.PutUint64(payload[:], id)
	l.queueFrame(frameCancel, payload[:])
}

// deliver finishes the call of an answer frame. An answer that nobody waits for
// any longer is dropped.
func (l *link) deliver(t frameType, payload []byte) error {
	if len(payload) < 8 {
		return fmt.Errorf("%w: an answer without an id", ErrFrame)
	}
	id, body := binary.BigEndian.Uint64(payload), payload[8:]
	l.mu.Lock()
	c := l.pending[id]
	if c == nil {
		l.mu.Unlock()
		return nil
	}
	// The peer has read the question, so it has read all that went before it.
	if int32(c.end-l.queue.seen) > 0 {
		l.queue.seen = c.end
	}
	var result error
	switch t {
	case frameAnswer:
		if c.asker != nil && len(l.queue.bulk) == 0 { // no copy: it looks at the reader's buffer
			delete(l.pending, id)
			l.mu.Unlock()
			asker := c.asker
			c.release()
			asker.Answered(body, nil)
			return nil
		}
		c.dst = append(c.dst[:c.base], body...)
	case frameFailure:
		if len(body) < 1 {
			l.mu.Unlock()
			return fmt.Errorf("%w: a failure without a kind", ErrFrame)
		}
		result = &RemoteError{Busy: body[0] != 0, Reason: printable(body[1:])}
	default:
		var whole bool
		if whole, result = c.assemble(t, body); !whole && result == nil {
			l.mu.Unlock()
			return nil
		}
	}
	delete(l.pending, id)
	if some, _ := l.recall(id); some {
		l.queueCancel(id) // the peer failed before it had all of the question
	}
	l.mu.Unlock()
	c.finish(result)
	return nil
}

// assemble adds a chunk to an answer and reports whether it is whole.
func (c *call) assemble(t frameType, body []byte) (whole bool, err error) {
	if t == frameAnswerStart {
		if len(body) < 4 || c.total != 0 {
			return false, &RemoteError{Reason: "its answer is malformed"}
		}
		total := binary.BigEndian.Uint32(body)
		if total > MaxMessage {
			return false, &RemoteError{Reason: fmt.Sprintf("its answer has %d bytes, the limit is %d", total, MaxMessage)}
		}
		c.total, body = int(total), body[4:]
		c.dst = slices.Grow(c.dst[:c.base], min(c.total, 1<<20)) // the rest when it has come
	}
	c.dst = append(c.dst, body...)
	if got := len(c.dst) - c.base; c.total == 0 || got > c.total {
		return false, &RemoteError{Reason: "its answer is malformed"}
	} else if got < c.total {
		return false, nil
	}
	return true, nil
}
