package session

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"time"
)

// readLoop reads frames and deals with them until the link ends.
func (l *link) readLoop() {
	err := l.readFrames()
	if errors.Is(err, io.EOF) {
		err = errors.New("the peer hung up")
	}
	l.end(err)
}

func (l *link) readFrames() error {
	for {
		n, err := l.conn.Read(l.scan.space())
		if n > 0 {
			l.heard.Store(true)
			l.scan.filled(n)
			if err := l.dealWithAll(); err != nil {
				return err
			}
		}
		if err != nil {
			return err
		}
	}
}

// dealWithAll deals with every whole frame that has been read, and writes the
// answers in one go when none is left.
func (l *link) dealWithAll() error {
	for {
		t, payload, ok, err := l.scan.next()
		if err != nil {
			return err
		}
		if !ok {
			l.answerJoint() // before the next read, for the questions stand in its buffer
			return l.flushAnswers()
		}
		if err := l.dealWith(t, payload); err != nil {
			return err
		}
		l.read.Add(uint32(frameHeader + len(payload)))
		if len(l.joint.ids) == maxJoint {
			l.answerJoint()
		}
		if len(l.answers) >= answersShare {
			if err := l.flushAnswers(); err != nil {
				return err
			}
		}
	}
}

// dealWith deals with one frame. An error ends the link.
func (l *link) dealWith(t frameType, payload []byte) error {
	switch t {
	case frameAsk:
		return l.asked(payload)
	case frameAskStart, frameAskMore:
		return l.askedInPart(t, payload)
	case frameAnswer, frameAnswerStart, frameAnswerMore, frameFailure:
		l.used.Store(true)
		return l.deliver(t, payload)
	case frameCancel:
		return l.cancelled(payload)
	case frameMux:
		l.used.Store(true)
		return l.mux.push(payload)
	case framePing:
		if len(payload) != 8 {
			return fmt.Errorf("%w: a ping of %d bytes", ErrFrame, len(payload))
		}
		start := len(l.answers)
		l.answers = append(beginFrame(l.answers, framePong), payload...)
		endFrame(l.answers, start)
		return nil
	case framePong:
		return l.ponged(payload)
	case frameDrain:
		l.m.drainAsked(l)
		return nil
	case frameBye:
		return fmt.Errorf("the peer ended it: %s", printable(payload))
	}
	return fmt.Errorf("%w: unknown type %d", ErrFrame, t)
}

func (l *link) ponged(payload []byte) error {
	if len(payload) != 8 {
		return fmt.Errorf("%w: a pong of %d bytes", ErrFrame, len(payload))
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if binary.BigEndian.Uint64(payload) == l.pingID && !l.pingSent.IsZero() {
		l.rtt.Store(int64(time.Since(l.pingSent)))
		l.pingSent = time.Time{}
	}
	return nil
}
