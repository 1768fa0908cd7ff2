package session

import (
	"context"
	"encoding/binary"
	"fmt"
	"strings"
	"testing"

	"caucus/cluster/identity"
)

// jointEcho is an echo that answers together what may be: each question with the number of
// those that came with it before it. What it is told to do else, it does to all.
type jointEcho struct {
	echo
	misbehave func(asks [][]byte, answered func(int, []byte))
}

func (j jointEcho) Quick([]byte) bool { return true }

func (j jointEcho) AnswerJointly(_ context.Context, _ identity.ID, asks [][]byte, answered func(int, []byte)) {
	if j.misbehave != nil {
		j.misbehave(asks, answered)
		return
	}
	for i := range asks {
		answered(i, fmt.Appendf(nil, "%d of %d", i, len(asks)))
	}
}

// jointAsk is the frame of a question that allows a joint signature.
func jointAsk(id uint64) []byte {
	q := Question{Columns: 1, Rows: []float64{float64(id)}, Sign: true, Jointly: true}
	return appendFrame(nil, frameAsk, id, append(make([]byte, 4), q.Append(nil)...))
}

// plainAsk is the frame of one that does not.
func plainAsk(id uint64) []byte {
	return appendFrame(nil, frameAsk, id, append(make([]byte, 4), "plain"...))
}

// recorded is a connection that keeps what is written to it.
type recorded struct {
	nowhere
	written *[]byte
}

func (r recorded) Write(p []byte) (int, error) {
	*r.written = append(*r.written, p...)
	return len(p), nil
}

// answersTo feeds a link what a peer wrote in one go, and returns the answers and failures by id.
func answersTo(t *testing.T, r Responder, frames ...[]byte) map[uint64]string {
	t.Helper()
	m, err := New(Config{Key: newKey(t), Responder: r})
	if err != nil {
		t.Fatal(err)
	}
	l := m.newLink(&greeting{base: &countedConn{Conn: nowhere{}}, peer: newKey(t).ID()}, true, Direct)
	defer l.stop()
	var written []byte
	l.conn = recorded{written: &written}
	for _, f := range frames {
		n := copy(l.scan.space(), f)
		l.scan.filled(n)
		if n < len(f) {
			t.Fatal("the frames do not fit")
		}
	}
	if err := l.dealWithAll(); err != nil {
		t.Fatal(err)
	}
	if len(l.joint.ids)+len(l.joint.asks)+len(l.answers) != 0 {
		t.Error("something was left for later")
	}
	out := map[uint64]string{}
	for len(written) > 0 {
		n := binary.BigEndian.Uint32(written)
		payload := written[frameHeader : frameHeader+n]
		id := binary.BigEndian.Uint64(payload)
		if _, twice := out[id]; twice {
			t.Errorf("question %d was answered twice", id)
		}
		out[id] = string(payload[8:])
		if frameType(written[4]) == frameFailure {
			out[id] = "failure: " + string(payload[9:])
		}
		written = written[frameHeader+n:]
	}
	return out
}

func TestQuestionsThatComeTogetherAreAnsweredTogether(t *testing.T) {
	var frames [][]byte
	for id := range uint64(maxJoint + 3) {
		frames = append(frames, jointAsk(id))
		if id%10 == 0 {
			frames = append(frames, plainAsk(1000+id))
		}
	}
	got := answersTo(t, jointEcho{}, frames...)
	if len(got) != len(frames) {
		t.Errorf("%d answers to %d questions", len(got), len(frames))
	}
	for id, want := range map[uint64]string{
		0: fmt.Sprintf("0 of %d", maxJoint), maxJoint - 1: fmt.Sprintf("%d of %d", maxJoint-1, maxJoint),
		maxJoint: "0 of 3", maxJoint + 2: "2 of 3", 1000: "re: plain",
	} {
		if got[id] != want {
			t.Errorf("question %d: %q, want %q", id, got[id], want)
		}
	}
	// One by itself has nobody to wait for, and no other way of being answered.
	if got := answersTo(t, jointEcho{}, jointAsk(5)); len(got) != 1 || strings.Contains(got[5], "of") {
		t.Errorf("one: %v", got)
	}
	// A responder that signs each by itself is given each by itself.
	if got := answersTo(t, responder{func([]byte) bool { return true }, func(_ context.Context, _ identity.ID, _, dst []byte) []byte {
		return append(dst, "single"...)
	}}, jointAsk(5), jointAsk(6)); got[5] != "single" || got[6] != "single" {
		t.Errorf("%v", got)
	}
}

func TestWhatAResponderLeavesOfAJointAnswerFails(t *testing.T) {
	for name, misbehave := range map[string]func([][]byte, func(int, []byte)){
		"panics": func(_ [][]byte, answered func(int, []byte)) { answered(1, []byte("fine")); panic("model") },
		"stops":  func(_ [][]byte, answered func(int, []byte)) { answered(1, []byte("fine")) },
		"twice": func(_ [][]byte, answered func(int, []byte)) {
			answered(1, []byte("fine"))
			answered(1, []byte("fine"))
		},
		"no such question": func(_ [][]byte, answered func(int, []byte)) { answered(1, []byte("fine")); answered(3, nil) },
	} {
		t.Run(name, func(t *testing.T) {
			got := answersTo(t, jointEcho{misbehave: misbehave}, jointAsk(7), jointAsk(8), jointAsk(9))
			if len(got) != 3 || got[8] != "fine" || got[7] != "failure: "+errModel.Error() || got[9] != got[7] {
				t.Errorf("%v", got)
			}
		})
	}
}

func TestALongJointAnswerGoesInChunks(t *testing.T) {
	long := strings.Repeat("x", maxChunk+1)
	b := start(t, func(c *Config) {
		c.Responder = jointEcho{misbehave: func(asks [][]byte, answered func(int, []byte)) {
			for i := range asks {
				answered(i, []byte(long))
			}
		}}
	})
	a := start(t, nil)
	join(t, a, b)
	q := Question{Columns: 1, Rows: []float64{1}, Sign: true, Jointly: true}
	got := make(chan string, 8)
	for range cap(got) {
		if _, err := a.AskAsync(b.id, q.Append(nil), askerFunc(func(answer []byte, err error) { got <- fmt.Sprint(string(answer), err) })); err != nil {
			t.Fatal(err)
		}
	}
	single := "re: " + string(q.Append(nil)) // those that came alone were echoed
	for range cap(got) {
		if s := <-got; s != long+"<nil>" && s != single+"<nil>" {
			t.Errorf("%.80q", s)
		}
	}
}
