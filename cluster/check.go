package cluster

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"caucus/cluster/identity"
	"caucus/cluster/reach"
	"caucus/cluster/session"
)

// What a node asks of a peer to find out what is wrong with itself, on a StreamCheck stream: any number
// of asks, each answered in turn.
//
//	ask      [version u8 = 1][what u8]
//	answer   [version u8 = 1][status u8][length u8][content]
//
//	clock    content: Unix time in nanoseconds, i64
//	reach    the peer calls the URL that stands on the asker's card, as far as TLS, in which the other end
//	         proves its key. content: that URL; or why it was not reached, in words
//
// A node calls what cards say in any case, under the same policy; so nobody is made to call anything new by this, and
// a peer is called for seldom.
const (
	checkVersion = 1

	checkClock = 1
	checkReach = 2

	checkOK    = 0
	checkNo    = 1
	checkLater = 2

	maxChecks     = 16 // on one stream
	clockSamples  = 3
	clockWithin   = 3 * time.Second
	reachedWithin = reach.DialBackTimeout
)

// Sentinels of the checks.
var (
	ErrNotChecked = errors.New("cluster: the peer does not know this check; is its version older?")
	ErrNoURL      = errors.New("this node has no URL")
)

// Clock is how a peer's clock differs from this node's.
type Clock struct {
	Ahead time.Duration // of the peer's; negative: it is behind
	Error time.Duration // the most that Ahead may be wrong by: half of the round trip
}

// answerCheck answers a peer that asks for checks.
func (m *Membership) answerCheck(peer identity.ID, conn net.Conn) {
	defer conn.Close()
	for range maxChecks {
		_ = conn.SetDeadline(time.Now().Add(2 * reachedWithin)) // never fails
		var ask [2]byte
		if _, err := io.ReadFull(conn, ask[:]); err != nil {
			return
		}
		status, content := byte(checkNo), []byte("this node knows no such check")
		if ask[0] == checkVersion {
			switch ask[1] {
			case checkClock:
				status, content = checkOK, binary.BigEndian.AppendUint64(nil, uint64(m.now().UnixNano()))
			case checkReach:
				status, content = m.callBack(peer)
			}
		}
		content = content[:min(len(content), 255)]
		if _, err := conn.Write(append([]byte{checkVersion, status, byte(len(content))}, content...)); err != nil {
			return
		}
	}
}

// callBack calls the URL on a peer's card.
func (m *Membership) callBack(peer identity.ID) (status byte, content []byte) {
	url, err := m.urlOf(peer)
	if err != nil || url == "" || !m.isMember(peer) {
		return checkLater, nil // its card is not here yet
	}
	end, err := m.locator.back.Begin(peer)
	if err != nil {
		return checkLater, nil
	}
	defer end()
	ctx, cancel := context.WithTimeout(reach.WithTrust(m.ctx, reach.Told), reachedWithin/2)
	defer cancel()
	if err := m.sessions.Meet(ctx, url, peer); err != nil {
		m.log.Debug("a peer's URL does not work from here", "peer", peer, "url", url, "error", err)
		return checkNo, []byte(explainCall(err))
	}
	return checkOK, []byte(url)
}

// explainCall says why a URL was not reached, in words that follow the URL. It is no more than that: the rest would
// tell about this node's network.
func explainCall(err error) string {
	switch {
	case errors.Is(err, session.ErrSelf):
		return "another node answers there, the very one that called"
	case errors.Is(err, session.ErrIdentity):
		return "another node answers there"
	case errors.Is(err, session.ErrTwin):
		return "another process with the same key answers there"
	}
	words := explain(err)
	if words == undialled {
		return "nobody answers there"
	}
	return words
}

// Clock compares a peer's clock with this node's over the session with it.
func (m *Membership) Clock(ctx context.Context, peer identity.ID) (Clock, error) {
	ctx, cancel := context.WithTimeout(ctx, clockWithin)
	defer cancel()
	conn, err := m.sessions.Open(ctx, peer, session.StreamCheck)
	if err != nil {
		return Clock{}, err
	}
	defer conn.Close()
	var best Clock
	for i := range clockSamples {
		sent, start := m.now(), time.Now()
		status, content, err := m.check(ctx, conn, checkClock)
		took := time.Since(start)
		switch {
		case err != nil:
			return Clock{}, err
		case status != checkOK || len(content) != 8:
			return Clock{}, ErrNotChecked
		}
		theirs := time.Unix(0, int64(binary.BigEndian.Uint64(content)))
		// Wall clocks are compared; Round takes the monotonic reading off.
		now := Clock{Ahead: theirs.Sub(sent.Round(0).Add(took / 2)), Error: took / 2}
		if i == 0 || now.Error < best.Error {
			best = now
		}
	}
	return best, nil
}

// Reached asks a peer to call the URL on this node's card, and returns the URL under which it met this
// node. The error is reach.ErrNotReached with the peer's words, reach.ErrAskLater, ErrNoURL, or of the session.
func (m *Membership) Reached(ctx context.Context, peer identity.ID) (string, error) {
	if m.card.Load().URL == "" {
		return "", ErrNoURL
	}
	ctx, cancel := context.WithTimeout(ctx, reachedWithin)
	defer cancel()
	conn, err := m.sessions.Open(ctx, peer, session.StreamCheck)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	status, content, err := m.check(ctx, conn, checkReach)
	switch {
	case err != nil:
		return "", err
	case status == checkLater:
		return "", reach.ErrAskLater
	case status != checkOK:
		return "", fmt.Errorf("%w: %s", reach.ErrNotReached, printable(string(content), 200))
	}
	return printable(string(content), 255), nil
}

// ReachesItself calls the URL on this node's card and returns nil if this node is there.
func (m *Membership) ReachesItself(ctx context.Context) error {
	url := m.card.Load().URL
	if url == "" {
		return ErrNoURL
	}
	switch err := m.sessions.Meet(reach.WithTrust(ctx, reach.Typed), url, m.self); {
	case errors.Is(err, session.ErrSelf):
		return nil
	case err == nil:
		return session.ErrIdentity // it cannot be: nobody else has this node's id
	default:
		return errors.New(explainCall(err))
	}
}

// check puts one ask and reads its answer.
func (m *Membership) check(ctx context.Context, conn net.Conn, what byte) (status byte, content []byte, err error) {
	if deadline, ok := ctx.Deadline(); ok {
		_ = conn.SetDeadline(deadline)
	}
	defer context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })()
	if _, err := conn.Write([]byte{checkVersion, what}); err != nil {
		return 0, nil, err
	}
	var head [3]byte
	if _, err := io.ReadFull(conn, head[:]); err != nil {
		if errors.Is(err, io.EOF) {
			err = ErrNotChecked // an older node closes streams of kinds that it does not know
		}
		return 0, nil, err
	}
	content = make([]byte, head[2])
	if _, err := io.ReadFull(conn, content); err != nil {
		return 0, nil, err
	}
	if head[0] != checkVersion {
		return 0, nil, ErrNotChecked
	}
	return head[1], content, nil
}
