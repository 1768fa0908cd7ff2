package evidence

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
)

// Exchanged says what an exchange did at this end.
type Exchanged struct {
	Received int // records that came
	Stored   int // records that are now held and were not before
	Sent     int // records that went
	Forks    int // origins that are now excluded and were not before
}

// Sync exchanges evidence with a peer over a stream that this node opened, in both
// directions at once: afterwards each end has what the other had, unless the log
// changed meanwhile. It closes conn. Errors wrap ErrSync, ErrTask, ErrBusy (try
// another peer, or later) or ErrStore.
//
//	each end               the other
//	heads        ------->
//	wants        ------->  what its log lacks of the heads that came
//	records ...  ------->  what was wanted, a chain at a time, and proofs
//	done         ------->
func (l *Log) Sync(ctx context.Context, conn net.Conn) (Exchanged, error) {
	return l.exchange(ctx, conn)
}

// Serve is Sync's other end, for a stream that the peer opened. If enough exchanges
// are under way it says so to the peer and returns ErrBusy.
func (l *Log) Serve(ctx context.Context, conn net.Conn) (Exchanged, error) {
	select {
	case l.syncs <- struct{}{}:
		defer func() { <-l.syncs }()
		return l.exchange(ctx, conn)
	default:
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	w := newWire(conn, l.cfg.IdleTimeout)
	if w.write(frameBusy) == nil && w.flush() == nil {
		_, _, _ = w.read() // its heads: closing on them unread may cost it our answer
	}
	return Exchanged{}, ErrBusy
}

func (l *Log) exchange(ctx context.Context, conn net.Conn) (Exchanged, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, l.cfg.SyncTimeout,
		fmt.Errorf("it took more than %v", l.cfg.SyncTimeout))
	defer cancel()
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()

	x := &exchange{
		log: l, wire: newWire(conn, l.cfg.IdleTimeout), snapshot: l.Snapshot(),
		asked: make(chan wants, 1), asking: make(chan wants, 1), broken: make(chan struct{}),
	}
	written := make(chan struct{})
	go func() {
		defer close(written)
		x.fail(x.writeAll())
	}()
	err := x.readAll()
	x.fail(err)
	<-written
	conn.Close()
	if err == nil || !errors.Is(err, ErrBusy) && !errors.Is(err, ErrTask) {
		err = x.first // the cause; what the other half then met is a consequence
	}
	switch cause := context.Cause(ctx); {
	case err == nil:
		return x.done, nil
	case cause != nil:
		return x.done, fmt.Errorf("%w: %w", ErrSync, cause)
	case errors.Is(err, ErrBusy), errors.Is(err, ErrTask), errors.Is(err, ErrStore), errors.Is(err, ErrClosed):
		return x.done, err
	}
	return x.done, fmt.Errorf("%w: %w", ErrSync, err)
}

// exchange is one end of an exchange under way. The reader goroutine owns all but
// what writeAll uses: wire's writing half, snapshot, done.Sent.
type exchange struct {
	log      *Log
	wire     *wire
	snapshot *Snapshot // as at the beginning: the heads that were sent

	asking chan wants    // from reader to writer: what we want
	asked  chan wants    // from reader to writer: what the peer wants
	broken chan struct{} // closed when either half has failed

	once  sync.Once // guards first
	first error     // what failed first; read when both halves have ended

	wanted  wants
	budget  int       // bytes of records that may yet come
	segment []*Record // records that do not join on to what is held, see tx.adopt
	done    Exchanged
}

// fail ends both halves if err is not nil: each may be waiting for a peer that waits
// for the other.
func (x *exchange) fail(err error) {
	if err == nil {
		return
	}
	x.once.Do(func() {
		x.first = err
		close(x.broken)
		x.wire.conn.Close()
	})
}

func (x *exchange) writeAll() error {
	if err := x.send(frameHeads, x.snapshot.Heads()); err != nil {
		return err
	}
	w, ok := x.receive(x.asking)
	if !ok {
		return nil // the reader says why
	}
	if err := x.send(frameWants, w.encode()); err != nil {
		return err
	}
	if w, ok = x.receive(x.asked); !ok {
		return nil
	}
	for _, c := range w.chains {
		if err := x.sendChain(c); err != nil {
			return err
		}
	}
	for _, id := range w.proofs {
		if p := x.snapshot.Proof(id); p != nil {
			if err := x.wire.write(frameProof, p.Raw); err != nil {
				return fmt.Errorf("send a proof: %w", err)
			}
		}
	}
	return x.send(frameDone)
}

func (x *exchange) receive(c <-chan wants) (wants, bool) {
	select {
	case w := <-c:
		return w, true
	case <-x.broken:
		return wants{}, false
	}
}

func (x *exchange) send(kind byte, payload ...[]byte) error {
	err := x.wire.write(kind, payload...)
	if err == nil {
		err = x.wire.flush()
	}
	if err != nil {
		return fmt.Errorf("send: %w", err)
	}
	return nil
}

// sendChain sends what is held of a chain from a number on. The chain may grow and
// let go meanwhile; twice what can be kept is where it ends in any case.
func (x *exchange) sendChain(c want) error {
	for sent := 0; sent < 2*MaxKept; {
		raws, err := x.log.store.read(c.id, c.from, chunk)
		if err != nil {
			return err
		}
		if len(raws) == 0 {
			return nil
		}
		payload := make([][]byte, 0, 2*len(raws))
		for _, raw := range raws {
			payload = append(payload, binary.BigEndian.AppendUint32(nil, uint32(len(raw))), raw)
		}
		if err := x.wire.write(frameRecords, payload...); err != nil {
			return fmt.Errorf("send records: %w", err)
		}
		c.from = rawSequence(raws[len(raws)-1]) + 1
		sent += len(raws)
		x.done.Sent += len(raws)
	}
	return nil
}

// rawSequence reads the sequence out of an encoded record of our own store.
func rawSequence(raw []byte) uint64 { return binary.BigEndian.Uint64(raw[1+32+8:]) }

func (x *exchange) readAll() error {
	b, err := x.wire.expect(frameHeads)
	if err != nil {
		return fmt.Errorf("read heads: %w", err)
	}
	heads, err := decodeHeads(b)
	if err != nil {
		return err
	}
	if heads.task != x.snapshot.task {
		return fmt.Errorf("%w: the peer's is %x, this node's is %x", ErrTask, heads.task[:4], x.snapshot.task[:4])
	}
	x.wanted = x.snapshot.wanting(heads)
	// All that is kept of each wanted chain, twice, for chains that move meanwhile.
	x.budget = len(x.wanted.chains) * 2 * (MaxChainBytes + MaxRecord)
	x.asking <- x.wanted
	if b, err = x.wire.expect(frameWants); err != nil {
		return fmt.Errorf("read wants: %w", err)
	}
	asked, err := decodeWants(b)
	if err != nil {
		return err
	}
	x.asked <- asked
	proofs := len(x.wanted.proofs)
	for {
		kind, b, err := x.wire.read()
		if err != nil {
			return fmt.Errorf("read records: %w", err)
		}
		switch {
		case kind == frameDone && len(b) == 0:
			return nil
		case kind == frameRecords:
			err = x.takeRecords(b)
		case kind == frameProof && proofs > 0:
			proofs--
			err = x.takeProof(b)
		default:
			err = fmt.Errorf("%w: kind %d", errKind, kind)
		}
		if err != nil {
			return err
		}
	}
}

func (x *exchange) takeProof(b []byte) error {
	outcome, err := x.log.ReceiveProof(b)
	if outcome == Fork {
		x.done.Forks++
	}
	if errors.Is(err, ErrRefused) {
		return nil // no member any more, say: no fault of the peer's
	}
	return err
}

// takeRecords takes a frame of records in one commit.
func (x *exchange) takeRecords(b []byte) error {
	if x.budget -= len(b); x.budget < 0 {
		return errors.New("the peer sends more records than any chain keeps")
	}
	records, err := x.parseRecords(b)
	if err != nil {
		return err
	}
	fresh := records[:0:0]
	for _, r := range records {
		if _, known := x.log.known(r); !known {
			fresh = append(fresh, r)
		}
	}
	if err := verifyAll(fresh); err != nil {
		return err
	}
	_, err = x.log.change(func(t *tx) (Outcome, error) {
		for _, r := range fresh {
			if err := x.take(t, r); err != nil && !errors.Is(err, ErrRefused) {
				return Refused, err
			}
		}
		return Stored, nil
	})
	return err
}

func (x *exchange) parseRecords(b []byte) ([]*Record, error) {
	var records []*Record
	for len(b) > 0 {
		if len(b) < 4 || uint64(binary.BigEndian.Uint32(b)) > uint64(len(b)-4) {
			return nil, errors.New("a frame of records ends too early")
		}
		n := 4 + int(binary.BigEndian.Uint32(b))
		r, err := x.log.parse(b[4:n])
		if err != nil {
			return nil, err
		}
		if _, asked := slices.BinarySearchFunc(x.wanted.chains, chainID{r.Origin, r.Epoch},
			func(w want, id chainID) int { return compareChains(w.id, id) }); !asked {
			return nil, fmt.Errorf("the peer sends records of %s that were not asked for", r.Origin)
		}
		records, b = append(records, r), b[n:]
	}
	x.done.Received += len(records)
	return records, nil
}

// take adds a record. Those that do not join on to what is held are gathered until
// they make a chain of their own.
func (x *exchange) take(t *tx, r *Record) error {
	if n := len(x.segment); n > 0 {
		last := x.segment[n-1]
		if last.Origin == r.Origin && last.Epoch == r.Epoch && r.Sequence == last.Sequence+1 {
			if contradiction(entryOf(last), entryOf(r)) != "" {
				x.segment = nil
				x.done.Forks++
				_, err := t.exclude(last, r)
				return err
			}
			x.segment = append(x.segment, r)
			return x.settle(t)
		}
		x.segment = nil
	}
	outcome, err := t.add(r)
	switch outcome {
	case Stored:
		x.done.Stored++
	case Fork:
		x.done.Forks++
	case Gap:
		x.segment = []*Record{r}
		return x.settle(t)
	}
	return err
}

// settle adopts the segment as soon as it is complete. It is by MaxKept records at
// the latest, since no record keeps more.
func (x *exchange) settle(t *tx) error {
	if last := x.segment[len(x.segment)-1]; last.First() < x.segment[0].Sequence {
		return nil
	}
	segment := x.segment
	x.segment = nil
	outcome, err := t.adopt(segment)
	switch outcome {
	case Stored:
		x.done.Stored += int(segment[len(segment)-1].Kept)
	case Fork:
		x.done.Forks++
	}
	return err
}
