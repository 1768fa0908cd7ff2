package session

import (
	"encoding/binary"
	"runtime"
)

// queue is what a link has to write. link.mu guards it.
//
// All small things go into one buffer in the order in which they come. Whoever
// writes takes the whole buffer and writes it at once: one TLS record and one
// system call for all that came together. Long questions and answers wait aside
// and are let in chunk by chunk, so that they never stand before a small one.
type queue struct {
	out     []byte        // frames
	asks    int           // bytes of questions in out
	answers int           // bytes of answers in out
	spare   []byte        // the buffer that out is swapped with
	writing bool          // somebody is in conn.Write, with a buffer that it took
	wake    chan struct{} // has a token when the writer should look
	bulk    []*bulk
	next    int    // whose turn it is among bulk
	held    int    // bytes of answers in bulk
	muxed   int    // bytes of mux frames in out or being written
	written uint32 // bytes of frames written, or taken for it; modulo 2^32
	seen    uint32 // of those, what the peer has read for certain
}

// bulk is a question or an answer over maxChunk on its way out.
type bulk struct {
	first, more frameType
	id          uint64
	data        []byte
	sent        int
}

const (
	// maxAsks is how many bytes of questions may wait before new ones are ErrBusy.
	maxAsks = 1 << 20
	// maxAnswers is how many bytes of answers may wait before further questions are shed.
	maxAnswers = 4 << 20
	// maxStuck is how many may wait before a peer is cut off: it asks on and on and
	// does not even read that it was shed.
	maxStuck = 5 << 20
	// maxInline is how much may be on its way and unread when somebody other than
	// the writer writes. Sockets hold this much, so the write does not block. It is
	// what keeps two readers, each writing answers into a full socket that the
	// other does not empty, from waiting for one another for ever.
	maxInline = 32 << 10
	// aloneBefore is how many questions in a row must have been the only one before the next is
	// written by whoever asks it.
	aloneBefore = 8
	// bulkShare is up to what size out is filled with chunks of bulk.
	bulkShare = 2 * maxChunk
	// keepBuffer is the largest buffer that is kept for the next time.
	keepBuffer = 256 << 10
)

// wakeWriter makes the writer look. It never blocks.
func (l *link) wakeWriter() {
	select {
	case l.queue.wake <- struct{}{}:
	default:
	}
}

// queueFrame queues a frame; l.mu is held. After bye, or the end, it does nothing.
func (l *link) queueFrame(t frameType, payload []byte) {
	if l.ended != nil || l.leaving != nil {
		return
	}
	start := len(l.queue.out)
	l.queue.out = append(beginFrame(l.queue.out, t), payload...)
	endFrame(l.queue.out, start)
	l.wakeWriter()
}

// mayInline reports whether writing what is queued and n bytes more cannot block,
// whatever the peer does; l.mu is held.
func (l *link) mayInline(n int) bool {
	q := &l.queue
	return !q.writing && len(q.bulk) == 0 && l.leaving == nil && l.ended == nil &&
		int(q.written-q.seen)+len(q.out)+n <= maxInline
}

// take takes all that is queued, to be written; l.mu is held. put follows.
func (q *queue) take() []byte {
	b := q.out
	q.out, q.spare = q.spare[:0], nil
	q.asks, q.answers = 0, 0
	q.writing = true
	q.written += uint32(len(b))
	return b
}

// put gives back the buffer of take after writing; l.mu is held.
func (q *queue) put(b []byte) {
	q.writing = false
	if q.spare == nil && cap(b) <= keepBuffer {
		q.spare = b[:0]
	}
}

// writeTaken writes what take returned, outside l.mu, and gives the buffer back.
// It reports whether more came meanwhile.
func (l *link) writeTaken(b []byte, muxed int) (more bool) {
	_, err := l.conn.Write(b)
	if err != nil {
		l.end(err)
		return false
	}
	l.mu.Lock()
	q := &l.queue
	q.put(b)
	q.muxed -= muxed
	more = len(q.out) > 0 || len(q.bulk) > 0
	l.mu.Unlock()
	if muxed > 0 {
		l.mux.signalRoom()
	}
	return more
}

// writeLoop writes what is queued whenever it is woken.
func (l *link) writeLoop() {
	for {
		select {
		case <-l.queue.wake:
		case <-l.shut:
			return
		}
		l.mu.Lock()
		if len(l.pending) > 1 {
			// Several are asking: let them all queue before one write takes them.
			l.mu.Unlock()
			runtime.Gosched()
			l.mu.Lock()
		}
		for more := true; more; {
			q := &l.queue
			q.fillFromBulk()
			// Whoever is writing wakes this loop when there is more.
			if q.writing || len(q.out) == 0 {
				break
			}
			muxed := q.muxed
			b := q.take()
			l.mu.Unlock()
			more = l.writeTaken(b, muxed)
			l.mu.Lock()
		}
		l.mu.Unlock()
	}
}

// fillFromBulk lets chunks of long messages into out, each in its turn.
func (q *queue) fillFromBulk() {
	for len(q.bulk) > 0 && len(q.out) < bulkShare {
		q.next %= len(q.bulk)
		b := q.bulk[q.next]
		start := len(q.out)
		if b.sent == 0 {
			q.out = binary.BigEndian.AppendUint64(beginFrame(q.out, b.first), b.id)
			q.out = binary.BigEndian.AppendUint32(q.out, uint32(len(b.data)))
		} else {
			q.out = binary.BigEndian.AppendUint64(beginFrame(q.out, b.more), b.id)
		}
		n := min(maxChunk, len(b.data)-b.sent)
		q.out = append(q.out, b.data[b.sent:b.sent+n]...)
		endFrame(q.out, start)
		b.sent += n
		if b.sent == len(b.data) {
			q.dropBulk(q.next)
		} else {
			q.next++
		}
	}
}

// dropBulk takes one out of bulk, sent or not.
func (q *queue) dropBulk(i int) {
	if b := q.bulk[i]; b.first == frameAnswerStart {
		q.held -= len(b.data)
	}
	q.bulk = append(q.bulk[:i], q.bulk[i+1:]...)
	if q.next > i {
		q.next--
	}
}
