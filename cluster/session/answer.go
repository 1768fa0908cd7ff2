package session

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"runtime/debug"
	"sync"
	"sync/atomic"
)

// job is a question of the peer that is with a worker, or not all here yet.
type job struct {
	id     uint64
	ask    []byte
	total  int                // of its bytes, when it comes in chunks
	cancel context.CancelFunc // nil until it is with a worker
}

const (
	// maxJobs is how many questions of one peer may be with workers or incomplete; more are shed.
	maxJobs = 64
	// maxClaimed is how many bytes the incomplete questions of one peer may have.
	maxClaimed = 2 * MaxMessage
	// maxHeld is how many bytes of long answers may wait to be read by one peer.
	maxHeld = 2 * MaxMessage
	// answersShare is how many bytes of answers are gathered before they are written.
	answersShare = 16 << 10
)

// workers runs what is too slow for a reader.
type workers struct {
	slots   chan struct{} // one for each that may run
	waiting atomic.Int32
	buffers sync.Pool // *[]byte, for questions and answers
}

const (
	// maxWorkers is how many questions may be worked on at once. Models that compute
	// need no more than there are cores; those that wait for an HTTP server do.
	maxWorkers = 128
	// maxWaiting is how many may wait for a worker, from all peers; more are shed.
	maxWaiting = 256
)

// asked deals with a whole question in one frame.
func (l *link) asked(payload []byte) error {
	if len(payload) < 12 {
		return fmt.Errorf("%w: a question without an id", ErrFrame)
	}
	id, ask := binary.BigEndian.Uint64(payload), payload[12:]
	l.mu.Lock()
	// What the peer has read cannot be more than was written, nor go back.
	if seen := binary.BigEndian.Uint32(payload[8:]); int32(seen-l.queue.seen) > 0 && int32(l.queue.written-seen) >= 0 {
		l.queue.seen = seen
	}
	full := l.queue.answers > maxAnswers
	l.mu.Unlock()
	l.used.Store(true)
	switch {
	case full:
		l.answers = appendFailure(l.answers, id, true, "this peer has too many answers to read")
	case l.m.cfg.Responder == nil:
		l.answers = appendFailure(l.answers, id, false, "it answers no questions")
	case l.quick(ask):
		if !l.gather(id, ask) {
			l.answerHere(id, ask)
		}
	default:
		return l.enqueue(&job{id: id, ask: append(l.m.workers.buffer(), ask...)})
	}
	return nil
}

// quick asks the responder; a panic there counts as slow, and will come again.
func (l *link) quick(ask []byte) (quick bool) {
	defer func() { _ = recover() }()
	return l.m.cfg.Responder.Quick(ask)
}

// answerHere computes an answer on the reader and puts it with the others.
func (l *link) answerHere(id uint64, ask []byte) {
	start := len(l.answers)
	b := binary.BigEndian.AppendUint64(beginFrame(l.answers, frameAnswer), id)
	body := len(b)
	b, err := l.compute(l.ctx, ask, b)
	switch {
	case err != nil:
		l.answers = appendFailure(l.answers[:start], id, false, err.Error())
	case len(b)-body > maxChunk:
		l.answers = b[:start]
		l.sendLong(id, append([]byte(nil), b[body:]...))
	default:
		endFrame(b, start)
		l.answers = b
	}
}

// errModel is what a peer hears of a fault that is this node's own.
var errModel = errors.New("its model failed")

// compute calls the responder. What it appended to dst is returned with dst; a
// panic, or a result that is not dst with an answer after it, is an error in words for the peer.
func (l *link) compute(ctx context.Context, ask, dst []byte) (out []byte, err error) {
	defer func() {
		if v := recover(); v != nil {
			l.m.cfg.Log.Error("answering a question panicked", "peer", l.peer, "panic", fmt.Sprint(v), "stack", string(debug.Stack()))
			err = errModel
		}
	}()
	out = l.m.cfg.Responder.Answer(ctx, l.peer, ask, dst)
	if len(out) < len(dst) {
		l.m.cfg.Log.Error("the responder lost what it was to append to", "peer", l.peer)
		return nil, errModel
	}
	if len(out)-len(dst) > MaxMessage {
		return nil, fmt.Errorf("its answer has %d bytes, the limit is %d", len(out)-len(dst), MaxMessage)
	}
	return out, nil
}

// askedInPart gathers a question that comes in chunks.
func (l *link) askedInPart(t frameType, payload []byte) error {
	if len(payload) < 8 {
		return fmt.Errorf("%w: a question without an id", ErrFrame)
	}
	l.used.Store(true)
	id, body := binary.BigEndian.Uint64(payload), payload[8:]
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ended != nil {
		return nil
	}
	j := l.jobs[id]
	if t == frameAskStart {
		if len(body) < 4 || j != nil {
			return fmt.Errorf("%w: a question begins badly", ErrFrame)
		}
		total := binary.BigEndian.Uint32(body)
		body = body[4:]
		switch {
		case total > MaxMessage || int(total) < len(body):
			return fmt.Errorf("%w: a question of %d bytes, the limit is %d", ErrFrame, total, MaxMessage)
		case l.m.cfg.Responder == nil:
			l.answers = appendFailure(l.answers, id, false, "it answers no questions")
			return nil
		case len(l.jobs) >= maxJobs || l.claimed+int(total) > maxClaimed:
			l.answers = appendFailure(l.answers, id, true, "it has too many questions of this peer")
			return nil // what follows of it finds no job, and is dropped
		}
		j = &job{id: id, total: int(total)}
		l.jobs[id] = j
		l.claimed += j.total
	}
	switch {
	case j == nil:
		return nil // shed or cancelled
	case j.cancel != nil || len(j.ask)+len(body) > j.total:
		return fmt.Errorf("%w: a question is longer than it said", ErrFrame)
	}
	j.ask = append(j.ask, body...)
	if len(j.ask) < j.total {
		return nil
	}
	l.claimed -= j.total
	delete(l.jobs, id)
	return l.enqueueLocked(j)
}

func (l *link) enqueue(j *job) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.enqueueLocked(j)
}

// enqueueLocked gives a whole question to a worker, or sheds it; l.mu is held.
func (l *link) enqueueLocked(j *job) error {
	if l.ended != nil {
		return nil
	}
	if l.jobs[j.id] != nil {
		return fmt.Errorf("%w: two questions with one id", ErrFrame)
	}
	w := &l.m.workers
	if len(l.jobs) >= maxJobs || w.waiting.Load() >= maxWaiting {
		l.answers = appendFailure(l.answers, j.id, true, "it has too many questions to answer")
		return nil
	}
	ctx, cancel := context.WithCancel(l.ctx)
	j.cancel = cancel
	l.jobs[j.id] = j
	w.waiting.Add(1)
	l.m.wg.Go(func() {
		defer cancel()
		select {
		case w.slots <- struct{}{}:
			w.waiting.Add(-1)
			defer func() { <-w.slots }()
			l.work(ctx, j)
		case <-ctx.Done():
			w.waiting.Add(-1)
			l.finishJob(j)
		}
	})
	return nil
}

// work answers a question on a worker.
func (l *link) work(ctx context.Context, j *job) {
	b, err := l.compute(ctx, j.ask, l.m.workers.buffer())
	l.m.workers.giveBack(j.ask)
	if !l.finishJob(j) {
		return // cancelled, or the link has ended
	}
	if err == nil && len(b) > maxChunk {
		l.sendLong(j.id, b)
		return
	}
	l.mu.Lock()
	if l.ended == nil && l.leaving == nil {
		q := &l.queue
		before := len(q.out)
		if err != nil {
			q.out = appendFailure(q.out, j.id, false, err.Error())
		} else {
			q.out = appendFrame(q.out, frameAnswer, j.id, b)
		}
		q.answers += len(q.out) - before
	}
	l.mu.Unlock()
	l.wakeWriter()
	l.m.workers.giveBack(b)
}

// finishJob takes j off the list and reports whether it was still on it.
func (l *link) finishJob(j *job) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.jobs[j.id] != j {
		return false
	}
	delete(l.jobs, j.id)
	return true
}

// cancelled deals with the peer's word that it no longer waits for an answer.
func (l *link) cancelled(payload []byte) error {
	if len(payload) != 8 {
		return fmt.Errorf("%w: a cancellation without an id", ErrFrame)
	}
	id := binary.BigEndian.Uint64(payload)
	l.mu.Lock()
	defer l.mu.Unlock()
	if j := l.jobs[id]; j != nil {
		delete(l.jobs, id)
		if j.cancel != nil {
			j.cancel()
		} else {
			l.claimed -= j.total
		}
	}
	for i, b := range l.queue.bulk {
		if b.id == id && b.first == frameAnswerStart {
			l.queue.dropBulk(i)
			break
		}
	}
	return nil
}

// sendLong queues an answer over maxChunk; it keeps data.
func (l *link) sendLong(id uint64, data []byte) {
	l.mu.Lock()
	q := &l.queue
	switch {
	case l.ended != nil || l.leaving != nil:
	case q.held+len(data) > maxHeld:
		before := len(q.out)
		q.out = appendFailure(q.out, id, true, "this peer has too many long answers to read")
		q.answers += len(q.out) - before
	default:
		q.bulk = append(q.bulk, &bulk{first: frameAnswerStart, more: frameAnswerMore, id: id, data: data})
		q.held += len(data)
	}
	l.mu.Unlock()
	l.wakeWriter()
}

func appendFailure(b []byte, id uint64, busy bool, reason string) []byte {
	start := len(b)
	b = binary.BigEndian.AppendUint64(beginFrame(b, frameFailure), id)
	if busy {
		b = append(b, 1)
	} else {
		b = append(b, 0)
	}
	b = append(b, printable([]byte(reason))...)
	endFrame(b, start)
	return b
}

// flushAnswers writes the answers that the reader has gathered, or queues them
// if writing could block.
func (l *link) flushAnswers() error {
	if len(l.answers) == 0 {
		return nil
	}
	l.mu.Lock()
	q := &l.queue
	inline := l.mayInline(len(l.answers))
	if l.ended == nil && l.leaving == nil {
		q.out = append(q.out, l.answers...)
		q.answers += len(l.answers)
	}
	stuck := q.answers > maxStuck
	var b []byte
	muxed := q.muxed
	if inline {
		b = q.take()
	}
	l.mu.Unlock()
	l.answers = l.answers[:0]
	if cap(l.answers) > keepBuffer {
		l.answers = nil
	}
	switch {
	case stuck:
		return fmt.Errorf("the peer asks and does not read: %d bytes wait", maxStuck)
	case !inline:
		l.wakeWriter()
	case l.writeTaken(b, muxed):
		l.wakeWriter()
	}
	return nil
}

// buffer lends a byte slice.
func (w *workers) buffer() []byte {
	if b, ok := w.buffers.Get().(*[]byte); ok {
		return (*b)[:0]
	}
	return make([]byte, 0, 1024)
}

// giveBack takes b back, unless it is too large to keep.
func (w *workers) giveBack(b []byte) {
	if cap(b) > 0 && cap(b) <= 64<<10 {
		w.buffers.Put(&b)
	}
}
