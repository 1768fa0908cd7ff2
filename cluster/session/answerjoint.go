package session

import (
	"fmt"
	"runtime/debug"
)

// jointAsks are questions that may be answered with one signature. They gather while whole
// frames are left of what was read: whoever asks one at a time waits for nobody, and the
// more are asked at once, the fewer signatures there are to a question.
type jointAsks struct {
	ids  []uint64
	asks [][]byte // in the reader's buffer
}

// maxJoint is how many questions are answered together: few enough that the reader is soon
// back, and that a path has at most six digests.
const maxJoint = 64

// gather puts a quick question aside for answerJoint. It reports false if the question, or
// the responder, wants every answer by itself.
func (l *link) gather(id uint64, ask []byte) bool {
	if _, _, jointly := PeekQuestion(ask); !jointly {
		return false
	}
	if _, ok := l.m.cfg.Responder.(JointResponder); !ok {
		return false
	}
	l.joint.ids, l.joint.asks = append(l.joint.ids, id), append(l.joint.asks, ask)
	return true
}

// answerJoint answers what was gathered, on the reader.
func (l *link) answerJoint() {
	j := &l.joint
	switch len(j.ids) {
	case 0:
		return
	case 1:
		l.answerHere(j.ids[0], j.asks[0])
	default:
		l.computeJoint()
	}
	clear(j.asks)
	j.ids, j.asks = j.ids[:0], j.asks[:0]
}

// computeJoint calls the responder. Whatever it leaves unanswered, for instance by a panic,
// is a failure in words for the peer.
func (l *link) computeJoint() {
	j := &l.joint
	var done [maxJoint]bool
	defer func() {
		if v := recover(); v != nil {
			l.m.cfg.Log.Error("answering questions panicked", "peer", l.peer, "panic", fmt.Sprint(v), "stack", string(debug.Stack()))
		}
		for i, id := range j.ids {
			if !done[i] {
				l.answers = appendFailure(l.answers, id, false, errModel.Error())
			}
		}
	}()
	l.m.cfg.Responder.(JointResponder).AnswerJointly(l.ctx, l.peer, j.asks, func(i int, answer []byte) {
		switch {
		case done[i]:
			panic(fmt.Sprintf("question %d was answered twice", i))
		case len(answer) > MaxMessage:
			l.answers = appendFailure(l.answers, j.ids[i], false, fmt.Sprintf("its answer has %d bytes, the limit is %d", len(answer), MaxMessage))
		case len(answer) > maxChunk:
			l.sendLong(j.ids[i], append([]byte(nil), answer...))
		default:
			l.answers = appendFrame(l.answers, frameAnswer, j.ids[i], answer)
		}
		done[i] = true
	})
}
